"""Paired races and agreement of ranks."""

import numpy as np
import pytest

from modelwright.metrics import registry as metrics
from modelwright.search.racing import AGREEMENT, BEHIND, behind, ranks_agree


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    y = rng.normal(size=400)
    shared = rng.normal(size=400)  # an error that all candidates make: it must not hide their difference
    return rng, y, y + 3 * shared


def test_a_small_but_steady_difference_is_seen_through_shared_noise(rows):
    _, y, best = rows
    worse = best + np.sign(best - y) * 0.05
    distance = behind(metrics.get("rmse", "regression"), y, [best, worse], None)

    assert distance[0] == 0.0
    assert distance[1] > BEHIND


def test_equal_quality_is_not_dropped(rows):
    _, y, best = rows
    other = y + 3 * np.roll(best - y, 1) / 3
    distance = behind(metrics.get("rmse", "regression"), y, [best, other], None)
    assert distance.max() < BEHIND


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "accuracy", "f1"])
def test_every_kind_of_metric_can_race(metric):
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 500)
    good = np.clip(0.5 + 0.3 * (2 * y - 1) + 0.2 * rng.normal(size=500), 0.01, 0.99)
    noise = rng.uniform(0.01, 0.99, 500)
    predictions = [np.column_stack([1 - p, p]) for p in (noise, good)]
    distance = behind(metrics.get(metric, "binary"), y, predictions, None)

    assert distance[1] == 0.0
    assert distance[0] > 5


def test_ranks_on_the_subset_are_trusted_only_where_they_agree():
    assert ranks_agree([1, 2, 3, 4, 5], [10, 20, 30, 40, 50])
    assert not ranks_agree([1, 2, 3, 4, 5], [50, 40, 30, 20, 10])
    assert ranks_agree([1, 2, 3], [3, 2, 1]), "three candidates say nothing"
    assert ranks_agree([1, 1, 1, 1], [1, 2, 3, 4])
    assert 0 < AGREEMENT < 1
