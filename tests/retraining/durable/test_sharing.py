"""A training is done by a worker elsewhere, which may die of it, and the retraining goes on at home."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from modelwright.retraining.requests import Retrainings
from modelwright.retraining.rules import Trigger

#: A worker with steps around a training that costs nothing; with "dies" it ends itself in the midst of it.
WORKER = """
import os, signal, sys
from pathlib import Path
from modelwright.retraining import workflow, worker
from modelwright.retraining.steps import Room
from modelwright.serving.logs import Log

home, store, artifacts, trains, dies = Path(sys.argv[1]), *sys.argv[2:6]

def compute(work):
    if dies == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    with open(home / "trained", "a") as file:
        file.write(f"{work.retraining} for {work.model} with {work.given['a']} in {work.home}" + chr(10))
    return {"run": "r", "by": home.name}

worker.compute = compute
workflow.STEPS["retrain"] = {
    "a": lambda room, asked, given: {"rows": 3},
    "train": None,
    "c": lambda room, asked, given: {"stop": "promoted", "told": given["train"]["by"]},
}
worker.run_worker(Room(home, store, artifacts), Log(), trains=trains)
"""


def start(home: Path, store: str, artifacts: str, trains: str, dies: str = "lives") -> subprocess.Popen[bytes]:
    home.mkdir(exist_ok=True)
    with open(home / "log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, str(home), store, artifacts, trains, dies], stdout=log, stderr=log
        )


def test_a_training_is_done_elsewhere_and_again_by_whoever_comes_after_a_kill(fresh_postgres: str, tmp_path: Path) -> None:
    here, there, artifacts = tmp_path / "here", tmp_path / "there", (tmp_path / "bucket").as_uri()
    retrainings = Retrainings(here, fresh_postgres)
    one = retrainings.ask("churn", Trigger("hand", "because", "")).retraining
    at_home = start(here, fresh_postgres, artifacts, "none")
    try:
        assert start(there, fresh_postgres, artifacts, "only", "dies").wait(60) == -signal.SIGKILL
        assert retrainings.get(one.id).step == "train"
        elsewhere = start(there, fresh_postgres, artifacts, "only")
        try:
            deadline = time.monotonic() + 60
            while retrainings.get(one.id).ended is None:
                assert time.monotonic() < deadline, (here / "log").read_text() + (there / "log").read_text()
                time.sleep(0.1)
        finally:
            elsewhere.kill()
            elsewhere.wait()
    finally:
        at_home.kill()
        at_home.wait()
    assert (retrainings.get(one.id).outcome, retrainings.get(one.id).told) == ("promoted", "there")
    (line,) = (there / "trained").read_text().splitlines()
    assert line == f"{one.id} for churn with {{'rows': 3}} in {there}"
    assert not (here / "trained").exists()


def test_sharing_without_an_address_is_refused(tmp_path: Path) -> None:
    words = ["worker", "--trains", "only", "--home", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "modelwright.cli.main", *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "--artifacts and --store" in done.stderr
