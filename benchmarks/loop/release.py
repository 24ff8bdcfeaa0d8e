"""How often a release that is as good is rolled back, and how soon a bad one is, by simulation; how long a rollback takes.

usage: python benchmarks/loop/release.py [--draws 1000]

The test of the realised metric is looked at after every 25 labels up to 2,000, those of shares after every 10 of 5,000
answers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from gate import DRAWS, METRIC_NAMES

from modelwright.metrics.registry import METRICS
from modelwright.metrics.superiority import superiority
from modelwright.retraining.rules import ReleaseRules
from modelwright.retraining.sequential import level_at, share_exceeded

RULES = ReleaseRules()
_LABELS, _EVERY = 2_000, 25


def labels_until_alarm(kind: str, rng: np.random.Generator, gain: float, memory: float, most: float) -> int | None:
    """Labels after which the realised metric brings the champion back; None if it never does."""
    y, champion, challenger = DRAWS[kind](rng, _LABELS, gain, memory)
    for n in range(50, _LABELS + 1, _EVERY):
        found = superiority(METRICS[kind], y[:n], champion[:n], challenger[:n], margin=0.01, when=np.arange(n, dtype=float))
        if -found.gain > most and found.p_worse <= level_at(n):
            return n
    return None


def answers_until_alarm(rng: np.random.Generator, share: float) -> int | None:
    """Answers after which the share of failed ones does so."""
    failed = np.cumsum(rng.random(5_000) < share)
    for n in range(10, 5_001, 10):
        if share_exceeded(int(failed[n - 1]), n, RULES.max_error_rate):
            return n
    return None


def told(found: list[int | None]) -> str:
    """Share that alarmed, and the median of when."""
    seen = [each for each in found if each is not None]
    return f"{len(seen) / len(found):.2%} | {np.median(seen):,.0f}" if seen else "0.00% | –"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    rng = np.random.default_rng(0)
    print("| new champion | figure | rolled back | labels or answers, median |\n|---|---|---|---|")
    for kind in METRIC_NAMES:
        for what, gain, memory, most in (
            ("equal", 0.0, 0.0, 0.0), ("equal, errors last", 0.0, 0.8, 0.0), ("four points worse", -0.04, 0.0, RULES.max_loss),
        ):  # fmt: skip
            if what.startswith("four") and kind == "log_loss":
                gain = -0.06  # its noise is larger: what is told is when, not whether
            found = [labels_until_alarm(kind, rng, gain, memory, most) for _ in range(draws // 4)]
            print(f"| {what} | {kind} | {told(found)} |", flush=True)
    for share in (0.005, 0.01, 0.02, 0.05, 0.2, 1.0):
        print(f"| {share:.1%} fail, 1 % allowed | errors | {told([answers_until_alarm(rng, share) for _ in range(draws)])} |")


if __name__ == "__main__":
    main()
