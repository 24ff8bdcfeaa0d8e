"""What a packaged model costs, measured on a real one."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from modelwright.artifacts.bundle import load_bundle, write_bundle
from modelwright.artifacts.measure import measure, single_row_seconds
from modelwright.artifacts.model import Member, Model
from modelwright.artifacts.reading import read_out
from modelwright.errors import BundleError, InvalidInputError
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.tables.conform import conform
from modelwright.tables.read import read
from modelwright.tables.types import infer_schema

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return read(TELCO).frame.head(600)


def packaged(rows: pl.DataFrame, folder: Path, algorithm: str, **params: object) -> Path:
    """A model of one member, as training packages it."""
    features = rows.drop("customerID", "Churn")
    schema = infer_schema(features, target=None)
    frame, _ = conform(features, schema)
    encoder = Encoder.fit(frame, schema)
    learner = registry.create(algorithm, params, task="binary", n_classes=2)
    learner.fit(encoder.transform(frame), (rows["Churn"] == "Yes").to_numpy().astype(np.int64))
    model = Model(
        task="binary", target="Churn", classes=["No", "Yes"], schema=schema, encoders=[encoder],
        members=[Member(learner, 1.0, 0)],
    )  # fmt: skip
    write_bundle(model, folder, libraries={}, lineage={})
    return folder


@pytest.fixture(scope="module")
def linear(rows: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(rows, tmp_path_factory.mktemp("linear") / "model", "linear")


def test_a_package_is_measured_as_it_lies_on_the_disk(linear: Path, rows: pl.DataFrame) -> None:
    found = measure(linear, rows, time_limit_s=0.3)
    assert 1e-6 < found.single_row_s <= found.single_row_p95_s < 0.1
    assert found.batch_rows >= 1000
    # A batch spares what every call costs.
    assert found.batch_rows_per_s > 1 / found.single_row_s
    assert found.size_bytes == sum(path.stat().st_size for path in linear.rglob("*") if path.is_file())
    assert found.n_calls >= 1


def test_the_time_limit_bounds_the_calls(linear: Path, rows: pl.DataFrame) -> None:
    ticks = iter(range(10_000))
    # Every look at the clock is a second later than the one before: one call, one batch.
    found = measure(load_bundle(linear), rows, time_limit_s=0.5, clock=lambda: float(next(ticks)))
    assert (found.n_calls, found.batch_rows, found.single_row_s, found.size_bytes) == (1, 1000, 1.0, 0)


def test_a_model_that_is_slower_is_measured_as_slower(
    linear: Path, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = single_row_seconds(load_bundle(linear), rows, time_limit_s=0.1)
    model = load_bundle(linear)
    learner, predict = model.members[0].learner, model.members[0].learner.predict
    # Compiled rows ask the learner: 20 ms are far beyond what a busy machine adds to the median.
    monkeypatch.setattr(learner, "predict", lambda X: (time.sleep(0.02), predict(X))[1])
    assert single_row_seconds(model, rows, time_limit_s=0.2) >= 0.02 > quick


def test_no_rows_and_no_package_are_refused(linear: Path, rows: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no row"):
        measure(linear, rows.head(0))
    with pytest.raises(BundleError, match="not a model folder"):
        measure(tmp_path, rows)


def test_the_table_of_coefficients_gives_the_probability_by_hand(rows: pl.DataFrame, tmp_path: Path) -> None:
    folder = packaged(rows, tmp_path / "model", "linear", skew="none")
    model = load_bundle(folder)
    found = read_out(model, folder)
    assert found is not None
    assert (found.kind, found.outputs) == ("linear", ["Yes"])
    assert {"per 1", "if 'Month-to-month'"} <= {term.meaning for term in found.terms}
    conformed, _ = conform(rows, model.schema, columns=model.schema.features)
    for place in (3, 50, 488):
        row = conformed.row(place, named=True)
        total = found.intercept[0]
        for term in found.terms:
            cell = row[term.column]
            if term.meaning == "per 1":
                total += term.coefficients[0] * float(
                    conformed[term.column].cast(pl.Float64).median() if cell is None else cell
                )
            else:
                total += term.coefficients[0] * (term.meaning == ("if missing" if cell is None else f"if {cell!r}"))
        assert 1 / (1 + np.exp(-total)) == pytest.approx(model.predict_proba(rows[place : place + 1])[0, 1], abs=1e-5)


def test_the_rules_of_a_tree_lead_to_its_shares(rows: pl.DataFrame, tmp_path: Path) -> None:
    folder = packaged(rows, tmp_path / "model", "shallow_tree")
    found = read_out(load_bundle(folder), folder)
    assert found is not None
    assert found.kind == "tree"
    assert found.rules[0].startswith("if ")
    assert found.rules[0].endswith(":")
    leaves = {line.strip() for line in found.rules if line.strip().startswith("Yes ")}
    shares = {f"Yes {100 * p:.1f} %" for p in load_bundle(folder).predict_proba(rows)[:, 1]}
    assert shares <= leaves


def test_nobody_can_read_a_booster(rows: pl.DataFrame, tmp_path: Path) -> None:
    folder = packaged(rows, tmp_path / "model", "lightgbm")
    assert read_out(load_bundle(folder), folder) is None
