"""The target: task, rows that have it, classes and their numbers."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from modelwright.errors import DataError, SpecError
from modelwright.tables.roles import encode_target, infer_task, labelled_rows, renamed_class


@pytest.mark.parametrize(
    ("cells", "name", "task"),
    [
        ([True, False], "y", "binary"),
        (["yes", "no"], "y", "binary"),
        ([1, 2], "y", "binary"),
        (["a", "b", "c"], "y", "multiclass"),
        ([0, 1, 2], "y", "multiclass"),
        ([3, 4, 5, 6, 7], "quality", "regression"),
        ([3, 4, 5, 6, 7], "class", "multiclass"),
        ([10, 20, 37], "price", "regression"),
        ([0.5, 1.5, 2.5], "y", "regression"),
        (["0.5", "1.5", "2.5", "?"], "y", "regression"),
    ],
)
def test_the_task_follows_from_the_values(cells: list[object], name: str, task: str) -> None:
    found, reason = infer_task(pl.Series(name, cells * 20))

    assert found == task
    assert reason.endswith((".", '".'))


def test_what_the_user_asked_for_wins() -> None:
    assert infer_task(pl.Series("y", [0, 1, 2] * 20), "regression")[0] == "regression"
    assert infer_task(pl.Series("y", [3, 4, 5, 6] * 20), "multiclass")[0] == "multiclass"
    assert infer_task(pl.Series("y", [0, 1] * 20), "classification")[0] == "binary"


@pytest.mark.parametrize(
    ("cells", "task", "words"),
    [
        ([1, 1, None], None, "nothing to learn"),
        ([None, None], None, "missing"),
        (["a", "b", "c"], "regression", "needs numbers"),
        (["a", "b", "c"], "binary", "two classes"),
        ([f"name {i}" for i in range(300)], None, "no classes"),
        ([datetime(2020, 1, 1), datetime(2020, 1, 2)], None, "cannot be predicted"),
    ],
)
def test_a_target_that_cannot_serve_is_refused(cells: list[object], task: str | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        infer_task(pl.Series("y", cells), task)


def test_an_unknown_task_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match="binary"):
        infer_task(pl.Series("y", [1, 2]), "ranking")


def test_rows_without_a_target_are_left_out() -> None:
    assert labelled_rows(pl.Series("y", ["a", "", None, " ", "b"])).tolist() == [0, 4]
    assert labelled_rows(pl.Series("y", [1.0, float("nan"), None])).tolist() == [0]
    assert labelled_rows(pl.Series("y", [1, -1, 2]), (-1,)).tolist() == [0, 2]
    with pytest.raises(DataError, match="missing"):
        labelled_rows(pl.Series("y", [None, ""], dtype=pl.String))


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["yes", "no"], ["no", "yes"]),
        (["Y", "N"], ["N", "Y"]),
        ([0, 1], [0, 1]),
        ([True, False], [False, True]),
        (["positive", "pregnant"], ["pregnant", "positive"]),
        (["successful", "unsuccessful"], ["unsuccessful", "successful"]),
        (["PD", "control"], ["control", "PD"]),
        (["alive", "dead"], ["alive", "dead"]),
        ([-1, 1], [-1, 1]),
    ],
)
def test_the_positive_class_comes_second(cells: list[object], classes: list[object]) -> None:
    y, found = encode_target(pl.Series("y", cells), "binary")

    assert found == classes
    assert [type(label) for label in found] == [type(label) for label in classes]
    assert y.tolist() == [classes.index(cell) for cell in cells]
    assert y.dtype == np.int64


def test_the_positive_class_can_be_named_as_value_or_text() -> None:
    assert encode_target(pl.Series("y", ["yes", "no"]), "binary", "no")[1] == ["yes", "no"]
    assert encode_target(pl.Series("y", [1, 2]), "binary", "1")[1] == [2, 1]
    with pytest.raises(DataError, match="'maybe' is not one of its classes"):
        encode_target(pl.Series("y", ["yes", "no"]), "binary", "maybe")


def test_many_classes_are_sorted() -> None:
    y, classes = encode_target(pl.Series("y", ["b", "c", "a", "b "]), "multiclass")

    assert classes == ["a", "b", "c"]
    assert y.tolist() == [1, 2, 0, 1]


def test_later_rows_take_the_classes_of_the_model() -> None:
    y, classes = encode_target(pl.Series("y", ["3", "1", "2.0"]), "multiclass", classes=[1, 2, 3])

    assert classes == [1, 2, 3]
    assert y.tolist() == [2, 0, 1]
    with pytest.raises(DataError, match=r"does not know, such as '4' \(row 1\)"):
        encode_target(pl.Series("y", [1, 4]), "multiclass", classes=[1, 2, 3])


def test_regression_targets_are_finite_floats() -> None:
    y, classes = encode_target(pl.Series("y", ["1,5", "2,5", "3"]), "regression")

    assert y.tolist() == [1.5, 2.5, 3.0]
    assert classes == []
    with pytest.raises(DataError, match=r"infinite cells \(row 1\)"):
        encode_target(pl.Series("y", [1.0, float("inf")]), "regression")
    with pytest.raises(DataError, match="missing"):
        encode_target(pl.Series("y", [1.0, None]), "regression")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["van", "bus ", "van", "bus "], ("bus ", "bus")),
        (["10", "2", "10", "3"], ("10", 10)),
        (["van", "bus", "van", "bus"], None),
        ([10, 2, 10, 3], None),
    ],
)
def test_a_class_that_is_spelled_otherwise_is_found(cells: list[object], expected: object) -> None:
    series = pl.Series("kind", cells)
    y, classes = encode_target(series, "multiclass" if len(set(cells)) > 2 else "binary")

    assert renamed_class(series, y, classes) == expected
