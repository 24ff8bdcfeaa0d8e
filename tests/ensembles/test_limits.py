"""Which candidates may be members of a model that has to stay fast and small, and which of many are not beaten."""

from __future__ import annotations

import math

import pytest

from modelwright.ensembles.limits import Cost, ModelLimits, allowed, corrected, keep, nearest, total
from modelwright.ensembles.pareto import pareto_front

SHARED = Cost(10e-6, 1e4)
#: A booster, a linear model, a forest, a network.
COSTS = [Cost(50e-6, 3e5), Cost(5e-6, 2e4), Cost(900e-6, 4e7), Cost(100e-6, 6e5)]


def alone(costs: list[Cost], limits: ModelLimits) -> list[int]:
    return [i for i in range(len(costs)) if allowed(costs, SHARED, limits)({i})]


def test_without_limits_everything_may_be_together() -> None:
    assert allowed(COSTS, SHARED, ModelLimits())({0, 1, 2, 3})
    assert not ModelLimits().given


def test_a_latency_limit_counts_the_shared_part_once_and_keeps_headroom() -> None:
    fits = allowed(COSTS, SHARED, ModelLimits(latency_s=75e-6))
    assert fits({0, 1})  # 65 of 75 microseconds
    assert not fits({0, 1, 3})
    assert not allowed(COSTS, SHARED, ModelLimits(latency_s=66e-6))({0, 1})  # it would fit, but only just


def test_a_size_limit_leaves_the_forest_out() -> None:
    assert alone(COSTS, ModelLimits(size_bytes=5e6)) == [0, 1, 3]


def test_both_limits_hold_together() -> None:
    limits = ModelLimits(latency_s=1e-3, size_bytes=4e5)
    assert alone(COSTS, limits) == [0, 1]
    assert not allowed(COSTS, SHARED, limits)({0, 1, 3})


def test_where_nothing_fits_the_nearest_to_the_limits_remains_and_is_known_to_break_them() -> None:
    limits = ModelLimits(latency_s=1e-6)
    assert alone(COSTS, limits) == []
    assert nearest(COSTS, SHARED, limits) == 1
    assert not allowed(COSTS, SHARED, limits)({1})
    assert limits.broken(total(COSTS, SHARED, {1})) == ["latency"]


def test_what_could_not_be_measured_breaks_every_limit() -> None:
    unknown = Cost(math.inf, math.inf)
    assert alone([unknown, COSTS[1]], ModelLimits(latency_s=1.0)) == [1]
    assert not allowed([unknown], SHARED, ModelLimits(size_bytes=1e12))({0})


def test_estimates_are_corrected_by_the_measurement_of_the_package() -> None:
    costs, shared = corrected(COSTS, SHARED, (0, 1), Cost(130e-6, 6.6e5))
    found = total(costs, shared, (0, 1))
    assert found.row_s == pytest.approx(130e-6)
    assert found.size_bytes == pytest.approx(6.6e5)
    assert costs[3].row_s == pytest.approx(200e-6)


def test_the_members_that_stay_are_the_best_set_that_fits() -> None:
    worth = {(0, 1): 0.80, (0, 3): 0.82, (1, 3): 0.79, (0,): 0.78, (1,): 0.70, (3,): 0.77}
    limits = ModelLimits(latency_s=120e-6)
    # 0 and 3 together would be the best, and take 160 microseconds.
    assert keep((0, 1, 3), COSTS, SHARED, limits, worth.__getitem__) == (0, 1)
    assert keep((0, 1, 3), COSTS, SHARED, ModelLimits(latency_s=12e-6), worth.__getitem__) == ()


def test_a_single_member_has_no_smaller_set() -> None:
    assert keep((2,), COSTS, SHARED, ModelLimits(latency_s=1.0), lambda chosen: 1.0) == ()


def test_the_front_holds_what_nothing_else_beats_in_all_respects() -> None:
    #         loss, seconds, bytes
    points = [(0.30, 1.0, 5), (0.25, 2.0, 5), (0.26, 3.0, 4), (0.31, 1.0, 5), (0.26, 3.0, 6), (0.25, 2.0, 5)]
    assert pareto_front(points) == [True, True, True, False, False, True]


def test_a_point_with_a_missing_number_is_not_on_the_front_and_keeps_nobody_off() -> None:
    assert pareto_front([(math.nan, 0.0), (1.0, 1.0)]) == [False, True]
    assert pareto_front([]) == []
