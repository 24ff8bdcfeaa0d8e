"""Each slot of a schedule fires once: through changes of daylight saving, long sleeps, and clocks that jump."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import SpecError
from modelwright.retraining.schedule import LIMIT, check_line, due_slots, next_slots, slots_between

BERLIN = "Europe/Berlin"
#: Lines of both kinds, in the hours where clocks are moved, and zones that move them by 60, 30 and 1440 minutes.
LINES = ("30 2 * * *", "0 3 * * 1", "15 1 * * *", "*/15 * * * *", "0 * * * *", "0 */6 * * *", "0 0 1 * *", "0,30 1-3 * * *")
ZONES = (BERLIN, "UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/Asuncion")


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def local(slots: list[dt.datetime], zone: str = BERLIN) -> list[str]:
    return [slot.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes") for slot in slots]


def test_a_fixed_time_that_is_skipped_in_spring_fires_when_the_hour_is_over() -> None:
    assert local(slots_between("30 2 * * *", BERLIN, utc("2026-03-28T12:00"), utc("2026-03-30T12:00"))) == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]
    # Two of them in the hour that is not there are one.
    assert local(slots_between("0,30 2 * * *", BERLIN, utc("2026-03-28T12:00"), utc("2026-03-29T12:00"))) == [
        "2026-03-29T03:00+02:00"
    ]


def test_a_fixed_time_that_comes_twice_in_autumn_fires_the_first_time() -> None:
    assert local(slots_between("30 2 * * *", BERLIN, utc("2026-10-24T12:00"), utc("2026-10-26T12:00"))) == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]


def test_an_interval_follows_real_time_where_the_clock_is_moved() -> None:
    autumn = slots_between("*/30 * * * *", BERLIN, utc("2026-10-24T23:45"), utc("2026-10-25T02:00"))
    assert local(autumn) == [
        "2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00",
        "2026-10-25T03:00+01:00",
    ]  # fmt: skip
    spring = slots_between("0 * * * *", BERLIN, utc("2026-03-29T00:00"), utc("2026-03-29T02:30"))
    assert local(spring) == ["2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"]


def test_a_day_that_a_country_left_out_fires_when_it_is_over() -> None:
    """Samoa had no 30 December 2011."""
    found = slots_between("0 12 * * *", "Pacific/Apia", utc("2011-12-29T12:00"), utc("2012-01-01T00:00"))
    assert local(found, "Pacific/Apia") == [
        "2011-12-29T12:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T12:00+14:00", "2012-01-01T12:00+14:00",
    ]  # fmt: skip


def test_slots_that_were_slept_through_come_together_and_the_first_look_owes_nothing() -> None:
    now = utc("2026-06-10T10:00")
    assert [slot.day for slot in due_slots("0 3 * * *", BERLIN, utc("2026-06-06T01:00"), now)] == [7, 8, 9, 10]
    assert due_slots("0 3 * * *", BERLIN, now, now) == []
    assert due_slots("0 3 * * *", BERLIN, [], now) == []


def test_years_of_sleep_cost_no_more_than_the_limit() -> None:
    slots = due_slots("* * * * *", BERLIN, utc("2016-01-01T00:00"), utc("2026-01-01T00:00"))
    assert len(slots) == LIMIT
    assert slots[-1] == utc("2026-01-01T00:00")


def test_a_clock_that_ran_ahead_and_was_set_back_neither_repeats_nor_silences_slots() -> None:
    began, fired = utc("2026-06-01T00:00"), []

    def look(moment: str) -> list[int]:
        due = due_slots("0 3 * * *", "UTC", [began, *fired], utc(moment))
        fired.extend(due[-1:])
        return [slot.day for slot in due]

    assert look("2026-06-01T03:00") == [1]
    assert look("2027-06-01T03:00")[-1] == 1  # a year ahead: one catches up
    assert look("2026-06-01T04:00") == []  # and back
    assert look("2026-06-02T03:01") == [2]
    assert look("2026-06-02T02:00") == []  # an hour back
    assert look("2026-06-02T03:30") == []  # the slot that fired comes again
    assert look("2026-06-03T03:00") == [3]


@settings(max_examples=40, deadline=None)
@given(
    line=st.sampled_from(LINES),
    zone=st.sampled_from(ZONES),
    start=st.integers(0, 15 * 365 * 24 * 4).map(lambda n: utc("2011-12-20T00:00") + n * dt.timedelta(minutes=15)),
    steps=st.lists(st.integers(1, 60 * 50), min_size=1, max_size=12),
)
def test_however_often_one_looks_each_slot_is_seen_once(line: str, zone: str, start: dt.datetime, steps: list[int]) -> None:
    moments, seen, fired = [start], [], [start]
    for minutes in steps:
        moments.append(moments[-1] + dt.timedelta(minutes=minutes))
        due = due_slots(line, zone, fired, moments[-1])
        seen += due
        fired += due
    assert seen == slots_between(line, zone, start, moments[-1])
    assert seen == sorted(set(seen))
    coming = next_slots(line, zone, start, 3)
    assert coming == slots_between(line, zone, start, coming[-1])


@settings(max_examples=20, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    jumps=st.lists(st.integers(-60 * 80, 60 * 80), min_size=1, max_size=12),
)
def test_under_any_jumps_of_the_clock_no_slot_fires_twice(zone: str, jumps: list[int]) -> None:
    now = utc("2026-03-27T00:00")
    fired: list[dt.datetime] = []
    began = now - dt.timedelta(days=60)
    for minutes in jumps:
        now += dt.timedelta(minutes=minutes)
        new = due_slots("30 2 * * *", zone, [began, *fired], now)[-1:]
        assert all(slot <= now for slot in new)
        fired += new
    assert len(fired) == len(set(fired))


@settings(max_examples=10, deadline=None)
@given(zone=st.sampled_from(ZONES), year=st.integers(2012, 2037))
def test_a_fixed_time_has_one_slot_on_each_day_of_every_year(zone: str, year: int) -> None:
    place = ZoneInfo(zone)
    begin, end = (dt.datetime(each, 1, 1, tzinfo=place) for each in (year, year + 1))
    slots = slots_between("30 2 * * *", zone, begin.astimezone(dt.UTC), end.astimezone(dt.UTC))
    days = [slot.astimezone(place).date() for slot in slots]
    assert days == [begin.date() + dt.timedelta(days=n) for n in range((end.date() - begin.date()).days)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 3 * *", "4 fields"),
        ("0 3 * * 1 *", "6 fields"),
        ("61 3 * * *", "out of range"),
        ("0 0 30 2 *", "never comes"),
        ("@dayly", "'@daily'"),
        ("@reboot", "Valid: @hourly"),
        ("every monday at 3 am", "not acceptable|no line of cron"),
    ],
)
def test_what_is_no_schedule_is_refused_with_a_reason(line: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        check_line(line)
