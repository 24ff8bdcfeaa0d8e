"""Support vector machine: the exact solution, its probabilities, and the approximation beyond its size."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.svm import SVC

from modelwright.features.matrix import Layout, Matrix
from modelwright.learners import svm
from modelwright.learners.svm import SupportVectorMachine, fit_sigmoid


def matrix(values: np.ndarray) -> Matrix:
    layout = Layout(tuple(f"x{j}" for j in range(values.shape[1])), (), ())
    return Matrix(values.astype(np.float32), np.zeros((len(values), 0), dtype=np.int32), None, layout)


def test_decision_values_equal_those_of_the_reference() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X, y = matrix(X[:200]), y[:200].astype(np.int64)
    learner = SupportVectorMachine({"C": 3.0}, task="binary", n_classes=2)
    learner.fit(X, y)

    scaled = learner.coder_.transform(X)
    reference = SVC(C=3.0, gamma=learner.width_).fit(scaled, y)
    proba = learner.predict(X)[:, 1]
    decision = (np.log(proba / (1 - proba)) - learner.offset_[0]) / learner.slope_[0]

    assert decision == pytest.approx(reference.decision_function(scaled), abs=1e-4)


def test_only_support_vectors_are_kept() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    learner = SupportVectorMachine({"C": 10.0}, task="binary", n_classes=2)
    learner.fit(matrix(X), y.astype(np.int64))

    assert len(learner.vectors_) < 0.5 * len(X)


@pytest.mark.parametrize("exact_rows", [3000, 0])
def test_classes_are_told_apart_exactly_and_approximately(monkeypatch: pytest.MonkeyPatch, exact_rows: int) -> None:
    monkeypatch.setattr(svm, "EXACT_ROWS", exact_rows)
    X, y = load_wine(return_X_y=True)
    learner = SupportVectorMachine({"C": 10.0}, task="multiclass", n_classes=3)

    result = learner.fit(matrix(X[::2]), y[::2].astype(np.int64))

    proba = learner.predict(matrix(X[1::2]))
    assert (proba.argmax(axis=1) == y[1::2]).mean() > 0.93
    assert any("Approximated" in note for note in result.notes) == (exact_rows == 0)


@pytest.mark.parametrize("exact_rows", [3000, 0])
def test_regression_beats_the_mean_clearly(monkeypatch: pytest.MonkeyPatch, exact_rows: int) -> None:
    monkeypatch.setattr(svm, "EXACT_ROWS", exact_rows)
    X, y = load_diabetes(return_X_y=True)
    learner = SupportVectorMachine(task="regression")
    learner.fit(matrix(X[::2]), y[::2])

    assert np.mean((learner.predict(matrix(X[1::2])) - y[1::2]) ** 2) < 0.65 * np.var(y[1::2])


def test_sigmoid_recovers_known_slope_and_offset() -> None:
    generator = np.random.default_rng(0)
    decision = generator.normal(size=20_000) * 2.0
    positive = generator.random(20_000) < 1.0 / (1.0 + np.exp(-(1.5 * decision - 0.5)))

    slope, offset = fit_sigmoid(decision, positive, np.ones(20_000))

    assert slope == pytest.approx(1.5, abs=0.06)
    assert offset == pytest.approx(-0.5, abs=0.06)


def test_sigmoid_never_turns_the_ranking_around() -> None:
    decision = np.linspace(-1.0, 1.0, 40)

    slope, _ = fit_sigmoid(decision, decision < 0, np.ones(40))

    assert slope == 0.0
