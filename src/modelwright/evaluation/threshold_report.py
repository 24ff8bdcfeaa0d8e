"""What a threshold does on evaluation rows, which had no part in choosing it."""

from __future__ import annotations

import msgspec
import numpy as np

from modelwright.ensembles.threshold import ThresholdChoice, row_costs
from modelwright.metrics.dependence import Design, design
from modelwright.metrics.estimate import Interval
from modelwright.metrics.metric import Metric

#: Thresholds among which the best one for the evaluation rows is looked for.
_CANDIDATES = 500


class ThresholdReport(msgspec.Struct, frozen=True):
    """A threshold on evaluation rows.

    ``low`` to ``high`` is where resampled validation rows put it. ``counts`` holds "tp", "fp", "fn", "tn" in rows. Costs are
    means per row; ``saved`` is the cost of the cheaper of acting on nobody and on everybody, less that of the threshold.
    ``regret`` is what the best threshold for these very rows, known only afterwards, would have gained: cost per row
    or points of ``regret_of``; some of it is luck. ``held`` says which floors the evaluation rows keep.
    """

    threshold: float
    rule: str
    n_rows: int
    counts: dict[str, int]
    precision: Interval | None
    recall: Interval | None
    low: float | None
    high: float | None
    regret: float
    regret_of: str
    best_threshold: float
    cost: Interval | None = None
    cost_nobody: Interval | None = None
    cost_everybody: Interval | None = None
    saved: Interval | None = None
    floor: dict[str, float] = {}
    held: dict[str, bool] = {}
    sentence: str = ""


def report_threshold(
    y: np.ndarray,
    proba: np.ndarray,
    choice: ThresholdChoice,
    metric: Metric,
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
) -> ThresholdReport:
    """Measure a threshold.

    Parameters
    ----------
    y : ndarray of shape (n,), values 0 or 1
    proba : ndarray of shape (n, 2)
        As delivered.
    choice : ThresholdChoice
        Made on validation rows; a threshold of None counts as 0.5.
    metric : Metric
        Of the run; accuracy stands in for one that reads no labels.
    weight, groups, when : ndarray of shape (n,), optional
        Weight, entity and moment of each row.
    """
    from modelwright.metrics.registry import METRICS

    threshold = 0.5 if choice.threshold is None else choice.threshold
    positive, actual = proba[:, 1], y == 1
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    acted = positive >= threshold
    counts = {
        "tp": int((acted & actual).sum()),
        "fp": int((acted & ~actual).sum()),
        "fn": int((~acted & actual).sum()),
        "tn": int((~acted & ~actual).sum()),
    }
    shape = design(len(y), w, groups, when)
    precision, recall = _share(actual, acted, w, shape), _share(acted, actual, w, shape)
    rates = {"precision": precision, "recall": recall}
    held = {key: (rate := rates[key]) is not None and rate.value >= least for key, least in (choice.floor or {}).items()}
    values = np.unique(positive)
    middles = (values[1:] + values[:-1]) / 2 if len(values) > 1 else np.zeros(0)
    if len(middles) > _CANDIDATES:
        middles = middles[np.linspace(0, len(middles) - 1, _CANDIDATES).astype(np.int64)]
    tried = np.concatenate([[threshold], middles, [0.0, np.nextafter(1.0, 2.0)]])
    costs: dict[str, Interval] = {}
    if choice.cost:
        spent = row_costs(positive, y, threshold, choice.cost)
        nobody, everybody = (row_costs(positive, y, t, choice.cost) for t in (np.inf, -np.inf))
        simple = nobody if w @ nobody <= w @ everybody else everybody
        costs = {
            "cost": _mean(spent, w, shape),
            "cost_nobody": _mean(nobody, w, shape),
            "cost_everybody": _mean(everybody, w, shape),
            "saved": _mean(simple - spent, w, shape),
        }
        losses = np.array([float(w @ row_costs(positive, y, t, choice.cost)) for t in tried]) / float(w.sum())
        regret_of = "cost per row"
    else:
        read = metric if metric.reads == "label" else METRICS["accuracy"]
        losses = -np.array([read.utility(read.score(y, (positive >= t).astype(np.int64), weight)) for t in tried])
        regret_of = read.title
    if choice.floor:
        # Only thresholds that keep the floor on these rows compete with the one chosen.
        kept = np.array([_keeps(positive >= t, actual, w, choice.floor) for t in tried])
        losses = np.where(kept | (np.arange(len(tried)) == 0), losses, np.inf)
    best = int(np.nanargmin(losses))
    report = ThresholdReport(
        threshold=threshold,
        rule=choice.rule,
        n_rows=len(y),
        counts=counts,
        precision=precision,
        recall=recall,
        low=choice.low,
        high=choice.high,
        regret=float(losses[0] - losses[best]),
        regret_of=regret_of,
        best_threshold=float(tried[best]),
        floor=dict(choice.floor or {}),
        held=held,
        cost=costs.get("cost"),
        cost_nobody=costs.get("cost_nobody"),
        cost_everybody=costs.get("cost_everybody"),
        saved=costs.get("saved"),
    )
    return msgspec.structs.replace(report, sentence=_sentence(report))


def _share(hit: np.ndarray, among: np.ndarray, w: np.ndarray, shape: Design) -> Interval | None:
    """Share of hits among some rows, Wilson with the rows that they are worth."""
    from modelwright.metrics.intervals import wilson

    total = float(w[among].sum())
    if total <= 0:
        return None
    share = float(np.clip(w[among] @ hit[among] / total, 0.0, 1.0))
    worth = total**2 / float((w[among] ** 2).sum())
    if not shape.independent:
        variance = shape.units(np.where(among, w * (hit - share), 0.0) / total).variance
        if np.isfinite(variance) and variance > 0:
            worth = min(worth, share * (1 - share) / variance)
    found = wilson(share, max(worth, 1.0), 1.96)
    return Interval(share, found.low, found.high)


def _mean(values: np.ndarray, w: np.ndarray, shape: Design) -> Interval:
    from scipy.stats import t

    mean = float(w @ values / w.sum())
    units = shape.units(w * (values - mean) / w.sum())
    half = float(t.ppf(0.975, units.df)) * float(np.sqrt(units.variance)) if np.isfinite(units.variance) else 0.0
    return Interval(mean, mean - half, mean + half)


def _keeps(acted: np.ndarray, actual: np.ndarray, w: np.ndarray, floor: dict[str, float]) -> bool:
    tp = float(w[acted & actual].sum())
    of = {"recall": float(w[actual].sum()), "precision": float(w[acted].sum())}
    return all(of[key] > 0 and tp / of[key] >= least for key, least in floor.items())


def _sentence(report: ThresholdReport) -> str:
    parts = [f"Class 1 is predicted from probability {report.threshold:.4g} on: {report.rule}."]
    if report.cost is not None and report.saved is not None:
        saved = report.saved
        against = "acting on nobody or on everybody, whichever is cheaper"
        interval = f"95 % interval {saved.low:.4g} to {saved.high:.4g}"
        if saved.low > 0:
            parts.append(f"It costs {report.cost.value:.4g} a row and saves {saved.value:.4g} against {against} ({interval}).")
        else:
            parts.append(f"It costs {report.cost.value:.4g} a row, not shown to be less than {against} ({interval}).")
    parts += [
        f"The floor of {key} {least:g} {'is' if report.held.get(key) else 'is NOT'} held on the evaluation rows."
        for key, least in report.floor.items()
    ]
    return " ".join(parts)
