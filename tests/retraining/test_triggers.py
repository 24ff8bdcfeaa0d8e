"""When a model is trained again, and the sentence for every time when it is not."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.monitoring.checked import Alarm, Checked, ColumnCheck, Estimated, Realised
from modelwright.retraining.policy import Policy
from modelwright.retraining.rules import GateRules, Trigger
from modelwright.retraining.triggers import Held, Observed, due
from modelwright.spec_sections import DAY_S

NOW = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
POLICY = Policy("churn")


def window(ago: float, *kinds: str, version: str = "3", days: float = 1.0, **changes: Any) -> Checked:
    """A window that ended so many days ago and could judge everything, with alarms of these kinds."""
    alarms = tuple(Alarm(kind, "", f"{kind} has changed.", 0.2) for kind in kinds)  # type: ignore[arg-type]
    start, end = ((NOW - (ago + more) * DAY).isoformat() for more in (days, 0.0))
    checks = (ColumnCheck("x", "numbers", "ok", 1000, 0.0, 0.0, 0.01, 0.5),)
    whole = Checked(
        "churn", version, start, end, 1000, 500, "alarm" if alarms else "ok", alarms, columns=checks, answers=checks,
        realised=Realised("roc_auc", True, 0.84, 0.82, 0.86, 0.84, 500),
        estimated=Estimated("roc_auc", True, 0.84, 0.82, 0.86, 0.84, "CBPE", "The relation has not changed."),
    )  # fmt: skip
    return msgspec.structs.replace(whole, **changes)


def without_labels(ago: float, *kinds: str, **changes: Any) -> Checked:
    return window(ago, *kinds, realised=None, n_labels=0, **changes)


def seen(**changes: Any) -> Observed:
    """A champion of ten days, with enough labels, and nothing else."""
    plain = Observed(NOW, trained_at=NOW - 10 * DAY, version="3", new_labels=1000, new_rows=1000)
    return msgspec.structs.replace(plain, **changes)


def caused(policy: Policy, observed: Observed) -> str:
    answer = due(policy, observed)
    assert isinstance(answer, Trigger), answer
    return answer.cause


def held(policy: Policy, observed: Observed) -> str:
    answer = due(policy, observed)
    assert isinstance(answer, Held), answer
    return answer.reason


# -- what asks ---------------------------------------------------------------------------------------------


def test_without_a_word_three_alarms_and_age_ask() -> None:
    assert caused(POLICY, seen(windows=(window(1, "performance"),))) == "performance"
    assert caused(POLICY, seen(windows=(without_labels(1, "estimated performance"),))) == "estimated performance"
    assert caused(POLICY, seen(windows=(without_labels(1, "prediction drift"),))) == "drift"
    assert caused(POLICY, seen(trained_at=NOW - 90 * DAY)) == "age"
    for kind in ("drift", "quality", "service", "volume"):
        assert "alarms that the policy does not act on" in held(POLICY, seen(windows=(window(1, kind),)))
    assert caused(Policy("churn", on=("drift",)), seen(windows=(without_labels(1, "drift"),))) == "drift"
    assert "does not act on" in held(Policy("churn", on=()), seen(windows=(window(1, "performance"),)))


def test_age_alone_waits_for_more_labels_but_not_for_ever() -> None:
    old = {"trained_at": NOW - 100 * DAY, "new_labels": 999}
    assert "But only 999 labels are new, and below 1,000" in held(POLICY, seen(**old))
    assert caused(POLICY, seen(**old | {"new_labels": 1_000})) == "age"
    assert caused(POLICY, seen(**old | {"trained_at": NOW - 450 * DAY, "new_labels": 200})) == "age"
    assert "below 200" in held(POLICY, seen(**old | {"trained_at": NOW - 450 * DAY, "new_labels": 199}))
    assert caused(POLICY, seen(windows=(without_labels(1, "prediction drift"),), new_labels=200)) == "drift"


def test_a_trigger_says_why_with_figures_and_evidence() -> None:
    alarm = Alarm("performance", "", "ROC AUC fell from 0.84 to 0.71 (0.68 to 0.74).", 0.13, 0.001)
    trigger = due(POLICY, seen(windows=(window(1, "performance", alarms=(alarm,)),)))
    assert isinstance(trigger, Trigger)
    assert trigger.reason == alarm.message
    assert trigger.at == "2026-06-30T12:00:00+00:00"
    assert trigger.evidence["window"] == ["2026-06-28T12:00:00+00:00", "2026-06-29T12:00:00+00:00"]
    assert trigger.evidence["alarms"][0]["p"] == 0.001
    assert msgspec.json.decode(msgspec.json.encode(trigger), type=Trigger) == trigger


def test_rows_labels_and_data_ask_where_the_policy_says_so() -> None:
    assert caused(Policy("churn", new_rows=1000), seen()) == "rows"
    assert caused(Policy("churn", new_labels=1000), seen()) == "labels"
    held(Policy("churn", new_rows=1001, new_labels=1001), seen())
    assert caused(Policy("churn", new_data=True), seen(data="b", known_data=frozenset("a"))) == "data"
    held(Policy("churn", new_data=True), seen(data="a", known_data=frozenset("a")))
    held(Policy("churn", new_data=True), seen(data=None, known_data=frozenset("a")))
    held(POLICY, seen(data="b", known_data=frozenset("a")))


def test_a_slot_asks_once_and_stands_for_those_that_were_missed() -> None:
    policy = Policy("churn", schedule="0 3 * * *", time_zone="Europe/Berlin")
    observed = seen(fired=(NOW - 3 * DAY,))
    trigger = due(policy, observed)
    assert isinstance(trigger, Trigger)
    assert (trigger.cause, trigger.at, trigger.evidence["n_missed"]) == ("schedule", "2026-06-30T01:00:00+00:00", 2)
    assert "2 earlier slots were missed" in trigger.reason
    held(policy, seen(fired=(NOW - 3 * DAY, dt.datetime.fromisoformat(trigger.at))))


def test_the_order_is_fixed() -> None:
    policy = Policy("churn", schedule="0 3 * * *", new_rows=10, new_labels=10)
    everything = seen(fired=(NOW - DAY,), windows=(window(1, "performance", "prediction drift"),))
    assert caused(policy, everything) == "schedule"
    assert caused(policy, msgspec.structs.replace(everything, fired=(NOW,))) == "performance"
    assert caused(policy, seen(fired=(NOW,))) == "labels"


# -- what holds --------------------------------------------------------------------------------------------


def test_one_at_a_time() -> None:
    assert "There is one at a time" in held(POLICY, seen(in_flight="run 7 since noon", windows=(window(1, "performance"),)))


def test_without_a_champion_nothing_is_replaced() -> None:
    assert "no champion" in held(POLICY, seen(trained_at=None, windows=(window(1, "performance"),)))


def test_there_is_a_rest_after_each_retraining_and_a_cap_within_a_week() -> None:
    alarmed = {"windows": (window(0, "performance", days=0.1),)}
    answer = due(POLICY, seen(**alarmed, retrainings=(NOW - 0.9 * DAY,)))
    assert isinstance(answer, Held)
    assert (answer.cause, answer.until) == ("performance", "2026-06-30T14:24:00+00:00")
    assert caused(POLICY, seen(**alarmed, retrainings=(NOW - DAY,))) == "performance"

    answer = due(POLICY, seen(**alarmed, retrainings=(NOW - 6 * DAY, NOW - 4 * DAY, NOW - 2 * DAY)))
    assert isinstance(answer, Held)
    assert "3 retrainings within a week" in answer.reason
    assert answer.until == "2026-07-01T12:00:00+00:00"
    assert caused(POLICY, seen(**alarmed, retrainings=(NOW - 7 * DAY, NOW - 4 * DAY, NOW - 2 * DAY))) == "performance"


def test_a_slot_that_comes_in_the_rest_waits_for_its_end() -> None:
    policy = Policy("churn", schedule="0 3 * * *")
    assert "rest until" in held(policy, seen(fired=(NOW - DAY,), retrainings=(NOW - DAY / 2,)))
    assert caused(policy, seen(fired=(NOW - DAY,), retrainings=(NOW - DAY,))) == "schedule"


def test_a_clock_that_was_ahead_does_not_rest_for_years() -> None:
    observed = seen(windows=(window(0, "performance"),), retrainings=(NOW + 400 * DAY,))
    assert caused(POLICY, observed) == "performance"
    assert "rest until" in held(POLICY, seen(windows=(window(0, "performance"),), retrainings=(NOW + DAY / 24,)))


def test_after_failures_in_a_row_a_person_is_asked() -> None:
    policy = Policy("churn", gate=GateRules(max_rejections=2))
    assert caused(policy, seen(windows=(window(1, "performance"),), rejections=1)) == "performance"
    assert "a person should look" in held(policy, seen(windows=(window(1, "performance"),), rejections=2))


def test_an_undecided_gate_is_asked_again_when_its_labels_have_come_or_a_fall_is_confirmed() -> None:
    drifted = {"windows": (without_labels(1, "prediction drift"),), "labels_needed": 1200}
    assert "asked for 1,200 further labels; 1,000 have come" in held(POLICY, seen(**drifted))
    assert caused(POLICY, seen(**drifted, new_labels=1200)) == "drift"
    fallen = {"windows": (window(1, "performance"),), "labels_needed": 1200}
    assert caused(POLICY, seen(**fallen)) == "performance"
    assert "asked for 1,200 further labels; 150 have come" in held(POLICY, seen(**fallen, new_labels=150))


def test_where_little_can_be_learned_only_labels_that_confirm_ask() -> None:
    few = {"new_labels": 199}
    for kind in ("estimated performance", "prediction drift"):
        assert "only 199 labels are new" in held(POLICY, seen(windows=(without_labels(1, kind),), **few))
    assert "only 199 labels are new" in held(POLICY, seen(trained_at=NOW - 100 * DAY, **few))
    assert caused(POLICY, seen(windows=(window(1, "performance"),), **few)) == "performance"


def test_labels_overrule_what_is_estimated() -> None:
    estimated = without_labels(3, "estimated performance")
    assert caused(POLICY, seen(windows=(window(4), estimated))) == "estimated performance"
    later = window(2, estimated=None)
    assert "labels say otherwise: roc_auc is 0.84 (0.82 to 0.86)" in held(POLICY, seen(windows=(estimated, later)))
    for kind in ("estimated performance", "prediction drift"):
        assert "labels say otherwise" in held(POLICY, seen(windows=(window(3, kind),)))
    # Who asks for the drift of inputs is not talked out of it.
    assert caused(Policy("churn", on=("drift",)), seen(windows=(window(3, "drift"),))) == "drift"


def test_a_broken_column_is_mended_not_learned() -> None:
    broken = Alarm("quality", "x", "All cells are empty.", 1.0, fault="empty")
    drifted = without_labels(1, "prediction drift")

    def beside(fault: str, effect: float) -> Observed:
        alarm = Alarm("quality", "x", "All cells are empty.", effect, fault=fault)
        return seen(windows=(msgspec.structs.replace(drifted, alarms=(alarm, *drifted.alarms)),))

    for fault, effect in (("absent", 1.0), ("empty", 0.7), ("frozen", 1.0), ("missing", 0.6), ("unreadable", 0.6)):
        assert "column x is broken: All cells are empty" in held(POLICY, beside(fault, effect))
    # New labels and values beyond the range are the world's; a few more empty cells spoil nothing.
    for fault, effect in (("unseen", 1.0), ("range", 1.0), ("missing", 0.1), ("unreadable", 0.1)):
        assert caused(POLICY, beside(fault, effect)) == "drift"
    # Labels that confirm the loss are the world's own word.
    confirmed = window(1, "performance")
    both = msgspec.structs.replace(confirmed, alarms=(broken, *confirmed.alarms))
    assert caused(POLICY, seen(windows=(both,))) == "performance"


def test_not_enough_data_is_no_reason() -> None:
    little = window(1, "performance", state="not enough data")
    assert "enough rows and labels to be judged" in held(POLICY, seen(windows=(little,)))
    unjudged = Realised("roc_auc", True, 0.5, 0.0, 1.0, 0.84, 3, "not enough data")
    assert "no alarm" in held(POLICY, seen(windows=(window(1, realised=unjudged, estimated=None),)))
    assert "judged" in held(POLICY, seen(windows=(window(1, "performance", complete=False),)))
    assert "judged" in held(POLICY, seen())


def test_the_latest_window_that_can_judge_speaks() -> None:
    assert "no alarm" in held(POLICY, seen(windows=(window(2, "performance"), window(1))))
    # A later window whose labels have not come yet says nothing of the realised score.
    assert caused(POLICY, seen(windows=(window(2, "performance"), without_labels(1)))) == "performance"


# -- nothing asks twice with the same evidence -------------------------------------------------------------


def test_windows_from_before_the_swap_are_dead() -> None:
    for kind in ("performance", "prediction drift", "estimated performance"):
        made = window if kind == "performance" else without_labels
        old = (made(5, kind), made(4, kind))
        assert isinstance(due(POLICY, seen(windows=old)), Trigger)
        assert isinstance(due(POLICY, seen(windows=old, swapped_at=NOW - 3 * DAY)), Held)
    straddling = window(2, "performance", days=3)
    assert isinstance(due(POLICY, seen(windows=(straddling,), swapped_at=NOW - 3 * DAY)), Held)
    assert caused(POLICY, seen(windows=(window(2, "performance"),), swapped_at=NOW - 3 * DAY)) == "performance"


def test_windows_of_another_version_are_dead() -> None:
    assert isinstance(due(POLICY, seen(windows=(window(1, "performance", version="2"),))), Held)


def test_windows_that_led_to_a_rejected_challenger_do_not_lead_to_the_next() -> None:
    windows = (window(4, "performance"),)
    assert isinstance(due(POLICY, seen(windows=windows, retrainings=(NOW - 3 * DAY,), rejections=1)), Held)
    windows += (window(2, "performance"),)
    assert caused(POLICY, seen(windows=windows, retrainings=(NOW - 3 * DAY,), rejections=1)) == "performance"


@settings(max_examples=200, deadline=None)
@given(
    swap=st.floats(0, 20),
    windows=st.lists(
        st.tuples(st.floats(0, 30), st.floats(0.01, 5), st.sampled_from(["performance", "drift", "prediction drift"]))
    ),
    retrainings=st.lists(st.floats(1.01, 30), max_size=4),
)
def test_no_trigger_rests_on_a_window_from_before_the_last_swap_or_retraining(
    swap: float, windows: list[tuple[float, float, str]], retrainings: list[float]
) -> None:
    checked = tuple(window(ago, kind, days=days) for ago, days, kind in sorted(windows, reverse=True))
    swapped, began = NOW - swap * DAY, [NOW - ago * DAY for ago in retrainings]
    policy = Policy("churn", on=("performance", "prediction drift", "drift"), max_age_s=None, max_per_week=99)
    answer = due(policy, seen(trained_at=swapped, windows=checked, retrainings=tuple(began)))
    if isinstance(answer, Trigger):
        start, end = (dt.datetime.fromisoformat(text) for text in answer.evidence["window"])
        assert start >= swapped
        assert all(end > moment for moment in began)
    else:
        assert answer.reason.endswith((".", "!"))


@settings(max_examples=60, deadline=None)
@given(
    alarms=st.lists(st.sampled_from(["performance", "prediction drift", ""]), min_size=20, max_size=60), days=st.floats(0.2, 3)
)
def test_a_loop_of_alarms_retrains_no_more_than_rest_and_cap_allow(alarms: list[str], days: float) -> None:
    """Whatever comes: each retraining swaps at once, and time goes on window by window."""
    began: list[dt.datetime] = []
    windows: list[Checked] = []
    for number, kind in enumerate(alarms):
        now = NOW + number * days * DAY
        made = window(0, *([kind] if kind else []), days=days)
        windows.append(msgspec.structs.replace(made, start=(now - days * DAY).isoformat(), end=now.isoformat()))
        last = began[-1] if began else NOW - 10 * DAY
        answer = due(POLICY, Observed(now, last, windows=tuple(windows), new_labels=500, retrainings=tuple(began)))
        if isinstance(answer, Trigger):
            began.append(now)
    assert all(later - earlier >= DAY for earlier, later in pairwise(began))
    assert all(later - earlier >= 7 * DAY for earlier, later in zip(began, began[3:], strict=False))
    assert POLICY.cool_down_s == DAY_S
