"""Runs of every format that was ever released, and runs that were copied, open here."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

import modelwright
from modelwright.runs.compare import compare_runs
from modelwright.runs.doctor import examine
from modelwright.runs.entries import entry_of
from modelwright.runs.listing import list_runs
from modelwright.version import FORMAT_VERSION

FORMATS = Path(__file__).parent / "formats"
VERSIONS = sorted(int(path.name) for path in FORMATS.iterdir() if path.is_dir())
RUN = "sample-20261127-192709"


@pytest.fixture(params=VERSIONS)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A stored run, copied into a home that never saw it."""
    folder = tmp_path / "elsewhere" / "runs" / RUN
    shutil.copytree(FORMATS / str(request.param) / "sample", folder)
    return folder


def test_there_is_a_sample_of_each_format() -> None:
    assert list(range(1, FORMAT_VERSION + 1)) == VERSIONS


def test_a_run_of_an_old_format_opens_and_predicts(sample: Path) -> None:
    run = modelwright.open_run(sample)
    assert run.record.target == "Churn"
    assert run.leaderboard.height == len(run.record.trials) + (run.record.figures is not None)
    rows = pl.read_csv(FORMATS / "rows.csv")
    assert list(run.model.predict(rows)) == ["No", "No", "No", "No", "Yes"]


def test_a_run_of_an_old_format_is_listed_and_found_in_another_home(sample: Path) -> None:
    home = sample.parents[1]
    (entry,) = modelwright.list_runs("roc_auc > 0.9", home=home)
    assert (entry.id, entry.task, entry.state) == (RUN, "binary", "finished")
    assert modelwright.open_run("sample", home=home).record.target == "Churn"


def test_a_run_of_an_old_format_is_shown_and_held_against_gates(sample: Path, command) -> None:
    home = sample.parents[1]
    shown = command("show", "sample", "--home", home)
    assert (shown.returncode, "Leaderboard" in shown.stdout) == (0, True)
    assert command("check", "sample", "--fail-if", "roc_auc < 0.9", "--home", home).returncode == 0


def test_an_old_run_is_compared_with_a_new_one(tmp_path: Path) -> None:
    folders = [FORMATS / str(version) / "sample" for version in (VERSIONS[0], VERSIONS[-1])]
    compared = compare_runs(folders, [entry_of(folder) for folder in folders])
    (test,) = compared.tests
    assert test.sentence
    assert "data" in [section.title for section in compared.sections]


def test_a_copied_run_is_whole_but_for_the_ledger_that_stayed_behind(sample: Path) -> None:
    examined = examine(sample.parents[1])
    assert {trouble.part for trouble in examined.troubles} <= {"ledger", "index"}


def test_a_run_outside_of_any_home_opens_by_its_path(sample: Path, tmp_path: Path) -> None:
    moved = tmp_path / "a folder with blanks"
    sample.rename(moved)
    assert modelwright.open_run(moved).model.target == "Churn"
    assert entry_of(moved).name == "sample"
    assert list_runs(tmp_path / "elsewhere").entries == []
