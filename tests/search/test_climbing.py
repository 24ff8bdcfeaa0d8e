"""Who is fitted on all rows next, when a clock runs."""

import math

import pytest

from modelwright.search.candidate import Candidate
from modelwright.search.climbing import diverse, next_climber, rows_in_time, with_larger_steps

BOOSTING = {"learning_rate": 0.05, "n_estimators": 8000}


def climber(algorithms_and_seconds, *, left=10.0, must=False, params=None):
    order = [
        Candidate(k, algorithm, dict(params or {}) if algorithm == "lightgbm" else {}, "probe")
        for k, (algorithm, _) in enumerate(algorithms_and_seconds)
    ]
    seconds = {k: s for k, (_, s) in enumerate(algorithms_and_seconds)}
    return next_climber(order, order, lambda candidate: seconds[candidate.number], left, must=must)


def test_the_best_that_ends_in_time_is_next():
    assert climber([("lightgbm", 20.0), ("linear", 8.0), ("svm", 1.0)]).candidate.algorithm == "linear"


def test_larger_steps_are_taken_where_a_fit_would_not_end_in_time():
    found = climber([("svm", 12.0), ("lightgbm", 12.0), ("linear", 1.0)], params=BOOSTING)
    assert found.candidate.algorithm == "lightgbm"
    assert found.params == {"learning_rate": 0.1, "n_estimators": 4000}
    assert climber([("lightgbm", 30.0)], params=BOOSTING).params == {"learning_rate": 0.2, "n_estimators": 2000}


def test_steps_have_a_largest_one_and_then_a_fit_is_cut_short():
    found = climber([("svm", 25.0), ("lightgbm", 25.0)], params=BOOSTING | {"learning_rate": 0.15})
    assert (found.candidate.algorithm, found.params) == ("lightgbm", None)
    assert climber([("lightgbm", 300.0)], params=BOOSTING) is None, "a thirtieth of the rounds is no model"


def test_somebody_must_climb():
    assert climber([("svm", 500.0), ("linear", 300.0)], must=True).candidate.algorithm == "linear"
    assert climber([("svm", 500.0), ("linear", 300.0)]) is None
    assert climber([], must=True) is None


def test_what_is_dear_and_did_badly_waits_for_the_cheap():
    probed = [("lightgbm", 0.5), ("xgboost", 0.5), ("random_forest", 4.0), ("linear", 0.5)]
    order = [Candidate(k, algorithm, {}, "probe") for k, (algorithm, _) in enumerate(probed)]
    seconds = dict(enumerate(s for _, s in probed))
    found = next_climber(order[2:], order, lambda c: seconds[c.number], 10.0, must=False)
    assert found.candidate.algorithm == "linear"
    assert next_climber(order[2:3], order, lambda c: seconds[c.number], 10.0, must=False).candidate.algorithm == "random_forest"


def test_algorithms_take_turns_two_at_a_time():
    probed = [Candidate(k, name, {}, "probe") for k, name in enumerate(["lightgbm"] * 3 + ["linear", "lightgbm", "catboost"])]
    assert [c.number for c in diverse(probed)] == [0, 1, 3, 5, 2, 4]


def test_larger_steps_leave_one_round_at_least():
    assert with_larger_steps({"learning_rate": 0.05, "n_estimators": 1}, 4)["n_estimators"] == 1


@pytest.mark.parametrize(
    ("seconds", "n_rows"),
    [
        ([("svm", 100.0), ("linear", 8.0), ("catboost", 100.0)], 90_000),  # the second can have all rows
        ([("lightgbm", 30.0)], 90_000),  # with larger steps
        ([("svm", 100.0), ("linear", 60.0), ("network", 300.0)], 2_700),  # the middle one may take 3 of its 100 s
        ([("svm", math.inf), ("linear", 60.0)], 90_000),  # nothing is known of one of them
        ([], 90_000),
    ],
)
def test_rows_are_spared_only_where_none_of_the_best_ends_in_time(seconds, n_rows):
    best = [Candidate(k, name, dict(BOOSTING) if name == "lightgbm" else {}, "probe") for k, (name, _) in enumerate(seconds)]
    assert rows_in_time(best, lambda c: seconds[c.number][1], 10.0, 90_000) == n_rows
