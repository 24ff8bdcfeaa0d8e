"""Whether intervals and sets hold on evaluation rows what they promise."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from modelwright.ensembles.conformal import Conformal, intervals, promised, sets
from modelwright.metrics.dependence import design
from modelwright.metrics.estimate import Interval

#: Groups with fewer rows say nothing of their own coverage.
_LEAST_OF_GROUP = 50
_NOMINAL = 0.9


class WorstGroup(msgspec.Struct, frozen=True):
    """The group, class or fifth of the predictions with the least coverage, among those with at least 50 rows."""

    kind: str
    name: str
    coverage: Interval
    n_rows: int


class ConformalReport(msgspec.Struct, frozen=True):
    """Coverage on evaluation rows.

    ``coverage`` has the binomial (Wilson) interval of independent rows, ``coverage_dependent`` the one that minds groups
    and time, None where rows are independent. ``size`` is the mean width in units of the target, or the mean number of
    classes in a set. ``promised`` is where the coverage of so many calibration rows lies with probability 0.95 (beta
    distribution). ``rolling`` holds the coverage of blocks in time of the validation rows by those before them.
    ``worst`` lists the worst part of each kind.
    """

    kind: str
    method: str
    nominal: float
    coverage: Interval
    coverage_dependent: Interval | None
    size: float
    n_rows: int
    n_calibration: int
    n_effective: float
    promised: tuple[float, float]
    worst: list[WorstGroup] = []
    rolling: tuple[float, ...] = ()
    sentence: str = ""


def report_conformal(
    conformal: Conformal,
    y: np.ndarray,
    prediction: np.ndarray,
    *,
    nominal: float = _NOMINAL,
    labels: list[Any] | None = None,
    groups: np.ndarray | None = None,
    group_labels: np.ndarray | None = None,
    when: np.ndarray | None = None,
) -> ConformalReport:
    """Measure coverage.

    Parameters
    ----------
    conformal : Conformal
    y : ndarray of shape (n,)
    prediction : ndarray
        Numbers of shape (n,), or calibrated probabilities of shape (n, K).
    nominal : float, default=0.9
        A coverage that so few calibration rows cannot promise is measured as far as they go.
    labels : list, optional
        Of the classes by number.
    groups, when : ndarray of shape (n,), optional
        Entity and moment of each row.
    group_labels : ndarray of shape (n,), optional
        Names of the entities.
    """
    parts: list[tuple[str, np.ndarray, list[str]]] = []
    if conformal.kind == "interval":
        ends = intervals(conformal, prediction, nominal, strict=False)
        hit, size = (ends[:, 0] <= y) & (y <= ends[:, 1]), float((ends[:, 1] - ends[:, 0]).mean())
        fifth = np.searchsorted(np.unique(np.quantile(prediction, [0.2, 0.4, 0.6, 0.8])), prediction, side="right")
        parts.append(("fifth of the predictions", fifth, [f"{k + 1}" for k in range(int(fifth.max()) + 1)]))
    else:
        held = sets(conformal, prediction, nominal, strict=False)
        hit, size = held[np.arange(len(y)), y], float(held.sum(axis=1).mean())
        parts.append(("class", y, [str(label) for label in labels or range(prediction.shape[1])]))
    if groups is not None:
        number, first = np.unique(groups, return_index=True, return_inverse=True)[2], np.unique(groups, return_index=True)[1]
        names = [str((groups if group_labels is None else group_labels)[i]) for i in first]
        parts.append(("group", number, names))
    n = len(y)
    share = float(hit.mean())
    dependent = None
    if groups is not None or when is not None:
        units = design(n, None, groups, when).units((hit - share) / n)
        worth = share * (1 - share) / units.variance if units.variance > 0 else float(n)
        dependent = _coverage(share, float(np.clip(worth, 1.0, n)))
    found = ConformalReport(
        kind=conformal.kind,
        method=conformal.method,
        nominal=nominal,
        coverage=_coverage(share, n),
        coverage_dependent=dependent,
        size=size,
        n_rows=n,
        n_calibration=conformal.n_rows,
        n_effective=conformal.n_effective,
        promised=promised(conformal, nominal),
        worst=[w for kind, number, names in parts if (w := _worst(kind, number, names, hit)) is not None],
        rolling=conformal.rolling,
    )
    return msgspec.structs.replace(found, sentence=_sentence(found))


def _worst(kind: str, number: np.ndarray, names: list[str], hit: np.ndarray) -> WorstGroup | None:
    count = np.bincount(number, minlength=len(names))
    large = np.flatnonzero(count >= _LEAST_OF_GROUP)
    if len(large) < 2:
        return None
    share = np.bincount(number, weights=hit, minlength=len(names))[large] / count[large]
    k = int(np.argmin(share))
    return WorstGroup(kind, names[large[k]], _coverage(float(share[k]), int(count[large[k]])), int(count[large[k]]))


def _coverage(share: float, n: float) -> Interval:
    from modelwright.metrics.intervals import wilson

    found = wilson(share, n, 1.96)
    return Interval(share, found.low, found.high)


def _sentence(found: ConformalReport) -> str:
    what = "Intervals" if found.kind == "interval" else "Sets"
    size = f"mean width {found.size:.4g}" if found.kind == "interval" else f"{found.size:.2f} classes on average"
    range_ = found.coverage_dependent or found.coverage
    low, high = found.promised
    return (
        f"{what} for {found.nominal:.0%} hold {range_.value:.1%} of {found.n_rows:,} evaluation rows "
        f"(95 % interval {range_.low:.1%} to {range_.high:.1%}; {size}). Calibrated on {found.n_calibration:,} rows"
        f"{_worth(found)}, they can be expected to hold {low:.1%} to {high:.1%} of rows like these."
    )


def _worth(found: ConformalReport) -> str:
    if found.n_effective > 0.99 * found.n_calibration:
        return ""
    return f", worth {found.n_effective:,.0f} independent ones"
