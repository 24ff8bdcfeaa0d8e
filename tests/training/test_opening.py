"""From sealed rows to the number that may be shown, on a real ledger with real metrics."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from modelwright.errors import InvalidInputError
from modelwright.metrics import registry as metrics
from modelwright.metrics.estimate import Interval
from modelwright.metrics.intervals import interval
from modelwright.metrics.paired import compare
from modelwright.splits.vault import Vault
from modelwright.store.database import Database
from modelwright.store.ledger import Ledger
from modelwright.training.opening import Scored, evaluate_sealed
from modelwright.training.record import Comparison, Evaluation

N = 400
RNG = np.random.default_rng(7)
SIGNAL = RNG.normal(size=N)
Y = (SIGNAL + RNG.normal(size=N) > 0).astype(np.int64)
TARGETS = {"binary": Y, "regression": SIGNAL + RNG.normal(size=N)}
CLASSES = {"binary": ["no", "yes"], "regression": []}


def predictions(task: str, quality: float, seed: int) -> np.ndarray:
    """Of a model that sees the signal through noise; quality 1 sees it clearly."""
    seen = quality * SIGNAL + (1 - quality) * np.random.default_rng(seed).normal(size=N)
    if task == "regression":
        return seen
    p = 1 / (1 + np.exp(-2 * seen))
    return np.column_stack([1 - p, p])


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.seal(tmp_path / "vault", pl.DataFrame({"row": range(N)}), data="t", rows_digest="r", target="y")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Database.of(tmp_path))


def scored(task: str, name: str, prediction: np.ndarray) -> Scored:
    metric, y = metrics.get(name, task), TARGETS[task]
    found = interval(metric, y, prediction)
    base = np.full_like(prediction, y.mean()) if task == "regression" else np.tile([1 - y.mean(), y.mean()], (N, 1))
    paired = compare(metric, y, prediction, base)
    difference = Interval(paired.difference.value, paired.difference.low, paired.difference.high)
    of_base = interval(metric, y, base)
    comparison = Comparison(
        "constant", Interval(of_base.value, of_base.low, of_base.high), difference, paired.p_value, paired.better, "said"
    )
    evaluation = Evaluation(
        metric=name,
        n_rows=N,
        score=Interval(found.value, found.low, found.high),
        others={"other": Interval(0.123, 0, 1)},
        comparison=comparison,
        comparisons=[comparison],
        plots={"roc": {"fpr": [0.0]}},
    )
    return Scored(evaluation, y, prediction)


def run(ledger, vault, task, name, quality, seed=1, purpose="test", run="", at="2026-01-01", again=False):
    return evaluate_sealed(
        ledger,
        vault,
        lambda rows: scored(task, name, predictions(task, quality, seed)) if rows.height == N else pytest.fail("other rows"),
        run=run or f"{quality}/{seed}",
        purpose=purpose,
        at=at,
        metric=metrics.get(name, task),
        task=task,
        classes=CLASSES[task],
        seed=0,
        again=again,
    )


CASES = [("binary", name) for name in ("roc_auc", "log_loss", "accuracy", "f1")] + [
    ("regression", "rmse"),
    ("regression", "r2"),
]


@pytest.mark.parametrize(("task", "name"), CASES)
def test_looks_show_the_best_so_far_and_only_clear_gains(ledger, vault, task, name):
    own = scored(task, name, predictions(task, 0.6, 1)).evaluation
    first, look = run(ledger, vault, task, name, 0.6)
    assert (first, look.count, look.corrected) == (own, 1, None)

    worse, look = run(ledger, vault, task, name, 0.3)
    assert look.better_than_shown is False
    assert worse.score == first.score
    assert (worse.others, worse.plots, worse.comparison, worse.comparisons) == ({}, {}, None, [])
    assert look.beats_baseline is not None

    better, look = run(ledger, vault, task, name, 1.0)
    assert look.better_than_shown
    assert metrics.get(name, task).better(better.score.value, first.score.value)
    assert better.others
    assert look.corrected.low < better.score.low < better.score.high < look.corrected.high
    assert better.opened == 3
    assert ledger.verify(vault.about.identity, [look]) == []


def test_same_model_again_shows_its_numbers_again(ledger, vault):
    first, _ = run(ledger, vault, "binary", "log_loss", 0.6)
    again, look = run(ledger, vault, "binary", "log_loss", 0.6)
    assert look.repeated
    assert again.plots == first.plots
    assert again.score == first.score


def test_another_metric_is_compared_with_the_best_model_in_that_metric(ledger, vault):
    run(ledger, vault, "binary", "log_loss", 0.9)
    shown, look = run(ledger, vault, "binary", "accuracy", 0.2)
    best = metrics.score(metrics.get("accuracy", "binary"), Y, predictions("binary", 0.9, 1))
    assert look.better_than_shown is False
    assert shown.score.value == pytest.approx(best)


def test_nothing_of_a_model_that_is_no_better_is_shown(ledger, vault):
    run(ledger, vault, "binary", "roc_auc", 0.9)
    own = scored("binary", "roc_auc", predictions("binary", 0.4, 3)).evaluation
    shown, look = run(ledger, vault, "binary", "roc_auc", 0.4, seed=3)
    text = (msgspec.json.encode(shown) + msgspec.json.encode(look)).decode()
    assert str(own.score.value)[:7] not in text
    assert str(own.comparison.difference.value)[:7] not in text
    assert ledger.lines(vault.about.identity)[-1].score == own.score.value


def test_clusters_are_compared_by_their_silhouettes(ledger, vault):
    def clustered(shift: float):
        values = np.random.default_rng(0).uniform(0, 0.5, 300) + shift
        score = Interval(float(values.mean()), float(values.mean()) - 0.02, float(values.mean()) + 0.02)
        return evaluate_sealed(
            ledger, vault, lambda rows: Scored(Evaluation("silhouette", 300, score, {}, None), None, values),
            run="c", purpose="p", at="", metric=metrics.get("silhouette", "clustering"), task="clustering", classes=[], seed=0,
        )  # fmt: skip

    first, _ = clustered(0.1)
    assert clustered(0.05)[0].score == first.score
    assert clustered(0.2)[1].better_than_shown


def test_baseline_is_beaten_at_the_corrected_level_from_the_second_look_on(ledger, vault):
    weak = scored("binary", "accuracy", predictions("binary", 0.6, 1))
    barely = msgspec.structs.replace(weak.evaluation.comparison, better=True, p_value=0.03)
    evaluation = msgspec.structs.replace(weak.evaluation, comparison=barely, comparisons=[barely])

    def look(quality):
        made = Scored(evaluation, Y, predictions("binary", quality, 1))
        return evaluate_sealed(
            ledger, vault, lambda rows: made, run="r", purpose="p", at="", metric=metrics.get("accuracy", "binary"),
            task="binary", classes=["no", "yes"], seed=0,
        )  # fmt: skip

    assert look(0.3)[0].comparison.better
    second, entered = look(1.0)
    assert entered.better_than_shown
    assert not second.comparison.better
    assert "opened 2 times" in second.comparison.sentence


def test_empty_purpose_is_refused_before_anything_is_read(ledger, vault):
    with pytest.raises(InvalidInputError, match="purpose"):
        run(ledger, vault, "binary", "roc_auc", 0.5, purpose=" ")
    assert ledger.lines(vault.about.identity) == []


@pytest.mark.parametrize("later_looks", [0, 1])
def test_a_resumed_run_whose_look_was_entered_looks_no_second_time(ledger, vault, later_looks):
    run(ledger, vault, "binary", "roc_auc", 0.6, seed=2)
    first = run(ledger, vault, "binary", "roc_auc", 0.5, run="killed")
    for _ in range(later_looks):
        run(ledger, vault, "binary", "roc_auc", 0.7, seed=3)
    lines = ledger.lines(vault.about.identity)
    assert run(ledger, vault, "binary", "roc_auc", 0.5, run="killed", purpose="other", at="later", again=True) == first
    assert ledger.lines(vault.about.identity) == lines
    # Another model of the same run is another look.
    _, other = run(ledger, vault, "binary", "roc_auc", 0.5, seed=9, run="killed", again=True)
    assert other.count == 3 + later_looks
    # And a run that was killed before its look looks once.
    _, late = run(ledger, vault, "binary", "roc_auc", 0.5, run="late", again=True)
    assert late.count == 4 + later_looks
    assert ledger.verify(vault.about.identity, [first[1], other, late]) == []
