"""Windows by time or by number of rows, over the log of predictions and over any table.

A window of the log ends between two moments, never within one: an answer is in one window as a whole. Where it begins and
ends depends on the rows before it alone, so the same log gives the same windows however often it is looked at.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import polars as pl

from modelwright.errors import InvalidInputError
from modelwright.monitoring.prediction_log import Prediction

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
#: Windows without a row that are told one after the other; a model that nobody asked for a year is told so once.
_MOST_EMPTY = 3
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
#: Weeks begin on Mondays; the epoch was a Thursday.
_MONDAY = dt.datetime(1970, 1, 5, tzinfo=dt.UTC)
_LEAST = dt.timedelta(microseconds=1)
_Row = TypeVar("_Row")


class Span(msgspec.Struct, frozen=True):
    """How long a window is: so many rows, or so many seconds."""

    rows: int | None = None
    seconds: int | None = None

    @property
    def text(self) -> str:
        """In the largest unit that divides it: "1000", "1d", also for 24h. Windows are kept under this name."""
        if self.seconds is None:
            return str(self.rows)
        unit = next(unit for unit in reversed(_SECONDS) if self.seconds % _SECONDS[unit] == 0)
        return f"{self.seconds // _SECONDS[unit]}{unit}"


@dataclass(frozen=True)
class Slice(Generic[_Row]):
    """Rows from ``start`` up to but without ``end``; ``complete`` is False where rows may still come."""

    start: str
    end: str
    rows: _Row
    complete: bool = True


def read_span(text: str | int) -> Span:
    """Read ``1000`` or ``1d``.

    Raises
    ------
    InvalidInputError
        If it is neither a number of rows nor a length of time.

    Examples
    --------
    >>> read_span("1000").rows, read_span("6h").seconds, read_span("86400s").text
    (1000, 21600, '1d')
    """
    found = re.fullmatch(r"(\d{1,9})([smhdw]?)", str(text).strip().replace("_", ""))
    if found is None or int(found[1]) == 0:
        raise InvalidInputError(
            f"{text!r} is no window.", where="window", mend="Give a number of rows such as 1000, or a time such as 6h or 1d."
        )
    number = int(found[1])
    if found[2]:
        return Span(seconds=number * _SECONDS[found[2]])
    return Span(rows=number)


def of_log(
    rows: Iterable[Prediction], span: Span, *, now: dt.datetime, since: str = "", n_empty: int = 0
) -> Iterator[Slice[list[Prediction]]]:
    """Windows of logged rows, oldest first.

    Parameters
    ----------
    rows : iterable of Prediction
        By moment, as `read_predictions` gives them, beginning where a window begins.
    span : Span
    now : datetime
        Rows of later moments may still come.
    since : str, default=""
        End of the window before; without it the windows begin with the first row.
    n_empty : int, default=0
        How many of the windows before, the last ones, had no row.
    """
    if span.seconds is not None:
        return _by_time(rows, span.seconds, now, dt.datetime.fromisoformat(since) if since else None, n_empty)
    assert span.rows is not None
    return _by_count(rows, span.rows, since)


def of_table(frame: pl.DataFrame, span: Span | None, moments: pl.Series | None = None) -> Iterator[Slice[pl.Series]]:
    """Windows of a table: places of their rows.

    Parameters
    ----------
    frame : DataFrame
    span : Span or None
        None is one window of all rows.
    moments : Series of datetimes, optional
        Needed for windows by time; rows without one are in no window. Rows are then taken in their order.

    Raises
    ------
    InvalidInputError
        If windows by time are asked for and there are no moments.
    """
    places = pl.Series("row", range(frame.height), dtype=pl.UInt32)
    if moments is not None:
        order = moments.arg_sort().filter(moments.sort().is_not_null())
        places, moments = places[order], moments[order]
    if span is not None and span.seconds is not None:
        if moments is None:
            raise InvalidInputError(
                "The table has no column of time, so it cannot be divided by time.",
                where="window",
                mend="Give a number of rows, such as 1000.",
            )
        number = ((moments.cast(pl.Datetime("us")).cast(pl.Int64) // 1_000_000) - _offset(span.seconds)) // span.seconds
        for k in number.unique().sort().to_list():
            begun = _EPOCH + dt.timedelta(seconds=k * span.seconds + _offset(span.seconds))
            yield Slice(_iso(begun), _iso(begun + dt.timedelta(seconds=span.seconds)), places.filter(number == k))
        return
    size = len(places) if span is None or span.rows is None else span.rows
    for start in range(0, len(places), max(size, 1)):
        part = places[start : start + size]
        names = (str(start), str(start + len(part)))
        if moments is not None:
            names = (_iso(_utc(moments[start])), _iso(_utc(moments[start + len(part) - 1]) + _LEAST))
        yield Slice(*names, part, span is None or len(part) == size)


def _by_count(rows: Iterable[Prediction], n: int, begun: str) -> Iterator[Slice[list[Prediction]]]:
    held: list[Prediction] = []
    for _, moment in itertools.groupby(rows, key=lambda row: row.at):
        held += moment
        if len(held) >= n:
            # From where the one before ended: rows that are written late fall into one of them.
            yield _of(held, begun, complete=True)
            begun, held = _after(held[-1]), []
    if held:
        yield _of(held, begun, complete=False)


def _by_time(
    rows: Iterable[Prediction], seconds: int, now: dt.datetime, expected: dt.datetime | None, n_empty: int
) -> Iterator[Slice[list[Prediction]]]:
    length = dt.timedelta(seconds=seconds)
    for begun, within in itertools.groupby(rows, key=lambda row: floor(dt.datetime.fromisoformat(row.at), seconds)):
        for empty in _between(expected, begun, length, n_empty):
            yield Slice(_iso(empty), _iso(empty + length), [])
        expected, n_empty = begun + length, 0
        yield Slice(_iso(begun), _iso(expected), list(within), expected <= now)
    if expected is not None:
        for empty in _between(expected, floor(now, seconds), length, n_empty):
            yield Slice(_iso(empty), _iso(empty + length), [])


def floor(moment: dt.datetime, seconds: int) -> dt.datetime:
    """The start of the window that a moment lies in: windows of a day begin at midnight UTC, of a week on Monday."""
    offset = _offset(seconds)
    since = (moment - _EPOCH) // dt.timedelta(seconds=1) - offset
    return _EPOCH + dt.timedelta(seconds=since // seconds * seconds + offset)


def _offset(seconds: int) -> int:
    return int((_MONDAY - _EPOCH).total_seconds()) if seconds % _SECONDS["w"] == 0 else 0


def _between(start: dt.datetime | None, end: dt.datetime, length: dt.timedelta, n_empty: int) -> Iterator[dt.datetime]:
    """Starts of windows without rows, the first few of them; so many were told before."""
    for _ in range(_MOST_EMPTY - n_empty):
        if start is None or start >= end:
            return
        yield start
        start += length


def _of(held: list[Prediction], begun: str, *, complete: bool) -> Slice[list[Prediction]]:
    return Slice(begun or held[0].at, _after(held[-1]), held, complete)


def _after(row: Prediction) -> str:
    return _iso(dt.datetime.fromisoformat(row.at) + _LEAST)


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def _iso(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="microseconds")
