"""``modelwright audit``: what is found, what it costs, strictness, mends and waivers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.cli.main import main

CHURN = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture
def leaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The churn table with a column that is filled in after the customer left."""
    monkeypatch.chdir(tmp_path)
    table = pl.read_csv(CHURN, infer_schema_length=None).head(3000)
    rng = np.random.default_rng(0)
    left = (table["Churn"] == "Yes").to_numpy()
    fee = np.where(left, rng.integers(10, 90, table.height), 0)
    path = tmp_path / "leaky.csv"
    table.with_columns(pl.Series("closing_fee", fee)).write_csv(path)
    return path


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(each) for each in arguments])
    return int(left.value.code or 0)


def test_a_leak_is_named_with_its_cost_and_its_mend(leaky: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("audit", leaky, "--target", "Churn", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    found = next(f for f in result["findings"] if f["columns"] == ["closing_fee"] and f["severity"] == "critical")
    assert found["cost"]["as_is"] > 0.99
    assert 0.7 < found["cost"]["mended"] < 0.9
    assert found["mend"]
    assert found["fix"] == {"exclude": ["closing_fee"]}
    assert result["critical"] >= 1


def test_strict_ends_with_code_3_until_the_finding_is_mended(leaky: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("audit", leaky, "--target", "Churn", "--strict", "--no-costs") == 3
    assert "closing_fee" in capsys.readouterr().out
    assert _run("audit", leaky, "--target", "Churn", "--fix", "--no-costs") == 0
    assert "closing_fee" in Path("modelwright.toml").read_text()
    assert _run("audit", "--strict", "--no-costs") == 0


def test_a_waived_finding_stays_with_who_when_and_why(leaky: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = modelwright.audit_table(leaky, target="Churn", costs=False)
    waive = [{"finding": f.name, "reason": "paid in advance", "by": "ada"} for f in record.critical]
    accepted = modelwright.audit_table(leaky, target="Churn", costs=False, waive=waive)
    assert accepted.critical == []
    assert len(accepted.findings) == len(record.findings)
    waiver = next(f.waiver for f in accepted.findings if f.waiver)
    assert (waiver.reason, waiver.by) == ("paid in advance", "ada")
    assert waiver.at.startswith("20")


def test_a_waiver_of_nothing_is_refused_with_the_nearest_name(leaky: Path) -> None:
    with pytest.raises(modelwright.ModelwrightError, match=r"Did you mean 'target_proxy:closing_fee'"):
        modelwright.audit_table(
            leaky, target="Churn", costs=False, waive=[{"finding": "target_proxy:closing_fe", "reason": "typo"}]
        )


def test_a_column_may_divide_the_table(tmp_path: Path) -> None:
    table = pl.read_csv(CHURN, infer_schema_length=None).head(1000).with_columns(part=pl.lit("train"))
    table = table.with_columns(part=pl.when(pl.int_range(pl.len()) >= 800).then(pl.lit("test")).otherwise("part"))
    audit = modelwright.audit_table(table, target="Churn", split="part", costs=False)
    assert "800 train, 200 evaluate" in audit.record.split_sentence
    assert not any("part" in f.columns for f in audit.findings if f.severity != "info")
    with pytest.raises(modelwright.ModelwrightError, match="neither for training nor"):
        modelwright.audit_table(table, target="Churn", split="gender", costs=False)
    with pytest.raises(modelwright.ModelwrightError, match="Did you mean 'part'"):
        modelwright.audit_table(table, target="Churn", split="prat", costs=False)


def test_the_audit_shows_itself_in_notebooks() -> None:
    audit = modelwright.audit_table(CHURN, target="Churn", costs=False)
    assert "critical" in repr(audit)
    assert audit.table.columns == ["severity", "finding", "message", "cost", "mend"]
    assert "<table>" in audit._repr_html_()
