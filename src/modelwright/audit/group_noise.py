"""Whether a column that is constant inside groups knows the sampling noise of the target's group means.

Notation: G groups, M_g the mean of the target over the n_g training rows of group g, N_g all its rows, s_g^2 the
variance of one row, x_g the column. M_g is the true effect of the group plus noise of variance s_g^2 / n_g. An honest
column may know the effect, never the noise: what it leaves of the means is at least as large as the noise. (The bound on
correlations by the reliability of M says the same; residuals need fewer groups to say it.) A mean, a smoothed mean and
a sum, scaled and shifted, are linear in x, x/N, 1/N and 1, so that one regression takes them all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, norm

_MIN_GROUPS = 12
#: Chance of one false alarm in a table, over all columns, groupings and outcomes.
_ALARM = 0.01
#: Chance of one false doubt about a column; honest columns rarely know all but the noise, so that fewer are raised.
_DOUBT = 0.03
#: Share of the groups on one exact plane, distinct values on it, and what the same may give with dealt outcomes.
_EXACT_SHARE, _EXACT_VALUES, _EXACT_CHANCE = 0.3, 10, 0.4
_DRAWS = 400
#: Share of the groups that a trimmed fit keeps: the others may hold the statistic of another group.
_KEPT = 0.6
_STARTS, _STEPS, _SIMULATIONS = 16, 5, 20
_DRAWN_RATES = 80
#: Groups whose noise must be looked for, in effect.
_MIN_FREEDOM = 5.0
#: Largest ratio to the noise that counts, however improbable a larger one is.
_MOST_RATIO = 0.85

Found = tuple[str, dict[str, float | int], float]


@dataclass(frozen=True)
class Groups:
    """One value a group: the column, the mean, the variance of one row, training rows, all rows; whether means are rates."""

    x: np.ndarray
    means: np.ndarray
    spread: np.ndarray
    counts: np.ndarray
    everything: np.ndarray
    rates: bool

    @property
    def views(self) -> np.ndarray:
        """What a statistic of all rows is linear in, shape (G, 4)."""
        x = (self.x - self.x.mean()) / self.x.std()
        size = self.everything / self.everything.mean()
        return np.stack([np.ones(len(x)), x, x / size, 1 / size], axis=1)


def by_group(x: np.ndarray, units: np.ndarray, row: np.ndarray, everything: np.ndarray) -> Groups | None:
    """Groups of two rows and more; None if there are few, or x is the same in all.

    Parameters
    ----------
    x, row : ndarray of shape (n,)
        Column, constant inside the groups, and target.
    units : ndarray of shape (n,), 0..G-1
    everything : ndarray of shape (G,)
        Rows of each group, sealed ones included.
    """
    counts = np.bincount(units).astype(np.float64)
    first = np.zeros(len(counts), dtype=np.int64)
    first[units[::-1]] = np.arange(len(units))[::-1]
    value = x[first]
    used = (counts >= 2) & ~np.isnan(value)
    if used.sum() < _MIN_GROUPS or np.ptp(value[used]) == 0:
        return None
    means = np.bincount(units, weights=row) / counts
    spread = np.bincount(units, weights=(row - means[units]) ** 2) / np.maximum(counts - 1, 1)
    return Groups(
        value[used],
        means[used],
        spread[used],
        counts[used],
        everything[used].astype(np.float64),
        bool(np.isin(row, (0, 1)).all()),
    )


def knows_noise(groups: Groups, tests: int, outcomes: int) -> Found | None:
    """Form, numbers and strength of the evidence, by the strict tests; None if there is none.

    Parameters
    ----------
    groups : Groups
    tests : int
        Columns times groupings times outcomes that are tried in the table.
    outcomes : int
        Outcomes alone. Evidence that only stands up to these has a strength below 0: a doubt, no proof.
    """
    if not groups.spread.any():
        return None
    return _exactly(groups) or _too_near(groups, tests, outcomes)


def explained(groups: Groups) -> float:
    """Share of the variance of the means that x explains as a statistic would."""
    weight = np.sqrt(groups.counts)
    _, left, _ = _fit(groups.views, groups.means, weight)
    alone = weight * (groups.means - np.average(groups.means, weights=groups.counts))
    whole = float(alone @ alone)
    return 1 - float(left @ left) / whole if whole > 0 else 0.0


def _exactly(groups: Groups) -> Found | None:
    """Exactly a statistic, in groups of which no row is sealed and whose outcomes differ."""
    whole = (groups.counts == groups.everything) & (groups.spread > 1e-9 * groups.spread.max())
    if whole.sum() < _MIN_GROUPS or len(np.unique(groups.x[whole])) < _EXACT_VALUES:
        return None
    rng = np.random.default_rng(0)
    # In terms of the sum: of a mean x it is n x; of a smoothed one (n + k) x - k m; of a sum it is x.
    x = (groups.x[whole] - groups.x[whole].mean()) / groups.x[whole].std()
    n = groups.counts[whole] / groups.counts[whole].mean()
    total = groups.means[whole] * n
    views = np.stack([np.ones_like(x), x, n * x, n], axis=1)
    views = views[:, [0, 1]] if np.ptp(n) == 0 else views
    share, values = _plane(views, total, rng)
    chance = _plane(views, _dealt(groups, whole, rng) * n, rng)[0]
    if share < _EXACT_SHARE or values < _EXACT_VALUES or chance > _EXACT_CHANCE * share:
        return None
    numbers = {"exact_share": round(share, 4), "chance_share": round(chance, 4), "groups": int(whole.sum())}
    return "mean or sum", numbers, 10.0 + share


def _dealt(groups: Groups, whole: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means dealt to other groups of about the same size."""
    means, counts = groups.means[whole], groups.counts[whole]
    order = np.lexsort((rng.random(len(means)), counts))
    dealt = np.empty_like(means)
    dealt[order] = means[np.roll(order, 1)]
    return dealt


def _plane(views: np.ndarray, total: np.ndarray, rng: np.random.Generator) -> tuple[float, int]:
    """Share of the points on the plane through a few of them that holds most, and their distinct values."""
    q = views.shape[1]
    drawn = rng.integers(0, len(total), size=(_DRAWS, q))
    drawn = drawn[np.abs(np.linalg.det(views[drawn])) > 1e-9]
    if not len(drawn):
        return 0.0, 0
    weights = np.linalg.solve(views[drawn], total[drawn][:, :, np.newaxis])[:, :, 0]
    # A plane that does not need x says nothing about it.
    weights = weights[np.abs(weights[:, 1 : 3 if q > 2 else 2]).max(axis=1) > 1e-3 * np.std(total)]
    if not len(weights):
        return 0.0, 0
    on = np.abs(views @ weights.T - total[:, np.newaxis]) <= 1e-7 * (np.ptp(total) + 1e-300)
    best = on[:, int(np.argmax(on.sum(axis=0)))]
    return float(best.mean()), len(np.unique(np.round(views[best, 1], 9)))


def _too_near(groups: Groups, tests: int, outcomes: int) -> Found | None:
    """F test on its left side.

    Of rates the distribution is drawn, binomial by group; otherwise the degrees of freedom are Satterthwaite's.
    """
    n_groups = len(groups.x)
    views, weight = groups.views, np.sqrt(groups.counts)
    solution, left, rank = _fit(views, groups.means, weight)
    if n_groups <= rank + 2:
        return None
    # A group that x alone singles out is met exactly by any fit: its noise is not looked for.
    free = groups.spread * (1 - _leverage(views * weight[:, np.newaxis]))
    noise = float(free.sum())
    if noise <= 0:
        return None
    ratio = float(left @ left) / noise
    # Outcomes that were shared out inside each group (one winner a race) leave means without noise for any column.
    without = views[:, [0, 3]]
    free_without = groups.spread * (1 - _leverage(without * weight[:, np.newaxis]))
    _, left_without, _ = _fit(without, groups.means, weight)
    reference = min(1.0, float(left_without @ left_without) / max(float(free_without.sum()), 1e-300))
    # The square of a variance estimated from n rows is too large by (n + 1) / (n - 1).
    freedom = noise**2 / float(np.sum(free**2 * (groups.counts - 1) / (groups.counts + 1)))
    if ratio >= _MOST_RATIO * reference or freedom < _MIN_FREEDOM:
        return None
    if groups.rates:
        p = _drawn_chance(groups, views @ solution, ratio / reference)
    else:
        freedom = min(freedom, float(n_groups - rank))
        p = float(chi2.cdf(freedom * ratio / reference, freedom))
    if p * tests >= _ALARM and p * outcomes >= _DOUBT:
        return None
    numbers = {"noise_ratio": round(ratio, 4), "p": float(f"{p:.3g}"), "groups": n_groups}
    return "statistic", numbers, 1.0 - ratio if p * tests < _ALARM else -ratio


def _leverage(design: np.ndarray) -> np.ndarray:
    """How much of each point its own fit follows, between 0 and 1."""
    u, size, _ = np.linalg.svd(design, full_matrices=False)
    return np.asarray(np.minimum(1.0, (u[:, size > 1e-9 * size[0]] ** 2).sum(axis=1)))


def _drawn_chance(groups: Groups, fitted: np.ndarray, ratio: float) -> float:
    """Chance of so small a ratio if the rates of the groups are what x says, and only those."""
    rng = np.random.default_rng(0)
    n, views, weight = groups.counts, groups.views, np.sqrt(groups.counts)
    free = 1 - _leverage(views * weight[:, np.newaxis])
    least = 0.5 / float(n.sum())
    logs = []
    for _ in range(_DRAWN_RATES):
        rates = rng.binomial(n.astype(np.int64), np.clip(fitted, least, 1 - least)) / n
        noise = float(np.sum(free * rates * (1 - rates) * n / (n - 1)))
        if noise > 0:
            _, left, _ = _fit(views, rates, weight)
            logs.append(np.log(max(float(left @ left) / noise, 1e-12)))
    if len(logs) < _DRAWN_RATES / 2:
        return 1.0
    return float(norm.sf((np.mean(logs) - np.log(max(ratio, 1e-12))) / max(float(np.std(logs, ddof=1)), 0.02)))


def mostly_knows_noise(groups: Groups, tests: int) -> Found | None:
    """The same on the groups that fit best, against what such a choice leaves where x knows all but the noise.

    Some of the groups may hold the statistic of another group.
    """
    if not groups.spread.any():
        return None
    n_groups = len(groups.x)
    if n_groups < 3 * _MIN_GROUPS:
        return None
    ratio, fitted = _trimmed(groups.views, groups.means, groups)
    # Cheap look first: with x dealt to other groups the choice must leave clearly more.
    rng = np.random.default_rng(0)
    views = groups.views
    if ratio > 0.8 * _trimmed(views[rng.permutation(n_groups)], groups.means, groups)[0]:
        return None
    noise = np.sqrt(groups.spread / groups.counts)
    logs = []
    for _ in range(_SIMULATIONS):
        drawn = fitted + noise * rng.standard_normal(n_groups)
        logs.append(np.log(max(_trimmed(views, drawn, groups)[0], 1e-12)))
    z = (float(np.mean(logs)) - np.log(max(ratio, 1e-12))) / max(float(np.std(logs, ddof=1)), 1e-3)
    share = ratio / float(np.exp(np.mean(logs)))
    if z < norm.isf(_ALARM / tests) or share >= _MOST_RATIO:
        return None
    return "statistic", {"noise_ratio": round(share, 4), "z": round(z, 2), "groups": n_groups, "kept_share": _KEPT}, 1.0 - share


def _trimmed(views: np.ndarray, means: np.ndarray, groups: Groups) -> tuple[float, np.ndarray]:
    """Mean square of the smallest standardised residuals of a fit to the groups it fits best, and the fitted means."""
    weight = np.sqrt(groups.counts)
    kept = max(_MIN_GROUPS, int(_KEPT * len(means)))
    rng = np.random.default_rng(0)
    starts = [np.arange(len(means)), *(rng.choice(len(means), 8, replace=False) for _ in range(_STARTS))]
    best, best_fit = np.inf, means
    for rows in starts:
        for step in range(_STEPS):
            solution, _, _ = _fit(views[rows], means[rows], weight[rows])
            square = (weight * (means - views @ solution)) ** 2
            rows = np.argpartition(square, kept - 1)[:kept]
            value = float(square[rows].mean())
            if step == 1 and value > 2 * best:
                break
        if value < best:
            best, best_fit = value, views @ solution
    return best, best_fit


def _fit(views: np.ndarray, means: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    solution, _, rank, _ = np.linalg.lstsq(views * weight[:, np.newaxis], means * weight, rcond=1e-9)
    return solution, weight * (means - views @ solution), int(rank)
