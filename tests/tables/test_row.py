"""A cell read alone is what `conform` reads."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import polars as pl
import pytest

from modelwright.artifacts.row_reader import RowReader, few_rows
from modelwright.errors import SchemaError
from modelwright.tables.conform import conform
from modelwright.tables.dates import ISO_FORMATS, parse_dates
from modelwright.tables.read import read as read_table
from modelwright.tables.row import UnusualCellError, cell_reader
from modelwright.tables.schema import Column, Schema

FORMATS = (
    *ISO_FORMATS[:3],
    *("%d/%m/%Y", "%m/%d/%y %H:%M", "%d. %B %Y", "%B-%y", "%Y%m%d%H%M%S", "%Y-%m-%d %H:%M:%S %z", "%m/%Y", "%d.%m.%Y %H:%M:%S"),
)


@pytest.mark.parametrize("fmt", FORMATS)
def test_dates_in_plain_formats_are_read_as_polars_reads_them(fmt: str) -> None:
    draw = random.Random(fmt)
    read = cell_reader(Column("at", "datetime", "feature", formats=(fmt,)), inferred=False)
    n_read = 0
    for _ in range(40):
        zone = timezone(timedelta(minutes=draw.choice([0, -480, 330])))
        moment = datetime(draw.choice([1971, 1999, 2016, 2068]), *(draw.randint(1, 12) for _ in range(2)), 7, 5, 9, tzinfo=zone)
        text = moment.strftime(fmt if draw.random() < 0.5 else fmt.replace("%B", "%b"))
        text = draw.choice([text, text.upper(), text.replace("0", "9", 1), text[:-1], f" {text} "])
        expected = parse_dates(pl.Series("at", [text.strip()]), (fmt,)).dt.replace_time_zone("UTC")[0]
        try:
            found = read(text)
        except UnusualCellError:
            continue
        assert expected is not None, text
        assert found == (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), text
        n_read += 1
    assert n_read > 10


CELLS: dict[str, list[Any]] = {
    "number": [
        1.5,
        7,
        True,
        None,
        "7",
        " 7.5 ",
        "1e3",
        "1,200.5",
        "$ 3",
        "12 %",
        "?",
        "NA",
        "",
        float("inf"),
        2**62 + 1,
        "-999.0",
        -999,
    ],
    "boolean": [True, 1, 0.0, "Yes", "off", " T ", "N/A", "", None, "-999", 2, 3.5, 0.5, -1, "2"],
    "category": [
        "a ",
        "7.0",
        7,
        7.0,
        0.1,
        1e22,
        1e-7,
        True,
        None,
        "",
        "-999",
        -999.0,
        "é\u2003",
        "2024-01-05",
        datetime(2024, 1, 5, 3),
    ],
    "datetime": [datetime(2024, 1, 5, 3), "2024-01-05", "05/01/2024", "2024-01-05T10:00+02:00", None, "", "nat", 20240105],
}


@pytest.mark.parametrize("kind", CELLS)
def test_any_cell_alone_is_what_conform_reads_in_a_table_of_one(kind: Any) -> None:
    formats = ("%d/%m/%Y", "%Y%m%d") if kind == "datetime" else ()
    column = Column("c", kind, "feature", formats=formats, thousands="," if kind == "number" else "", missing_values=(-999.0,))
    schema = Schema((column,))
    reader = RowReader(schema)
    for value in CELLS[kind]:
        typed = pl.DataFrame({"c": [value]})
        for found, frame in ((reader.few(typed), typed), ([reader.mapping({"c": value})], read_table([{"c": value}]).frame)):
            try:
                expected = reader.conformed(conform(frame, schema)[0])
            except SchemaError:
                assert found in (None, [None]), repr(value)
            else:
                np.testing.assert_equal(found, expected, err_msg=repr(value))


def test_tables_of_many_rows_and_other_things_are_read_as_tables() -> None:
    assert not few_rows(pl.DataFrame({"c": range(17)}))
    assert not few_rows(pl.DataFrame({"c": []}))
    assert not few_rows({"c": [1]})
    assert not few_rows([{"c": 1}, {"c": 2}])
