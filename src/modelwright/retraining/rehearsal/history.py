"""Rows in the order in which they happened, and the moments at which they did."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from modelwright.errors import DataError, InvalidInputError
from modelwright.retraining.policy import Span

#: Where the calendar of rows without dates begins: a Monday.
_BEGIN = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class History:
    """A table in time, cut into a first part to train on and windows that follow.

    Attributes
    ----------
    frame : DataFrame
        Rows in the order of their moments.
    moments : list of datetime
        Of each row; made up, one ``step`` a row, where the table holds no dates.
    target : str
    cuts : list of int
        Row at which each window begins, and the end of the last one; rows before ``cuts[0]`` train the first model.
    dated : bool
        Whether the moments are those of the table.
    """

    frame: pl.DataFrame
    moments: list[dt.datetime]
    target: str
    cuts: list[int]
    dated: bool

    @property
    def n_windows(self) -> int:
        """How many windows follow the first part."""
        return len(self.cuts) - 1

    def ends(self, number: int) -> dt.datetime:
        """The moment of the last row of a window."""
        return self.moments[self.cuts[number + 1] - 1]

    @cached_property
    def middle_window(self) -> dt.timedelta:
        """How long a window usually lasts."""
        lengths = sorted(self.ends(k) - self.moments[self.cuts[k]] for k in range(self.n_windows))
        return lengths[len(lengths) // 2]

    def mature(self, now: dt.datetime, delay_s: float) -> int:
        """Number of rows whose labels are there at a moment."""
        return bisect_right(self.moments, now - dt.timedelta(seconds=delay_s))

    def learned(self, until: int, span: Span) -> tuple[int, int]:
        """The rows before ``until`` that a policy trains on, from and up to."""
        if span.rows is not None:
            return max(0, until - span.rows), until
        if span.seconds is not None:
            return bisect_right(self.moments, self.moments[until - 1] - dt.timedelta(seconds=span.seconds)), until
        if span.since is not None:
            since = dt.datetime.fromisoformat(span.since)
            since = since if since.tzinfo else since.replace(tzinfo=dt.UTC)
            return min(bisect_right(self.moments, since - dt.timedelta(microseconds=1)), until - 1), until
        return 0, until


def history_of(
    frame: pl.DataFrame,
    target: str,
    time: str | None,
    *,
    first: float = 0.2,
    windows: int = 40,
    window_rows: int | None = None,
    step: dt.timedelta | None = None,
) -> History:
    """Order a table by its time and cut it.

    Parameters
    ----------
    frame : DataFrame
        Rows without a target are left out.
    target : str
    time : str or None
        A column of dates, moments or numbers; None takes the rows as they stand.
    first : float, default=0.2
        Share of the rows that the first model learns from.
    windows : int, default=40
        Into how many windows the rest is cut, unless ``window_rows`` says how long they are.
    window_rows : int, optional
    step : timedelta, optional
        Time from one row to the next, where the table holds no dates; by default such that a window is a week.

    Raises
    ------
    InvalidInputError
        If a column is not there, or a number is out of its range.
    DataError
        If the times cannot be read, or too few rows are left.
    """
    for name in (target, time):
        if name is not None and name not in frame.columns:
            raise InvalidInputError(f"The table has no column {name!r}.", where="column", mend="Name one that it has.")
    if not 0.02 <= first <= 0.9:
        raise InvalidInputError(f"{first:g} is no first part.", where="first", mend="Give a share from 0.02 to 0.9.")
    frame = frame.filter(pl.col(target).is_not_null())
    dates: pl.Series | None = None
    if time is not None:
        values = frame[time]
        if values.dtype == pl.String:
            values = _read(values)
        frame = frame.filter(values.is_not_null())
        values = values.drop_nulls()
        order = values.arg_sort()
        frame, values = frame[order], values[order]
        if values.dtype in (pl.Date, pl.Datetime):
            dates = values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    begins = int(frame.height * first)
    size = window_rows or max(1, (frame.height - begins) // max(windows, 1))
    cuts = list(range(begins, frame.height + 1, size))
    if begins < 50 or len(cuts) < 4 or size < 20:
        raise DataError(
            f"{frame.height:,} rows make {max(len(cuts) - 1, 0)} windows of {size:,} rows after a first part of {begins:,}.",
            where="table",
            mend="At least 3 windows of 20 rows and 50 rows before them are needed; change --first or --windows.",
        )
    if dates is not None:
        moments = dates.to_list()
    else:
        pace = step or dt.timedelta(weeks=1) / size
        moments = [_BEGIN + pace * place for place in range(frame.height)]
    history = History(frame, moments, target, cuts, dates is not None)
    return replace(history, cuts=_whole_moments(history)) if dates is not None else history


def _whole_moments(history: History) -> list[int]:
    """Cuts moved so that rows of one moment are not divided: what happens together is answered together."""
    moved = [bisect_right(history.moments, history.moments[cut - 1]) for cut in history.cuts]
    return sorted(set(moved))


def _read(values: pl.Series) -> pl.Series:
    for kind in (pl.Datetime("us"), pl.Date):
        try:
            return values.str.strptime(kind, strict=True)
        except pl.exceptions.PolarsError:
            continue
    raise DataError(
        f"Column {values.name!r} holds texts that are no dates.", where=f"column {values.name!r}",
        mend="Write dates as 2026-03-01 or 2026-03-01 12:00:00, or name another column.",
    )  # fmt: skip
