"""What category codes promise."""

import polars as pl

from modelwright.features import categories
from modelwright.features.categories import code_cells, index_levels, learn_levels


def strings(*cells):
    return pl.Series(cells, dtype=pl.String)


def test_levels_stand_by_frequency_then_name():
    assert learn_levels(strings("b", "b", "c", "c", "a", "a", "z", "z", "z")) == ("z", "a", "b", "c")


def test_a_level_seen_once_is_other():
    cells = strings("a", "a", "once")
    assert code_cells(cells, index_levels(learn_levels(cells))).tolist() == [1, 1, 0]


def test_unseen_is_other_and_missing_is_missing():
    index = index_levels(("a", "b"))
    assert code_cells(strings("b", "new", None, "a", ""), index).tolist() == [2, 0, -1, 1, 0]


def test_large_columns_are_coded_as_small_ones(monkeypatch):
    cells = strings("b", "new", None, "a", "")
    for levels in (("a", "b"), ()):
        small = code_cells(cells, index_levels(levels)).tolist()
        with monkeypatch.context() as patch:
            patch.setattr(categories, "_SMALL", 0)
            assert code_cells(cells, index_levels(levels)).tolist() == small


def test_number_of_levels_is_bounded(monkeypatch):
    monkeypatch.setattr(categories, "MAX_LEVELS", 2)
    assert learn_levels(strings("a", "a", "b", "b", "b", "c", "c")) == ("b", "a")


def test_column_without_cells_has_no_levels():
    assert learn_levels(strings(None, None)) == ()
