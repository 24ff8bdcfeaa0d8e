"""How often the gate promotes challengers that are equal, worse and better, by simulation.

usage: python benchmarks/loop/gate.py [--draws 4000] [--json FILE]

Champion and challenger answer the same drawn rows; how good they are in truth is known. "equal" challengers have errors of
their own but the same expected score, "remembering" ones have errors that last (AR(1), 0.8), "skewed" ones lose seldom
and much. The gate as a whole is asked, `modelwright.retraining.gate.judge`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import signal, special

from modelwright.metrics.registry import METRICS
from modelwright.retraining.gate import judge
from modelwright.retraining.rules import GateRules, Verdict
from modelwright.retraining.scored import Labelled, Scored

#: Share of rows on which two classifiers disagree, as in the arithmetic that the goals come from.
DISAGREE = 0.06
METRIC_NAMES = ("accuracy", "roc_auc", "log_loss", "rmse")
_MEMORY = 0.8


def noise(rng: np.random.Generator, shape: tuple[int, ...], memory: float) -> np.ndarray:
    """Standard normal noise; along the last axis an AR(1)."""
    drawn = rng.normal(size=shape)
    if not memory:
        return drawn
    drawn[..., 1:] *= np.sqrt(1 - memory**2)
    return np.asarray(signal.lfilter([1.0], [1.0, -memory], drawn, axis=-1))


def of_accuracy(rng: np.random.Generator, n: int, gain: float, memory: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and answers of two classifiers that disagree on 6 % of rows."""
    y = rng.integers(0, 2, n)
    u = special.ndtr(noise(rng, (n,), memory))
    both = rng.random(n) < 0.8
    wins, losses = u < (DISAGREE + gain) / 2, u > 1 - (DISAGREE - gain) / 2
    right = np.stack([np.where(wins, False, both | losses), np.where(losses, False, both | wins)])
    answer = np.where(right, y, 1 - y)
    return y, *(np.column_stack([1 - each, each]).astype(float) * 0.6 + 0.2 for each in answer)


def of_ranking(rng: np.random.Generator, n: int, gain: float, memory: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and scores of two models whose area under the ROC curve is 0.8 and 0.8 + gain."""
    y = (rng.random(n) < 0.3).astype(int)
    shared, own = rng.normal(size=n), noise(rng, (2, n), memory)
    scores = []
    for k, auc in enumerate((0.8, 0.8 + gain)):
        part = np.sqrt(0.9) * shared + np.sqrt(0.1) * own[k]
        scores.append(special.expit(np.sqrt(2) * special.ndtri(auc) * y + part - 1.5))
    return y, *(np.column_stack([1 - p, p]) for p in scores)


def of_chances(rng: np.random.Generator, n: int, gain: float, memory: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and probabilities with errors of their own; the challenger's log loss is smaller by about ``gain``."""
    z = rng.normal(scale=1.5, size=n)
    y = (rng.random(n) < special.expit(z)).astype(int)
    own = noise(rng, (2, n), memory)
    spread = (0.5, _spread_for(gain))
    return y, *(
        np.column_stack([1 - p, p]) for p in (special.expit(z + s * error) for s, error in zip(spread, own, strict=True))
    )


_GRID = np.random.default_rng(1).normal(size=(2, 200_000))


def _spread_for(gain: float) -> float:
    """Spread of the errors of log-odds with which the log loss is better by ``gain`` than with 0.5."""

    def loss(spread: float) -> float:
        z, seen = 1.5 * _GRID[0], 1.5 * _GRID[0] + spread * _GRID[1]
        return float((special.expit(z) * np.logaddexp(0, -seen) + special.expit(-z) * np.logaddexp(0, seen)).mean())

    key = round(gain, 6)
    if key not in _FOUND:
        wanted, low, high = loss(0.5) - gain, 0.0, 2.0
        for _ in range(25):
            middle = (low + high) / 2
            low, high = (middle, high) if loss(middle) < wanted else (low, middle)
        _FOUND[key] = low if gain else 0.5
    return _FOUND[key]


_FOUND: dict[float, float] = {}


def of_numbers(rng: np.random.Generator, n: int, gain: float, memory: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers, and predictions with a root mean squared error of 1 and 1 - gain."""
    shared, own = rng.normal(size=n), noise(rng, (2, n), memory)
    y = rng.normal(size=n)
    spread = (np.sqrt(0.06), np.sqrt(max((1 - gain) ** 2 - 0.94, 0.0)))
    return y, *(y + np.sqrt(0.94) * shared + s * error for s, error in zip(spread, own, strict=True))


def of_skewed(rng: np.random.Generator, n: int, gain: float, memory: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers, and a challenger that is a little better on most rows and much worse on 2 %: equal in the mean square."""
    y = rng.normal(size=n)
    shared, heavy = rng.normal(size=n), rng.random(n) < 0.02
    champion = np.sign(shared) * np.sqrt(shared**2 + 0.5)
    challenger = np.sign(shared) * np.sqrt(shared**2 + np.where(heavy, 0.5 + 9.8, 0.3))
    return y, y + champion, y + challenger


DRAWS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]] = {
    "accuracy": of_accuracy, "roc_auc": of_ranking, "log_loss": of_chances, "rmse": of_numbers, "skewed": of_skewed,
}  # fmt: skip


def asked(
    kind: str, rng: np.random.Generator, n: int, gain: float = 0.0, *, memory: float = 0.0, timed: bool = False,
    attempt: int = 1, require: str = "better",
) -> Verdict:  # fmt: skip
    """What the gate says of one drawn challenger."""
    y, champion, challenger = DRAWS[kind](rng, n, gain, memory)
    task = "binary" if champion.ndim == 2 else "regression"
    classes = (0, 1) if task == "binary" else ()
    when = np.arange(n, dtype=float) if timed or memory else None
    rows = Labelled(y, when, follows="drawn after both")
    metric = METRICS[kind if kind in METRICS else "rmse"]
    return judge(
        Scored("a/1", champion, task, classes), Scored("a/2", challenger, task, classes), rows,  # type: ignore[arg-type]
        GateRules(require=require), metric=metric, attempt=attempt,  # type: ignore[arg-type]
    )  # fmt: skip


def share(kind: str, n: int, gain: float, draws: int, seed: int, **options: object) -> tuple[float, float, float]:
    """Share that is promoted, share of the others that are told how many labels are needed, and their median."""
    rng = np.random.default_rng(seed)
    found = [asked(kind, rng, n, gain, **options) for _ in range(draws)]  # type: ignore[arg-type]
    rest = [each for each in found if not each.promote and each.answer in ("undecided", "not worse")]
    told = [each.labels_needed for each in rest if each.labels_needed]
    return (
        sum(each.promote for each in found) / draws,
        len(told) / len(rest) if rest else 1.0,
        float(np.median(told)) if told else 0.0,
    )


def family(kind: str, n: int, draws: int, seed: int, *, attempts: int = 10, growing: bool = False) -> float:
    """Chance that one of ten equal challengers passes; ``growing``: one challenger asked for again as labels come."""
    rng = np.random.default_rng(seed)
    passed = 0
    for _ in range(draws):
        if growing:
            y, champion, challenger = DRAWS[kind](rng, n * attempts, 0.0, 0.0)
            task = "binary" if champion.ndim == 2 else "regression"
            classes = (0, 1) if task == "binary" else ()
            for k in range(1, attempts + 1):
                rows = Labelled(y[: n * k], follows="drawn after both")
                old, new = (Scored(name, p[: n * k], task, classes) for name, p in (("a/1", champion), ("a/2", challenger)))  # type: ignore[arg-type]
                if judge(old, new, rows, GateRules(require="better"), metric=METRICS[kind], attempt=k).promote:
                    passed += 1
                    break
        else:
            passed += any(asked(kind, rng, n, attempt=k).promote for k in range(1, attempts + 1))
    return passed / draws


CASES: tuple[tuple[str, int, float, dict[str, object], float, float], ...] = (
    # what, rows, gain, options, lowest and highest share allowed
    ("equal", 300, 0.0, {}, 0.0, 0.05),
    ("equal", 1000, 0.0, {}, 0.0, 0.05),
    ("equal, remembering", 300, 0.0, {"memory": _MEMORY}, 0.0, 0.05),
    ("equal, remembering", 1000, 0.0, {"memory": _MEMORY}, 0.0, 0.05),
    ("one point worse", 300, -0.01, {}, 0.0, 0.01),
    ("one point worse, remembering", 300, -0.01, {"memory": _MEMORY}, 0.0, 0.05),
    ("two points better", 1000, 0.02, {}, 0.75, 1.0),
    ("two points better, in time", 1000, 0.02, {"timed": True}, 0.0, 1.0),
    ("two points better, remembering", 1000, 0.02, {"memory": _MEMORY}, 0.0, 1.0),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = []
    print("| challenger | labels | metric | promoted | of the undecided told the labels needed | median needed |")
    print("|---|---|---|---|---|---|")
    for number, (what, n, gain, given, _, _) in enumerate(CASES):
        for kind in METRIC_NAMES:
            promoted, told, needed = share(kind, n, gain, options.draws, number, **given)
            lines.append({"what": what, "rows": n, "metric": kind, "promoted": promoted, "told": told, "needed": needed})
            print(f"| {what} | {n:,} | {kind} | {promoted:.2%} | {told:.0%} | {needed:,.0f} |", flush=True)
    for n in (300, 1000):
        promoted, told, needed = share("skewed", n, 0.0, options.draws, 90)
        lines.append({"what": "equal, skewed", "rows": n, "metric": "rmse", "promoted": promoted})
        print(f"| equal, skewed | {n:,} | rmse | {promoted:.2%} | {told:.0%} | {needed:,.0f} |", flush=True)
    for kind in METRIC_NAMES:
        for growing in (False, True):
            passed = family(kind, 300, options.draws // 4, 91, growing=growing)
            what = "equal, ten looks at growing labels" if growing else "ten equal ones, one after the other"
            lines.append({"what": what, "rows": 300, "metric": kind, "promoted": passed})
            print(f"| {what} | 300 | {kind} | {passed:.2%} | | |", flush=True)
    promoted, _, _ = share("accuracy", 300, -0.01, options.draws, 92, require="not worse")
    print(f"| one point worse, “not worse” required | 300 | accuracy | {promoted:.2%} | | |")
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
