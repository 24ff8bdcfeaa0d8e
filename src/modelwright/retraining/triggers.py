"""Is it time to train again? A function of the policy and of what was observed, without clock or store.

What may ask is asked in a fixed order, and the first that does wins. Then the brakes: one retraining at a time, a rest after
each, a cap within a week, and after some failures in a row a person. Nothing can ask twice with the same evidence: a window
counts only if its champion still answers and it ended after the last retraining began. Every "no" has its sentence.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import msgspec

from modelwright.monitoring.checked import Alarm, Checked
from modelwright.retraining.policy import Alarming, Policy
from modelwright.retraining.rules import Cause, Trigger
from modelwright.retraining.schedule import due_slots
from modelwright.spec_sections import length_of

_WEEK = dt.timedelta(days=7)
#: Faults that leave nothing of a column, and those that may leave little: from this rise of their share on.
_GONE, _SPOILT, _MUCH = ("absent", "empty", "frozen"), ("missing", "unreadable"), 0.5
#: Age alone waits for so many times the labels that the other reasons need, until the champion is so many times too old.
AGE_LABELS = 5


class Observed(msgspec.Struct, frozen=True):
    """What is known when it is asked; moments have a time zone.

    Parameters
    ----------
    now : datetime
    trained_at : datetime or None
        When the champion was trained; None where there is none.
    swapped_at : datetime or None
        When the alias moved last, be it ahead or back; None is ``trained_at``.
    version : str
        Of the champion, as in the log of predictions; empty is any.
    windows : tuple of Checked
        Checked windows of the log, the oldest first.
    new_rows, new_labels : int
        Since the last retraining began, or else since the champion was trained; labels that are older than the label delay.
    labels_needed : int
        Further labels that the gate asked for when it could not decide last; 0 where it did.
    data : str or None
        Fingerprint of the table as it is now.
    known_data : frozenset of str
        Fingerprints that were trained on, whatever came of it.
    in_flight : str or None
        What runs now, in words.
    retrainings : tuple of datetime
        When retrainings began, by whatever cause and with whatever end; those of the last week at least.
    rejections : int
        Challengers in a row that did not stay: refused by the gate, or rolled back.
    fired : tuple of datetime
        Slots of the schedule that fired, and the moment at which it began.
    """

    now: dt.datetime
    trained_at: dt.datetime | None = None
    swapped_at: dt.datetime | None = None
    version: str = ""
    windows: tuple[Checked, ...] = ()
    new_rows: int = 0
    new_labels: int = 0
    labels_needed: int = 0
    data: str | None = None
    known_data: frozenset[str] = frozenset()
    in_flight: str | None = None
    retrainings: tuple[dt.datetime, ...] = ()
    rejections: int = 0
    fired: tuple[dt.datetime, ...] = ()


class Held(msgspec.Struct, frozen=True):
    """Why nothing is trained now.

    Parameters
    ----------
    reason : str
        In sentences.
    until : str or None
        Moment in UTC, ISO 8601, before which this will not change by itself, where one is known.
    cause : str or None
        What asks all the same, and is held.
    """

    reason: str
    until: str | None = None
    cause: Cause | None = None


def due(policy: Policy, observed: Observed) -> Trigger | Held:
    """Whether the model is to be trained now, and why, or why not.

    Parameters
    ----------
    policy : Policy
    observed : Observed
    """
    if observed.in_flight is not None:
        return Held(f"A retraining is under way: {observed.in_flight}. There is one at a time.")
    if observed.trained_at is None:
        return Held("There is no champion that could be replaced; register a model first.")
    reasons: list[Held] = []
    for wish in _wishes(policy, observed):
        answer = braked(policy, observed, wish) if isinstance(wish, Trigger) else wish
        if isinstance(answer, Trigger):
            return answer
        reasons.append(answer)
    held = [reason for reason in reasons if reason.cause is not None] or [_nothing(policy, observed)]
    return Held(" ".join(dict.fromkeys(each.reason for each in held)), held[0].until, held[0].cause)


def counting(observed: Observed) -> list[Checked]:
    """The windows that may ask: complete, of the champion that answers, ended after the last retraining began.

    A window that was open when the champion was swapped holds answers of another one and does not count either.
    """
    swapped = observed.swapped_at or observed.trained_at
    began = max((moment for moment in observed.retrainings if moment <= observed.now), default=None)
    found = []
    for window in observed.windows:
        if (
            not window.complete
            or window.state == "not enough data"
            or window.version not in ("", observed.version or window.version)
        ):
            continue
        start, end = (dt.datetime.fromisoformat(text) for text in (window.start, window.end))
        if (swapped is None or start >= swapped) and (began is None or end > began):
            found.append(window)
    return found


def _wishes(policy: Policy, observed: Observed) -> Iterator[Trigger | Held]:
    """Everything that asks for a retraining, or would but for one thing."""
    if policy.schedule is not None:
        slots = due_slots(policy.schedule, policy.time_zone, observed.fired, observed.now)
        if slots:
            missed = f" {len(slots) - 1} earlier slots were missed; this one stands for them." if len(slots) > 1 else ""
            evidence = {
                "slot": _iso(slots[-1]),
                "missed": [_iso(slot) for slot in slots[:-1][-10:]],
                "n_missed": len(slots) - 1,
            }
            yield Trigger("schedule", f"It is the slot of {_iso(slots[-1])}.{missed}", _iso(slots[-1]), evidence)
    yield from _alarmed(policy, observed)
    if policy.new_data and observed.data is not None and observed.data not in observed.known_data:
        yield _trigger(observed, "data", "The table is another one than any that was trained on.", data=observed.data)
    if policy.new_labels is not None and observed.new_labels >= policy.new_labels:
        yield _trigger(
            observed, "labels", f"{observed.new_labels:,} labels are new; {policy.new_labels:,} are enough.",
            new_labels=observed.new_labels,
        )  # fmt: skip
    if policy.new_rows is not None and observed.new_rows >= policy.new_rows:
        yield _trigger(
            observed, "rows", f"{observed.new_rows:,} rows are new; {policy.new_rows:,} are enough.", new_rows=observed.new_rows
        )
    assert observed.trained_at is not None
    age_s = (observed.now - observed.trained_at).total_seconds()
    if policy.max_age_s is not None and age_s >= policy.max_age_s:
        age, limit = length_of(age_s // 86400 * 86400 or age_s), length_of(policy.max_age_s)
        wish = _trigger(observed, "age", f"The champion is {age} old; {limit} is the limit.", age_s=age_s)
        # Nothing says that it is bad, and what a challenger is better by is seldom shown with fewer labels.
        times = AGE_LABELS if age_s < AGE_LABELS * policy.max_age_s else 1
        yield _with_labels(policy, observed, wish, times * policy.min_new_labels)


def _alarmed(policy: Policy, observed: Observed) -> Iterator[Trigger | Held]:
    """What monitoring asks for. Of each kind the latest window that could judge it speaks; labels overrule estimates."""
    windows = counting(observed)
    confirmed = next((window for window in reversed(windows) if _judged(window, "performance")), None)
    if "performance" in policy.on and confirmed is not None and (alarms := confirmed.of("performance")):
        yield _of_window(observed, "performance", confirmed, alarms)
    kinds: tuple[tuple[Alarming, Cause], ...] = (
        ("estimated performance", "estimated performance"), ("prediction drift", "drift"), ("drift", "drift"),
    )  # fmt: skip
    for kind, cause in kinds:
        latest = next((window for window in reversed(windows) if _judged(window, kind)), None)
        if kind not in policy.on or latest is None or not (alarms := latest.of(kind)):
            continue
        wish = _of_window(observed, cause, latest, alarms)
        broken = [alarm for alarm in latest.of("quality") if _breaks(alarm)]
        later = confirmed if confirmed is not None and windows.index(confirmed) >= windows.index(latest) else None
        if kind != "drift" and later is not None and later.realised is not None and not later.of("performance"):
            score = later.realised
            yield Held(
                f"{wish.reason} But labels say otherwise: {score.metric} is {score.value:.4g} ({score.low:.4g} to"
                f" {score.high:.4g}).",
                cause=cause,
            )
        elif broken:
            yield Held(
                f"{wish.reason} But column {broken[0].column} is broken: {broken[0].message} Mend it first; a model that is"
                " trained on such rows learns the fault.",
                cause=cause,
            )
        else:
            yield _with_labels(policy, observed, wish)


def _breaks(alarm: Alarm) -> bool:
    """Whether a column is broken: new labels and values beyond the range are the world's, and something to learn from."""
    return alarm.fault in _GONE or (alarm.fault in _SPOILT and alarm.effect >= _MUCH)


def _judged(window: Checked, kind: Alarming) -> bool:
    """Whether a window could say anything of this kind."""
    if window.of(kind):
        return True
    if kind == "performance":
        return window.realised is not None and window.realised.state != "not enough data"
    if kind == "estimated performance":
        return window.estimated is not None and window.estimated.state != "not enough data"
    return any(check.state != "not enough data" for check in (window.answers if kind == "prediction drift" else window.columns))


def _with_labels(policy: Policy, observed: Observed, wish: Trigger, least: int | None = None) -> Trigger | Held:
    least = policy.min_new_labels if least is None else least
    if observed.new_labels >= least:
        return wish
    return Held(
        f"{wish.reason} But only {observed.new_labels:,} labels are new, and below {least:,} there is little to learn.",
        cause=wish.cause,
    )


def braked(policy: Policy, observed: Observed, wish: Trigger) -> Trigger | Held:
    """The wish, if no brake holds it back.

    Parameters
    ----------
    policy : Policy
    observed : Observed
    wish : Trigger
    """
    if observed.rejections >= policy.gate.max_rejections:
        return Held(
            f"{wish.reason} But {observed.rejections} challengers in a row did not make it; a person should look at why, and"
            " train by hand.",
            cause=wish.cause,
        )
    # A fall that labels confirm since then is new evidence: the challenger of before has not learned from what it came with.
    fallen = wish.cause == "performance" and observed.new_labels >= policy.min_new_labels
    if observed.new_labels < observed.labels_needed and not fallen:
        return Held(
            f"{wish.reason} But the gate could not decide last time and asked for {observed.labels_needed:,} further labels;"
            f" {observed.new_labels:,} have come.",
            cause=wish.cause,
        )
    rest = dt.timedelta(seconds=policy.cool_down_s)
    # One that began far in the future was written by a clock that was set back since.
    began = sorted(moment for moment in observed.retrainings if moment <= observed.now + rest)
    if began and observed.now < began[-1] + rest:
        until = _iso(began[-1] + rest)
        return Held(
            f"{wish.reason} But the last retraining began at {_iso(began[-1])}, and there is a rest until {until}.",
            until,
            wish.cause,
        )
    lately = [moment for moment in began if observed.now - _WEEK < moment]
    if len(lately) >= policy.max_per_week:
        until = _iso(lately[-policy.max_per_week] + _WEEK)
        times = "was 1 retraining" if len(lately) == 1 else f"were {len(lately)} retrainings"
        return Held(f"{wish.reason} But there {times} within a week; the next may begin at {until}.", until, wish.cause)
    return wish


def _nothing(policy: Policy, observed: Observed) -> Held:
    """What is said where nothing asks."""
    windows = counting(observed)
    said = "no window since the last retraining has enough rows and labels to be judged"
    if windows:
        quiet = {"ok": "has no alarm", "warning": "has warnings only", "alarm": "has alarms that the policy does not act on"}
        said = f"the latest window, up to {windows[-1].end}, {quiet[windows[-1].state]}"
    coming = [f"{said[0].upper()}{said[1:]}."]
    if policy.max_age_s is not None and observed.trained_at is not None:
        ends = _iso(observed.trained_at + dt.timedelta(seconds=policy.max_age_s))
        coming.append(f"The champion comes of age at {ends}.")
    return Held(f"Nothing asks for a retraining. {' '.join(coming)}")


def _of_window(observed: Observed, cause: Cause, window: Checked, alarms: tuple[Alarm, ...]) -> Trigger:
    first = alarms[0]
    more = f" (and {len(alarms) - 1} more)" if len(alarms) > 1 else ""
    reason = f"{first.column}: {first.message}{more}" if first.column else f"{first.message}{more}"
    evidence = {
        "window": [window.start, window.end], "version": window.version, "rows": window.n_rows, "labels": window.n_labels,
        "alarms": [msgspec.to_builtins(alarm) for alarm in alarms[:5]],
    }  # fmt: skip
    if cause == "performance" and (score := window.realised) is not None:
        # In the unit of the metric; what the gate may allow a challenger to be uncertain by.
        evidence["fall"] = max(0.0, score.reference - score.value if score.greater_is_better else score.value - score.reference)
    return Trigger(cause, reason, _iso(observed.now), evidence)


def _trigger(observed: Observed, cause: Cause, reason: str, **evidence: object) -> Trigger:
    return Trigger(cause, reason, _iso(observed.now), dict(evidence))


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")
