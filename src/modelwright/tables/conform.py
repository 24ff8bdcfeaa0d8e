"""Applying a schema to any table: training rows, evaluation rows, rows to predict.

Columns are found by name, in any order; columns that the schema does not ask for are ignored. A cell that cannot
be read becomes missing and is told about; a column that mostly cannot be read is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from modelwright.errors import DataError, SchemaError
from modelwright.tables.cells import (
    adorned_to_number,
    declared_numbers,
    label_text,
    stripped,
    text_to_boolean,
    text_to_number,
    without_declared,
    without_marks,
)
from modelwright.tables.dates import ISO_FORMATS, parse_dates
from modelwright.tables.names import nearest
from modelwright.tables.schema import Column, Schema

#: Up to this many rows each cell is looked at before any expression is built.
_FEW_ROWS = 32
#: Cells looked at to see whether a column of text repeats itself.
_LOOKED_AT = 1_000
#: Above this share of unreadable cells a column is taken for the wrong one.
_MAX_UNREAD = 0.5

#: What cells of a type should be, in words; the other types take every value.
EXPECTED = {"number": "numbers", "boolean": "true or false (yes/no, 1/0)", "datetime": "dates and times"}


@dataclass(frozen=True)
class _Reader:
    """Expressions for one column of one physical type.

    ``cells`` is what the cells hold once blanks and declared missing values are null; ``value`` is what the
    model reads. Where ``value`` is None, ``cells`` are dates kept as text. ``fallback`` is a dearer way to read,
    tried on a column that lost cells.
    """

    cells: pl.Expr
    value: pl.Expr | None
    fallback: pl.Expr | None = None


def conform(
    frame: pl.DataFrame, schema: Schema, *, columns: tuple[Column, ...] | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """Read the columns of a table as the schema says.

    Parameters
    ----------
    frame : DataFrame of n rows
    schema : Schema
    columns : tuple of Column, optional
        What to read, in this order; by default ``schema.features``.

    Returns
    -------
    DataFrame of n rows
        number Float64 (NaN is null), boolean Boolean, category, text and id String, datetime Datetime(us).
    list of str
        One message for each column with cells that could not be read and are now missing.

    Raises
    ------
    SchemaError
        If columns are missing, or more than half of the filled cells of a column cannot be read.
    """
    wanted = schema.features if columns is None else columns
    dtypes = frame.schema
    missing = [column for column in wanted if column.name not in dtypes]
    if missing:
        raise _missing_columns(missing, wanted, frame)
    few = frame.height <= _FEW_ROWS
    labels = {} if few else {c.name: read for c in wanted if (read := _labels(frame[c.name], c)) is not None}
    if labels:
        frame = frame.with_columns(**labels)
    readers = [
        (
            column,
            _AS_IS
            if column.name in labels or (few and _is_clean(frame[column.name], column))
            else _reader(column, dtypes[column.name]),
        )
        for column in wanted
    ]
    result = frame.select(_expression(column, reader) for column, reader in readers)
    dates = [
        parse_dates(result[column.name], column.formats or ISO_FORMATS)
        for column, reader in readers
        if reader is not _AS_IS and reader.value is None
    ]
    if dates:
        result = result.with_columns(dates)
    messages = []
    for column, reader in readers:
        if reader is _AS_IS:
            continue
        # Counting nulls is free; only a column that lost cells is looked at again.
        if result[column.name].null_count() > frame[column.name].null_count():
            if reader.fallback is not None:
                result = result.with_columns(frame.select(reader.fallback.alias(column.name)).to_series())
            message = _lost(column, frame.select(reader.cells.alias(column.name)).to_series(), result[column.name])
            if message:
                messages.append(message)
    return result, messages


def reads(column: Column, dtype: pl.DataType) -> bool:
    """Whether a column of the schema can be read from cells of a polars type at all."""
    try:
        _reader(column, dtype)
    except SchemaError:
        return False
    return True


def cells_and_values(frame: pl.DataFrame, column: Column) -> tuple[pl.Series, pl.Series]:
    """One column twice: filled cells with declared missing values as null, and what the model reads of them.

    Raises
    ------
    SchemaError
        If cells of this type can never be read.
    """
    reader = _reader(column, frame.schema[column.name])
    cells = frame.select(reader.cells.alias(column.name)).to_series()
    if reader.value is None:
        return cells, parse_dates(cells, column.formats or ISO_FORMATS)
    # A cell that the plain way loses may be read by the dearer one, as in `conform`.
    values = frame.select(reader.value.alias(column.name)).to_series()
    if reader.fallback is not None and values.null_count() > cells.null_count():
        values = frame.select(reader.fallback.alias(column.name)).to_series()
    return cells, values


def check_finite(frame: pl.DataFrame, schema: Schema) -> None:
    """Refuse infinite feature values.

    Parameters
    ----------
    frame : DataFrame
        Conformed rows, or rows as read.

    Raises
    ------
    DataError
        Naming the columns, how many cells, and the first row.
    """
    dtypes = frame.schema  # once: asking for it anew per column is quadratic in wide tables
    numeric = [
        column.name
        for column in schema.features
        if column.type == "number"
        and column.name in dtypes
        and dtypes[column.name].is_float()
        and not any(abs(number) == float("inf") for number in declared_numbers(column.missing_values))
    ]
    if not numeric:
        return
    counts = frame.select(pl.col(name).is_infinite().sum() for name in numeric).row(0)
    found = [(name, count) for name, count in zip(numeric, counts, strict=True) if count]
    if not found:
        return
    first = min(int(frame[name].is_infinite().fill_null(False).arg_true()[0]) for name, _ in found)
    shown = ", ".join(f"{name!r} ({count})" for name, count in found[:8]) + (
        f" and {len(found) - 8} more" if len(found) > 8 else ""
    )
    raise DataError(
        f"infinite values in {shown}, the first in row {first}.",
        where="columns" if len(found) > 1 else f"column {found[0][0]!r}",
        mend='If they mean "not known", write missing_values = ["inf"] in modelwright.toml; otherwise correct them.',
    )


#: Stands for "the cells are already what the model reads".
_AS_IS = _Reader(pl.lit(None), None)


def _expression(column: Column, reader: _Reader) -> pl.Expr:
    """What to select for one column."""
    if reader is _AS_IS:
        return pl.col(column.name)
    return (reader.cells if reader.value is None else reader.value).alias(column.name)


def _is_clean(cells: pl.Series, column: Column) -> bool:
    """Whether reading would change nothing, found by looking at each cell.

    A request of one row has its cells looked at in microseconds, where twenty expressions take milliseconds.
    """
    if column.missing_values:
        return False
    dtype = cells.dtype
    if column.type == "number":
        return dtype == pl.Float64 and not cells.is_nan().any()
    if column.type == "boolean":
        return dtype == pl.Boolean
    if column.type == "datetime":
        return dtype == pl.Datetime("us")
    if dtype != pl.String:
        return False
    return all(
        value is None or (value != "" and value == value.strip() and not value.endswith(".0")) for value in cells.to_list()
    )


def _labels(cells: pl.Series, column: Column) -> pl.Series | None:
    """Labels of a column of text that repeats itself, read once for each distinct text; None for other columns.

    On 100,000 cells of 16 levels that takes 1 ms, against 17 ms cell by cell.
    """
    if cells.dtype != pl.String or column.type in EXPECTED:
        return None
    if cells.head(_LOOKED_AT).n_unique() > _LOOKED_AT // 4:
        return None
    distinct = cells.unique()
    reader = _reader(column, cells.dtype)
    if len(distinct) > len(cells) // 4 or reader.value is None:
        return None
    read = distinct.to_frame().select(reader.value.alias(column.name)).to_series()
    labels = cells if distinct.equals(read) else cells.replace_strict(distinct, read, return_dtype=pl.String)
    # A slice lets go of a mask in which nothing is missing: whether one is there depends on rows that were left out,
    # and files are to have the same bytes without them.
    return labels.slice(0)


@lru_cache(maxsize=8192)
def _reader(column: Column, dtype: pl.DataType) -> _Reader:
    """How a column of one physical type is read; kept, because single rows come by the thousand."""
    cells = pl.col(column.name)
    if dtype in (pl.Categorical, pl.Enum) or dtype == pl.Null:
        cells, dtype = cells.cast(pl.String), pl.String()
    elif dtype.is_decimal() or dtype == pl.Float32:
        cells, dtype = cells.cast(pl.Float64), pl.Float64()
    elif dtype == pl.Date:
        cells, dtype = cells.cast(pl.Datetime("us")), pl.Datetime("us")
    elif isinstance(dtype, pl.Datetime):
        if dtype.time_zone is not None:
            cells = cells.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        if dtype.time_unit != "us":
            cells = cells.cast(pl.Datetime("us"))
        dtype = pl.Datetime("us")
    if dtype == pl.String:
        cells = stripped(cells)
    elif dtype.is_float():
        cells = cells.fill_nan(None)
    cells = without_declared(cells, dtype, column.missing_values)
    if column.type == "number":
        return _number(column, cells, dtype)
    if column.type == "boolean":
        return _boolean(column, cells, dtype)
    if column.type == "datetime":
        return _datetime(column, cells, dtype)
    return _Reader(cells, label_text(cells, dtype))


def _number(column: Column, cells: pl.Expr, dtype: pl.DataType) -> _Reader:
    if dtype == pl.String:
        cells = without_marks(cells)
        # A declared -999 also means the text "-999.0".
        plain = without_declared(text_to_number(cells, column.decimal, column.thousands), pl.Float64(), column.missing_values)
        adorned = adorned_to_number(cells, column.decimal, column.thousands)
        return _Reader(cells, plain, pl.coalesce(plain, without_declared(adorned, pl.Float64(), column.missing_values)))
    if dtype.is_numeric() or dtype == pl.Boolean:
        return _Reader(cells, cells.cast(pl.Float64))
    raise _wrong_type(column, dtype)


def _boolean(column: Column, cells: pl.Expr, dtype: pl.DataType) -> _Reader:
    if dtype == pl.Boolean:
        return _Reader(cells, cells)
    if dtype == pl.String:
        cells = without_marks(cells)
        return _Reader(cells, text_to_boolean(cells, column.true_values, column.false_values))
    if dtype.is_numeric():
        # A count that was 0 and 1 in training may be 2 later; trees would read it as they read 1.
        return _Reader(cells, pl.when(cells >= 1).then(True).when(cells == 0).then(False).otherwise(None))
    raise _wrong_type(column, dtype)


def _datetime(column: Column, cells: pl.Expr, dtype: pl.DataType) -> _Reader:
    if dtype == pl.Datetime:
        return _Reader(cells, cells)
    if dtype == pl.String:
        return _Reader(without_marks(cells), None)
    if dtype.is_numeric() and column.formats:
        # Dates packed into integers, such as 20240131.
        return _Reader(cells.cast(pl.Int64, strict=False).cast(pl.String), None)
    raise _wrong_type(column, dtype)


def _lost(column: Column, cells: pl.Series, values: pl.Series) -> str:
    """Message about filled cells that became missing, "" if there are none."""
    unread = cells.filter(cells.is_not_null() & values.is_null())
    n_unread = len(unread)
    if not n_unread:
        return ""
    n_filled = len(cells) - cells.null_count()
    examples = ", ".join(quoted(value) for value in unread.unique(maintain_order=True).head(3).to_list())
    expected = EXPECTED.get(column.type, column.type)
    written = f" written as {', '.join(column.formats[:3])}" if column.formats else ""
    if n_unread > _MAX_UNREAD * n_filled:
        raise SchemaError(
            f"the model expects {expected}{written}, but {n_unread} of {n_filled} filled cells are something else, "
            f"such as {examples}.",
            where=f"column {column.name!r}",
            mend="Send what the model was trained on (an empty cell if the value is not known), or retrain with this table.",
        )
    return (
        f"Column {column.name!r}: {n_unread} of {n_filled} filled cells are not {expected}{written} and count as missing, "
        f"such as {examples}."
    )


def _missing_columns(missing: list[Column], wanted: tuple[Column, ...], frame: pl.DataFrame) -> SchemaError:
    """Say which columns are absent, and which present ones may be meant."""
    known = {column.name for column in wanted}
    spare = [name for name in frame.columns if name not in known]
    shown = ", ".join(repr(column.name) for column in missing[:20]) + (
        f" and {len(missing) - 20} more" if len(missing) > 20 else ""
    )
    hints = []
    for column in missing[:5]:
        hint = nearest(column.name, spare) if spare else ""
        if hint.startswith("Did you mean"):
            hints.append(f"{column.name!r}: {hint[0].lower()}{hint[1:]}")
    plural = "columns are" if len(missing) > 1 else "column is"
    return SchemaError(
        f"{len(missing)} {plural} missing: {shown}.",
        where=f"table of {frame.width} columns",
        mend=" ".join(hints) or "Add them; a column may be empty, but must be there.",
    )


def _wrong_type(column: Column, dtype: pl.DataType) -> SchemaError:
    return SchemaError(
        f"the model expects {EXPECTED.get(column.type, column.type)}, but the column holds "
        f"{_SPOKEN.get(dtype.base_type(), str(dtype))}.",
        where=f"column {column.name!r}",
        mend="Send what the model was trained on"
        + (" (dates as ISO 8601 text)." if column.type == "datetime" else ", or retrain with this table."),
    )


_SPOKEN: dict[object, str] = {
    pl.Datetime: "dates and times",
    pl.Boolean: "true and false",
    pl.Int64: "numbers",
    pl.Float64: "numbers",
}


def quoted(value: object) -> str:
    """A cell as shown in a message, shortened."""
    text = str(value)
    return repr(text if len(text) <= 30 else text[:27] + "...")
