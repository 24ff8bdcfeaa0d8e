"""Where the model is wrong: groups of rows with a higher loss, searched on validation rows and confirmed on sealed ones.

Notation: n rows with losses l_i of mean m; a slice holds s rows with mean loss e. It is ranked by
a (e / m - 1) - (1 - a) (n / s - 1), which asks for much error and enough rows [1]_. Conditions are single values or
bins of one or two columns. The same rows must not both find and prove a slice: what the search names is tested on
rows that it never saw, with the false discovery rate held over all that are tested.

References
----------
.. [1] Sagadeeva, Boehm, "SliceLine: Fast, Linear-Algebra-based Slice Finding for ML Model Debugging", SIGMOD 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import msgspec
import numpy as np
import polars as pl
from scipy import special

from modelwright.metrics.estimate import Interval
from modelwright.metrics.intervals import interval
from modelwright.metrics.metric import Metric
from modelwright.tables.schema import Column

#: Weight of error against size in the ranking.
_ALPHA = 0.95
_BINS = 5
_MOST_LEVELS = 15
_LEAST_SHARE, _LEAST_ROWS = 0.03, 40
#: Single conditions that are combined in pairs.
_PARENTS = 40
MOST_SLICES = 10
_MOST_ROWS = 50_000
#: Two slices that share this much of their rows say the same thing.
_OVERLAP = 0.6
_FALSE_DISCOVERIES = 0.05
#: Sealed rows that a slice needs to be judged.
_FEWEST_SEALED = 20
#: Where rows are not independent: entities or stretches of time inside the slice, and outside.
_FEWEST_UNITS = 6


class Slice(msgspec.Struct, frozen=True):
    """Rows on which the model does worse.

    ``score`` is the metric on the sealed rows of the slice (None if too few), ``excess`` the mean loss there as a
    multiple of the mean loss elsewhere, ``p_value`` adjusted for all slices tested, ``confirmed`` whether chance is
    unlikely on the sealed rows.
    """

    conditions: list[str]
    n_validation: int
    n_sealed: int
    excess_validation: float
    excess: float | None
    score: Interval | None
    p_value: float | None
    confirmed: bool


@dataclass(frozen=True)
class Condition:
    """One value or one bin of a column; ``words`` says it to the user."""

    column: str
    words: str
    low: float = -np.inf
    high: float = np.inf
    level: str | None = None
    missing: bool = False

    def holds(self, cells: pl.Series) -> np.ndarray:
        """Which rows fulfil it."""
        if self.missing:
            return cells.is_null().to_numpy()
        if self.level is not None:
            return (cells == self.level).fill_null(False).to_numpy()
        numbers = as_numbers(cells)
        with np.errstate(invalid="ignore"):
            return np.asarray((numbers >= self.low) & (numbers < self.high))


def as_numbers(cells: pl.Series) -> np.ndarray:
    """Cells as float64, NaN where missing."""
    return cells.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy()


def find_slices(
    frame: pl.DataFrame, loss: np.ndarray, columns: Sequence[Column], *, seed: int = 0
) -> list[tuple[Condition, ...]]:
    """Slices of the highest loss.

    Parameters
    ----------
    frame : DataFrame of n rows
        Conformed validation rows.
    loss : ndarray of shape (n,)
        Loss of each row, predicted by models that did not train on it.
    columns : sequence of Column
        Columns that may make conditions; texts are left out.
    seed : int, default=0
        Draws the rows that are looked at when there are more than 50,000.

    Returns
    -------
    list of tuple of Condition
        At most 10, the worst first; empty if nothing stands out.
    """
    usable = np.isfinite(loss)
    rows = np.flatnonzero(usable)
    if len(rows) > _MOST_ROWS:
        rows = np.sort(np.random.default_rng([seed, 53]).choice(rows, _MOST_ROWS, replace=False))
    if len(rows) < 2 * _LEAST_ROWS:
        return []
    frame, loss = frame[rows], loss[rows]
    least = max(_LEAST_ROWS, int(_LEAST_SHARE * len(rows)))
    singles: list[tuple[tuple[Condition, ...], np.ndarray]] = []
    for column in columns:
        if column.type == "text" or column.name not in frame.columns:
            continue
        cells = frame[column.name]
        for condition in _conditions(cells, column):
            mask = condition.holds(cells)
            if least <= int(mask.sum()) <= 0.7 * len(rows):
                singles.append(((condition,), mask))
    ranked = sorted(singles, key=lambda item: -_rank(item[1], loss))
    found = ranked[: 4 * MOST_SLICES]
    for (a, left), (b, right) in combinations(ranked[:_PARENTS], 2):
        if a[0].column == b[0].column:
            continue
        mask = left & right
        # A pair is worth its longer words only if it is clearly worse than either condition alone.
        if int(mask.sum()) >= least and loss[mask].mean() > 1.1 * max(loss[left].mean(), loss[right].mean()):
            found.append(((*a, *b), mask))
    return [conditions for conditions, _ in _apart(sorted(found, key=lambda item: -_rank(item[1], loss)), loss)]


def _conditions(cells: pl.Series, column: Column) -> list[Condition]:
    name = column.name
    made: list[Condition] = []
    if cells.null_count():
        made.append(Condition(name, f"{name} is missing", missing=True))
    filled = cells.drop_nulls()
    if filled.dtype == pl.String:
        levels = filled.value_counts(sort=True).head(_MOST_LEVELS)
        return made + [Condition(name, f"{name} = {level!r}", level=level) for level in levels.to_series(0).to_list()]
    if not len(filled) or filled.dtype == pl.Object:
        return made
    if filled.dtype == pl.Boolean:
        answers = {0.0: "no", 1.0: "yes"}
        return made + [Condition(name, f"{name} is {word}", low=v, high=v + 0.5) for v, word in answers.items()]
    values = as_numbers(filled)
    distinct = np.unique(values)
    if len(distinct) <= _BINS + 1:
        return made + [Condition(name, f"{name} = {_shown(filled, v)}", low=v, high=np.nextafter(v, np.inf)) for v in distinct]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1], method="nearest"))
    bounds = [-np.inf, *edges, np.inf]
    for low, high in pairwise(bounds):
        if np.isinf(low):
            words = f"{name} < {_shown(filled, high)}"
        elif np.isinf(high):
            words = f"{name} >= {_shown(filled, low)}"
        else:
            words = f"{_shown(filled, low)} <= {name} < {_shown(filled, high)}"
        made.append(Condition(name, words, low=float(low), high=float(high)))
    return made


def _shown(cells: pl.Series, value: float) -> str:
    """A bound in the units of the column: a date as a date."""
    if cells.dtype.is_temporal():
        return str(pl.Series([int(value)]).cast(cells.dtype)[0])[:10]
    return f"{value:.6g}"


def _rank(mask: np.ndarray, loss: np.ndarray) -> float:
    size, mean = int(mask.sum()), float(loss.mean())
    if size == 0 or mean <= 0:
        return -np.inf
    return float(_ALPHA * (loss[mask].mean() / mean - 1) - (1 - _ALPHA) * (len(loss) / size - 1))


def _apart(
    ranked: list[tuple[tuple[Condition, ...], np.ndarray]], loss: np.ndarray
) -> list[tuple[tuple[Condition, ...], np.ndarray]]:
    """The first ones that are not nearly the same rows as a better one, and whose loss is above chance."""
    kept: list[tuple[tuple[Condition, ...], np.ndarray]] = []
    spread = float(loss.std())
    for conditions, mask in ranked:
        if len(kept) == MOST_SLICES or _rank(mask, loss) <= 0:
            break
        if loss[mask].mean() - loss.mean() < 2 * spread / np.sqrt(mask.sum()):
            continue
        shared = [int((mask & other).sum()) / int((mask | other).sum()) for _, other in kept]
        if not shared or max(shared) < _OVERLAP:
            kept.append((conditions, mask))
    return kept


def confirm_slices(
    slices: Sequence[tuple[Condition, ...]],
    *,
    validation: tuple[pl.DataFrame, np.ndarray],
    sealed: tuple[pl.DataFrame, np.ndarray],
    y: np.ndarray,
    prediction: np.ndarray,
    metric: Metric,
    threshold: float | None = None,
    clusters: np.ndarray | None = None,
) -> list[Slice]:
    """Judge on sealed rows what was found on validation rows.

    Parameters
    ----------
    slices : sequence of tuple of Condition
        From `find_slices`.
    validation, sealed : tuple of DataFrame and ndarray
        Conformed rows and their losses.
    y, prediction : ndarray
        Of the sealed rows, for the metric inside each slice.
    metric : Metric
    threshold : float, optional
    clusters : ndarray of shape (n_sealed,), int, optional
        Unit of each sealed row, where rows are not independent.

    Returns
    -------
    list of Slice
        Confirmed ones first, the largest excess first.
    """
    frame, loss = sealed
    masks = [_mask(conditions, frame) for conditions in slices]
    p_values = [_p_of_excess(mask, loss, clusters) for mask in masks]
    judged = [k for k, p in enumerate(p_values) if p is not None]
    adjusted: dict[int, float] = {}
    if judged:
        raw = np.array([p_values[k] for k in judged], dtype=np.float64)
        from scipy.stats import false_discovery_control  # slow to import, and records of slices are read without it

        adjusted = dict(zip(judged, false_discovery_control(raw).tolist(), strict=True))
    made = []
    for k, (conditions, mask) in enumerate(zip(slices, masks, strict=True)):
        of_validation = _mask(conditions, validation[0])
        score = None
        if k in adjusted:
            found = interval(
                metric,
                y[mask],
                prediction[mask],
                groups=None if clusters is None else clusters[mask],
                threshold=threshold,
            )
            if np.isfinite([found.value, found.low, found.high]).all():
                score = Interval(found.value, found.low, found.high)
        made.append(
            Slice(
                conditions=[condition.words for condition in conditions],
                n_validation=int(of_validation.sum()),
                n_sealed=int(mask.sum()),
                excess_validation=_excess(of_validation, validation[1]) or 0.0,
                excess=_excess(mask, loss) if k in adjusted else None,
                score=score,
                p_value=adjusted.get(k),
                confirmed=k in adjusted and adjusted[k] < _FALSE_DISCOVERIES and (_excess(mask, loss) or 0.0) > 1,
            )
        )
    return sorted(made, key=lambda s: (not s.confirmed, -(s.excess or 0.0)))


def _mask(conditions: Sequence[Condition], frame: pl.DataFrame) -> np.ndarray:
    mask = np.ones(frame.height, dtype=bool)
    for condition in conditions:
        mask &= condition.holds(frame[condition.column])
    return mask


def _excess(mask: np.ndarray, loss: np.ndarray) -> float | None:
    inside, outside = loss[mask], loss[~mask]
    if not len(inside) or not len(outside) or not outside.mean() > 0:
        return None
    return float(inside.mean() / outside.mean())


def _p_of_excess(mask: np.ndarray, loss: np.ndarray, clusters: np.ndarray | None) -> float | None:
    """One-sided p-value for a higher mean loss inside; None with too few rows."""
    inside, outside = int(mask.sum()), int((~mask).sum())
    if min(inside, outside) < _FEWEST_SEALED:
        return None
    if clusters is not None and min(len(np.unique(clusters[mask])), len(np.unique(clusters[~mask]))) < _FEWEST_UNITS:
        return None  # a slice of a few entities says something about these entities, not about the condition
    psi = np.where(mask, (loss - loss[mask].mean()) / inside, -(loss - loss[~mask].mean()) / outside)
    units = psi if clusters is None else np.bincount(clusters, weights=psi)
    n_units = len(units)
    var = float(units @ units) * n_units / max(1, n_units - 1)
    if not np.isfinite(var) or var <= 0 or n_units < 3:
        return None
    return float(special.stdtr(n_units - 1, (loss[~mask].mean() - loss[mask].mean()) / np.sqrt(var)))
