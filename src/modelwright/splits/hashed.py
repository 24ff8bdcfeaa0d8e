"""Which side a row is on, from the row alone: for tables that are never in memory as a whole.

A row's place in [0, 1) follows from a hash of its cells (or of its entity), so exact copies get the same place, in
whichever file or batch they come, and every pass over the data decides alike. The hash is our own: those of dataframe
libraries change with their versions, and sealed rows must stay sealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from modelwright.splits.units import low_information

#: Multipliers of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
_GOLDEN, _FIRST, _SECOND = (np.uint64(v) for v in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_NULL = np.uint64(0x6D77_6E75_6C6C_0001)


def row_hashes(frame: pl.DataFrame, columns: Sequence[str], *, salt: str) -> np.ndarray:
    """64 bits for each row.

    Parameters
    ----------
    frame : DataFrame of n rows
        As `tables.normalise` gives it.
    columns : sequence of str
        Columns whose cells count; their names do not.
    salt : str
        Another salt gives independent hashes.

    Returns
    -------
    ndarray of shape (n,), uint64
        Equal for rows of equal cells (0.0 and -0.0 are equal), on every machine and in every version.

    Examples
    --------
    >>> hashes = row_hashes(pl.DataFrame({"a": [1, 2, 1], "b": ["x", "x", "x"]}), ["a", "b"], salt="0")
    >>> bool(hashes[0] == hashes[2]), bool(hashes[0] == hashes[1])
    (True, False)
    """
    hashes = np.full(frame.height, _of_text(salt), dtype=np.uint64)
    for name in columns:
        hashes = _mixed(hashes * _FIRST + _cells(frame[name]))
    return hashes


def positions(hashes: np.ndarray) -> np.ndarray:
    """Hashes as places in [0, 1), float64, with 53 bits."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def by_row_number(start: int, n_rows: int, *, salt: str) -> np.ndarray:
    """Hashes of row numbers, for a draw in which equal rows are separate cases; shape (n_rows,), uint64."""
    return _mixed(np.arange(start, start + n_rows, dtype=np.uint64) + _of_text(salt))


def content_columns(look: pl.DataFrame, features: Sequence[str]) -> list[str]:
    """Columns in which copies are recognised: all features but keys; none where few rows are possible.

    Parameters
    ----------
    look : DataFrame
        The first rows of the table.
    features : sequence of str

    Returns
    -------
    list of str
        Empty where so few different rows exist that repeats are chance; rows are then separate cases.
    """
    compared = [name for name in features if not _is_key(look[name])] or list(features)
    hashes = row_hashes(look, compared, salt="")
    _, units = np.unique(hashes, return_inverse=True)
    if not low_information(units):
        return compared
    if len(compared) < len(features):
        _, units = np.unique(row_hashes(look, features, salt=""), return_inverse=True)
        if not low_information(units):
            return list(features)
    return []


def _is_key(cells: pl.Series) -> bool:
    """A copied row often has a new key, so keys do not count."""
    if not (cells.dtype.is_integer() or cells.dtype == pl.String) or cells.null_count() or len(cells) < 100:
        return False
    return cells.n_unique() == len(cells)


def _cells(cells: pl.Series) -> np.ndarray:
    dtype = cells.dtype
    if dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Boolean:
        numbers = cells.cast(pl.UInt8) if dtype == pl.Boolean else cells.to_physical()
        values = numbers.cast(pl.Float64).fill_null(np.nan).to_numpy() + 0.0  # turns -0.0 into 0.0
        bits = values.view(np.uint64).copy()
        bits[np.isnan(values)] = _NULL
        return _mixed(bits)
    text = cells if dtype == pl.String else pl.Series(cells.name, [None if c is None else str(c) for c in cells.to_list()])
    known = text.drop_nulls().unique()
    if not len(known):
        return np.full(len(cells), _NULL, dtype=np.uint64)
    codes = pl.Series([int(_of_text(value)) for value in known.to_list()], dtype=pl.UInt64)
    return text.replace_strict(known, codes, default=int(_NULL), return_dtype=pl.UInt64).to_numpy()


def _mixed(values: np.ndarray) -> np.ndarray:
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def _of_text(value: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little"))
