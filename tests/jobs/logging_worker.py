"""What the processes of `test_start_run` do; a module of its own, since spawned processes import it."""

from __future__ import annotations

import threading
from typing import Any

import modelwright


def log_from_child(number: int) -> None:
    with modelwright.start_run() as run:
        threads = [threading.Thread(target=log_many, args=(run, f"{number}.{i}")) for i in range(25)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def log_many(run: Any, name: str) -> None:
    for step in range(100):
        run.log_metric(name, step, step=step)
