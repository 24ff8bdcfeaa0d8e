"""Run folders appear whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.errors import InvalidInputError, StorageError
from modelwright.store.folders import RunFolder, find_run, new_run_id


def test_nothing_is_visible_before_publishing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "a-20260101-000000")
    (folder.draft / "run.json").write_text("{}")
    assert not folder.published.exists()
    assert folder.publish() == tmp_path / "runs" / "a-20260101-000000"
    assert (folder.published / "run.json").read_text() == "{}"
    assert not list((tmp_path / "tmp").iterdir())


def test_discarded_run_leaves_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "a")
    (folder.work / "x").write_text("x")
    folder.discard()
    assert not list((tmp_path / "tmp").iterdir())
    assert not list((tmp_path / "runs").iterdir())


def test_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(StorageError, match="--home"):
        RunFolder(tmp_path / "home", "a")


def test_run_ids_are_safe_and_unique(tmp_path: Path) -> None:
    assert new_run_id("my churn/2024", "20260101-000000", tmp_path) == "my-churn-2024-20260101-000000"
    assert new_run_id("../..", "20260101-000000", tmp_path) == "run-20260101-000000"
    RunFolder(tmp_path, "a-20260101-000000")
    assert new_run_id("a", "20260101-000000", tmp_path) == "a-20260101-000000-2"


def test_runs_are_found_by_path_identifier_and_name(tmp_path: Path) -> None:
    for run in ("churn-20260101-000000", "churn-20260102-000000"):
        folder = RunFolder(tmp_path, run)
        (folder.draft / "run.json").write_text("{}")
        folder.publish()
    newest = tmp_path / "runs" / "churn-20260102-000000"
    assert find_run("churn", tmp_path) == newest
    assert find_run("churn-20260101-000000", tmp_path).name == "churn-20260101-000000"
    assert find_run(newest, Path("elsewhere")) == newest
    with pytest.raises(InvalidInputError, match="churn-20260102-000000"):
        find_run("nope", tmp_path)


def test_next_run_sweeps_what_a_killed_one_left(tmp_path: Path) -> None:
    lines = [
        "import os, pathlib",
        "from modelwright.store.folders import RunFolder",
        f"RunFolder(pathlib.Path({str(tmp_path)!r}), 'dead')",
        "os.kill(os.getpid(), 9)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False)
    alive = RunFolder(tmp_path, "alive")
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["alive"]
    RunFolder(tmp_path, "another")
    assert alive.draft.is_dir()
