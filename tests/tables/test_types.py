"""What types, roles and reasons `infer_schema` finds."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from modelwright.errors import DataError, SpecError
from modelwright.tables import dates
from modelwright.tables.schema import Column
from modelwright.tables.types import infer_schema

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


def column(values: list[object] | pl.Series, name: str = "x", **options: object) -> Column:
    series = values.alias(name) if isinstance(values, pl.Series) else pl.Series(name, values)
    return infer_schema(series.to_frame(), target=None, **options)[name]  # type: ignore[arg-type]


def test_telco_is_read_as_a_person_would() -> None:
    schema = infer_schema(pl.read_csv(TELCO, infer_schema_length=None), target="Churn", task="binary")

    assert (schema["customerID"].type, schema["customerID"].role) == ("id", "id")
    assert (schema["TotalCharges"].type, schema["TotalCharges"].role) == ("number", "feature")
    assert "11 blank cells" in schema["TotalCharges"].reason
    assert schema["SeniorCitizen"].type == "boolean"
    assert schema["Partner"].type == "boolean"
    assert schema["Contract"].type == "category"
    assert schema["tenure"].type == "number"
    assert schema["Churn"].role == "target"
    assert "customerID" not in [c.name for c in schema.features]


@pytest.mark.parametrize(
    ("cells", "decimal", "thousands"),
    [
        (["1.5", "2", "-3e2"], ".", ""),
        (["1,5", "2", "0,125"], ",", ""),
        (["1.234,50", "12,5", "7"], ",", "."),
        (["1,234.50", "1,000", "7"], ".", ","),
        (["1 234", "12 345 678", "7"], ".", " "),
        (["$1,200.50", "-$3", "$7"], ".", ","),
        (["12 %", "3.5%", "100 %"], ".", ""),
    ],
)
def test_numbers_kept_as_text_are_numbers(cells: list[str], decimal: str, thousands: str) -> None:
    found = column(cells * 10)

    assert (found.type, found.decimal, found.thousands) == ("number", decimal, thousands)


def test_marks_among_numbers_become_missing_and_are_told() -> None:
    found = column([str(i / 7) for i in range(97)] + ["?", "NA", "-"])

    assert found.type == "number"
    assert "3 cells" in found.reason


def test_words_among_numbers_keep_the_column_a_category() -> None:
    assert column(["1", "2", "many"] * 20).type == "category"


def test_leading_zeros_make_codes_not_numbers() -> None:
    assert column(["02134", "10001", "94110"] * 20).type == "category"


@pytest.mark.parametrize("pair", [("yes", "no"), ("Y", "N"), ("TRUE", "False"), ("t", "f"), ("On", "off"), ("1", "0")])
def test_two_words_for_yes_and_no_are_boolean(pair: tuple[str, str]) -> None:
    found = column(list(pair) * 10)

    assert found.type == "boolean"
    assert found.true_values == (pair[0].lower(),)
    assert found.false_values == (pair[1].lower(),)


def test_other_pairs_of_words_are_categories() -> None:
    assert column(["male", "female"] * 10).type == "category"
    assert column(["yes", "no", "no phone"] * 10).type == "category"


def test_zero_and_one_are_boolean_but_one_and_two_are_numbers() -> None:
    assert column([0, 1, None] * 10).type == "boolean"
    assert column([0.0, 1.0] * 10).type == "boolean"
    assert column([1, 2] * 10).type == "number"


@pytest.mark.parametrize("name", ["zipcode", "ZIP", "productType", "country_code", "Pclass", "item_category", "store_id"])
def test_a_name_can_make_integers_a_category(name: str) -> None:
    assert column([3, 7, 11, 20] * 20, name).type == "category"


def test_integers_stay_numbers_without_a_hint() -> None:
    assert column([3, 7, 11, 20] * 20, "rooms").type == "number"


def test_row_numbers_are_identifiers_also_in_a_random_part_of_the_table() -> None:
    part = pl.Series(range(1000)).sample(600, seed=1)

    assert column(part, "n").type == "id"
    assert column(pl.Series([i * 977 for i in range(600)]), "customer_id").type == "id"


def test_near_unique_measures_are_no_identifiers() -> None:
    spread = pl.Series([(i * 7919) % 1_000_003 for i in range(500)])

    assert column(spread, "income").type == "number"
    assert column([i / 3 for i in range(500)], "id_like").type == "number"
    assert column(list(range(1900, 2000)), "year").type == "number"


def test_short_codes_that_never_repeat_are_identifiers() -> None:
    assert column([f"A{i:05d}" for i in range(200)]).type == "id"


def test_prose_is_text() -> None:
    found = column([f"the {i}th customer called about the price of item {i * 3}" for i in range(60)])

    assert (found.type, found.role) == ("text", "text")


def test_a_handful_of_repeated_sentences_is_a_category() -> None:
    assert column(["I fully agree with this", "I do not agree with this"] * 30).type == "category"


@pytest.mark.parametrize(
    ("cells", "formats"),
    [
        (["2020-01-31 10:00", "2020-02-28 11:30"], ("%Y-%m-%d %H:%M",)),
        (["20141013T000000", "20150225T000000"], ("%Y%m%dT%H%M%S",)),
        (["Jan 5, 2013", "February 7, 2014"], ("%B %d, %Y",)),
        (["2015-02-24 11:35:52 -0800", "2015-02-23 01:05:12 -0800"], ("%Y-%m-%d %H:%M:%S%z",)),
        (["Jan-2018", "Feb-2018"], ("%B-%Y",)),
        (["05.12.2013", "25.12.2013"], ("%d.%m.%Y",)),
        (["1/31/05 3:04 PM", "2/1/05 11:59 AM"], ("%m/%d/%y %I:%M %p",)),
        (["01/2018", "12/2019"], ("%m/%Y",)),
        (["2020Q1", "2020q4", "2021Q2"], ("%YQ%q",)),
        (["Q4 2019", "Q1 2020"], ("Q%q %Y",)),
        (["2020-W53", "2021-W01"], ("%G-W%V",)),
    ],
)
def test_dates_in_many_spellings(cells: list[str], formats: tuple[str, ...]) -> None:
    found = column(cells * 10)

    assert (found.type, found.formats) == ("datetime", formats)


def test_quarters_and_weeks_are_read_as_their_first_days() -> None:
    quarters = dates.parse_dates(pl.Series(["2020Q1", "2021Q4", "2021Q5", "2021Q11"]), ("%YQ%q",))
    weeks = dates.parse_dates(pl.Series(["2020-W53", "2021-W01", "2021-W53"]), ("%G-W%V",))

    assert quarters.dt.to_string("%F").to_list() == ["2020-01-01", "2021-10-01", None, None]
    assert weeks.dt.to_string("%F").to_list() == ["2020-12-28", "2021-01-04", None]


@pytest.mark.parametrize("fmt", ["%YQ%q", "Q%q %Y", "%G-W%V", "%m/%Y", "%Y-%m-%dT%H:%M:%S%.f", "%B %Y"])
def test_what_is_written_in_a_format_is_read_in_it(fmt: str) -> None:
    moment = datetime(2024, 7, 1)

    assert dates.parse_dates(pl.Series([dates.written(moment, fmt)]), (fmt,)).to_list() == [moment]


@pytest.mark.parametrize("cells", [["Q1", "Q2", "Q3"], ["A4 2020", "B4 2021"], ["2020Q7", "2021Q8"], ["W12", "W13"]])
def test_what_only_resembles_a_quarter_or_a_week_is_a_category(cells: list[str]) -> None:
    assert column(cells * 20).type == "category"


def test_a_day_above_twelve_settles_the_order_for_the_whole_column() -> None:
    assert column(["01/02/2020", "03/04/2020", "13/05/2020"]).formats == ("%d/%m/%Y",)
    assert column(["01/02/2020", "03/04/2020", "05/13/2020"]).formats == ("%m/%d/%Y",)


def test_time_order_settles_what_the_values_leave_open() -> None:
    sorted_by_day = [f"{day:02d}/{month:02d}/2021" for month in range(1, 13) for day in range(1, 13)]

    found = column(sorted_by_day)

    assert found.formats == ("%d/%m/%Y",)
    assert "time order" in found.reason


def test_an_undecidable_order_is_month_first_and_said_to_be() -> None:
    found = column(["01/02/2020", "05/04/2019", "03/03/2020", "02/01/2021"])

    assert found.formats == ("%m/%d/%Y",)
    assert "default" in found.reason


def test_mixed_formats_are_all_kept() -> None:
    found = column(["2020-01-02", "3 Feb 2020", "2020-05-06", "7 Mar 2020"] * 5)

    assert found.type == "datetime"
    assert set(found.formats) == {"%Y-%m-%d", "%d %B %Y"}


@pytest.mark.parametrize("cells", [["level 12", "level 7"] * 30, ["Room 3", "Room 114"] * 30, ["10 mg", "25 mg"] * 30])
def test_names_with_numbers_are_not_tried_as_dates(cells: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(text: pl.Series, fmt: str) -> pl.Series:
        raise AssertionError(f"{text[0]!r} was tried as {fmt!r}")

    monkeypatch.setattr(dates, "_strptime", tried)
    assert column(cells).type == "category"


def test_packed_dates_need_a_name_that_speaks_of_time() -> None:
    days = [20200101 + i for i in range(28)]

    assert column(days, "sale_date").type == "datetime"
    assert column(days, "price").type == "number"


def test_unix_timestamps_serve_as_time() -> None:
    stamps = [1_600_000_000 + 3600 * i for i in range(100)]

    found = column(stamps, "ts", time="ts")

    assert (found.type, found.role) == ("number", "time")


def test_constant_empty_and_nested_columns_are_ignored_with_a_reason() -> None:
    frame = pl.DataFrame({"c": [1, 1, 1], "e": [None, None, None], "n": [[1], [2], [3]], "blank": ["", " ", None]})

    schema = infer_schema(frame, target=None)

    assert [c.type for c in schema.columns] == ["constant", "empty", "other", "empty"]
    assert {c.role for c in schema.columns} == {"ignored"}
    assert all(c.reason for c in schema.columns)


def test_roles_are_as_declared_and_none_of_them_is_a_feature() -> None:
    frame = pl.DataFrame(
        {
            "y": [0, 1, 0, 1],
            "when": [datetime(2020, 1, d) for d in (1, 2, 3, 4)],
            "who": [1, 1, 2, 2],
            "w": [1.0, 2.0, 1.0, 0.5],
            "x": [1.5, 2.5, 3.5, 1.0],
            "z": [1.0, 0.5, 3.5, 1.0],
        }
    )

    schema = infer_schema(frame, target="y", time="when", group="who", weight="w", exclude=["z", "who"])

    assert [c.role for c in schema.columns] == ["target", "time", "group", "weight", "feature", "ignored"]
    assert [c.name for c in schema.features] == ["x"]


def test_overrides_win() -> None:
    frame = pl.DataFrame({"x": [1, 2, 3, 4] * 10, "s": ["m", "f"] * 20, "d": ["01/02/2020"] * 39 + ["03/02/2020"]})

    schema = infer_schema(frame, target=None, types={"x": "category", "s": "boolean", "d": "datetime"})

    assert schema["x"].type == "category"
    assert (schema["s"].true_values, schema["s"].false_values) == (("m",), ("f",))
    assert schema["d"].formats == ("%m/%d/%Y",)


@pytest.mark.parametrize(
    "options",
    [
        {"target": "chrun"},
        {"target": None, "time": "chrun"},
        {"target": None, "exclude": ["chrun"]},
        {"target": None, "types": {"chrun": "text"}},
    ],
)
def test_an_unknown_column_is_answered_with_the_nearest(options: dict[str, object]) -> None:
    frame = pl.DataFrame({"Churn": [0, 1], "tenure": [1, 2]})

    with pytest.raises(SpecError, match="Did you mean 'Churn'"):
        infer_schema(frame, **options)  # type: ignore[arg-type]


def test_impossible_requests_are_refused() -> None:
    frame = pl.DataFrame({"a": ["x", "y", "z"], "b": [1.0, 2.0, 3.0]})

    with pytest.raises(SpecError, match="number was asked for"):
        infer_schema(frame, target=None, types={"a": "number"})
    with pytest.raises(SpecError, match="not a type"):
        infer_schema(frame, target=None, types={"a": "integer"})
    with pytest.raises(SpecError, match="time order"):
        infer_schema(frame, target=None, time="a")
    with pytest.raises(SpecError, match="a column of its own"):
        infer_schema(frame, target="b", weight="b")


def test_bad_weights_are_refused() -> None:
    with pytest.raises(DataError, match="negative"):
        infer_schema(pl.DataFrame({"x": [1.0, 2.0], "w": [1.0, -1.0]}), target=None, weight="w")


def test_declared_missing_values_do_not_count_as_values() -> None:
    found = column([-999.0, 5.0, 5.0, 7.5], missing_values=(-999,))

    assert found.type == "number"
    assert found.missing_values == (-999,)
    assert column(["?", "yes", "no"] * 5, missing_values={"x": ("?",)}).type == "boolean"
