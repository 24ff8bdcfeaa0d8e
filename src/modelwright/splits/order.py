"""Time columns as numbers that sort."""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.errors import DataError
from modelwright.tables.dates import find_formats, parse_dates


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
    if time.dtype in (pl.Categorical, pl.Enum):
        time = time.cast(pl.String)
    if time.dtype == pl.String:
        time = _from_text(time)
    elif time.dtype.is_temporal():
        time = time.to_physical()
    elif not (time.dtype.is_numeric() or time.dtype in (pl.Boolean, pl.Null)):
        raise _unreadable(time)
    return time.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()


def _from_text(time: pl.Series) -> pl.Series:
    text = time.str.strip_chars()
    text = text.set(text == "", None)
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() <= text.null_count():
        return numbers
    reading = find_formats(text)
    if reading is None:
        raise _unreadable(time)
    return parse_dates(text, reading.formats).to_physical()


def _unreadable(time: pl.Series) -> DataError:
    example = next((v for v in time.drop_nulls().head(1).to_list()), None)
    return DataError(
        f"The time column holds neither dates nor numbers, for example {example!r}.",
        where=f"column {time.name!r}",
        mend="Name a column of dates, or write them as 2024-12-31 or 2024-12-31 23:59:00.",
    )
