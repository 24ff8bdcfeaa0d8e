"""Explanations of a whole model: columns of the user, sums that hold, members without an exact form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from modelwright.artifacts.explain import explain
from modelwright.artifacts.model import Member, Model
from modelwright.ensembles.calibration import Calibration
from modelwright.errors import InvalidInputError, ModelwrightError
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.tables.conform import conform
from modelwright.tables.read import read
from modelwright.tables.types import infer_schema

CHURN = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    frame = read(str(CHURN)).frame.head(600)
    words = pl.Series(["late payer asks for help", "content and quiet", "asks for a discount"] * 200)
    return frame.drop("customerID").with_columns(note=words + pl.Series(np.arange(600).astype(str)))


def _model(rows: pl.DataFrame, algorithms: dict[str, float], calibration: Calibration | None = None) -> Model:
    schema = infer_schema(
        rows,
        target="Churn",
        task="binary",
        time=None,
        group=None,
        weight=None,
        exclude=(),
        types={"note": "text"},
        missing_values=(),
    )
    frame, _ = conform(rows, schema, columns=schema.features)
    encoder = Encoder.fit(frame, schema)
    y = (rows["Churn"] == "Yes").to_numpy().astype(np.int64)
    members = []
    for name, weight in algorithms.items():
        params = {"n_estimators": 15} if name in ("lightgbm", "extra_trees") else {}
        learner = registry.create(name, params, task="binary", n_classes=2, seed=0)
        learner.fit(encoder.transform(frame), y)
        members.append(Member(learner, weight, 0))
    return Model(
        task="binary",
        target="Churn",
        classes=["No", "Yes"],
        schema=schema,
        encoders=[encoder],
        members=members,
        calibration=calibration,
    )


def test_contributions_of_an_ensemble_add_up_to_the_calibrated_prediction(rows: pl.DataFrame) -> None:
    model = _model(rows, {"lightgbm": 0.5, "linear": 0.3, "extra_trees": 0.2}, Calibration("temperature", 1.7))
    found = explain(model, rows.head(25))
    assert found.exact
    assert found.columns == [c.name for c in model.schema.features]
    np.testing.assert_allclose(found.prediction, model.predict_proba(rows.head(25)), atol=1e-6)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.prediction, atol=1e-9)
    assert np.abs(found.values[:, found.columns.index("note")]).max() > 0
    # What one class gains the other loses.
    np.testing.assert_allclose(found.values[:, :, 0], -found.values[:, :, 1], atol=1e-6)


def test_a_row_is_explained_alike_alone_and_among_others(rows: pl.DataFrame) -> None:
    model = _model(rows, {"lightgbm": 0.6, "extra_trees": 0.4})
    together, alone = explain(model, rows.head(9)), explain(model, rows[3:4])
    np.testing.assert_allclose(together.values[3], alone.values[0], atol=1e-12)


def test_a_member_without_an_exact_form_is_sampled_and_said_so(rows: pl.DataFrame) -> None:
    model = _model(rows, {"svm": 0.5, "lightgbm": 0.5})
    with pytest.raises(InvalidInputError, match="background"):
        explain(model, rows.head(3))
    found = explain(model, rows.head(3), background=rows)
    assert not found.exact
    np.testing.assert_allclose(found.prediction, model.predict_proba(rows.head(3)), atol=1e-6)


def test_a_missing_column_is_named(rows: pl.DataFrame) -> None:
    model = _model(rows, {"lightgbm": 1.0})
    with pytest.raises(ModelwrightError, match="tenure"):
        explain(model, rows.drop("tenure").head(3))


def test_the_frame_holds_a_line_a_row_and_class(rows: pl.DataFrame) -> None:
    found = explain(_model(rows, {"lightgbm": 1.0}), rows.head(4)).frame()
    assert found.height == 8
    assert found.columns[:4] == ["row", "class", "prediction", "base"]
    total = found["base"] + found.select(pl.sum_horizontal(found.columns[4:])).to_series()
    np.testing.assert_allclose(total.to_numpy(), found["prediction"].to_numpy(), atol=1e-9)
