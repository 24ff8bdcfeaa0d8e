"""Intervals and sets hold what they promise on new rows."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.ensembles.conformal import fit_intervals, fit_sets, intervals, promised, sets
from modelwright.errors import InvalidInputError


def _numbers(n, seed):
    rng = np.random.default_rng(seed)
    f = rng.uniform(0, 10, n)
    return f, f + rng.normal(size=n) * (0.2 + f / 3)


def _classes(n, seed):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.4, 4, n)
    return np.column_stack([1 - p, p]), (rng.random(n) < p).astype(np.int64)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.99])
def test_coverage_is_the_one_asked_for(coverage):
    made = fit_intervals(*_numbers(20_000, 0))
    f, y = _numbers(20_000, 1)
    low, high = intervals(made, f, coverage).T
    assert np.mean((low <= y) & (y <= high)) == pytest.approx(coverage, abs=4 * np.sqrt(coverage * (1 - coverage) / 20_000))


def test_width_follows_the_spread_so_that_every_fifth_is_covered():
    made = fit_intervals(*_numbers(20_000, 0))
    f, y = _numbers(20_000, 1)
    low, high = intervals(made, f, 0.9).T
    fifth = (f // 2).astype(int)
    shares = [np.mean(((low <= y) & (y <= high))[fifth == k]) for k in range(5)]
    assert made.method == "local"
    assert min(shares) > 0.86


def test_equal_spread_and_skewed_errors_get_the_form_that_suits_them():
    rng = np.random.default_rng(0)
    f = rng.normal(size=5000)
    skewed = fit_intervals(f, f + rng.exponential(size=5000) ** 2)
    assert skewed.tails
    low, high = intervals(skewed, np.zeros(1), 0.9)[0]
    assert -0.2 < low < high
    assert high > 5


def test_average_over_many_small_calibration_sets_keeps_the_promise():
    """The finite-sample guarantee: 30 rows each, mean coverage no less than asked for."""
    shares = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        made = fit_intervals(np.zeros(30), rng.normal(size=30))
        half = intervals(made, np.zeros(1), 0.9)[0, 1]
        from scipy.stats import norm

        shares.append(1 - 2 * norm.sf(half))
    assert 0.895 < np.mean(shares) < 0.94


def test_more_coverage_than_the_rows_can_promise_is_refused_with_the_most():
    made = fit_intervals(*_numbers(60, 0))
    with pytest.raises(InvalidInputError, match=r"cannot promise 0\.99.*at most 0\.9"):
        intervals(made, np.zeros(1), 0.99)
    for wrong in (0.0, 1.0, 90.0):
        with pytest.raises(InvalidInputError, match="not a coverage"):
            intervals(made, np.zeros(1), wrong)
    assert fit_intervals(np.zeros(4), np.zeros(4)) is None


def test_entities_and_moments_count_as_fewer_rows():
    rng = np.random.default_rng(0)
    entity = np.repeat(np.arange(40), 100)
    error = rng.normal(size=40)[entity] + 0.1 * rng.normal(size=4000)
    made = fit_intervals(np.zeros(4000), error, groups=entity)
    assert 40 <= made.n_effective < 150
    assert fit_intervals(np.zeros(4000), rng.normal(size=4000), groups=entity).n_effective > 1500
    low, high = promised(made, 0.9)
    assert high - low > 0.08
    walk = rng.normal(size=4000)
    for t in range(1, 4000):
        walk[t] += 0.95 * walk[t - 1]
    timed = fit_intervals(np.zeros(4000), walk, when=np.arange(4000))
    assert timed.n_effective < 3000
    assert len(timed.rolling) == 4


def test_promise_of_a_hundred_rows_is_the_beta_of_the_books():
    made = fit_intervals(np.zeros(99), np.random.default_rng(0).normal(size=99))
    low, high = promised(made, 0.9)  # Beta(90, 10)
    assert (low, high) == (pytest.approx(0.8342, abs=1e-3), pytest.approx(0.9512, abs=1e-3))


def test_sets_cover_each_class_also_the_rare_one():
    made = fit_sets(*_classes(20_000, 0))
    proba, y = _classes(20_000, 1)
    held = sets(made, proba, 0.9)
    hit = held[np.arange(len(y)), y]
    assert y.mean() < 0.12
    assert hit[y == 1].mean() == pytest.approx(0.9, abs=0.02)
    assert hit[y == 0].mean() > 0.88
    assert held[np.arange(len(y)), proba.argmax(axis=1)].all()
    assert (sets(made, proba, 0.99).sum(axis=1) >= held.sum(axis=1)).all()


def test_class_with_hardly_any_rows_does_not_break_the_sets():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([5, 5, 0.05], 2000)
    y = np.array([rng.choice(3, p=p) for p in proba])
    assert 0 < (y == 2).sum() < 30
    held = sets(fit_sets(proba, y), proba, 0.9)
    assert held[np.arange(2000), y].mean() > 0.88


def test_row_alone_equals_row_among_many():
    made = fit_intervals(*_numbers(3000, 0))
    f, _ = _numbers(200, 1)
    f[0] = -1e9
    whole = intervals(made, f, 0.8)
    assert np.array_equal(np.vstack([intervals(made, f[i : i + 1], 0.8) for i in range(200)]), whole)
    assert np.isfinite(whole).all()
    of_classes = fit_sets(*_classes(3000, 0))
    proba, _ = _classes(200, 1)
    alone = np.vstack([sets(of_classes, proba[i : i + 1], 0.8) for i in range(200)])
    assert np.array_equal(alone, sets(of_classes, proba, 0.8))


def test_many_scores_are_thinned_without_losing_coverage():
    rng = np.random.default_rng(0)
    made = fit_intervals(np.zeros(100_000), rng.normal(size=100_000))
    assert len(made.scores) == 20_000
    assert made.n_rows == 100_000
    half = intervals(made, np.zeros(1), 0.9)[0, 1]
    assert half == pytest.approx(1.645, abs=0.02)


def test_perfect_predictions_give_intervals_of_no_width():
    f = np.arange(100.0)
    assert np.ptp(intervals(fit_intervals(f, f), f, 0.9), axis=1).max() == 0
