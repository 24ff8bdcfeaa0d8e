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
from modelwright.learners.boosting import Watch, scores_of
from modelwright.learners.catboost import CatBoost
from modelwright.learners.lightgbm import LightGBM
from modelwright.learners.network import Network
from modelwright.learners.target import Rows
from modelwright.learners.temperature import HIGH, LEAST_LEARNED, best_temperature
from modelwright.learners.xgboost import XGBoost


def log_loss(output, target, temperature, weight=None):
    return np.average(-log_softmax(output / temperature, axis=1)[np.arange(len(target)), target], weights=weight)


@pytest.fixture(scope="module")
def digits():
    """Outputs of a weakly penalised regression, far too sure of itself, for images that it has not seen."""
    data = load_digits()
    model = LogisticRegression(C=1e4, max_iter=300).fit(data.data[:600] / 16, data.target[:600])
    return model.decision_function(data.data[600:] / 16), data.target[600:]


@pytest.mark.parametrize("start", [LEAST_LEARNED, 3.0, HIGH])
@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_temperature_has_the_least_log_loss_wherever_the_search_begins(digits, factor, start):
    output, y = digits[0] * factor, digits[1]
    best = minimize_scalar(lambda u: log_loss(output, y, np.exp(u)), bounds=np.log([LEAST_LEARNED, HIGH]), method="bounded")

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


def test_outputs_are_not_made_surer(digits):
    output, y = digits
    right = np.flatnonzero(output.argmax(axis=1) == y)[:10]

    temperature, loss = best_temperature(output[right] / 20, y[right])

    assert temperature == 1.0
    assert loss == pytest.approx(log_loss(output[right] / 20, y[right], 1.0))


def test_one_wrong_row_of_few_does_not_make_it_unsure_of_everything(digits):
    output, y = digits
    rows = np.flatnonzero(output.argmax(axis=1) == y)[:3]
    wrong = np.append(y[rows[:2]], (y[rows[2]] + 1) % 10)

    few, _ = best_temperature(output[rows], wrong)
    many, _ = best_temperature(np.tile(output[rows], (300, 1)), np.tile(wrong, 300))

    assert 1.0 < few < 0.8 * many


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


@pytest.mark.parametrize("kind", [LightGBM, XGBoost, CatBoost])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_validation_rows_settle_the_temperature_of_boosting_and_the_final_fit_takes_it_over(kind, n_classes):
    X, y, validation = images()
    y, valid_y = y % n_classes, validation.y % n_classes
    task = "binary" if n_classes == 2 else "multiclass"
    watched = kind({"learning_rate": 0.2}, task=task, n_classes=n_classes, seed=3)
    result = watched.fit(X, y, validation=Validation(validation.X, valid_y))
    logs = np.log(np.maximum(watched.predict(validation.X), 1e-300))

    # Nothing is left to gain by a higher temperature, but what few rows are not trusted with.
    assert result.learned["temperature"] > 1.0
    assert best_temperature(logs, valid_y)[0] < 1.1

    params = watched.params | {"n_estimators": result.n_iterations}
    final = kind(params | result.learned, task=task, n_classes=n_classes, seed=3)
    plain = kind(params, task=task, n_classes=n_classes, seed=3)
    final.fit(X, y)
    plain.fit(X, y)
    softened = log_softmax(np.log(plain.predict(validation.X)) / result.learned["temperature"], axis=1)
    # XGBoost's own chances are float32.
    assert np.allclose(final.predict(validation.X), np.exp(softened), atol=1e-5)


@pytest.mark.parametrize("kind", [LightGBM, XGBoost])
def test_rounds_are_kept_in_which_boosting_learns_though_it_grows_too_sure(kind):
    X, y, validation = images()
    # Every ninth label of the validation rows is wrong: to be sure is dear.
    noisy = np.where(np.arange(len(validation.y)) % 9 == 0, (validation.y + 1) % 10, validation.y)
    learner = kind({"learning_rate": 0.1}, task="multiclass", n_classes=10)

    result = learner.fit(X, y, validation=Validation(validation.X, noisy))

    assert result.learned["temperature"] > 1.2
    least = kind({"learning_rate": 0.1, "n_estimators": result.n_iterations // 2}, task="multiclass", n_classes=10)
    least.fit(X, y)
    logs = [np.log(np.maximum(fitted.predict(validation.X), 1e-300)) for fitted in (least, learner)]
    # Half of the rounds are less surprised as they are, all of them once they are less sure.
    assert log_loss(logs[0], noisy, 1.0) < log_loss(logs[1], noisy, 1 / result.learned["temperature"])
    assert best_temperature(logs[0], noisy)[1] > log_loss(logs[1], noisy, 1.0)


def test_the_best_round_is_looked_for_from_the_least_log_loss_on():
    watch = Watch("log_loss", n_rows=1_000, learning_rate=0.1, deadline=None)
    rows = Rows(images()[0].take(np.arange(4)), np.array([0, 1, 0, 1], dtype=np.float32), None)
    sure, calm = scores_of(np.array([0.01, 0.99, 0.02, 0.03])), scores_of(np.array([0.3, 0.7, 0.3, 0.7]))
    told = []
    for n_done, plain in enumerate([0.6, 0.5, 0.52, 0.54, 0.45, 0.46], start=1):
        refined = watch.refined(sure if n_done != 3 else calm, rows)
        watch.stop(n_done, plain, plain, refined)
        told.append(watch.best)

    # Round 3 knows more than round 2; round 5 has less log loss than any before, and what they knew is forgotten.
    assert told == [1, 2, 3, 3, 5, 5]


def test_later_rounds_must_be_better_than_what_the_best_is_known_to_have():
    watch = Watch("log_loss", n_rows=1_000, learning_rate=0.1, deadline=None)
    watch.stop(1, 0.6, 0.6)
    watch.stop(2, 0.4, 0.4)
    watch.stop(3, 0.42, 0.42, 0.3)
    # How sure round 3 was may be said of round 2 as well: that it is tempered does not make it better.
    assert watch.best == 2
    watch.stop(4, 0.43, 0.43, 0.29)
    assert watch.best == 4

    unlike = Watch("log_loss", n_rows=1_000, learning_rate=0.1, deadline=None)
    unlike.stop(1, 0.2, 0.2)
    for n_done, refined in enumerate([0.9, 0.7, 0.5], start=2):  # later rows differ: the second round is far off
        unlike.stop(n_done, 1.0, 1.0, refined)
    assert unlike.best == 1


def test_no_round_up_to_the_least_log_loss_is_looked_at():
    watch = Watch("log_loss", n_rows=1_000, learning_rate=0.1, deadline=None)
    looked = []
    for n_done, plain in enumerate([0.6, 0.5, 0.52, 0.45, 0.46], start=1):
        looked.append(watch.looks(n_done, plain))
        watch.stop(n_done, plain, plain, 0.4 if looked[-1] else None)

    assert looked == [False, False, True, False, True]
    assert not watch.looks(6, None)
    assert not Watch("rmse", n_rows=1_000, learning_rate=0.1, deadline=None, _least=0.4).looks(6, 0.5)


def test_the_temperature_of_the_least_log_loss_is_settled_at_the_end():
    rows = Rows(images()[0].take(np.arange(4)), np.array([0, 1, 0, 1], dtype=np.float32), None)
    far_too_sure = scores_of(np.array([0.01, 0.99, 0.02, 0.03]))
    watch = Watch("log_loss", n_rows=1_000, learning_rate=0.1, deadline=None)
    watch.stop(1, 0.6, 0.6)
    watch.stop(2, 0.7, 0.7, 0.65)
    watch.settle(far_too_sure, rows)
    assert watch.temperature > 1.2

    later = Watch("log_loss", n_rows=1_000, learning_rate=0.1, deadline=None)
    for n_done, refined in enumerate([None, 0.55, 0.5], start=1):
        later.stop(n_done, 0.6 + 0.01 * n_done, 0.6 + 0.01 * n_done, refined)
    assert later.best == 3
    later.settle(far_too_sure, rows)
    assert later.temperature == 1.0


def test_more_rounds_that_are_hardly_better_are_not_kept():
    watch = Watch("log_loss", n_rows=1_000, learning_rate=0.1, deadline=None)
    for n_done, refined in enumerate([None, 0.4000, 0.3999, 0.3993], start=1):
        watch.stop(n_done, 0.4 + 0.01 * n_done, 0.4 + 0.01 * n_done, refined)
    assert watch.best == 1

    watch.stop(5, 0.45, 0.45, 0.3990)
    watch.stop(6, 0.46, 0.46, 0.3989)
    assert watch.best == 6
