"""Planes that a share of the rows lies on exactly: y = c + a x + b z."""

from __future__ import annotations

import numpy as np

_TOLERANCE = 1e-7
#: Planes drawn for a pair, points they are tried on, and points that the best is counted on.
_DRAWS, _POINTS, _COUNTED = 60, 300, 4_000
_FIRST_SHARE = 0.03
#: Distinct values of y on the plane, below which a lattice of whole numbers may lie on it.
_MIN_VALUES = 15
#: The same with the target dealt anew is allowed this share of what was found.
_CHANCE = 0.3


def plane_share(y: np.ndarray, x: np.ndarray, z: np.ndarray, *, seed: int = 0) -> float:
    """Share of the rows on the plane, drawn through three random rows, that holds most of them.

    Parameters
    ----------
    y, x, z : ndarray of shape (n,), float64
        Rows with a gap count as off the plane.

    Returns
    -------
    float
        0.0 if the plane needs only one of the columns, holds few distinct values of y, or does as well by chance.
    """
    filled = np.flatnonzero(~np.isnan(x) & ~np.isnan(z) & ~np.isnan(y))
    if len(filled) < 30:
        return 0.0
    rng = np.random.default_rng(seed)
    points = rng.choice(filled, min(_POINTS, len(filled)), replace=False)
    a, b, c, reach = _planes(y[points], x[points], z[points], rng)
    if not len(a):
        return 0.0
    on = (
        np.abs(y[points] - c[:, np.newaxis] - a[:, np.newaxis] * x[points] - b[:, np.newaxis] * z[points])
        <= reach[:, np.newaxis]
    )
    best = int(np.argmax(on.sum(axis=1)))
    if on[best].mean() < _FIRST_SHARE:
        return 0.0
    many = rng.choice(filled, min(_COUNTED, len(filled)), replace=False)

    def holds(target: np.ndarray) -> np.ndarray:
        return np.abs(target - c[best] - a[best] * x[many] - b[best] * z[many]) <= reach[best]

    inside = holds(y[many])
    share = float(inside.sum() / len(many)) * len(filled) / len(y)
    chance = float(holds(rng.permutation(y[many])).mean())
    if len(np.unique(y[many][inside])) < _MIN_VALUES or chance > _CHANCE * share:
        return 0.0
    return share


def _planes(
    y: np.ndarray, x: np.ndarray, z: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Slopes, offset and tolerance of planes that use both columns."""
    i, j, k = rng.integers(0, len(y), size=(3, _DRAWS))
    dx1, dx2, dz1, dz2 = x[j] - x[i], x[k] - x[i], z[j] - z[i], z[k] - z[i]
    dy1, dy2 = y[j] - y[i], y[k] - y[i]
    area = dx1 * dz2 - dx2 * dz1
    size = (np.abs(dx1) + np.abs(dx2)) * (np.abs(dz1) + np.abs(dz2))
    flat = np.abs(area) <= 1e-9 * size
    area = np.where(flat, 1.0, area)
    a, b = (dy1 * dz2 - dy2 * dz1) / area, (dx1 * dy2 - dx2 * dy1) / area
    c = y[i] - a * x[i] - b * z[i]
    used_x, used_z = np.abs(a) * np.ptp(x), np.abs(b) * np.ptp(z)
    spread = np.ptp(y)
    reach = _TOLERANCE * np.maximum(spread, 1e-6 * (used_x + used_z))
    kept = ~flat & (used_x > 1e-3 * spread) & (used_z > 1e-3 * spread)
    return a[kept], b[kept], c[kept], reach[kept]
