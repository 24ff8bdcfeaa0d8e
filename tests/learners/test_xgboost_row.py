"""Single rows through XGBoost's own call give what a batch gives."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.learners import xgboost_row
from modelwright.learners.xgboost_row import Kind, RowCall

xgboost = pytest.importorskip("xgboost")


@pytest.mark.parametrize("objective", ["reg:squarederror", "binary:logistic", "multi:softprob"])
@pytest.mark.parametrize("kind", ["value", "margin"])
@pytest.mark.parametrize("usable", [True, False])
def test_rows_alone_equal_the_batch(objective: str, usable: bool, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)).astype(np.float32)
    X[:, 2] = rng.integers(0, 5, 200)
    X[rng.random(X.shape) < 0.1] = np.nan
    y = (np.nan_to_num(X[:, 0]) > 0).astype(int) + (np.nan_to_num(X[:, 2]) > 2 if objective.startswith("multi") else 0)
    data = xgboost.DMatrix(X, label=y, feature_types=["q", "q", "c"], enable_categorical=True)
    settings = {"objective": objective, "nthread": 1} | ({"num_class": 3} if objective.startswith("multi") else {})
    booster = xgboost.train(settings, data, 10)
    if not usable:
        monkeypatch.setattr(xgboost_row, "_usable", lambda booster: False)
    call = RowCall(booster, 3, kind)
    together = booster.inplace_predict(X[:50], predict_type=kind)
    np.testing.assert_array_equal(np.concatenate([call(row) for row in X[:50]]), together)
