"""Units: rows that must stay on one side of every split, because one of them tells about the others.

A unit is an entity of the group column, or a set of rows with equal features. Units are numbered by first
appearance, so that equal tables give equal splits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

#: A table with fewer distinct rows holds few possible rows rather than copies of rows ...
_FEW_DISTINCT = 200
#: ... and so does one in which fewer than this share of the rows is distinct.
_FEW_SHARE = 0.02
_FIRST_LOOK = 1000


def group_units(group: pl.Series) -> np.ndarray:
    """Number of the entity of each row.

    Parameters
    ----------
    group : Series
        A row without a group is an entity of its own: nothing says that two of them belong together.

    Returns
    -------
    ndarray of shape (n,), int64
        0 and up, by first appearance.
    """
    units = by_first_appearance(_hashes(group.to_frame()))
    missing = group.is_null().to_numpy()
    if missing.any():
        units[missing] = units.max() + 1 + np.arange(int(missing.sum()))
        units = by_first_appearance(units)
    return units


def merge_units(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The finest units that keep whole what either numbering keeps whole.

    Examples
    --------
    >>> merge_units(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]))
    array([0, 0, 0, 1])
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_first, n_second = int(first.max()) + 1, int(second.max()) + 1
    if n_second == len(second):
        return first
    n = n_first + n_second
    edges = coo_array((np.ones(len(first), dtype=np.int8), (first, n_first + second)), shape=(n, n))
    _, label = connected_components(edges, directed=False)
    return by_first_appearance(label[first].astype(np.int64))


def duplicate_units(frame: pl.DataFrame, features: Sequence[str]) -> np.ndarray:
    """Number of the set of equal rows that each row belongs to.

    Keys (integers or text that never repeat) are left out, for a copied row often has a new key. In a table of few
    possible rows (see `low_information`) equal rows are no copies, and each row is a unit of its own.

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
    units = equal_rows(frame, features)
    return np.arange(frame.height, dtype=np.int64) if low_information(units) else units


def equal_rows(frame: pl.DataFrame, features: Sequence[str]) -> np.ndarray:
    """As `duplicate_units`, whatever the table holds."""
    return compare_rows(frame, features)[0]


def compare_rows(frame: pl.DataFrame, features: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Units of equal rows, and the columns they were compared in: all but keys, unless what is left says too little."""
    if not features:
        return np.zeros(frame.height, dtype=np.int64), []
    compared = [name for name in features if not _is_key(frame[name])]
    if compared:
        units = by_first_appearance(_hashes(frame.select(compared)))
        if len(compared) == len(features) or not low_information(units):
            return units, compared
    return by_first_appearance(_hashes(frame.select(features))), list(features)


def low_information(units: np.ndarray) -> bool:
    """Whether so few distinct rows exist that repeats are chance, as in a table of three yes-or-no questions."""
    n, distinct = len(units), int(units.max()) + 1 if len(units) else 0
    return distinct < _FEW_SHARE * n or (distinct < _FEW_DISTINCT and distinct < 0.5 * n)


def _is_key(column: pl.Series) -> bool:
    if not (column.dtype.is_integer() or column.dtype == pl.String) or column.null_count():
        return False
    # Counting all values of ten million rows is dear; most columns repeat within the first thousand.
    if column.head(_FIRST_LOOK).n_unique() < min(_FIRST_LOOK, len(column)):
        return False
    return len(column) > 1 and column.n_unique() == len(column)


def _hashes(frame: pl.DataFrame) -> np.ndarray:
    """64 bits per row; polars counts 0.0 and -0.0 as equal, and all NaN."""
    objects = [name for name, dtype in frame.schema.items() if dtype == pl.Object]
    if objects:  # Python objects hash by address; their text is what can be compared
        frame = frame.with_columns(pl.Series(name, [str(v) for v in frame[name].to_list()]) for name in objects)
    return frame.hash_rows(seed=0).to_numpy()


def by_first_appearance(values: np.ndarray) -> np.ndarray:
    """Number equal values 0 and up, in the order in which they first occur."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse]
