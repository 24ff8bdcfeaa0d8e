"""No look without a line: counted, chained, in one transaction, by one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from modelwright.errors import InvalidInputError, StorageError
from modelwright.metrics.estimate import Interval
from modelwright.splits.looks import BUDGET
from modelwright.splits.vault import Vault
from modelwright.store.database import Database
from modelwright.store.ledger import Ledger

PREDICTIONS = np.array([[0.9, 0.1], [0.2, 0.8]])
PURPOSE = {"purpose": "test", "at": "2026-01-01T00:00:00Z", "by": "me", "metric": "accuracy", "kind": "binary"}


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.seal(tmp_path / "vault", pl.DataFrame({"x": [1, 2]}), data="table", rows_digest="rows", target="y")


@pytest.fixture
def ledger(store_url: str) -> Ledger:
    return Ledger(Database(store_url))


def look(ledger: Ledger, about, value=0.8, gain=None, run="r", shift=0.0):
    """One look; ``gain`` is the lower end of the paired interval."""
    with ledger.opening(about, run=run, **PURPOSE) as opening:
        of_gain = None if opening.best is None or gain is None else Interval(gain + 0.1, gain, gain + 0.2)
        return opening.enter(
            Interval(value, value - 0.1, value + 0.1),
            corrected=Interval(value, value - 0.2, value + 0.2),
            predictions=PREDICTIONS + shift,
            gain=of_gain,
            against=opening.best,
        )


def test_each_look_is_counted_and_holds_what_was_measured(ledger, vault):
    looks = [look(ledger, vault.about, run=f"run{k}", shift=k / 100) for k in range(3)]
    assert [each.count for each in looks] == [1, 2, 3]
    lines = ledger.lines(vault.about.identity)
    assert [(line.run, line.purpose, line.count, line.score, line.low, line.high) for line in lines] == [
        (f"run{k}", "test", k + 1, 0.8, 0.8 - 0.1, 0.8 + 0.1) for k in range(3)
    ]
    assert [line.hash for line in lines[:-1]] == [line.previous for line in lines[1:]]
    assert ledger.verify(vault.about.identity, looks) == []


def test_rows_can_be_read_while_the_opening_lasts(ledger, vault):
    with ledger.opening(vault.about, run="r", **PURPOSE) as opening:
        assert vault.rows(opening).height == 2
        opening.enter(Interval(1, 0, 1), corrected=Interval(1, 0, 1))
    with pytest.raises(InvalidInputError, match="sealed"):
        vault.rows(opening)


def test_a_counted_look_is_repeated_without_another_line(ledger, vault):
    entered = look(ledger, vault.about, run="mine")
    with ledger.again(vault.about, "mine") as (permit, line):
        assert vault.rows(permit).height == 2
        assert (line.hash, line.score) == (entered.hash, 0.8)
    with pytest.raises(InvalidInputError, match="sealed"):
        vault.rows(permit)
    with pytest.raises(InvalidInputError, match="no look of this run"), ledger.again(vault.about, "other"):
        pytest.fail("it was opened")
    assert len(ledger.lines(vault.about.identity)) == 1


@pytest.mark.parametrize("purpose", ["", "  \0"])
def test_purpose_is_needed(ledger, vault, purpose):
    with (
        pytest.raises(InvalidInputError, match="opened for a reason"),
        ledger.opening(vault.about, run="r", **(PURPOSE | {"purpose": purpose})),
    ):
        pytest.fail("it was opened")


def test_opening_without_entry_is_an_error_and_no_look(ledger, vault):
    with pytest.raises(StorageError, match="without an entry"), ledger.opening(vault.about, run="r", **PURPOSE):
        pass
    assert ledger.lines(vault.about.identity) == []


def test_error_between_entry_and_end_takes_the_line_back(ledger, vault):
    def fail():
        with ledger.opening(vault.about, run="r", **PURPOSE) as opening:
            opening.enter(Interval(1, 0, 1), corrected=Interval(1, 0, 1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ledger.lines(vault.about.identity) == []
    assert look(ledger, vault.about).count == 1


def test_look_is_entered_once(ledger, vault):
    with ledger.opening(vault.about, run="r", **PURPOSE) as opening:
        opening.enter(Interval(1, 0, 1), corrected=Interval(1, 0, 1))
        with pytest.raises(StorageError, match="entered once"):
            opening.enter(Interval(1, 0, 1), corrected=Interval(1, 0, 1))


def test_numbers_that_are_none_are_kept_as_such(ledger, vault):
    with ledger.opening(vault.about, run="r", **PURPOSE) as opening:
        opening.enter(Interval(np.nan, -np.inf, np.inf), corrected=Interval(np.nan, np.nan, np.nan))
    assert ledger.verify(vault.about.identity) == []
    assert ledger.lines(vault.about.identity)[0].score is None


def test_better_model_is_shown_and_another_shows_the_best_so_far(ledger, vault):
    look(ledger, vault.about, 0.5, run="first")
    worse = look(ledger, vault.about, 0.6, gain=-0.01, run="second", shift=0.1)
    assert worse.better_than_shown is False
    assert not worse.reveals
    assert (worse.score, worse.best_run) == (Interval(0.5, 0.4, 0.6), "first")
    better = look(ledger, vault.about, 1.0, gain=0.01, run="third", shift=0.2)
    assert better.reveals
    assert (better.score.value, better.best_run) == (1.0, "third")
    after = look(ledger, vault.about, 0.9, gain=-0.01, run="fourth", shift=0.3)
    assert (after.score.value, after.best_run, after.best_count) == (1.0, "third", 3)
    raw = [line.score for line in ledger.lines(vault.about.identity)]
    assert raw == [0.5, 0.6, 1.0, 0.9]
    assert "0.9" not in msgspec.json.encode(after).decode().replace(f"{after.level}", "")


def test_best_keeps_small_probabilities(ledger, vault):
    tiny = np.array([[1 - 1e-12, 1e-12], [0.5, 0.5]])
    with ledger.opening(vault.about, run="r", **PURPOSE) as opening:
        opening.enter(Interval(1, 0, 1), corrected=Interval(1, 0, 1), predictions=tiny, threshold=0.3)
    with ledger.opening(vault.about, run="r", **PURPOSE) as opening:
        assert opening.best.predictions[0, 1] == pytest.approx(1e-12, rel=1e-6)
        assert opening.best.threshold == 0.3
        opening.enter(Interval(1, 0, 1), corrected=Interval(1, 0, 1))
    with ledger.opening(vault.about, run="r", **(PURPOSE | {"kind": "other classes"})) as opening:
        assert opening.best is None
        opening.enter(Interval(1, 0, 1), corrected=Interval(1, 0, 1))


def test_model_seen_before_tells_nothing_new_and_is_shown_whole(ledger, vault):
    look(ledger, vault.about, 0.5, run="first")
    again = look(ledger, vault.about, 0.5, gain=0.0, run="again")
    assert again.repeated
    assert again.reveals


def test_reserve_opens_when_the_evaluation_rows_are_worn(ledger, vault, tmp_path):
    frame = pl.DataFrame({"x": [3]})
    reserve = Vault.seal(
        tmp_path / "vault", frame, data="table", rows_digest="reserve", target="y", part="reserve", before=vault
    )
    for _ in range(BUDGET - 1):
        look(ledger, vault.about)
    for refused in (lambda: look(ledger, reserve.about), lambda: ledger.check(reserve.about)):
        with pytest.raises(InvalidInputError, match=f"stays sealed: {BUDGET - 1} of 10 openings"):
            refused()
    look(ledger, vault.about)
    ledger.check(reserve.about)
    fresh = look(ledger, reserve.about)
    assert (fresh.count, fresh.part, fresh.elsewhere) == (1, "reserve", 0)
    worn = look(ledger, vault.about)
    assert worn.worn
    assert worn.elsewhere == 0


def test_looks_at_other_splits_of_the_table_are_told(ledger, vault, tmp_path):
    other = Vault.seal(tmp_path / "other", pl.DataFrame({"x": [2]}), data="table", rows_digest="seed 1", target="y")
    unrelated = Vault.seal(tmp_path / "target", pl.DataFrame({"x": [2]}), data="table", rows_digest="rows", target="z")
    look(ledger, other.about)
    look(ledger, other.about)
    look(ledger, unrelated.about)
    first = look(ledger, vault.about)
    assert (first.count, first.elsewhere) == (1, 2)


TAMPERINGS = {
    "score changed": ("UPDATE openings SET score = 0.99 WHERE count = 2", "Opening 2 was changed"),
    "count of looks hidden": ("UPDATE openings SET count = 7 WHERE count = 3", "Lines before opening 7 are missing"),
    "middle line deleted": ("DELETE FROM openings WHERE count = 2", "Lines before opening 3 are missing"),
    "newest line deleted": ("DELETE FROM openings WHERE count = 3", "3 openings were entered, 2 are there"),
    "all lines deleted": ("DELETE FROM openings", "3 openings were entered, 0 are there"),
    "best model exchanged": ("UPDATE best SET predictions = threshold_free.p FROM (SELECT predictions AS p FROM best"
                             " WHERE count = 1) AS threshold_free WHERE count = 3", "predictions kept with opening 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERINGS)
def test_deleted_and_changed_lines_are_noticed(ledger, vault, name):
    for k in range(3):
        look(ledger, vault.about, shift=k / 100)
    statement, noticed = TAMPERINGS[name]
    with pytest.raises(StorageError, match="never"), ledger.database.writing() as connection:
        connection.exec_driver_sql(statement)
    assert ledger.verify(vault.about.identity) == []
    drop_triggers(ledger)
    with ledger.database.writing() as connection:
        connection.exec_driver_sql(statement)
    assert noticed in " ".join(ledger.verify(vault.about.identity))


def test_run_records_notice_a_ledger_that_was_shortened_with_its_head(ledger, vault):
    looks = [look(ledger, vault.about, shift=k / 100) for k in range(3)]
    drop_triggers(ledger)
    with ledger.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM openings WHERE count = 3")
        connection.exec_driver_sql("DELETE FROM best WHERE count = 3")
        connection.execute(sa.text("UPDATE vaults SET openings = 2, head = :head"), {"head": looks[1].hash})
    assert ledger.verify(vault.about.identity) == []
    assert ledger.verify(vault.about.identity, looks) == ["Opening 3 is not the one that run r recorded."]


def test_count_goes_on_after_a_lost_line_and_the_look_says_so(ledger, vault):
    looks = [look(ledger, vault.about) for _ in range(2)]
    drop_triggers(ledger)
    with ledger.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM openings WHERE count = 2")
    third = look(ledger, vault.about)
    assert (third.count, third.sound) == (3, False)
    assert "missing" in " ".join(ledger.verify(vault.about.identity, looks))


def drop_triggers(ledger: Ledger) -> None:
    """What someone does who means it."""
    with ledger.database.writing() as connection:
        if connection.dialect.name == "sqlite":
            for table in ("openings", "best"):
                connection.exec_driver_sql(f"DROP TRIGGER {table}_not_changed")
                connection.exec_driver_sql(f"DROP TRIGGER {table}_not_deleted")
        else:
            connection.exec_driver_sql("DROP FUNCTION lines_stay CASCADE")


CHILD = """
import sys, time
from pathlib import Path
from modelwright.metrics.estimate import Interval
from modelwright.splits.vault import Vault
from modelwright.store.database import Database
from modelwright.store.ledger import Ledger
url, folder, run, wait = sys.argv[1:]
vault = Vault.of(Path(folder))
ledger = Ledger(Database(url))
with ledger.opening(vault.about, run=run, purpose="p", at="", by="", metric="accuracy", kind="k") as opening:
    assert vault.rows(opening).height == 2
    look = opening.enter(Interval(1, 0, 1), corrected=Interval(1, 0, 1))
    print("entered", flush=True)
    time.sleep(float(wait))
print(look.count)
"""


def child(url: str, vault: Vault, run: str, wait_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, url, str(vault.folder), run, str(wait_s)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    )


def test_killed_look_leaves_nothing_and_the_next_one_has_its_number(store_url, ledger, vault):
    look(ledger, vault.about)
    with child(store_url, vault, "killed", 60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "entered\n"
        os.kill(process.pid, signal.SIGKILL)
    assert look(ledger, vault.about, run="next").count == 2
    assert [line.run for line in ledger.lines(vault.about.identity)] == ["r", "next"]
    assert ledger.verify(vault.about.identity) == []


def test_processes_that_open_at_once_are_counted_without_gaps(store_url, vault):
    """First use included: all of them find an empty database."""
    children = [child(store_url, vault, f"run{k}", 0.05) for k in range(8)]
    counts = []
    for process in children:
        with process:
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0
            counts.append(int(output.split()[-1]))
    assert sorted(counts) == list(range(1, 9))
    ledger = Ledger(Database(store_url))
    assert ledger.verify(vault.about.identity) == []
