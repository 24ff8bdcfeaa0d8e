"""Which type and which role each column of a table has, learned from training rows.

`infer_schema` looks at one column at a time: `tables.numeric` and `tables.textual` find its type,
this module settles roles, overrides and declared missing values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast, get_args

import polars as pl

from modelwright.errors import DataError, SpecError
from modelwright.tables.cells import FALSE_WORDS, TRUE_WORDS, stripped, without_declared
from modelwright.tables.dates import find_formats
from modelwright.tables.names import nearest
from modelwright.tables.numeric import Reading, classify_numbers, find_numbers
from modelwright.tables.schema import Column, LogicalType, Role, Schema, Task
from modelwright.tables.textual import classify_text

Missing = tuple[str | float, ...]

#: Types that a user may ask for; the others describe what was found.
SETTABLE_TYPES: tuple[LogicalType, ...] = ("number", "boolean", "category", "datetime", "text", "id")


def infer_schema(
    frame: pl.DataFrame,
    *,
    target: str | None,
    task: Task | None = None,
    time: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    exclude: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    missing_values: Mapping[str, Missing] | Missing = (),
) -> Schema:
    """Learn types, roles and reading instructions from training rows.

    Parameters
    ----------
    frame : DataFrame of shape (n, m)
        Training rows as the reader returned them, in file order.
    target : str or None
        Column to predict; None for clustering.
    task : {"binary", "multiclass", "regression", "clustering"}, optional
        Only used to type the target.
    time, group, weight : str, optional
        Columns of that role; none of them is a feature, also when ``exclude`` names them.
    exclude : sequence of str
        Columns that the model must not read.
    types : mapping of column name to type, optional
        Overrides: "number", "boolean", "category", "datetime", "text" or "id".
    missing_values : tuple, or mapping of column name to tuple
        Cell values that mean "missing", for all columns or by column.

    Returns
    -------
    Schema
        All columns in table order, each with the reason for its type and role.

    Raises
    ------
    SpecError
        If a named column does not exist (the nearest is named), roles contradict each other, or an override
        cannot be followed.
    DataError
        If weights are missing, negative or infinite.
    """
    types = dict(types or {})
    _check_names(frame, target, time, group, weight, exclude, types, missing_values)
    columns = []
    for name in frame.columns:
        declared = tuple(missing_values.get(name, ()) if isinstance(missing_values, Mapping) else missing_values)
        raw = frame[name]
        values = _cells(raw, declared)
        forced = types.get(name)
        if forced is not None:
            reading = _forced(values, cast(LogicalType, forced))
        elif name == target:
            reading = _target_type(values, task)
        elif name == weight:
            reading = _forced(values, "number")
        else:
            reading = _found(values, declared_time=name == time)
            if name == group and reading.type == "number":
                # The numbers of groups are labels: 7 and 7.0 must be one group.
                reading = Reading("category", reading.reason)
        role, reason = _role(name, reading, target, time, group, weight, exclude)
        blank = values.null_count() - raw.null_count() if raw.dtype == pl.String and not declared else 0
        if blank and reading.type != "empty":
            reason += f"; {blank} blank cells are missing"
        if role == "time" and reading.type not in ("datetime", "number", "boolean"):
            raise SpecError(
                f"its cells cannot be put in time order: they are read as {reading.type} ({reading.reason}).",
                where=f"time column {name!r}",
                mend="Name a column of dates or numbers, or write the dates as ISO 8601 (2024-01-31).",
            )
        columns.append(
            Column(
                name=name,
                type=reading.type,
                role=role,
                reason=reason,
                physical=str(raw.dtype),
                formats=reading.formats,
                decimal=reading.decimal,
                thousands=reading.thousands,
                true_values=reading.true_values,
                false_values=reading.false_values,
                missing_values=declared,
            )
        )
        if role == "weight":
            _check_weight(values, columns[-1])
    return Schema(tuple(columns))


def _check_names(
    frame: pl.DataFrame,
    target: str | None,
    time: str | None,
    group: str | None,
    weight: str | None,
    exclude: Sequence[str],
    types: Mapping[str, str],
    missing_values: Mapping[str, Missing] | Missing,
) -> None:
    """Refuse unknown columns, contradicting roles and unknown types."""
    if isinstance(exclude, str):
        raise SpecError(
            f"exclude = {exclude!r} is one text, not a list of columns.", where="exclude", mend=f"Write [{exclude!r}]."
        )
    named: list[tuple[str, str]] = [
        (key, name)
        for key, name in (("target", target), ("time", time), ("group", group), ("weight", weight))
        if name is not None
    ]
    listed = [("exclude", name) for name in exclude] + [("types", name) for name in types]
    if isinstance(missing_values, Mapping):
        listed += [("missing_values", name) for name in missing_values]
    for key, name in named + listed:
        if name not in frame.columns:
            raise SpecError(f"the table has no column {name!r}.", where=key, mend=nearest(name, frame.columns))
    taken: dict[str, str] = {}
    for key, name in named:
        if name in taken:
            raise SpecError(
                f"column {name!r} is named as {taken[name]} and as {key}.",
                where=key,
                mend="Give each role a column of its own.",
            )
        taken[name] = key
    if target is not None and target in exclude:
        raise SpecError(
            f"the target column {target!r} is also excluded.", where="exclude", mend="Take it out of one of the two."
        )
    for name, forced in types.items():
        if forced not in SETTABLE_TYPES:
            valid = ", ".join(SETTABLE_TYPES)
            hint = "It is found, not set." if forced in get_args(LogicalType) else ""
            mend = f"Choose one of: {valid}; to leave a column out, list it under exclude."
            raise SpecError(
                f"{forced!r} is not a type that can be set. {hint}".strip(), where=f"types, column {name!r}", mend=mend
            )


def _cells(raw: pl.Series, declared: Missing) -> pl.Series:
    """The column with blanks and declared missing values as null."""
    values = raw
    if values.dtype in (pl.Categorical, pl.Enum):
        values = values.cast(pl.String)
    elif values.dtype.is_decimal():
        values = values.cast(pl.Float64)
    elif values.dtype == pl.Null:
        values = values.cast(pl.String)
    expr = pl.col(values.name)
    if values.dtype == pl.String:
        expr = stripped(expr)
    elif values.dtype.is_float():
        expr = expr.fill_nan(None)
    frame = values.to_frame().select(expr)
    return frame.select(without_declared(pl.col(values.name), values.dtype, declared)).to_series().alias(raw.name)


def _found(values: pl.Series, *, declared_time: bool = False) -> Reading:
    """The type of a column that the user said nothing about."""
    n_missing = values.null_count()
    if n_missing == len(values):
        return Reading("empty", "all cells are missing" if len(values) else "the table has no rows")
    if not _readable(values):
        return Reading("other", f"cells of type {values.dtype} cannot be a feature")
    cells = values.drop_nulls()
    single = cells.n_unique() == 1
    if single and not n_missing and not declared_time:
        return Reading("constant", f"all cells are {_shown(cells[0])}")
    if single and not declared_time and values.dtype != pl.Boolean:
        return Reading("category", f"every filled cell is {_shown(cells[0])}; only which cells are missing can tell anything")
    if values.dtype == pl.Boolean:
        return Reading("boolean", "true and false as read")
    if values.dtype.is_temporal():
        return Reading("datetime", "dates as read")
    if values.dtype == pl.String:
        return classify_text(values, declared_time=declared_time)
    if single:
        return Reading("number", "numbers that put the rows in order")
    return classify_numbers(cells, declared_time=declared_time)


def _target_type(values: pl.Series, task: Task | None) -> Reading:
    """The type of the target: a number to regress on, or classes, never an identifier or prose."""
    found = _found(values)
    if task == "regression" and found.type != "number" and values.dtype != pl.Boolean and _readable(values):
        numbers = find_numbers(values) if values.dtype == pl.String else None
        if numbers:
            return Reading("number", "numbers kept as text", decimal=numbers.decimal, thousands=numbers.thousands)
        if values.dtype.is_numeric():
            return Reading("number", "numbers to regress on")
    if task in ("binary", "multiclass") and found.type not in ("boolean", "empty", "constant", "other"):
        return Reading("category", f"{values.n_unique() - bool(values.null_count())} classes")
    if found.type in ("id", "text"):
        kind: LogicalType = "number" if values.dtype.is_numeric() else "category"
        return Reading(kind, found.reason)
    return found


def _forced(values: pl.Series, wanted: LogicalType) -> Reading:
    """The reading instructions of a type that the user set."""
    said = "set in the spec"
    text = values.dtype == pl.String
    refusal = SpecError(
        f"{wanted} was asked for, but cells such as {_examples(values)} cannot be read so.",
        where=f"column {values.name!r}",
        mend="Choose another type, or mend the cells.",
    )
    if not _readable(values) and values.null_count() < len(values):
        raise refusal
    if wanted == "number":
        if values.dtype.is_temporal():
            raise refusal
        if text and values.null_count() < len(values):
            numbers = find_numbers(values) or find_numbers(values.str.replace(r"^([+-]?)0+(\d)", "${1}${2}"))
            if numbers is None:
                raise refusal
            return Reading("number", said, decimal=numbers.decimal, thousands=numbers.thousands)
    if wanted == "datetime" and not values.dtype.is_temporal() and values.null_count() < len(values):
        spelled = values if text else values.cast(pl.Int64, strict=False).cast(pl.String)
        dates = None if values.dtype == pl.Boolean else find_formats(spelled)
        if dates is None:
            raise refusal
        return Reading("datetime", f"{said}: {dates.reason}", formats=dates.formats)
    if wanted == "boolean":
        return _forced_boolean(values, said, refusal)
    return Reading(wanted, said)


def _forced_boolean(values: pl.Series, said: str, refusal: SpecError) -> Reading:
    """True and false for two values of any spelling; the later in sort order is true unless the words say otherwise."""
    if values.dtype == pl.Boolean:
        return Reading("boolean", said)
    distinct = values.drop_nulls().unique().sort()
    if values.dtype == pl.String:
        spelled = sorted(set(distinct.str.to_lowercase().to_list()))
        if all(word in TRUE_WORDS or word in FALSE_WORDS for word in spelled):
            true = tuple(w for w in spelled if w in TRUE_WORDS)
            return Reading("boolean", said, true_values=true, false_values=tuple(w for w in spelled if w in FALSE_WORDS))
        if len(spelled) == 2:
            return Reading("boolean", f"{said}; {spelled[1]!r} is true", true_values=(spelled[1],), false_values=(spelled[0],))
    elif values.dtype.is_numeric() and set(distinct.to_list()) <= {0, 1}:
        return Reading("boolean", said)
    raise refusal


def _role(
    name: str,
    reading: Reading,
    target: str | None,
    time: str | None,
    group: str | None,
    weight: str | None,
    exclude: Sequence[str],
) -> tuple[Role, str]:
    """The role of a column, and its reason with what the role adds to it."""
    declared: dict[str | None, tuple[Role, str]] = {
        weight: ("weight", "row weights"),
        group: ("group", "rows of one group stay together"),
        time: ("time", "orders the rows"),
        target: ("target", "to be predicted"),
    }
    if name in declared:
        role, meaning = declared[name]
        return role, f"{reading.reason}; named as {role}: {meaning}"
    if name in exclude:
        return "ignored", f"{reading.reason}; excluded in the spec"
    if reading.type in ("constant", "empty", "other"):
        return "ignored", f"{reading.reason}; nothing can be learned from it"
    if reading.type == "id":
        return "id", f"{reading.reason}; identifiers are not learned from"
    return ("text" if reading.type == "text" else "feature"), reading.reason


def _check_weight(values: pl.Series, column: Column) -> None:
    """Weights must be finite numbers of at least zero, without gaps, and not all zero."""
    from modelwright.tables.conform import conform

    numbers = conform(values.to_frame(), Schema((column,)), columns=(column,))[0][column.name]
    bad = (numbers.is_null() | (numbers < 0) | numbers.is_infinite()).fill_null(True)
    if bad.any():
        first = bad.arg_true()[0]
        raise DataError(
            f"{int(bad.sum())} weights are missing, negative or infinite, "
            f"the first ({_shown(values[first])}) in training row {first}.",
            where=f"weight column {column.name!r}",
            mend="Give every row a weight of at least 0, or leave the rows out.",
        )
    if not bool((numbers > 0).any()):
        raise DataError("all weights are 0.", where=f"weight column {column.name!r}", mend="Give some rows a positive weight.")


def _readable(values: pl.Series) -> bool:
    """Whether cells are numbers, truth values, text or points in time."""
    return values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.String, pl.Datetime, pl.Date)


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _examples(values: pl.Series) -> str:
    return ", ".join(_shown(value) for value in values.drop_nulls().unique(maintain_order=True).head(3).to_list()) or "(none)"
