"""Time columns as numbers that sort, and lengths of time in their units."""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from modelwright.errors import DataError
from modelwright.tables.dates import find_formats, parse_dates

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_PER_SECOND = {"ns": 1e9, "us": 1e6, "ms": 1e3}


def time_values(time: pl.Series) -> np.ndarray:
    """When each row happened, as numbers that sort.

    Parameters
    ----------
    time : Series
        Dates, datetimes, numbers, or text that holds numbers or dates.

    Returns
    -------
    ndarray of shape (n,), float64
        NaN where the time is missing or unreadable.

    Raises
    ------
    DataError
        If the column holds neither times nor numbers.
    """
    time = read_times(time)
    if time.dtype.is_temporal():
        time = time.to_physical()
    return time.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()


def gap_length(gap: str | float | None, time: pl.Series) -> float:
    """A length of time in the units of `time_values` of the column.

    Parameters
    ----------
    gap : str, float or None
        "7d", "12 hours", "30m" for dates; a number for a column of numbers, in its own units. None is 0.
    time : Series

    Raises
    ------
    DataError
        If the unit does not suit the column.

    Examples
    --------
    >>> from datetime import date
    >>> gap_length("2w", pl.Series([date(2024, 1, 1)])), gap_length("7", pl.Series([1, 2]))
    (14.0, 7.0)
    """
    if gap is None:
        return 0.0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(gap).strip().lower())
    where = f"column {time.name!r}"
    if found is None:
        raise DataError(f"The gap {gap!r} is not a length of time.", where=where, mend='Give one such as "7d" or "12h".')
    number, unit = float(found[1]), found[2][:1]
    scale = _units_per_second(read_times(time).dtype)
    if scale is None:
        if unit:
            raise DataError(
                f"The gap is {gap!r}, but the time column holds numbers.",
                where=where,
                mend=f"Give the gap as a number in the units of the column, such as gap = {found[1]!r}.",
            )
        return number
    if not unit and number:
        raise DataError(
            f"The gap {gap!r} has no unit, but the time column holds dates.",
            where=where,
            mend=f'Give it as "{found[1]}d" for days, or with s, m, h or w.',
        )
    return number * _SECONDS.get(unit, 0.0) * scale


def _units_per_second(dtype: pl.DataType) -> float | None:
    """Units of the physical value in a second; None for numbers."""
    if dtype == pl.Date:
        return 1 / 86400.0
    if dtype == pl.Time:
        return 1e9
    if isinstance(dtype, (pl.Datetime, pl.Duration)):
        return _PER_SECOND[dtype.time_unit]
    return None


def read_times(time: pl.Series) -> pl.Series:
    """The column as times or numbers."""
    if time.dtype in (pl.Categorical, pl.Enum):
        time = time.cast(pl.String)
    if time.dtype == pl.String:
        return _from_text(time)
    if time.dtype.is_temporal() or time.dtype.is_numeric() or time.dtype in (pl.Boolean, pl.Null):
        return time
    raise _unreadable(time)


def _from_text(time: pl.Series) -> pl.Series:
    text = time.str.strip_chars()
    text = text.set(text == "", None)
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() <= text.null_count():
        return numbers
    reading = find_formats(text)
    if reading is None:
        raise _unreadable(time)
    return parse_dates(text, reading.formats)


def _unreadable(time: pl.Series) -> DataError:
    example = next((v for v in time.drop_nulls().head(1).to_list()), None)
    return DataError(
        f"The time column holds neither dates nor numbers, for example {example!r}.",
        where=f"column {time.name!r}",
        mend="Name a column of dates, or write them as 2024-12-31 or 2024-12-31 23:59:00.",
    )
