"""Worker processes: what dies, hangs or is late costs its own job only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from modelwright.search.executor import Executor
from modelwright.search.jobs import Fit
from modelwright.search.views import Views
from modelwright.tables.schema import Column, Schema


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def views(tmp_path: Path) -> Views:
    rng = np.random.default_rng(0)
    table = pl.DataFrame({f"x{j}": rng.normal(size=3000) for j in range(8)})
    y = (table["x0"].to_numpy() + rng.normal(size=3000) > 0).astype(np.int64)
    schema = Schema(tuple(Column(name, "number", "feature") for name in table.columns))
    return Views(tmp_path / "views", table, schema, y, None, seed=0)


@pytest.fixture
def executor(tmp_path: Path, stop: threading.Event, views: Views) -> Iterator[Executor]:
    rows = np.arange(3000)
    with Executor(2, tmp_path / "workers.log", stop) as executor:
        [(_, done)] = executor.run([views.job("probe", rows[:2000], rows[2000:])])
        assert not done.error, done.detail
        yield executor


def fit(views: Views, out: Path, algorithm: str, *, limit: float | None = None, **params: object) -> Fit:
    return Fit(str(views.path("probe")), str(out), algorithm, params, "binary", 2, "roc_auc", 0, time_limit_s=limit)


def slow(views: Views, out: Path, *, limit: float | None = None) -> Fit:
    return fit(views, out, "lightgbm", limit=limit, n_estimators=10_000, num_leaves=200, learning_rate=0.005)


def children() -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "search.worker" in line]


def test_jobs_are_scored_and_leave_model_and_predictions(executor: Executor, views: Views, tmp_path: Path) -> None:
    jobs = [fit(views, tmp_path / name, name) for name in ("constant", "simple_linear")]
    answers = dict(executor.run(jobs))
    assert [answers[k].error for k in (0, 1)] == ["", ""]
    assert answers[0].score == 0.5
    assert answers[1].score is not None
    assert 0.7 < answers[1].score < 0.9
    assert np.load(tmp_path / "simple_linear" / "valid_pred.npy").shape == (1000, 2)


def test_failing_fit_is_an_answer_and_the_worker_lives_on(executor: Executor, views: Views, tmp_path: Path) -> None:
    jobs = [fit(views, tmp_path / "bad", "linear", alpha=-1.0), fit(views, tmp_path / "good", "constant")]
    answers = dict(executor.run(jobs))
    assert "alpha" in answers[0].error
    assert answers[1].score == 0.5


def test_killed_worker_costs_its_job_only(executor: Executor, views: Views, tmp_path: Path) -> None:
    jobs = [slow(views, tmp_path / "slow")] + [fit(views, tmp_path / str(k), "constant") for k in range(4)]
    answers: dict[int, object] = {}
    for position, done in executor.run(jobs, deadline=time.monotonic() + 60):
        answers[position] = done
        if len(answers) == 4:  # all but the slow one
            for pid in children():
                os.kill(pid, signal.SIGKILL)
    assert answers[0].ended == "died"  # type: ignore[attr-defined]
    [(_, done)] = executor.run([fit(views, tmp_path / "after", "constant")])
    assert done.score == 0.5


def test_deadline_ends_running_and_waiting_jobs(executor: Executor, views: Views, tmp_path: Path) -> None:
    jobs = [slow(views, tmp_path / str(k)) for k in range(3)]
    started = time.monotonic()
    # Sooner than the least time that a fit is given, so that none can end by itself and keep what it has.
    answers = dict(executor.run(jobs, deadline=started + 0.1))
    assert time.monotonic() - started < 20
    assert {done.ended for done in answers.values()} == {"deadline"}


def test_stop_ends_the_generation(executor: Executor, views: Views, tmp_path: Path, stop: threading.Event) -> None:
    threading.Timer(0.5, stop.set).start()
    answers = dict(executor.run([slow(views, tmp_path / str(k)) for k in range(2)]))
    assert {done.ended for done in answers.values()} == {"stop"}


def test_iterative_fit_keeps_what_it_has_at_its_time_limit(executor: Executor, views: Views, tmp_path: Path) -> None:
    [(_, done)] = executor.run([slow(views, tmp_path / "limited", limit=1.0)])
    assert done.error == ""
    assert done.stopped in ("time", "early")
    assert done.score is not None


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import threading, pathlib, time, sys\n"
        "from modelwright.search.executor import Executor\n"
        f"e = Executor(2, pathlib.Path({str(tmp_path / 'log')!r}), threading.Event())\n"
        "print(*[w._process.pid for w in e._workers], flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    waited = time.monotonic() + 15
    while any(_runs(pid) for pid in pids) and time.monotonic() < waited:
        time.sleep(0.1)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return "search.worker" in Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads which libraries a process has loaded")
def test_workers_import_what_fits_need_while_they_wait(tmp_path: Path) -> None:
    with Executor(1, tmp_path / "workers.log", threading.Event(), libraries=["no_such_module", "lightgbm"]):
        [worker] = children()
        end = time.monotonic() + 60
        while "lib_lightgbm" not in Path(f"/proc/{worker}/maps").read_text():
            assert time.monotonic() < end, "never loaded"
            time.sleep(0.05)
