"""Tables on disk that are read batch by batch, because they need not fit in memory.

Parquet, Arrow and delimited text (UTF-8, not compressed as a whole) can be read so; what else there is goes the
ordinary way (`tables.read`). Types are settled by one look at all batches (`tables.settled`).
"""

from __future__ import annotations

import csv
import glob
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from modelwright.errors import DataError
from modelwright.tables.dialect import decode, find_delimiter
from modelwright.tables.fingerprint import BLOCK_ROWS
from modelwright.tables.formats import Format, format_of
from modelwright.tables.locations import is_database, is_url
from modelwright.tables.normalise import clean_names

#: Cells of a batch; 2.6 million are 21 MB as numbers.
_BATCH_CELLS = 2_600_000
#: Rows from which the size in memory is estimated, and characters from which a dialect is.
_LOOK_ROWS = 20_000
_LOOK_BYTES = 1 << 20
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True)
class Scan:
    """Files of one form that are read in batches.

    Attributes
    ----------
    paths : tuple of str
        In the order in which they are put below one another.
    format : {"parquet", "arrow", "delimited"}
    names : tuple of str
        Columns.
    source : str
        Where the rows come from, in words.
    delimiter : str or None
        Of delimited text, whose cells are all read as text.
    most_rows : int or None
        Only so many of the first rows.
    """

    paths: tuple[str, ...]
    format: Format
    names: tuple[str, ...]
    source: str
    delimiter: str | None = None
    most_rows: int | None = None

    @property
    def batch_rows(self) -> int:
        """Rows of every batch but the last: a multiple of the blocks of the fingerprint."""
        return max(1, min(8, _BATCH_CELLS // (BLOCK_ROWS * max(len(self.names), 1)))) * BLOCK_ROWS

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """All rows in their order, `batch_rows` at a time, cells as they are stored.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these.

        Raises
        ------
        DataError
            If a file is damaged, or the files do not fit together.
        """
        wanted = list(self.names if columns is None else columns)
        held: list[pl.DataFrame] = []
        n_held = 0
        with self._told():
            for piece in self._lazy().select(wanted).collect_batches(chunk_size=BLOCK_ROWS, lazy=True):
                held.append(piece)
                n_held += piece.height
                while n_held >= self.batch_rows:
                    whole = pl.concat(held)
                    yield whole[: self.batch_rows].rechunk()
                    held, n_held = [whole[self.batch_rows :]], n_held - self.batch_rows
        if n_held:
            yield pl.concat(held).rechunk()

    def some(self, columns: Sequence[str], taken: Sequence[bool]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Some of the batches with their numbers; those of Parquet and Arrow files that are not taken are not read.

        Parameters
        ----------
        columns : sequence of str
        taken : sequence of bool
            One for each batch.
        """
        if self.format == "delimited" or all(taken):
            yield from ((number, batch) for number, batch in enumerate(self.batches(columns)) if taken[number])
            return
        rows = self._lazy().select(columns)
        for number, wanted in enumerate(taken):
            if wanted:
                with self._told():
                    yield number, rows.slice(number * self.batch_rows, self.batch_rows).collect().rechunk()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What polars refuses, said as an error in the data."""
        try:
            yield
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(
                f"The files cannot be read in batches: {str(error).splitlines()[0][:300]}",
                where=self.source,
                mend="Give all files the same columns and types; text must be UTF-8, and each row have every field.",
            ) from error

    def head(self, n_rows: int = _LOOK_ROWS) -> pl.DataFrame:
        """The first rows."""
        for batch in self.batches():
            return batch.head(n_rows)
        raise DataError("The table has no rows.", where=self.source, mend="Give at least one row.")

    def estimated_rows(self) -> int:
        """Number of rows; of delimited text by the size of the files and of the first rows."""
        if self.format != "delimited":
            return int(self._lazy().select(pl.len()).collect().item())
        look = self.head()
        stored = max(1, len(look.write_csv(separator=self.delimiter or ",").encode()))
        n_rows = int(look.height * sum(Path(path).stat().st_size for path in self.paths) / stored)
        return n_rows if self.most_rows is None else min(n_rows, self.most_rows)

    def estimated_bytes(self) -> int:
        """Size of the whole table in memory, from the first rows."""
        look = self.head()
        row = look.estimated_size() / max(look.height, 1)
        if self.format == "delimited":
            # A text cell takes 16 bytes and, if longer than 12 letters, itself; most columns become numbers of 8.
            row = max(8 * look.width, row / 2)
        return int(self.estimated_rows() * row)

    def _lazy(self) -> pl.LazyFrame:
        found = self._all()
        return found if self.most_rows is None else found.head(self.most_rows)

    def _all(self) -> pl.LazyFrame:
        paths: Any = list(self.paths)
        if self.format == "delimited":
            return pl.scan_csv(
                paths, separator=self.delimiter or ",", infer_schema=False, with_column_names=lambda _: list(self.names)
            )
        found = pl.scan_parquet(paths) if self.format == "parquet" else pl.scan_ipc(paths)
        stored = found.collect_schema().names()
        return found.rename(dict(zip(stored, self.names, strict=True))) if tuple(stored) != self.names else found


def open_scan(data: object) -> Scan | None:
    """The files of an address as a scan, or None where the address cannot be read in batches.

    Parameters
    ----------
    data : object
        Path, folder or glob on this machine; anything else gives None.

    Raises
    ------
    DataError
        If a column name occurs twice.
    """
    if not isinstance(data, (str, Path)) or is_url(str(data)) or is_database(str(data)):
        return None
    paths = _files(str(data))
    formats = {format_of(path) for path in paths}
    if len(formats) != 1 or not paths:
        return None
    form = formats.pop()
    if form not in ("parquet", "arrow", "delimited"):
        return None
    with Path(paths[0]).open("rb") as first:
        start = first.read(_LOOK_BYTES)
    if form == "delimited":
        return _delimited(paths, start, str(data))
    if (form == "parquet" and start[:4] != b"PAR1") or (form == "arrow" and start[:6] != b"ARROW1"):
        return None  # the ordinary reader says what it is
    try:
        lazy = pl.scan_parquet(paths[0]) if form == "parquet" else pl.scan_ipc(paths[0])
        stored = lazy.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError):
        return None
    return Scan(tuple(paths), form, tuple(clean_names(stored, source=str(data))), str(data))


def _delimited(paths: list[str], start: bytes, source: str) -> Scan | None:
    complete = start[: start.rfind(b"\n") + 1]
    if start.startswith(_COMPRESSED) or start.startswith((b"\xff\xfe", b"\xfe\xff")) or not complete.strip():
        return None
    try:
        complete.decode("utf-8")
    except UnicodeDecodeError:
        return None
    text = decode(complete, source=source)
    delimiter = find_delimiter(text)
    names = _header(text, delimiter, source)
    for path in paths[1:]:
        with Path(path).open("rb") as file:
            other = decode(file.read(_LOOK_BYTES).rpartition(b"\n")[0], source=path)
        if _header(other, delimiter, path) != names:
            return None  # the ordinary reader puts columns in order, or says how they differ
    return Scan(tuple(paths), "delimited", names, source, delimiter)


def _header(text: bytes, delimiter: str, source: str) -> tuple[str, ...]:
    rows = csv.reader(io.StringIO(text.decode(), newline=""), delimiter=delimiter)
    return tuple(clean_names(next(rows, []), source=source))


def _files(address: str) -> list[str]:
    path = Path(address).expanduser()
    if path.is_dir():
        return sorted(
            str(entry) for entry in path.iterdir() if entry.is_file() and entry.name[0] not in "._" and format_of(entry.name)
        )
    if path.is_file():
        return [str(path)]
    return sorted(name for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
