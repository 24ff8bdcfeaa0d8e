"""A policy replayed on a history: it decides as in earnest, and says so in sentences."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest

from modelwright.monitoring.checked import Alarm, Checked
from modelwright.retraining.explained import gate_sentences, release_sentences, simulated_sentences, slots_told, when_sentences
from modelwright.retraining.policy import Policy
from modelwright.retraining.rules import GateRules, ReleaseRules
from modelwright.retraining.simulation import Arrived, arrivals_of, arrivals_of_windows, simulate
from modelwright.spec_sections import DAY_S

BEGAN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def window(day: int, kind: str = "", n_labels: int = 500) -> Checked:
    alarms = (Alarm(kind, "", "ROC AUC fell to 0.71.", 0.1),) if kind else ()  # type: ignore[arg-type]
    start, end = ((BEGAN + n * DAY).isoformat() for n in (day, day + 1))
    return Checked("churn", "1", start, end, 1000, n_labels, "alarm" if alarms else "ok", alarms)


def days_of(policy: Policy, windows: list[Checked], n_days: int, **more: Any) -> list[tuple[int, str]]:
    found = simulate(
        policy, began=BEGAN, ended=BEGAN + n_days * DAY, windows=windows, arrived=arrivals_of_windows(windows), **more
    )
    return [((dt.datetime.fromisoformat(each.at) - BEGAN).days, each.cause) for each in found.triggers]


def test_a_confirmed_alarm_asks_when_its_window_ends_and_not_again() -> None:
    windows = [window(day, "performance" if day == 9 else "") for day in range(30)]
    assert days_of(Policy("churn"), windows, 30) == [(10, "performance")]


def test_a_lasting_alarm_asks_as_often_as_rest_and_cap_allow() -> None:
    windows = [window(day, "performance") for day in range(20)]
    assert days_of(Policy("churn", cool_down_s=3 * DAY_S), windows, 20) == [
        (day, "performance") for day in (1, 4, 7, 10, 13, 16, 19)
    ]
    found = days_of(Policy("churn", max_per_week=2), windows, 20)
    assert [day for day, _ in found] == [1, 2, 8, 9, 15, 16]


def test_what_is_held_asks_again_at_the_end_of_the_rest() -> None:
    """Between two windows too: the rest ends at its own moment."""
    windows = [window(0, "performance"), window(1, "performance")]
    policy = Policy("churn", cool_down_s=1.5 * DAY_S)
    found = simulate(policy, began=BEGAN, ended=BEGAN + 9 * DAY, windows=windows)
    assert [trigger.at for trigger in found.triggers] == ["2026-01-02T00:00:00+00:00", "2026-01-03T12:00:00+00:00"]
    assert "there is a rest until 2026-01-03T12:00:00" in found.held["performance"]


def test_schedule_age_rows_and_labels_ask_by_themselves() -> None:
    assert days_of(Policy("churn", schedule="0 3 * * 1", max_age_s=None), [], 30) == [
        (day, "schedule") for day in (4, 11, 18, 25)
    ]
    rows = [Arrived(BEGAN + day * DAY, 100, 10) for day in range(1, 31)]

    def causes(policy: Policy) -> list[tuple[int, str]]:
        found = simulate(policy, began=BEGAN, ended=BEGAN + 30 * DAY, arrived=rows)
        return [((dt.datetime.fromisoformat(each.at) - BEGAN).days, each.cause) for each in found.triggers]

    assert causes(Policy("churn", new_rows=1000)) == [(10, "rows"), (20, "rows"), (30, "rows")]
    assert causes(Policy("churn", new_labels=150)) == [(15, "labels"), (30, "labels")]
    assert causes(Policy("churn", max_age_s=10 * DAY_S, min_new_labels=20)) == [(10, "age"), (20, "age"), (30, "age")]
    assert causes(Policy("churn", max_age_s=10 * DAY_S, min_new_labels=40)) == [(20, "age")]


def test_rows_of_a_table_arrive_in_order_and_their_labels_late() -> None:
    times = [BEGAN + hour * DAY / 24 for hour in range(240)]
    arrived = arrivals_of(times[::-1], [hour % 2 == 0 for hour in range(240)], label_delay_s=5 * DAY_S)
    assert sum(each.rows for each in arrived) == 240
    assert sum(each.labels for each in arrived) == 120
    totals = list(itertools.accumulate(each.rows for each in arrived))
    for each, total in zip(arrived, totals, strict=True):
        assert total == sum(time <= each.at for time in times)
    assert next(each.at for each in arrived if each.labels) >= BEGAN + 5 * DAY
    assert arrivals_of([], []) == []


def test_the_sentences_say_what_the_default_does() -> None:
    told = when_sentences(Policy("churn"))
    assert told[0] == "churn is trained again when labels show that its score has fallen beyond chance."
    assert told[1].endswith("without labels, once 200 labels are new.")
    age = "It is trained again when the champion is 90 days old, once 1,000 labels are new; when it is 450 days old, once 200"
    assert f"{age} labels are new." in told
    assert "It learns from all rows." in told
    assert "Between two retrainings there is 1 day at least, and within a week there are 3 at most" in told[-1]
    assert gate_sentences(GateRules())[0] == (
        "A challenger must be better than the champion beyond chance; after an alarm of its score, not worse is enough, on rows"
        " that neither has trained on, 100 with labels at least."
    )
    assert release_sentences(ReleaseRules())[0] == "It takes the champion's place in one step."


def test_the_sentences_follow_the_policy() -> None:
    policy = Policy(
        "churn", schedule="0 3 * * 1", time_zone="Europe/Berlin", on=(), max_age_s=None, webhook=True, label_delay_s=14 * DAY_S,
        gate=GateRules(approval=True, max_latency=0.005), release=ReleaseRules(mode="canary", watch_s=0.0),
    )  # fmt: skip
    told = when_sentences(policy)
    assert told[0] == "churn is trained again at each slot of '0 3 * * 1' (Europe/Berlin)."
    assert told[1] == "It is trained again when a call from outside asks for it (POST /admin/retrain/churn)."
    assert any("Rows younger than 14 days do not count" in each for each in told)
    assert any("modelwright approve" in each for each in gate_sentences(policy.gate))
    assert any("5 ms" in each for each in gate_sentences(policy.gate))
    first, watch = release_sentences(policy.release)
    assert first.startswith("It first answers 10% of the entities, 500 rows, within 1 day.")
    assert watch == "It is not watched afterwards (watch is 0)."
    assert when_sentences(Policy("churn", on=(), max_age_s=None))[0] == (
        "churn is trained again when a person asks, and never otherwise."
    )


def test_the_next_slots_are_told_in_their_zone() -> None:
    policy = Policy("churn", schedule="0 3 * * 1", time_zone="Europe/Berlin")
    assert slots_told(policy, dt.datetime(2026, 10, 18, 12, tzinfo=dt.UTC)) == [
        "Mon 2026-10-19 03:00 CEST", "Mon 2026-10-26 03:00 CET", "Mon 2026-11-02 03:00 CET",
    ]  # fmt: skip
    assert slots_told(Policy("churn"), BEGAN) == []


def test_a_simulation_is_told_with_moments_and_reasons() -> None:
    windows = [window(day, "performance" if day >= 9 else "") for day in range(30)]
    found = simulate(Policy("churn", max_per_week=1), began=BEGAN, ended=BEGAN + 30 * DAY, windows=windows)
    told = simulated_sentences(found, "the log")
    assert told[0] == "On the log (2026-01-01 to 2026-01-31, 30 days, 30 checked windows) it would have trained 3 times."
    assert told[1] == "2026-01-11 00:00  by a fallen score: ROC AUC fell to 0.71."
    assert told[-1].startswith("It was held back as well: ROC AUC fell to 0.71. But there was 1 retraining within a week")
    few = simulated_sentences(found, "the log", most=1)
    assert few[0].endswith("it would have trained 3 times: 3 by a fallen score.")
    assert few[2] == "… and 2 more times."


@pytest.mark.parametrize("n", [0, 1, 2])
def test_numbers_are_words(n: int) -> None:
    found = simulate(
        Policy("churn"), began=BEGAN, ended=BEGAN + 30 * DAY, windows=[window(5 * i + 1, "performance") for i in range(n)]
    )
    assert simulated_sentences(found, "x")[0].endswith(
        {0: "would not have trained.", 1: "trained once.", 2: "trained twice."}[n]
    )
