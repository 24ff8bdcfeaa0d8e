"""Statistics of coming rows that a column may equal: mean or sum, decayed mean, largest, smallest, median.

Windows reach from the row, or the row after it, over up to ten rows, or lie around the row. What is counted are rows on
which the statistic differs from the outcome of the row and from the same statistic of the past: on others a column of
the past would be equal too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from modelwright.audit.exact_lines import line_share
from modelwright.audit.rows_in_time import Sequence

_LONGEST, _HALF = 10, 5
_DECAYS = (0.5, 0.6, 0.7, 0.8, 0.9)
#: A form is looked at if it correlates with the column by this much, and is among the best of its outcome.
_MIN_CORRELATION, _TRIED = 0.2, 8
_MOST_POINTS = 4_000
_MIN_POINTS = 25
#: Share of the telling rows that must be equal, beyond what the same values in other rows give.
_MIN_SHARE, _MIN_BEYOND = 0.3, 0.25
#: From this many distinct values on, chance puts hardly any row on a line; with fewer, most of the rest must be equal.
_MANY_VALUES, _FEW_BEYOND, _FEW_SHARE = 15, 0.5, 0.6

#: Rows ahead that weighted means are tried over, and how many sets of rows are drawn for each.
_REACHES, _DRAWS = (2, 5), 300

Exact = tuple[str, float, int]


def exact_form(
    sequence: Sequence, values: dict[str, np.ndarray], series: list[np.ndarray], *, few_values: bool
) -> dict[str, Exact | None]:
    """What each column equals: the form in words, the share of the telling rows, and how many there are.

    Parameters
    ----------
    sequence : Sequence of L places
    values : name -> ndarray of shape (L,), NaN for gaps
    series : list of ndarray of shape (L,)
        The target, or an indicator of one outcome, each.
    few_values : bool
        Whether a column of few distinct values may count. In a file that lies in blocks they are equal by chance.
    """
    found: dict[str, Exact | None] = dict.fromkeys(values)
    if not series:
        return found
    names = list(values)
    x = np.stack([standard(values[name]) for name in names])
    for v in series:
        if len(np.unique(v[~np.isnan(v)])) >= _MANY_VALUES:
            for name in names:
                found[name] = found[name] or weighted_form(sequence, values[name], v)
        lags = {step: sequence.shifted(v, step) for step in range(-_LONGEST, _LONGEST + 1)}
        forms = list(_forms())
        s = np.stack([_statistic(kind, decay, [lags[step] for step in steps]) for kind, decay, steps in forms])
        correlation = np.abs(x @ np.stack([standard(row) for row in s]).T) / max(1, int((~np.isnan(v)).sum()))
        for i, name in enumerate(names):
            for place in np.argsort(-correlation[i], kind="stable")[:_TRIED]:
                if correlation[i, place] < _MIN_CORRELATION:
                    break
                kind, decay, steps = forms[place]
                ends = (0, -1) if len(steps) <= _LONGEST else (0,)
                past = [_statistic(kind, decay, [lags[end - back] for back in range(len(steps))]) for end in ends]
                # The largest of the rows around may lie in the past.
                reached = [step for step in steps if step <= 0]
                if len(reached) > 1:
                    past.append(_statistic(kind, decay, [lags[step] for step in reached]))
                share, n = _equal(values[name], s[place], lags[0], past, few_values)
                if share == 0 and few_values and kind in ("largest", "smallest"):
                    open_rows = np.ones(len(v), dtype=bool)
                    if reached:
                        top = np.nanmax(v) if kind == "largest" else np.nanmin(v)
                        open_rows = _statistic(kind, decay, [lags[step] for step in reached]) != top
                    share, n = _equal_extreme(values[name], s[place], open_rows, past)
                best = found[name]
                if share > (best[1] if best is not None else 0.0):
                    found[name] = (_words(kind, steps), share, n)
    return found


def weighted_form(sequence: Sequence, x: np.ndarray, v: np.ndarray) -> Exact | None:
    """A mean of the outcome over its row and coming rows, with any weights, found from random rows as a plane is."""
    for ahead in _REACHES:
        lags = np.stack([sequence.shifted(v, step) for step in range(ahead + 1)])
        usable = np.flatnonzero(~np.isnan(x) & ~np.isnan(lags).any(axis=0))
        if len(usable) < 4 * _MIN_POINTS or np.ptp(x[usable]) == 0:
            return None
        rng = np.random.default_rng(0)
        points = rng.choice(usable, min(_MOST_POINTS, len(usable)), replace=False)
        design = np.concatenate([np.ones((1, len(points))), lags[:, points]]).T
        drawn = rng.integers(0, len(points), size=(_DRAWS, ahead + 2))
        size = float(np.std(v[points])) or 1.0
        regular = np.abs(np.linalg.det(design[drawn] / np.where(np.arange(ahead + 2) > 0, size, 1.0))) > 1e-6
        if not regular.any():
            continue
        weights = np.linalg.solve(design[drawn[regular]], x[points][drawn[regular]][:, :, np.newaxis])[:, :, 0]
        first = slice(0, 400)
        reach = 1e-6 * float(np.ptp(x[points]))
        on = np.abs(design[first] @ weights.T - x[points][first, np.newaxis]) <= reach
        best = weights[int(np.argmax(on.sum(axis=0)))]
        # The weights of coming rows must matter, and the plane must hold on rows it was not chosen by.
        matters = np.abs(best[2:]).max() * float(np.std(v[points])) > 0.01 * float(np.std(x[points]))
        held = np.abs(design @ best - x[points]) <= reach
        if matters and held.mean() >= _MIN_SHARE and len(np.unique(x[points][held])) >= _MANY_VALUES:
            return f"a weighted mean of the outcome over its row and the next {ahead}", float(held.mean()), len(points)
    return None


def _forms() -> Iterator[tuple[str, float, tuple[int, ...]]]:
    windows = [tuple(range(first, last + 1)) for first in (0, 1) for last in range(1, _LONGEST + 1)]
    centred = [tuple(range(-half, half + 1)) for half in range(1, _HALF + 1)]
    for steps in windows + centred:
        yield "mean", 1.0, steps
        if len(steps) > 1:
            yield "largest", 1.0, steps
            yield "smallest", 1.0, steps
        if len(steps) > 2:
            yield "median", 1.0, steps
        if len(steps) > 1 and steps[0] >= 0:
            for decay in _DECAYS:
                yield "decayed mean", decay, steps


def _statistic(kind: str, decay: float, lags: list[np.ndarray]) -> np.ndarray:
    window = np.stack(lags)
    if kind == "median":
        return np.asarray(np.median(window, axis=0))
    if kind == "largest":
        return np.asarray(window.max(axis=0))
    if kind == "smallest":
        return np.asarray(window.min(axis=0))
    weight = decay ** np.arange(len(window))
    return np.asarray(weight @ window / weight.sum())


def _words(kind: str, steps: tuple[int, ...]) -> str:
    if steps[0] < 0:
        where = f"the {len(steps)} rows around its row"
    elif len(steps) == 1:
        return "the outcome of the next row" if steps[0] == 1 else f"the outcome {steps[0]} rows later"
    elif steps[0] == 0:
        where = f"its row and the next {len(steps) - 1}"
    else:
        where = f"the next {len(steps)} rows"
    return f"the {kind} of the outcome over {where}"


def standard(values: np.ndarray) -> np.ndarray:
    """Ranks would be dear; extreme values are cut, and gaps count as the middle."""
    filled = values[~np.isnan(values)]
    if not len(filled):
        return np.zeros_like(values)
    low, high = np.quantile(filled, [0.005, 0.995])
    if low == high:
        low, high = filled.min(), filled.max()
    cut = np.clip(values, low, high)
    spread = np.nanstd(cut)
    if not spread > 0:
        return np.zeros_like(values)
    return np.nan_to_num((cut - np.nanmean(cut)) / spread, nan=0.0)


def _equal(x: np.ndarray, s: np.ndarray, now: np.ndarray, past: list[np.ndarray], few_values: bool) -> tuple[float, int]:
    """Share of the telling rows on which x is a scaling of s, 0.0 if chance or the past explains it; and their number."""
    telling = ~np.isnan(x) & ~np.isnan(s)
    for other in (now, *past):
        telling &= ~(np.abs(s - other) <= 1e-9 * (1 + np.abs(s)))
    points = np.flatnonzero(telling)
    if len(points) < _MIN_POINTS:
        return 0.0, len(points)
    points = _balanced(points, s)
    if len(points) < _MIN_POINTS:
        return 0.0, len(points)
    share, distinct = line_share(x[points], s[points])
    enough, beyond = (_MIN_SHARE, _MIN_BEYOND) if distinct >= _MANY_VALUES else (_FEW_SHARE, _FEW_BEYOND)
    if share < enough or (distinct < _MANY_VALUES and not few_values):
        return 0.0, len(points)
    # Neighbours are alike in slow series: being equal to a neighbour's statistic as often shows nothing.
    others = [np.random.default_rng(1).permutation(points), *(np.roll(points, step) for step in (-3, -2, 2, 3))]
    chance = max(line_share(x[points], s[other])[0] for other in others)
    exact = (share - chance) / max(1e-9, 1 - chance) >= beyond
    return (share if exact else 0.0), len(points)


def _equal_extreme(x: np.ndarray, s: np.ndarray, open_rows: np.ndarray, past: list[np.ndarray]) -> tuple[float, int]:
    """The same for the extreme of an outcome of few values, on rows that the past leaves open.

    Where the largest of two classes differs from the past it is always 1, so that such rows tell nothing; where the past
    holds no 1, it is 0 or 1 by what comes.
    """
    known = ~np.isnan(x) & ~np.isnan(s) & ~np.isnan(past).any(axis=0)
    points = np.flatnonzero(known & open_rows)
    if len(points) < _MIN_POINTS or len(np.unique(s[points])) < 2:
        return 0.0, len(points)
    points = _balanced(points, s)
    if len(points) < _MIN_POINTS:
        return 0.0, len(points)
    share = line_share(x[points], s[points])[0]
    if share < _FEW_SHARE:
        return 0.0, len(points)
    others = [np.random.default_rng(1).permutation(points), *(np.roll(points, step) for step in (-3, -2, 2, 3))]
    chance = max(line_share(x[points], s[other])[0] for other in others)
    behind = max(line_share(x[points], other[points])[0] for other in past)
    room = max(1e-9, 1 - chance)
    exact = (share - chance) / room >= _FEW_BEYOND and (share - behind) / room >= _FEW_BEYOND / 2
    return (share if exact else 0.0), len(points)


def _balanced(points: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Not too many points; of few values none holds more than the second most frequent: a constant equals it mostly."""
    values, inverse, counts = np.unique(np.round(s[points], 9), return_inverse=True, return_counts=True)
    if 1 < len(values) < _MANY_VALUES:
        most = int(np.sort(counts)[-2])
        place = np.zeros(len(points), dtype=np.int64)
        order = np.argsort(inverse, kind="stable")
        place[order] = np.arange(len(points)) - np.repeat(np.cumsum(counts) - counts, counts)
        # Spread over the stretch, not its beginning.
        points = points[np.floor(place * most / counts[inverse]) > np.floor((place - 1) * most / counts[inverse])]
    return np.asarray(points[np.linspace(0, len(points) - 1, min(_MOST_POINTS, len(points))).astype(np.int64)])
