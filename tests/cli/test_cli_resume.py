"""What the command that goes on with a killed run says."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from modelwright.cli.main import main
from modelwright.store.folders import RunFolder


def modelwright(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(list(words))
    assert isinstance(left.value.code, int)
    return left.value.code, out.getvalue(), err.getvalue()


def begun(home: Path, run: str) -> RunFolder:
    return RunFolder(home, run, msgspec.json.encode({"run": run, "created": "2026-01-01T00:00:00+00:00"}))


def test_unfinished_runs_are_listed_with_how_to_go_on(tmp_path: Path) -> None:
    home = ("--home", str(tmp_path))
    assert modelwright("resume", "--list", *home) == (0, f"No run is unfinished in {tmp_path}.\n", "")
    running = begun(tmp_path, "running")
    begun(tmp_path, "killed").leave()
    code, out, _ = modelwright("resume", "--list", *home)
    assert code == 0
    assert "killed  0 finished trials, go on with: modelwright resume killed" in out
    assert "running  0 finished trials, somebody works on it" in out
    _, out, _ = modelwright("resume", "--list", "--json", *home)
    assert [(line["run"], line["running"]) for line in map(json.loads, out.splitlines())] == [
        ("killed", False),
        ("running", True),
    ]
    code, _, err = modelwright("resume", "running", *home)
    assert code == 2
    assert "Another process works on the run 'running'." in err
    running.discard()


def test_what_cannot_be_resumed_is_refused_with_a_mend(tmp_path: Path) -> None:
    home = ("--home", str(tmp_path))
    code, _, err = modelwright("resume", *home)
    assert (code, "There is no run to resume." in err) == (2, True)
    for folder in [begun(tmp_path, run) for run in "ab"]:  # together: one without finished trials goes when the next begins
        folder.leave()
    code, _, err = modelwright("resume", *home)
    assert (code, "2 runs can be resumed." in err, "Name one of them: a (0 finished trials); b" in err) == (2, True, True)
    code, _, err = modelwright("resume", "c", *home)
    assert (code, "Runs that can be resumed: a, b." in err) == (2, True)
    # Its spec is no spec: another version, or damage.
    code, _, err = modelwright("resume", "a", *home)
    assert (code, "cannot be read" in err, "Train anew." in err) == (2, True, True)
    assert (tmp_path / "tmp" / "a").is_dir()


def test_a_killed_search_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.py").write_text("import time\ndef train(lr):\n    time.sleep(0.2)\n    return {'loss': (lr - 0.3) ** 2}\n")
    words = [
        "tune",
        "job.py:train",
        "--param",
        "lr=0.1,0.2,0.3,0.4",
        "--strategy",
        "grid",
        "--select",
        "min:loss",
        "--workers",
        "1",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "modelwright.cli.main", *words, "--name", "killed"], stdout=subprocess.DEVNULL
    ) as killed:
        runs = Path(".modelwright/runs")
        while not any(log.read_text().count("\n") >= 2 for log in runs.glob("killed*/trials.jsonl")):
            assert killed.poll() is None
            time.sleep(0.02)
        killed.kill()
    (log,) = runs.glob("killed*/trials.jsonl")
    run, ended = log.parent.name, log.read_text().splitlines()[:2]
    code, _, err = modelwright("resume", run, "--data", "other.csv")
    assert (code, f"{run} is a search" in err) == (2, True)
    code, out, _ = modelwright("resume", run, "--json")
    assert code == 0
    told = json.loads(out.splitlines()[-1])
    assert (len(told["trials"]), told["best"]["params"]) == (4, {"lr": 0.3})
    assert log.read_text().splitlines()[:2] == ended  # and neither was done again
    assert sorted(json.loads(line)["number"] for line in log.read_text().splitlines()) == [0, 1, 2, 3]
