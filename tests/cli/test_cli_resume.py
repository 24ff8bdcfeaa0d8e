"""What the command that goes on with a killed run says."""

from __future__ import annotations

import contextlib
import io
import json
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
