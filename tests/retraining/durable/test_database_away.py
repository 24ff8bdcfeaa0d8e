"""The database goes away and comes back in the middle of a retraining, which then ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwright.errors import StorageError
from modelwright.retraining.requests import Retrainings
from modelwright.retraining.rules import Trigger
from modelwright.retraining.workflow import patiently

#: Seconds; benchmarks ask for more.
DOWN_S = float(os.environ.get("MODELWRIGHT_DOWN_S", "3"))
#: A worker whose steps take a while and leave a line each.
WORKER = """
import sys, time
from pathlib import Path
from modelwright.retraining import workflow, worker
from modelwright.retraining.steps import Room
from modelwright.serving.logs import Log

home = Path(sys.argv[1])

def step(name):
    def work(room, asked, given):
        time.sleep(0.7)
        with open(home / "done", "a") as file:
            file.write(name + chr(10))
        return {"stop": "promoted", "told": "done"} if name == "d" else {}
    return work

workflow.STEPS["retrain"] = {name: step(name) for name in "abcd"}
worker.run_worker(Room(home, sys.argv[2], None), Log())
"""


class Server:
    """A Postgres of one's own, which can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("initdb") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[-1:]), None)
        if found is None:
            pytest.skip("Postgres is not installed on this machine")
        self._binaries, self._folder = Path(found).parent, folder
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"postgresql+psycopg://reader@127.0.0.1:{self._port}/postgres"
        self._run("initdb", "-D", str(folder / "data"), "-U", "reader", "-A", "trust", "-N", "-E", "UTF8")

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -c port={self._port} -c unix_socket_directories='{self._folder}' -c fsync=off"
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as_user, str(self._binaries / program), *words]
        with tempfile.TemporaryFile() as output:
            subprocess.run(command, stdout=output, stderr=output, cwd="/", check=True, timeout=60)


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="modelwright-away-"))
    if os.geteuid() == 0:
        with contextlib.suppress(LookupError):
            shutil.chown(folder, "postgres")
    made = Server(folder)
    made.start()
    try:
        yield made
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_database_that_was_away_is_waited_for_and_no_step_is_done_twice(server: Server, tmp_path: Path) -> None:
    retrainings = Retrainings(tmp_path, server.url)
    one = retrainings.ask("churn", Trigger("hand", "because", "")).retraining
    with open(tmp_path / "log", "ab") as log:
        process = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), server.url], stdout=log, stderr=log)
    done = tmp_path / "done"
    deadline = time.monotonic() + 60
    while not done.exists():
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.05)
    server.stop()
    time.sleep(DOWN_S)
    assert process.poll() is None
    server.start()
    while patiently(lambda: retrainings.get(one.id)).ended is None:
        assert time.monotonic() < deadline + 60, (tmp_path / "log").read_text()
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert retrainings.get(one.id).outcome == "promoted"
    assert done.read_text().split() == ["a", "b", "c", "d"]


def test_patience_ends_where_a_store_does_not_come_back() -> None:
    tries = []

    def away() -> None:
        tries.append(1)
        raise StorageError("The store refused: connection refused.")

    with pytest.raises(StorageError):
        patiently(away, patience_s=0.5)
    assert len(tries) >= 2
