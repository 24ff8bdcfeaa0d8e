"""From which probability on class 1 is predicted: for a metric, for a floor, for costs; on validation rows only.

Notation: t threshold, tp, fp, fn, tn the weight of rows in each cell, c their costs, 1 - a = 0.95.

Costs: acting pays where p > t = (c_fp - c_tn) / ((c_fp - c_tn) + (c_fn - c_tp)) if p is calibrated [1]_. The threshold with
the least cost on validation rows is taken instead only if it is cheaper in inner cross-validation by more than a
standard error. Floors: thresholds stay whose lower confidence bound (Clopper and Pearson, one-sided 95 %, for dependent
rows with the effective number of rows) keeps recall or precision at the floor, so that new rows hold it too; among them costs
decide, else the metric if it reads labels, else the other one of recall and precision.

References
----------
.. [1] Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
import numpy as np

from modelwright.ensembles.cells import Cells, Counter, candidate_cuts, count_cells
from modelwright.ensembles.floors import Floors
from modelwright.errors import SpecError
from modelwright.metrics.dependence import clusters_of, design
from modelwright.metrics.metric import Metric
from modelwright.tables.schema import Task

_MOST_ROWS = 50_000
#: Neighbouring thresholds averaged before the best is taken, so that one lucky row does not decide.
_SMOOTHING = 5
_NOTICEABLE = 0.005
#: Optimised alone these put every row, or next to none, into class 1.
_ONE_SIDED = ("precision", "recall")
_FOLDS = 5
_DRAWS = 100
_CANDIDATES_OF_DRAWS = 60


class ThresholdChoice(msgspec.Struct, frozen=True):
    """A threshold and why it is this one.

    ``threshold`` is None where the more probable class is predicted. ``low`` and ``high`` enclose 95 % of the thresholds
    that resampled validation rows would have chosen. ``assured`` holds the lower bounds behind a floor.
    """

    threshold: float | None
    by: Literal["default", "metric", "floor", "cost", "floor and cost"]
    rule: str
    low: float | None = None
    high: float | None = None
    cost: dict[str, float] | None = None
    floor: dict[str, float] | None = None
    assured: dict[str, float] = {}


def check_decisions(cost: dict[str, float] | None, floor: dict[str, float] | None, task: Task) -> None:
    """Refuse costs and floors where no threshold exists.

    Raises
    ------
    SpecError
        For a task that is not binary.
    """
    for option, given, what in (
        ("cost", cost, "Costs of false positives and negatives"),
        ("floor", floor, "Floors of recall and precision"),
    ):
        if given and task != "binary":
            raise SpecError(
                f"{what} need two classes; this is a {task} task.",
                where=option,
                mend=f"Leave {option} out, or train on a target with two values.",
            )


def choose_threshold(proba: np.ndarray, y: np.ndarray, metric: Metric, weight: np.ndarray | None = None) -> float | None:
    """Threshold that is best for a metric of labels, on validation rows; parameters as for `choose`.

    Returns
    -------
    float or None
        None if the metric does not read labels, is optimal at a degenerate threshold (precision, recall), or is not
        noticeably better than at 0.5; the more probable class is predicted then.
    """
    return choose(proba, y, metric, weight=weight, draws=0).threshold


def choose(
    proba: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    *,
    cost: dict[str, float] | None = None,
    floor: dict[str, float] | None = None,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
    seed: int = 0,
    draws: int = _DRAWS,
) -> ThresholdChoice:
    """Choose the threshold on validation rows.

    Parameters
    ----------
    proba : ndarray of shape (n, 2)
        Calibrated out-of-fold probabilities.
    y : ndarray of shape (n,), values 0 or 1
    metric : Metric
    cost : dict, optional
        "fp", "fn" and optionally "tp", "tn", of one row each.
    floor : dict, optional
        Least "recall" and/or "precision".
    weight, groups, when : ndarray of shape (n,), optional
        Weight, entity and moment of each row.
    seed : int, default=0
    draws : int, default=100
        Resamples behind the stability interval; 0 leaves it out.

    Raises
    ------
    SpecError
        If no threshold holds the floor with confidence; the most that can be held is named.
    """
    default = ThresholdChoice(None, "default", "the more probable class is predicted", cost=cost, floor=floor)
    if proba.ndim != 2 or proba.shape[1] != 2:
        return default
    by_metric = metric.reads == "label" and metric.name not in _ONE_SIDED
    if not (cost or floor or by_metric):
        return default
    if len(y) > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).permutation(len(y))[:_MOST_ROWS])
        proba, y = proba[rows], y[rows]
        weight, groups, when = (None if a is None else a[rows] for a in (weight, groups, when))
    positive = proba[:, 1]
    cuts = candidate_cuts(positive, y)
    if not len(cuts) or len(np.unique(y)) < 2:
        return default
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    unit = clusters_of(len(y), groups, when)
    unit = np.arange(len(y)) if unit is None else unit
    rates = Floors(positive, y, w, groups, when, cuts, floor) if floor else None
    utility, name = _objective(metric, cost, floor)

    def best(w: np.ndarray, counter: Counter) -> float | None:
        """The rule as a function of row weights, for resampling and inner folds."""
        cells = counter.cells(w)
        found = _smooth(utility(cells))
        if rates is not None:
            found = np.where(rates.held(cells), found, -np.inf)
        if not np.isfinite(found).any():
            return None
        plateau = np.flatnonzero(found >= np.nanmax(found) - 1e-12)
        return float(counter.cuts[plateau[len(plateau) // 2]])

    counter = Counter(positive, y, cuts)
    threshold = best(w, counter)
    by: Literal["default", "metric", "floor", "cost", "floor and cost"] = "metric"
    rule, assured = f"best {metric.title} on validation rows", {}
    if cost:
        by, rule = "cost", "least cost on validation rows"
        theory = cost_threshold(cost)
        if _theory_holds(theory, best if rates is None else None, positive, y, w, unit, cost, counter, groups, when, seed):
            fits = rates is None or bool(rates.held(count_cells(positive, y, w, np.array([theory])))[0])
            if fits:
                threshold, rule = theory, f"calibrated probability above {theory:.4g}, where acting costs less than not acting"
    if rates is not None:
        if threshold is None:
            threshold = rates.last_resort(count_cells(positive, y, w, cuts), cuts)
        assured = rates.assured(count_cells(positive, y, w, np.array([threshold])))
        by = "floor and cost" if cost else "floor"
        floors = " and ".join(f"{key} of at least {value:g}" for key, value in (floor or {}).items())
        rule = f"{rule if cost else f'best {name}'} among thresholds that hold a {floors} with 95 % confidence"
    elif not cost:
        base = metric.utility(metric.score(y, proba.argmax(axis=1), weight))
        gain = np.nanmax(_smooth(utility(counter.cells(w)))) - base
        if not gain > _NOTICEABLE * abs(metric.utility(metric.best) - base):
            return default
        # What is best on these rows is always better on them: it must also be when other rows choose.
        label = np.zeros(len(y), dtype=np.int64)
        for outside, found in _inner_folds(best, w, unit, counter, seed):
            label[outside] = positive[outside] >= (0.5 if found is None else found)
        if not metric.utility(metric.score(y, label, weight)) > base:
            return default
    # Metrics of labels are counted one cut at a time, which would take seconds with all of them.
    few = cuts if cost or not by_metric or len(cuts) <= _CANDIDATES_OF_DRAWS else cuts[:: len(cuts) // _CANDIDATES_OF_DRAWS + 1]
    low, high = _stability(best, Counter(positive, y, few), w, unit, draws, seed)
    assert threshold is not None
    if low is not None and high is not None:
        low, high = min(low, threshold), max(high, threshold)
    return ThresholdChoice(threshold, by, rule, low, high, cost, floor, assured)


def cost_threshold(cost: dict[str, float]) -> float:
    """Probability above which acting costs less than not acting.

    >>> cost_threshold({"fp": 1, "fn": 19})
    0.05
    """
    wrong, missed = cost["fp"] - cost.get("tn", 0.0), cost["fn"] - cost.get("tp", 0.0)
    return wrong / (wrong + missed)


def row_costs(positive: np.ndarray, y: np.ndarray, threshold: float, cost: dict[str, float]) -> np.ndarray:
    """Cost of each row if class 1 is predicted from a threshold on; -inf acts on everybody, inf on nobody."""
    acted = positive >= threshold
    return np.where(
        y == 1,
        np.where(acted, cost.get("tp", 0.0), cost["fn"]),
        np.where(acted, cost["fp"], cost.get("tn", 0.0)),
    )


def _objective(
    metric: Metric, cost: dict[str, float] | None, floor: dict[str, float] | None
) -> tuple[Callable[[Cells], np.ndarray], str]:
    if cost:
        return (
            lambda c: (
                -(cost["fp"] * c.fp + cost["fn"] * c.fn + cost.get("tp", 0.0) * c.tp + cost.get("tn", 0.0) * c.tn)
                / (c.tp + c.fp + c.fn + c.tn)
            ),
            "cost",
        )
    if metric.reads == "label" and metric.name not in _ONE_SIDED:
        y, label = np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0])

        def of_metric(c: Cells) -> np.ndarray:
            # Any metric of labels can be had from the four cells, as four rows with weights.
            rows = np.stack([c.tp, c.fp, c.fn, c.tn], axis=1)
            return np.array([metric.utility(metric.score(y, label, row)) for row in rows])

        return of_metric, metric.title
    if floor and "recall" in floor:
        return lambda c: np.where(c.tp + c.fp > 0, c.tp / np.maximum(c.tp + c.fp, 1e-300), 0.0), "precision"
    return lambda c: c.tp / np.maximum(c.tp + c.fn, 1e-300), "recall"


def _smooth(utilities: np.ndarray) -> np.ndarray:
    if len(utilities) < 4 * _SMOOTHING:
        return utilities
    padded = np.pad(utilities, _SMOOTHING // 2, mode="edge")
    return np.convolve(padded, np.full(_SMOOTHING, 1 / _SMOOTHING), mode="valid")


Best = Callable[[np.ndarray, Counter], float | None]


def _theory_holds(
    theory: float,
    best: Best | None,
    positive: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    unit: np.ndarray,
    cost: dict[str, float],
    counter: Counter,
    groups: np.ndarray | None,
    when: np.ndarray | None,
    seed: int,
) -> bool:
    """Whether the threshold of theory is no dearer, in inner folds, than the empirically cheapest one."""
    if best is None or int(unit.max()) + 1 < 2 * _FOLDS:
        return True
    gain = np.zeros(len(y))
    for outside, found in _inner_folds(best, w, unit, counter, seed):
        if found is None:
            return True
        gain[outside] = (row_costs(positive, y, theory, cost) - row_costs(positive, y, found, cost))[outside]
    mean = float(w @ gain / w.sum())
    spread = design(len(y), w, groups, when).units(w * (gain - mean) / w.sum()).variance
    return not mean > np.sqrt(np.nan_to_num(spread, nan=np.inf))


def _inner_folds(
    best: Best, w: np.ndarray, unit: np.ndarray, counter: Counter, seed: int
) -> Iterator[tuple[np.ndarray, float | None]]:
    """Rows of each inner fold, and the threshold that the other rows choose."""
    n_units = int(unit.max()) + 1
    fold = (np.random.default_rng([seed, 41]).permutation(n_units) % _FOLDS)[unit]
    for k in range(int(fold.max()) + 1):
        yield fold == k, best(np.where(fold == k, 0.0, w), counter)


def _stability(
    best: Best, counter: Counter, w: np.ndarray, unit: np.ndarray, draws: int, seed: int
) -> tuple[float | None, float | None]:
    """Where 95 % of resampled rows put the threshold."""
    rng = np.random.default_rng([seed, 43])
    n_units = int(unit.max()) + 1
    found = []
    for _ in range(draws):
        times = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units)
        threshold = best(w * times[unit], counter)
        if threshold is not None:
            found.append(threshold)
    if len(found) < 20:
        return None, None
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
