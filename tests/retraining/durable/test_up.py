"""The group: a member that dies is started again, and none outlives the group, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from modelwright.retraining.processes import Processes, ProcessLine
from modelwright.store.database import Database
from modelwright.store.locks import is_held

GROUP = """
import sys
from modelwright.retraining.up import Member, run_together
from modelwright.serving.logs import Log
run_together([Member("worker", ("worker", "--home", sys.argv[1]))], Log())
"""


def until(seen: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_member_that_dies_is_started_again_and_none_outlives_the_group(tmp_path: Path) -> None:
    processes, place = Processes(Database.of(tmp_path), ""), tmp_path / "workers" / "1"

    def start() -> subprocess.Popen[bytes]:
        with open(tmp_path / "log", "ab") as log:
            return subprocess.Popen([sys.executable, "-c", GROUP, str(tmp_path)], stdout=log, stderr=log)

    def worker(not_pid: int = 0) -> ProcessLine | None:
        return next((line for line in processes.lines() if line.pid != not_pid and processes.lives(line, 60)), None)

    group = start()
    try:
        until(worker)
        first = worker()
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: worker(first.pid))
        group.kill()
        group.wait()
        until(lambda: not is_held(place))  # it noticed, and ended too
        group = start()
        until(worker)
        group.send_signal(signal.SIGTERM)
        assert group.wait(30) == 0
        assert not is_held(place)
        assert processes.lines() == []
    finally:
        group.kill()
        group.wait()
    assert '"member ended","member":"worker","code":-9' in (tmp_path / "log").read_text().replace('"event":', "")


def test_a_member_that_ends_again_and_again_ends_the_group(tmp_path: Path) -> None:
    code = GROUP.replace('("worker", "--home", sys.argv[1])', '("no such command",)')
    code = "from modelwright.retraining import up\nup._PAUSES_S, up._MOST_FAILURES = (0.01,), 2\n" + code
    done = subprocess.run([sys.executable, "-c", code, ""], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "The worker ends again and again." in done.stderr
