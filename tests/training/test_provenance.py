"""Every training says where it comes from, keeps tags and note, and writes no secret anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

import modelwright
from modelwright.provenance.labels import Labels
from modelwright.runs.labels import read_labels
from modelwright.runs.run import Run

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"
SMALL: dict[str, Any] = {"target": "Churn", "trials": 2, "algorithms": ["linear"]}
SECRET = "planted-geheim-7f3a"


def git(*words: str, at: Path) -> str:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    return subprocess.run(["git", *identity, *words], cwd=at, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with an uncommitted change that holds a secret, and a table; it is the working folder."""
    monkeypatch.chdir(tmp_path)
    pl.read_csv(TELCO).head(400).write_csv("rows.csv")
    Path("job.py").write_text("rate = 0.1\n")
    Path(".gitignore").write_text(".modelwright\n*.db\n")
    git("init", "-q", "-b", "trunk", at=tmp_path)
    git("add", ".", at=tmp_path)
    git("commit", "-q", "-m", "first", at=tmp_path)
    Path("job.py").write_text(f'rate = 0.2\npassword = "{SECRET}"\n')
    return tmp_path


def stored(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_a_training_says_where_it_comes_from(repository: Path) -> None:
    run = modelwright.train("rows.csv", **SMALL, tags={"team": "risk"}, note="first try")
    origin = Run(run.folder).record.provenance
    assert origin is not None
    assert origin.code is not None
    assert (origin.code.commit, origin.code.branch) == (git("rev-parse", "HEAD", at=repository), "trunk")
    diff = (run.folder / origin.code.diff).read_text()
    assert "+rate = 0.2" in diff
    assert SECRET not in diff
    assert origin.source is not None
    assert (origin.source.source, origin.source.size_bytes) == ("rows.csv", Path("rows.csv").stat().st_size)
    assert origin.source.modified.startswith("20")
    assert origin.packages["numpy"] == np.__version__
    assert origin.hardware.cores >= 1
    assert read_labels(run.folder) == Labels({"team": "risk"}, "first try")
    assert 'href="#environment"' in (report := run.report.read_text())
    assert "Where it comes from" in report
    assert "trunk" in report
    record = Run(run.folder).record
    assert record.step_memory_mb.keys() <= record.timings_s.keys()
    assert record.step_memory_mb["read"] <= record.step_memory_mb["evaluate"]


def test_the_command_line_tags_runs_and_shows_their_origin(repository: Path) -> None:
    words = ["train", "rows.csv", "--target", "Churn", "--trials", "2", "--algorithms", "linear", "--quiet"]
    program = [sys.executable, "-m", "modelwright.cli.main"]
    made = subprocess.run(
        [*program, *words, "--tag", "team=risk", "--tag", "tier=2", "--note", "so"], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    listed = subprocess.run([*program, "runs", "--filter", 'tags.team == "risk"', "--json"], capture_output=True, text=True)
    assert '"tier":"2"' in listed.stdout
    shown = subprocess.run([*program, "show", "rows"], capture_output=True, text=True).stdout
    assert "Where it comes from" in shown
    assert "modelwright train rows.csv --target Churn" in shown
    assert "with uncommitted changes" in shown
    refused = subprocess.run([*program, *words, "--tag", "risk"], capture_output=True, text=True)
    assert (refused.returncode, "'risk' is not NAME=TEXT" in refused.stderr) == (2, True)


def test_a_planted_secret_is_in_no_stored_byte(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pl.read_csv("rows.csv")
    engine = sa.create_engine("sqlite:///rows.db")
    rows.write_database("churn", engine)
    engine.dispose()
    # By its name in the environment, behind references, in the address in plain, in the note, the tags, and the code's diff.
    monkeypatch.setenv("SERVICE_TOKEN", SECRET)
    monkeypatch.setenv("WHERE", "tenure >= 0 AND 'geheim-by-reference' <> ''")
    run = modelwright.train(
        "sqlite:///file:rows.db?uri=true&password=im-klartext-9",
        **SMALL,
        query="SELECT * FROM churn WHERE ${WHERE} ORDER BY customerID",
        tags={"hint": f"token {SECRET}"},
        note="password im-klartext-9",
        name="secret",
    )
    files = stored(repository / ".modelwright")
    assert len(files) > 15
    for secret in (SECRET, "geheim-by-reference", "im-klartext-9"):
        assert [name for name, content in files.items() if secret.encode() in content] == []
    assert "${WHERE}" in Run(run.folder).record.spec["query"]
    assert read_labels(run.folder).tags == {"hint": "token ***"}


def test_a_killed_run_stores_no_secret_and_asks_for_the_address_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sa.create_engine("sqlite:///rows.db")
    pl.read_csv("rows.csv").write_database("churn", engine)
    engine.dispose()
    code = (
        "import modelwright, os, signal\n"
        "from modelwright.events import TrialFinished\n"
        "def kill(event):\n"
        "    if isinstance(event, TrialFinished): os.kill(os.getpid(), signal.SIGKILL)\n"
        "modelwright.train(os.environ['ADDRESS'], query='churn', target='Churn', trials=2, algorithms=['linear'],\n"
        "                  name='killed', on_event=kill)\n"
    )
    for address, message in (
        ("sqlite:///file:rows.db?uri=true&password=im-klartext-9", "holds a password or a signature, which is not kept"),
        ("sqlite:///file:${DATABASE}?uri=true&password=${SERVICE_TOKEN}", ""),
    ):
        environment = {**os.environ, "ADDRESS": address, "SERVICE_TOKEN": SECRET, "DATABASE": "rows.db"}
        killed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert killed.returncode == -9, killed.stderr
        files = stored(repository / ".modelwright")
        assert any(name.endswith("journal.jsonl") for name in files)
        for secret in (SECRET, "im-klartext-9"):
            assert [name for name, content in files.items() if secret.encode() in content] == []
        run = next(path.parent.name for path in (repository / ".modelwright" / "tmp").glob("killed*/spec.json"))
        monkeypatch.setenv("SERVICE_TOKEN", SECRET)
        monkeypatch.setenv("DATABASE", "rows.db")
        if message:
            with pytest.raises(modelwright.ModelwrightError, match=message):
                modelwright.api.resume(run)
            modelwright.api.resume(run, data=address)
        else:  # a reference is kept, and followed again
            assert modelwright.api.resume(run).record.spec["data"] == address


def test_records_of_before_provenance_open(repository: Path) -> None:
    run = modelwright.train("rows.csv", **SMALL)
    raw = msgspec.json.decode((run.folder / "run.json").read_bytes())
    for later in ("provenance", "step_memory_mb"):
        del raw[later]
    (run.folder / "run.json").write_bytes(msgspec.json.encode(raw))
    assert Run(run.folder).record.provenance is None
