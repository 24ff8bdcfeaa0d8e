"""From the cells of one row, or of some rows column by column, to a `Matrix`, without a table.

The numbers are those of `Encoder.transform`, to the bit; what is spared is the fixed cost of some forty array
operations, which for one row is all the cost there is, and for a hundred rows of a request half of it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from modelwright.features.columns import (
    LARGEST,
    TEXT_SIZES,
    CategoryColumn,
    DateColumn,
    EncodedColumn,
    NumberColumn,
    TextColumn,
)
from modelwright.features.dates import date_part
from modelwright.features.matrix import OTHER, Layout, Matrix
from modelwright.features.text import TextVectors, text_sizes

RowEncoder = Callable[[Sequence[Any]], Matrix]
#: From the cells of each column, a list or an array, to a matrix of as many rows.
ColumnEncoder = Callable[[Sequence[Sequence[Any] | np.ndarray]], Matrix]

_NO_CODES = np.empty((1, 0), dtype=np.int32)
_NAN = math.nan
_EPOCH = dt.datetime(1970, 1, 1)
_DAY_US = 86_400_000_000


def row_encoder(
    columns: Sequence[EncodedColumn],
    levels: Mapping[str, Mapping[str | None, int]],
    vectors: Mapping[str, TextVectors],
    layout: Layout,
    places: Mapping[str, int],
) -> RowEncoder:
    """What `Encoder.transform` does, for one row; called many times, from any thread.

    Parameters
    ----------
    columns : sequence of EncodedColumn
        Records of the encoder.
    levels : mapping of str to mapping
        Codes of the levels, by source column.
    vectors : mapping of str to TextVectors
        Vocabularies, by source column.
    layout : Layout
        Of the matrix.
    places : mapping of str to int
        Where the cell of each source column stands in a row. A source that has no place is missing in every row.

    Returns
    -------
    callable
        From cells (see `tables.row.Cell`) to a matrix of one row.
    """
    steps = [_step(column, vectors, places) for column in columns if not isinstance(column, CategoryColumn)]
    numbers = [(places[c.source], c.offset) for c in columns if isinstance(c, NumberColumn)]
    plain = len(numbers) == len(steps)
    coded = [(places[c.source], levels[c.source].get) for c in columns if isinstance(c, CategoryColumn)]

    def encode(cells: Sequence[Any]) -> Matrix:
        codes = np.array([[code(cells[place], OTHER) for place, code in coded]], dtype=np.int32) if coded else _NO_CODES
        values: list[float] = []
        if plain:
            for place, offset in numbers:
                value = cells[place]
                if offset:
                    value -= offset
                values.append(value if -LARGEST <= value <= LARGEST else _inside(value))
            return Matrix(np.array([values], dtype=np.float32), codes, None, layout)
        topics: list[np.ndarray] = []
        texts: list[sparse.csr_matrix] = []
        for step in steps:
            step(cells, values, topics, texts)
        numeric = np.array([values], dtype=np.float32)
        if layout.text_components:
            numeric = np.concatenate([numeric, *topics], axis=1)
        return Matrix(numeric, codes, side_by_side(texts, layout), layout)

    return encode


def column_encoder(
    columns: Sequence[EncodedColumn],
    levels: Mapping[str, Mapping[str | None, int]],
    layout: Layout,
    places: Mapping[str, int],
) -> ColumnEncoder | None:
    """What `Encoder.transform` does, for cells that stand column by column; None for an encoder of texts.

    Parameters
    ----------
    columns, levels, layout, places
        As in `row_encoder`.
    """
    if any(isinstance(column, TextColumn) for column in columns):
        return None

    def encode(cells: Sequence[Sequence[Any] | np.ndarray]) -> Matrix:
        n_rows = len(cells[0])
        numeric = np.empty((n_rows, len(layout.numeric)), dtype=np.float32)
        codes = np.empty((n_rows, len(layout.codes)), dtype=np.int32)
        i = j = 0
        for column in columns:
            place = places.get(column.source)
            if isinstance(column, NumberColumn):
                values = np.asarray(cells[places[column.source]], dtype=np.float64)
                if column.offset:
                    values = values - column.offset
                numeric[:, i] = np.minimum(np.maximum(values, -LARGEST), LARGEST)
                i += 1
            elif isinstance(column, CategoryColumn):
                code = levels[column.source].get
                codes[:, j] = [code(cell, OTHER) for cell in cells[places[column.source]]]
                j += 1
            elif isinstance(column, DateColumn):
                known: Sequence[Any] | np.ndarray = [None] * n_rows if place is None else cells[place]
                stamps = np.array(["NaT" if stamp is None else stamp for stamp in known], dtype="M8[us]")
                for part in column.parts:
                    numeric[:, i] = date_part(stamps, part, column.origin_us)
                    i += 1
        return Matrix(numeric, codes, None, layout)

    return encode


def side_by_side(texts: Sequence[sparse.csr_matrix], layout: Layout) -> sparse.csr_matrix | None:
    """Terms of all text columns in one sparse matrix; None where no term is known."""
    if layout.text_terms == 0:
        return None
    return texts[0] if len(texts) == 1 else sparse.csr_matrix(sparse.hstack(texts, format="csr", dtype=np.float32))


_Step = Callable[[Sequence[Any], list[float], list[np.ndarray], list[sparse.csr_matrix]], None]


def _step(column: Any, vectors: Mapping[str, TextVectors], places: Mapping[str, int]) -> _Step:
    """What one column adds to the numbers, topics and texts of a row."""
    place = places.get(column.source)
    if isinstance(column, NumberColumn):

        def number(cells: Sequence[Any], values: list[float], topics: list[np.ndarray], texts: list[Any]) -> None:
            value = cells[place] - column.offset  # type: ignore[index]
            values.append(value if -LARGEST <= value <= LARGEST else _inside(value))

        return number
    if isinstance(column, DateColumn):
        readers = [_PARTS[part] for part in column.parts]

        def date(cells: Sequence[Any], values: list[float], topics: list[np.ndarray], texts: list[Any]) -> None:
            stamp = None if place is None else cells[place]
            if stamp is None:
                values.extend([_NAN] * len(readers))
                return
            moment = _EPOCH + dt.timedelta(microseconds=stamp)
            values.extend([reader(moment, stamp, column.origin_us) for reader in readers])

        return date
    if isinstance(column, TextColumn):
        fitted = vectors[column.source]
        wanted = [TEXT_SIZES.index(size) for size in column.sizes]

        def text(cells: Sequence[Any], values: list[float], topics: list[np.ndarray], texts: list[Any]) -> None:
            cell = cells[place]  # type: ignore[index]
            if wanted:
                sizes = text_sizes([cell])[0]
                values.extend([float(sizes[number]) for number in wanted])
            weights = fitted.weigh_one(cell)
            topics.append(fitted.project(weights, [cell]))
            texts.append(weights)

        return text
    raise TypeError(f"{type(column).__name__} is no column of an encoder")


def _inside(value: float) -> float:
    """NaN as it is, anything beyond float32 just inside it."""
    return LARGEST if value > LARGEST else -LARGEST if value < -LARGEST else value


#: `features.dates.date_part` for one moment: as a datetime, as microseconds since 1970, and the origin of "days".
_PARTS: dict[str, Callable[[dt.datetime, int, int], float]] = {
    "year": lambda moment, stamp, origin: float(moment.year),
    "month": lambda moment, stamp, origin: float(moment.month),
    "day": lambda moment, stamp, origin: float(moment.day),
    "weekday": lambda moment, stamp, origin: float(moment.weekday()),
    "hour": lambda moment, stamp, origin: float(moment.hour),
    "minute": lambda moment, stamp, origin: float(moment.minute),
    "day_of_year": lambda moment, stamp, origin: float(moment.timetuple().tm_yday),
    "days": lambda moment, stamp, origin: float(stamp - origin) / _DAY_US,
}
