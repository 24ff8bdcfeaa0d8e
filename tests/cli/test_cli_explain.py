"""``modelwright explain`` and ``modelwright card`` on a trained run."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import modelwright
from modelwright.cli.main import main

CHURN = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    table = pl.read_csv(CHURN, infer_schema_length=None).head(500)
    modelwright.train(table, target="Churn", trials=2, algorithms=["lightgbm", "linear"], name="churn", home=folder)
    return folder


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(each) for each in arguments])
    return int(left.value.code or 0)


def test_rows_are_explained_in_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("explain", "churn", CHURN, "--home", home, "--rows", "0,5-6", "--top", "3") == 0
    out = capsys.readouterr().out
    assert [line.split(":")[0] for line in out.splitlines() if line.startswith("row ")] == ["row 0", "row 5", "row 6"]
    assert "16 other columns" in out


def test_json_adds_up(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("explain", "churn", CHURN, "--home", home, "--rows", "7", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    row = found["rows"][0]
    assert row["row"] == 7
    total = found["base"]["Yes"] + sum(each["Yes"] for each in row["contributions"].values())
    assert total == pytest.approx(row["prediction"]["Yes"], abs=1e-6)


def test_a_file_holds_the_rows_asked_for(home: Path, tmp_path: Path) -> None:
    assert _run("explain", "churn", CHURN, "--home", home, "--rows", "3,9", "-o", tmp_path / "why.parquet") == 0
    assert pl.read_parquet(tmp_path / "why.parquet")["row"].to_list() == [3, 3, 9, 9]


@pytest.mark.parametrize(("rows", "words"), [("a", "no row number"), ("99999", "no row 99999"), ("-3", "no row number")])
def test_rows_that_do_not_exist_are_refused(home: Path, capsys: pytest.CaptureFixture[str], rows: str, words: str) -> None:
    assert _run("explain", "churn", CHURN, "--home", home, f"--rows={rows}") == 2
    assert words in capsys.readouterr().err


def test_the_card_is_printed_or_written(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("card", "churn", "--home", home) == 0
    printed = capsys.readouterr().out
    assert _run("card", "churn", "--home", home, "-o", tmp_path / "CARD.md") == 0
    assert (tmp_path / "CARD.md").read_text() == printed
    assert _run("card", "churn", "--home", home, "-o", tmp_path / "absent" / "CARD.md") == 2
