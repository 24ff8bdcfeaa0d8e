"""The cells of single rows, from a mapping or from a table of a few rows, as `tables.conform` reads them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from modelwright.errors import ModelwrightError
from modelwright.tables.conform import conform, reads
from modelwright.tables.read import read
from modelwright.tables.row import NAN, Cell, CellReader, UnusualCellError, cell_reader
from modelwright.tables.schema import Column, Schema

#: Up to this many rows of a table are read one by one.
FEW_ROWS = 16
#: Readings of unusual cells that are kept for each column, so that they are dear only once.
_KEPT = 1024
_SIMPLE = (
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.Float32, pl.Float64),
    *(pl.Boolean, pl.String, pl.Categorical, pl.Enum, pl.Date, pl.Null),
)
#: Kinds of pandas columns whose cells are plain values: NumPy's type characters, and names of pandas' own types.
_PANDAS_DATES = ("M", "DatetimeTZDtype")
_PANDAS_KINDS = (*"?bhilqBHILQefdO", *_PANDAS_DATES, "StringDtype", "BooleanDtype", "Int64Dtype", "Float64Dtype")
#: Shapes of tables that are remembered.
_KEPT_PLANS = 64
_UNREAD: Any = object()
_EPOCH = dt.datetime(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)

Plan = list[int]
#: Cells of one column; an array is of numbers.
Cells = Sequence[Cell] | np.ndarray


def few_rows(X: Any) -> bool:
    """Whether a table is one of those that `RowReader.few` reads: polars or pandas of a few rows, or a list of one dict."""
    if isinstance(X, pl.DataFrame):
        return 0 < X.height <= FEW_ROWS
    if isinstance(X, list):
        return len(X) == 1 and type(X[0]) is dict
    return type(X).__name__ == "DataFrame" and type(X).__module__.startswith("pandas") and 0 < len(X) <= FEW_ROWS


class RowReader:
    """Cells of the features of a schema, and of its time column when it is there.

    Attributes
    ----------
    places : dict of str to int
        Where the cell of each column stands.
    """

    def __init__(self, schema: Schema) -> None:
        self._needed = schema.features
        self._optional = schema.with_role("time")
        columns = self._needed + self._optional
        self.places = {column.name: place for place, column in enumerate(columns)}
        self._columns = columns
        self._inferred = [(c.name, cell_reader(c, inferred=True)) for c in self._needed]
        self._dear = [_kept(column) for column in columns]
        self._inferred_optional = [(c.name, cell_reader(c, inferred=True)) for c in self._optional]
        self._inferred_readers = [reader for _, reader in self._inferred + self._inferred_optional]
        self._typed = [cell_reader(column, inferred=False) for column in columns]
        self._plans: dict[Any, Plan | None] = {}
        #: Readings of texts of each column.
        self._texts: list[dict[str, Cell]] = [{} for _ in columns]

    def mapping(self, row: Mapping[str, Any]) -> list[Cell] | None:
        """Cells of one row; None where `conform` must judge the whole row: a column is missing or cannot be read."""
        try:
            return [reader(row[name]) for name, reader in self._inferred] + [
                reader(row.get(name)) for name, reader in self._inferred_optional
            ]
        except (KeyError, UnusualCellError):
            pass
        cells = []
        try:
            for place, (name, reader) in enumerate(self._inferred + self._inferred_optional):
                value = row[name] if place < len(self._needed) else row.get(name)
                try:
                    cells.append(reader(value))
                except UnusualCellError:
                    cells.append(self._dear[place](value, None))
        except (KeyError, TypeError, ModelwrightError):
            return None
        return cells

    def unreadable(self, row: Mapping[str, Any]) -> list[str]:
        """Columns of one row whose cell cannot be read; to say why `mapping` gave None."""
        found = []
        for place, (name, reader) in enumerate(self._inferred + self._inferred_optional):
            try:
                try:
                    reader(row.get(name))
                except UnusualCellError:
                    self._dear[place](row.get(name), None)
            except (TypeError, ModelwrightError):
                found.append(name)
        return found

    def columns(self, rows: Sequence[Mapping[str, Any]]) -> list[Cells] | None:
        """Cells of many rows, column by column; each as `mapping` reads it.

        None where some cell is unusual: `mapping` then tells which. It is quicker than reading row by row: numbers are
        taken as they are, and each text that a column repeats is read once.
        """
        try:
            return [
                _cells_of(column, [row[column.name] for row in rows], reader, memo)
                if place < len(self._needed)
                else _cells_of(column, [row.get(column.name) for row in rows], reader, memo)
                for place, (column, reader, memo) in enumerate(
                    zip(self._columns, self._inferred_readers, self._texts, strict=True)
                )
            ]
        except (KeyError, UnusualCellError, OverflowError):
            return None

    def table(self, columns: Iterable[Cells]) -> pl.DataFrame:
        """The conformed table of cells that stand column by column: what `tables.conform` makes of the same rows."""
        return pl.DataFrame([_series(column, cells) for column, cells in zip(self._columns, columns, strict=True)])

    def few(self, X: Any) -> list[list[Cell]] | None:
        """Cells of the rows of a table such that `few_rows` holds; None where it must be read as a table."""
        if isinstance(X, pl.DataFrame):
            key = (tuple(X.columns), tuple(X.dtypes))
            plan = self._kept_plan(key, lambda: self._plan_of_polars(X))
            return None if plan is None else self._rows(X.rows(), plan, self._typed, key[1])
        if isinstance(X, list):
            cells = self.mapping(X[0])
            return None if cells is None else [cells]
        if X.index.names != [None]:
            return None  # levels of the index that have a name count as columns
        arrays = _pandas_arrays(X)
        dtypes = [array.dtype for array in arrays]
        names = X.columns.tolist()
        kinds = tuple([d.char if isinstance(d, np.dtype) else type(d).__name__ for d in dtypes])
        plan = self._kept_plan((tuple(names), kinds, len(X) > 1), lambda: self._plan_of_pandas(names, kinds, len(X) > 1))
        return (
            None
            if plan is None
            else self._rows(list(zip(*[array.tolist() for array in arrays], strict=True)), plan, self._inferred_readers, None)
        )

    def conformed(self, frame: pl.DataFrame) -> list[list[Cell]]:
        """Cells of rows that already follow the schema."""
        names = set(frame.columns)
        cells = [_known(frame[c.name], c) if c.name in names else [None] * frame.height for c in self._columns]
        return [list(row) for row in zip(*cells, strict=True)] if cells else [[] for _ in range(frame.height)]

    def _kept_plan(self, key: Any, make: Callable[[], Plan | None]) -> Plan | None:
        if key not in self._plans:
            if len(self._plans) >= _KEPT_PLANS:  # tables of ever new shapes must not fill the memory
                self._plans.clear()
            self._plans[key] = make()
        return self._plans.get(key)

    def _plan_of_polars(self, frame: pl.DataFrame) -> Plan | None:
        """Place in the table of each cell, -1 for an absent time column; None where `conform` must read the table."""
        dtypes = frame.schema
        for column in self._columns:
            dtype = dtypes.get(column.name)
            simple = dtype is None or ((dtype in _SIMPLE or dtype == pl.Datetime("us")) and reads(column, dtype))
            if not simple:
                return None
        return self._places_among(frame.columns)

    def _plan_of_pandas(self, names: list[Any], kinds: tuple[str, ...], several: bool) -> Plan | None:
        """As for polars. In several rows the type of a column of objects is for `tables.read` to find."""
        if not all(type(name) is str for name in names) or len(set(names)) < len(names):
            return None
        types = dict(zip(names, kinds, strict=True))
        for column in self._columns:
            kind = types.get(column.name, "f")
            if kind not in _PANDAS_KINDS or (
                several and (kind == "O" or (column.type == "datetime" and kind not in _PANDAS_DATES))
            ):
                return None
        return self._places_among(names)

    def _places_among(self, names: Sequence[str]) -> Plan | None:
        place = {name: number for number, name in enumerate(names)}
        if not all(column.name in place for column in self._needed):
            return None
        return [place.get(column.name, -1) for column in self._columns]

    def _rows(
        self, rows: Sequence[Sequence[Any]], plan: Plan, readers: Sequence[CellReader], dtypes: Sequence[pl.DataType] | None
    ) -> list[list[Cell]] | None:
        steps = list(zip(plan, readers, strict=True))
        try:
            return [[reader(row[at] if at >= 0 else None) for at, reader in steps] for row in rows]
        except UnusualCellError:
            pass
        if len(rows) > 1:  # how much of a column may be lost is for `conform` to judge
            return None
        cells = []
        try:
            for place, (at, reader) in enumerate(steps):
                value = rows[0][at] if at >= 0 else None
                try:
                    cells.append(reader(value))
                except UnusualCellError:
                    cells.append(self._dear[place](value, None if dtypes is None else dtypes[at]))
        except (TypeError, ModelwrightError):
            return None
        return [cells]


def _pandas_arrays(X: Any) -> list[Any]:
    """The columns of a pandas table as NumPy's or pandas' arrays; none of NumPy's holds dates.

    Public ways cost 5 to 15 us a column, more than the model.
    """
    columns = getattr(X, "_iter_column_arrays", None)
    if columns is not None:
        arrays = list(columns())
        if all(getattr(array.dtype, "kind", "O") not in "mM" or not isinstance(array, np.ndarray) for array in arrays):
            return arrays
    return [X.iloc[:, number].array for number in range(X.shape[1])]


def _kept(column: Column) -> Callable[[Any, pl.DataType | None], Cell]:
    """Reading through a table of one cell, of a polars type or of the type that `tables.read` finds; readings are kept."""
    schema = Schema((column,))

    def through_table(value: Any, dtype: pl.DataType | None) -> Cell:
        name = column.name
        frame = read([{name: value}]).frame if dtype is None else pl.DataFrame({name: [value]}, schema={name: dtype})
        return _known(conform(frame, schema, columns=(column,))[0][name], column)[0]

    kept = lru_cache(maxsize=_KEPT, typed=True)(through_table)

    def reading(value: Any, dtype: pl.DataType | None) -> Cell:
        return kept(value, dtype) if value.__hash__ is not None else through_table(value, dtype)

    return reading


def _cells_of(column: Column, values: list[Any], reader: CellReader, memo: dict[str, Cell]) -> Cells:
    """Cells of one column."""
    kinds = set(map(type, values))
    if column.type == "number" and not column.missing_values and kinds <= {float, int, type(None)}:
        numbers = np.array([NAN if value is None else float(value) for value in values] if kinds != {float} else values)
        if int in kinds and any(type(value) is int and not -(2**63) <= value < 2**63 for value in values):
            raise UnusualCellError
        return numbers
    cells = []
    for value in values:
        if type(value) is str:
            cell = memo.get(value, _UNREAD)
            if cell is _UNREAD:
                cell = reader(value)
                if len(memo) < _KEPT and len(value) < 100:
                    memo[value] = cell
        else:
            cell = reader(value)
        cells.append(cell)
    return cells


def _series(column: Column, cells: Cells) -> pl.Series:
    """Cells as a column of a conformed table; the other way round than `_known`."""
    if column.type == "number":
        return pl.Series(column.name, cells, dtype=pl.Float64).fill_nan(None)
    if column.type == "boolean":
        return pl.Series(column.name, [None if cell != cell else cell == 1.0 for cell in cells], dtype=pl.Boolean)
    if column.type == "datetime":
        return pl.Series(column.name, cells, dtype=pl.Int64).cast(pl.Datetime("us"))
    return pl.Series(column.name, cells, dtype=pl.String)


def _known(cells: pl.Series, column: Column) -> list[Cell]:
    """Conformed cells as `tables.row` has them."""
    values = cells.to_list()
    if column.type in ("number", "boolean"):
        return [NAN if value is None else float(value) for value in values]
    if column.type == "datetime":
        return [None if value is None else (value - _EPOCH) // _MICROSECOND for value in values]
    return values
