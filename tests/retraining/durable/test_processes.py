"""Who runs is told, who was killed is told as gone, and whoever comes after takes that line."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

from modelwright.retraining.processes import Presence, Processes
from modelwright.store.database import Database

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def test_a_killed_process_is_gone_and_its_line_goes_with_the_next_of_its_kind(store_url: str, tmp_path: Path) -> None:
    now = [NOW]
    processes = Processes(Database.of(tmp_path, store_url), "home", clock=lambda: now[0])
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    processes.enter("a", "worker")
    with processes._database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE processes SET pid = {ended.pid} WHERE id = 'a'")
    assert [processes.lives(line, 60) for line in processes.lines()] == [False]
    processes.enter("s", "server", "port 1")
    assert [line.id for line in processes.lines()] == ["s", "a"]
    processes.enter("b", "worker")
    assert [(line.id, line.pid == os.getpid()) for line in processes.lines()] == [("s", True), ("b", True)]
    now[0] += dt.timedelta(seconds=61)
    assert [processes.lives(line, 60) for line in processes.lines()] == [False, False]
    processes.seen("b")
    assert [processes.lives(line, 60) for line in processes.lines()] == [False, True]


def test_a_process_of_another_machine_is_lost_when_it_was_not_seen_for_long(tmp_path: Path) -> None:
    now = [NOW]
    processes = Processes(Database.of(tmp_path), "home", clock=lambda: now[0])
    processes.enter("far", "worker")
    with processes._database.writing() as connection:
        connection.exec_driver_sql("UPDATE processes SET host = 'elsewhere'")
    assert processes.lost("worker", 60) == []
    now[0] += dt.timedelta(seconds=61)
    assert processes.lost("worker", 60) == ["far"]


def test_a_store_that_refuses_does_not_stop_anybody(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is no database at all" * 100)
    presence = Presence(Processes(Database.of(tmp_path), "home"), "a", "server")
    presence.tell()
    presence.end()
