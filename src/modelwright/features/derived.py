"""Derived columns: what the user adds to the table, computed the same way when training and when predicting.

The cells that a definition reads are first read as the training rows were (`tables.conform`): numbers as Float64,
points in time as Datetime, everything else as text. So an expression meets the same types whether the rows come from a
CSV file, a database or a dict. Infinite values (a division by zero) are missing, spans of time are days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from modelwright.errors import ModelwrightError, SchemaError, SpecError
from modelwright.features.expressions import Definition, define, expression
from modelwright.features.row_checks import Compute, columns_read, looks_at_other_rows
from modelwright.features.user_function import Function, FunctionRef, find_again, find_function
from modelwright.tables.conform import conform
from modelwright.tables.schema import Column, Schema

_US_PER_DAY = 86_400e6


class DerivedColumns(msgspec.Struct, frozen=True):
    """What a model keeps of derived columns.

    ``sources`` are the columns of the table that are read, with how. Either ``definitions`` or ``function`` is given;
    ``names`` are the columns that come out.
    """

    names: tuple[str, ...]
    sources: tuple[Column, ...]
    definitions: tuple[Definition, ...] = ()
    function: FunctionRef | None = None

    def text(self, name: str) -> str:
        """How a column is derived, in the user's words."""
        return next((d.text for d in self.definitions if d.name == name), str(self.function))


class Derived:
    """Derived columns, ready to be computed; made by `learn_derived` and `load_derived`.

    Attributes
    ----------
    about : DerivedColumns
    """

    def __init__(self, about: DerivedColumns, function: Function | None = None) -> None:
        self.about = about
        self._function = function
        self._compute = _of_function(function, about) if function is not None else _of_definitions(about.definitions)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are added."""
        return self.about.names

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns of the table that are read."""
        return tuple(column.name for column in self.about.sources)

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows as read, with the derived columns behind their own.

        Parameters
        ----------
        frame : DataFrame of shape (n, m)
            As the reader returned it; a column of the name of a derived one is replaced.

        Returns
        -------
        DataFrame of shape (n, m + k)

        Raises
        ------
        SchemaError
            If a column that is read is absent or holds values of another type, or a value cannot be derived.
        """
        typed, _ = conform(frame, Schema(self.about.sources), columns=self.about.sources)
        if not self.about.sources:  # constants alone
            typed = pl.DataFrame({"": pl.repeat(0, frame.height, eager=True)})
        try:
            found = self._compute(typed)
        except ModelwrightError as error:
            raise SchemaError(error.what, where=error.where, mend=error.mend) from error
        return frame.with_columns(_tidy(found.select(self.names)))

    def only(self, wanted: Sequence[str]) -> Derived | None:
        """The same with the columns that are wanted and those they are derived from; None if that is none.

        A function is kept whole.
        """
        if not set(wanted) & set(self.names):
            return None
        if self.about.function is not None:
            return self
        needed = set(wanted)
        kept: list[Definition] = []
        for definition in reversed(self.about.definitions):
            if definition.name in needed:
                needed |= set(definition.reads)
                kept.insert(0, definition)
        sources = tuple(column for column in self.about.sources if column.name in needed)
        return Derived(DerivedColumns(tuple(d.name for d in kept), sources, tuple(kept)))


def learn_derived(
    rows: pl.DataFrame,
    schema: Schema,
    features: Mapping[str, Any] | str,
    *,
    types: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Derived:
    """Read the user's definitions, and learn from training rows how the cells that they read are written.

    Parameters
    ----------
    rows : DataFrame of shape (n, m)
        Training rows as the reader returned them.
    schema : Schema
        Of these rows.
    features : mapping of str to str or polars.Expr, or str
        Expressions by name, or "file.py:function": a function from a DataFrame to a DataFrame with further columns. It
        is handed all columns but the target and the weights.
    types : mapping of str to str, optional
        Types that the user set.
    seed : int, default=0
        Of the rows on which it is checked that every value depends on its own row only.

    Returns
    -------
    Derived

    Raises
    ------
    SpecError
        Naming the derived column: if a definition cannot be read, names an unknown column or the target, fails on
        the rows, or looks at other rows.
    """
    forbidden = {c.name: {"target": "the target", "weight": "the weight"}[c.role] for c in schema.with_role("target", "weight")}
    readings = {c.name: r for c in schema.columns if c.name not in forbidden and (r := _as_source(c, rows, types or {}))}
    if isinstance(features, str):
        return _learn_function(rows, features, tuple(readings.values()), seed)
    definitions = define(features, rows.columns, forbidden)
    read = {name for definition in definitions for name in definition.reads}
    for definition in definitions:
        for name in definition.reads:
            if name in rows.columns and name not in readings:
                raise SpecError(
                    f"It reads {name!r}, whose cells are {rows.schema[name]}.",
                    where=f"features, column {definition.name!r}",
                    mend="Read columns of numbers, texts, truth values or times.",
                )
    sources = tuple(reading for name, reading in readings.items() if name in read)
    about = DerivedColumns(tuple(d.name for d in definitions), sources, definitions)
    compute = _of_definitions(definitions)
    typed = _typed(rows, sources)
    _check_rows(compute, typed, compute(typed), "features", seed)
    return Derived(about)


def load_derived(about: DerivedColumns, *, features: str | Path | None = None, bundle: Path | None = None) -> Derived:
    """Derived columns as a model keeps them.

    Parameters
    ----------
    about : DerivedColumns
    features : str, Path or None
        Where the file of the user's function lies; None looks at the path it had, from the working folder.
    bundle : Path or None
        Folder of the model.

    Raises
    ------
    BundleError
        If the file is absent or changed, or this version of Polars cannot read an expression.
    """
    if about.function is None:
        return Derived(about)
    return Derived(about, find_again(about.function, features, bundle))


def _learn_function(rows: pl.DataFrame, text: str, readings: tuple[Column, ...], seed: int) -> Derived:
    ref, function = find_function(text)
    typed = _typed(rows, readings)
    open_about = DerivedColumns((), readings, function=ref)
    compute = _of_function(function, open_about)
    found = compute(typed)
    taken = [name for name in found.columns if name in rows.columns]
    if taken:
        raise SpecError(f"The table has a column {taken[0]!r}.", where=f"features, {ref}", mend="Give it another name.")
    _check_rows(compute, typed, found, f"features, {ref}", seed)
    read = columns_read(compute, typed, found)
    sources = tuple(column for column in readings if column.name in read)
    return Derived(DerivedColumns(tuple(found.columns), sources, function=ref), function)


def _check_rows(compute: Compute, typed: pl.DataFrame, found: pl.DataFrame, where: str, seed: int) -> None:
    for name in found.columns:
        if found[name].dtype.is_nested() or found[name].dtype in (pl.Object, pl.Binary, pl.Time):
            raise SpecError(
                f"Its cells are {found[name].dtype}.",
                where=f"{where}, column {name!r}",
                mend="Derive numbers, texts, truth values or times.",
            )
    other = looks_at_other_rows(compute, typed, found, seed)
    if other is not None:
        raise SpecError(
            "Its value for a row depends on the rows that come with it, or on chance.",
            where=f"{where}, column {other!r}",
            mend="A derived column is computed from the cells of its own row; add what needs others to the table itself.",
        )


def _typed(rows: pl.DataFrame, sources: tuple[Column, ...]) -> pl.DataFrame:
    if not sources:
        return pl.DataFrame({"": pl.repeat(0, rows.height, eager=True)})
    return conform(rows, Schema(sources), columns=sources)[0]


def _as_source(column: Column, rows: pl.DataFrame, types: Mapping[str, str]) -> Column | None:
    """How expressions read a column: numbers stay numbers and texts stay texts, whatever a model makes of them."""
    dtype = rows.schema[column.name]
    if column.type == "other" or dtype.is_nested() or dtype == pl.Object:
        return None
    if column.name in types or column.type in ("number", "datetime"):
        return column
    if dtype.is_numeric():
        return msgspec.structs.replace(column, type="number")
    if dtype == pl.Boolean:
        return msgspec.structs.replace(column, type="boolean", true_values=(), false_values=())
    if dtype.is_temporal():
        return msgspec.structs.replace(column, type="datetime")
    return msgspec.structs.replace(column, type="category", true_values=(), false_values=())


def _of_definitions(definitions: Sequence[Definition]) -> Compute:
    """Expressions in as few passes as their order allows: one that reads another waits for it."""
    levels: list[list[tuple[Definition, pl.Expr]]] = []
    depth: dict[str, int] = {}
    for definition in definitions:
        level = depth[definition.name] = 1 + max((depth.get(name, -1) for name in definition.reads), default=-1)
        while len(levels) <= level:
            levels.append([])
        levels[level].append((definition, expression(definition)))

    def compute(typed: pl.DataFrame) -> pl.DataFrame:
        for level in levels:
            try:
                typed = typed.with_columns(found for _, found in level)
            except pl.exceptions.PolarsError:
                _raise_for(level, typed)
                raise
        return typed.select([definition.name for definition in definitions])

    return compute


def _raise_for(level: list[tuple[Definition, pl.Expr]], typed: pl.DataFrame) -> None:
    """Name the column that could not be derived."""
    for definition, found in level:
        try:
            typed.select(found)
        except pl.exceptions.PolarsError as error:
            mend = "Check the types of the columns it reads: " + ", ".join(
                f"{name} is {typed.schema[name]}" for name in definition.reads if name in typed.columns
            )
            if "conversion from" in str(error):
                mend = "Check the cells it reads; TRY_CAST in place of CAST makes those missing that cannot be read"
            raise SpecError(
                f"{definition.text!r} cannot be computed: {str(error).strip().splitlines()[0].rstrip('.')}.",
                where=f"derived column {definition.name!r}",
                mend=f"{mend}.",
            ) from error


def _of_function(function: Callable[[pl.DataFrame], Any], about: DerivedColumns) -> Compute:
    """What a function adds, with what it may not do refused."""
    where = f"features, {about.function}"

    def compute(typed: pl.DataFrame) -> pl.DataFrame:
        try:
            found = function(typed.clone())
        except Exception as error:
            raise SpecError(
                f"The function failed: {type(error).__name__}: {error}.",
                where=where,
                mend="It is handed a Polars DataFrame without the target: numbers as Float64, others as text or times.",
            ) from error
        if not isinstance(found, pl.DataFrame):
            raise SpecError(
                f"The function returned {type(found).__name__}, not a Polars DataFrame.",
                where=where,
                mend="Return frame.with_columns(...).",
            )
        if found.height != typed.height:
            raise SpecError(
                f"The function made {found.height} rows of {typed.height}.",
                where=where,
                mend="Return one row for each row, in the same order.",
            )
        new = [name for name in found.columns if name not in typed.columns]
        changed = [name for name in typed.columns if name in found.columns and not found[name].equals(typed[name])]
        if changed:
            raise SpecError(
                f"The function changed the column {changed[0]!r}.", where=where, mend="Give what it derives a name of its own."
            )
        if not new or (about.names and not set(about.names) <= set(new)):
            absent = next((name for name in about.names if name not in new), None)
            what = f"no column {absent!r}" if absent else "no column"
            raise SpecError(f"The function added {what}.", where=where, mend="Return frame.with_columns(name=...).")
        return found.select(new)

    return compute


def _tidy(found: pl.DataFrame) -> pl.DataFrame:
    """What models can read: infinite values are missing, spans of time are days."""
    return found.select(
        (pl.col(name).dt.total_microseconds() / _US_PER_DAY)
        if dtype == pl.Duration
        else pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name)
        if dtype.is_float()
        else pl.col(name)
        for name, dtype in found.schema.items()
    )
