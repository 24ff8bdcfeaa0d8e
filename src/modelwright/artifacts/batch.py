"""Scoring tables larger than memory: batch by batch, bad rows set aside with their reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from modelwright.errors import DataError, SchemaError
from modelwright.tables.conform import conform
from modelwright.tables.fingerprint import BLOCK_ROWS
from modelwright.tables.locations import is_database
from modelwright.tables.read import read
from modelwright.tables.scan import Scan, open_scan
from modelwright.tables.settled import settle
from modelwright.tables.spooled import spooled
from modelwright.tables.unread import BadRow, unread_rows

if TYPE_CHECKING:
    from modelwright.artifacts.model import Model

OnBadRow = Literal["fail", "skip"]


@dataclass(frozen=True)
class Rows:
    """Rows to score, in their order.

    Attributes
    ----------
    n_rows : int
    streamed : bool
        Whether they are read from disk batch by batch; otherwise they are in memory.
    batches : iterator of DataFrame
        Typed as `tables.read` types the whole.
    """

    n_rows: int
    streamed: bool
    batches: Iterator[pl.DataFrame]


@dataclass(frozen=True)
class Part:
    """What a batch gave: predictions, and the rows that were set aside."""

    n_rows: int
    scored: pl.DataFrame
    bad: pl.DataFrame


@contextmanager
def open_rows(data: Any, *, query: str | None = None) -> Iterator[Rows]:
    """Rows of a table; files of CSV, Parquet and Arrow, and the rows of databases, are streamed.

    A database's rows are kept in files of a temporary folder until the end. What is streamed is read twice: a column of
    text is a number only if all its cells are, which a batch alone cannot say. So a row gives the same prediction here
    as in the whole table.

    Yields
    ------
    Rows

    Raises
    ------
    DataError
        If the table cannot be read or has no rows.
    StorageError
        If the disk has no room for the rows of a database.
    """
    with ExitStack() as stack:
        if isinstance(data, str) and is_database(data):
            folder = stack.enter_context(TemporaryDirectory(prefix="modelwright-rows-"))
            scan: Scan | None = spooled(data, query, Path(folder))
        else:
            scan = open_scan(data) if query is None else None
        if scan is None:
            frame = read(data, query=query).frame
            step = 8 * BLOCK_ROWS
            yield Rows(frame.height, False, (frame[start : start + step] for start in range(0, frame.height, step)))
            return
        settled = settle(scan)
        if not settled.n_rows:
            raise DataError("The table has no rows.", where=scan.source, mend="Give at least one row below the column names.")
        yield Rows(settled.n_rows, True, settled.batches())


def score_rows(
    model: Model,
    rows: Rows,
    score: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    on_bad_row: OnBadRow = "fail",
) -> Iterator[Part]:
    """Score batch after batch.

    Parameters
    ----------
    model : Model
    rows : Rows
    score : callable
        From a frame of good rows to a frame of as many predictions.
    on_bad_row : {"fail", "skip"}, default="fail"
        ``"skip"`` sets rows aside that hold cells of another type than the model was trained on.

    Yields
    ------
    Part
        With "skip" the predictions have the number of their row in DATA as the first column, counted from 0.

    Raises
    ------
    SchemaError
        If a column is missing or of another type; with "fail", at the first bad row, naming column, row and expected type;
        with "skip", if all rows are bad.
    """
    start = n_good = 0
    for stored in rows.batches:
        frame = model.rows(stored)
        wanted = model.columns_read(frame)
        # None of its rows: says which columns are missing, and costs nothing.
        conform(frame[:0], model.schema, columns=wanted)
        bad = unread_rows(frame, wanted)
        if bad and on_bad_row == "fail":
            first = bad[0]
            raise SchemaError(
                f"row {start + first.row} (counted from 0) cannot be read: {first.reason}.",
                where=f"column {first.column!r}",
                mend="Correct it, leave the cell empty if the value is not known, or set such rows aside with skip.",
            )
        numbers = pl.Series("row", range(start, start + stored.height), dtype=pl.Int64)
        good = _others(stored.height, bad)
        n_good += len(good)
        if len(good):
            scored = score(stored if not bad else stored[good])
            scored = scored if on_bad_row == "fail" else scored.insert_column(0, numbers.gather(good))
            yield Part(stored.height, scored, _set_aside(stored, bad, start))
        else:
            yield Part(stored.height, pl.DataFrame(), _set_aside(stored, bad, start))
        start += stored.height
    if not n_good:
        raise SchemaError(
            "not one row can be read as the model expects.",
            where="all rows",
            mend="Look at one of them with the option fail, which names its column and the expected type.",
        )


def _others(n_rows: int, bad: list[BadRow]) -> pl.Series:
    taken = {row.row for row in bad}
    return pl.Series([row for row in range(n_rows) if row not in taken], dtype=pl.Int64)


def _set_aside(stored: pl.DataFrame, bad: list[BadRow], start: int) -> pl.DataFrame:
    """Number, reason, and the cells as text: batches are to fit below one another."""
    if not bad:
        return pl.DataFrame()
    cells = stored[[row.row for row in bad]]
    plain = [name for name in cells.columns if not cells.schema[name].is_nested() and name not in ("bad_row", "bad_reason")]
    return (
        cells.select(pl.col(plain).cast(pl.String))
        .with_columns(
            bad_row=pl.Series([start + row.row for row in bad], dtype=pl.Int64),
            bad_reason=pl.Series([row.reason for row in bad], dtype=pl.String),
        )
        .select("bad_row", "bad_reason", *plain)
    )
