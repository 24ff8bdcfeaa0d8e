"""The command monitor: what it says, its exit code, its report; for a model of numbers."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import modelwright
from modelwright.cli.main import main

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a run, and tables beside it."""
    from modelwright.tables.read import read

    folder = tmp_path_factory.mktemp("monitor")
    rows = read(TELCO).frame.drop("customerID", "TotalCharges").sample(fraction=1.0, shuffle=True, seed=5)
    train = rows.head(1500)
    modelwright.train(train, target="MonthlyCharges", trials=1, algorithms=["linear"], home=folder, name="charges")
    later = rows[1500:3500]
    later.write_parquet(folder / "later.parquet")
    later.with_columns(pl.lit("DSL").alias("InternetService")).write_parquet(folder / "broken.parquet")
    later.with_columns(pl.col("MonthlyCharges") + 30).write_parquet(folder / "dearer.parquet")
    return folder


def ran(place: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["monitor", "charges", "--home", str(place), *arguments])
    assert isinstance(left.value.code, int)
    return left.value.code, capsys.readouterr().out


def test_unchanged_rows_are_ok(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = ran(place, capsys, "--data", str(place / "later.parquet"), "--fail-on", "alarm")
    assert code == 0
    assert ": OK" in out
    assert "rmse on 2,000 labels" in out
    assert "estimated without labels (DLE)" in out
    assert "assumes that the relation of columns to target is as it was in training" in out


def test_a_frozen_column_fails_and_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = place / "report.html"
    code, out = ran(place, capsys, "--data", str(place / "broken.parquet"), "--fail-on", "alarm", "--html", str(report))
    assert code == 3
    assert "alarm: quality 'InternetService': All 2000 filled cells hold 'DSL'" in out
    assert "What is wrong" in report.read_text(encoding="utf-8")


def test_another_relation_is_seen_by_labels_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = ran(place, capsys, "--data", str(place / "dearer.parquet"), "--window", "1000", "--json")
    assert code == 0
    first, second = (json.loads(line) for line in out.splitlines())
    assert (first["n_rows"], second["n_rows"]) == (1000, 1000)
    assert first["state"] == "alarm"
    assert {alarm["kind"] for alarm in first["alarms"]} == {"performance"}
    # The estimate assumes the old relation, and is not what raises the alarm.
    assert first["estimated"]["state"] == "ok"
    assert first["realised"]["value"] > 2 * first["realised"]["reference"]


def test_a_log_without_rows_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = ran(place, capsys, "--fail-on", "alarm")
    assert code == 0
    assert "no rows in the log" in out


def test_unknown_words_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(place, capsys, "--fail-on", "rain")[0] == 2
    assert ran(place, capsys, "--part", "dead")[0] == 2
    assert ran(place, capsys, "--window", "1y")[0] == 2
