"""A script or function in a process of its own, as a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import modelwright
from modelwright.errors import InvalidInputError
from modelwright.jobs.child import ChildResult, run_child
from modelwright.jobs.targets import params_of
from modelwright.provenance.secrets import remember

SCRIPT = """
import argparse, os, random, sys
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--fast", action="store_true")
given = parser.parse_args()
print("argv", sys.argv[1:], sys.path[0], __name__, random.random(), hash("text"))
print("to stderr", file=sys.stderr)
if given.lr > 1:
    raise ValueError("lr is too large")
if given.lr < 0:
    sys.exit(3)
"""
FUNCTION = """
import time
import modelwright
from pathlib import Path

@modelwright.job
def train(lr: float, steps: int = 3, layers: list[int] = (8,), where: Path | None = None, sleep=0.0):
    with modelwright.start_run() as run:
        for step in range(steps):
            run.log_metric("loss", lr / (step + 1), step=step)
            time.sleep(sleep)
    return {"final": lr / steps, "types": [type(layers).__name__]}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "job.py").write_text(FUNCTION)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def child(target: str, params: dict[str, Any], **options: Any) -> ChildResult:
    given: dict[str, Any] = {"parent": "", "home": Path("home"), "seed": None, "timeout_s": None} | options
    return run_child(target, params, **given)


def command(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "modelwright.cli.main", "run", "--home", "home", *words]
    return subprocess.run(program, capture_output=True, text=True, check=False, **options)


def opened(reference: Any) -> Any:
    return modelwright.open_run(reference, home="home")


def test_an_unchanged_script_is_a_run_with_params_output_and_exit_code(here: Path) -> None:
    done = command("--tag", "team=x", "--note", "why", "script.py", "--lr", "0.1", "--fast")
    run = opened("script")
    assert done.returncode == 0
    assert done.stdout.startswith(f"argv ['--lr', '0.1', '--fast'] {here} __main__")
    assert run.output() == done.stdout
    assert run.output("stderr") == "to stderr\n"
    assert (run.params, run.state, run.tags, run.notes) == ({"lr": 0.1, "fast": True}, "finished", {"team": "x"}, ["why"])
    assert run.record.source == "script.py"
    assert run.record.provenance.command == ["script.py", "--lr", "0.1", "--fast"]


def test_the_exit_code_and_error_of_a_failing_script_are_passed_on(here: Path) -> None:
    raised, left = command("script.py", "--lr=2"), command("script.py", "--lr", "-1")
    assert (raised.returncode, left.returncode) == (1, 3)
    assert 'raise ValueError("lr is too large")' in raised.stderr
    assert "child_main" not in raised.stderr
    states = {(run.state, run.error) for run in map(opened, (here / "home" / "runs").iterdir())}
    assert states == {("failed", "ValueError: lr is too large"), ("failed", "exit code 3")}


def test_a_function_gets_typed_arguments_and_its_defaults_are_params(here: Path) -> None:
    done = command("job.py:train", "--lr", "1", "--steps=2", "--layers", "64", "--layers", "32", "--where", "x")
    assert done.returncode == 0, done.stderr
    run = opened("train")
    assert run.params == {"lr": 1.0, "steps": 2, "layers": [64, 32], "where": "x", "sleep": 0.0}
    assert run.metrics == {"loss": 0.5, "final": 0.5}
    assert len(list((here / "home" / "runs").iterdir())) == 1  # the decorator makes no second run


def test_wrong_targets_and_arguments_are_refused_in_words(here: Path) -> None:
    for words, code, told in (
        (["absent.py"], 2, "There is no file"),
        (["job.py:nothing"], 2, "There is no function 'nothing'"),
        (["job.py:train", "--lr", "x"], 2, "'x' is not of the type float"),
        (["job.py:train"], 2, "Add --lr"),
        (["job.py:train", "--lr", "1", "--rate", "2"], 2, "takes no 'rate'"),
        (["no_such_module:train"], 1, "ModuleNotFoundError"),
        (["--tag", "x", "script.py"], 2, "NAME=TEXT"),
    ):
        done = command(*words)
        assert (done.returncode, told in done.stderr) == (code, True), done.stderr


def test_a_seed_makes_a_child_repeatable_hashes_included(here: Path) -> None:
    outputs = {opened(child("script.py", {"lr": 0.1}, seed=5).folder).output() for _ in range(2)}
    assert len(outputs) == 1
    assert opened("script").record.seed == 5


def test_metrics_are_told_while_the_child_runs_and_it_can_be_stopped(here: Path) -> None:
    seen: list[tuple[str, float, int | None]] = []

    def tell(name: str, value: float, step: int | None) -> bool:
        seen.append((name, value, step))
        return step == 2

    started = time.monotonic()
    result = child("job.py:train", {"lr": 1.0, "steps": 1000, "sleep": 0.05}, on_metric=tell, parent="outer")
    assert time.monotonic() - started < 20
    assert (result.state, result.stopped, result.exit_code) == ("interrupted", "asked", None)
    assert seen[:3] == [("loss", 1.0, 0), ("loss", 0.5, 1), ("loss", 1 / 3, 2)]
    assert result.metrics["loss"] <= seen[-1][1]  # it may have logged further steps before it ended
    assert opened(result.folder).record.parent == "outer"
    assert opened(result.folder).state == "interrupted"


def test_every_metric_of_a_quick_child_is_told(here: Path) -> None:
    seen = []
    result = child("job.py:train", {"lr": 1.0}, on_metric=lambda *told: seen.append(told))
    assert result.state == "finished"
    assert seen == [("loss", 1.0, 0), ("loss", 0.5, 1), ("loss", 1 / 3, 2), ("final", 1 / 3, None)]


def test_a_child_beyond_its_time_has_failed_and_one_may_be_stopped_by_an_event(here: Path) -> None:
    slow = {"lr": 1.0, "steps": 1000, "sleep": 0.05}
    late = child("job.py:train", slow, timeout_s=1.0)
    assert (late.state, late.stopped, late.error) == ("failed", "timeout", "it exceeded its time limit of 1 s")
    stop = threading.Event()
    stop.set()
    assert child("job.py:train", slow, stop=stop).stopped == "asked"


def test_a_child_that_is_killed_has_failed_and_says_by_what(here: Path) -> None:
    (here / "dies.py").write_text("import os, signal\nprint('so far', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n")
    result = child("dies.py", {})
    assert (result.state, result.exit_code) == ("failed", 137)
    assert "signal 9" in result.error
    assert opened(result.folder).output() == "so far\n"


def test_when_the_parent_is_killed_the_child_ends_too_and_the_run_reads_killed(here: Path) -> None:
    (here / "long.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    program = [sys.executable, "-m", "modelwright.cli.main", "run", "--home", "home", "long.py"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 10
        while _runs(pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert opened("long").state == "killed"


def test_ctrl_c_reaches_the_script_and_the_run_reads_interrupted(here: Path) -> None:
    (here / "long.py").write_text(
        "import time\ntry:\n    print('ready', flush=True)\n    time.sleep(60)\nfinally:\n    print('tidied', flush=True)\n"
    )
    # Shells let what they start in the background ignore the signal, the tests too.
    heeds = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-m", "modelwright.cli.main", "run", "--home", "home", "long.py"]
    program = [sys.executable, "-c", heeds, *command]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "tidied\n")
    assert opened("long").state == "interrupted"


def test_output_is_kept_without_known_secrets(here: Path) -> None:
    remember("planted-secret-1")
    (here / "tells.py").write_text("import sys\nprint('it is', sys.argv[1:])\nraise ValueError(sys.argv)\n")
    child("tells.py", {"x": "planted-secret-1", "api_key": "kurz-kurz"})
    stored = b"".join(path.read_bytes() for path in (here / "home").rglob("*") if path.is_file())
    assert b"planted-secret-1" not in stored
    assert b"kurz-kurz" not in stored
    assert opened("tells").params == {"x": "***", "api_key": "***"}


def test_a_script_that_spawns_processes_works_as_without_us(here: Path) -> None:
    (here / "pool.py").write_text(
        textwrap.dedent("""
        import multiprocessing
        def square(x):
            return x * x
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                print(pool.map(square, [1, 2, 3]))
    """)
    )
    result = child("pool.py", {})
    assert result.state == "finished", opened(result.folder).output("stderr")
    assert opened(result.folder).output() == "[1, 4, 9]\n"


def test_the_result_can_be_had_as_json_and_the_memory_is_that_of_the_child(here: Path) -> None:
    (here / "big.py").write_text("kept = bytearray(200_000_000)\n")
    done = command("--json", "-q", "big.py")
    told = json.loads(done.stderr)
    assert (told["state"], told["exit_code"], told["metrics"]) == ("finished", 0, {})
    assert opened(told["folder"]).entry.peak_memory_mb > 200
    (here / "small.py").write_text("")
    held = bytearray(200_000_000)
    small = opened(child("small.py", {}).folder).entry.peak_memory_mb
    assert small < 150 < len(held) / 1e6


def test_a_missing_script_is_an_error_before_anything_is_written(here: Path) -> None:
    with pytest.raises(InvalidInputError, match="There is no file"):
        child("absent.py", {})
    assert not (here / "home").exists()


@pytest.mark.parametrize(
    ("words", "params"),
    [
        (["--lr", "0.1", "--n", "-5", "-v"], {"lr": 0.1, "n": -5, "v": True}),
        (["--a=b=c", "--x", "", "--", "--y"], {"args": ["--y"], "a": "b=c", "x": ""}),
        (["--zip", "00123", "--on", "false"], {"zip": "00123", "on": False}),
        ([], {}),
    ],
)
def test_arguments_are_read_as_params(words: list[str], params: dict[str, Any]) -> None:
    assert params_of(words) == params


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
