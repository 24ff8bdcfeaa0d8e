"""Runs published at an address serve every command from another home, and a moved home takes everything along."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import modelwright
from modelwright.errors import StorageError
from modelwright.tables.read import read

ROOT = Path(__file__).parents[2]
COLUMNS = ("tenure", "Contract", "MonthlyCharges", "TotalCharges", "Churn")
Command = Callable[..., Any]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small table in a file, so that a run of it can be reproduced."""
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    read(ROOT / "examples" / "data" / "telco_churn.csv").frame.head(500).select(*COLUMNS).write_csv(path)
    return path


@pytest.fixture(scope="module")
def made(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a training, a copy of it, and a job with a file and a tag."""
    home = tmp_path_factory.mktemp("made") / "home"
    first = modelwright.train(rows, target="Churn", trials=1, algorithms=["linear"], home=home, name="first").folder
    second = home / "runs" / "second-20990101-000000"
    shutil.copytree(first, second)
    record = json.loads((second / "run.json").read_text())
    record["evaluation"]["look"] = None
    (second / "run.json").write_text(json.dumps(record | {"id": second.name, "name": "second"}))
    with modelwright.start_run("job", home=home, tags={"team": "x"}) as run:
        run.log_metric("loss", 0.25)
        (home.parent / "notes.txt").write_text("notes")
        run.log_file(home.parent / "notes.txt")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    place = tmp_path / "home"
    shutil.copytree(made, place)
    return place


def ok(done: Any) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(command: Command, *options: Any) -> dict[str, dict[str, Any]]:
    found = json.loads(ok(command("runs", "--json", *options)))
    return {each["name"]: each for each in found["runs"]}


def content(home: Path) -> dict[str, bytes]:
    files = (path for path in (home / "runs").rglob("*") if path.is_file() and path.name != "labels.json")
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in files}


def test_every_command_works_on_published_runs_from_another_home(
    home: Path, rows: Path, tmp_path: Path, ftp_url: str, command: Command
) -> None:
    ok(command("store", "push", "--home", home, "--artifacts", ftp_url))
    there = ("--home", tmp_path / "other", "--artifacts", ftp_url)

    assert set(listed(command, *there)) == {"first", "second", "job"}
    assert listed(command, "--filter", 'tags.team == "x"', *there)["job"]["metrics"] == {"loss": 0.25}
    assert not (tmp_path / "other" / "runs").exists()  # a list copies no run

    assert "first-" in ok(command("show", "first", *there))
    assert "second-" in ok(command("compare", "first", "second", *there))
    ok(command("predict", "first", rows, "-o", tmp_path / "scored.csv", *there))
    assert len((tmp_path / "scored.csv").read_text().splitlines()) == 501
    assert "equal" in ok(command("reproduce", "first", *there))
    assert ok(command("report", "second", *there)).strip().endswith("report.html")
    ok(command("check", "first", "--fail-if", "roc_auc < 0.1", *there))

    ok(command("tag", "job", "team=y", *there))
    assert listed(command, "--home", home, "--artifacts", ftp_url)["job"]["tags"] == {"team": "y"}
    ok(command("delete", "second", "--yes", *there))
    assert set(listed(command, *there)) == {"first", "job"}
    note = command("runs", "--home", home, "--artifacts", ftp_url).stderr
    assert "still in this home: second-" in note
    assert "Every finished run is published" in ok(command("store", "push", "--home", home, "--artifacts", ftp_url))


def test_training_publishes_and_settings_say_where(rows: Path, tmp_path: Path, command: Command) -> None:
    url = (tmp_path / "bucket").as_uri()
    (tmp_path / "modelwright.toml").write_text(f'target = "Churn"\ntrials = 1\nalgorithms = ["linear"]\nartifacts = "{url}"\n')
    ok(command("train", rows, "-q", "--name", "told"))
    shutil.rmtree(tmp_path / ".modelwright" / "runs")
    assert "told" in listed(command)
    assert "told-" in ok(command("show", "told"))

    job = tmp_path / "job.py"
    job.write_text("print('done')\n")
    ok(command("run", job))
    shutil.rmtree(tmp_path / ".modelwright" / "runs")
    assert "job" in listed(command)


def test_finished_run_is_kept_where_publishing_fails(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise StorageError("No space.", where="bucket", mend="Free space.")

    monkeypatch.setattr("modelwright.store.artifacts.ArtifactStore.publish", refuse)
    (tmp_path / "job.py").write_text("print('done')\n")
    done = command("run", "--artifacts", (tmp_path / "bucket").as_uri(), "--name", "kept", tmp_path / "job.py")
    assert done.returncode == 2
    assert "publish it with: modelwright store push kept-" in done.stderr
    assert listed(command)["kept"]["state"] == "finished"


def test_address_that_cannot_be_used_is_refused_before_the_training(rows: Path, tmp_path: Path, command: Command) -> None:
    done = command("train", rows, "-t", "Churn", "--artifacts", "nothing://x")
    assert done.returncode == 2
    assert "cannot be understood" in done.stderr
    assert not (tmp_path / ".modelwright").exists()


def test_home_moves_to_postgres_and_a_server_and_back(
    home: Path, rows: Path, tmp_path: Path, fresh_postgres: str, ftp_url: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, known = content(home), listed(command, "--home", home)
    monkeypatch.setenv("PG_SECRET", "s3cret")
    postgres = fresh_postgres.replace(":s3cret@", ":${PG_SECRET}@")
    assert postgres != fresh_postgres

    told = ok(command("store", "move", postgres, "--artifacts", ftp_url, "--home", home))
    assert "3 runs moved" in told
    assert "openings 1" in told
    assert f'store = "{postgres}"' in told
    assert content(home) == before

    # Nothing of the old home is needed: another one has the ledger, the index and the runs.
    there = ("--store", postgres, "--artifacts", ftp_url)
    moved = listed(command, "--home", tmp_path / "other", *there)
    assert {name: each["metrics"] for name, each in moved.items()} == {name: each["metrics"] for name, each in known.items()}
    shown = json.loads(ok(command("store", "show", "--json", "--verify", "--home", tmp_path / "other", *there)))
    assert shown["database"]["tables"]["openings"] == 1
    assert shown["artifacts"]["verified"] == 3
    assert shown["database"]["notes"][0]["state"] == "arrived"
    ok(command("doctor", "--home", home, "--store", postgres))

    # The source is read only, and says where it went.
    refused = command("train", rows, "-t", "Churn", "--trials", "1", "-a", "linear", "--home", home)
    assert refused.returncode == 2
    assert "moved to postgresql" in refused.stderr
    assert "were moved to ftp://" in command("runs", "--home", home).stderr
    again = ok(command("store", "move", postgres, "--artifacts", ftp_url, "--home", home))
    assert "had been moved before" in again

    # A second look is counted on from the one that came along.
    ok(command("train", rows, "-t", "Churn", "--trials", "1", "-a", "linear", "--name", "third", "--home", home, *there))
    shutil.rmtree(home / "runs")
    back = ("--from-store", postgres, "--from-artifacts", ftp_url, "--home", home)
    told = ok(command("store", "move", "local", "--artifacts", "local", *back))
    assert "4 runs moved" in told
    assert "openings 2" in told
    assert before.items() <= content(home).items()
    ok(command("runs", "--home", home))
    ok(command("doctor", "--home", home))
    assert set(listed(command, "--home", home)) == {"first", "second", "third", "job"}
    stored = [path for path in home.rglob("*") if path.is_file()]
    assert not [path for path in stored if os.environ["FTP_SECRET"].encode() in path.read_bytes()]


def test_move_refuses_runs_of_others_and_leaves_everything_open(home: Path, tmp_path: Path, command: Command) -> None:
    url = (tmp_path / "bucket").as_uri()
    with modelwright.start_run("theirs", home=tmp_path / "theirs"):
        pass
    ok(command("store", "push", "--home", tmp_path / "theirs", "--artifacts", url))
    done = command("store", "move", f"sqlite:///{tmp_path / 'new.db'}", "--artifacts", url, "--home", home)
    assert done.returncode == 2
    assert "runs of another home (theirs-" in done.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").write_text("x")
    done = command("store", "move", "--artifacts", (tmp_path / "full").as_uri(), "--home", home)
    assert "something else (photo.jpg)" in done.stderr
    ok(command("tag", "job", "still=open", "--home", home))


def test_move_waits_for_no_run_at_work_and_names_it(home: Path, tmp_path: Path, command: Command) -> None:
    with modelwright.start_run("working", home=home):
        done = command("store", "move", "--artifacts", (tmp_path / "bucket").as_uri(), "--home", home)
    assert done.returncode == 2
    assert "Runs are at work, or cannot be read: working-" in done.stderr


def test_damaged_published_file_is_told_by_show(home: Path, tmp_path: Path, command: Command) -> None:
    ok(command("store", "push", "--home", home, "--artifacts", (tmp_path / "bucket").as_uri()))
    (file,) = (tmp_path / "bucket" / "runs").glob("first-*/model/model.json")
    file.write_bytes(file.read_bytes() + b" ")
    done = command("store", "show", "--verify", "--home", home, "--artifacts", (tmp_path / "bucket").as_uri())
    assert done.returncode == 1
    assert "model/model.json is not the one that was published" in done.stdout
    assert "2 of 3 runs verified" in done.stdout


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("store", "move"), "Nothing is to be moved"),
        (("store", "move", "--artifacts", "local"), "there already"),
        (("store", "push"), "It is not said where to"),
    ],
)
def test_commands_that_say_too_little_are_refused(home: Path, command: Command, options: tuple[str, ...], what: str) -> None:
    done = command(*options, "--home", home)
    assert done.returncode == 2
    assert what in done.stderr
