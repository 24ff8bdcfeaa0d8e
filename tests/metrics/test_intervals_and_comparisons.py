"""Intervals cover, agree with published or brute-force values, and respect groups and time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from modelwright.metrics.dependence import clusters_of, design
from modelwright.metrics.influence import influence
from modelwright.metrics.intervals import interval
from modelwright.metrics.paired import compare
from modelwright.metrics.registry import METRICS


def _two(p: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - p, p])


def _delong_by_definition(y, a, b):
    """Covariance of two areas from the definition: all pairs, no ranks."""
    rows = []
    for score in (a, b):
        win = (score[y == 1][:, None] > score[y == 0]) + 0.5 * (score[y == 1][:, None] == score[y == 0])
        rows.append((win.mean(axis=1), win.mean(axis=0)))
    positive, negative = np.cov([rows[0][0], rows[1][0]]), np.cov([rows[0][1], rows[1][1]])
    return positive / (y == 1).sum() + negative / (y == 0).sum()


def test_delong_variance_and_test_follow_the_definition():
    rng = np.random.default_rng(0)
    y = (rng.random(150) < 0.3).astype(int)
    a, b = np.round(y + rng.normal(0, 1, 150), 1), np.round(y + rng.normal(0, 1.6, 150), 1)
    covariance = _delong_by_definition(y, a, b)
    found = influence(METRICS["roc_auc"], y, _two(a), None)
    units = design(150).units(found.psi, found.strata)
    assert units.variance == pytest.approx(covariance[0, 0])
    result = compare(METRICS["roc_auc"], y, _two(a), _two(b))
    se = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    # The t of Welch's degrees of freedom and the skewness correction move the normal test a little.
    assert result.p_value == pytest.approx(2 * stats.norm.sf(abs(result.difference.value) / se), rel=0.05)
    assert result.difference.high - result.difference.low == pytest.approx(2 * 1.959964 * se, rel=0.02)


def test_wilson_interval_has_the_textbook_value():
    # 81 right of 263: 0.2553 to 0.3662 (Newcombe, Statistics in Medicine 17, 1998, method 3).
    y = np.ones(263, dtype=int)
    label = (np.arange(263) < 81).astype(int)
    found = interval(METRICS["accuracy"], y, label)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


def test_mean_loss_interval_is_nearly_student_t_where_losses_are_symmetric():
    y, value = np.concatenate([np.linspace(1, 3, 30), np.linspace(1, 3, 30)]), np.zeros(60)
    expected = stats.ttest_1samp(np.abs(y - value), 0).confidence_interval(0.95)
    found = interval(METRICS["mae"], y, value)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.005)


def test_paired_loss_test_is_the_paired_t_test():
    y = np.zeros(80)
    model, baseline = np.full(80, 1.0), 1.1 + np.linspace(-0.5, 0.5, 80)
    expected = stats.ttest_rel(np.abs(y - baseline), np.abs(y - model))
    result = compare(METRICS["mae"], y, model, baseline)
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.difference.value > 0
    assert result.better


def test_accuracy_is_compared_by_mcnemar_with_mid_p():
    y = np.ones(100, dtype=int)
    model, baseline = np.ones(100, dtype=int), np.ones(100, dtype=int)
    baseline[:15] = 0
    model[95:] = 0
    result = compare(METRICS["accuracy"], y, model, baseline)
    assert result.p_value == pytest.approx(stats.binomtest(15, 20).pvalue - stats.binom.pmf(5, 20, 0.5))
    assert result.difference.value == pytest.approx(0.10)


def test_difference_is_positive_when_the_model_is_better_whatever_the_direction():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 500)
    good, poor = _two(np.clip(0.5 + 0.3 * (y - 0.5), 0, 1)), _two(np.full(500, 0.5))
    for name in ("roc_auc", "log_loss", "brier", "average_precision"):
        result = compare(METRICS[name], y, good, poor)
        assert result.difference.low > 0, name
        assert result.better, name
        assert not compare(METRICS[name], y, poor, good).better


def test_equal_predictions_are_not_better():
    y = np.arange(40) % 2
    proba = _two(np.linspace(0.1, 0.9, 40))
    for name in ("roc_auc", "log_loss", "accuracy", "f1", "mcc"):
        result = compare(METRICS[name], y, proba, proba)
        assert (result.p_value, result.better) == (1.0, False), name


@pytest.mark.parametrize("name", ["f1", "average_precision", "balanced_accuracy"])
def test_bootstrap_agrees_with_copying_rows(name):
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, 300)
    proba = _two(np.clip(0.5 + 0.2 * (y - 0.5) + rng.normal(0, 0.2, 300), 0, 1))
    metric = METRICS[name]
    read = proba if metric.reads == "proba" else proba.argmax(axis=1)
    values = [metric.score(y[rows], read[rows], None) for rows in rng.integers(0, 300, (1500, 300))]
    found = interval(metric, y, proba)
    low, high = np.quantile(values, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.012)


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "accuracy"])
def test_intervals_of_classification_cover_the_truth(name):
    rng = np.random.default_rng(6)
    metric = METRICS[name]

    def draw(n):
        p = rng.beta(2, 2, n)
        return (rng.random(n) < p).astype(int), _two(p)

    y, proba = draw(200_000)
    truth = interval(metric, y, proba).value
    covered = 0
    for _ in range(400):
        y, proba = draw(120)
        found = interval(metric, y, proba)
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 400 <= 0.985


@pytest.mark.parametrize(("positives", "negatives", "shift"), [(5, 20, 1), (5, 300, 2), (15, 15, 3), (15, 300, 3)])
def test_auc_interval_covers_the_truth_with_few_rows_of_a_class(positives, negatives, shift):
    rng = np.random.default_rng(13)
    truth = stats.norm.cdf(shift / np.sqrt(2))
    y = np.repeat([1, 0], [positives, negatives])
    covered = 0
    for _ in range(300):
        found = interval(METRICS["roc_auc"], y, _two(rng.normal(shift * y, 1)))
        covered += found.low <= truth <= found.high
    assert covered / 300 >= 0.92


def test_rmse_interval_covers_the_truth():
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        error = rng.normal(0, 2, 100)
        found = interval(METRICS["rmse"], error, np.zeros(100))
        covered += found.low <= 2 <= found.high
    assert 0.92 <= covered / 400 <= 0.985


def test_entities_are_the_units_when_groups_are_given():
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(60), 10)
    covered = {"rows": 0, "entities": 0}
    for _ in range(300):
        loss = np.repeat(rng.normal(0, 1, 60), 10) * 0.55 + rng.normal(0, 0.84, 600)
        y = loss + 10
        for key, given in (("rows", None), ("entities", groups)):
            found = interval(METRICS["mae"], y, np.zeros(600), groups=given)
            covered[key] += found.low <= 10 <= found.high
    assert covered["entities"] / 300 >= 0.91
    assert covered["rows"] / 300 <= 0.8


def test_time_blocks_are_contiguous_and_ties_stay_together():
    moments = np.repeat(np.arange(100), 3)
    units = clusters_of(300, None, moments)
    assert (np.diff(units) >= 0).all()
    assert len(set(zip(moments.tolist(), units.tolist(), strict=True))) == 100
    assert units.max() + 1 == 20  # 100 moments in blocks of 5


def test_neighbouring_errors_widen_the_interval_of_ordered_rows():
    rng = np.random.default_rng(9)
    noise = rng.normal(size=1000)
    for i in range(1, 1000):
        noise[i] += 0.9 * noise[i - 1]
    y = noise + 50
    plain = interval(METRICS["mae"], y, np.zeros(1000))
    ordered = interval(METRICS["mae"], y, np.zeros(1000), blocks=np.arange(1000))
    assert ordered.high - ordered.low > 2 * (plain.high - plain.low)


def test_a_perfect_score_on_few_rows_is_not_certain():
    y = np.array([0] * 20 + [1] * 5)
    proba = _two(np.where(y == 1, 0.9, 0.1))
    for name in ("roc_auc", "accuracy", "f1", "balanced_accuracy"):
        found = interval(METRICS[name], y, proba)
        assert found.value == 1.0, name
        assert found.low < 0.95, name
        assert found.high == 1.0, name


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"silhouette", "davies_bouldin", "adjusted_rand"}))
def test_every_metric_has_an_interval_around_its_value(name):
    rng = np.random.default_rng(10)
    metric = METRICS[name]
    if "regression" in metric.tasks:
        y = rng.gamma(2, 1, 200)
        prediction = y * rng.uniform(0.7, 1.4, 200)
    else:
        k = 2 if "binary" in metric.tasks else 3
        y = rng.integers(0, k, 200)
        raw = rng.random((200, k)) + np.eye(k)[y] * 0.6
        prediction = raw / raw.sum(axis=1, keepdims=True)
    weight = rng.uniform(0.5, 2, 200)
    for extra in ({}, {"weight": weight}, {"groups": np.arange(200) // 4}, {"blocks": np.arange(200)}):
        found = interval(metric, y, prediction, **extra)
        assert found.low < found.value < found.high, extra
        again = interval(metric, y, prediction, **extra)
        assert found == again


def test_one_class_or_one_row_gives_a_value_without_interval():
    one = interval(METRICS["roc_auc"], np.zeros(5, dtype=int), _two(np.full(5, 0.3)))
    assert np.isnan([one.value, one.low, one.high]).all()
    single = interval(METRICS["log_loss"], np.array([1]), _two(np.array([0.5])))
    assert single.value == pytest.approx(np.log(2))
    assert np.isnan(single.low)
    result = compare(METRICS["roc_auc"], np.zeros(5, dtype=int), _two(np.full(5, 0.3)), _two(np.full(5, 0.4)))
    assert (result.p_value, result.better) == (1.0, False)


def test_a_bootstrap_of_many_rows_is_quick():
    rng = np.random.default_rng(11)
    y = rng.integers(0, 2, 100_000)
    proba = _two(np.clip(rng.normal(0.4 + 0.2 * y, 0.2), 0, 1))
    started = time.perf_counter()
    found = interval(METRICS["f1"], y, proba)
    assert time.perf_counter() - started < 30  # two seconds on a quiet machine; this only catches another order
    assert found.high - found.low < 0.02


def test_silhouette_interval_rests_on_the_rows_judged():
    rng = np.random.default_rng(12)
    X = np.vstack([rng.normal(0, 1, (60, 2)), rng.normal(5, 1, (60, 2))])
    found = interval(METRICS["silhouette"], X, np.repeat([0, 1], 60))
    assert 0.5 < found.low < found.value < found.high < 0.9


@pytest.mark.parametrize("name", ["mcc", "f1_macro"])
def test_labels_with_a_rare_pair_keep_a_wide_interval_and_unseen_classes_no_part(name):
    y = (np.arange(200) < 6).astype(int)
    label = np.zeros(200, dtype=int)
    label[0] = 1  # one of six positives is found, and no negative is mistaken
    found = interval(METRICS[name], y, label)
    assert found.high - found.low > 0.3
    # Class 1 of three occurs in neither: the interval is that of the two others.
    renamed = interval(METRICS[name], 2 * y, 2 * label)
    assert (renamed.low, renamed.high) == pytest.approx((found.low, found.high))


def test_few_entities_with_heavy_losses_keep_their_coverage():
    rng = np.random.default_rng(14)
    groups = np.repeat(np.arange(20), 5)
    covered = 0
    for _ in range(400):
        loss = np.exp(0.7 * rng.normal(size=20))[groups]
        found = interval(METRICS["mae"], loss, np.zeros(100), groups=groups)
        covered += found.low <= np.exp(0.245) <= found.high
    assert covered / 400 >= 0.915


def test_labels_of_one_class_keep_an_interval_to_both_sides():
    y = np.repeat([0, 1, 2], [30, 50, 1900])
    found = interval(METRICS["f1_macro"], y, np.full(1980, 2))
    # Other rows have a little more or less of class 2.
    assert found.low < found.value < found.high
    assert found.value - found.low < 0.02


def test_the_interval_of_a_huge_error_is_that_of_a_small_one_enlarged() -> None:
    rng = np.random.default_rng(0)
    y, metric = rng.exponential(size=200), METRICS["rmse"]
    small, huge = (interval(metric, y * size, np.zeros(200)) for size in (1.0, 1e70))
    np.testing.assert_allclose(np.array([huge.low, huge.high]) / 1e70, [small.low, small.high], rtol=1e-9)
