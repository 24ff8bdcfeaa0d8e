"""Limits on what is delivered, from the spec to the published run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.learners.readable import Term
from modelwright.runs.run import Run


def trained(churn: pl.DataFrame, home: Path, **options: object) -> Run:
    return modelwright.train(
        churn,
        target="Churn",
        trials=4,
        algorithms=["linear", "lightgbm"],
        home=home,
        **options,  # type: ignore[arg-type]
    )


def test_the_delivered_model_is_measured_as_packaged(run: Run) -> None:
    figures = run.record.figures
    assert figures is not None
    assert figures.delivered is not None
    measured = figures.delivered.measured
    assert 0 < measured.single_row_s <= measured.single_row_p95_s < 0.5
    assert measured.batch_rows_per_s > 1_000
    assert measured.size_bytes == sum(path.stat().st_size for path in (run.folder / "model").rglob("*") if path.is_file())
    members = {member.trial for member in run.record.plan.members}
    assert members <= {each.trial for each in figures.candidates if each.single_row_s is not None}


def test_a_size_limit_is_kept(churn: pl.DataFrame, tmp_path: Path, run: Run) -> None:
    small = trained(churn, tmp_path, max_size="60kB")
    assert sum(path.stat().st_size for path in (small.folder / "model").rglob("*") if path.is_file()) <= 60_000
    assert [member.algorithm for member in small.record.plan.members] == ["linear"]
    assert small.record.figures is not None
    assert small.record.figures.broken == []


def test_a_limit_that_nothing_keeps_is_broken_loudly(churn: pl.DataFrame, tmp_path: Path) -> None:
    slow = trained(churn, tmp_path, max_latency="1us")
    assert slow.record.figures is not None
    assert slow.record.figures.broken == ["latency"]
    assert any(note.startswith("NO MODEL KEEPS TO THE LIMITS (0.001 ms a row)") for note in slow.record.notes)
    assert any(barrier.startswith("The model takes") for barrier in slow.record.barriers)
    assert len(slow.record.plan.members) == 1


def test_an_interpretable_model_is_one_member_that_the_report_shows(churn: pl.DataFrame, tmp_path: Path) -> None:
    plain = modelwright.train(churn, target="Churn", trials=3, interpretable=True, home=tmp_path)
    assert len(plain.record.plan.members) == 1
    assert plain.record.readable is not None
    assert "The model itself" in plain.report.read_text(encoding="utf-8")


def _by_hand(term: Term, rows: pl.DataFrame) -> pl.Series:
    """What a term adds, from what is said of it."""
    column, (coefficient,) = rows[term.column], term.coefficients
    if level := re.fullmatch(r"if '(.*)'", term.meaning):
        return (column == level[1]) * coefficient
    if term.meaning == "per 1":
        return column * coefficient
    bent = re.fullmatch(r"per 1 of log\(1 \+ \|x - (.*)\| / (.*)\), negative below \1", term.meaning)
    assert bent is not None, term.meaning
    far = column - float(bent[1])
    return (far.abs() / float(bent[2]) + 1).log() * far.sign() * coefficient


@pytest.mark.parametrize("skew", ["none", "log"])
def test_a_linear_model_of_the_logarithm_is_followed_by_hand(churn: pl.DataFrame, tmp_path: Path, skew: str) -> None:
    rows = churn.select("tenure", "MonthlyCharges", "Contract", "TotalCharges").drop_nulls()
    rows = rows.with_columns(((pl.col("tenure") / 20).exp() + 100).alias("grown"))
    settings = {"linear": {"log_target": [1.0], "skew": [skew]}}
    run = modelwright.train(rows, target="TotalCharges", trials=1, interpretable=True, hyperparams=settings, home=tmp_path)
    found = run.record.readable
    assert found is not None
    assert any(term.meaning.startswith("per 1 of log") for term in found.terms) == (skew == "log")
    factor = re.search(r"The prediction is ([\d.]+) \* \(exp\(s\) - 1\)", found.sentence)
    assert factor is not None
    assert float(factor[1]) == pytest.approx(found.log_factor, rel=1e-5)
    assert ">prediction times<" in run.report.read_text(encoding="utf-8")
    s = sum((_by_hand(term, rows) for term in found.terms), start=pl.repeat(found.intercept[0], rows.height, eager=True))
    predicted = np.asarray(run.model.predict(rows.drop("TotalCharges")))
    inside = predicted < 0.99 * predicted.max()  # beyond the range that it has seen the model stands still
    assert inside.mean() > 0.9
    by_hand = (float(factor[1]) * (s.exp() - 1)).to_numpy()
    np.testing.assert_allclose(predicted[inside], by_hand[inside], rtol=1e-3)  # places of a bend are shown with 6 digits


@pytest.mark.parametrize("skewed", [False, True])
def test_a_skewed_target_has_a_readable_model_of_its_logarithm(churn: pl.DataFrame, tmp_path: Path, skewed: bool) -> None:
    rows = churn.select("tenure", "Contract", "PaymentMethod", "MonthlyCharges")
    if skewed:
        rows = rows.with_columns((pl.col("MonthlyCharges") / 12).exp())
    run = modelwright.train(rows, target="MonthlyCharges", trials=6, interpretable=True, home=tmp_path)
    tried = [trial.params for trial in run.record.trials if trial.algorithm == "linear"]
    assert {params["skew"] for params in tried} == {"none", "log"}
    assert any(params.get("log_target") for params in tried) == skewed


@pytest.mark.parametrize("column", ["front", "single_row_s", "rows_per_s", "low", "high"])
def test_the_leaderboard_has_the_columns_that_are_weighed(run: Run, column: str) -> None:
    board = run.leaderboard
    assert board["algorithm"][0] == "delivered model"
    assert board[column][0] is not None
