"""A killed training goes on from its finished trials: none lost, none done twice, and the same run in the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import polars as pl
import pytest

from modelwright import api
from modelwright.errors import DataError, InvalidInputError
from modelwright.events import Event, TrialFinished, ignore
from modelwright.search.budget import Budget
from modelwright.spec import Spec, resolve_spec
from modelwright.store.folders import RunFolder, unfinished
from modelwright.tables.fingerprint import fingerprint
from modelwright.training import flow
from modelwright.training.resuming import begin, resumed_budget, take_up

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import kills

TELCO = Path(__file__).resolve().parents[2] / "examples" / "data" / "telco_churn.csv"


def rows_file(folder: Path, n: int) -> Path:
    file = folder / "churn.csv"
    file.write_text("".join(TELCO.read_text().splitlines(keepends=True)[: n + 1]))
    return file


def openings(home: Path) -> int:
    """Lines of the ledger."""
    from modelwright.store.database import Database

    with Database.of(home).reading() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM openings").scalar() or 0)


def test_a_run_killed_at_every_turn_equals_one_that_was_not(tmp_path: Path) -> None:
    table, home = rows_file(tmp_path, 150), tmp_path / "home"
    first = [word.replace("linear,lightgbm", "linear") for word in kills.train_words(table, home)]
    asked = {"data": table, "target": "Churn", "trials": 3, "algorithms": ["linear"], "name": "churn"}
    spec = resolve_spec(None, {**asked, "home": tmp_path / "whole"})
    _, whole = flow.train(spec, started=time.monotonic(), emit=ignore, stop=threading.Event(), render=lambda record: "")

    told: set[tuple[object, ...]] = set()
    resume = ["resume", "--home", str(home), "--json"]
    turns = [
        (first, "torn@write:8", -signal.SIGKILL, 0),  # in the middle of a line of the journal
        (resume, "full@open:13", 2, 0),  # the disk is full
        (resume, "tree@commit:5", -signal.SIGKILL, 0),  # just before the look is entered in the ledger
        (resume, "kill@commit:6", -signal.SIGKILL, 1),  # just after that
        (resume, "kill@rename:2", -signal.SIGKILL, 1),  # published, and before the working files are removed
    ]
    for number, (given, fault, code, n_openings) in enumerate(turns):
        process = kills.command(given, fault)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == code, (fault, errors)
        if code == 2:
            assert "No space left" in errors
            assert "mend: Free space" in errors
            assert "modelwright resume churn-" in errors
        now = kills.trials_told(output)
        assert told <= now, (fault, "a trial was lost, or done twice")
        told = now
        assert len(told) > 2
        assert openings(home) == n_openings, fault
        assert kills.what_is_broken(home) == []
        assert (kills.published(home) is not None) == (number == len(turns) - 1)
        assert len(unfinished(home)) == (number < len(turns) - 1)
    found = kills.published(home)
    assert found is not None
    assert kills.differences(found, kills.comparable(whole)) == []
    assert len(json.loads((found / "run.json").read_text())["resumed"]) == len(turns) - 1
    with pytest.raises(InvalidInputError, match="finished"):
        api.resume(found.name, home=home)
    # What the last kill left is no run, and the next one removes it.
    RunFolder(home, "next").discard()
    assert not list((home / "tmp").iterdir())


def test_a_large_table_killed_in_the_search_is_read_sealed_and_sampled_as_before(tmp_path: Path) -> None:
    rows, home = tmp_path / "rows.parquet", tmp_path / "home"
    frame = pl.read_csv(rows_file(tmp_path, 1500)).select("Churn", "tenure", "MonthlyCharges", "Contract")
    pl.concat([frame] * 4).with_row_index("n").write_parquet(rows)
    lines = [
        "import threading, time, pathlib",
        "from modelwright.events import ignore",
        "from modelwright.spec import resolve_spec",
        "from modelwright.training import flow",
        f"asked = {{'data': {str(rows)!r}, 'target': 'Churn', 'trials': 1, 'algorithms': ['linear'], 'home': {str(home)!r}}}",
        "spec = resolve_spec(None, asked)",
        "given = dict(emit=ignore, stop=threading.Event(), render=lambda record: '', memory_bytes=1e4)",
        "flow.train(spec, started=time.monotonic(), **given)",
    ]
    settings = {"PYTHONPATH": f"{kills.FAULTS}:{kills.ROOT / 'src'}", "MODELWRIGHT_FAULT": "kill@write:6"}
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], env={**os.environ, **settings}, check=False)
    assert done.returncode == -signal.SIGKILL
    [left] = unfinished(home)
    heard: list[Event] = []
    record, _ = flow.resume(
        left.run, home, started=time.monotonic(), emit=heard.append, stop=threading.Event(), render=lambda record: "",
        memory_bytes=1e12,  # there is more memory now; what was decided stays
    )  # fmt: skip
    assert record.plan.streamed
    assert record.n_rows == 6000
    assert record.evaluation is not None
    assert record.evaluation.opened == 1
    told = [(event.number, event.stage, event.error) for event in heard if isinstance(event, TrialFinished)]
    assert {number for number, _, error in told if not error} == {trial.number for trial in record.trials}
    assert len(set(told)) == len(told)


def test_tables_in_memory_and_expressions_are_kept_and_passwords_are_not(tmp_path: Path) -> None:
    frame = pl.read_csv(TELCO).head(60)
    asked = {
        "data": frame, "target": "Churn", "evaluation": frame.tail(20), "trials": 2, "home": tmp_path / "home",
        "features": {"year": pl.col("tenure") / 12, "each": "MonthlyCharges / tenure"},
        "store": "postgresql://me:planted-secret@localhost/db", "hyperparams": {"linear": {"alpha": [0.5, 1.0]}},
    }  # fmt: skip
    first = begin(resolve_spec(None, asked), "mine", started=time.monotonic())
    assert fingerprint(first.spec.data.frame) == fingerprint(frame)
    first.journal.read("the fingerprint")
    first.end(OSError("no space"))  # nothing is finished yet
    assert unfinished(tmp_path / "home") == []

    first = begin(resolve_spec(None, asked), "mine", started=time.monotonic())
    first.journal.read("the fingerprint")
    kept = b"".join(path.read_bytes() for path in first.folder.tmp.rglob("*") if path.is_file())
    assert b"planted-secret" not in kept
    first.journal.close()
    first.folder.leave()
    [left] = unfinished(tmp_path / "home")
    with pytest.raises(InvalidInputError, match="--store"):
        take_up(tmp_path / "home", left.run, started=time.monotonic())
    again = take_up(tmp_path / "home", left.run, started=time.monotonic(), store=asked["store"])
    assert again.spec.data.frame.equals(first.spec.data.frame)
    assert again.spec.evaluation.frame.equals(first.spec.evaluation.frame)
    assert (again.plain.data, again.plain.evaluation) == (first.plain.data, first.plain.evaluation)
    assert again.plain.to_dict() == first.plain.to_dict()
    assert again.spec.store == asked["store"]
    both = [attempt.spec.features for attempt in (first, again)]
    assert both[0]["year"].meta.eq(both[1]["year"])
    with pytest.raises(DataError, match="not those that the run began with"):
        again.check_table("another")
    again.check_table("the fingerprint")
    error = RuntimeError("later")
    again.end(error)
    assert f"modelwright resume {left.run} --home {tmp_path / 'home'}" in error.__notes__[0]


def test_a_run_is_resumed_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    file = rows_file(tmp_path / "a", 40).relative_to(tmp_path / "a")
    first = begin(resolve_spec(None, {"data": file, "target": "Churn", "trials": 1}), "churn", started=time.monotonic())
    first.journal.close()
    first.folder.leave()
    monkeypatch.chdir(tmp_path / "a" / "b")
    again = take_up(Path("../.modelwright"), first.folder.run, started=time.monotonic())
    assert Path(again.spec.data) == tmp_path / "a" / "churn.csv"
    assert (again.plain.data, again.plain.home) == ("churn.csv", ".modelwright")
    again.journal.close()
    again.folder.discard()


def test_a_resumed_run_has_what_was_left_and_at_least_time_to_finish() -> None:
    def left(total_s: float | None, used_s: float, read_s: float) -> float:
        return round(resumed_budget(total_s, used_s, read_s, time.monotonic()).left(), 1)

    assert left(300.0, 100.0, 10.0) == 210.0
    assert left(300.0, 4.0, 10.0) == 300.0
    finish_s = 0.25 * 300 + Budget(300.0, 0.0).tail_s
    assert left(300.0, 299.0, 10.0) == left(300.0, 5000.0, 10.0) == finish_s + 10.0
    assert left(None, 50.0, 10.0) == float("inf")
    assert 50.0 <= resumed_budget(None, 50.0, 10.0, time.monotonic()).elapsed() < 51.0


def test_every_option_comes_back_as_it_was_asked() -> None:
    asked = {
        "data": "rows.csv", "target": "y", "missing_values": ["?", -9], "positive": 1, "cost": "fp=1,fn=20", "budget": "90s",
        "waive": [{"finding": "a:b", "reason": "known"}], "hyperparams": {"lightgbm": {"num_leaves": [15, 63]}},
        "max_latency": "1ms", "available": {"a": "b"}, "types": {"a": "text"},
    }  # fmt: skip
    spec = resolve_spec(None, asked)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=Spec) == spec
