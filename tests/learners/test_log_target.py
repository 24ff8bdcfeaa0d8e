"""Regression through the logarithm of the target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelwright.features.matrix import Layout, Matrix
from modelwright.learners import registry
from modelwright.learners.base import Validation
from modelwright.learners.contributions import contributions

SETTINGS = {
    "lightgbm": {"n_estimators": 150, "learning_rate": 0.1},
    "catboost": {"n_estimators": 150, "learning_rate": 0.1},
    "xgboost": {"n_estimators": 150, "learning_rate": 0.1},
    "network": {"n_epochs": 8},
    "linear": {},
}


def rows(n: int, seed: int) -> tuple[Matrix, np.ndarray]:
    """A target whose noise grows with its size: the logarithm is its scale."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    y = np.exp(3.0 + x[:, 0] + 0.5 * x[:, 1] + 0.6 * rng.normal(size=n))
    return Matrix(x, np.zeros((n, 0), dtype=np.int32), None, Layout(("a", "b", "c", "d"), (), ())), y


@pytest.fixture(params=list(SETTINGS))
def fitted(request: pytest.FixtureRequest):
    name = request.param
    pytest.importorskip({"network": "torch", "linear": "sklearn"}.get(name, name))
    X, y = rows(1500, 0)
    V, v = rows(1500, 1)
    learner = registry.create(name, SETTINGS[name] | {"log_target": 1.0}, task="regression")
    return name, learner, learner.fit(X, y, validation=Validation(V, v)), X, y


def test_mean_of_predictions_meets_the_mean_of_the_target(fitted) -> None:
    _, learner, result, *_ = fitted
    T, t = rows(6000, 2)
    factor = result.learned["log_target"]

    assert 1.05 < factor < 1.6, "noise of 0.6 in the logarithm asks for exp(0.6 ** 2 / 2) = 1.20"
    assert learner.predict(T).mean() == pytest.approx(t.mean(), rel=0.08)
    assert learner.predict(T).min() >= 0
    assert result.curve is None or result.curve.loss == "rmsle"


def test_final_fit_takes_the_factor_over_and_is_saved(fitted, tmp_path: Path) -> None:
    name, _, result, X, y = fitted
    params = SETTINGS[name] | result.learned
    learner = registry.create(name, params, task="regression")
    assert not learner.fit(X, y).learned
    learner.save(tmp_path)
    T, _ = rows(200, 3)

    assert np.array_equal(registry.load(name, tmp_path).predict(T), learner.predict(T))
    plain = registry.create(name, params | {"log_target": 1.0}, task="regression")
    plain.fit(X, y)
    assert learner.predict(T) == pytest.approx(plain.predict(T) * result.learned["log_target"], rel=1e-3) or name == "network"


def test_negative_targets_stay_as_they_are(fitted) -> None:
    name, _, _, X, y = fitted
    learner = registry.create(name, SETTINGS[name] | {"log_target": 1.0}, task="regression")
    assert not learner.fit(X, y - 100.0, validation=Validation(X, y - 100.0)).learned
    assert learner.predict(X).min() < 0


@pytest.mark.parametrize("name", ["lightgbm", "catboost", "xgboost", "linear"])
def test_contributions_add_up_behind_the_logarithm(name: str) -> None:
    X, y = rows(800, 0)
    learner = registry.create(name, SETTINGS[name] | {"log_target": 1.2}, task="regression")
    learner.fit(X, y)
    T, _ = rows(50, 4)
    part = contributions(learner, T)

    assert part is not None
    assert part.base[0] + part.columns.sum(axis=1)[:, 0] == pytest.approx(learner.predict(T), rel=1e-5)
