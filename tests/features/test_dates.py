"""What date parts promise."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.features.dates import PARTS, date_part, earliest
from modelwright.features.encoder import Encoder
from modelwright.tables.schema import Column, Schema


def encode(cells, role="feature"):
    frame = pl.DataFrame({"date": pl.Series(cells, dtype=pl.Datetime("us"))})
    return Encoder.fit(frame, Schema((Column("date", "datetime", role),))).transform(frame)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("year", 2024),
        ("month", 2),
        ("day", 29),
        ("weekday", 3),
        ("hour", 18),
        ("minute", 45),
        ("day_of_year", 60),
        ("days", 19782.78125),
    ],
)
def test_parts_of_a_known_datetime(part, expected):
    assert date_part(np.array(["2024-02-29T18:45"], dtype="M8[us]"), part).tolist() == [expected]


@given(st.datetimes(min_value=datetime(1600, 1, 1), max_value=datetime(2400, 1, 1)))
def test_parts_agree_with_the_calendar_of_python(moment):
    stamps = np.array([moment], dtype="M8[us]")
    assert date_part(stamps, "year")[0] == moment.year
    assert date_part(stamps, "month")[0] == moment.month
    assert date_part(stamps, "day")[0] == moment.day
    assert date_part(stamps, "weekday")[0] == moment.weekday()
    assert date_part(stamps, "hour")[0] == moment.hour
    assert date_part(stamps, "minute")[0] == moment.minute
    assert date_part(stamps, "day_of_year")[0] == moment.timetuple().tm_yday
    assert date_part(stamps, "days")[0] == pytest.approx((moment - datetime(1970, 1, 1)) / timedelta(days=1), rel=1e-14, abs=0)


@pytest.mark.parametrize("part", PARTS)
def test_missing_stays_missing(part):
    assert np.isnan(date_part(np.array(["NaT"], dtype="M8[us]"), part)).all()


def test_origin_is_the_earliest_datetime_present():
    assert earliest(np.array(["1970-01-02", "NaT", "1970-01-03"], dtype="M8[us]")) == 86_400_000_000
    assert earliest(np.array(["NaT"], dtype="M8[us]")) == 0


def test_dates_without_time_of_day_have_no_hours():
    matrix = encode([datetime(2024, 1, 30), datetime(2024, 2, 2), None])
    assert matrix.layout.numeric == ("date.month", "date.day", "date.weekday", "date.day_of_year", "date.days")
    assert matrix.numeric[:, 4].tolist() == pytest.approx([0.0, 3.0, np.nan], nan_ok=True)


def test_one_date_in_some_rows_still_tells_which():
    matrix = encode([datetime(2024, 1, 30), None, datetime(2024, 1, 30)])
    assert matrix.layout.numeric == ("date.days",)


def test_time_column_gives_what_repeats_and_never_when():
    matrix = encode([datetime(2023, 1, 30, 5), datetime(2024, 2, 2, 7), datetime(2025, 3, 1, 9)], role="time")
    assert matrix.layout.numeric == ("date.month", "date.day", "date.weekday", "date.hour")


def test_time_column_of_numbers_gives_nothing():
    frame = pl.DataFrame({"t": [1.0, 2.0, 3.0]})
    assert Encoder.fit(frame, Schema((Column("t", "number", "time"),))).layout.numeric == ()
