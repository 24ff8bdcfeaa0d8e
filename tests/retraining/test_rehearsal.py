"""Rehearsals: history in windows, what each contestant lives through, and what is said of it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.errors import DataError, InvalidInputError
from modelwright.reports.rehearsal_page import render_rehearsal, verdict
from modelwright.retraining.policy import Span
from modelwright.retraining.rehearsal.history import history_of
from modelwright.retraining.rehearsal.values import Rehearsal, mean_with_interval

ELECTRICITY = Path(__file__).parents[2] / "examples" / "data" / "electricity_nsw.parquet"


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    # 1997: the columns of Victoria begin to move.
    return pl.read_parquet(ELECTRICITY)[16_000:20_000]


@pytest.fixture(scope="module")
def played(rows: pl.DataFrame) -> Rehearsal:
    policy = {"gate": {"require": "not worse", "margin": 0.2, "calibration_margin": 1.0}, "new_labels": 900, "cool_down": "1s"}
    return modelwright.rehearse(
        rows, target="class", time="observation", policies={"often": policy}, every=[3], first=0.3, windows=6, step="30m",
        exclude=["date"],
    )  # fmt: skip


def test_windows_follow_the_first_part_and_rows_of_one_moment_stay_together() -> None:
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=k // 4) for k in range(400)]
    frame = pl.DataFrame({"day": days, "y": [k % 2 for k in range(400)]})[::-1]
    history = history_of(frame, "y", "day", first=0.3, windows=7)
    assert history.moments == sorted(history.moments)
    assert history.dated
    for cut in history.cuts[:-1]:
        assert history.moments[cut - 1] < history.moments[cut]
    now = history.ends(2)
    assert history.mature(now, 0) == history.cuts[3]
    assert history.moments[history.mature(now, 3 * 86400) - 1] == now - dt.timedelta(days=3)
    assert history.learned(200, Span(rows=50)) == (150, 200)
    start, stop = history.learned(200, Span(seconds=5 * 86400))
    assert stop == 200
    assert (
        history.moments[199] - history.moments[start]
        < dt.timedelta(days=5)
        <= history.moments[199] - history.moments[start - 1]
    )


def test_a_table_that_cannot_be_rehearsed_is_refused_with_the_mend(rows: pl.DataFrame) -> None:
    with pytest.raises(InvalidInputError, match="no column 'price'"):
        history_of(rows, "price", None)
    with pytest.raises(DataError, match="windows of"):
        history_of(rows[:100], "class", None)
    with pytest.raises(DataError, match="no dates"):
        history_of(rows.with_columns(pl.lit("soon").alias("when")), "class", "when")
    with pytest.raises(InvalidInputError, match="1 is no first part"):
        history_of(rows, "class", None, first=1.0)


def test_intervals_of_a_series_that_remembers_still_cover() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        noise = rng.normal(size=40)
        series = np.zeros(40)
        for k in range(1, 40):
            series[k] = 0.5 * series[k - 1] + noise[k]
        gain = mean_with_interval(series)
        covered += gain.low <= 0 <= gain.high
    # Independent windows assumed, 77 % would cover.
    assert covered >= 0.87 * 300


def test_all_contestants_begin_alike_and_only_the_model_that_went_live_answers(played: Rehearsal) -> None:
    never, periodic, often = played.lives
    assert len(never.points) == len(periodic.points) == len(often.points) == 6
    assert {point.model for point in never.points} == {1}
    assert never.points[0] == periodic.points[0] == often.points[0]
    # After the third window; after the sixth nothing would be answered any more.
    assert [each.window for each in periodic.retrained] == [2]
    assert [point.model == 1 for point in periodic.points] == [True, True, True, False, False, False]
    assert periodic.scores[3] != never.scores[3]


def test_a_policy_trains_when_its_labels_are_there_and_never_learns_from_the_future(played: Rehearsal) -> None:
    often = played.lives[2]
    assert often.retrained
    first = often.retrained[0]
    assert first.cause in ("labels", "performance")
    # 900 labels are there after the second window; only what passed the gate has learned from those of the gate, too.
    n_seen = played.n_first + sum(point.n_rows for point in often.points[: first.window + 1])
    assert first.window <= 1
    assert first.rows[1] <= n_seen
    assert first.promoted == (first.rows[1] == n_seen)
    assert first.answer
    assert first.told
    assert first.reason
    live = [each for each in often.retrained if each.promoted]
    if live:
        assert often.points[live[0].window].model == 1
        assert often.points[live[0].window + 1].model != 1


def test_the_page_and_the_sentence_say_who_won(played: Rehearsal) -> None:
    page = render_rehearsal(played)
    assert verdict(played).split(" was best")[0] in ("often", "every 3 windows") or "No policy" in verdict(played)
    assert "<script" not in page
    for life in played.lives:
        assert life.name in page
    assert page.count("<svg") == 2
