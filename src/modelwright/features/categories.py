"""Category columns as integer codes.

The codes are those of `features.matrix`: -1 missing, 0 rare or unseen, 1 and up the known levels, the most
frequent first. A level must occur at least twice to be known: a level seen once says nothing that holds for
another row, and coding it as "other" gives learners training rows on which to learn what "other" means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from modelwright.features.matrix import MISSING, OTHER

#: A level is known when it occurs at least this often in the training rows.
MIN_COUNT = 2
#: At most this many levels are known; the less frequent ones are "other".
MAX_LEVELS = 10_000
#: Up to this many rows a dictionary is faster than the fixed cost of a polars expression (measured: 0.2 ms).
_SMALL = 2_000


def learn_levels(cells: pl.Series) -> tuple[str, ...]:
    """Known levels of a column, the most frequent first, equally frequent ones by name.

    Parameters
    ----------
    cells : Series of String
        Training rows; nulls are missing and are no level.

    Returns
    -------
    tuple of str
        Levels that occur at least `MIN_COUNT` times, at most `MAX_LEVELS` of them.
    """
    counts = cells.drop_nulls().alias("level").value_counts(name="count")
    known = counts.filter(pl.col("count") >= MIN_COUNT)
    ordered = sorted(known.iter_rows(), key=lambda row: (-row[1], row[0]))
    return tuple(level for level, _ in ordered[:MAX_LEVELS])


def index_levels(levels: Sequence[str]) -> dict[str | None, int]:
    """Code of every known level and of a missing cell."""
    index: dict[str | None, int] = {level: code for code, level in enumerate(levels, start=1)}
    index[None] = MISSING
    return index


def code_cells(cells: pl.Series, index: Mapping[str | None, int]) -> np.ndarray:
    """Codes of the cells.

    Parameters
    ----------
    cells : Series of String, n rows
    index : mapping
        From `index_levels`.

    Returns
    -------
    ndarray of shape (n,), int32
    """
    if len(cells) <= _SMALL:
        look_up = index.get
        return np.array([look_up(cell, OTHER) for cell in cells.to_list()], dtype=np.int32)
    known = [level for level in index if level is not None]
    if known:
        codes = cells.replace_strict(known, [index[level] for level in known], default=OTHER, return_dtype=pl.Int32)
        coded = codes.to_numpy()
    else:
        coded = np.zeros(len(cells), dtype=np.int32)
    return np.where(cells.is_null().to_numpy(), np.int32(MISSING), coded)
