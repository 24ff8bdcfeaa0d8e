"""A policy in sentences: what will happen, when next, what a challenger must prove, and who is watching."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from zoneinfo import ZoneInfo

from modelwright.retraining.policy import Alarming, Policy
from modelwright.retraining.rules import Cause, GateRules, ReleaseRules
from modelwright.retraining.schedule import next_slots
from modelwright.retraining.simulation import Simulated
from modelwright.retraining.triggers import AGE_LABELS
from modelwright.spec_sections import length_of

_ALARMS: dict[Alarming, str] = {
    "performance": "when labels show that its score has fallen beyond chance",
    "estimated performance": "when its score is estimated to have fallen, without labels",
    "prediction drift": "when its answers are distributed otherwise than in training, lastingly",
    "drift": "when a column that it reads has drifted lastingly, whatever its score",
}
_CAUSES: dict[Cause, str] = {
    "schedule": "by the schedule", "drift": "by drift", "performance": "by a fallen score",
    "estimated performance": "by an estimated score", "rows": "by new rows", "labels": "by new labels",
    "data": "by a new table",
    "age": "by age", "hand": "by hand", "webhook": "by webhook",
}  # fmt: skip


def when_sentences(policy: Policy) -> list[str]:
    """What asks for a retraining, and what holds it back."""
    few = f", once {policy.min_new_labels:,} labels are new" if policy.min_new_labels else ""
    told = [] if policy.schedule is None else [f"It is trained again at each slot of {policy.schedule!r} ({policy.time_zone})."]
    told += [f"It is trained again {_ALARMS[alarm]}{few if alarm != 'performance' else ''}." for alarm in policy.on]
    if policy.new_labels is not None:
        told.append(f"It is trained again when {policy.new_labels:,} labels are new.")
    if policy.new_rows is not None:
        told.append(f"It is trained again when {policy.new_rows:,} rows are new.")
    if policy.new_data:
        told.append("It is trained again when its table is another one.")
    if policy.max_age_s is not None:
        many = f", once {AGE_LABELS * policy.min_new_labels:,} labels are new" if policy.min_new_labels else ""
        fewer = f"; when it is {length_of(AGE_LABELS * policy.max_age_s)} old{few}" if policy.min_new_labels else ""
        told.append(f"It is trained again when the champion is {length_of(policy.max_age_s)} old{many}{fewer}.")
    if policy.webhook:
        told.append(f"It is trained again when a call from outside asks for it (POST /admin/retrain/{policy.model}).")
    told = told or ["It is trained again when a person asks, and never otherwise."]
    told[0] = told[0].replace("It", policy.model, 1)
    delay = f" Rows younger than {length_of(policy.label_delay_s)} do not count: their labels are not all there yet."
    told.append(f"It learns from {policy.train_on}.{delay if policy.label_delay_s else ''}")
    window = f"{policy.window.rows:,} rows" if policy.window.rows is not None else length_of(policy.window.seconds or 0.0)
    told.append(f"Monitoring looks at windows of {window}.")
    told.append(
        f"Between two retrainings there {_are(policy.cool_down_s)} {length_of(policy.cool_down_s)} at least, and within a week"
        f" there are {policy.max_per_week} at most; a person may ask at any time. One runs at a time."
    )
    return told


def _margin(share: float) -> str:
    """A margin as it is meant: of metrics up to 1, and of losses."""
    return f"{share:g} (of a loss {3 * share:.3g} times its value)"


def gate_sentences(gate: GateRules, *, refit: bool = True) -> list[str]:
    """What a challenger must prove."""
    proof = {
        "auto": "be better than the champion beyond chance; after an alarm of its score, not worse is enough",
        "better": "be better than the champion beyond chance",
        "not worse": "be not worse than the champion beyond chance",
    }[gate.require]
    told = [
        f"A challenger must {proof}, on rows that neither has trained on, {gate.min_labels:,} with labels at least.",
        f"An equal challenger passes as better with a chance of {gate.level:.3g} at most, over all attempts at one champion;"
        f" {_margin(gate.margin)} still counts as not worse.",
        f"No slice may be worse by {_margin(gate.slice_margin)}, nor the calibration error by {gate.calibration_margin:g}"
        " unless the log loss falls.",
    ]
    latency = f"{gate.max_latency * 1000:g} ms" if gate.max_latency is not None else "three times the champion's time"
    size = f", and the model {gate.max_size / 1e6:g} MB" if gate.max_size is not None else ""
    told.append(f"A row may take {latency} at most{size}.")
    if gate.approval:
        told.append("Then a person must approve: modelwright approve.")
    if refit:
        told.append("What passed is trained once more in the same way on all labelled rows, those of the gate included.")
    told.append(f"After {gate.max_rejections} challengers in a row that do not make it, a person is asked.")
    return told


def release_sentences(release: ReleaseRules) -> list[str]:
    """How a challenger that passed goes live."""
    stages = []
    if release.mode == "shadow":
        stages.append(f"answers {release.shadow_rows:,} live rows unseen")
    if release.mode == "canary":
        stages.append(f"answers {release.canary_share:.0%} of the entities, {release.canary_rows:,} rows")
    first = f"It first {' and '.join(stages)}, within {length_of(release.max_stage_s)}. Then it" if stages else "It"
    told = [f"{first} takes the champion's place in one step."]
    if release.watch_s:
        told.append(
            f"For {length_of(release.watch_s)} it is watched: the old champion comes back if more than"
            f" {release.max_error_rate:.1%} of the answers fail, if the slowest 1 % take more than"
            f" {release.max_latency_ratio:g} times as long, or if its score is worse by {_margin(release.max_loss)} beyond"
            " chance."
        )
    else:
        told.append("It is not watched afterwards (watch is 0).")
    return told


def slots_told(policy: Policy, now: dt.datetime, n: int = 3) -> list[str]:
    """The next slots in the zone of the policy."""
    if policy.schedule is None:
        return []
    zone = ZoneInfo(policy.time_zone)
    return [f"{slot.astimezone(zone):%a %Y-%m-%d %H:%M} {slot.astimezone(zone).tzname()}" for slot in next_slots(
        policy.schedule, policy.time_zone, now, n
    )]  # fmt: skip


def simulated_sentences(simulated: Simulated, source: str, most: int = 12) -> list[str]:
    """What a policy would have done."""
    n = len(simulated.triggers)
    days = (dt.datetime.fromisoformat(simulated.ended) - dt.datetime.fromisoformat(simulated.began)).total_seconds() / 86400
    windows = f", {simulated.n_windows} checked windows" if simulated.n_windows else ""
    span = f"{simulated.began[:10]} to {simulated.ended[:10]}, {days:,.0f} days{windows}"
    causes = Counter(trigger.cause for trigger in simulated.triggers)
    by = f": {', '.join(f'{count} {_CAUSES[cause]}' for cause, count in causes.most_common())}" if n > most else ""
    told = [f"On {source} ({span}) it would {f'have trained {_times(n)}' if n else 'not have trained'}{by}."]
    for trigger in simulated.triggers[:most]:
        told.append(f"{trigger.at[:16].replace('T', ' ')}  {_CAUSES[trigger.cause]}: {trigger.reason}")
    if n > most:
        told.append(f"… and {n - most} more times.")
    told += [f"It was held back as well: {reason}" for _, reason in sorted(simulated.held.items())]
    return told


def _are(seconds: float) -> str:
    return "is" if length_of(seconds).startswith("1 ") else "are"


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")
