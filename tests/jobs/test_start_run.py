"""What is logged to a run is read back equal, whatever becomes of the run."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.errors import InvalidInputError, StorageError
from modelwright.jobs.folder import entry_of
from modelwright.jobs.opened import JobRun


def opened(home: Path, name: str) -> JobRun:
    found = modelwright.open_run(name, home=home)
    assert isinstance(found, JobRun)
    return found


def program(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def until(holds: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_everything_logged_is_read_back_equal(tmp_path: Path) -> None:
    params = {"lr": 0.1, "layers": [64, 32], "name": "größe\n", "none": None, "deep": {"a": [True, 2**70]}, "nan": math.nan}
    with modelwright.start_run("fit", params=params, tags={"team": "risk"}, note="first", home=tmp_path) as run:
        for step in range(3):
            run.log_metric("loss", 1 / (step + 1), step=step)
        run.log(metrics={"auc": 0.8, "f1": 0.7}, params={"epochs": 3}, step=3)
        run.log_param("lr", 0.2)

    found = opened(tmp_path, run.id)

    assert math.isnan(found.params.pop("nan"))
    assert found.params == {
        "lr": 0.2, "layers": [64, 32], "name": "größe\n", "none": None, "deep": {"a": [True, 2**70]}, "epochs": 3,
    }  # fmt: skip
    assert found.metrics == {"loss": 1 / 3, "auc": 0.8, "f1": 0.7}
    assert (found.tags, found.notes, found.state, found.error) == ({"team": "risk"}, ["first"], "finished", "")
    assert found.series.select("metric", "step", "value").rows() == [
        ("loss", 0, 1.0), ("loss", 1, 0.5), ("loss", 2, 1 / 3), ("auc", 3, 0.8), ("f1", 3, 0.7),
    ]  # fmt: skip
    assert found.series["time"].is_sorted()
    assert found.series["time"].dtype == pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3.0),
        (np.array(2.5), 2.5),
        (np.array([1.5]), 1.5),
        (Fraction(1, 4), 0.25),
        (True, 1.0),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        (np.bool_(False), 0.0),
        (7, 7.0),
    ],
)
def test_any_real_number_is_a_metric(tmp_path: Path, value: Any, expected: float) -> None:
    with modelwright.start_run("fit", home=tmp_path) as run:
        run.log_metric("m", value)
    assert opened(tmp_path, "fit").metrics == {"m": expected}


def test_nan_and_torch_scalars_are_metrics(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    with modelwright.start_run("fit", home=tmp_path) as run:
        run.log(metrics={"nan": math.nan, "tensor": torch.tensor(0.5, requires_grad=True), "half": torch.tensor([2.0]).half()})
    found = opened(tmp_path, "fit").metrics
    assert math.isnan(found["nan"])
    assert (found["tensor"], found["half"]) == (0.5, 2.0)


@pytest.mark.parametrize("value", ["0.3", None, [1], 1j, np.zeros(2), object()])
def test_a_metric_of_a_wrong_type_is_refused_by_name_and_nothing_of_the_call_is_kept(tmp_path: Path, value: Any) -> None:
    with modelwright.start_run("fit", home=tmp_path) as run, pytest.raises(InvalidInputError, match="'loss'"):
        run.log(metrics={"good": 1.0, "loss": value})
    assert opened(tmp_path, "fit").metrics == {}


def test_params_names_steps_and_seeds_of_a_wrong_type_are_refused(tmp_path: Path) -> None:
    with modelwright.start_run("fit", home=tmp_path) as run:
        for call, words in (
            (lambda: run.log_param("p", object()), "param 'p'.*object"),
            (lambda: run.log_param("p", {1: 2}), "keys of a dict are text, not int"),
            (lambda: run.log_param("p", "\ud800"), "half a character"),
            (lambda: run.log_metric("", 1), "empty"),
            (lambda: run.log_metric(3, 1), "not int: 3"),  # type: ignore[arg-type]
            (lambda: run.log_metric("m", 1, step=1.5), "whole number, not float: 1.5"),  # type: ignore[arg-type]
            (lambda: run.log_table("t", 3), "is no table"),
            (lambda: run.log_figure("f", b"no picture"), "no picture"),
            (lambda: run.log_model("m", {"a": 1}), "log_file"),
            (lambda: run.log_file("absent.txt"), "no such file"),
            (lambda: modelwright.start_run("x", seed=-1, home=tmp_path), "The seed is -1"),
            (lambda: modelwright.start_run("x", tags={"a": [1]}, home=tmp_path), "tag 'a'"),
        ):
            with pytest.raises(InvalidInputError, match=words):
                call()
        with pytest.raises(InvalidInputError, match="exists already"):
            modelwright.start_run(tags={"a": "b"})
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert "MODELWRIGHT_RUN" not in os.environ


def test_an_exception_ends_the_run_as_failed_and_is_passed_on(tmp_path: Path) -> None:
    def body() -> None:
        with modelwright.start_run("fit", home=tmp_path) as run:
            run.log_metric("before", 1)
            run.log_metric("quotient", 1 / 0)

    with pytest.raises(ZeroDivisionError):
        body()
    found = opened(tmp_path, "fit")
    assert (found.state, found.error, found.metrics) == ("failed", "ZeroDivisionError: division by zero", {"before": 1.0})


def test_ctrl_c_ends_the_run_as_interrupted(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), modelwright.start_run("fit", home=tmp_path):
        raise KeyboardInterrupt
    assert opened(tmp_path, "fit").state == "interrupted"


def test_a_killed_run_keeps_all_that_was_logged_and_reads_killed(tmp_path: Path) -> None:
    code = """
        import modelwright, os, time
        run = modelwright.start_run("fit", home="home")
        for step in range(1000):
            run.log_metric("loss", step, step=step)
        print("logged", flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(program(code), cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"logged\n"
        before = opened(tmp_path / "home", "fit")
        assert (before.state, before.metrics) == ("running", {"loss": 999.0})
        process.send_signal(signal.SIGKILL)
    after = opened(tmp_path / "home", "fit")
    assert (after.state, after.series.height) == ("killed", 1000)
    entry = entry_of(after.folder)
    assert (entry.state, entry.ended is not None, entry.metrics) == ("killed", True, {"loss": 999.0})


def test_a_torn_line_costs_itself_only_even_when_another_line_follows_on_it(tmp_path: Path) -> None:
    with modelwright.start_run("fit", home=tmp_path) as run:
        run.log_metric("a", 1)
        log = run.folder / "log.jsonl"
        with log.open("ab") as file:
            file.write(b'{"time":1.5,"params":{"x":{"time":1}')
        run.log_metric("b", 2)
        with log.open("ab") as file:
            file.write(b'{"time":1.5,"metr')
    found = opened(tmp_path, "fit")
    assert (found.metrics, found.state) == ({"a": 1.0, "b": 2.0}, "finished")


def test_a_killed_run_is_taken_over_by_resume_and_a_living_one_is_joined(tmp_path: Path) -> None:
    code = """
        import modelwright, os
        run = modelwright.start_run("fit", home="home", params={"a": 1})
        os._exit(9)
    """
    subprocess.run(program(code), cwd=tmp_path, check=False)
    home = tmp_path / "home"
    with modelwright.start_run(resume="fit", home=home) as owner:
        with modelwright.start_run(resume=owner.id, home=home) as joined:
            joined.log_metric("m", 1)
        assert opened(home, "fit").state == "running"
    found = opened(home, "fit")
    assert (found.state, found.params, found.metrics) == ("finished", {"a": 1}, {"m": 1.0})


def test_without_a_name_the_surrounding_run_is_joined_and_with_one_a_child_begins(tmp_path: Path) -> None:
    with modelwright.start_run("outer", home=tmp_path) as outer:
        with modelwright.start_run() as joined:
            joined.log_metric("m", 1)
        with modelwright.start_run("inner") as inner, modelwright.start_run("innermost") as innermost:
            pass
    assert joined.id == outer.id
    assert (inner.parent, innermost.parent) == (outer.id, inner.id)
    assert opened(tmp_path, outer.id).state == "finished"
    assert opened(tmp_path, innermost.id).record.parent == inner.id
    assert "MODELWRIGHT_RUN" not in os.environ


def test_runs_of_two_threads_are_not_each_others_children(tmp_path: Path) -> None:
    both = threading.Barrier(2)
    parents = []

    def work(name: str) -> None:
        with modelwright.start_run(name, home=tmp_path) as run:
            both.wait(10)
            parents.append(run.parent)
            both.wait(10)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert parents == ["", ""]


def test_runs_of_one_name_that_begin_at_once_get_folders_of_their_own(tmp_path: Path) -> None:
    together = threading.Barrier(16)
    ids = []

    def work() -> None:
        together.wait(10)
        with modelwright.start_run("same", home=tmp_path) as run:
            ids.append(run.id)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 16
    assert {path.name for path in (tmp_path / "runs").iterdir()} == set(ids)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_run_without_a_with_block_ends_with_its_process(tmp_path: Path) -> None:
    code = 'import modelwright\nrun = modelwright.start_run("{}", home="home")\n{}'
    subprocess.run([sys.executable, "-c", code.format("good", "")], cwd=tmp_path, check=True)
    subprocess.run([sys.executable, "-c", code.format("bad", "1 / 0")], cwd=tmp_path, check=False, stderr=subprocess.DEVNULL)
    home = tmp_path / "home"
    assert opened(home, "good").state == "finished"
    assert (opened(home, "bad").state, opened(home, "bad").error) == ("failed", "ZeroDivisionError: division by zero")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_threads_of_several_processes_log_to_one_run_and_nothing_is_lost(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = multiprocessing.get_context(method)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])
    workers = __import__("logging_worker")
    with modelwright.start_run("many", home=tmp_path) as run:
        processes = [context.Process(target=workers.log_from_child, args=(number,)) for number in range(4)]
        for process in processes:
            process.start()
        run.log_metric("own", 1)
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
    counted = opened(tmp_path, "many").series.group_by("metric").agg(pl.len(), pl.col("step").n_unique().alias("steps"))
    assert counted.height == 4 * 25 + 1
    assert set(counted.filter(pl.col("metric") != "own").select("len", "steps").rows()) == {(100, 100)}
    assert opened(tmp_path, "many").state == "finished"


def test_a_forked_child_that_outlives_a_killed_run_does_not_keep_it_alive(tmp_path: Path) -> None:
    code = """
        import modelwright, os, signal, time
        run = modelwright.start_run("fit", home="home")
        if os.fork() == 0:
            os.close(1), os.close(2)
            time.sleep(20)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    started = time.monotonic()
    subprocess.run(program(code), cwd=tmp_path, check=False, stdout=subprocess.PIPE)
    assert opened(tmp_path / "home", "fit").state == "killed"
    assert time.monotonic() - started < 15


def test_a_seed_drives_random_numpy_and_torch_also_when_imported_later(tmp_path: Path) -> None:
    code = """
        import sys, random, modelwright
        with modelwright.start_run("fit", home="home", seed=7) as run:
            import numpy
            drawn = [random.random(), numpy.random.rand()]
            if "torch" in sys.argv:
                import torch
                drawn.append(torch.rand(1).item())
            assert run.seed == 7
        print(drawn)
    """
    wanted = ["torch"] if __import__("importlib.util").util.find_spec("torch") else []
    outputs = [
        subprocess.run([*program(code), *wanted], cwd=tmp_path, capture_output=True, check=True).stdout for _ in range(2)
    ]
    assert outputs[0] == outputs[1]
    assert opened(tmp_path / "home", "fit").record.seed == 7


def test_a_full_disk_is_a_clear_error_and_what_was_logged_before_stays(tmp_path: Path) -> None:
    code = """
        import modelwright, resource, signal
        from modelwright.errors import StorageError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        run = modelwright.start_run("fit", home="home")
        run.log_metric("before", 1)
        size = (run.folder / "log.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, size + 10))
        try:
            run.log_metric("after", 2)
        except StorageError as error:
            print(error)
    """
    done = subprocess.run(program(code), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "cannot be written" in done.stdout
    assert opened(tmp_path / "home", "fit").metrics == {"before": 1.0}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--home"):
        modelwright.start_run("fit", home=tmp_path / "file")


def test_a_planted_secret_stands_in_no_stored_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hunter2-hunter2"
    monkeypatch.setenv("SERVICE_TOKEN", secret)
    folders = []

    def body() -> None:
        params = {"a": [secret], "url": f"postgresql://ann:{secret}@host/db"}
        with modelwright.start_run(f"x-{secret}", params=params, tags={"t": secret}, note=secret, home=tmp_path) as run:
            folders.append(run.folder.name)
            run.log_param("db_password", "kurzeswort")
            run.note(f"with {secret}")
            raise ValueError(secret)

    with pytest.raises(ValueError, match=secret):
        body()
    stored = b"".join(path.read_bytes() + path.name.encode() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in stored
    assert b"kurzeswort" not in stored
    assert secret not in folders[0]


def test_an_entry_says_what_a_list_needs(tmp_path: Path) -> None:
    with modelwright.start_run("fit", params={"lr": 0.1, "seed": 1}, tags={"a": "b"}, home=tmp_path, seed=1) as one:
        one.log_metric("auc", 0.8)
    with modelwright.start_run("fit", params={"lr": 0.1, "seed": 2}, home=tmp_path, seed=2) as two:
        pass
    first, second = entry_of(one.folder), entry_of(two.folder)
    assert (first.kind, first.state, first.name, first.seed, first.tags) == ("job", "finished", "fit", 1, {"a": "b"})
    assert first.group == second.group
    assert first.wall_s is not None
    assert 0 <= first.wall_s < 60
    assert first.peak_memory_mb is not None
    assert first.user == second.user
