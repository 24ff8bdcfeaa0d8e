"""Each slot and each piece of evidence asks once, whoever looks and whatever the clock does."""

from __future__ import annotations

import datetime as dt
import io
import threading
from pathlib import Path

import pytest

from modelwright.registry.registry import Registry
from modelwright.retraining.policy import Policy
from modelwright.retraining.requests import Asked, Retrainings
from modelwright.retraining.scheduler import Scheduler
from modelwright.retraining.steps import Room
from modelwright.serving.logs import Log

BEGAN = dt.datetime(2026, 3, 27, 12, tzinfo=dt.UTC)
NIGHTLY = Policy("tiny", schedule="30 2 * * *", time_zone="Europe/Berlin", cool_down_s=0.0, max_per_week=1000, max_age_s=None)


@pytest.fixture
def room(tmp_path: Path, store_url: str) -> Room:
    """A home with a champion, which nobody loads here."""
    room = Room(tmp_path, store_url, None)
    registry = Registry(tmp_path, store_url, clock=lambda: BEGAN - dt.timedelta(days=1))
    with registry.database.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO versions (home, name, number, digest, run, data, created, by_whom, tags)"
            f" VALUES ('{registry._key}', 'tiny', 1, 'd', '', '', '2026-03-26T12:00:00+00:00', '', '{{}}')"
        )
        connection.exec_driver_sql(
            f"INSERT INTO aliases (home, name, alias, number) VALUES ('{registry._key}', 'tiny', 'champion', 1)"
        )
    return room


class Clock:
    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now


def scheduler(room: Room, clock: Clock) -> Scheduler:
    made = Scheduler(room, Log(io.BytesIO()), clock=clock)
    made.retrainings = Retrainings(room.home, room.store, clock=clock)
    return made


def end(room: Room, asked: Asked | None) -> None:
    if asked is not None:
        Retrainings(room.home, room.store).end(asked.retraining.id, "unchanged", "nothing new")


def slots(room: Room) -> list[str]:
    return sorted(each.trigger.at for each in Retrainings(room.home, room.store).latest("tiny", 100))


def test_each_slot_fires_once_through_a_change_of_summer_time_and_clocks_that_jump(room: Room) -> None:
    clock = Clock(BEGAN)
    watching = scheduler(room, clock)
    jumps = [0, 12, 24, 48, 47, 48, 24 * 370, 72, 96]  # hours: onward, an hour back, a year ahead, and back again
    for hours in jumps:
        clock.now = BEGAN + dt.timedelta(hours=hours)
        for _ in range(3):
            end(room, watching.decide(NIGHTLY, clock.now))
    fired = slots(room)
    assert len(fired) == len(set(fired))
    # 28 March 02:30 at winter time, 29 March, when that hour was skipped, 03:00 at summer time.
    assert fired[:2] == ["2026-03-28T01:30:00+00:00", "2026-03-29T01:00:00+00:00"]
    # Of the slots of the year ahead one stands for all; back again, those of the true days come.
    assert fired[2:4] == ["2026-03-30T00:30:00+00:00", "2026-03-31T00:30:00+00:00"]
    assert [slot[:4] for slot in fired[4:]] == ["2027"]


def test_a_schedule_that_was_asleep_is_caught_up_once_and_says_how_many_it_missed(room: Room) -> None:
    clock = Clock(BEGAN)
    watching = scheduler(room, clock)
    assert watching.decide(NIGHTLY, clock.now) is None
    clock.now = BEGAN + dt.timedelta(days=5)
    asked = watching.decide(NIGHTLY, clock.now)
    assert asked is not None
    assert asked.retraining.trigger.evidence["n_missed"] == 4
    assert "4 earlier slots were missed" in asked.retraining.trigger.reason
    end(room, asked)
    assert watching.decide(NIGHTLY, clock.now) is None


def test_of_two_schedulers_of_one_store_each_slot_asks_once(room: Room) -> None:
    clock = Clock(BEGAN)
    both = [scheduler(room, clock), scheduler(room, clock)]
    both[0].decide(NIGHTLY, clock.now)
    new: list[bool] = []

    def look(watching: Scheduler, gate: threading.Barrier) -> None:
        gate.wait()
        asked = watching.decide(NIGHTLY, clock.now)
        if asked is not None:
            new.append(asked.new)
            end(room, asked)

    for day in range(1, 6):
        clock.now = BEGAN + dt.timedelta(days=day)
        gate = threading.Barrier(2)
        threads = [threading.Thread(target=look, args=(each, gate)) for each in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(new) == 5
    assert len(slots(room)) == len(set(slots(room))) == 5


def test_what_ended_cannot_ask_again_by_itself(room: Room) -> None:
    clock = Clock(BEGAN + dt.timedelta(days=200))
    aged = Policy("tiny", max_age_s=86_400.0, min_new_labels=0, cool_down_s=0.0, max_per_week=1000)
    watching = scheduler(room, clock)
    asked = watching.decide(aged, clock.now)
    assert asked is not None
    assert asked.new
    assert watching.decide(aged, clock.now) is None  # one at a time
    for _ in range(5):
        Retrainings(room.home, room.store).end(asked.retraining.id, "rejected", "worse")
        clock.now += dt.timedelta(minutes=1)
        again = watching.decide(aged, clock.now)
        if again is not None:
            asked = again
    # The champion is as old as before, but three challengers in a row did not make it: a person is asked.
    assert len(slots(room)) == 3
