"""Run folders appear whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from modelwright.errors import InvalidInputError, StorageError
from modelwright.search.jobs import Done, Fit
from modelwright.search.journal import Answered, Began
from modelwright.store.folders import RunFolder, find_run, new_run_id, only_unfinished, unfinished


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


def killed(home: Path, run: str, *, trials: int = 1, age_days: float = 0.0) -> None:
    """What a killed run with so many finished trials leaves."""
    asked = msgspec.json.encode({"run": run, "created": f"2026-01-01T00:00:{len(run):02}+00:00"})
    folder = RunFolder(home, run, asked)
    fits = [Fit("views/probe", "fits/0", "linear", {"alpha": k}, "binary", 2, "roc_auc", 0) for k in range(trials)]
    lines = [Began(0.0), *(Answered(1.0, str(k), "place", fit, Done()) for k, fit in enumerate(fits))]
    folder.journal.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    (folder.draft / "run.json").write_text("half")
    os.utime(folder.journal, (time.time() - age_days * 86_400,) * 2)
    folder.leave()


def test_killed_runs_wait_to_be_resumed_the_latest_five_for_two_weeks(tmp_path: Path) -> None:
    killed(tmp_path, "nothing", trials=0)
    killed(tmp_path, "old", age_days=15)
    for k in range(7):
        killed(tmp_path, f"run{k}", age_days=7 - k)
    alive = RunFolder(tmp_path, "alive", msgspec.json.encode({"run": "alive", "created": "2026-01-02"}))
    left = unfinished(tmp_path)
    assert [(each.run, each.alive, each.n_trials) for each in left] == [
        *((f"run{k}", False, 1) for k in range(2, 7)),
        ("alive", True, 0),
    ]
    assert not list(tmp_path.rglob("run.json")), "what was half made is not kept"
    alive.discard()


def test_a_run_is_resumed_by_one_process_at_a_time_and_only_while_it_is_unfinished(tmp_path: Path) -> None:
    killed(tmp_path, "a")
    assert only_unfinished(tmp_path).run == "a"
    folder = RunFolder.resumed(tmp_path, "a")
    lines = [
        "import pathlib",
        "from modelwright.store.folders import RunFolder",
        f"RunFolder.resumed(pathlib.Path({str(tmp_path)!r}), 'a')",
    ]
    other = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert "Another process works on the run 'a'" in other.stderr
    with pytest.raises(InvalidInputError, match="no run to resume"):
        only_unfinished(tmp_path)
    folder.publish()
    with pytest.raises(InvalidInputError, match="finished"):
        RunFolder.resumed(tmp_path, "a")
    with pytest.raises(InvalidInputError, match="no unfinished run"):
        RunFolder.resumed(tmp_path, "b")
    killed(tmp_path, "b")
    killed(tmp_path, "cc")
    with pytest.raises(InvalidInputError, match=r"b \(1 finished trials\); cc"):
        only_unfinished(tmp_path)


def test_a_worker_that_outlives_its_run_keeps_the_lock_until_it_ends(tmp_path: Path) -> None:
    lines = [
        "import os, pathlib, subprocess, sys",
        "from modelwright.store.folders import RunFolder",
        f"folder = RunFolder(pathlib.Path({str(tmp_path)!r}), 'a')",
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1)'], pass_fds=(folder.lock,))",
        "os.kill(os.getpid(), 9)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False)
    begun = time.monotonic()
    RunFolder.resumed(tmp_path, "a").discard()
    assert time.monotonic() - begun > 0.3, "the child was waited for"


@pytest.mark.parametrize("kind", [errno.ENOTEMPTY, errno.EEXIST])
def test_a_name_whose_owner_publishes_at_this_very_moment_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    real = os.rename
    tried = []

    def rename(source: Path, target: Path) -> None:
        if target.name.startswith("same"):  # and not aside, to be removed
            tried.append(target.name)
        if tried == ["same-20261129-071014"] and target.name == tried[0]:
            # The other's folder stood here when this one was renamed, and is gone when somebody looks.
            (tmp_path / "runs" / target.name).mkdir()
            raise OSError(kind, os.strerror(kind))
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    folder = RunFolder.new(tmp_path, "same", "20261129-071014", lambda run: b"{}")
    assert tried == ["same-20261129-071014", "same-20261129-071014-2"]
    assert folder.run == tried[1]
    assert sorted(path.name for path in (tmp_path / "tmp").iterdir()) == [folder.run], "nothing is left of the first try"


def test_four_processes_that_begin_runs_at_the_same_moment_get_a_folder_each(tmp_path: Path) -> None:
    lines = [
        "import pathlib, time",
        "from modelwright.store.folders import RunFolder",
        f"home, go = pathlib.Path({str(tmp_path / 'home')!r}), pathlib.Path({str(tmp_path / 'go')!r})",
        "print('ready', flush=True)",
        "while not go.exists(): time.sleep(0.001)",
        "for k in range(8):",
        "    folder = RunFolder.new(home, 'same', '20260101-000000', lambda run: b'{}')",
        "    (folder.draft / 'run.json').write_text(folder.run)",
        "    print(folder.publish().name)",
    ]
    processes = [
        subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    named = [run for process in processes for run in process.communicate(timeout=60)[0].split()]
    published = {path.parent.name: path.read_text() for path in tmp_path.glob("home/runs/*/run.json")}
    assert len(named) == 32
    assert published == {run: run for run in named}
    assert not list(tmp_path.glob("home/tmp/*"))
