"""The engine with steps that cost nothing: killed at every boundary, on SQLite and on Postgres, by itself and by another."""

from __future__ import annotations

import base64
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelwright.retraining.requests import Retrainings
from modelwright.retraining.rules import Trigger

#: A worker whose three steps append to a file; it kills itself at the place that it is told: step and "before" or "after".
WORKER = """
import os, signal, sys, threading
from pathlib import Path
from modelwright.retraining import workflow, worker
from modelwright.retraining.steps import Room
from modelwright.serving.logs import Log

home, store, place, moment = Path(sys.argv[1]), sys.argv[2], *sys.argv[3].split("@")

def step(name):
    def work(room, asked, given):
        done = home / f"{asked.id}.done"
        if name not in (done.read_text().split() if done.exists() else ()):
            with open(done, "a") as file:
                file.write(name + chr(10))
        return {"after": sorted(given), **({"stop": "promoted", "told": "done"} if name == "c" else {})}
    return work

workflow.STEPS["retrain"] = {name: step(name) for name in "abc"}

def dying(function, moment_of):
    def wrapped(self, retraining, name, *rest, **options):
        if (name, moment_of[0]) == (place, moment):
            os.kill(os.getpid(), signal.SIGKILL)
        made = function(self, retraining, name, *rest, **options)
        if (name, moment_of[1]) == (place, moment):
            os.kill(os.getpid(), signal.SIGKILL)
        return made
    return wrapped

retrainings = worker.Retrainings
retrainings.begin = dying(retrainings.begin, ("before", "begun"))
retrainings.finish = dying(retrainings.finish, ("worked", "after"))
worker.run_worker(Room(home, store, None), Log())
"""


def start(home: Path, store: str, dies: str = "@") -> subprocess.Popen[bytes]:
    with open(home / "log", "ab") as log:
        return subprocess.Popen([sys.executable, "-c", WORKER, str(home), store, dies], stderr=log, stdout=log)


def died(process: subprocess.Popen[bytes]) -> bool:
    return process.wait(60) == -signal.SIGKILL


def wait_for(retrainings: Retrainings, retraining: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while retrainings.get(retraining).ended is None:
        assert process.poll() is None
        assert time.monotonic() < deadline, retrainings.steps(retraining)
        time.sleep(0.05)


def ended(process: subprocess.Popen[bytes], home: Path) -> str:
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    return (home / "log").read_text()


PLACES = {"sqlite": ["a@worked", "b@begun", "c@after"], "postgresql+psycopg": ["b@worked"]}


def test_killed_at_each_boundary_a_retraining_goes_on_and_nothing_is_done_twice(store_url: str, tmp_path: Path) -> None:
    retrainings = Retrainings(tmp_path, store_url)
    one = retrainings.ask("churn", Trigger("hand", "because", "")).retraining
    for place in PLACES[store_url.partition(":")[0]]:
        assert died(start(tmp_path, store_url, place))
    process = start(tmp_path, store_url)
    wait_for(retrainings, one.id, process)
    log = ended(process, tmp_path)
    now = retrainings.get(one.id)
    assert (now.outcome, now.told) == ("promoted", "done")
    assert (tmp_path / f"{one.id}.done").read_text().split() == ["a", "b", "c"]
    made = {line.step: line.made for line in retrainings.steps(one.id)}
    assert [made[step]["after"] for step in "abc"] == [[], ["a"], ["a", "b"]]
    assert '"event":"failure"' not in log


def test_another_worker_of_the_home_takes_over_what_a_dead_one_left(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    retrainings = Retrainings(tmp_path, store)
    other = start(tmp_path, store, "b@begun")
    while not list((tmp_path / "workers").glob("1/lock")):
        time.sleep(0.02)
    one = start(tmp_path, store, "b@begun")
    asked = retrainings.ask("churn", Trigger("hand", "because", "")).retraining
    # Whoever of the two comes first dies in b; the other takes it up, and dies there too.
    assert [died(other), died(one)] == [True, True]
    assert next(line.attempts for line in retrainings.steps(asked.id) if line.step == "b") == 2
    last = start(tmp_path, store)
    wait_for(retrainings, asked.id, last)
    ended(last, tmp_path)
    assert (tmp_path / f"{asked.id}.done").read_text().split() == ["a", "b", "c"]


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def test_a_row_that_claims_to_be_a_pickle_is_not_read(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    retrainings = Retrainings(tmp_path, store)
    one = retrainings.ask("churn", Trigger("hand", "because", "")).retraining
    assert died(start(tmp_path, store, "b@begun"))
    bomb = base64.b64encode(pickle.dumps(Bomb(tmp_path / "exploded"))).decode()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'workflows.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE workflow_status SET inputs = ?, serialization = 'py_pickle'", (bomb,))
        changed = connection.exec_driver_sql("UPDATE operation_outputs SET output = ?, serialization = 'py_pickle'", (bomb,))
        assert changed.rowcount
    engine.dispose()
    process = start(tmp_path, store)
    deadline = time.monotonic() + 60
    while "pickles are not read" not in (tmp_path / "log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ended(process, tmp_path)
    assert not (tmp_path / "exploded").exists()
    assert (tmp_path / f"{one.id}.done").read_text().split() == ["a"]
    # Nobody goes on with it, so a person closes it, and the model is free.
    retrainings.end(one.id, "stopped", "closed by hand")
    assert retrainings.ask("churn", Trigger("hand", "because", "")).new


def test_nothing_in_the_environment_leads_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBOS__CLOUD", "true")
    monkeypatch.setenv("DBOS_SYSTEM_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    store = f"sqlite:///{tmp_path / 'store.db'}"
    retrainings = Retrainings(tmp_path, store)
    one = retrainings.ask("churn", Trigger("hand", "because", "")).retraining
    process = start(tmp_path, store)
    wait_for(retrainings, one.id, process)
    ended(process, tmp_path)
    assert (tmp_path / "workflows.db").is_file()
