"""What a comparison says besides its p-value: sentence, size of the effect, rows needed, equivalence."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.signal import lfilter

from modelwright.metrics.dependence import cosines, design
from modelwright.metrics.intervals import interval
from modelwright.metrics.paired import compare, describe
from modelwright.metrics.registry import METRICS


def _two(p: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - p, p])


def _losses(difference: float, n: int, seed: int = 0, sd: float = 1.0):
    """Targets and two predictions whose absolute errors differ by ``difference`` on average, with that spread."""
    gap = np.random.default_rng(seed).normal(0, sd, n)
    gap += difference - gap.mean()
    model = np.full(n, 10.0)
    return np.zeros(n), model, model + gap


def test_a_shown_difference_is_described_in_one_sentence():
    result = compare(METRICS["mae"], *_losses(0.2, 1000))
    text = describe(result, metric="MAE", look=2)
    assert re.fullmatch(r"better by 0\.2 MAE \(95 % 0\.1\d+ to 0\.2\d+, 1,000 rows, look 2, p < 0\.001\)", text)


def test_an_undecided_difference_says_how_many_rows_would_tell():
    result = compare(METRICS["mae"], *_losses(0.05, 400))
    assert result.rows_needed == pytest.approx((2.8 / 0.05) ** 2, rel=0.12)
    assert describe(result, metric="MAE").startswith("cannot tell: would need about 3,")


def test_rows_needed_grow_with_the_dependence_of_the_rows():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(100), 10)
    gap = rng.normal(size=100)[groups] * 0.8 + rng.normal(0, 0.6, 1000)
    gap += 0.03 - gap.mean()
    model = np.full(1000, 10.0)
    alone = compare(METRICS["mae"], np.zeros(1000), model, model + gap)
    together = compare(METRICS["mae"], np.zeros(1000), model, model + gap, groups=groups)
    assert together.rows_needed > 4 * alone.rows_needed


def test_a_model_that_is_not_ahead_is_not_promised_more_rows():
    result = compare(METRICS["mae"], *_losses(-0.01, 400))
    assert result.rows_needed is None
    assert describe(result, metric="MAE").startswith("not shown to be better (difference -0.01 MAE")
    assert describe(compare(METRICS["mae"], *_losses(-0.5, 400)), metric="MAE").startswith("worse by 0.5 MAE")


def test_effect_is_given_relative_to_the_baseline_and_in_standard_deviations():
    result = compare(METRICS["mae"], *_losses(0.5, 2000))
    assert result.relative == pytest.approx(0.5 / 10.5)
    assert result.standardised == pytest.approx(0.5, rel=0.05)


def test_equivalence_is_two_one_sided_tests_against_the_smallest_useful_difference():
    y, model, baseline = _losses(0.01, 2000)
    same = compare(METRICS["mae"], y, model, baseline, smallest=0.1)
    assert (same.equivalent, same.useful) == (True, False)
    assert "smaller than the smallest useful one, 0.1" in describe(same, metric="MAE")
    unsure = compare(METRICS["mae"], y[:100], model[:100], baseline[:100], smallest=0.1)
    assert unsure.equivalent is False
    large = compare(METRICS["mae"], *_losses(0.5, 2000), smallest=0.1)
    assert (large.equivalent, large.useful) == (False, True)
    assert compare(METRICS["mae"], y, model, baseline).equivalent is None


def test_a_constant_baseline_equal_to_the_model_is_no_difference():
    y = np.arange(50) % 2
    constant = _two(np.full(50, 0.5))
    for name in ("roc_auc", "average_precision", "log_loss", "accuracy", "f1", "mcc"):
        result = compare(METRICS[name], y, constant, constant, smallest=0.01)
        assert (result.p_value, result.better, result.equivalent) == (1.0, False, True), name
    assert "not shown" in describe(result, metric="MCC")


@pytest.mark.parametrize("name", ["roc_auc", "accuracy", "f1", "mcc", "balanced_accuracy", "average_precision"])
def test_a_perfect_model_on_three_positives_is_not_certain(name):
    y = np.array([0] * 9 + [1] * 3)
    result = compare(METRICS[name], y, _two(np.where(y == 1, 0.9, 0.1)), _two(np.full(12, 0.2)))
    assert result.difference.value > 0
    # By chance three given rows lead twelve in one of 220 orders.
    assert 1 / 220 < result.p_value < 0.5


def test_tests_on_a_series_with_memory_hold_their_level():
    rng = np.random.default_rng(4)
    rejected = {"rows": 0, "time": 0}
    for _ in range(300):
        gap = lfilter([1], [1, -0.7], rng.normal(size=300))[100:]
        pair = (np.zeros(200), np.full(200, 50.0), 50 + gap)
        rejected["rows"] += compare(METRICS["mae"], *pair).p_value < 0.05
        rejected["time"] += compare(METRICS["mae"], *pair, blocks=np.arange(200)).p_value < 0.05
    assert rejected["rows"] / 300 > 0.3
    assert 0.02 <= rejected["time"] / 300 <= 0.09


def test_tests_with_rare_positives_hold_their_level():
    rng = np.random.default_rng(5)
    y = (np.arange(1000) < 15).astype(int)
    rejected = dict.fromkeys(("log_loss", "roc_auc", "average_precision"), 0)
    for _ in range(300):
        a, b = (_two(1 / (1 + np.exp(4 - rng.normal(1.5 * y, 1)))) for _ in range(2))
        for name in rejected:
            rejected[name] += compare(METRICS[name], y, a, b).p_value < 0.05
    assert max(rejected.values()) / 300 <= 0.09


def test_more_memory_leaves_fewer_frequencies():
    rng = np.random.default_rng(6)
    noise = rng.normal(size=1000)
    counts = [cosines(lfilter([1], [1, -phi], noise)) for phi in (0.0, 0.7, 0.95)]
    assert counts[0] > 30
    assert counts[0] > counts[1] > counts[2] >= 4


def test_groups_and_time_together_are_no_narrower_than_either():
    rng = np.random.default_rng(7)
    psi = rng.normal(size=600)
    psi -= psi.mean()
    groups, when = rng.integers(0, 30, 600), np.arange(600)
    both = design(600, groups=groups, blocks=when).units(psi).variance
    assert both >= design(600, groups=groups).units(psi).variance * (1 - 1e-12)
    assert both >= design(600, blocks=when).units(psi).variance * (1 - 1e-12)


def test_one_entity_with_most_rows_leaves_few_degrees_of_freedom():
    groups = np.concatenate([np.zeros(500, dtype=int), np.repeat(np.arange(1, 101), 5)])
    units = design(1000, groups=groups).units(np.random.default_rng(8).normal(size=1000))
    assert units.n == 101
    assert units.df < 4
    assert np.isnan(design(10, groups=np.zeros(10)).units(np.zeros(10)).variance)


def test_influence_intervals_agree_with_the_bootstrap():
    rng = np.random.default_rng(9)
    y = rng.integers(0, 2, 400)
    p = np.clip(0.5 + 0.2 * (y - 0.5) + rng.normal(0, 0.2, 400), 0, 1)
    values = [METRICS["average_precision"].score(y[r], _two(p[r]), None) for r in rng.integers(0, 400, (1000, 400))]
    found = interval(METRICS["average_precision"], y, _two(p))
    assert found.high - found.low == pytest.approx(np.quantile(values, 0.975) - np.quantile(values, 0.025), rel=0.1)
