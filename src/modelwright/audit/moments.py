"""When each row happened, and which other columns are moments of the same clock.

Moments are float64: microseconds since 1970 where the time column holds dates (or counts seconds, milli-, micro- or
nanoseconds since then), else the unit of the time column. NaN is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from modelwright.audit.context import Context
from modelwright.tables.conform import conform
from modelwright.tables.schema import Column

#: Ticks of each unit of time since 1970 in one microsecond.
_EPOCH_UNITS = (1e-6, 1e-3, 1.0, 1e3)
_DAY, _YEAR = 86_400e6, 365.25 * 86_400e6
#: What a count since 1970 must lie between to be read as a moment: 1980 to 2100.
_FIRST, _LAST = 10 * _YEAR, 130 * _YEAR
#: Share of the filled cells of a number that must lie near the time column for it to be a moment.
_NEAR_SHARE = 0.95
#: Largest spread of the distance of another number to a plain counter, as a share of the spread of the counter.
_COUNTER_SPREAD = 0.35
_MIN_FILLED = 10
#: Share of the filled cells that must be dates if numbers of eight digits are.
_PACKED_SHARE = 0.99


@dataclass(frozen=True)
class Clock:
    """The row's own time on the sample of the context.

    ``dates`` says whether `moments` count microseconds since 1970; ``grain`` is the step of the calendar that all
    of them stand on ("year", "month", "day", or "" for anything finer); ``zoned`` whether they came with a zone.
    """

    name: str
    moments: np.ndarray
    dates: bool
    grain: str
    zoned: bool


def clock(context: Context) -> Clock | None:
    """The declared time column; None if there is none that can be read as a moment."""
    column = next((c for c in context.schema.with_role("time") if c.name in context.frame.columns), None)
    if column is None:
        return None
    if column.type == "datetime":
        moments, zoned = _dates(context, column)
        return Clock(column.name, moments, True, grain(moments), zoned)
    if column.type != "number":
        return None
    values = _numbers(context, column)
    counted = _since_1970(values)
    if counted is not None:
        return Clock(column.name, counted, True, grain(counted), True)
    return Clock(column.name, values, False, "", False)


def moments_of(context: Context, column: Column, own: Clock) -> tuple[np.ndarray, bool] | None:
    """Moments of another column on the clock of the rows, and whether they came with a zone; None if it holds none."""
    if column.type == "datetime":
        return _dates(context, column) if own.dates else None
    numeric = column.type == "number" or (column.type == "id" and context.frame[column.name].dtype.is_numeric())
    if not numeric:
        return None
    values = _numbers(context, column)
    if own.dates:
        moments = _since_1970(values)
        return (moments, True) if moments is not None and _near(moments, own.moments) else None
    return (values, False) if _same_counter(values, own.moments) else None


def grain(moments: np.ndarray) -> str:
    """Coarsest step of the calendar that all moments stand on."""
    filled = moments[~np.isnan(moments)]
    if not len(filled) or (filled % _DAY).any():
        return ""
    days = filled.astype("datetime64[us]").astype("datetime64[D]")
    if (days != days.astype("datetime64[M]").astype("datetime64[D]")).any():
        return "day"
    return "month" if (days != days.astype("datetime64[Y]").astype("datetime64[D]")).any() else "year"


def floored(moments: np.ndarray, step: str) -> np.ndarray:
    """Moments cut to the year, month or day that they lie in."""
    if not step:
        return moments
    unit = {"day": "D", "month": "M", "year": "Y"}[step]
    known = ~np.isnan(moments)
    cut = np.where(known, moments, 0).astype(np.int64).astype("datetime64[us]").astype(f"datetime64[{unit}]")
    return np.where(known, cut.astype("datetime64[us]").astype(np.int64).astype(np.float64), np.nan)


def _dates(context: Context, column: Column) -> tuple[np.ndarray, bool]:
    dtype = context.frame[column.name].dtype
    zoned = (isinstance(dtype, pl.Datetime) and dtype.time_zone is not None) or any(
        f.endswith(("z", "Z")) for f in column.formats
    )
    cells = conform(context.sampled, context.schema, columns=(column,))[0][column.name]
    return _float(cells.to_physical()), zoned


def _numbers(context: Context, column: Column) -> np.ndarray:
    if column.type == "number":
        return _float(conform(context.sampled, context.schema, columns=(column,))[0][column.name])
    return _float(context.sampled[column.name])


def _float(cells: pl.Series) -> np.ndarray:
    return cells.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()


def _since_1970(values: np.ndarray) -> np.ndarray | None:
    filled = values[~np.isnan(values)]
    if len(filled) < _MIN_FILLED:
        return None
    packed = _packed_dates(values)
    if packed is not None:
        return packed
    low, high = np.quantile(filled, [0.01, 0.99])
    for unit in _EPOCH_UNITS:
        if low / unit >= _FIRST and high / unit <= _LAST:
            return values / unit
    return None


def _packed_dates(values: np.ndarray) -> np.ndarray | None:
    """Dates packed into numbers, such as 20240131; None if they are something else."""
    filled = ~np.isnan(values)
    if values[filled].min() < 1e7 or values[filled].max() >= 1e8:
        return None
    text = pl.Series(np.where(filled, values, 0)).cast(pl.Int64).cast(pl.String)
    days = text.str.to_date("%Y%m%d", strict=False).cast(pl.Datetime("us"))
    return _float(days.to_physical()) if days.is_not_null().sum() >= _PACKED_SHARE * filled.sum() else None


def _near(moments: np.ndarray, own: np.ndarray) -> bool:
    """Whether a number lies where the time column lies, give or take its span and a year."""
    first, last = np.nanmin(own), np.nanmax(own)
    room = (last - first) + _YEAR
    filled = moments[~np.isnan(moments)]
    return bool(np.mean((filled >= first - room) & (filled <= last + room)) >= _NEAR_SHARE)


def _same_counter(values: np.ndarray, own: np.ndarray) -> bool:
    """Whether a number runs along with a plain counter (a year, a step) at the same pace."""
    both = ~np.isnan(values) & ~np.isnan(own)
    if both.sum() < _MIN_FILLED:
        return False
    apart, counter = values[both] - own[both], own[both]
    spread = np.subtract(*np.quantile(counter, [0.9, 0.1]))
    close = np.subtract(*np.quantile(apart, [0.9, 0.1])) <= _COUNTER_SPREAD * spread
    return bool(spread > 0 and close and np.median(np.abs(apart)) <= spread)
