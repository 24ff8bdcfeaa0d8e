"""The temperature of a classifier's outputs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from modelwright.features.matrix import Layout, Matrix
from modelwright.learners.base import Validation
from modelwright.learners.network import Network
from modelwright.learners.temperature import HIGH, LOW, best_temperature


def log_loss(output, target, temperature, weight=None):
    return np.average(-log_softmax(output / temperature, axis=1)[np.arange(len(target)), target], weights=weight)


@pytest.fixture(scope="module")
def digits():
    """Outputs of a weakly penalised regression, far too sure of itself, for images that it has not seen."""
    data = load_digits()
    model = LogisticRegression(C=1e4, max_iter=300).fit(data.data[:600] / 16, data.target[:600])
    return model.decision_function(data.data[600:] / 16), data.target[600:]


@pytest.mark.parametrize("start", [LOW, 1.0, HIGH])
@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_temperature_has_the_least_log_loss_wherever_the_search_begins(digits, factor, start):
    output, y = digits[0] * factor, digits[1]
    best = minimize_scalar(lambda u: log_loss(output, y, np.exp(u)), bounds=np.log([LOW, HIGH]), method="bounded")

    temperature, loss = best_temperature(output.astype(np.float32), y, start=start)

    assert loss == pytest.approx(log_loss(output, y, temperature), rel=1e-6)
    assert loss == pytest.approx(best.fun, rel=1e-3)
    assert temperature == pytest.approx(np.exp(best.x), rel=0.05)


def test_a_weight_counts_as_so_many_rows(digits):
    output, y = digits[0][:300], digits[1][:300]
    weight = np.random.default_rng(0).integers(1, 4, size=len(y))

    weighed, loss = best_temperature(output, y, weight.astype(float))
    repeated, same = best_temperature(np.repeat(output, weight, axis=0), np.repeat(y, weight))

    assert loss == pytest.approx(same, rel=1e-3)
    assert weighed == pytest.approx(repeated, rel=0.03)


def test_few_rows_that_are_all_right_do_not_make_it_sure(digits):
    output, y = digits
    right = np.flatnonzero(output.argmax(axis=1) == y)[:10]

    temperature, _ = best_temperature(output[right] / 20, y[right])

    assert temperature > 0.25


def test_more_rows_than_are_read_have_their_loss_in_full(digits):
    output, y = np.tile(digits[0], (20, 1)), np.tile(digits[1], 20)

    temperature, loss = best_temperature(output, y)

    assert len(y) > 20_000
    assert loss == pytest.approx(log_loss(output, y, temperature), rel=1e-9)


def images():
    data = load_digits()
    layout = Layout(tuple(f"p{k}" for k in range(64)), (), ())
    codes = np.zeros((len(data.data), 0), dtype=np.int32)
    order = np.random.default_rng(0).permutation(len(data.target))
    X, y = Matrix(data.data.astype(np.float32), codes, None, layout), data.target.astype(np.int64)
    return X.take(order[:400]), y[order[:400]], Validation(X.take(order[400:1000]), y[order[400:1000]])


def test_validation_rows_settle_the_networks_temperature_and_the_final_fit_takes_it_over():
    pytest.importorskip("torch")
    X, y, validation = images()
    watched = Network({"n_epochs": 16, "number_embedding": "none"}, task="multiclass", n_classes=10, seed=3)
    result = watched.fit(X, y, validation=validation)
    logs = np.log(np.maximum(watched.predict(validation.X), 1e-300))

    # Nothing is left to gain by another temperature, but what few rows are not trusted with.
    assert best_temperature(logs, validation.y)[0] == pytest.approx(1.0, abs=0.1)
    assert min(result.curve.validation) == pytest.approx(log_loss(logs, validation.y, 1.0), rel=1e-4)

    params = watched.params | {"n_epochs": result.n_iterations}
    final = Network(params | result.learned, task="multiclass", n_classes=10, seed=3)
    plain = Network(params, task="multiclass", n_classes=10, seed=3)
    final.fit(X, y)
    plain.fit(X, y)
    softened = log_softmax(np.log(plain.predict(validation.X)) / result.learned["temperature"], axis=1)
    assert np.allclose(np.log(final.predict(validation.X)), softened, atol=1e-3)


def test_training_goes_on_while_the_network_learns_though_it_grows_too_sure():
    pytest.importorskip("torch")
    X, y, validation = images()
    network = Network({"n_epochs": 32, "number_embedding": "none", "dropout": 0.0}, task="multiclass", n_classes=10)

    result = network.fit(X, y, validation=validation)

    assert result.learned["temperature"] > 1.2
    assert result.n_iterations > 16
