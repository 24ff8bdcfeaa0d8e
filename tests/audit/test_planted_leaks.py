"""Quick form of the planted-leak benchmark: every kind is found, honest counterparts and natural columns stay quiet."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from leaks import ours
from leaks.case import assign_split, equal_rows
from leaks.generate import KINDS, NotApplicable, make_case
from leaks.run import run_case
from leaks.tables import load

#: Two small tables of numbers, two classes and a number to forecast.
TABLES = ("breast_cancer", "diabetes")
#: Kinds found on one table only. The forms drawn for the other are weaker than its honest columns, or too few rows carry
#: them.
FOUND_ON_ONE = {"post_outcome_code", "missingness"}


@cache
def results(kind: str, control: bool) -> tuple[dict[str, Any], ...]:
    tables = [load(name, None, 4000) for name in TABLES]
    return tuple(run_case(table, kind, 1.0, 0, control, ours.check, "ours") for table in tables)


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_leak_at_full_strength_is_found(kind: str) -> None:
    rows = results(kind, False)
    assert [row["error"] for row in rows] == [None, None]
    assert sum(row["hit"] is not None for row in rows) >= (1 if kind in FOUND_ON_ONE else 2)


def test_honest_counterparts_raise_no_alarm() -> None:
    wrong = [(row["table"], row["kind"]) for kind in KINDS for row in results(kind, True) if row["hit"]]
    assert wrong == []


def test_columns_of_clean_tables_are_not_accused() -> None:
    named = [(row["table"], row["natural"]) for kind in KINDS for row in results(kind, True) if row["natural"]]
    assert named == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_weaker_case_carries_a_part_of_the_rows_of_a_stronger_one(kind: str) -> None:
    table = load("breast_cancer", None, 4000)
    try:
        weak, strong = (make_case(table.frame, "target", "binary", kind, s, 1).truth for s in (0.2, 0.4))
    except NotApplicable:
        pytest.skip("the table cannot host the kind")
    assert weak is not None
    assert strong is not None
    assert weak.form == strong.form
    assert weak.columns == strong.columns
    assert set(weak.rows) <= set(strong.rows)


def test_rows_equal_in_all_features_get_the_same_side() -> None:
    frame = load("iris_built_in", None, 4000).frame
    split = assign_split(frame, 0, "target")
    units = equal_rows(frame.drop("target"))
    assert units.max() + 1 < len(units)
    assert all(len(np.unique(split[units == unit])) == 1 for unit in range(units.max() + 1))
    assert 0.1 < split.mean() <= 0.2
