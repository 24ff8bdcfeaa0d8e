"""Datetime columns as numbers.

Every part is computed with integer arithmetic of numpy, the same for one row and for a million.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: Parts that only repeat: what a time column says about a row without saying when the row was recorded.
CYCLIC_PARTS = ("month", "day", "weekday", "hour")
#: Parts of a datetime feature; "days" counts from the earliest training row, with the time of day as a fraction.
PARTS = ("year", "month", "day", "weekday", "hour", "minute", "day_of_year", "days")

_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
_MINUTE_US = 60_000_000


def _month_start(stamps: np.ndarray) -> np.ndarray:
    return stamps.astype("M8[M]").astype("M8[D]")


def _year_start(stamps: np.ndarray) -> np.ndarray:
    return stamps.astype("M8[Y]").astype("M8[D]")


def _days(stamps: np.ndarray) -> np.ndarray:
    return stamps.astype("M8[D]").astype(np.int64)


#: Part of datetimes (M8[us], none missing) as integers.
_READERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "year": lambda stamps: stamps.astype("M8[Y]").astype(np.int64) + 1970,
    "month": lambda stamps: stamps.astype("M8[M]").astype(np.int64) % 12 + 1,
    "day": lambda stamps: (stamps.astype("M8[D]") - _month_start(stamps)).astype(np.int64) + 1,
    # 1970-01-01 was a Thursday; Monday is 0.
    "weekday": lambda stamps: (_days(stamps) + 3) % 7,
    "hour": lambda stamps: stamps.astype(np.int64) % _DAY_US // _HOUR_US,
    "minute": lambda stamps: stamps.astype(np.int64) % _HOUR_US // _MINUTE_US,
    "day_of_year": lambda stamps: (stamps.astype("M8[D]") - _year_start(stamps)).astype(np.int64) + 1,
}


def earliest(stamps: np.ndarray) -> int:
    """Microseconds since 1970 of the earliest datetime, 0 when all are missing."""
    present = stamps[~np.isnat(stamps)]
    return int(present.min().astype(np.int64)) if len(present) else 0


def date_part(stamps: np.ndarray, part: str, origin_us: int = 0) -> np.ndarray:
    """One part of datetimes as numbers.

    Parameters
    ----------
    stamps : ndarray of shape (n,), datetime64[us]
        NaT is missing.
    part : str
        One of `PARTS`. Months, days and days of the year count from 1; hours and minutes from 0; Monday is 0.
    origin_us : int, default=0
        Where "days" starts, in microseconds since 1970.

    Returns
    -------
    ndarray of shape (n,), float64
        NaN where the cell is missing.

    Examples
    --------
    >>> date_part(np.array(["2024-03-01T18:00", "NaT"], dtype="M8[us]"), "weekday")
    array([ 4., nan])
    """
    missing = np.isnat(stamps)
    filled = np.where(missing, np.datetime64(0, "us"), stamps)
    values = (filled.astype(np.int64) - origin_us) / _DAY_US if part == "days" else _READERS[part](filled).astype(np.float64)
    values[missing] = np.nan
    return np.asarray(values)
