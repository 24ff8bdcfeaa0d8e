from __future__ import annotations

import datetime as dt
import math
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelwright.tables.fingerprint import BLOCK_ROWS, fingerprint

NUMBERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
FLOATS = st.one_of(st.none(), st.floats(allow_nan=False))
TEXTS = st.one_of(st.none(), st.text(max_size=6))
BOOLEANS = st.one_of(st.none(), st.booleans())
MOMENTS = st.one_of(st.none(), st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2260, 1, 1)))
KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "integer": (pl.Int64, NUMBERS),
    "float": (pl.Float64, FLOATS),
    "text": (pl.String, TEXTS),
    "boolean": (pl.Boolean, BOOLEANS),
    "datetime": (pl.Datetime("us"), MOMENTS),
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    height = draw(st.integers(1, 6))
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4))
    columns = []
    for i, kind in enumerate(kinds):
        dtype, cells = KINDS[kind]
        columns.append(pl.Series(f"{kind}{i}", draw(st.lists(cells, min_size=height, max_size=height)), dtype=dtype))
    return pl.DataFrame(columns)


def of(*values: object, dtype: Any = None) -> str:
    return fingerprint(pl.DataFrame({"a": pl.Series(list(values), dtype=dtype)}))


@settings(max_examples=150, deadline=None)
@given(frame=frames(), data=st.data())
def test_any_changed_cell_changes_it(frame: pl.DataFrame, data: st.DataObject) -> None:
    column = data.draw(st.integers(0, frame.width - 1))
    row = data.draw(st.integers(0, frame.height - 1))
    series = frame.to_series(column)
    cells = series.to_list()
    other = data.draw(KINDS[series.name.rstrip("0123456789")][1])
    assume(other != cells[row])
    cells[row] = other
    changed = frame.with_columns(pl.Series(series.name, cells, dtype=series.dtype))
    assert fingerprint(changed) != fingerprint(frame)


@settings(max_examples=50, deadline=None)
@given(frame=frames(), name=st.text(min_size=1, max_size=5))
def test_any_renamed_column_changes_it(frame: pl.DataFrame, name: str) -> None:
    assume(name not in frame.columns)
    assert fingerprint(frame.rename({frame.columns[0]: name})) != fingerprint(frame)


@settings(max_examples=50, deadline=None)
@given(frame=frames())
def test_order_of_rows_and_columns_counts(frame: pl.DataFrame) -> None:
    backwards = frame.reverse()
    assert (fingerprint(backwards) == fingerprint(frame)) == backwards.equals(frame)
    assume(frame.width > 1)
    assert fingerprint(frame.select(reversed(frame.columns))) != fingerprint(frame)


@settings(max_examples=50, deadline=None)
@given(frame=frames())
def test_chunks_in_memory_do_not_count(frame: pl.DataFrame) -> None:
    pieces = pl.concat([frame.slice(i, 1) for i in range(frame.height)], rechunk=False)
    assert fingerprint(pieces) == fingerprint(frame)


def test_booleans_integers_and_floats_of_one_value_are_equal() -> None:
    assert of(1, 0) == of(1.0, 0.0) == of(True, False) == of(1, 0, dtype=pl.UInt8) == of(1, 0, dtype=pl.Float32)
    assert of(1.5, 2) == of(Decimal("1.5"), Decimal("2"), dtype=pl.Decimal(10, 2))


def test_integers_beyond_float_precision_are_told_apart() -> None:
    assert of(2**53) == of(float(2**53))
    assert of(2**53 + 1) != of(2**53)
    assert of(2**53 + 2) == of(float(2**53 + 2))
    assert of(2**63 - 1) != of(2**63 - 2)
    assert of(2**64 - 1, dtype=pl.UInt64) != of(2**64 - 2, dtype=pl.UInt64)
    assert of(-(2**63), dtype=pl.Int64) == of(-float(2**63))


def test_a_number_differs_from_its_text_and_null_from_empty_and_zero() -> None:
    assert of("1") != of(1)
    assert len({of("x", None), of("x", ""), of("x", "0")}) == 3
    assert of(1, None) != of(1, 0)


def test_cells_do_not_run_into_each_other() -> None:
    assert of("ab", "c") != of("a", "bc")
    assert of("a", None) != of(None, "a")
    assert of("x" * 254) != of("x" * 255) != of("x" * 256)
    assert fingerprint(pl.DataFrame({"a": ["x"], "b": [1]})) != fingerprint(pl.DataFrame({"b": ["x"], "a": [1]}))


def test_nan_is_null_and_negative_zero_is_zero() -> None:
    assert of(1.0, math.nan) == of(1.0, None)
    assert of(-0.0, 2.0) == of(0.0, 2.0)
    assert of(1.0, math.inf) != of(1.0, -math.inf)


def test_columns_without_values_are_equal_whatever_their_type() -> None:
    assert of(None, None) == of(None, None, dtype=pl.String) == of(math.nan, None) == of(None, None, dtype=pl.Date)
    assert of(None, None) != of(None)


def test_dates_are_datetimes_and_units_do_not_count() -> None:
    day = dt.date(2024, 5, 1)
    moment = dt.datetime(2024, 5, 1)
    microseconds = of(moment, dtype=pl.Datetime("us"))
    assert of(day) == microseconds == of(moment, dtype=pl.Datetime("ns")) == of(moment, dtype=pl.Datetime("ms"))
    assert microseconds != of("2024-05-01")
    fine = pl.Series("a", [1], dtype=pl.Int64).cast(pl.Datetime("ns")).to_frame()
    assert fingerprint(fine) != fingerprint(pl.Series("a", [2], dtype=pl.Int64).cast(pl.Datetime("ns")).to_frame())


def test_categories_are_text() -> None:
    assert of("a", "b", dtype=pl.Categorical) == of("a", "b") == of("a", "b", dtype=pl.Enum(["b", "a"]))


def test_nested_cells_count() -> None:
    assert of([1, 2], [3]) != of([1], [2, 3])
    assert of([1], None) != of([1], [])
    assert of({"x": 1}) != of({"x": 2})
    assert of(b"\x00\xff") != of(b"\x00\xfe")


@pytest.mark.parametrize("row", [0, BLOCK_ROWS - 1, BLOCK_ROWS, 2 * BLOCK_ROWS + 6])
def test_every_block_of_a_long_column_counts(row: int) -> None:
    n = 2 * BLOCK_ROWS + 7
    numbers = np.arange(n, dtype=float)
    frame = pl.DataFrame({"x": numbers, "t": numbers}).with_columns(pl.col("t").cast(pl.String))
    changed = numbers.copy()
    changed[row] = -1
    assert fingerprint(frame.with_columns(x=pl.Series(changed))) != fingerprint(frame)
    assert fingerprint(frame.with_columns(t=pl.Series(changed).cast(pl.String))) != fingerprint(frame)


def test_a_block_of_nulls_in_a_text_column_is_hashed() -> None:
    column = pl.Series("t", [None] * BLOCK_ROWS + ["x"])
    assert fingerprint(column.to_frame()) != fingerprint(column.shift(-1).fill_null("").to_frame())


def test_the_frame_is_left_alone() -> None:
    values = np.array([-0.0, math.nan, 1.0])
    frame = pl.DataFrame({"x": values})
    fingerprint(frame)
    assert math.copysign(1, frame["x"][0]) == -1
    assert math.isnan(frame["x"][1])


def test_value_is_fixed_across_processes_and_versions() -> None:
    expected = "mw1:73e32b5380128ab1bed09be45966f9d12b69060de121d41ebe5f3eb6e138c73c"
    frame = pl.DataFrame({"x": [1.5, None, 2.0**53 + 2], "t": ["a", "", None], "b": [True, None, False]})
    assert fingerprint(frame) == expected
    code = (
        "import polars as pl; from modelwright.tables.fingerprint import fingerprint as f;"
        "print(f(pl.DataFrame({'x': [1.5, None, 2**53 + 2], 't': ['a', '', None], 'b': [True, None, False]}, strict=False)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == expected


def test_a_table_without_rows_or_columns_has_one_too() -> None:
    assert fingerprint(pl.DataFrame()) != fingerprint(pl.DataFrame({"a": []}))
