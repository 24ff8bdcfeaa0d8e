"""A schema reads every later table as it read the training rows."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from modelwright.errors import DataError, SchemaError
from modelwright.tables.conform import check_finite, conform
from modelwright.tables.schema import Column, Schema
from modelwright.tables.types import infer_schema

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


def test_one_row_is_read_as_it_is_in_a_batch() -> None:
    frame = pl.read_csv(TELCO, infer_schema_length=None).head(300)
    schema = infer_schema(frame, target="Churn")

    batch, messages = conform(frame, schema)
    single = pl.concat([conform(frame[i], schema)[0] for i in range(300)])

    assert messages == []
    assert_frame_equal(single, batch)
    assert batch["TotalCharges"].dtype == pl.Float64
    assert batch["Partner"].dtype == pl.Boolean


def test_conforming_twice_changes_nothing() -> None:
    frame = pl.read_csv(TELCO, infer_schema_length=None).head(200)
    schema = infer_schema(frame, target="Churn")
    once = conform(frame, schema)[0]

    assert_frame_equal(conform(once, schema)[0], once)


def test_columns_are_found_by_name_and_extra_ones_ignored() -> None:
    train = pl.DataFrame({"a": [1.5, 2.5], "b": ["u", "v"]})
    schema = infer_schema(train, target=None)

    read, _ = conform(pl.DataFrame({"extra": [0], "b": ["v"], "a": [3]}), schema)

    assert read.to_dicts() == [{"a": 3.0, "b": "v"}]


@pytest.mark.parametrize("cells", [[7, 8], [7.0, 8.0], ["7", "8"], ["7.0", " 8 "]])
def test_an_integer_code_is_the_same_category_however_it_comes(cells: list[object]) -> None:
    schema = infer_schema(pl.DataFrame({"zipcode": [7, 8] * 10}), target=None)

    read, _ = conform(pl.DataFrame({"zipcode": cells}), schema)

    assert read["zipcode"].to_list() == ["7", "8"]


def test_numbers_are_read_from_text_with_blanks_marks_and_signs() -> None:
    schema = infer_schema(pl.DataFrame({"x": ["1.234,5", "7", "2,5"] * 5}), target=None)

    read, messages = conform(pl.DataFrame({"x": [" 1.234,5 ", "", "?", "€ 3,5", None]}), schema)

    assert read["x"].to_list() == [1234.5, None, None, 3.5, None]
    assert messages == []


def test_a_decimal_comma_is_never_taken_for_a_thousands_sign() -> None:
    schema = infer_schema(pl.DataFrame({"x": ["1,234.5", "7", "2,000"] * 5}), target=None)

    read, messages = conform(pl.DataFrame({"x": ["1,5", "3,000", "4", "5"]}), schema)

    assert read["x"].to_list() == [None, 3000.0, 4.0, 5.0]
    assert len(messages) == 1
    assert "'1,5'" in messages[0]


def test_dates_are_read_from_text_with_the_formats_of_training() -> None:
    schema = infer_schema(pl.DataFrame({"d": ["13/02/2020", "01/02/2020"]}), target=None)

    read, messages = conform(pl.DataFrame({"d": ["02/03/2021", "1/1/2021", None, "soon"]}), schema)

    assert read["d"].to_list() == [datetime(2021, 3, 2), datetime(2021, 1, 1), None, None]
    assert "'soon'" in messages[0]


def test_native_dates_are_also_read_from_iso_text() -> None:
    schema = infer_schema(pl.DataFrame({"d": [datetime(2020, 1, 1), datetime(2021, 1, 1)]}), target=None)

    read, _ = conform(pl.DataFrame({"d": ["2022-05-06", "2022-05-06T10:00:00Z"]}), schema)

    assert read["d"].to_list() == [datetime(2022, 5, 6), datetime(2022, 5, 6, 10)]


def test_packed_dates_are_read_from_integers_and_text() -> None:
    schema = infer_schema(pl.DataFrame({"sale_date": [20200101, 20200315]}), target=None)

    for cells in ([20220506], ["20220506"]):
        assert conform(pl.DataFrame({"sale_date": cells}), schema)[0]["sale_date"].to_list() == [datetime(2022, 5, 6)]


def test_booleans_are_read_in_any_spelling() -> None:
    schema = infer_schema(pl.DataFrame({"b": ["Yes", "No"] * 3}), target=None)

    assert conform(pl.DataFrame({"b": ["yes", "N", "TRUE", "0", ""]}), schema)[0]["b"].to_list() == [
        True,
        False,
        True,
        False,
        None,
    ]
    assert conform(pl.DataFrame({"b": [1, 0]}), schema)[0]["b"].to_list() == [True, False]


def test_a_count_that_was_zero_and_one_in_training_may_be_more_later() -> None:
    schema = infer_schema(pl.DataFrame({"children": [0, 1, 1, 0, 0, 1]}), target=None)
    assert schema["children"].type == "boolean"

    assert conform(pl.DataFrame({"children": [2]}), schema)[0]["children"].to_list() == [True]
    assert conform(pl.DataFrame({"children": [0.0, 7.0, None]}), schema)[0]["children"].to_list() == [False, True, None]
    for wrong in (-1, 0.5):
        with pytest.raises(SchemaError, match="true or false"):
            conform(pl.DataFrame({"children": [wrong]}), schema)


def test_declared_missing_values_are_missing_in_every_later_table() -> None:
    schema = infer_schema(
        pl.DataFrame({"x": [-999.0, 1.5, 2.5], "c": ["?", "u", "v"]}), target=None, missing_values=(-999, "?", "inf")
    )

    read, _ = conform(pl.DataFrame({"x": [-999.0, float("inf"), 3.0], "c": ["u", "?", " ? "]}), schema)

    assert read["x"].to_list() == [None, None, 3.0]
    assert read["c"].to_list() == ["u", None, None]
    assert conform(pl.DataFrame({"x": ["-999.0", "4"], "c": ["u", "u"]}), schema)[0]["x"].to_list() == [None, 4.0]


def test_missing_columns_are_all_named_with_the_nearest_present() -> None:
    schema = infer_schema(pl.DataFrame({"tenure": [1.5, 2.5], "charges": [1.5, 2.0], "kind": ["u", "v"]}), target=None)

    with pytest.raises(SchemaError, match=r"'tenure', 'charges'.*did you mean 'Tenure'"):
        conform(pl.DataFrame({"Tenure": [1.0], "kind": ["u"]}), schema)


def test_a_column_of_the_wrong_kind_is_refused_with_an_example() -> None:
    schema = infer_schema(pl.DataFrame({"x": [1.5, 2.5], "d": [datetime(2020, 1, 1), datetime(2020, 1, 2)]}), target=None)

    with pytest.raises(SchemaError, match=r"'x'.*numbers.*'high'"):
        conform(pl.DataFrame({"x": ["high", "low"], "d": [datetime(2020, 1, 1)] * 2}), schema)
    with pytest.raises(SchemaError, match=r"'d'.*dates and times"):
        conform(pl.DataFrame({"x": [1.0], "d": [3.5]}), schema)
    with pytest.raises(SchemaError, match=r"'x'.*holds dates"):
        conform(pl.DataFrame({"x": [datetime(2020, 1, 1)], "d": [datetime(2020, 1, 1)]}), schema)


def test_an_empty_column_and_an_empty_table_are_read() -> None:
    schema = infer_schema(pl.DataFrame({"x": [1.5, 2.5], "b": [True, False]}), target=None)

    read, messages = conform(pl.DataFrame({"x": [None, None], "b": ["", " "]}), schema)

    assert read.null_count().row(0) == (2, 2)
    assert messages == []
    assert conform(pl.DataFrame({"x": [], "b": []}), schema)[0].shape == (0, 2)


def test_infinite_cells_are_refused_and_counted() -> None:
    schema = infer_schema(pl.DataFrame({"x": [1.5, 2.5], "z": [1.5, 2.5]}), target=None)

    with pytest.raises(DataError, match=r"'z' \(2\).*row 1"):
        check_finite(pl.DataFrame({"x": [1.0, 2.0, 3.0], "z": [0.0, float("inf"), float("-inf")]}), schema)
    check_finite(pl.DataFrame({"x": [1.0], "z": [None]}, schema={"x": pl.Float64, "z": pl.Float64}), schema)


def test_a_single_row_of_native_types_is_read_in_about_a_millisecond() -> None:
    frame = pl.read_csv(TELCO, infer_schema_length=None).head(300)
    schema = infer_schema(frame, target="Churn")
    row = conform(frame, schema)[0].head(1)
    conform(row, schema)

    best = min(_timed(lambda: conform(row, schema)) for _ in range(30))

    # Measured at 0.2 ms; the bound leaves room for a busy machine.
    assert best < 0.003


def _timed(call: object) -> float:
    start = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - start


def test_repeated_labels_are_read_as_each_would_be_alone() -> None:
    cells = [" Pro ", "Pro", "", "  ", None, "7.0", "7", "-7.0", "7.10", "?", "NA", "é\u00a0", "x" * 40]
    column = Column("plan", "category", "feature", missing_values=("?",))
    many = pl.DataFrame({"plan": cells * 200})
    alone = [conform(pl.DataFrame({"plan": [cell]}, schema={"plan": pl.String}), Schema((column,)))[0].item() for cell in cells]
    assert alone == ["Pro", "Pro", None, None, None, "7", "7", "-7", "7.10", None, "NA", "é", "x" * 40]
    assert conform(many, Schema((column,)))[0]["plan"].to_list() == alone * 200
    clean = pl.DataFrame({"plan": ["a", None] * 600})
    assert conform(clean, Schema((column,)))[0].equals(clean)
