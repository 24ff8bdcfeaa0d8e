"""Leaks that show only beside another column, and their honest look-alikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from modelwright.audit.checks import audit
from modelwright.audit.exact_lines import line_share
from modelwright.audit.exact_planes import plane_share
from modelwright.audit.finding import Finding, Fix
from modelwright.errors import DataError
from modelwright.features.target_encoding import TargetEncoder
from modelwright.tables.roles import encode_target
from modelwright.tables.types import infer_schema

N = 1500
START = 1_600_000_000_000_000
DAY = 86_400_000_000


def findings(frame: pl.DataFrame, task: Any = "binary", *, sealed: int = 0, **options: Any) -> dict[str, list[Finding]]:
    """Findings by check; the last ``sealed`` rows are for evaluation."""
    roles = {key: options.pop(key) for key in ("time", "group") if key in options}
    n = frame.height - sealed
    raw = frame[:n]
    schema = infer_schema(raw, target="y", task=task, **roles)
    y, classes = encode_target(raw["y"], task)
    if sealed:
        options |= {"evaluation": frame[n:].drop("y"), "evaluation_rows": np.arange(n, frame.height)}
    found: dict[str, list[Finding]] = {}
    for finding in audit(raw, schema, y, task, classes=classes, **options):
        found.setdefault(finding.check, []).append(finding)
    return found


def honest(task: str = "binary", seed: int = 0, n: int = N) -> pl.DataFrame:
    """Two honest features, and a target that they explain in part."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    score = x.sum(axis=1) + 1.5 * rng.normal(size=n)
    y = score if task == "regression" else (score > 0).astype(int)
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y})


def moments(n: int = N, step: int = DAY) -> pl.Series:
    return pl.Series(START + step * np.arange(n)).cast(pl.Datetime("us"))


# Pairs


@pytest.mark.parametrize("form", ["exclusive or", "difference", "remainder"])
def test_two_columns_that_give_the_class_together_are_named(form: str) -> None:
    frame = honest()
    rng = np.random.default_rng(1)
    y = frame["y"].to_numpy()
    if form == "difference":
        first = rng.normal(0, 30, N)
        second = first + y + rng.uniform(-0.3, 0.3, N)
    elif form == "remainder":
        first = rng.integers(0, 12, N)
        second = (y - first) % 2 + 2 * rng.integers(0, 6, N)
    else:
        first = rng.integers(0, 2, N)
        second = first ^ y

    found = findings(frame.with_columns(p=pl.Series(first), q=pl.Series(second)))["pair_tells_target"]

    assert [(f.severity, f.columns, f.fix) for f in found] == [("critical", ("p", "q"), Fix(exclude=("p", "q")))]


@pytest.mark.parametrize("form", ["sum", "ratio"])
def test_an_exact_relation_on_a_part_of_the_rows_is_found(form: str) -> None:
    frame = honest("regression").with_columns(pl.col("y") + 10)
    rng = np.random.default_rng(2)
    y = frame["y"].to_numpy()
    told = np.where(rng.random(N) < 0.4, y, rng.permutation(y))
    first = np.exp(rng.normal(size=N)) if form == "ratio" else rng.normal(0, 10, N)
    second = told * first if form == "ratio" else told - first

    [finding] = findings(frame.with_columns(p=pl.Series(first), q=pl.Series(second)), "regression")["pair_tells_target"]

    assert finding.columns == ("p", "q")
    assert finding.evidence["exact_share"] == pytest.approx(0.4, abs=0.05)
    assert "?" in finding.mend


def test_honest_causes_that_add_up_are_no_pair() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, 2))
    frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": (x.sum(axis=1) + 0.3 * rng.normal(size=N) > 0).astype(int)})

    assert "pair_tells_target" not in findings(frame)


# Statistics of groups


def grouped(task: str, form: str, *, share: float = 1.0, own: bool = True, n: int = 3000) -> pl.DataFrame:
    """Groups with an effect of their own, and a statistic of their outcomes (or of other outcomes, if not ``own``)."""
    rng = np.random.default_rng(4)
    g = rng.integers(0, n // 10, n)
    effect = rng.normal(size=n // 10)
    score = effect[g] + 1.5 * rng.normal(size=n)
    y = score if task == "regression" else (score > 0.5).astype(float)
    again = effect[g] + 1.5 * rng.normal(size=n)
    seen = y if own else again if task == "regression" else (again > 0.5).astype(float)
    total, count = np.bincount(g, seen), np.bincount(g)
    other = np.where(rng.random(len(count)) < share, np.arange(len(count)), rng.permutation(len(count)))
    if form == "leave one out":
        x = (total[g] - seen) / np.maximum(count[g] - 1, 1)
    else:
        statistic = {"mean": total / count, "sum": total, "smoothed": (total + 4 * seen.mean()) / (count + 4)}[form]
        x = 3.0 * statistic[other][g] + 1.0
    y = y if task == "regression" else y.astype(int)
    return pl.DataFrame({"a": rng.normal(size=n), "g": [f"g{v}" for v in g], "x": x, "y": y})


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("form", ["mean", "sum", "smoothed", "leave one out"])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_statistic_of_the_own_outcomes_by_group_is_critical(task: str, form: str, declared: bool) -> None:
    frame = grouped(task, form)

    found = findings(frame, task, sealed=600, **({"group": "g"} if declared else {}))["group_statistic"]

    assert [(f.severity, f.columns, f.evidence["group"]) for f in found] == [("critical", ("x",), "g")]


def test_a_statistic_that_only_most_groups_hold_is_found() -> None:
    assert "group_statistic" in findings(grouped("binary", "mean", share=0.7), group="g")


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_statistics_of_other_outcomes_of_the_same_groups_are_honest(task: str) -> None:
    for form in ("mean", "sum", "smoothed"):
        assert "group_statistic" not in findings(grouped(task, form, own=False), task, group="g")


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_our_own_encoding_out_of_fold_is_honest(task: Any) -> None:
    frame = grouped(task, "mean")
    codes = frame["g"].rank("dense").cast(pl.Int64).to_numpy()[:, np.newaxis]
    encoded = TargetEncoder().fit_transform(
        codes, [int(codes.max()) + 1], frame["y"].to_numpy(), task=task, n_classes=2, seed=0
    )

    assert "group_statistic" not in findings(frame.with_columns(x=pl.Series(encoded[:, 0])), task, group="g")


# Coming rows


def series(task: str, seed: int = 5, n: int = N, memory: float = 0.7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    v = np.zeros(n)
    noise = rng.normal(size=n)
    for i in range(1, n):
        v[i] = memory * v[i - 1] + noise[i]
    return v if task == "regression" else (v > 0.5).astype(int)


def windowed(y: np.ndarray, steps: range, how: Any) -> np.ndarray:
    n = len(y)
    out = np.full(n, np.nan)
    for i in range(n):
        if i + steps[0] >= 0 and i + steps[-1] < n:
            out[i] = how([y[i + s] for s in steps])
    return out


@pytest.mark.parametrize("steps", [range(0, 3), range(1, 5), range(-2, 3)])
@pytest.mark.parametrize("how", [np.mean, np.max, np.median])
def test_a_statistic_of_coming_rows_is_critical(how: Any, steps: range) -> None:
    y = series("regression")
    frame = honest().with_columns(y=pl.Series(y), x=pl.Series(windowed(y, steps, how)).fill_nan(None), when=moments())

    [finding] = findings(frame, "regression", time="when")["coming_rows"]

    assert (finding.severity, finding.columns) == ("critical", ("x",))


@pytest.mark.parametrize("how", [np.mean, np.max])
def test_a_statistic_of_past_rows_is_honest_even_in_a_series_with_memory(how: Any) -> None:
    for task in ("binary", "regression"):
        y = series(task)
        frame = honest().with_columns(
            y=pl.Series(y), x=pl.Series(windowed(y, range(-3, 0), how)).fill_nan(None), when=moments()
        )

        assert "coming_rows" not in findings(frame, task, time="when")


def test_a_slow_driver_honestly_knows_tomorrow() -> None:
    driver = series("regression", memory=0.98)
    rng = np.random.default_rng(6)
    frame = honest().with_columns(y=pl.Series(driver + 3 * rng.normal(size=N)), weather=pl.Series(driver), when=moments())

    found = findings(frame, "regression", time="when")

    assert "coming_rows" not in found
    assert found["leading_column"][0].columns == ("weather",)


def test_rows_follow_one_another_inside_their_group_only() -> None:
    y = series("binary")
    frame = honest().with_columns(y=pl.Series(y), g=pl.Series(np.arange(N) % 3), when=moments())
    ahead = frame.with_columns(x=pl.col("y").shift(-3) + pl.col("y").shift(-6) + pl.col("y"))

    [finding] = findings(ahead, time="when", group="g")["coming_rows"]

    assert finding.columns == ("x",)


def test_without_a_time_the_order_of_the_file_counts_for_exact_forms() -> None:
    y = series("regression", memory=0.0)
    frame = honest().with_columns(y=pl.Series(y), x=pl.Series(windowed(y, range(0, 3), np.mean)).fill_nan(None))

    [finding] = findings(frame, "regression")["coming_rows"]

    assert "order of the file" in finding.message


# Time travel


def timed(n: int = N) -> pl.DataFrame:
    return honest(n=n).with_columns(when=moments(n))


def test_a_moment_of_the_outcome_is_critical_and_a_moment_before_is_not() -> None:
    rng = np.random.default_rng(7)
    days = pl.Series(rng.integers(1, 50, N))
    frame = timed().with_columns(
        closed=pl.when(pl.col("y") == 1).then(pl.col("when") + pl.duration(days=days)),
        opened=pl.col("when") - pl.duration(days=days),
    )

    [finding] = findings(frame, time="when")["time_travel"]

    assert (finding.severity, finding.columns, finding.fix) == ("critical", ("closed",), Fix(exclude=("closed",)))
    assert "days" in finding.evidence["median_delay"]


def test_few_late_moments_count_if_they_tell_the_target() -> None:
    frame = timed(3000)
    rare = np.flatnonzero(frame["y"].to_numpy())[:12]
    y = np.zeros(3000, dtype=int)
    y[rare] = 1
    by_chance = np.arange(5) * 500 + 3
    for rows, expected in ((rare, True), (by_chance, False)):
        late = np.full(3000, -1)
        late[rows] = 2
        spoiled = frame.with_columns(y=pl.Series(y), t=pl.col("when") + pl.duration(days=pl.Series(late)))
        assert ("time_travel" in findings(spoiled, time="when")) == expected


@pytest.mark.parametrize("kind", ["text", "epoch", "packed", "aware"])
def test_moments_are_read_in_whatever_form(kind: str) -> None:
    later = timed().select(pl.col("when") + pl.duration(days=pl.Series(np.arange(N) % 30 + 1))).to_series()
    forms = {
        "text": later.dt.strftime("%Y-%m-%d %H:%M:%S"),
        "epoch": later.dt.epoch("s"),
        "packed": later.dt.strftime("%Y%m%d").cast(pl.Int64),
        "aware": later.dt.replace_time_zone("UTC"),
    }

    assert "time_travel" in findings(timed().with_columns(t=forms[kind]), time="when")


def test_the_same_day_in_another_zone_and_planned_dates_are_honest() -> None:
    frame = timed().with_columns(
        same_day=pl.col("when").dt.date(),
        elsewhere=pl.col("when") + pl.duration(hours=2),
        born=pl.col("when") - pl.duration(days=9000),
        due=pl.col("when") + pl.duration(days=30),
    )

    assert "time_travel" not in findings(frame, time="when", known=("due",))


def test_a_later_hour_of_the_same_day_is_not_later_than_a_date() -> None:
    frame = timed().with_columns(seen=pl.col("when") + pl.duration(minutes=pl.Series(np.arange(N) % 500)))

    assert "time_travel" not in findings(frame.with_columns(pl.col("when").dt.date()), time="when")


def test_numbers_on_the_clock_of_a_counter_are_moments() -> None:
    rng = np.random.default_rng(8)
    frame = honest().with_columns(step=pl.Series(np.arange(N)))
    ends = np.arange(N) + rng.integers(1, 40, N)

    assert findings(frame.with_columns(t=pl.Series(ends)), time="step")["time_travel"][0].columns == ("t",)
    assert "time_travel" not in findings(frame.with_columns(t=pl.Series(np.arange(N) + 1)), time="step")


def test_a_value_that_was_not_available_yet_is_critical() -> None:
    frame = timed().with_columns(
        lab=pl.col("a") * 2,
        reported=pl.when(pl.col("y") == 1).then(pl.col("when") + pl.duration(days=2)).otherwise(pl.col("when")),
    )

    found = findings(frame, time="when", available={"lab": "reported"}, known=("reported",))

    assert [f.columns for f in found["not_yet_available"]] == [("lab",)]


@pytest.mark.parametrize("options", [{"known": ("du",)}, {"available": {"lab": "when"}}, {"available": {"a": "reported_at"}}])
def test_options_that_name_no_column_are_refused(options: Any) -> None:
    with pytest.raises(DataError, match="There is no column"):
        findings(timed(), time="when", **options)


def test_known_dates_need_a_time() -> None:
    with pytest.raises(DataError, match="when a row happened"):
        findings(timed(), known=("when",))


# Exact relations


def test_a_line_on_a_fifth_of_the_points_is_found_and_noise_has_none() -> None:
    rng = np.random.default_rng(9)
    s = rng.normal(size=1000)
    x = np.where(rng.random(1000) < 0.2, 1.7 * s + 3.2, rng.normal(size=1000))

    assert line_share(x, s)[0] == pytest.approx(0.2, abs=0.03)
    assert line_share(rng.normal(size=1000), s)[0] < 0.01


def test_a_plane_needs_both_columns_and_many_values() -> None:
    rng = np.random.default_rng(10)
    x, z = rng.normal(size=(2, 1000))

    assert plane_share(2 * x - z + 1, x, z) == 1.0
    assert plane_share(2 * x, x, z) == 0.0
    lattice = rng.integers(0, 3, size=(3, 1000)).astype(float)
    assert plane_share(*lattice) == 0.0
