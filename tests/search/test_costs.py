"""Predicted seconds of fits."""

import math

import pytest

from modelwright.search.candidate import Candidate
from modelwright.search.costs import EXPONENT, Costs, spread
from modelwright.search.jobs import Done


def candidate(number=0, algorithm="lightgbm", probe=None, folds=None):
    made = Candidate(number, algorithm, {}, "probe", probe=None if probe is None else Done(seconds=probe, score=1.0))
    made.folds = {fold: Done(seconds=seconds, score=1.0) for fold, seconds in (folds or {}).items()}
    return made


def test_nothing_measured_is_infinite():
    assert Costs(1_000, [4_000]).seconds(candidate(), 0) == math.inf


def test_seconds_grow_with_the_rows_by_the_exponent():
    costs = Costs(1_000, [8_000])
    assert costs.seconds(candidate(probe=1.0), 0) == pytest.approx(8**EXPONENT, abs=0.2)


def test_growth_is_learned_from_configurations_measured_at_both_sizes():
    costs = Costs(1_000, [8_000])
    costs.learn([candidate(probe=1.0, folds={0: 8.0**1.6}), candidate(1, probe=1.0, folds={0: 8.0**1.4})])

    assert costs.exponent("lightgbm") == pytest.approx(1.5, abs=0.01)
    assert costs.exponent("catboost") == EXPONENT
    assert costs.seconds(candidate(2, probe=0.5), 0) == pytest.approx(0.5 * 8**1.5, rel=0.05)


def test_absurd_growth_is_bounded():
    costs = Costs(1_000, [8_000])
    costs.learn([candidate(probe=0.001, folds={0: 100.0})])
    assert costs.exponent("lightgbm") == 2.0


def test_a_measured_fold_beats_the_probe():
    costs = Costs(1_000, [4_000, 4_000])
    assert costs.seconds(candidate(probe=50.0, folds={0: 3.0}), 1) == pytest.approx(3.1)


def test_failed_fits_do_not_count():
    costs = Costs(1_000, [4_000])
    failed = candidate()
    failed.probe = Done(seconds=0.01, error="boom")
    assert costs.seconds(failed, 0) == math.inf


def test_workers_share_the_load_but_not_one_fit():
    assert spread([1.0, 1.0, 1.0, 1.0], 2) == 2.0
    assert spread([3.0, 1.0], 2) == 3.0
    assert spread([], 2) == 0.0


def test_a_fit_that_the_clock_cut_short_is_expected_to_take_what_others_of_its_algorithm_take():
    costs = Costs(1_000, [8_000])
    cut, whole = candidate(probe=1.0), candidate(1, probe=5.0)
    cut.probe = Done(seconds=1.0, score=1.0, stopped="time")
    assert costs.whole_seconds(cut, [cut, whole], 0) == costs.seconds(whole, 0)
    assert costs.whole_seconds(cut, [cut], 0) == costs.seconds(cut, 0), "nothing better is known"
    assert costs.whole_seconds(whole, [cut, whole], 0) == costs.seconds(whole, 0)
