"""Windows: the same log gives the same ones, however often and however far it is read."""

from __future__ import annotations

import datetime as dt
import itertools

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import InvalidInputError
from modelwright.monitoring.prediction_log import Prediction
from modelwright.monitoring.windows import Slice, floor, of_log, of_table, read_span

BEGUN = dt.datetime(2026, 3, 4, 22, tzinfo=dt.UTC)


def predictions(seconds: list[int]) -> list[Prediction]:
    found = []
    for k, second in enumerate(sorted(seconds)):
        at = (BEGUN + dt.timedelta(seconds=second)).isoformat(timespec="microseconds")
        found.append(Prediction(f"a{k}-0", "m", "1", "live", at, None, {}, "x", 0.5, None, 1.0, None))
    return found


def ends(slices: list[Slice[list[Prediction]]]) -> list[tuple[str, str, int, bool]]:
    return [(each.start, each.end, len(each.rows), each.complete) for each in slices]


@settings(max_examples=40, deadline=None)
@given(seconds=st.lists(st.integers(0, 200), min_size=1, max_size=80), n=st.integers(1, 20), cut=st.integers(0, 80))
def test_windows_by_number_go_on_where_they_ended(seconds: list[int], n: int, cut: int) -> None:
    rows, span = predictions(seconds), read_span(n)
    whole = list(of_log(rows, span, now=BEGUN))
    assert [row for each in whole for row in each.rows] == rows
    assert all(len(each.rows) >= n for each in whole if each.complete)
    # An answer is never in two windows, nor are two answers of one moment.
    assert all(a.end <= b.start for a, b in itertools.pairwise(whole))
    assert all(each.start <= row.at < each.end for each in whole for row in each.rows)
    # Looked at early, complete windows are those of the whole log, as long as no moment is cut in two.
    moments = [row.at for row in rows]
    early = [row for row in rows if row.at < (moments[cut] if cut < len(moments) else "~")]
    complete = [each for each in of_log(early, span, now=BEGUN) if each.complete]
    assert ends(complete) == ends(whole)[: len(complete)]
    since = complete[-1].end if complete else ""
    rest = list(of_log([row for row in rows if row.at >= since], span, now=BEGUN, since=since))
    assert ends([*complete, *rest]) == ends(whole)


def test_windows_by_time_begin_at_midnight_and_on_mondays() -> None:
    moment = dt.datetime(2026, 3, 4, 22, 17, 3, tzinfo=dt.UTC)
    assert floor(moment, 86_400) == dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
    assert floor(moment, 604_800) == dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    assert floor(moment, 21_600) == dt.datetime(2026, 3, 4, 18, tzinfo=dt.UTC)


def test_windows_by_time_are_complete_when_their_time_is_over() -> None:
    rows = predictions([0, 10, 3 * 3600])
    found = list(of_log(rows, read_span("1h"), now=BEGUN + dt.timedelta(hours=3, minutes=30)))
    assert [(len(each.rows), each.complete) for each in found] == [(2, True), (0, True), (0, True), (1, False)]


def test_a_table_is_divided_by_its_times_or_by_its_rows() -> None:
    moments = pl.Series([dt.datetime(2026, 3, day) for day in (3, 1, 1, 2)] + [None])
    frame = pl.DataFrame({"x": range(5)})
    by_time = [part.rows.to_list() for part in of_table(frame, read_span("1d"), moments)]
    assert by_time == [[1, 2], [3], [0]]
    by_rows = [(part.start, part.end, part.rows.to_list(), part.complete) for part in of_table(frame, read_span(2))]
    assert by_rows == [("0", "2", [0, 1], True), ("2", "4", [2, 3], True), ("4", "5", [4], False)]
    with pytest.raises(InvalidInputError, match="no column of time"):
        list(of_table(frame, read_span("1d")))


@pytest.mark.parametrize("text", ["", "0", "x", "1y", "-5", "1.5h"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is no window"):
        read_span(text)
