"""Cells say the same however often they are asked."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from modelwright.splits.cells import Cells


def _column(kind: str, n: int = 3000) -> pl.Series:
    rng = np.random.default_rng(0)
    gaps = pl.Series(rng.random(n) < 0.1)
    if kind == "number":
        column = pl.Series("x", rng.normal(size=n))
    elif kind == "whole":
        column = pl.Series("x", rng.integers(0, 40, n))
    else:
        column = pl.Series("x", rng.choice(["North", "north ", "South", "EAST", " east"], n))
    return pl.select(pl.when(gaps).then(None).otherwise(column).alias("x"))["x"]


@pytest.mark.parametrize("kind", ["number", "whole", "text"])
@pytest.mark.parametrize("reach", [1.0, 4.0])
def test_rows_that_agree_by_chance_are_counted(kind: str, reach: float) -> None:
    cells = Cells(_column(kind), None, keep=True)
    rows = np.arange(100)
    few = cells.agreeing(rows, reach)
    values = cells.at(np.arange(3000))
    if cells.numeric:
        expected = [(cells.distance(np.full(3000, v), values) <= reach).sum() for v in values[:100]]
    else:
        expected = [(values == v).sum() for v in values[:100]]
    assert np.array_equal(few, expected)
    for _ in range(70):  # until all are counted at once
        many = cells.agreeing(rows, reach)
    assert np.array_equal(many, few)


@pytest.mark.parametrize("kind", ["number", "whole", "text"])
def test_kept_cells_agree_as_those_read_for_each_question(kind: str) -> None:
    column = _column(kind)
    rows = np.arange(0, 3000, 2)
    kept, fresh = Cells(column, rows, keep=True), Cells(column, rows, keep=False)
    a, b = np.random.default_rng(1).integers(0, len(rows), (2, 5000))
    agree = kept.agree(kept.at(a), kept.at(b))
    assert np.array_equal(agree, fresh.agree(fresh.at(a), fresh.at(b)))
    assert agree.any()
    assert not agree.all()


def test_texts_agree_without_case_and_blanks_also_where_levels_are_read_once() -> None:
    cells = Cells(pl.Series("x", ["North", "north ", "South", None] * 600), None, keep=True)
    values = cells.at(np.arange(4))
    assert values[0] == values[1]
    assert len(np.unique(values)) == 3
