"""Guards: a challenger that is better on the whole may still not fail a part of the rows, or be less honest about chances.

A guard fails where the loss is both beyond its margin and beyond chance: small parts scatter by more than any sensible
margin, and large ones show what does not matter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from modelwright.evaluation.calibration_report import calibration_gap
from modelwright.metrics import studentised
from modelwright.metrics.classification import log_loss
from modelwright.metrics.dependence import design
from modelwright.metrics.metric import Metric
from modelwright.metrics.superiority import superiority
from modelwright.retraining.rules import GateRules
from modelwright.retraining.scored import Earlier, Labelled, Scored

#: Rows below which a slice says nothing.
FEWEST_ROWS = 30
#: Chance, over all slices, that a challenger that is as good everywhere fails one.
_LEVEL = 0.05


def guarded(
    champion: Scored, challenger: Scored, rows: Labelled, rules: GateRules, metric: Metric
) -> tuple[list[str], dict[str, Any]]:
    """Hold a challenger against the guards.

    Parameters
    ----------
    champion, challenger : Scored
    rows : Labelled
    rules : GateRules
    metric : Metric

    Returns
    -------
    failed : list of str
        Sentences, one for each guard that failed.
    evidence : dict
        What was looked at.
    """
    failed, slices = _slices(champion, challenger, rows, rules, metric)
    evidence: dict[str, Any] = {"slices": slices}
    if champion.prediction.ndim == 2:
        sentence, evidence["calibration"] = _calibration(champion, challenger, rows, rules)
        failed += [sentence] if sentence else []
    evidence["latency_s"] = {"champion": champion.latency_s, "challenger": challenger.latency_s}
    evidence["size_bytes"] = {"champion": champion.size_bytes, "challenger": challenger.size_bytes}
    return failed, evidence


def forgotten(challenger: Scored, earlier: Earlier, metric: Metric, margin: float) -> tuple[str, dict[str, Any]]:
    """Whether a challenger says less of older rows than one answer for all of them would: it has lost what was known.

    Parameters
    ----------
    challenger : Scored
    earlier : Earlier
    metric : Metric
    margin : float
        How much less, in the measure of the gate.

    Returns
    -------
    failed : str
        A sentence; empty if it has not.
    evidence : dict
    """
    n = len(earlier.y)
    if n < FEWEST_ROWS:
        return "", {"rows": n, "state": "not enough data"}
    if earlier.answers.ndim == 2:
        shares = np.bincount(earlier.y.astype(np.int64), minlength=earlier.answers.shape[1]) / n
        constant = np.tile(shares, (n, 1))
    else:
        constant = np.full(n, earlier.y.mean())
    found = superiority(
        metric, earlier.y, constant, earlier.answers, margin=margin, thresholds=(None, challenger.threshold)
    )  # fmt: skip
    if not math.isfinite(found.deviation):
        return "", {"rows": n, "state": "not enough data"}
    told = {"rows": n, "score": found.challenger, "constant": found.champion, "p_worse": found.p_worse, "state": "ok"}
    if found.gain >= -margin * found.unit or found.p_worse > _LEVEL:
        return "", told
    return (
        f"On {n:,} older rows that it has not learned from its {metric.title} is {found.challenger:.4g}, and one answer for all"
        f" of them would have {found.champion:.4g}.",
        {**told, "state": "worse"},
    )


def _slices(
    champion: Scored, challenger: Scored, rows: Labelled, rules: GateRules, metric: Metric
) -> tuple[list[str], list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    for name, mask in rows.slices.items():
        n = int(mask.sum())
        if n < FEWEST_ROWS:
            told.append({"name": name, "rows": n, "state": "not enough data"})
            continue
        weight, group, when = (None if x is None else x[mask] for x in (rows.weight, rows.group, rows.when))
        found = superiority(
            metric, rows.y[mask], champion.prediction[mask], challenger.prediction[mask], margin=rules.slice_margin,
            weight=weight, groups=group, when=when, thresholds=(champion.threshold, challenger.threshold),
        )  # fmt: skip
        if math.isfinite(found.deviation):
            allowed = rules.slice_margin * found.unit
            told.append(
                {"name": name, "rows": n, "gain": found.gain, "p_worse": found.p_worse, "allowed": allowed, "state": "ok"}
            )
        else:
            told.append({"name": name, "rows": n, "state": "not enough data"})
    # Holm over all slices that could be tested.
    tested = sorted((each for each in told if "gain" in each), key=lambda each: float(each["p_worse"]))
    failed = []
    for number, each in enumerate(tested):
        if each["p_worse"] > _LEVEL / (len(tested) - number):
            break
        if each["gain"] < -each["allowed"]:
            each["state"] = "worse"
            failed.append(
                f"Worse where {each['name']}: by {-each['gain']:.3g} {metric.title} on {each['rows']:,} rows; "
                f"{each['allowed']:.3g} is allowed."
            )
    return failed, told


def _calibration(champion: Scored, challenger: Scored, rows: Labelled, rules: GateRules) -> tuple[str, dict[str, Any]]:
    """The mean gap between predicted and observed frequency may not rise by more than the margin, beyond chance.

    Unless the log loss falls: it counts the gap, and what the probabilities tell apart besides; they are then worth more.
    """
    before, of_before = calibration_gap(rows.y, champion.prediction, rows.weight)
    after, of_after = calibration_gap(rows.y, challenger.prediction, rows.weight)
    # What chance adds to the plain gaps is nearly the same for both, and falls out of their difference.
    rise = of_after - of_before
    units = design(len(rows.y), rows.weight, rows.group, rows.when).units(rise.psi)
    p = studentised.p_greater(rise.value, units) if units.variance > 0 else 1.0
    losses = [log_loss(rows.y, model.prediction, rows.weight) for model in (champion, challenger)]
    told: dict[str, Any] = {"champion": before, "challenger": after, "p_worse": p, "log_loss": losses, "state": "ok"}
    if after - before <= rules.calibration_margin or not p <= _LEVEL or losses[1] < losses[0]:
        return "", told
    told["state"] = "worse"
    return (
        f"Less honest probabilities: mean gap to the observed frequency {after:.1%}, {before:.1%} of the champion; "
        f"a rise of {rules.calibration_margin:.1%} is allowed.",
        told,
    )
