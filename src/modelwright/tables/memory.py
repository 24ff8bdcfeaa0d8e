"""Tables that are already in memory: pandas, polars, Arrow, NumPy, dicts and lists.

Neither pandas nor pyarrow is imported: what is given is recognised by where its class lives, and pandas columns
are taken over through NumPy.
"""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from modelwright.errors import DataError
from modelwright.tables.normalise import clean_names

_MEND = (
    "Give a path or URL, a pandas, polars or Arrow table, a two-dimensional or structured NumPy array, "
    "a dict of columns, or a list of dicts."
)


def from_memory(data: Any) -> tuple[pl.DataFrame, str]:
    """Turn an object into a polars frame, and say in words what it was.

    Raises
    ------
    DataError
        If it is no table.
    """
    library = type(data).__module__.partition(".")[0]
    name = type(data).__name__
    if isinstance(data, pl.DataFrame):
        return data, "polars DataFrame"
    if isinstance(data, pl.LazyFrame):
        return data.collect(), "polars LazyFrame"
    if library == "pandas" and name == "DataFrame":
        return _from_pandas(data), "pandas DataFrame"
    if isinstance(data, np.ndarray):
        return _from_numpy(data), "NumPy array"
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return _from_arrow(data, f"{library} {name}"), f"{library} {name}"
    if isinstance(data, Mapping):
        return _from_columns(data), "dict of columns"
    if isinstance(data, Sequence) and not isinstance(data, str | bytes | bytearray):
        return _from_records(data), "list of dicts"
    raise DataError(f"A {library}.{name} is no table.", mend=_MEND)


def column_from_values(name: str, values: Sequence[Any]) -> pl.Series:
    """Build a column from Python values, whose types alone decide its type.

    Integers with floats or decimals become numbers, dates with datetimes become datetimes; what cannot share a
    type becomes text through ``str``. None, NaN in text, and pandas' NA and NaT are null.
    """
    types = set(map(type, values))
    if any(kind.__name__ in ("NAType", "NaTType") or issubclass(kind, np.generic) for kind in types):
        values = [_plain(value) for value in values]
        types = set(map(type, values))
    types.discard(type(None))
    if not types:
        return pl.Series(name, [None] * len(values), dtype=pl.String)
    if len(types) > 1 and float in types and not types <= {int, float, decimal.Decimal}:
        # NaN is how object arrays write "missing" among values of any type.
        values = [None if isinstance(value, float) and value != value else value for value in values]
        types = set(map(type, values)) - {type(None)}
    if types == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if types == {int}:
        return _integers(name, values)
    if types <= {int, float, decimal.Decimal}:
        return _floats(name, values)
    if all(issubclass(kind, str) for kind in types):
        return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
    if all(issubclass(kind, dt.date) for kind in types):
        return _datetimes(name, values)
    if all(issubclass(kind, dt.timedelta) for kind in types):
        return pl.Series(name, [None if value is None else value.total_seconds() for value in values], dtype=pl.Float64)
    if all(issubclass(kind, bytes | bytearray | memoryview) for kind in types):
        return pl.Series(name, [None if value is None else bytes(value) for value in values], dtype=pl.Binary)
    if types <= {dict} or types <= {list, tuple, np.ndarray}:
        try:
            return pl.Series(name, [list(v) if isinstance(v, tuple | np.ndarray) else v for v in values])
        except (TypeError, ValueError, pl.exceptions.PolarsError):
            pass  # Cells of different shapes have no common nested type; as text they still tell rows apart.
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def _plain(value: Any) -> Any:
    """A Python value for a NumPy scalar, None for pandas' missing markers."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, np.datetime64 | np.timedelta64):
        return None if np.isnat(value) else value.astype(f"{np.datetime_data(value.dtype)[0].replace('ns', 'us')}").item()
    return value.item() if isinstance(value, np.generic) else value


def _integers(name: str, values: Sequence[Any]) -> pl.Series:
    for dtype in (pl.Int64, pl.UInt64):
        try:
            return pl.Series(name, values, dtype=dtype)
        except (OverflowError, TypeError, pl.exceptions.PolarsError):
            continue
    return _floats(name, values)


def _floats(name: str, values: Sequence[Any]) -> pl.Series:
    try:
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    except OverflowError as error:
        raise DataError(
            "A whole number is larger than any number can be.", where=f"column {name!r}" if name else "", mend="Correct it."
        ) from error


def _datetimes(name: str, values: Sequence[Any]) -> pl.Series:
    aware = {value.tzinfo is not None for value in values if isinstance(value, dt.datetime)}
    if len(aware) == 2:
        return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
    return pl.Series(name, [_naive(value) for value in values], dtype=pl.Datetime("us"))


def _naive(value: dt.date | None) -> dt.datetime | None:
    if value is None:
        return None
    if not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day)
    if value.tzinfo is not None:
        value = value.astimezone(dt.UTC)
    # Rebuilt, because pandas' Timestamp is a subclass that carries nanoseconds.
    return dt.datetime(value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)


def _from_pandas(data: Any) -> pl.DataFrame:
    """Columns in order; levels of the index that have a name come first, because a file would hold them too."""
    named = [level for level in data.index.names if level is not None and level not in data.columns]
    if named:
        data = data.reset_index(level=named)
    names = ["_".join(map(str, label)) if isinstance(label, tuple) else str(label) for label in data.columns]
    columns = [_pandas_column(data.iloc[:, i]) for i in range(len(names))]
    return _assemble(names, columns, source="pandas DataFrame")


def _pandas_column(column: Any) -> pl.Series:
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        return _numpy_column(column.to_numpy())
    kind = type(dtype).__name__
    if kind == "CategoricalDtype":
        codes = column.cat.codes.to_numpy()
        labels = [str(label) for label in column.cat.categories]
        texts = pl.Series(labels, dtype=pl.String)
        rows = pl.Series(codes.astype(np.int64))
        return texts.gather(rows.set(rows < 0, None)) if len(texts) else pl.Series([None] * len(codes), dtype=pl.String)
    if kind == "DatetimeTZDtype":
        return _numpy_column(column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
    values = column.astype(object)
    return column_from_values("", values.where(column.notna(), None).tolist())


def _numpy_column(values: np.ndarray) -> pl.Series:
    """One-dimensional array of any dtype."""
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    plain = np.ascontiguousarray(np.ma.getdata(values))
    if plain.dtype.kind in "biuf" and plain.dtype.itemsize <= 8:
        plain = plain.astype(plain.dtype.newbyteorder("="), copy=False)
        series = pl.Series(plain.astype(np.float32) if plain.dtype == np.float16 else plain)
    elif plain.dtype.kind in "Mm" and np.datetime_data(plain.dtype)[0] != "generic":
        unit = "us" if np.datetime_data(plain.dtype)[0] not in ("ns", "ms") else np.datetime_data(plain.dtype)[0]
        series = pl.Series(plain.astype(f"{plain.dtype.kind}8[{unit}]"))
    else:
        series = column_from_values("", plain.tolist())
    if mask is not None and mask.any():
        series = series.set(pl.Series(mask), None)
    return series


def _from_numpy(data: np.ndarray) -> pl.DataFrame:
    source = "NumPy array"
    if data.dtype.names:
        if data.ndim != 1:
            raise DataError(
                f"The structured array has {data.ndim} dimensions.", where=source, mend="Give one with one dimension."
            )
        return _assemble(list(data.dtype.names), [_numpy_column(data[name]) for name in data.dtype.names], source=source)
    if data.ndim != 2:
        raise DataError(
            f"The array has shape {data.shape}.", where=source, mend="Give rows and columns; reshape(-1, 1) makes one column."
        )
    return _assemble(
        [f"x{i}" for i in range(data.shape[1])], [_numpy_column(data[:, i]) for i in range(data.shape[1])], source=source
    )


def _from_arrow(data: Any, source: str) -> pl.DataFrame:
    # Names first: polars refuses repeated ones in its own words.
    schema = getattr(data, "schema", None)
    if schema is not None and hasattr(schema, "names"):
        clean_names(list(schema.names), source=source)
    try:
        built = pl.DataFrame(data)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"The Arrow data is no table: {error}", where=source, mend=_MEND) from error
    return built


def _from_columns(data: Mapping[Any, Any]) -> pl.DataFrame:
    source = "dict of columns"
    names: list[str] = []
    columns: list[pl.Series] = []
    for key, values in data.items():
        if isinstance(values, str | bytes | Mapping) or not (hasattr(values, "__len__") and hasattr(values, "__iter__")):
            raise DataError(
                f"A {type(values).__name__} is no column.",
                where=f"{source}, column {str(key)!r}",
                mend="Give every column as a list or array; for one row, give a list of one dict.",
            )
        names.append(str(key))
        columns.append(_any_column(values))
    return _assemble(names, columns, source=source)


def _any_column(values: Any) -> pl.Series:
    if isinstance(values, pl.Series):
        return values
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return _numpy_column(values)
    if type(values).__module__.startswith("pandas") and hasattr(values, "to_numpy"):
        return _pandas_column(values.to_series() if hasattr(values, "to_series") else values)
    if hasattr(values, "__arrow_c_stream__"):
        return pl.Series(values)
    return column_from_values("", list(values))


def _from_records(data: Sequence[Any]) -> pl.DataFrame:
    source = "list of dicts"
    names: dict[Any, None] = {}
    for i, record in enumerate(data):
        if not isinstance(record, Mapping):
            raise DataError(f"A {type(record).__name__} is no record.", where=f"{source}, item {i}", mend=_MEND)
        names.update(dict.fromkeys(record))
    return _assemble(
        [str(name) for name in names],
        [column_from_values("", [record.get(name) for record in data]) for name in names],
        source=source,
    )


def _assemble(names: list[str], columns: list[pl.Series], *, source: str) -> pl.DataFrame:
    names = clean_names(names, source=source)
    lengths = {name: len(column) for name, column in zip(names, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        described = ", ".join(f"{name!r}: {length}" for name, length in list(lengths.items())[:10])
        raise DataError(f"The columns differ in length ({described}).", where=source, mend="Give columns of one length.")
    return pl.DataFrame([column.alias(name) for name, column in zip(names, columns, strict=True)])
