"""Derived columns written as expressions: SQL scalar expressions, or Polars expressions from Python.

An expression is read by Polars, never evaluated as Python. It may only do what looks at one row at a time: what takes
several rows together would carry knowledge of the rows to be judged, and could not be computed for a single row.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import polars as pl

from modelwright.errors import BundleError, SpecError
from modelwright.tables.names import nearest

_EXAMPLE = 'An expression looks like "rooms / persons"; names with blanks stand in double quotes.'
#: What Polars calls an operation -> why it cannot be used. Operations that are neither here nor in `_parts` are refused too.
_REFUSED = {
    "Agg": "it takes many rows together",
    "Len": "it counts rows",
    "Over": "it is a window over other rows",
    "Rolling": "it is a window over other rows",
    "Sort": "it sorts rows",
    "SortBy": "it sorts rows",
    "Gather": "it takes cells of other rows",
    "Filter": "it leaves out rows",
    "Slice": "it leaves out rows",
    "Explode": "it makes further rows",
    "AnonymousFunction": "it holds a Python function, which cannot be kept as plain text",
    "SubPlan": "it holds a query",
    "Selector": "it selects columns by a pattern",
}
_MENDS = {
    "AnonymousFunction": 'Put the function into a file of its own, and give features = "file.py:function".',
    "Selector": "Name each column.",
}
_ONE_ROW = "A derived column is computed from the cells of its own row; leave this out, or add the column to the table itself."
_CLOCK = re.compile(r"\b(current_(date|time|timestamp)\b|(now|localtime|localtimestamp|today)\s*\()", re.IGNORECASE)


class Definition(msgspec.Struct, frozen=True):
    """One derived column.

    ``kind`` "sql" has the user's text in ``content``, "polars" the JSON that Polars writes. ``text`` is what people
    read, ``reads`` are the columns that the expression names.
    """

    name: str
    kind: Literal["sql", "polars"]
    content: str
    text: str
    reads: tuple[str, ...]


def define(features: Mapping[str, Any], columns: Sequence[str], forbidden: Mapping[str, str]) -> tuple[Definition, ...]:
    """Read the expressions of derived columns.

    Parameters
    ----------
    features : mapping of str to str or polars.Expr
        By name, in order; an expression may read columns that stand before it.
    columns : sequence of str
        Columns of the table.
    forbidden : mapping of str to str
        Columns that no expression may read -> what they are ("the target").

    Returns
    -------
    tuple of Definition

    Raises
    ------
    SpecError
        Naming the derived column: if its expression cannot be read, names an unknown or a forbidden column, or takes
        rows together; if its name is taken.
    """
    definitions: list[Definition] = []
    known = [name for name in columns if name not in forbidden]
    for name, given in features.items():
        where = f"features, column {name!r}"
        if name in columns:
            raise SpecError("The table has a column of that name.", where=where, mend="Give the derived column another name.")
        definition = _read(name, given, where)
        for column in definition.reads:
            if column in forbidden:
                raise SpecError(
                    f"It reads {column!r}, which is {forbidden[column]} and is not there when rows are predicted.",
                    where=where,
                    mend="Derive it from other columns.",
                )
            if column in features and column not in known:
                own = "itself" if column == name else f"{column!r}, which is derived after it"
                raise SpecError(f"It reads {own}.", where=where, mend="Put a column before those that read it.")
            if column not in known:
                raise SpecError(f"There is no column {column!r}.", where=where, mend=nearest(column, known))
        definitions.append(definition)
        known.append(name)
    return tuple(definitions)


def expression(definition: Definition) -> pl.Expr:
    """The expression of a definition, checked again: a definition may come from a file.

    Raises
    ------
    BundleError
        If this version of Polars cannot read it, or it does more than look at one row.
    """
    try:
        found = pl.sql_expr(definition.content) if definition.kind == "sql" else _from_json(definition.content, "")
        _check(_tree(found), "")
    except (SpecError, pl.exceptions.PolarsError, ValueError, TypeError, LookupError) as error:
        raise BundleError(
            f"The expression cannot be read: {_first_line(error)}",
            where=f"derived column {definition.name!r}",
            mend="Install the version of Polars that the manifest names, or train again.",
        ) from error
    return found.alias(definition.name)


def to_plain(given: Any) -> Any:
    """What the user gave for one column as a value that JSON can hold."""
    return {"polars": json.dumps(_tree(given))} if isinstance(given, pl.Expr) else given


def from_plain(value: Any) -> Any:
    """The inverse of `to_plain`.

    Raises
    ------
    SpecError
        If the expression does more than look at one row.
    """
    return _from_json(value["polars"], "features") if isinstance(value, dict) else value


def _read(name: str, given: Any, where: str) -> Definition:
    """What the user gave, as plain text."""
    if isinstance(given, str):
        unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "''", given)
        clock = _CLOCK.search(unquoted)
        if clock is not None:
            raise SpecError(
                f"{clock[0]!r} depends on the clock: a row would get another value every day.",
                where=where,
                mend="Write the date itself, such as DATE '2024-01-31'.",
            )
        try:
            found = pl.sql_expr(given)
        except pl.exceptions.PolarsError as error:
            raise SpecError(f"{given!r} cannot be read: {_first_line(error)}", where=where, mend=_EXAMPLE) from error
        tree = _tree(found)
        if _kind(tree)[0] == "Alias":  # SQL takes "Total Charges" without quotes for Total AS Charges
            raise SpecError(f"{given!r} names a column at its end.", where=where, mend=_EXAMPLE)
        _check(tree, where)
        return Definition(name, "sql", given, given, tuple(dict.fromkeys(_columns(tree))))
    if not isinstance(given, pl.Expr):
        raise SpecError(
            f"{type(given).__name__} is not an expression.", where=where, mend="Give a text, or a Polars expression."
        )
    tree = _tree(given)
    _check(tree, where)
    content = json.dumps(tree)
    if not _from_json(content, where).meta.eq(given):
        raise SpecError(
            "This version of Polars does not read back what it wrote of the expression.",
            where=where,
            mend="Write it as a text.",
        )
    return Definition(name, "polars", content, str(given).replace("\n", " "), tuple(dict.fromkeys(_columns(tree))))


def _tree(given: pl.Expr) -> Any:
    """The operations of an expression as plain values."""
    return json.loads(given.meta.serialize(format="json"))


def _from_json(content: str, where: str) -> pl.Expr:
    """An expression from its JSON, which is looked through first: Polars would unpickle functions that stand in it."""
    tree = json.loads(content)
    _check(tree, where)
    # What was looked through is handed on, not the text: two parsers may differ in what they make of a key given twice.
    return pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")


def _check(node: Any, where: str) -> None:
    """Refuse an expression that does anything but look at one row."""
    kind, body = _kind(node)
    parts = _parts(kind, body)
    if parts is None:
        raise SpecError(
            f"This cannot be a derived column: {_REFUSED.get(kind, f'{kind} is not known to look at one row alone')}.",
            where=where,
            mend=_MENDS.get(kind, _ONE_ROW),
        )
    if kind == "Function":
        _check_function(body["function"], parts, where)
    for part in parts:
        _check(part, where)


def _check_function(function: Any, inputs: list[Any], where: str) -> None:
    """Refuse functions such as shift, rank or cumulative sums, by asking Polars about the function alone."""
    name, details = _kind(function)
    inner = _kind(details)[0] if name.endswith("Expr") or name == "Boolean" else ""
    if "ffi" in name.lower() or "plugin" in name.lower():
        raise SpecError(f"It calls compiled code from outside ({name}).", where=where, mend=_ONE_ROW)
    if name == "Sql":  # operators and functions of SQL that wait for the types of their columns; all look at one row
        return
    # Literals stay, for some functions take nothing else; what else is an input is checked by itself.
    plain = [part if _kind(part)[0] == "Literal" else {"Column": str(number)} for number, part in enumerate(inputs)]
    alone = json.dumps({"Function": {"input": plain, "function": function}})
    try:
        by_row = pl.Expr.deserialize(io.StringIO(alone), format="json").meta.is_row_separable()
    except pl.exceptions.PolarsError:
        by_row = False
    if not by_row:
        if inner == "Strptime":
            raise SpecError("It guesses the format of dates from all rows.", where=where, mend="Give the format.")
        raise SpecError(f"Its value for a row depends on other rows ({inner or name}).", where=where, mend=_ONE_ROW)


def _parts(kind: str, body: Any) -> list[Any] | None:
    """The operations inside an operation; None for operations that are refused."""
    if kind in ("Column", "Literal"):
        return []
    if kind == "Alias":
        return [body[0]]
    if kind == "BinaryExpr":
        return [body["left"], body["right"]]
    if kind == "Cast":
        return [body["expr"]]
    if kind == "Ternary":
        return [body["predicate"], body["truthy"], body["falsy"]]
    return list(body["input"]) if kind == "Function" else None


def _kind(node: Any) -> tuple[str, Any]:
    """Name and contents of one operation."""
    if isinstance(node, dict) and len(node) == 1:
        return next(iter(node.items()))
    return (node, None) if isinstance(node, str) else ("an unknown operation", None)


def _columns(node: Any) -> list[str]:
    kind, body = _kind(node)
    if kind == "Column":
        return [str(body)]
    return [name for part in _parts(kind, body) or [] for name in _columns(part)]


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0].rstrip(".") if text else type(error).__name__) + "."
