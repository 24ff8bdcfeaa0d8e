"""What the log of predictions takes, it gives back: numbers of any length, and lines of programs before MessagePack."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import msgspec

from modelwright.monitoring.prediction_log import Answered, PredictionLog, read_predictions, write_predictions
from modelwright.store.database import Database

ROWS = [{"n": 10**30, "text": "ä:b"}, {"n": -(2**63), "text": None}, {"n": 1.5, "text": ""}]


def answered(name: str, rows: list[dict[str, object]]) -> Answered:
    return Answered(name, "m", "1", "live", time.time(), rows, None, [0.5] * len(rows), None, 1.0)


def test_rows_come_back_as_they_were_sent_and_so_do_lines_of_json(tmp_path: Path) -> None:
    database = Database.of(tmp_path)
    log = PredictionLog(database)
    log.start()
    for number, row in enumerate(ROWS):
        assert log.offer(answered(f"a{number}", [row]))
    assert log.offer(answered("a3", ROWS[1:]))
    log.close()
    assert log.counts()[:3] == (5, 0, 0)
    line = ("b0", 3, "m", "1", "live", "2099-01-01", None, msgspec.json.encode(ROWS), "[1, 2, 3]", None, 1.0, None)
    write_predictions(database, [line])
    assert [each.features for each in read_predictions(database, "m")] == [*ROWS, *ROWS[1:], *ROWS]


def test_the_file_is_held_while_answers_come_and_let_go_when_none_do(tmp_path: Path) -> None:
    database = Database.of(tmp_path)
    log = PredictionLog(database, flush_s=0.02)
    log.start()
    try:
        beside = Path(f"{database.file}-wal")
        for number in range(5):
            log.offer(answered(f"a{number}", ROWS))
            until(lambda number=number: log.counts().written == 3 * (number + 1))
        until(lambda: not beside.exists())
        with sqlite3.connect(str(database.file)) as connection:
            assert connection.execute("SELECT count(*) FROM predictions").fetchone() == (5,)
    finally:
        log.close()


def until(holds: object, seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < ends
        time.sleep(0.005)
