"""One hash for a whole table: every cell, column name, logical type and the order of rows and columns.

Equal data gives equal fingerprints in whatever form it was stored, so what storage changes on the way is
unified: booleans, integers and floats are numbers (SQLite keeps booleans as 0 and 1, pandas turns integers
with gaps into floats), NaN is null, -0.0 is 0.0, dates are datetimes, and categories are text. A column
without any value is of no type.

The encoding is our own and hashed with SHA-256, because hashes of dataframe libraries change with their
versions. Each column is hashed in blocks of 32,768 rows, so that a block stays in the processor's cache
between its preparation and its hashing. SHA-256 was measured at 2.0 GB/s on one core with SHA instructions,
BLAKE2b at 1.4 GB/s; `benchmarks/fingerprint_speed.py` measures the whole.

Changing any byte of the encoding needs a new prefix instead of ``mw1``.

A `traces.Tracer` may look on: it takes hashes of rows and columns from the same prepared blocks.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import polars as pl

from modelwright.tables.traces import Tracer

BLOCK_ROWS = 32_768
_PREFIX = "mw1"
#: Length that marks a null among the byte lengths of a text block; a block's text is far shorter.
_NULL_LENGTH = 0xFFFFFFFF
_NULL_LENGTH_SHORT = 0xFF


class _Hash(Protocol):
    def update(self, data: Any, /) -> None: ...


def fingerprint(frame: pl.DataFrame, tracer: Tracer | None = None) -> str:
    """Hash a table.

    Parameters
    ----------
    frame : polars.DataFrame
        Any frame; one from `tables.read` gives the same value in each form of storage.
    tracer : Tracer, optional
        Made for as many rows; takes what is needed to say later where another table differs.

    Returns
    -------
    str
        ``"mw1:"`` and 64 hexadecimal digits; the same in every process, on every machine.

    Examples
    --------
    >>> fingerprint(pl.DataFrame({"a": [1, 2]})) == fingerprint(pl.DataFrame({"a": [1.0, 2.0]}))
    True
    >>> fingerprint(pl.DataFrame({"a": [1, 2]})) == fingerprint(pl.DataFrame({"a": ["1", "2"]}))
    False
    """
    whole = hashlib.sha256(struct.pack("<QQ", frame.height, frame.width))
    for series in frame.iter_columns():
        column = hashlib.sha256()
        if tracer is not None:
            tracer.begin(series.name)
        tag = _hash_column(series, column, tracer)
        for text in (series.name, tag):
            encoded = text.encode()
            whole.update(struct.pack("<Q", len(encoded)))
            whole.update(encoded)
        # Blocks of NaN were hashed before it was known that nothing else follows.
        digest = (hashlib.sha256() if tag == "empty" else column).digest()
        whole.update(digest)
        if tracer is not None:
            tracer.end(tag, digest)
    return f"{_PREFIX}:{whole.hexdigest()}"


class BatchFingerprint:
    """`fingerprint` of a table that comes in batches; the same value as that of the whole.

    Cells of a delimited file are numbers or dates only if all of a column are, which the last batch settles. Until
    then such a column is hashed both ways.

    Parameters
    ----------
    names : sequence of str
        Columns in table order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = {name: _ColumnInBatches() for name in names}

    def add(self, name: str, cells: pl.Series, text: pl.Series | None = None) -> None:
        """The next cells of a column.

        Parameters
        ----------
        name : str
        cells : Series of n cells
            As `tables.normalise` gives them; n is a multiple of `BLOCK_ROWS` in all batches but the last.
        text : Series of n cells, optional
            The same as text, where they are stored as text.
        """
        self._columns[name].add(cells, text)

    def finish(self, n_rows: int, types: Mapping[str, pl.DataType]) -> str:
        """The fingerprint of all batches, given the type that each column has over all of them."""
        whole = hashlib.sha256(struct.pack("<QQ", n_rows, len(self._columns)))
        for name, column in self._columns.items():
            tag, digest = column.finish(types[name])
            for part in (name, tag):
                encoded = part.encode()
                whole.update(struct.pack("<Q", len(encoded)))
                whole.update(encoded)
            whole.update(digest)
        return f"{_PREFIX}:{whole.hexdigest()}"


class _ColumnInBatches:
    """One column of a `BatchFingerprint`, hashed as text and as numbers as long as either is possible."""

    def __init__(self) -> None:
        self._text, self._numbers = hashlib.sha256(), hashlib.sha256()
        self._tag = "text"
        self._inexact: list[tuple[int, int]] = []
        self._n_rows, self._n_filled = 0, 0
        self._scratch = np.empty(BLOCK_ROWS)

    def add(self, cells: pl.Series, text: pl.Series | None) -> None:
        filled = len(cells) - cells.null_count()
        numeric = cells.dtype.is_numeric() or cells.dtype.is_temporal() or cells.dtype == pl.Boolean
        if numeric or not filled:
            numbers = cells.to_physical().cast(pl.UInt8) if cells.dtype == pl.Boolean else cells.to_physical()
            for start in range(0, len(cells), BLOCK_ROWS):
                block = numbers.slice(start, BLOCK_ROWS)
                _hash_block(block.cast(pl.Float64), self._numbers, self._scratch)
                if filled and block.dtype.is_integer():
                    self._inexact += _inexact(block, self._n_rows + start)
        if text is not None or not filled:
            _hash_text(cells.cast(pl.String) if text is None else text, self._text)
        elif not numeric:
            self._tag = _hash_column(cells, self._text)
        self._n_rows += len(cells)
        self._n_filled += filled

    def finish(self, dtype: pl.DataType) -> tuple[str, bytes]:
        """Logical type and digest of the cells."""
        if not self._n_filled:
            return "empty", hashlib.sha256().digest()
        if not (dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Boolean):
            return self._tag, self._text.digest()
        for row, value in self._inexact if not dtype.is_float() else ():
            self._numbers.update(f"{row}={value};".encode())
        return "datetime" if dtype.is_temporal() else "number", self._numbers.digest()


def _hash_column(series: pl.Series, hasher: _Hash, tracer: Tracer | None = None) -> str:
    """Feed the cells to the hasher and return the logical type."""
    dtype = series.dtype
    if series.null_count() == len(series):
        return "empty"
    if dtype == pl.Decimal:
        as_float = series.cast(pl.Float64)
        if not as_float.cast(dtype, strict=False).eq_missing(series).all():
            _hash_text(series.cast(pl.String), hasher, tracer)
            return "decimal"
        series = as_float
        dtype = series.dtype
    if dtype == pl.Boolean:
        _hash_integers(series.cast(pl.UInt8), hasher, tracer)
        return "number"
    if dtype.is_integer():
        _hash_integers(series, hasher, tracer)
        return "number"
    if dtype.is_float():
        return "number" if _hash_floats(series.cast(pl.Float64), hasher, tracer) else "empty"
    if dtype == pl.Date or dtype == pl.Datetime:
        return _hash_datetimes(series, hasher, tracer)
    if dtype == pl.Duration:
        _hash_integers(series.dt.total_nanoseconds(), hasher, tracer)
        return "duration"
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        _hash_text(series.cast(pl.String), hasher, tracer)
        return "text"
    if dtype == pl.Time:
        _hash_text(series.cast(pl.String), hasher, tracer)
        return "time"
    if dtype == pl.Binary:
        _hash_text(series, hasher, tracer)
        return "binary"
    encoded = [None if cell is None else _as_json(cell) for cell in series.to_list()]
    _hash_text(pl.Series(encoded, dtype=pl.String), hasher, tracer)
    return "other"


def _as_json(cell: object) -> str:
    return json.dumps(cell, default=str, ensure_ascii=False, separators=(",", ":"))


def _hash_datetimes(series: pl.Series, hasher: _Hash, tracer: Tracer | None = None) -> str:
    """Microseconds since 1970 in UTC; nanoseconds where the column holds finer values than microseconds."""
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_unit == "ns":
        nanoseconds = series.to_physical()
        if (nanoseconds % 1000 != 0).any():
            _hash_integers(nanoseconds, hasher, tracer)
            return "datetime-ns"
        _hash_integers(nanoseconds // 1000, hasher, tracer)
    elif isinstance(series.dtype, pl.Datetime):
        _hash_integers(series.dt.cast_time_unit("us").to_physical(), hasher, tracer)
    else:
        _hash_integers(series.cast(pl.Datetime("us")).to_physical(), hasher, tracer)
    return "datetime"


def _hash_integers(series: pl.Series, hasher: _Hash, tracer: Tracer | None = None) -> None:
    """Integers as float64, followed by those that float64 cannot hold, in decimal digits."""
    scratch = np.empty(min(len(series), BLOCK_ROWS))
    inexact: list[tuple[int, int]] = []
    for start in range(0, len(series), BLOCK_ROWS):
        block = series.slice(start, BLOCK_ROWS)
        _hash_block(block.cast(pl.Float64), hasher, scratch, tracer, start)
        inexact += _inexact(block, start)
    for row, value in inexact:
        hasher.update(f"{row}={value};".encode())
    if tracer is not None:
        tracer.large(inexact)


def _inexact(block: pl.Series, start: int) -> list[tuple[int, int]]:
    """Row and value of the integers of a block that float64 cannot hold; its first row is number ``start``."""
    low, high = block.min(), block.max()
    if low is None or (low >= -(2**53) and high <= 2**53):  # type: ignore[operator]
        return []
    values = enumerate(block.to_list())
    return [(start + row, value) for row, value in values if value is not None and int(float(value)) != value]


def _hash_floats(series: pl.Series, hasher: _Hash, tracer: Tracer | None = None) -> bool:
    """Floats; False if NaN and null are all there is."""
    scratch = np.empty(min(len(series), BLOCK_ROWS))
    starts = range(0, len(series), BLOCK_ROWS)
    held = [_hash_block(series.slice(start, BLOCK_ROWS), hasher, scratch, tracer, start) for start in starts]
    return any(held)


def _hash_block(block: pl.Series, hasher: _Hash, scratch: np.ndarray, tracer: Tracer | None = None, start: int = 0) -> bool:
    """One block of Float64 cells, the first in row ``start``; False if none of them holds a value."""
    # One buffer for all blocks: asking the system for new pages each time took longer than hashing them.
    values = scratch[: len(block)]
    filled = block.fill_null(np.nan) if block.null_count() else block
    # Adding zero turns -0.0 into 0.0.
    np.add(filled.to_numpy(), 0.0, out=values)
    missing = np.isnan(values)
    any_missing = bool(missing.any())
    hasher.update(b"\x01" if any_missing else b"\x00")
    if tracer is not None:
        if any_missing and np.count_nonzero(missing) > block.null_count():  # NaNs of the data may have other bits
            np.putmask(values, missing, np.nan)
        tracer.numbers(start, values)
    if any_missing:
        np.putmask(values, missing, 0.0)
        hasher.update(np.packbits(missing).data)
    hasher.update((values if sys.byteorder == "little" else values.astype("<f8")).data)
    return not any_missing or not missing.all()


def _hash_text(series: pl.Series, hasher: _Hash, tracer: Tracer | None = None) -> None:
    """Byte lengths, then the bytes end to end; the lengths keep ("ab", "c") apart from ("a", "bc").

    The largest length stands for null. Lengths take one byte each in a block whose texts are all shorter.
    """
    is_text = series.dtype == pl.String
    for start in range(0, len(series), BLOCK_ROWS):
        block = series.slice(start, BLOCK_ROWS)
        lengths = block.str.len_bytes() if is_text else block.bin.size()
        longest = lengths.max()
        short = longest is None or longest < _NULL_LENGTH_SHORT  # type: ignore[operator]
        marked = lengths.fill_null(_NULL_LENGTH_SHORT if short else _NULL_LENGTH).to_numpy()
        hasher.update(b"\x01" if short else b"\x04")
        hasher.update(marked.astype(np.uint8 if short else "<u4").data)
        if tracer is not None:
            tracer.texts(start, block, int(lengths.sum()))
        if is_text:
            # Through Binary, because a Python string would be decoded and encoded again.
            hasher.update(block.str.join("", ignore_nulls=True).cast(pl.Binary).item())
        else:
            hasher.update(b"".join(cell for cell in block.to_list() if cell is not None))
