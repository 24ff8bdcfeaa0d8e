"""One record for each table column that an encoder reads, and how it is learned.

The records are the plain values that ``encoder.json`` holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np
import polars as pl

from modelwright.errors import SchemaError
from modelwright.features.categories import code_cells, index_levels, learn_levels
from modelwright.features.dates import CYCLIC_PARTS, PARTS, date_part, earliest
from modelwright.features.text import TextVectors, text_sizes
from modelwright.tables.schema import Column, Schema

#: Largest magnitude of a number in the matrix, just inside float32.
LARGEST = 3e38
#: A column whose values lie this many times further from 0 than from each other is stored relative to its
#: smallest training value; float32 has 24 bits, so at least 14 of them are left for the differences.
_FAR_FROM_ZERO = 1024.0
#: Columns of `text_sizes`.
TEXT_SIZES = ("length", "words")


class NumberColumn(msgspec.Struct, frozen=True, tag="number"):
    """A number or boolean, stored as its value less ``offset``."""

    source: str
    name: str
    offset: float = 0.0


class CategoryColumn(msgspec.Struct, frozen=True, tag="category"):
    """A category; ``levels[i]`` has code i + 1."""

    source: str
    name: str
    levels: tuple[str, ...]


class DateColumn(msgspec.Struct, frozen=True, tag="date"):
    """A datetime; ``names[i]`` is the matrix column of ``parts[i]``. An ``optional`` column may be absent."""

    source: str
    parts: tuple[str, ...]
    names: tuple[str, ...]
    origin_us: int
    optional: bool


class TextColumn(msgspec.Struct, frozen=True, tag="text"):
    """A text; ``sizes`` are the kept ones of `TEXT_SIZES`. The arrays of its terms are stored beside."""

    source: str
    sizes: tuple[str, ...]
    size_names: tuple[str, ...]
    topic_names: tuple[str, ...]
    terms: tuple[str, ...]


EncodedColumn = NumberColumn | CategoryColumn | DateColumn | TextColumn
Kind = Literal["number", "category", "date", "text"]


def learn_columns(
    frame: pl.DataFrame, schema: Schema, *, seed: int
) -> tuple[tuple[EncodedColumn, ...], dict[str, TextVectors]]:
    """Records of the columns worth reading, in table order, and the vocabulary of each text column by source.

    Raises
    ------
    SchemaError
        If a column of the schema is absent.
    """
    columns: list[EncodedColumn] = []
    vectors: dict[str, TextVectors] = {}
    # Plain names first: a column called "date.month" keeps its name beside the month of "date".
    name = namer({column.name for column in schema.columns})
    for column in schema.columns:
        if column.role not in ("feature", "text", "time") and not column.known:
            continue
        kind = _kind(frame, column)
        learned: EncodedColumn | None = None
        if kind == "number":
            learned = _learn_number(frame, column.name)
        elif kind == "category":
            learned = _learn_category(frame, column.name)
        elif kind == "date":
            learned = _learn_date(frame, column.name, name, is_time=column.role == "time")
        elif kind == "text":
            cells = read_cells(frame, column.name).to_list()
            fitted = TextVectors.fit(cells, seed=seed)
            learned = _learn_text(column.name, cells, fitted, name)
            if learned is not None:
                vectors[column.name] = fitted
        if learned is not None:
            columns.append(learned)
    return tuple(columns), vectors


def read_numbers(frame: pl.DataFrame, source: str, offset: float = 0.0) -> np.ndarray:
    """Numbers less an offset, shape (n,), float32; NaN is missing, infinities become +-`LARGEST`."""
    cells = _column(frame, source)
    if cells.dtype != pl.Float64:
        cells = cells.cast(pl.Float64, strict=False)
    values = cells.to_numpy()
    if offset:
        values = values - offset
    # minimum and maximum keep NaN and cost a fifth of np.clip for one row.
    return np.asarray(np.minimum(np.maximum(values, -LARGEST), LARGEST), dtype=np.float32)


def read_cells(frame: pl.DataFrame, source: str) -> pl.Series:
    """Cells as text; null is missing."""
    cells = _column(frame, source)
    return cells if cells.dtype == pl.String else cells.cast(pl.String)


def read_stamps(frame: pl.DataFrame, source: str, *, optional: bool = False) -> np.ndarray:
    """Datetimes of shape (n,), datetime64[us]; NaT is missing, and so is all of an absent optional column."""
    if optional and source not in frame.columns:
        return np.full(frame.height, np.datetime64("NaT"), dtype="M8[us]")
    cells = _column(frame, source)
    if cells.dtype != pl.Datetime("us"):
        cells = cells.cast(pl.Datetime("us"))
    return np.asarray(cells.to_numpy())


def numeric_names(column: EncodedColumn) -> tuple[str, ...]:
    """Matrix columns of a record that are numeric and not text components."""
    if isinstance(column, NumberColumn):
        return (column.name,)
    if isinstance(column, DateColumn):
        return column.names
    return column.size_names if isinstance(column, TextColumn) else ()


def _column(frame: pl.DataFrame, source: str) -> pl.Series:
    try:
        return frame.get_column(source)
    except pl.exceptions.ColumnNotFoundError as error:
        raise SchemaError(
            "The column is absent.", where=f"column {source!r}", mend="Send it; where its value is not known, send null."
        ) from error


def _kind(frame: pl.DataFrame, column: Column) -> Kind | None:
    """How a column is encoded; None when it holds nothing to learn from."""
    if column.role == "time":
        return "date" if column.type == "datetime" else None
    dtype = _column(frame, column.name).dtype
    if column.role == "text" or column.type == "text":
        return "text"
    if column.type in ("constant", "empty"):
        return None
    if column.type == "id" or column.type == "other":
        # The user insists on it as a feature: its cells say how to read it.
        if dtype == pl.String:
            return "category"
        if dtype == pl.Boolean or (dtype is not None and dtype.is_numeric()):
            return "number"
        return "date" if dtype in (pl.Date, pl.Datetime) else None
    if column.type == "datetime":
        return "date"
    return "category" if column.type == "category" else "number"


def _learn_number(frame: pl.DataFrame, source: str) -> NumberColumn | None:
    values = _column(frame, source).cast(pl.Float64, strict=False).to_numpy()
    present = values[np.isfinite(values)]
    offset = 0.0
    if len(present):
        low, high = float(present.min()), float(present.max())
        if high > low and max(abs(low), abs(high)) > _FAR_FROM_ZERO * (high - low):
            offset = low
    return None if _is_constant(read_numbers(frame, source, offset)) else NumberColumn(source, source, offset)


def _learn_category(frame: pl.DataFrame, source: str) -> CategoryColumn | None:
    cells = read_cells(frame, source)
    levels = learn_levels(cells)
    codes = code_cells(cells, index_levels(levels))
    return CategoryColumn(source, source, levels) if (codes != codes[0]).any() else None


def _learn_date(frame: pl.DataFrame, source: str, name: Callable[[str], str], *, is_time: bool) -> DateColumn | None:
    stamps = read_stamps(frame, source, optional=is_time)
    origin_us = earliest(stamps)
    present = stamps[~np.isnat(stamps)]
    parts = []
    for part in CYCLIC_PARTS if is_time else PARTS:
        # "days" stays when dates are equal but some are missing, so that the gap is not lost.
        watched = stamps if part == "days" else present
        if not _is_constant(date_part(watched, part, origin_us).astype(np.float32)):
            parts.append(part)
    if not parts:
        return None
    return DateColumn(source, tuple(parts), tuple(name(f"{source}.{part}") for part in parts), origin_us, is_time)


def _learn_text(source: str, cells: list[str | None], fitted: TextVectors, name: Callable[[str], str]) -> TextColumn | None:
    sizes = text_sizes(cells)
    kept = tuple(size for number, size in enumerate(TEXT_SIZES) if not _is_constant(sizes[:, number]))
    if not kept and not fitted.terms:
        return None
    topics = tuple(name(f"{source}.topic_{number}") for number in range(1, fitted.n_components + 1))
    return TextColumn(source, kept, tuple(name(f"{source}.{size}") for size in kept), topics, fitted.terms)


def _is_constant(values: np.ndarray) -> bool:
    """Whether all values are equal, missing counting as a value; true for no values."""
    missing = np.isnan(values)
    if missing.all():
        return True
    return bool(not missing.any() and (values == values[0]).all())


def namer(taken: set[str]) -> Callable[[str], str]:
    """A function that returns its argument, with a number behind it when the name is taken."""

    def name(wanted: str) -> str:
        free, number = wanted, 2
        while free in taken:
            free, number = f"{wanted}_{number}", number + 1
        taken.add(free)
        return free

    return name
