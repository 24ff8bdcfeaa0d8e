"""Does a window of rows come from where the training rows came from? Column by column, and the model's answers too.

Each column is judged by a p-value, corrected for the number of columns, **and** by a distance in plain units: the first
alone alarms at every trifle once windows are large, the second alone at pure chance while they are small.

Notation: m reference cells, n cells of the window, F and G their shares of cells up to a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
import polars as pl
from scipy import special

from modelwright.tables.profile import ColumnProfile, Labels, Numbers

State = Literal["ok", "warning", "alarm", "not enough data"]

#: Expected cells below which labels are counted together, so that chi-square holds.
_FEW = 5.0


class Rule(msgspec.Struct, frozen=True):
    """When a column has drifted.

    Parameters
    ----------
    min_rows : int
        Filled cells of the window below which nothing is said.
    p : float
        Largest p-value, after Holm's correction for all columns of the window.
    alarm, warning : float
        Least distance (share of rows, 0 to 1) for an alarm and for a warning.
    persists : tuple of int
        (k, w): the distance and the p-value have held in k of the last w windows, this one included.
    """

    min_rows: int = 200
    p: float = 0.005
    alarm: float = 0.1
    warning: float = 0.05
    persists: tuple[int, int] = (2, 3)


class Drift(msgspec.Struct, frozen=True):
    """How far one column of a window lies from the reference.

    ``distance`` is the Kolmogorov-Smirnov distance of numbers, the total variation of labels: in both cases the largest
    difference between two shares of rows. ``p`` is adjusted for the columns judged together. ``moved`` says in words what
    changed. ``exceeds`` is whether both limits of an alarm are passed in this window, whatever the ones before say.
    """

    name: str
    kind: Literal["numbers", "labels"]
    n: int
    distance: float
    p: float
    moved: str = ""
    exceeds: bool = False
    state: State = "ok"


def drift_of(reference: ColumnProfile, cells: pl.Series, *, slack: float = 0.0) -> Drift:
    """Compare the cells of a window with the reference, by themselves; `judged` corrects for the other columns.

    Parameters
    ----------
    reference : Numbers or Labels
    cells : Series of n cells
        As `profile.comparable` gives them.
    slack : float, default=0.0
        By how much numbers may move and count as where they were, in their unit: a probability of 0.002 instead of 0.001
        is no drift, though every row lies elsewhere.

    Returns
    -------
    Drift
        With the uncorrected ``p``, and ``state`` "ok".

    References
    ----------
    .. [1] Stephens, J. R. Stat. Soc. B 32 (1970), for the small-sample form of the limiting distribution.
    """
    if isinstance(reference, Numbers):
        return _of_numbers(reference, cells, slack)
    return _of_labels(reference, cells)


def judged(
    drifts: Sequence[Drift],
    before: Sequence[frozenset[str]] = (),
    *,
    importance: Mapping[str, float] | None = None,
    rule: Rule | None = None,
) -> list[Drift]:
    """Apply the rule to the columns of one window.

    Parameters
    ----------
    drifts : sequence of Drift
    before : sequence of frozenset of str
        Names that exceeded the limits in the windows before, the latest last; windows without enough rows left out.
    importance : mapping of str to float, optional
        Orders columns of one state, times their distance.
    rule : Rule, optional

    Returns
    -------
    list of Drift
        Alarms first.
    """
    rule = rule or Rule()
    enough = [drift for drift in drifts if drift.n >= rule.min_rows]
    adjusted = dict(zip([drift.name for drift in enough], holm([drift.p for drift in enough]), strict=True))
    needed, looked_at = rule.persists
    recent = list(before[-(looked_at - 1) :]) if looked_at > 1 else []
    found = []
    for drift in drifts:
        if drift.name not in adjusted:
            found.append(msgspec.structs.replace(drift, state="not enough data"))
            continue
        p = adjusted[drift.name]
        exceeds = p < rule.p and drift.distance >= rule.alarm
        lasting = exceeds and 1 + sum(drift.name in names for names in recent) >= needed
        moved = p < rule.p and drift.distance >= rule.warning
        state: State = "alarm" if lasting else "warning" if moved else "ok"
        found.append(msgspec.structs.replace(drift, p=p, exceeds=exceeds, state=state))
    weights = dict(importance or {})
    states: tuple[State, ...] = ("alarm", "warning", "ok", "not enough data")
    return sorted(found, key=lambda d: (states.index(d.state), -d.distance * weights.get(d.name, 0.0), -d.distance))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm, Scand. J. Statist. 6, 1979), in their order.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def _of_numbers(reference: Numbers, cells: pl.Series, slack: float) -> Drift:
    filled = cells.drop_nulls().drop_nans().to_numpy()
    filled = np.sort(filled[np.isfinite(filled)])
    m, n = reference.n, len(filled)
    if not m or not n:
        return Drift(reference.name, "numbers", 0, 0.0, 1.0)
    values, shares = np.asarray(reference.values), np.asarray(reference.shares)
    # Both shares are exact at the knots, so this is never more than the distance over all values.
    above, below = (np.searchsorted(filled, values + by, side="right") / n for by in (slack, -slack))
    distance = max(float((shares - above).max()), float((below - shares).max()), 0.0)
    root = np.sqrt(m * n / (m + n))
    p = float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))
    middle = float(np.median(filled))
    was = float(values[min(int(np.searchsorted(shares, 0.5)), len(values) - 1)])
    what = "median length" if reference.of_length else "median"
    moved = f"{what} {was:.4g} → {middle:.4g}, mean {reference.mean:.4g} → {filled.mean():.4g}"
    return Drift(reference.name, "numbers", n, distance, p, moved)


def _of_labels(reference: Labels, cells: pl.Series) -> Drift:
    filled = cells.drop_nulls()
    m, n = reference.n, len(filled)
    if not m or not n:
        return Drift(reference.name, "labels", 0, 0.0, 1.0)
    counted = dict(zip(*(column.to_list() for column in filled.value_counts()), strict=True))
    known = set(reference.levels)
    # A label that only the window has is a label like one that only the reference has: both are mostly chance.
    coming = [] if reference.rest else sorted(level for level in counted if level not in known)
    then = np.array([*reference.counts, *(0 for _ in coming), reference.rest], dtype=np.float64)
    now = np.array([*(counted.get(level, 0) for level in (*reference.levels, *coming)), 0], dtype=np.float64)
    now[-1] = n - now.sum()
    names = [*reference.levels, *coming, "rare labels"]
    then, now, names = _pooled(then, now, names)
    both = then + now
    statistic = float((((then / m - now / n) ** 2) / both).sum() * m * n)
    p = float(special.chdtrc(len(both) - 1, statistic)) if len(both) > 1 else 1.0
    difference = now / n - then / m
    most = int(np.abs(difference).argmax())
    moved = f"{names[most]!r} {then[most] / m:.1%} → {now[most] / n:.1%}"
    return Drift(reference.name, "labels", n, float(np.abs(difference).sum() / 2), p, moved)


def _pooled(then: np.ndarray, now: np.ndarray, names: list[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels of which too few are expected in either sample counted together, with the last entry, which is no label."""
    share = (then + now) / (then.sum() + now.sum())
    rare = share * min(then.sum(), now.sum()) < _FEW
    rare[-1] = True
    kept = [name for name, few in zip(names, rare, strict=True) if not few]
    pool = [np.append(counts[~rare], counts[rare].sum()) for counts in (then, now)]
    if share[rare].sum() * min(then.sum(), now.sum()) >= _FEW or not kept:
        return pool[0], pool[1], [*kept, "rare labels"]
    # Still too few: with the rarest of the others.
    rarest = int((pool[0] + pool[1])[:-1].argmin())
    for counts in pool:
        counts[rarest] += counts[-1]
    return pool[0][:-1], pool[1][:-1], kept
