"""Leaks that sit in one column are found, honest columns are left alone, and the words say what was seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from modelwright.audit import copies, key_order, missingness, pure_groups, sentinels, target_proxy
from modelwright.audit.association import chance, draw_folds, indicators, value_effect
from modelwright.audit.context import Context
from modelwright.audit.finding import Finding
from modelwright.tables.roles import encode_target
from modelwright.tables.types import infer_schema

N = 2000
RNG = np.random.default_rng(11)


def honest(task: str, n: int = N, seed: int = 0) -> pl.DataFrame:
    """Six columns that go with each other and, together, with the target."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    z = np.stack([size + rng.normal(size=n) for _ in range(4)], axis=1)
    latent = size + 0.3 * z[:, 0] + rng.normal(size=n)
    y = {
        "regression": latent * 100,
        "binary": (latent > 0.8).astype(int),
        "multiclass": np.digitize(latent, [-1.0, 0.5, 1.5]),
    }[task]
    return pl.DataFrame({f"z{i}": z[:, i] for i in range(4)}).with_columns(
        kind=pl.Series(np.where(size + rng.normal(size=n) > 0, "a", "b")), other=pl.Series(rng.normal(size=n)), y=pl.Series(y)
    )


def context(frame: pl.DataFrame, task: Any, **roles: Any) -> Context:
    schema = infer_schema(frame, target="y", task=task, **roles)
    y, classes = encode_target(frame["y"], task)
    return Context(frame, schema, y, task, np.arange(frame.height), tuple(classes))


def by_column(findings: list[Finding]) -> dict[str, str]:
    return {column: finding.severity for finding in findings for column in finding.columns}


def everything(frame: pl.DataFrame, task: str, **roles: Any) -> dict[str, str]:
    """The column checks' warnings and criticals, by column."""
    looked_at = context(frame, task, **roles)
    found = [f for module in (target_proxy, copies, pure_groups, missingness, key_order) for f in module.check(looked_at)]
    return by_column([f for f in found if f.severity != "info"])


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_columns_that_go_with_each_other_and_with_the_target_are_honest(task: str) -> None:
    assert everything(honest(task), task) == {}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_copy_on_most_rows_is_found_by_its_lack_of_ties_although_honest_columns_are_strong_too(task: str) -> None:
    frame = honest(task)
    rng = np.random.default_rng(5)
    y = frame["y"].to_numpy()
    mixed = np.where(rng.random(N) < 0.9, y, rng.permutation(y))
    words = (
        pl.Series([f"w{int(v * 7919) % 9973}" for v in mixed])
        if task != "regression"
        else pl.Series(mixed + rng.normal(size=N))
    )

    assert set(everything(frame.with_columns(copy=words), task)) == {"copy"}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_same_copy_of_a_shuffled_target_is_left_alone(task: str) -> None:
    frame = honest(task)
    shuffled = np.random.default_rng(5).permutation(frame["y"].to_numpy())

    assert everything(frame.with_columns(copy=pl.Series(shuffled * 3.5)), task) == {}


def test_a_strong_column_is_not_convicted_where_the_others_together_know_as_much() -> None:
    rng = np.random.default_rng(2)
    size = np.exp(rng.normal(size=N))
    sides = {f"side{i}": size * (1 + 0.02 * rng.normal(size=N)) for i in range(4)}
    price = size**2 * np.exp(0.2 * rng.normal(size=N))
    frame = pl.DataFrame({**sides, "cut": rng.integers(0, 5, N), "y": price})

    assert everything(frame, "regression") == {}


def test_a_strong_column_with_ties_that_nothing_else_explains_is_a_warning_with_the_effect_of_the_rest() -> None:
    rng = np.random.default_rng(3)
    frame = honest("regression")
    delay = rng.normal(size=N) * 30
    frame = frame.with_columns(y=pl.Series(delay + rng.normal(size=N) * 10), before=pl.Series(delay)).with_columns(
        other=pl.Series(delay**2 / 900 + rng.normal(size=N) * 0.1 * np.abs(delay))
    )

    [found] = [f for f in target_proxy.check(context(frame, "regression")) if f.severity != "info"]

    assert found.columns == ("before",)
    assert found.fix is not None
    assert found.fix.exclude == ("before",)


def test_folds_keep_groups_whole_and_follow_time() -> None:
    groups = np.repeat(np.arange(50), 4)
    by_group = draw_folds(200, groups)
    by_time = draw_folds(200, time=np.arange(200.0))

    assert all(len(set(by_group[groups == g])) == 1 for g in range(50))
    assert np.array_equal(by_time, np.repeat(np.arange(5), 40))


def test_permutations_allow_many_codes_more_chance_than_the_formula() -> None:
    rng = np.random.default_rng(0)
    y, codes = rng.integers(0, 2, 500), rng.integers(0, 100, 500)
    targets, folds = indicators(y, classification=True), draw_folds(500)

    mean, sd = chance([codes], targets, folds, classification=True)

    assert value_effect(codes, targets, folds, classification=True) < mean + 4 * sd
    assert mean > 0.02


def test_a_line_on_a_fifth_of_the_rows_is_told_in_words() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=1000) * 50
    x = np.where(rng.random(1000) < 0.2, 1.7 * y + 3.2, rng.normal(size=1000) * 90)

    relation = copies.line(x, y)

    assert relation is not None
    assert relation.words == "x = 1.7 y + 3.2"
    assert 0.15 < relation.share < 0.25


def test_rounded_copies_lie_on_the_line_and_noise_does_not() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=1000) * 50

    assert copies.line(np.round(2 * y, 1), y) is not None
    assert copies.line(2 * y + rng.normal(size=1000), y) is None


def test_integers_that_are_close_are_on_no_line() -> None:
    rng = np.random.default_rng(1)
    departure = rng.integers(-20, 120, size=4000)

    assert copies.line(departure + rng.integers(-6, 7, size=4000).astype(float), departure.astype(float)) is None


def test_a_code_for_each_value_of_the_target_is_found_on_a_share_of_the_rows() -> None:
    rng = np.random.default_rng(1)
    frame = honest("regression").with_columns(y=pl.Series(rng.integers(0, 40, N) * 2.5))
    code = rng.permutation(40)[(frame["y"] / 2.5).to_numpy().astype(int)]
    half = np.where(rng.random(N) < 0.5, code, rng.integers(0, 40, N))

    found = copies.check(context(frame.with_columns(code=pl.Series([f"c{v}" for v in half])), "regression"))

    assert [(f.severity, f.columns) for f in found] == [("critical", ("code",))]
    assert "stands for one value" in found[0].message


def test_a_reason_code_after_the_outcome_is_a_pure_group() -> None:
    frame = honest("binary")
    rng = np.random.default_rng(4)
    reason = np.where((frame["y"].to_numpy() == 1) & (rng.random(N) < 0.97), rng.choice(["r1", "r2"], N), "none")

    found = pure_groups.check(context(frame.with_columns(reason=pl.Series(reason)), "binary"))

    assert [(f.severity, f.columns) for f in found] == [("critical", ("reason",))]
    assert "all of one class (1)" in found[0].message


def test_a_level_of_one_class_only_is_a_remark_if_it_goes_with_other_columns() -> None:
    frame = honest("binary").with_columns(pl.when(pl.col("y") == 0).then(pl.col("z1")).otherwise(pl.col("z1") + 1).alias("z1"))
    low = (frame["z1"] < -1.5) & (frame["y"] == 0)
    young = frame.with_columns(young=low.cast(pl.Int64) * 3 + (frame["z1"] > 0).cast(pl.Int64))

    found = pure_groups.check(context(young, "binary"))

    assert {f.severity for f in found} == {"info"}


def test_gaps_exactly_of_one_class_of_several_are_critical_and_asked_about() -> None:
    frame = honest("multiclass")
    filled = pl.when(pl.col("y") == 2).then(pl.col("other").abs().round(0).cast(pl.String))

    [found] = missingness.check(context(frame.with_columns(reason=filled), "multiclass"))

    assert found.severity == "critical"
    assert "is filled in all rows of class 2 and in no other" in found.message
    assert "Is it known when you predict" in found.message


def test_a_key_in_the_order_of_the_target_is_found_and_an_ordinary_key_is_not() -> None:
    frame = honest("binary")
    rng = np.random.default_rng(6)
    place = np.argsort(np.argsort(0.5 * frame["y"].to_numpy() + rng.random(N)))
    keys = frame.with_columns(told=pl.Series([f"K{v}" for v in place]), plain=pl.Series([f"Q{v}" for v in rng.permutation(N)]))

    [found] = key_order.check(context(keys, "binary"))

    assert found.columns == ("told",)
    assert found.severity == "warning"
    assert "left out as an identifier" in found.message


def test_zero_apart_from_all_others_is_only_a_remark() -> None:
    frame = honest("binary")
    years = np.where(RNG.random(N) < 0.9, 0.0, RNG.integers(1940, 2015, N))

    [found] = sentinels.check(context(frame.with_columns(renovated=pl.Series(years)), "binary"))

    assert (found.severity, found.columns) == ("info", ("renovated",))


def test_findings_name_the_column_to_exclude() -> None:
    frame = honest("binary").with_columns(copy=pl.col("y") * 2)

    for finding in target_proxy.check(context(frame, "binary")) + pure_groups.check(context(frame, "binary")):
        assert finding.fix is not None
        assert finding.fix.exclude == ("copy",)
