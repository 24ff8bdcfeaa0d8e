"""Columns that may name an entity of several rows: what rows of one value share, and what they share with the next.

Notation: a *pair* is two rows with the same value of a column, an *adjacent* pair one row of a value and one of the
next value in order. The likeness of pairs is kappa for classes and the correlation of ranks for numbers. An attribute
keeps its likeness from one value to the next; an entity does not, for what it remembers is its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.stats import rankdata

from modelwright.splits.units import group_units
from modelwright.tables.conform import conform
from modelwright.tables.schema import Column

if TYPE_CHECKING:
    from modelwright.audit.context import Context

#: Rows on which a column is looked at; whole entities are drawn.
_MOST_ROWS = 40_000
_MIN_LEVELS, _MIN_PAIRS = 10, 30
#: A value that so many rows have is no entity (zero, "none").
_COMMON = 0.2
#: Beyond this share of distinct cells too few repeat to say anything.
_MOST_DISTINCT = 0.95
#: Agreement inside entities from which they determine a column, and by chance up to which that says something.
_DETERMINED, _BY_CHANCE = 0.98, 0.6
_NEVER = ("datetime", "text", "boolean", "empty", "constant")
#: Standard deviations of chance that the likeness must exceed.
_MIN_Z = 6.0


@dataclass(frozen=True)
class Entity:
    """A column, and what its values do.

    ``memory`` and ``adjacent`` are the likeness of the target within a value and between neighbouring values;
    ``twins`` are columns that name the same entities, ``determined`` those that are constant within one.
    """

    name: str
    integral: bool
    levels: int
    rows: int
    pairs: int
    memory: float
    adjacent: float
    twins: tuple[str, ...] = field(default=())
    determined: tuple[str, ...] = field(default=())
    #: Determined columns with at least ten levels.
    fine: tuple[str, ...] = field(default=())

    @property
    def size(self) -> float:
        """Rows by value."""
        return self.rows / max(1, self.levels)

    @property
    def excess(self) -> float:
        """Likeness within a value over that with the next one."""
        return self.memory - max(0.0, self.adjacent)


def entities(context: Context, *, least_memory: float) -> list[Entity]:
    """Columns whose values repeat, with what their rows share.

    Parameters
    ----------
    context : Context
    least_memory : float
        Below this excess likeness of the target only columns that look like keys are examined further.

    Returns
    -------
    list of Entity
        The greatest memory first.
    """
    assert context.y is not None
    names = [c.name for c in context.schema.columns if c.role not in ("target", "weight") and c.name in context.frame.columns]
    if not names:
        return []
    # Copies of a row share everything, and say nothing about entities.
    units = context.row_copies.near.units[: context.n_rows]
    first = np.unique(units, return_index=True)[1]
    kept = np.sort(first)
    if len(kept) < 2 * _MIN_LEVELS:
        return []
    found = []
    for column in context.schema.columns:
        if (
            column.name not in names
            or column.role == "time"
            or column.type in ("datetime", "text", "boolean", "empty", "constant")
        ):
            continue
        cells = context.frame[column.name]
        if cells.dtype.is_temporal() or cells.dtype in (pl.Object, pl.Boolean):
            continue
        integral = _is_integral(cells)
        if column.role == "ignored" and not integral:
            continue
        entity = _examine(context, cells, names, kept, integral, least_memory)
        if entity is not None:
            found.append(entity)
    return sorted(found, key=lambda entity: -entity.memory)


def _cells(context: Context, column: Column) -> pl.Series:
    """Cells as they are compared: numbers kept as text are numbers."""
    cells = context.frame[column.name]
    if column.type == "number" and cells.dtype == pl.String:
        return conform(context.frame.select(column.name), context.schema, columns=(column,))[0][column.name]
    return cells


def _is_integral(cells: pl.Series) -> bool:
    """Text, or whole numbers; a key with gaps may have been read as a float."""
    if not cells.dtype.is_float():
        return True
    filled = cells.head(5_000).drop_nulls().drop_nans()
    return bool(len(filled) and (filled == filled.floor()).all())


def _examine(
    context: Context, cells: pl.Series, names: list[str], kept: np.ndarray, integral: bool, least_memory: float
) -> Entity | None:
    if len(kept) > 4_000 and cells.head(2_000).n_unique() < _MIN_LEVELS:
        return None  # a handful of codes
    rows = _whole_entities(cells, kept)
    codes, values = _ordered_codes(cells[rows])
    rows = rows[values]
    n, levels = len(codes), int(codes.max(initial=-1)) + 1
    if levels < _MIN_LEVELS or levels > _MOST_DISTINCT * n:
        return None
    order, first, second = _pairs(codes)
    if len(first) < _MIN_PAIRS:
        return None
    assert context.y is not None
    y = context.y[rows]
    regression = context.task == "regression"
    target = rankdata(y) if regression else y.astype(np.int64)
    memory = _likeness(target, first, second, regression)
    a, b = _adjacent(codes, order)
    adjacent = _likeness(target, a, b, regression)
    entity = Entity(cells.name, integral, levels, n, len(first), memory, adjacent)
    remembers = entity.excess >= least_memory and memory > _MIN_Z / np.sqrt(len(first))
    key_like = integral and levels >= 0.2 * n
    if not remembers and not key_like:
        return None
    return _with_determined(context, entity, names, rows, codes, first, second)


def _whole_entities(cells: pl.Series, kept: np.ndarray) -> np.ndarray:
    """Rows of a part of the values if there are many, with all their rows."""
    if len(kept) <= _MOST_ROWS:
        return kept
    units = group_units(cells[kept])
    part = np.random.default_rng(0).permutation(int(units.max()) + 1)[units]
    sizes = np.cumsum(np.bincount(part))
    most = int(np.searchsorted(sizes, _MOST_ROWS)) + 1
    return kept[part < most]


def _ordered_codes(cells: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Rank of each value from 0, and the positions that have one; gaps and common values have none."""
    if cells.dtype in (pl.Categorical, pl.Enum):
        cells = cells.cast(pl.String)
    if cells.dtype.is_float():
        cells = cells.fill_nan(None)
    ranks = cells.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    counts = np.bincount(ranks)
    counts[0] = len(ranks)
    positions = np.flatnonzero(counts[ranks] <= _COMMON * len(ranks))
    if not len(positions):
        return np.zeros(0, dtype=np.int64), positions
    return np.unique(ranks[positions], return_inverse=True)[1], positions


def _pairs(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows in order of their value, and consecutive rows of one value in random order."""
    order = np.lexsort((np.random.default_rng(0).permutation(len(codes)), codes))
    same = np.flatnonzero(codes[order][1:] == codes[order][:-1])
    return order, order[same], order[same + 1]


def _adjacent(codes: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row with a random one of the next value."""
    sizes = np.bincount(codes)
    start = np.cumsum(sizes) - sizes
    a = np.flatnonzero(codes < len(sizes) - 1)
    following = codes[a] + 1
    place = start[following] + (np.random.default_rng(1).random(len(a)) * sizes[following]).astype(np.int64)
    return a, order[place]


def _likeness(target: np.ndarray, a: np.ndarray, b: np.ndarray, regression: bool) -> float:
    if len(a) < 2:
        return 0.0
    if regression:
        x, z = target[a] - target.mean(), target[b] - target.mean()
        scale = float(np.sqrt((x @ x) * (z @ z)))
        return float(x @ z) / scale if scale > 0 else 0.0
    _, counts = np.unique(target, return_counts=True)
    chance = float(((counts / counts.sum()) ** 2).sum())
    return (float(np.mean(target[a] == target[b])) - chance) / (1 - chance) if chance < 1 else 0.0


def _with_determined(
    context: Context,
    entity: Entity,
    names: list[str],
    rows: np.ndarray,
    codes: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
) -> Entity:
    twins, determined, fine = [], [], []
    for name in names:
        if name == entity.name or context.frame[name].dtype == pl.Object:
            continue
        cells = context.frame[name][rows]
        if not _mostly_equal(cells, first, second):
            continue  # most columns end here, before their values are sorted
        other = group_units(cells)
        counts = np.bincount(other)
        if float(((counts / counts.sum()) ** 2).sum()) > _BY_CHANCE:
            continue
        if _names_the_same(codes, other):
            twins.append(name)
        else:
            determined.append(name)
            if len(counts) >= _MIN_LEVELS:
                fine.append(name)
    return Entity(
        entity.name, entity.integral, entity.levels, entity.rows, entity.pairs, entity.memory, entity.adjacent,
        tuple(twins), tuple(determined), tuple(fine),
    )  # fmt: skip


def _mostly_equal(cells: pl.Series, a: np.ndarray, b: np.ndarray) -> bool:
    hashes = cells.to_frame().hash_rows(seed=0).to_numpy()
    return float(np.mean((hashes[a] == hashes[b]) & cells.is_not_null().to_numpy()[a])) >= _DETERMINED


def _names_the_same(codes: np.ndarray, other: np.ndarray) -> bool:
    """Whether rows of one value of the other column are mostly of one value of this."""
    _, first, second = _pairs(other)
    return len(first) >= _MIN_PAIRS and float(np.mean(codes[first] == codes[second])) >= _DETERMINED
