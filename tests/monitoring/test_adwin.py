"""ADWIN: finds changes of the mean, and agrees with river value by value."""

from __future__ import annotations

import numpy as np
import pytest
from river.drift import ADWIN

from modelwright.monitoring.adwin import Adwin


def stream(kind: str, seed: int, n: int = 6000) -> np.ndarray:
    rng, at = np.random.default_rng(seed), np.arange(n)
    if kind == "errors":
        return (rng.random(n) < np.where(at < n // 2, 0.1, 0.2)).astype(np.float64)
    if kind == "uniform":
        return rng.random(n)
    if kind == "steps":
        return rng.normal(size=n) + 0.5 * (at > n // 3) - 0.8 * (at > 3 * n // 4)
    return np.abs(rng.standard_cauchy(n)).clip(0, 5)


@pytest.mark.parametrize("kind", ["errors", "uniform", "steps", "heavy"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_window_and_alarms_are_those_of_river(kind: str, seed: int) -> None:
    ours, theirs = Adwin(), ADWIN()
    for value in stream(kind, seed):
        changed = ours.update(value)
        theirs.update(value)
        assert (changed, ours.width) == (theirs.drift_detected, theirs.width)
        assert ours.mean == pytest.approx(theirs.estimation, abs=1e-12)
    assert (kind in ("errors", "steps")) <= (ours.width < 6000)


def test_streams_without_change_seldom_alarm_and_changes_are_found_soon() -> None:
    rng = np.random.default_rng(0)
    alarms = sum(bool(Adwin().changes((rng.random(10_000) < 0.1).astype(float))) for _ in range(20))
    assert alarms == 0
    delays = []
    for _ in range(20):
        detector = Adwin()
        detector.changes((rng.random(3_000) < 0.1).astype(float))
        delays.append(detector.changes((rng.random(3_000) < 0.2).astype(float))[0])
    assert np.mean(delays) <= 350


def test_after_a_change_the_window_holds_the_new_mean() -> None:
    detector = Adwin()
    found = detector.changes([0.0] * 1000 + [1.0] * 200)
    assert found
    assert detector.mean > 0.9
    assert detector.n_seen == 1200


def test_an_empty_window_has_no_mean() -> None:
    assert (Adwin().mean, Adwin().variance, Adwin().width) == (0.0, 0.0, 0)
