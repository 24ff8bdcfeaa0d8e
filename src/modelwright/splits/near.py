"""Near copies: rows that repeat another but for a little noise, a step of a whole number, or a column or two.

Rows are put into randomly shifted grids over random subsets of the columns; rows that meet in a cell are compared
cell by cell. Two rows are near copies where nine tenths of the columns agree, where that many could not agree by
chance, and where the ring around them is empty: in a dense table (a grid of whole numbers, a sensor read each second)
a row has as many neighbours a little further off, and nothing has been copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from modelwright.splits.cells import Cells
from modelwright.splits.units import by_first_appearance, compare_rows, low_information

#: Share of the columns that agree in near copies, and in the ring around them.
_SHARE, _RING_SHARE = 0.9, 0.8
#: Radius of the ring, in tolerances.
_RING = 4.0
#: Share of what a row says that must be among the columns that agree: blank pixels or zeros in both say little.
_SURPRISE_SHARE = 0.75
#: Share of the pairs found that may be chance (Benjamini and Hochberg).
_FALSE_SHARE = 0.1
#: Columns that count as evidence, the most telling ones; more would cost time and tell the same again.
_MOST_WITNESSES = 48
_WITNESS_PAIRS, _FEWEST_WITNESSES = 4000, 30
#: Bucket mates that are compared, by their distance in the order of the bucket.
_LAGS = (1, 2, 3, 5, 8, 13, 21)
#: A component with more rows than both of these is a cloud, not a set of copies.
_GIANT_SHARE, _GIANT_ROWS = 0.01, 20
_CHUNK = 2_000_000
#: In longer tables cells are read again for each grid rather than kept.
_KEEP_ROWS = 2_000_000


@dataclass(frozen=True)
class NearUnits:
    """Units of exact and near copies.

    Parameters
    ----------
    units : ndarray of shape (n,), int64
        Unit of each row, numbered by first appearance.
    n_exact, n_near : int
        Rows that repeat an earlier one exactly, and further rows that nearly do; 0 where that says nothing.
    n_distinct : int
        Rows that differ from each other.
    reason : str
        Why near copies, or some of them, were not counted; empty if nothing was refused.
    """

    units: np.ndarray
    n_exact: int
    n_near: int
    n_distinct: int
    reason: str = ""


def near_duplicate_units(frame: pl.DataFrame, features: Sequence[str]) -> np.ndarray:
    """Number of the set of exact or near copies that each row belongs to; see `near_units`.

    Parameters
    ----------
    frame : DataFrame of n rows
    features : sequence of str
        Columns to compare.

    Returns
    -------
    ndarray of shape (n,), int64
        0 and up, by first appearance.
    """
    return near_units(frame, features).units


def near_units(frame: pl.DataFrame, features: Sequence[str], *, passes: int | None = None, seed: int = 0) -> NearUnits:
    """Find exact and near copies.

    Near copies agree in nine tenths of the columns: numbers within 0.004 standard deviations, whole numbers also
    within one step, all else by value, texts without case and outer blanks. Keys are left out. Time grows with the
    rows, not with their square.

    Parameters
    ----------
    frame : DataFrame of n rows
    features : sequence of str
        Columns to compare.
    passes : int, optional
        Number of grids; None takes what the number of rows allows, 0 looks for exact copies only.
    seed : int, default=0

    Returns
    -------
    NearUnits

    References
    ----------
    Datar, Immorlica, Indyk, Mirrokni, "Locality-Sensitive Hashing Scheme Based on p-Stable Distributions", 2004.
    """
    n = frame.height
    exact, compared = compare_rows(frame, features)
    n_units = int(exact.max()) + 1 if n else 0
    if low_information(exact):
        return NearUnits(np.arange(n, dtype=np.int64), 0, 0, n_units, "few rows are possible, so equal ones are no copies")
    if passes is None:
        passes = 12 if n <= 200_000 else 8 if n <= 2_000_000 else 5
    if n_units < 2 or passes == 0:
        return NearUnits(exact, n - n_units, 0, n_units)
    first = None if n_units == n else _first_rows(exact, n_units)
    cells = [Cells(frame[name], first, keep=n <= _KEEP_ROWS) for name in compared]
    cells = [column for column in cells if column.varies]
    pairs, crowded = _near_pairs(cells, n_units, passes, seed)
    if crowded:
        return NearUnits(exact, n - n_units, 0, n_units, crowded)
    if not len(pairs):
        return NearUnits(exact, n - n_units, 0, n_units)
    joined, reason = _components(pairs, np.bincount(exact, minlength=n_units), n)
    units = by_first_appearance(joined[exact])
    return NearUnits(units, n - n_units, n_units - (int(units.max()) + 1), n_units, reason)


def _first_rows(units: np.ndarray, n_units: int) -> np.ndarray:
    first = np.full(n_units, len(units), dtype=np.int64)
    np.minimum.at(first, units, np.arange(len(units)))
    return first


def _near_pairs(cells: list[Cells], n: int, passes: int, seed: int) -> tuple[np.ndarray, str]:
    """Pairs of near copies, shape (m, 2), and why there are none in spite of finds."""
    told = np.array([c.grid_surprise() for c in cells])
    cells, told = [cells[k] for k in np.argsort(-told)], np.sort(told)[::-1]
    repeated = _said_before(cells, n)
    ln_pairs = 2 * np.log(n) - np.log(2)
    # Not even if every row had a near copy would fewer nats do.
    least = ln_pairs - np.log(_FALSE_SHARE * n)
    near, ring = [_NONE], [_NONE]
    for number in range(passes):
        low, high = _mates(_buckets(cells, told, n, np.random.default_rng([seed, number, 41])))
        for start in range(0, len(low), _CHUNK):
            found, around = _compare(cells, repeated, low[start : start + _CHUNK], high[start : start + _CHUNK], least)
            near.append(found)
            ring.append(around)
    pairs, nats = _distinct(near)
    if not len(pairs):
        return pairs, ""
    ranked = -np.sort(-nats)
    enough = ranked >= ln_pairs - np.log(_FALSE_SHARE * np.arange(1, len(ranked) + 1))
    if not enough.any():
        return pairs[:0], ""
    bar = ranked[np.flatnonzero(enough)[-1]]
    pairs = pairs[nats >= bar]
    around, nats = _distinct(ring)
    n_near = np.bincount(pairs.ravel(), minlength=n)
    n_ring = np.bincount(around[nats >= bar].ravel(), minlength=n)
    alone = (n_ring <= n_near)[pairs].all(axis=1)
    if 2 * int(alone.sum()) < len(pairs):
        return pairs[:0], "rows lie so densely that near ones are no copies"
    return pairs[alone], ""


#: Two positions and what their agreement says.
_PAIR = np.dtype([("a", np.int64), ("b", np.int64), ("nats", np.float64)])
_NONE = np.empty(0, dtype=_PAIR)


def _distinct(found: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    every = np.concatenate(found)
    every = every[np.lexsort((every["b"], every["a"]))]
    again = (every["a"][1:] == every["a"][:-1]) & (every["b"][1:] == every["b"][:-1])
    every = every[np.concatenate([[True], ~again])] if len(every) else every
    return np.column_stack([every["a"], every["b"]]), every["nats"]


def _said_before(cells: list[Cells], n: int) -> np.ndarray:
    """What each column repeats of an earlier one, in nats: rows that agree in one then mostly agree in the other."""
    repeated = np.zeros(len(cells))
    cells = cells[:_MOST_WITNESSES]
    rng = np.random.default_rng(43)
    a, b = rng.integers(0, n, (2, 20 * _WITNESS_PAIRS))
    alone = [max(float(c.agree(c.at(a), c.at(b)).mean()), 1 / len(a)) for c in cells]
    rows = rng.choice(n, size=min(n, 5 * _WITNESS_PAIRS), replace=False)
    values = [c.at(rows) for c in cells]
    for j, first in enumerate(cells[:-1]):
        order = np.argsort(values[j], kind="stable")
        a, b = order[:-1], order[1:]
        same = first.agree(values[j][a], values[j][b])
        step = 1 + int(same.sum()) // _WITNESS_PAIRS
        a, b = a[same][::step], b[same][::step]
        agree = np.array([c.agree(v[a], v[b]) for c, v in zip(cells, values, strict=True)])
        # Copies agree in everything and must not count as a reason why everything agrees.
        agree = agree[:, agree.mean(axis=0) < _SHARE]
        if agree.shape[1] < _FEWEST_WITNESSES:
            continue
        for k in range(j + 1, len(cells)):
            share = float(agree[k].mean())
            if share > alone[k]:
                repeated[k] = max(repeated[k], np.log(share / alone[k]))
    return repeated


def _buckets(cells: list[Cells], told: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """64 bits a row: its cells in a shifted grid over columns that together tell most rows apart."""
    most = max(1, len(cells) - int((1 - _SHARE) * len(cells)))
    key = np.zeros(n, dtype=np.uint64)
    sum_told, used = 0.0, 0
    for k in rng.permutation(len(cells)):
        if told[k] <= 0.05 and used:
            continue
        key ^= cells[k].grid(float(rng.random()))
        # splitmix64: every bit of the cell reaches every bit of the key
        key += np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(30)
        key *= np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(27)
        key *= np.uint64(0x94D049BB133111EB)
        key ^= key >> np.uint64(31)
        sum_told, used = sum_told + told[k], used + 1
        if sum_told >= np.log(n) + 2 or used >= most:
            break
    return key


def _mates(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows of one bucket, the lower position first."""
    order = np.argsort(key)
    key = key[order]
    # Most rows are alone; what follows only looks at the others.
    same = key[1:] == key[:-1]
    shared = np.zeros(len(key), dtype=bool)
    shared[1:] |= same
    shared[:-1] |= same
    order, key = order[shared], key[shared]
    order = order[np.lexsort((order, key))]
    low, high = [], []
    for lag in _LAGS:
        at = np.flatnonzero(key[lag:] == key[:-lag])
        low.append(order[at])
        high.append(order[at + lag])
    return np.concatenate(low), np.concatenate(high)


def _compare(
    cells: list[Cells], repeated: np.ndarray, a: np.ndarray, b: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that may be near copies, and pairs in the ring around one, each with what their agreement says."""
    k = len(cells)
    allowed, allowed_ring = int((1 - _SHARE) * k + 1e-9), int((1 - _RING_SHARE) * k + 1e-9)
    off, off_ring = np.zeros(len(a), dtype=np.int32), np.zeros(len(a), dtype=np.int32)
    for column in cells:
        x, y = column.at(a), column.at(b)
        if column.numeric:
            between = column.distance(x, y)
            # NaN, for one missing, is beyond any reach.
            off += ~(between <= 1)
            off_ring += ~(between <= _RING)
        else:
            differs = x != y
            off += differs
            off_ring += differs
        keep = off_ring <= allowed_ring
        if not keep.all():
            a, b, off, off_ring = a[keep], b[keep], off[keep], off_ring[keep]
        if not len(a):
            return _NONE, _NONE
    near = off <= allowed
    nats, share = _evidence(cells, repeated, a[near], b[near], off[near], 1.0)
    around, _ = _evidence(cells, repeated, a[~near], b[~near], off_ring[~near], _RING)
    nats[share < _SURPRISE_SHARE] = -np.inf
    return _pairs(a[near], b[near], nats, least), _pairs(a[~near], b[~near], around, least)


def _pairs(a: np.ndarray, b: np.ndarray, nats: np.ndarray, least: float) -> np.ndarray:
    kept = np.flatnonzero(nats >= least)
    pairs = np.empty(len(kept), dtype=_PAIR)
    pairs["a"], pairs["b"], pairs["nats"] = a[kept], b[kept], nats[kept]
    return pairs


def _evidence(
    cells: list[Cells], repeated: np.ndarray, a: np.ndarray, b: np.ndarray, off: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """-ln of the chance that two rows agree so far, and the share of what the rows say that lies in agreeing columns."""
    said, agreed = np.zeros(len(a)), np.zeros(len(a))
    if not len(a):
        return agreed, said
    for column, before in zip(cells[:_MOST_WITNESSES], repeated, strict=False):
        # Of two values the commoner one: a rare value says nothing where it is a step from a common one.
        commoner = np.maximum(column.agreeing(a, reach), column.agreeing(b, reach))
        surprise = np.maximum(column.surprise() - before, 0)[commoner]
        said += surprise
        x, y = column.at(a), column.at(b)
        agreed += surprise * (column.distance(x, y) <= reach if column.numeric else x == y)
    return agreed - _choices(min(len(cells), _MOST_WITNESSES), off), agreed / np.maximum(said, 1e-9)


def _choices(k: int, off: np.ndarray) -> np.ndarray:
    """ln of the number of ways in which so many of ``k`` columns may disagree."""
    steps = np.concatenate([[0.0], np.cumsum(np.log(np.arange(k, 0, -1) / np.arange(1, k + 1)))])
    return steps[np.minimum(off, k)]


def _components(pairs: np.ndarray, sizes: np.ndarray, n_rows: int) -> tuple[np.ndarray, str]:
    """Component of each unit, giants dissolved, and what was refused."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(sizes)
    edges = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, label = connected_components(edges, directed=False)
    label = label.astype(np.int64)
    rows = np.bincount(label, weights=sizes)
    joined = np.bincount(label) > 1
    giant = joined & (rows > max(_GIANT_ROWS, _GIANT_SHARE * n_rows))
    # Units that are themselves so large were not made by near copies alone.
    giant &= np.bincount(label) > max(_GIANT_ROWS, _GIANT_SHARE * n) / 2
    if not giant.any():
        return label, ""
    lost = int(np.bincount(label)[giant].sum())
    reason = f"{lost:,} rows form chains of near ones that are no copies"
    if 2 * lost > int(np.bincount(label)[joined].sum()):
        return np.arange(n), reason
    loose = giant[label]
    label[loose] = len(rows) + np.arange(int(loose.sum()))
    return label, reason
