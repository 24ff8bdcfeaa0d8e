"""A real server follows a release: shadow, canary, swap, and back by itself, without a failed request or a restart."""

from __future__ import annotations

import datetime as dt
import importlib.util
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from modelwright.monitoring.labels import Label, add_labels
from modelwright.monitoring.prediction_log import read_predictions
from modelwright.registry.registry import Registry
from modelwright.retraining.release import begin, find, step
from modelwright.retraining.rules import ReleaseRules
from modelwright.serving.deployments import stable_share

_SPEC = importlib.util.spec_from_file_location("loop", Path(__file__).parents[1] / "retraining" / "conftest.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_loop = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_loop)
table, trained_in_time, home = _loop.table, _loop.trained_in_time, _loop.home
LATE = 1500


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Clients:
    """Ask a server without pause, row after row of the table, each for its own entity."""

    def __init__(self, server: Any, table: pl.DataFrame) -> None:
        self.rows = table[LATE:].drop("Churn").with_columns(pl.col("seen").dt.to_string("iso")).to_dicts()
        self.labels = table[LATE:]["Churn"].to_list()
        self.answers: list[tuple[int, int, Any]] = []
        self._server, self._ending = server, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(k,)) for k in range(2)]
        for thread in self._threads:
            thread.start()

    def _ask(self, start: int) -> None:
        for number in range(start, 100_000, 2):
            if self._ending.is_set():
                return
            row = self.rows[number % len(self.rows)]
            answer = self._server.ask("POST", "/predict/churn", {"rows": [row], "ids": [f"customer {number}"]})
            self.answers.append((number, answer.status, answer.json()))

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


def until(registry: Registry, key: str, stage: str, *, kill: bool = False) -> None:
    """Step until a stage is reached, as the workflow does; with ``kill`` also by processes that die at it."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if kill:
            subprocess.run([sys.executable, "-c", _DIES, str(registry.home), key], check=False, timeout=60)
        if step(registry.database, registry, key, now()) == stage:
            return
        time.sleep(0.1)
    raise AssertionError(f"{find(registry, key)} never came to {stage}")


_DIES = """
import os, sys, datetime as dt
from pathlib import Path
from modelwright.registry.registry import Registry
from modelwright.retraining.release import step
registry = Registry(Path(sys.argv[1]))
step(registry.database, registry, sys.argv[2], dt.datetime.now(dt.UTC))
os.kill(os.getpid(), 9)
"""


def version_of(server: Any, part: str) -> str | None:
    return server.ask("GET", "/admin/status").json()["models"]["churn"].get(part, {}).get("version")


def wait(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_challenger_goes_live_in_steps_and_a_bad_one_goes_back_by_itself(
    starting: Any, home: Path, table: pl.DataFrame
) -> None:
    registry = Registry(home)
    server = starting("churn@champion", home=home)
    clients = Clients(server, table)
    rules = ReleaseRules(mode="canary", shadow_rows=40, canary_rows=40, canary_share=0.3, watch_s=2.0, max_latency_ratio=50.0)

    begin(registry, "churn", 2, rules, now=now(), key="good")
    wait(lambda: version_of(server, "shadow") == "2")
    until(registry, "good", "canary", kill=True)
    wait(lambda: version_of(server, "canary") == "2" and version_of(server, "shadow") is None)
    until(registry, "good", "watch", kill=True)
    wait(lambda: version_of(server, "live") == "2" and version_of(server, "canary") is None)
    until(registry, "good", "kept")

    begin(registry, "churn", 3, ReleaseRules(mode="swap", max_latency_ratio=50.0), now=now(), key="bad")
    wait(lambda: version_of(server, "live") == "3")
    wait(lambda: sum(1 for _ in read_predictions(registry.database, "churn", since=find(registry, "bad").begun)) > 150)
    labels = []
    for each in read_predictions(registry.database, "churn", since=find(registry, "bad").begun):
        number = int((each.entity or "").removeprefix("customer "))
        labels.append(Label(each.id, clients.labels[number % len(clients.labels)]))
    add_labels(registry.database, "churn", labels)
    until(registry, "bad", "rolled back")
    wait(lambda: version_of(server, "live") == "2")
    clients.end()

    assert {status for _, status, _ in clients.answers} == {200}
    assert "is worse by" in find(registry, "bad").why
    assert registry.resolve("churn@champion").number == 2
    assert registry.verify() == []
    # Answers of the canary went to their entities alone, and entities of the canary got version 2 while it was there.
    canary = list(read_predictions(registry.database, "churn", part="canary"))
    assert len(canary) >= 40
    assert all(stable_share(each.entity or "") < 0.3 for each in canary)
    assert {each.version for each in read_predictions(registry.database, "churn", part="shadow")} == {"2"}
    assert server.end() == 0
    with registry.database.reading() as connection:
        counted = connection.exec_driver_sql("SELECT sum(answered), sum(failed) FROM served WHERE part <> 'shadow'").fetchone()
    assert counted is not None
    assert tuple(counted) == (len(clients.answers), 0)


def test_answers_that_fail_are_counted_by_version_and_bring_the_champion_back(
    starting: Any, home: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    registry = Registry(home)
    # A version whose code fails for every row: the server is started with a scorer that does so for version 2.
    (tmp_path / "sitecustomize.py").write_text(
        "from modelwright.serving import scoring\n"
        "before = scoring.Scorer.answer\n"
        "def answer(self, rows):\n"
        "    if self.model.run.startswith('run-2'):\n"
        "        raise RuntimeError('broken')\n"
        "    return before(self, rows)\n"
        "scoring.Scorer.answer = answer\n"
    )
    os.environ["PYTHONPATH"] = str(tmp_path)
    try:
        server = starting("churn", home=home)  # the name alone means the champion
    finally:
        del os.environ["PYTHONPATH"]
    row = table[LATE:].drop("Churn").with_columns(pl.col("seen").dt.to_string("iso")).to_dicts()[0]
    assert server.ask("POST", "/predict/churn", row).status == 200
    begin(registry, "churn", 2, ReleaseRules(mode="shadow", shadow_rows=10_000), now=now(), key="shadow")
    wait(lambda: version_of(server, "shadow") == "2")
    for _ in range(10):
        assert server.ask("POST", "/predict/churn", row).status == 200
    until(registry, "shadow", "stopped")
    assert "answers failed; 1.00% are allowed." in find(registry, "shadow").why
    begin(registry, "churn", 2, ReleaseRules(), now=now(), key="swap")
    wait(lambda: version_of(server, "live") == "2")
    assert [server.ask("POST", "/predict/churn", row).status for _ in range(10)] == [500] * 10
    until(registry, "swap", "rolled back")
    wait(lambda: version_of(server, "live") == "1")
    assert server.ask("POST", "/predict/churn", row).status == 200
    assert registry.resolve("churn@champion").number == 1


@pytest.mark.parametrize("stage", ["canary", "watch"])
def test_a_rollback_by_hand_takes_less_than_a_second_and_ends_the_release(home: Path, stage: str, record_property: Any) -> None:
    registry = Registry(home)
    rules = ReleaseRules(mode="canary", shadow_rows=0) if stage == "canary" else ReleaseRules()
    begin(registry, "churn", 2, rules, now=now(), key="r")
    begun = time.perf_counter()
    registry.rollback("churn", why="complaints")
    seconds = time.perf_counter() - begun
    record_property("seconds", seconds)
    assert seconds < 1
    assert find(registry, "r").stage == ("stopped" if stage == "canary" else "rolled back")
    assert registry.resolve("churn@champion").number == 1
