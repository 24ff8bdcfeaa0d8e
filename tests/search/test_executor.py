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

from modelwright.search import executor as executors
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


def children(executor: Executor) -> list[int]:
    return [worker._process.pid for worker in executor._workers if worker._process.pid]


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
            for pid in children(executor):
                os.kill(pid, signal.SIGKILL)
    assert answers[0].ended == "died"  # type: ignore[attr-defined]
    [(_, done)] = executor.run([fit(views, tmp_path / "after", "constant")])
    assert done.score == 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process keeps")
def test_a_worker_that_keeps_memory_is_replaced(
    executor: Executor, views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [fit(views, tmp_path / str(k), "lightgbm", n_estimators=5) for k in range(4)]
    answers = dict(executor.run(jobs[:2]))
    before = set(children(executor))
    assert all(0 < done.kept_memory_mb < executors.MOST_KEPT_MB for done in answers.values())
    monkeypatch.setattr(executors, "MOST_KEPT_MB", 0.0)
    answers |= {position + 2: done for position, done in executor.run(jobs[2:])}
    assert [answers[k].error for k in range(4)] == [""] * 4
    assert before != set(children(executor))
    assert all(_runs(pid) for pid in children(executor))
    assert len(children(executor)) == 2


def test_deadline_ends_running_and_waiting_jobs(executor: Executor, views: Views, tmp_path: Path) -> None:
    jobs = [slow(views, tmp_path / str(k)) for k in range(3)]
    started = time.monotonic()
    # Sooner than the least time that a fit is given, so that none can end by itself and keep what it has.
    answers = dict(executor.run(jobs, deadline=started + 0.1))
    assert time.monotonic() - started < 20
    assert {done.ended for done in answers.values()} == {"deadline"}


def test_stop_ends_the_generation(executor: Executor, views: Views, tmp_path: Path, stop: threading.Event) -> None:
    threading.Timer(0.1, stop.set).start()
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
        "print(e._server._process.pid, *[w._process.pid for w in e._workers], flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 3
    parent.kill()
    parent.wait()
    parent.stdout.close()
    waited = time.monotonic() + 15
    while any(_runs(pid) for pid in pids) and time.monotonic() < waited:
        time.sleep(0.1)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return "modelwright.search" in Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are not forked")
def test_workers_share_the_libraries_that_fits_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("raise OSError('a library of the system is missing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    names = ["no_such_module", "broken", "lightgbm", "sklearn.ensemble"]
    with Executor(2, tmp_path / "workers.log", threading.Event(), libraries=names) as executor:
        for worker in children(executor):
            assert "lib_lightgbm" in Path(f"/proc/{worker}/maps").read_text()
            assert _shared_mb(worker) > 20
    assert not any(_runs(worker) for worker in children(executor))


def _shared_mb(pid: int) -> float:
    """Memory that is no file's and that other processes use too."""
    figures = dict(line.split()[:2] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return (int(figures["Anonymous:"]) - int(figures["Pss_Anon:"])) / 1024


def test_an_early_end_does_not_wait_for_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    began = time.monotonic()
    with Executor(2, tmp_path / "workers.log", threading.Event(), libraries=["endless"]) as executor:
        server = executor._server._process
    assert time.monotonic() - began < 30
    assert server.returncode == -signal.SIGKILL


def test_threads_of_a_library_are_no_reason_to_fork_without_them(
    tmp_path: Path, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    rows = np.arange(3000)
    with Executor(1, tmp_path / "workers.log", threading.Event(), libraries=["threaded"]) as executor:
        [(_, done)] = executor.run([views.job("probe", rows[:2000], rows[2000:])])
        assert not done.error, done.detail
        [worker] = children(executor)
        assert "modelwright.search.worker" in Path(f"/proc/{worker}/cmdline").read_text()


def test_who_forks_may_die(executor: Executor, views: Views, tmp_path: Path) -> None:
    server = executor._server._process.pid
    os.kill(server, signal.SIGKILL)
    # Its workers live on; one that dies is replaced by one of a new server.
    answers = dict(executor.run([fit(views, tmp_path / str(k), "constant") for k in range(4)]))
    assert [answers[k].error for k in range(4)] == [""] * 4
    os.kill(children(executor)[0], signal.SIGKILL)
    answers = dict(executor.run([fit(views, tmp_path / f"again{k}", "constant") for k in range(4)]))
    assert sum(done.error == "" for done in answers.values()) >= 3
    assert executor._server._process.pid != server
    assert all(_runs(worker) for worker in children(executor))
