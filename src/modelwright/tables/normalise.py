"""One form for the same data, whichever way it was stored.

============================  ====================================================================
as stored                     as read
============================  ====================================================================
integers of any width         Int64 (UInt64 where a value exceeds it, Float64 beyond that)
floats, decimals              Float64, NaN as null; infinite values stay
durations                     Float64, seconds
dates, datetimes              Datetime in microseconds without time zone; zoned ones in UTC
text, categories, times       String, "" as null
text, all of it ISO 8601      Datetime in microseconds, as above
columns without any value     String
lists, structs, bytes         kept
============================  ====================================================================

Numbers kept as text are left to `tables.types`, which knows the whole column's story; only files without
types of their own (CSV) have them read as numbers here, in `tables.dialect`.
"""

from __future__ import annotations

import re

import polars as pl

from modelwright.errors import DataError

_TIME = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
_ZONE = r"Z|[+-][0-9]{2}(?::?[0-9]{2})?"
_ISO_8601 = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[T ]{_TIME}(?:{_ZONE})?)?$"
_FIRST_LOOK = re.compile(_ISO_8601)


def normalise(frame: pl.DataFrame, *, source: str) -> pl.DataFrame:
    """Bring a frame into the form described above; row and column order stay.

    Raises
    ------
    DataError
        If there are no columns, no rows, or two columns of one name.
    """
    if frame.width == 0:
        raise DataError("The table has no columns.", where=source, mend="Give a table with named columns and rows.")
    names = clean_names(frame.columns, source=source)
    if frame.height == 0:
        raise DataError(
            f"The table has {frame.width} columns but no rows.",
            where=source,
            mend="Give at least one row below the column names.",
        )
    columns = [_normalise_column(series) for series in frame.iter_columns()]
    return pl.DataFrame([column.alias(name) for column, name in zip(columns, names, strict=True)])


def clean_names(names: list[str], *, source: str) -> list[str]:
    """Strip a byte order mark, number the unnamed, and refuse names that occur twice."""
    cleaned = [name.removeprefix("\ufeff") or f"column_{i + 1}" for i, name in enumerate(names)]
    seen: set[str] = set()
    repeated: list[str] = []
    for name in cleaned:
        if name in seen and name not in repeated:
            repeated.append(name)
        seen.add(name)
    if repeated:
        listed = ", ".join(repr(name) for name in repeated)
        raise DataError(
            f"Column names must be unique, but {listed} {'occurs' if len(repeated) == 1 else 'occur'} more than once.",
            where=source,
            mend="Rename or drop the repeated columns.",
        )
    return cleaned


def _normalise_column(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    if dtype == pl.Object:
        series = pl.Series([None if cell is None else str(cell) for cell in series.to_list()], dtype=pl.String)
        dtype = series.dtype
    if dtype.is_float() or dtype == pl.Decimal:
        series = series.cast(pl.Float64).fill_nan(None)
    elif dtype.is_integer():
        series = _widen_integers(series)
    elif dtype in (pl.Categorical, pl.Enum, pl.Time):
        series = series.cast(pl.String)
    elif dtype == pl.Duration:
        series = series.dt.total_microseconds() / 1e6
    elif dtype == pl.Date:
        series = series.cast(pl.Datetime("us"))
    elif isinstance(dtype, pl.Datetime):
        if dtype.time_zone is not None:
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        series = series.cast(pl.Datetime("us"))
    if series.dtype == pl.String:
        series = _text(series)
    if series.null_count() == len(series):
        # What a column without values was declared as differs between forms of storage, so it says nothing.
        return pl.Series([None] * len(series), dtype=pl.String)
    return series.rechunk()


def _widen_integers(series: pl.Series) -> pl.Series:
    for target in (pl.Int64, pl.UInt64):
        widened = series.cast(target, strict=False)
        if widened.null_count() == series.null_count():
            return widened
    return series.cast(pl.Float64)


def _text(series: pl.Series) -> pl.Series:
    if (series == "").any():
        series = series.set(series == "", None)
    parsed = parse_iso_8601(series)
    return series if parsed is None else parsed


def parse_iso_8601(series: pl.Series) -> pl.Series | None:
    """Datetimes of a text column, or None unless every cell that is not null is an ISO 8601 date or datetime."""
    first = series.first(ignore_nulls=True)
    # One look at one cell spares most text columns the regular expression over all of them.
    if first is None or not _FIRST_LOOK.match(str(first)) or not series.str.contains(_ISO_8601).all():
        return None
    iso = series.str.replace(" ", "T", literal=True)
    zone = iso.str.extract(rf"T.*?({_ZONE})$")
    zoned = zone.drop_nulls()
    if len(zoned) and len(zoned) != len(series) - series.null_count():
        return None  # An instant and a wall-clock time cannot share a column.
    clock = iso.str.replace(rf"(T.*?)(?:{_ZONE})$", "$1")
    clock = clock.str.replace(r"^([^T]{10})$", "${1}T00:00").str.replace(r"(T[0-9]{2}:[0-9]{2})$", "${1}:00")
    parsed = clock.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    if len(zoned):
        digits = zone.str.replace("Z", "+00", literal=True).str.replace(":", "", literal=True)
        minutes = digits.str.slice(1, 2).cast(pl.Int64) * 60 + digits.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
        sign = digits.str.starts_with("-").cast(pl.Int64) * -2 + 1
        parsed = parsed - (sign * minutes * 60_000_000).cast(pl.Duration("us"))
    return parsed if parsed.null_count() == series.null_count() else None
