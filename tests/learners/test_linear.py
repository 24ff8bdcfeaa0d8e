"""Linear models: the optimum of the stated objective, sparsity, and bounded predictions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression

from modelwright.features.matrix import Layout, Matrix
from modelwright.learners.linear import Linear
from modelwright.learners.logistic import fit_logistic


def matrix(values: np.ndarray, text: sparse.csr_matrix | None = None) -> Matrix:
    layout = Layout(tuple(f"x{j}" for j in range(values.shape[1])), (), (), text_terms=0 if text is None else text.shape[1])
    return Matrix(values.astype(np.float32), np.zeros((len(values), 0), dtype=np.int32), text, layout)


@pytest.mark.parametrize(("l1_ratio", "solver"), [(0.0, "lbfgs"), (1.0, "saga"), (0.5, "saga")])
def test_logistic_regression_finds_the_optimum_of_the_reference(l1_ratio: float, solver: str) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = (X[:, :6] - X[:, :6].mean(axis=0)) / X[:, :6].std(axis=0)
    weight = np.where(y == 1, 1.5, 0.5)
    weight = weight / weight.mean()

    ours = fit_logistic(X, y, 2, weight, alpha=2.0, l1_ratio=l1_ratio, max_iter=2000)

    reference = LogisticRegression(C=0.5, l1_ratio=l1_ratio, solver=solver, max_iter=20000, tol=1e-8, random_state=0)
    reference.fit(X, y, sample_weight=weight)
    assert ours.stopped == "converged"
    assert ours.coefficients[:, 0] == pytest.approx(reference.coef_[0], abs=5e-3)
    assert ours.intercept[0] == pytest.approx(reference.intercept_[0], abs=5e-3)


def test_lasso_sets_coefficients_of_noise_to_exactly_zero() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(300, 20))
    y = (values[:, 0] + 0.3 * generator.normal(size=300) > 0).astype(np.int64)
    learner = Linear({"alpha": 20.0, "l1_ratio": 1.0}, task="binary", n_classes=2)

    learner.fit(matrix(values), y)

    assert learner.coefficients_[0, 0] > 0
    assert (learner.coefficients_[1:, 0] == 0).mean() > 0.8


def test_stronger_penalty_gives_smaller_coefficients() -> None:
    X, y = load_diabetes(return_X_y=True)
    sizes = []
    for alpha in (1e-4, 10.0, 1000.0):
        learner = Linear({"alpha": alpha}, task="regression")
        learner.fit(matrix(X), y)
        sizes.append(np.abs(learner.coefficients_).sum())

    assert sizes[0] > sizes[1] > sizes[2]


def test_regression_does_not_run_beyond_the_widened_training_range() -> None:
    values = np.linspace(0.0, 1.0, 50)[:, None]
    learner = Linear({"alpha": 1e-4}, task="regression")
    learner.fit(matrix(values), 10.0 * values[:, 0])

    assert learner.predict(matrix(np.array([[1000.0], [-1000.0], [0.5]]))).tolist() == pytest.approx(
        [15.0, -5.0, 5.0], abs=1e-2
    )


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_sparse_text_is_read_beside_the_numbers(task: str) -> None:
    generator = np.random.default_rng(0)
    words = sparse.random(200, 30, density=0.2, format="csr", dtype=np.float32, rng=np.random.default_rng(1))
    signal = np.asarray(words[:, 3].todense())[:, 0] * 5.0
    X = matrix(generator.normal(size=(200, 2)), words)
    y = signal.astype(np.float64) if task == "regression" else (signal > 0).astype(np.int64)
    learner = Linear({"alpha": 0.01}, task=task, n_classes=0 if task == "regression" else 2)  # type: ignore[arg-type]

    learner.fit(X, y)

    predicted = learner.predict(X)
    score = np.corrcoef(predicted if task == "regression" else predicted[:, 1], y)[0, 1]
    assert score > 0.9


def test_work_bound_is_told_in_the_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelwright.learners.linear._WORK", 0.0)
    monkeypatch.setattr("modelwright.learners.linear._FEWEST_ITERATIONS", 2)
    X, y = load_breast_cancer(return_X_y=True)
    learner = Linear(task="binary", n_classes=2)

    result = learner.fit(matrix(X), y.astype(np.int64))

    assert result.notes == ["The solver was stopped after 2 iterations, before it had converged."]
    assert result.curve is not None
    assert result.curve.training[1] < result.curve.training[0]


def test_elastic_net_that_has_not_converged_says_so_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelwright.learners.linear._WORK", 0.0)
    monkeypatch.setattr("modelwright.learners.linear._FEWEST_ITERATIONS", 1)
    X, y = load_diabetes(return_X_y=True)

    result = Linear({"alpha": 1e-3, "l1_ratio": 0.5}, task="regression").fit(matrix(X), y)

    assert any("did not converge" in note for note in result.notes)
