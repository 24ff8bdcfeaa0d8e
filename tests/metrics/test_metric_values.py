"""Metrics agree with scikit-learn, obey weights, and survive small folds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from modelwright.errors import SpecError
from modelwright.metrics import registry
from modelwright.metrics.clustering import silhouette_rows

N = 400


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def _binary(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = rng.integers(0, 2, N)
    p = np.clip(np.round(0.3 * y + rng.random(N) * 0.7, 2), 0.01, 0.99)  # rounding makes ties
    return y, np.column_stack([1 - p, p]), rng.integers(1, 4, N).astype(float)


def _multi(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = rng.integers(0, 4, N)
    raw = rng.random((N, 4)) + 0.8 * np.eye(4)[y]
    return y, raw / raw.sum(axis=1, keepdims=True), rng.integers(1, 4, N).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("roc_auc", lambda y, p, w: sk.roc_auc_score(y, p[:, 1], sample_weight=w)),
        ("log_loss", lambda y, p, w: sk.log_loss(y, p, sample_weight=w)),
        ("brier", lambda y, p, w: sk.brier_score_loss(y, p[:, 1], sample_weight=w)),
        ("average_precision", lambda y, p, w: sk.average_precision_score(y, p[:, 1], sample_weight=w)),
        ("accuracy", lambda y, p, w: sk.accuracy_score(y, p[:, 1] > 0.5, sample_weight=w)),
        ("balanced_accuracy", lambda y, p, w: sk.balanced_accuracy_score(y, p[:, 1] > 0.5, sample_weight=w)),
        ("f1", lambda y, p, w: sk.f1_score(y, p[:, 1] > 0.5, sample_weight=w)),
        ("f1_macro", lambda y, p, w: sk.f1_score(y, p[:, 1] > 0.5, sample_weight=w, average="macro")),
        ("precision", lambda y, p, w: sk.precision_score(y, p[:, 1] > 0.5, sample_weight=w)),
        ("recall", lambda y, p, w: sk.recall_score(y, p[:, 1] > 0.5, sample_weight=w)),
        ("mcc", lambda y, p, w: sk.matthews_corrcoef(y, p[:, 1] > 0.5, sample_weight=w)),
    ],
)
def test_binary_metrics_agree_with_scikit_learn(name, reference, weighted, rng):
    y, proba, weight = _binary(rng)
    w = weight if weighted else None
    assert registry.score(registry.get(name, "binary"), y, proba, w) == pytest.approx(reference(y, proba, w), abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("roc_auc_ovr", lambda y, p, w: sk.roc_auc_score(y, p, multi_class="ovr", sample_weight=w)),
        ("log_loss", lambda y, p, w: sk.log_loss(y, p, sample_weight=w)),
        ("brier", lambda y, p, w: sk.brier_score_loss(y, p, sample_weight=w)),
        ("accuracy", lambda y, p, w: sk.accuracy_score(y, p.argmax(1), sample_weight=w)),
        ("balanced_accuracy", lambda y, p, w: sk.balanced_accuracy_score(y, p.argmax(1), sample_weight=w)),
        ("f1_macro", lambda y, p, w: sk.f1_score(y, p.argmax(1), sample_weight=w, average="macro")),
        ("mcc", lambda y, p, w: sk.matthews_corrcoef(y, p.argmax(1), sample_weight=w)),
    ],
)
def test_multiclass_metrics_agree_with_scikit_learn(name, reference, weighted, rng):
    y, proba, weight = _multi(rng)
    w = weight if weighted else None
    assert registry.score(registry.get(name, "multiclass"), y, proba, w) == pytest.approx(reference(y, proba, w), abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("rmse", sk.root_mean_squared_error),
        ("mae", sk.mean_absolute_error),
        ("r2", sk.r2_score),
        ("mape", sk.mean_absolute_percentage_error),
        ("rmsle", sk.root_mean_squared_log_error),
    ],
)
def test_regression_metrics_agree_with_scikit_learn(name, reference, weighted, rng):
    y = rng.gamma(2.0, 3.0, N) + 0.1
    value = y * rng.uniform(0.5, 1.5, N)
    w = rng.integers(1, 4, N).astype(float) if weighted else None
    assert registry.score(registry.get(name, "regression"), y, value, w) == pytest.approx(reference(y, value, sample_weight=w))


@pytest.mark.parametrize("name", sorted(set(registry.METRICS) - {"silhouette", "davies_bouldin", "adjusted_rand"}))
def test_a_weight_of_two_equals_the_row_twice(name, rng):
    metric = registry.METRICS[name]
    task = metric.tasks[0]
    if task == "regression":
        y, prediction, weight = rng.random(N), rng.random(N), rng.integers(0, 4, N).astype(float)
    else:
        y, prediction, weight = _multi(rng) if task == "multiclass" else _binary(rng)
    twice = np.repeat(np.arange(N), weight.astype(int))
    expected = registry.score(metric, y[twice], prediction[twice])
    assert registry.score(metric, y, prediction, weight) == pytest.approx(expected, abs=1e-12)


def test_auc_by_hand_counts_ties_as_half():
    y = np.array([0, 0, 1, 1])
    p = np.array([0.1, 0.5, 0.5, 0.9])
    # Four pairs: three won, one tied.
    assert registry.METRICS["roc_auc"].score(y, np.column_stack([1 - p, p]), None) == 0.875


def test_metrics_of_a_fold_with_one_class_are_nan_or_a_number_but_never_an_error():
    proba = np.array([[0.7, 0.3], [0.4, 0.6]])
    y = np.array([0, 0])
    values = {name: registry.score(registry.METRICS[name], y, proba) for name in registry.names("binary")}
    assert np.isnan(values["roc_auc"])
    assert np.isnan(values["average_precision"])
    assert values["accuracy"] == 0.5


def test_certain_and_wrong_probability_gives_a_finite_log_loss():
    assert registry.METRICS["log_loss"].score(np.array([1]), np.array([[1.0, 0.0]]), None) == pytest.approx(36.04, abs=0.01)


def test_silhouette_agrees_with_scikit_learn_and_counts_noise_as_zero(rng):
    X = np.vstack([rng.normal(0, 1, (50, 2)), rng.normal(6, 1, (50, 2))])
    labels = np.repeat([0, 1], 50)
    metric = registry.get("silhouette", "clustering")
    assert metric.score(X, labels, None) == pytest.approx(sk.silhouette_score(X, labels))
    labels[:10] = -1
    assert (silhouette_rows(X, labels)[:10] == 0).all()
    assert np.isnan(metric.score(X, np.zeros(100, dtype=int), None))


def test_threshold_decides_the_label_of_two_classes():
    proba = np.array([[0.7, 0.3], [0.2, 0.8]])
    assert registry.labels_from(proba).tolist() == [0, 1]
    assert registry.labels_from(proba, 0.3).tolist() == [1, 1]
    assert registry.score(registry.METRICS["recall"], np.array([1, 1]), proba, threshold=0.3) == 1.0


@pytest.mark.parametrize(
    ("name", "task", "found"),
    [
        ("AUC", "binary", "roc_auc"),
        ("auc", "multiclass", "roc_auc_ovr"),
        ("logloss", "binary", "log_loss"),
        ("R2-score", "regression", "r2"),
    ],
)
def test_common_names_are_understood(name, task, found):
    assert registry.get(name, task).name == found


def test_unknown_metric_names_the_nearest():
    with pytest.raises(SpecError, match=r"'acuracy' is not a metric\. Did you mean 'accuracy'\?"):
        registry.get("acuracy", "binary")


def test_metric_of_another_task_lists_those_that_fit():
    with pytest.raises(SpecError, match=r"'rmse' does not score a binary task.*roc_auc"):
        registry.get("rmse", "binary")


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "clustering"])
def test_default_and_companions_fit_their_task(task):
    for name in [registry.default_metric(task).name, *registry.companions(task)]:
        assert registry.get(name, task).name == name
