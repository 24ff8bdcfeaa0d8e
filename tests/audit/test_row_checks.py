"""What rows share with each other: copies, entities, time and order, inside training and across the split."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import polars as pl
import pytest

from modelwright.audit import (
    across_split,
    adversarial,
    drift,
    duplicate_rows,
    near_duplicates,
    row_order,
    undeclared_group,
    undeclared_time,
)
from modelwright.audit.context import Context
from modelwright.audit.finding import Finding
from modelwright.tables.roles import encode_target
from modelwright.tables.types import infer_schema

CHECKS = (across_split, near_duplicates, undeclared_group, undeclared_time, row_order, drift, adversarial, duplicate_rows)


def table(n: int = 1200, seed: int = 0, *, task: str = "binary") -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    signal = x[:, 0] + x[:, 1] + rng.normal(size=n)
    y = (signal > 0).astype(int) if task == "binary" else signal
    return pl.DataFrame({**{f"x{k}": x[:, k] for k in range(5)}, "job": rng.choice(list("abcdef"), n), "y": y})


def findings(
    frame: pl.DataFrame,
    split: np.ndarray | None = None,
    *,
    task: Any = "binary",
    outside: pl.DataFrame | None = None,
    **roles: str,
) -> dict[str, Finding]:
    split = np.zeros(frame.height, dtype=bool) if split is None else split
    rows, sealed = np.flatnonzero(~split), np.flatnonzero(split)
    raw = frame[rows]
    schema = infer_schema(raw, target="y", task=task, **roles)
    y, classes = encode_target(raw["y"], task)
    evaluation = outside if outside is not None else frame[sealed].drop("y") if len(sealed) else None
    context = Context(raw, schema, y, task, rows, tuple(classes), evaluation, sealed if len(sealed) else None)
    return {finding.check: finding for module in CHECKS for finding in module.check(context)}


def at_random(n: int, share: float = 0.2) -> np.ndarray:
    return np.random.default_rng(7).random(n) < share


def copied(frame: pl.DataFrame, rows: np.ndarray, origin: np.ndarray) -> pl.DataFrame:
    take = np.arange(frame.height)
    take[rows] = origin
    return frame[take]


def jittered(frame: pl.DataFrame, rows: np.ndarray) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    for k in range(5):
        values = frame[f"x{k}"].to_numpy().copy()
        values[rows] += 0.001 * rng.normal(size=len(rows))
        frame = frame.with_columns(pl.Series(f"x{k}", values))
    return frame


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_independent_rows_divided_at_random_raise_nothing(task: str) -> None:
    assert findings(table(task=task), at_random(1200), task=task) == {}


def test_evaluation_rows_copied_from_training_are_critical_and_named() -> None:
    split = at_random(1200)
    held, kept = np.flatnonzero(split), np.flatnonzero(~split)
    frame = copied(table(), held[:60], kept[:60])

    found = findings(frame, split)

    crossing = found["duplicates_across_split"]
    assert crossing.severity == "critical"
    assert crossing.evidence["count"] == 60
    assert crossing.rows == tuple(held[:10])


def test_copies_inside_training_are_information_only() -> None:
    split = at_random(1200)
    kept = np.flatnonzero(~split)
    frame = copied(table(), kept[:200], kept[200:400])

    found = findings(frame, split)

    assert found["duplicate_rows"].severity == "info"
    assert all(f.severity == "info" for f in found.values())


def test_natural_repeats_that_cross_are_reported_with_what_chance_gives() -> None:
    rng = np.random.default_rng(1)
    base = table(1500)
    frame = base[rng.integers(0, 1500, 1500)]

    crossing = findings(frame, at_random(1500))["duplicates_across_split"]

    assert crossing.severity == "warning"
    assert abs(crossing.evidence["excess"]) < 0.1 < crossing.evidence["by_chance"]


def test_a_table_of_three_questions_repeats_honestly() -> None:
    rng = np.random.default_rng(2)
    frame = pl.DataFrame({name: rng.integers(0, 2, 900) for name in "abcy"})

    found = findings(frame, at_random(900))

    assert found["duplicates_across_split"].severity == "info"


def test_near_copies_across_are_found_and_near_copies_inside_are_information() -> None:
    split = at_random(1200)
    held, kept = np.flatnonzero(split), np.flatnonzero(~split)
    across = jittered(copied(table(), held[:60], kept[:60]), held[:60])
    inside = jittered(copied(table(), kept[:200], kept[200:400]), kept[:200])

    assert findings(across, split)["near_duplicates_across_split"].severity == "critical"
    found = findings(inside, split)
    assert found["near_duplicate_rows"].severity == "info"
    assert all(f.severity == "info" for f in found.values())


def entities(n: int, *, alike: bool, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """A table of entities of eight rows with an id and a fingerprint, and their numbers."""
    frame = table(n, seed)
    rng = np.random.default_rng(seed + 1)
    mixed = rng.permutation(n)
    if alike:
        mixed = mixed[np.argsort(frame["y"].to_numpy()[mixed], kind="stable")]
    entity = np.empty(n, dtype=np.int64)
    entity[mixed] = np.arange(n) // 8
    ids = rng.permutation(9 * n)[: n // 8 + 1][entity]
    prints = np.round(rng.normal(50, 20, n // 8 + 1), 4)[entity]
    return frame.with_columns(who=pl.Series(ids), mark=pl.Series(prints)), entity


def test_a_declared_group_on_both_sides_is_critical_and_a_disjoint_one_silent() -> None:
    frame, entity = entities(1200, alike=True)
    disjoint = entity % 5 == 0

    assert findings(frame, at_random(1200), group="who")["group_overlap"].severity == "critical"
    assert "group_overlap" not in findings(frame, disjoint, group="who")


def test_an_undeclared_group_is_found_with_its_damage_and_the_mend() -> None:
    frame, _ = entities(1200, alike=True)

    found = findings(frame, at_random(1200))["undeclared_group"]

    assert found.severity == "warning"
    assert found.columns == ("who",)
    assert found.fix is not None
    assert found.fix.group == "who"
    assert found.evidence["fixes"] == ["mark"]
    assert found.cost is not None
    assert found.cost.as_is > found.cost.mended + 0.1
    assert found.evidence["lost_low"] > 0


def test_an_undeclared_group_that_the_split_keeps_apart_is_information() -> None:
    frame, entity = entities(1200, alike=True)

    assert findings(frame, entity % 5 == 0)["undeclared_group"].severity == "info"


def test_ids_that_repeat_without_telling_the_target_are_no_entities() -> None:
    frame, _ = entities(1200, alike=False)

    assert "undeclared_group" not in findings(frame, at_random(1200))


def test_an_attribute_that_keeps_its_effect_in_order_is_no_entity() -> None:
    rng = np.random.default_rng(4)
    age = rng.integers(20, 80, 1500)
    frame = table(1500).with_columns(age=pl.Series(age), decade=pl.Series(age // 10 * 10))
    frame = frame.with_columns(y=pl.Series((age + rng.normal(0, 5, 1500) > 50).astype(int)))

    assert "undeclared_group" not in findings(frame)


def in_time(n: int = 1500, *, drifting: bool) -> pl.DataFrame:
    """Rows in order of a slowly walking level that the target depends on, or of nothing."""
    rng = np.random.default_rng(5)
    walk = np.cumsum(rng.normal(size=n)) / 8
    frame = table(n)
    noise = rng.normal(size=n)
    day = pl.date_range(pl.date(2015, 1, 1), pl.date(2024, 12, 31), "1d", eager=True)[:n]
    y = ((walk if drifting else 0) + frame["x0"].to_numpy() + noise > 0).astype(int)
    return frame.with_columns(day=day, y=pl.Series(y))


def test_an_undeclared_date_along_which_the_target_walks_is_found_with_the_mend() -> None:
    found = findings(in_time(drifting=True))["undeclared_time"]

    assert found.severity == "warning"
    assert found.fix is not None
    assert found.fix.time == "day"
    assert found.cost is not None


def test_a_date_that_orders_nothing_is_information() -> None:
    frame = in_time(drifting=False)
    frame = frame.with_columns(frame["day"].shuffle(seed=1))

    assert findings(frame)["undeclared_time"].severity == "info"


def test_columns_that_walk_along_the_file_give_away_its_time() -> None:
    frame = in_time(drifting=True).drop("day")
    n = frame.height
    regime = np.repeat(np.random.default_rng(6).normal(size=12), n // 12)
    rate = pl.Series(regime + np.linspace(0, 3, n))
    frame = frame.with_columns(rate=rate, price=pl.Series(np.repeat(np.arange(30) * 0.1, n // 30)))

    found = findings(frame)["undeclared_time"]

    assert found.severity == "warning"
    assert {"rate", "price"} <= set(found.evidence["walking"])
    assert found.columns == ()


def test_evaluation_rows_before_the_last_training_row_are_critical_and_a_clean_cut_is_silent() -> None:
    frame = in_time(drifting=False)
    clean = np.arange(1500) >= 1200
    exchanged = clean.copy()
    exchanged[1200:1260], exchanged[100:160] = False, True

    found = findings(frame, exchanged, time="day")["time_overlap"]

    assert (found.severity, found.columns) == ("critical", ("day",))
    assert found.evidence["share_misplaced"] == pytest.approx(0.2)
    assert "time_overlap" not in findings(frame, clean, time="day")


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_file_sorted_by_the_target_is_told_and_a_shuffled_one_is_not(task: str) -> None:
    frame = table(task=task)
    y = frame["y"].to_numpy().astype(float)
    rank = y.argsort(kind="stable").argsort() / len(y)
    place = 0.7 * rank + 0.3 * np.random.default_rng(8).random(len(y))

    found = findings(frame[np.argsort(place)], at_random(1200), task=task)["row_order"]

    assert found.severity == "warning"
    assert "row_order" not in findings(frame, at_random(1200), task=task)


def test_an_order_that_time_explains_is_information() -> None:
    frame = in_time(drifting=True)

    assert findings(frame, time="day")["row_order"].severity == "info"


def test_drift_names_the_columns_and_the_rate_that_moved() -> None:
    frame = in_time(drifting=False)
    late = np.arange(1500) >= 1000
    frame = frame.with_columns(
        x2=pl.Series(frame["x2"].to_numpy() + 2 * late), y=pl.Series(np.where(late, 1, frame["y"].to_numpy()))
    )

    found = findings(frame, time="day")

    assert found["drift"].columns == ("x2",)
    assert found["target_drift"].severity == "warning"


def test_a_split_by_a_feature_is_no_random_one() -> None:
    frame = table(3000)
    chosen = (frame["x3"].to_numpy() > 0.8) | at_random(3000, 0.05)

    found = findings(frame, chosen)["train_evaluation_difference"]

    assert found.severity == "critical"
    assert found.columns == ()  # the split is at fault, not the column
    assert next(iter(found.evidence["carried_by"])) == "x3"


def test_an_evaluation_table_of_other_types_is_read_by_the_schema() -> None:
    frame = table(600)
    outside = frame[:150].drop("y").with_columns(pl.col("x0").cast(pl.String))

    found = findings(frame, outside=outside)

    assert found["duplicates_across_split"].evidence["share"] > 0.99
    assert found["duplicates_across_split"].rows == ()


def test_a_hundred_thousand_rows_are_checked_in_seconds() -> None:
    rng = np.random.default_rng(0)
    n = 100_000
    frame = pl.DataFrame({f"c{k}": rng.normal(size=n) if k < 14 else rng.integers(0, 20, n) for k in range(20)})
    frame = frame.with_columns(y=pl.Series(rng.integers(0, 2, n)))
    started = time.process_time()

    findings(frame, at_random(n))

    assert time.process_time() - started < 30  # about 3 s; only another order of magnitude is a fault
