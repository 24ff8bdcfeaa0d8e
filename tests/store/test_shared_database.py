"""Two homes in one database, with a model of the same name: neither sees what the other answered, learned or checked."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from modelwright.monitoring.checked import Checked
from modelwright.monitoring.kept import keep_window, latest_windows
from modelwright.monitoring.labels import Label, add_labels, labelled_since, read_labels
from modelwright.monitoring.prediction_log import count_predictions, read_predictions, write_predictions
from modelwright.store.database import Database

AT = "2026-11-01T00:00:00.000000"


def _answer(database: Database, name: str) -> None:
    line = (name, 1, "churn", "1", "live", AT, None, msgspec.json.encode([{"x": 1}]), '["yes"]', "[[0.2, 0.8]]", 1.0, None)
    write_predictions(database, [line], {("churn", "1", "live", AT[:16]): (1, 0)})
    add_labels(database, "churn", [Label(f"{name}-0", "yes")], by_whom="shop")


def _served(database: Database) -> list[tuple[str, int]]:
    with database.reading() as connection:
        return [(row[0], row[1]) for row in connection.execute(sa.text("SELECT home, answered FROM served ORDER BY home"))]


def test_homes_that_share_a_database_do_not_mix(fresh_postgres: str, tmp_path: Path) -> None:
    first, second = (Database.of(tmp_path / name, fresh_postgres) for name in ("first", "second"))
    _answer(first, "a")
    _answer(first, "b")
    _answer(second, "c")
    for database, names in ((first, ["a-0", "b-0"]), (second, ["c-0"])):
        assert [each.id for each in read_predictions(database, "churn")] == names
        assert [each.prediction for each in read_labels(database, "churn")] == names
        assert sorted(labelled_since(database, "churn", "")) == names
        assert count_predictions(database, "churn", "1", "live", "", "~") == len(names)
    assert _served(first) == [(first.home, 2), (second.home, 1)]


def test_windows_of_two_homes_stand_side_by_side(fresh_postgres: str, tmp_path: Path) -> None:
    first, second = (Database.of(tmp_path / name, fresh_postgres) for name in ("first", "second"))
    for database, n_rows in ((first, 10), (second, 20)):
        keep_window(database, _checked(n_rows), span="1000", now=dt.datetime(2026, 11, 2, tzinfo=dt.UTC))
    assert [[each.n_rows for each in latest_windows(database, "churn")] for database in (first, second)] == [[10], [20]]


def _checked(n_rows: int) -> Checked:
    return Checked("churn", "1", AT, "2026-11-01T01:00:00.000000", n_rows, 0, "ok")


def test_what_was_logged_before_homes_were_told_apart_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of the schema before keeps its answers, labels, windows and counts when it is brought forward."""
    from modelwright.store import database as module

    old = module.MIGRATIONS[:8]
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", old)
        with Database(url).writing() as connection:
            for sql in (
                "INSERT INTO predictions VALUES"
                f" ('a', 1, 'churn', '1', 'live', '{AT}', NULL, x'5b7b7d5d', '[1]', NULL, 1, NULL)",
                f"INSERT INTO labels VALUES ('a-0', 1, 'churn', '1', NULL, '{AT}', 'shop')",
                f"INSERT INTO served VALUES ('churn', '1', 'live', '{AT[:16]}', 5, 1)",
            ):
                connection.exec_driver_sql(sql)
            window = ("churn", "1", "live", "1000", AT, AT, 10, 0, "ok", AT, msgspec.json.encode(_checked(10)))
            connection.exec_driver_sql(f"INSERT INTO windows VALUES ({', '.join('?' * len(window))})", window)
    now = Database(url)
    assert [each.id for each in read_predictions(now, "churn")] == ["a-0"]
    assert [each.prediction for each in read_labels(now, "churn")] == ["a-0"]
    assert [each.n_rows for each in latest_windows(now, "churn")] == [10]
    assert _served(now) == [("", 5)]
