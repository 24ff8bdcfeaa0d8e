"""``predict -o`` in parts: the same bits as in one piece, bad rows set aside, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import modelwright
import modelwright.tables.read
from modelwright.artifacts import batch
from modelwright.cli import predicting
from modelwright.cli.main import main
from modelwright.tables import scan

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    rows = modelwright.tables.read.read(str(TELCO)).frame.head(400)
    modelwright.train(rows, target="Churn", trials=1, algorithms=["lightgbm"], home=folder, name="churn")
    return folder


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some thousand rows in parts of 1,024, one of them not a whole part."""
    monkeypatch.setattr(scan, "BLOCK_ROWS", 128)
    lines = TELCO.read_text(encoding="utf-8").splitlines()[:3001]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "rows.csv"


def _damaged(rows: Path, numbers: list[int]) -> Path:
    table = pl.read_csv(rows, infer_schema=False)
    column = table["tenure"].to_list()
    for number in numbers:
        column[number] = "long"
    damaged = rows.with_name("damaged.csv")
    table.with_columns(tenure=pl.Series(column)).write_csv(damaged)
    return damaged


def test_parts_give_the_bits_of_the_whole_table(home: Path, rows: Path) -> None:
    out = rows.with_name("out.parquet")
    with batch.open_rows(str(rows)) as opened:
        assert opened.streamed
        assert sum(1 for _ in opened.batches) > 2
    assert run("predict", "churn", rows, "-o", out, "--home", home, "-q") == 0
    model = modelwright.load("churn", home=home)
    scored = pl.read_parquet(out)
    assert scored["prediction"].to_list() == model.predict(str(rows)).tolist()
    assert scored.drop("prediction").to_numpy().tobytes() == model.predict_proba(str(rows)).tobytes()


def test_parquet_gives_the_bits_of_csv(home: Path, rows: Path) -> None:
    modelwright.tables.read.read(str(rows)).frame.write_parquet(rows.with_suffix(".parquet"))
    outs = [rows.with_name(f"{ending}.arrow") for ending in ("csv", "parquet")]
    for out in outs:
        assert run("predict", "churn", rows.with_suffix(f".{out.stem}"), "-o", out, "--home", home, "-q") == 0
    assert pl.read_ipc(outs[0]).equals(pl.read_ipc(outs[1]))


def test_fail_names_column_row_and_expected_type_and_writes_nothing(
    home: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = _damaged(rows, [1700, 2500])
    before = sorted(rows.parent.iterdir())
    assert run("predict", "churn", damaged, "-o", rows.with_name("out.csv"), "--home", home) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "'tenure'" in told
    assert "row 1700" in told
    assert "expected numbers" in told
    assert sorted(rows.parent.iterdir()) == before


def test_skip_sets_bad_rows_aside_with_reasons_and_scores_the_others_as_before(home: Path, rows: Path) -> None:
    damaged = _damaged(rows, [0, 1700, 2999])
    out, aside, whole = (rows.with_name(name) for name in ("out.parquet", "aside.csv", "whole.parquet"))
    assert run("predict", "churn", rows, "-o", whole, "--home", home, "-q") == 0
    command = ("predict", "churn", damaged, "-o", out, "--home", home, "--on-bad-row", "skip", "--bad-rows", aside)
    assert run(*command) == 0
    scored, bad = pl.read_parquet(out), pl.read_csv(aside)
    assert bad["bad_row"].to_list() == [0, 1700, 2999]
    assert all("'tenure': expected numbers, found 'long'" in reason for reason in bad["bad_reason"])
    assert bad["customerID"].to_list() == pl.read_csv(rows)["customerID"].gather([0, 1700, 2999]).to_list()
    assert scored["row"].to_list() == [row for row in range(3000) if row not in (0, 1700, 2999)]
    assert scored.drop("row").equals(pl.read_parquet(whole)[scored["row"]])


def test_a_table_of_bad_rows_only_is_refused(home: Path, rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = _damaged(rows, list(range(3000)))
    out = rows.with_name("out.csv")
    assert run("predict", "churn", damaged, "-o", out, "--home", home, "--on-bad-row", "skip") == 2
    assert "not one row" in capsys.readouterr().err
    assert not out.exists()


def test_an_interrupt_in_the_middle_leaves_the_old_file_and_nothing_else(
    home: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = rows.with_name("out.csv")
    out.write_text("of yesterday")
    before = sorted(rows.parent.iterdir())
    scored, calls = predicting.scored_frame, []

    def interrupted(*arguments: object) -> pl.DataFrame:
        calls.append(len(list(rows.parent.glob(".out.csv.*/*.arrow"))))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return scored(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(predicting, "scored_frame", interrupted)
    assert run("predict", "churn", rows, "-o", out, "--home", home, "-q") == 130
    assert calls == [0, 1, 2]
    assert out.read_text() == "of yesterday"
    assert sorted(rows.parent.iterdir()) == before


def test_data_is_never_overwritten_by_its_predictions(home: Path, rows: Path) -> None:
    before = rows.read_bytes()
    assert run("predict", "churn", rows, "-o", rows, "--home", home) == 2
    assert rows.read_bytes() == before
