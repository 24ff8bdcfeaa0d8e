"""What is kept of a table so that it can be said later where another one differs: hashes, no values.

Taken while `tables.fingerprint` hashes a table:

- of every column its name, its logical type and a digest of its cells;
- of every row a hash over its cells, each multiplied by a number that follows from the column's name, so that the order
  of the columns does not count. One changed cell changes the hash of its row with certainty, before it is shortened;
- of every column a sum for each block of 4,096 rows, for tables whose row hashes would take too much room, and to say
  which columns of a changed row changed. Two cells that change places within a block leave the sum as it is.

`tables.differences` compares. Hashes of texts are those of Polars, whose form may change with its version: a probe in the
file tells whether they still mean the same.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from modelwright.errors import BundleError

#: The file in a run folder.
FILE_NAME = "cells.npz"
#: Rows of a block.
ROWS = 4_096
#: The file may take this share of the table, or so many bytes where that is more.
_SHARE, _FEW_BYTES = 0.05, 65_536
#: Row hashes of longer tables are not kept.
_MOST_BYTES = 1 << 25
_AT_ONCE = 1 << 15
_WIDTHS = {8: np.uint64, 4: np.uint32, 2: np.uint16}
#: Bits of a missing number, which stand for a missing text too.
_MISSING = int(np.array([np.nan]).view(np.uint64)[0])
_MIX = np.uint64(0x9E37_79B9_7F4A_7C15)
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_PROBE = ("modelwright", "", "größe 1")


class Column(msgspec.Struct, frozen=True):
    """A column: name, logical type as `tables.fingerprint` has it, and 32 hexadecimal digits for its cells."""

    name: str
    tag: str
    digest: str


class _Meta(msgspec.Struct, frozen=True):
    columns: list[Column]
    n_rows: int
    total: int
    probe: list[int]
    format: int = 1


class Traces:
    """Hashes of a table.

    Parameters
    ----------
    columns : list of Column
    n_rows : int
    rows : ndarray of shape (n_rows,), unsigned, or (0,)
        Hash of each row, shortened to what the size of the file allows; empty for tables too long for it.
    blocks : ndarray of shape (n_columns, n_blocks), uint64
    total : int
        Sum of the row hashes before they were shortened: equal for tables that differ in the order of rows alone.
    probe : list of int
        Hashes of fixed texts.
    """

    def __init__(
        self, columns: list[Column], n_rows: int, rows: np.ndarray, blocks: np.ndarray, total: int, probe: list[int]
    ) -> None:
        self.columns = columns
        self.n_rows = n_rows
        self.rows = rows
        self.blocks = blocks
        self.total = total
        self.probe = probe

    @property
    def texts_comparable(self) -> bool:
        """Whether hashes of texts mean now what they meant when these were taken."""
        return self.probe == _probe()

    def write(self, path: Path) -> None:
        """Write one file."""
        meta = msgspec.json.encode(_Meta(self.columns, self.n_rows, self.total, self.probe))
        with path.open("wb") as file:
            np.savez(file, meta=np.frombuffer(meta, dtype=np.uint8), rows=self.rows, blocks=self.blocks)

    @classmethod
    def read(cls, path: Path) -> Traces:
        """Read back what `write` wrote.

        Raises
        ------
        BundleError
            If the file is damaged.
        """
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                meta = msgspec.json.decode(arrays["meta"].tobytes(), type=_Meta)
                rows, blocks = arrays["rows"], arrays["blocks"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
            raise BundleError(f"The hashes of the table cannot be read: {error}.", where=str(path)) from error
        return cls(meta.columns, meta.n_rows, rows, blocks, meta.total, meta.probe)


class Tracer:
    """Takes the traces of a table whose columns are hashed one after another, in blocks whose length `ROWS` divides.

    Parameters
    ----------
    n_rows : int
    """

    def __init__(self, n_rows: int) -> None:
        self._n_rows = n_rows
        self._rows = np.zeros(n_rows, dtype=np.uint64)
        self._scratch = np.empty(0, dtype=np.uint64)
        self._columns: list[Column] = []
        self._blocks: list[np.ndarray] = []
        self._n_bytes = 0

    def begin(self, name: str) -> None:
        """The next column."""
        digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
        self._name, self._fed = name, False
        self._key, self._large_key = (int.from_bytes(part, "little") | 1 for part in (digest[:8], digest[8:]))
        self._missing = np.uint64(self._key * _MISSING & _MASK)
        self._sums = np.zeros(-(-self._n_rows // ROWS), dtype=np.uint64)

    def numbers(self, start: int, values: np.ndarray) -> None:
        """Float64 cells from row ``start`` on; all that are missing are the same NaN."""
        self._n_bytes += values.nbytes
        self._cells(start, values.view(np.uint64))

    def large(self, cells: list[tuple[int, int]]) -> None:
        """Row and value of integers that float64 cannot hold, beside their floats."""
        for row, value in cells:
            part = np.uint64(value * self._large_key & _MASK)
            block = row // ROWS
            # Slices, because numpy warns of single numbers that overflow.
            self._rows[row : row + 1] += part
            self._sums[block : block + 1] += part

    def texts(self, start: int, block: pl.Series, n_bytes: int) -> None:
        """Text or binary cells from row ``start`` on, of so many bytes in all."""
        self._n_bytes += n_bytes
        missing = block.is_null().to_numpy() if block.null_count() else None
        self._cells(start, block.hash(0).to_numpy(), missing)

    def end(self, tag: str, digest: bytes) -> None:
        """The column is done. One without any value has missing cells only, in whatever form they came."""
        if tag == "empty":
            if not self._fed:
                self._rows += self._missing
            self._sums[:] = 0
        self._columns.append(Column(self._name, tag, digest.hex()[:32]))
        self._blocks.append(self._sums)

    def finish(self) -> Traces:
        """The traces of all columns."""
        blocks = np.array(self._blocks, dtype=np.uint64).reshape(len(self._blocks), -1)
        room = min(max(_SHARE * self._n_bytes, _FEW_BYTES) - blocks.nbytes - 100 * len(self._columns), _MOST_BYTES)
        width = next((width for width in _WIDTHS if self._n_rows * width <= room), 0)
        kept = np.empty(self._n_rows, dtype=_WIDTHS[width]) if 0 < width < 8 else self._rows[: self._n_rows if width else 0]
        total = 0
        for start in range(0, self._n_rows, _AT_ONCE):
            rows = self._rows[start : start + _AT_ONCE]
            # What two rows differ in stands in the high bits of some cells and the low bits of others.
            high = np.right_shift(rows, np.uint64(31), out=self._room(len(rows)))
            np.bitwise_xor(rows, high, out=rows)
            np.multiply(rows, _MIX, out=rows)
            total += int(np.add.reduce(rows))
            if 0 < width < 8:
                # The high bits depend on all cells.
                kept[start : start + _AT_ONCE] = np.right_shift(rows, np.uint64(64 - 8 * width), out=high)
        return Traces(self._columns, self._n_rows, kept, blocks, total & _MASK, _probe())

    def _room(self, n: int) -> np.ndarray:
        """A buffer of n numbers; asking the system for new pages each time takes longer than the arithmetic."""
        if len(self._scratch) < n:
            self._scratch = np.empty(n, dtype=np.uint64)
        return self._scratch[:n]

    def _cells(self, start: int, bits: np.ndarray, missing: np.ndarray | None = None) -> None:
        n = len(bits)
        self._fed = True
        cells = np.multiply(bits, np.uint64(self._key), out=self._room(n))
        if missing is not None:
            np.putmask(cells, missing, self._missing)
        rows = self._rows[start : start + n]
        np.add(rows, cells, out=rows)
        first = start // ROWS
        self._sums[first : first + -(-n // ROWS)] = np.add.reduceat(cells, np.arange(0, n, ROWS))


def _probe() -> list[int]:
    return pl.Series(_PROBE).hash(0).to_list()
