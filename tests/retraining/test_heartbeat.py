"""Whether anybody watches a policy is known to whoever asks."""

from __future__ import annotations

import datetime as dt
import time

from modelwright.retraining.heartbeat import Beats, alive, beat, leave, unwatched
from modelwright.store.database import Database

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


def test_a_scheduler_lives_while_it_gives_signs(store_url: str) -> None:
    database = Database(store_url)
    assert alive(database, "h", NOW) == []
    beat(database, "h", ["churn", "fraud"], NOW, every_s=15.0, host="one", pid=7)
    beat(database, "h", ["churn"], NOW + 20 * SECOND, every_s=15.0, host="two", pid=7)
    assert [(each.host, each.models) for each in alive(database, "h", NOW + 40 * SECOND)] == [
        ("two", ("churn",)),
        ("one", ("churn", "fraud")),
    ]
    assert [str(each) for each in alive(database, "h", NOW + 50 * SECOND)] == ["process 7 on two"]
    assert alive(database, "h", NOW + 90 * SECOND) == []
    beat(database, "h", ["churn"], NOW + 90 * SECOND, host="one", pid=7)
    assert [each.host for each in alive(database, "h", NOW + 91 * SECOND)] == ["one"]


def test_clocks_may_differ_and_be_set_back(store_url: str) -> None:
    database = Database(store_url)
    beat(database, "h", ["churn"], NOW, host="one", pid=7)
    assert alive(database, "h", NOW - 20 * SECOND)
    assert not alive(database, "h", NOW - 3600 * SECOND)  # a sign that an advanced clock left is none


def test_one_that_ends_in_order_is_gone_and_old_ones_are_forgotten(store_url: str) -> None:
    database = Database(store_url)
    beat(database, "h", ["churn"], NOW, host="one", pid=7)
    beat(database, "h", ["churn"], NOW, host="one", pid=8)
    leave(database, "h", host="one", pid=7)
    assert [each.pid for each in alive(database, "h", NOW)] == [8]
    beat(database, "h", ["churn"], NOW + dt.timedelta(days=2), host="one", pid=9)
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT pid FROM schedulers").fetchall() == [(9,)]


def test_what_is_said_of_a_policy_that_nobody_watches(store_url: str) -> None:
    database = Database(store_url)
    assert unwatched(database, "h", "churn", NOW) == "No scheduler watches the policy of churn; start `modelwright up`."
    beat(database, "h", ["fraud"], NOW, host="one", pid=7)
    said = unwatched(database, "h", "churn", NOW)
    assert said is not None
    assert "process 7 on one watches fraud" in said
    assert unwatched(database, "h", "fraud", NOW) is None
    assert unwatched(database, "another home", "fraud", NOW) is not None


def until(condition: object) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_signs_come_while_somebody_works_and_cease_when_he_hangs(store_url: str) -> None:
    database = Database(store_url)

    def last() -> str:
        return next((each.beat_at for each in alive(database, "h", dt.datetime.now(dt.UTC))), "")

    with Beats(database, "h", every_s=0.05, limit_s=2.0) as beats:
        assert alive(database, "h", dt.datetime.now(dt.UTC)) == []
        beats.looked(["churn"])
        assert until(last)
        first = last()
        assert until(lambda: last() > first)  # without a further look
        beats.looked(["churn", "fraud"])
        assert until(lambda: alive(database, "h", dt.datetime.now(dt.UTC))[0].models == ("churn", "fraud"))
        time.sleep(2.4)
        hung = last()
        time.sleep(0.3)
        assert last() == hung
    assert alive(database, "h", dt.datetime.now(dt.UTC)) == []


def test_a_store_that_is_away_ends_nobody(tmp_path: object) -> None:
    with Beats(Database("sqlite:////no/such/folder/store.db"), "h", every_s=0.02) as beats:
        beats.looked(["churn"])
        time.sleep(0.2)
