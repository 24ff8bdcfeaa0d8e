"""The gate: may a challenger replace the champion? A function of values; what it says stands in the log of decisions.

First the conditions without which nothing is tested, then one paired test on rows that follow the training of both, then
guards (`guards.py`). The test has three answers: better, not worse than by the margin, undecided (with the labels that are
still needed); and a challenger can be shown to be worse.

Asking again and again at one champion would let an equal challenger pass in the end, so each attempt spends a part of the
level: ``share(1)`` = 0.9, ``share(k)`` = 0.1 * 6 / (pi (k - 1)) ** 2. The shares sum to 1, so over however many attempts,
on the same rows or others, an equal challenger passes as better with the chance ``level`` at most (Bonferroni's
inequality, which asks for no independence). The first attempt gets most, since most challengers are judged once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from modelwright.metrics.metric import Metric
from modelwright.metrics.superiority import Superiority, superiority
from modelwright.retraining.guards import forgotten, guarded
from modelwright.retraining.rules import Answer, GateRules, Trigger, Verdict
from modelwright.retraining.scored import Labelled, Scored

Required = Literal["better", "not worse"]
#: Seconds a row below which no challenger is slow: a busy machine triples less than that.
_QUICK_S = 0.001
#: Changes of a column that no client notices: where only 0 and 1 had been seen a 2 came, and the old cells read as numbers.
_WIDER = frozenset({("boolean", "number")})
_FIRST = 0.9


def judge(
    champion: Scored,
    challenger: Scored,
    rows: Labelled,
    rules: GateRules,
    *,
    metric: Metric,
    trigger: Trigger | None = None,
    attempt: int = 1,
    alarms: Sequence[str] = (),
) -> Verdict:
    """Judge a challenger.

    Parameters
    ----------
    champion, challenger : Scored
    rows : Labelled
        Mature labels only, of rows that follow both models' training.
    rules : GateRules
    metric : Metric
    trigger : Trigger, optional
        Why the challenger was trained; says what is required where the rules leave it open.
    attempt : int, default=1
        Number of this test at this champion; each later one has less of the level to spend.
    alarms : sequence of str
        Open alarms of data quality: on such rows nothing is decided.

    Returns
    -------
    Verdict
        "refused" where a condition or a guard failed, else what the test says. Better, or not worse where that is all that
        is required, is promoted.
    """
    required = requirement(rules, trigger)
    # Trying again until one passes as better is what the level is spent for; where not worse is enough, passing is no prize.
    level = spent(rules.level, attempt) if required == "better" else rules.level
    about: dict[str, Any] = {
        "champion": champion.name, "challenger": challenger.name, "metric": metric.name, "rows": len(rows.y),
        "required": required, "attempt": attempt, "level": rules.level, "level_spent": level, "margin": rules.margin,
        "left_out": dict(rows.left_out), "tested": False,
    }  # fmt: skip
    if trigger is not None:
        about["trigger"] = trigger.cause
    refusals = [*_conditions(champion, challenger, rows, rules), *(f"Alarm of data quality: {alarm}" for alarm in alarms)]
    if refusals:
        return Verdict("refused", False, tuple(refusals), about)
    if len(rows.y) < rules.min_labels:
        missing = rules.min_labels - len(rows.y)
        what = f"{len(rows.y):,} mature labels, and {rules.min_labels:,} are the fewest that decide: {missing:,} more."
        return Verdict("undecided", False, (_with_left_out(what, rows),), about, missing)
    found = superiority(
        metric, rows.y, champion.prediction, challenger.prediction, margin=rules.margin, weight=rows.weight,
        groups=rows.group, when=rows.when, thresholds=(champion.threshold, challenger.threshold),
    )  # fmt: skip
    margin = rules.margin
    fall = float(trigger.evidence.get("fall") or 0.0) if trigger is not None and required == "not worse" else 0.0
    if math.isfinite(found.deviation) and found.gain >= -margin * found.unit and found.unit > 0:
        # The champion has lost this much already: what looks no worse may be shown to be so by half of it.
        margin = max(margin, fall / 2 / found.unit)
    if margin > rules.margin:
        found = superiority(
            metric, rows.y, champion.prediction, challenger.prediction, margin=margin, weight=rows.weight,
            groups=rows.group, when=rows.when, thresholds=(champion.threshold, challenger.threshold),
        )  # fmt: skip
    about |= _evidence(found, margin)
    if not math.isfinite(found.deviation):
        return Verdict("undecided", False, (f"The rows cannot be tested: {found.test.removeprefix('no test: ')}.",), about)
    about["tested"] = True
    answer = _answer(found, level)
    failed, about["guards"] = guarded(champion, challenger, rows, rules, metric)
    about["answers"] = _answers(champion, challenger, metric)
    sentence = _sentence(found, answer, metric, margin, level)
    if failed and answer != "worse":
        return Verdict("refused", False, (*failed, sentence), about | {"test_says": answer})
    promote = answer == "better" or (answer == "not worse" and required == "not worse")
    if promote and answer == "not worse" and rows.earlier is not None:
        lost, about["guards"]["earlier"] = forgotten(challenger, rows.earlier, metric, rules.margin)
        if lost:
            return Verdict("refused", False, (lost, sentence), about | {"test_says": answer})
    reasons = [sentence]
    if attempt > 1 and required == "better":
        reasons.append(f"Attempt {attempt} at this champion: {level:.2g} of the level {rules.level:g} is left for it.")
    if promote:
        return Verdict(answer, True, tuple(reasons), about)
    if answer == "not worse":
        reasons.append("Better is required.")
    needed = None if answer == "worse" else _more(found, required, margin * found.unit, level)
    if needed is not None:
        reasons.append(f"About {needed:,} further labels would decide.")
    return Verdict(answer, False, tuple(reasons), about, needed)


def requirement(rules: GateRules, trigger: Trigger | None) -> Required:
    """What a challenger must prove: where the rules leave it open, "not worse" after an alarm of realised performance.

    Parameters
    ----------
    rules : GateRules
    trigger : Trigger or None
    """
    if rules.require != "auto":
        return rules.require
    return "not worse" if trigger is not None and trigger.cause == "performance" else "better"


def spent(level: float, attempt: int) -> float:
    """The part of the level that the k-th attempt at one champion spends.

    Parameters
    ----------
    level : float
    attempt : int
        From 1.

    Examples
    --------
    >>> [round(spent(0.05, k), 5) for k in (1, 2, 3, 4)]
    [0.045, 0.00304, 0.00076, 0.00034]
    """
    return level * (_FIRST if attempt <= 1 else (1 - _FIRST) * 6 / (math.pi * (attempt - 1)) ** 2)


def _conditions(champion: Scored, challenger: Scored, rows: Labelled, rules: GateRules) -> list[str]:
    """What forbids a test, the weightiest first."""
    found = [f"{model.name} cannot be used: {fault}" for model in (champion, challenger) for fault in model.faults]
    if found:
        return found
    if challenger.task != champion.task or challenger.classes != champion.classes:
        found.append(f"{challenger.name} answers another question: {_asked(challenger)}, not {_asked(champion)}.")
    for name, kind in challenger.columns.items():
        if name not in champion.columns and name not in rows.sent:
            found.append(f"{challenger.name} needs column {name!r}, which clients of {champion.name} need not send.")
        elif champion.columns.get(name, kind) != kind and (champion.columns[name], kind) not in _WIDER:
            found.append(f"{challenger.name} reads column {name!r} as {kind}, {champion.name} as {champion.columns[name]}.")
    if not rows.follows:
        found += [sentence for model in (champion, challenger) if (sentence := _not_after(model, rows))]
    limit = rules.max_latency or (max(3 * champion.latency_s, _QUICK_S) if champion.latency_s else None)
    if limit and challenger.latency_s and challenger.latency_s > limit:
        found.append(f"{challenger.name} takes {1000 * challenger.latency_s:.3g} ms a row; {1000 * limit:.3g} ms are allowed.")
    if rules.max_size and challenger.size_bytes and challenger.size_bytes > rules.max_size:
        found.append(f"{challenger.name} has {challenger.size_bytes:,} bytes; {rules.max_size:,.0f} are allowed.")
    return found


def _not_after(model: Scored, rows: Labelled) -> str:
    if rows.when is None or model.until is None:
        return f"Nothing shows that the rows follow the training of {model.name}."
    early = int((rows.when <= model.until).sum())
    return f"{early:,} rows do not follow the training of {model.name}." if early else ""


def _asked(model: Scored) -> str:
    return f"{model.task} of {', '.join(map(str, model.classes[:5]))}" if model.classes else model.task


def _answer(found: Superiority, level: float) -> Answer:
    if found.p_better <= level:
        return "better"
    if found.p_worse <= level:
        return "worse"
    return "not worse" if found.p_not_worse <= level else "undecided"


def _more(found: Superiority, required: Required, margin: float, level: float) -> int | None:
    """Further labels after which the difference seen would decide; one below the margin is taken for the margin."""
    least, seen = (margin / 2, found.gain + margin) if required == "not worse" else (margin, found.gain)
    effect = max(abs(seen), least)
    needed = found.rows_needed(effect, level)
    return max(needed - found.n, -(-found.n // 10)) if needed else None


def _evidence(found: Superiority, margin: float) -> dict[str, Any]:
    told = {
        "champion_score": found.champion, "challenger_score": found.challenger, "gain": found.gain, "gain_low": found.low,
        "gain_high": found.high, "p_better": found.p_better, "p_not_worse": found.p_not_worse, "p_worse": found.p_worse,
        "units": found.n_units, "test": found.test, "margin": margin * found.unit,
    }  # fmt: skip
    return {name: value if not isinstance(value, float) or math.isfinite(value) else None for name, value in told.items()}


def _answers(champion: Scored, challenger: Scored, metric: Metric) -> dict[str, float]:
    """How the two answer: what a change of the served answers comes from."""
    if champion.prediction.ndim == 2:
        labels = [_labels(model) for model in (champion, challenger)]
        disagree = float((labels[0] != labels[1]).mean())
        means = [model.prediction[:, -1].mean() for model in (champion, challenger)]
        return {"disagree": disagree, "mean_champion": float(means[0]), "mean_challenger": float(means[1])}
    gap = float(np.abs(champion.prediction - challenger.prediction).mean())
    return {
        "mean_gap": gap,
        "mean_champion": float(champion.prediction.mean()),
        "mean_challenger": float(challenger.prediction.mean()),
    }


def _labels(model: Scored) -> np.ndarray:
    from modelwright.metrics.registry import labels_from

    return labels_from(model.prediction, model.threshold)


def _sentence(found: Superiority, answer: Answer, metric: Metric, margin: float, level: float) -> str:
    basis = (
        f"{metric.title} {found.challenger:.4g} against {found.champion:.4g} on {found.n:,} rows, "
        f"gain {found.gain:+.3g} (95 % {found.low:+.3g} to {found.high:+.3g})"
    )
    p = {"better": found.p_better, "worse": found.p_worse, "not worse": found.p_not_worse}.get(answer)
    if answer == "undecided":
        return f"Undecided: {basis}; better p = {found.p_better:.2g}, not worse p = {found.p_not_worse:.2g}."
    words = {"better": "Better", "worse": "Worse", "not worse": f"Not worse by {margin * found.unit:.3g} or more"}[answer]
    return f"{words}: {basis}; p = {p:.2g}, at most {level:.2g} by {found.test}."


def _with_left_out(sentence: str, rows: Labelled) -> str:
    told = "; ".join(f"{count:,} rows {why}" for why, count in rows.left_out.items() if count)
    return f"{sentence} Left out: {told}." if told else sentence
