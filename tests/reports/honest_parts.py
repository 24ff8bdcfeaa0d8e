"""What a record says of trust: measured by our own functions on generated predictions, so that it fits together.

Loaded by conftest.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from modelwright.audit.finding import Cost, Finding, Fix
from modelwright.ensembles.calibration import Calibration
from modelwright.ensembles.conformal import fit_intervals, fit_sets
from modelwright.ensembles.threshold import ThresholdChoice
from modelwright.evaluation.calibration_report import report_calibration
from modelwright.evaluation.conformal_report import report_conformal
from modelwright.evaluation.groupwise import GroupScore, Groupwise
from modelwright.evaluation.multiple import Leaderboard, Standing
from modelwright.evaluation.repeats import seed_spread
from modelwright.evaluation.slices import Slice
from modelwright.evaluation.threshold_report import report_threshold
from modelwright.metrics.estimate import Interval
from modelwright.metrics.registry import METRICS
from modelwright.splits.looks import Look
from modelwright.training.record import Comparison, Evaluation, RunRecord
from modelwright.training.summary import DataSummary

VAULT = "9f" * 32


def interval(value: float, half: float) -> Interval:
    return Interval(value, value - half, value + half)


def look(record: RunRecord, count: int = 1, **more: Any) -> Look:
    """A look whose score is the one that the record shows."""
    assert record.evaluation is not None
    score = record.evaluation.score
    wide = 1.4 * (score.high - score.value)
    settings: dict[str, Any] = {
        "vault": VAULT,
        "part": "evaluation",
        "count": count,
        "run": record.id,
        "purpose": "sealed evaluation at the end of training",
        "at": "2025-03-11T14:26:01+00:00",
        "by": "ada",
        "metric": record.metric,
        "score": score,
        "corrected": None if count == 1 else interval(score.value, wide),
        "level": 1 - 0.05 / (count * (count + 1)),
        "better_than_shown": None if count == 1 else True,
        "best_run": record.id,
        "best_count": count,
        "beats_baseline": True,
        "hash": "c0ffee" * 10,
    }
    return Look(**{**settings, **more})


def _classes(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of shape (n, k) and classes drawn from them, so that they are calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(n, k)) + np.linspace(1.0, 0.0, k)
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    return proba, (proba.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)


def binary(record: RunRecord) -> RunRecord:
    """First opening, three baselines beaten, costs, two seeds, two slices, groups."""
    assert record.evaluation is not None
    labels = [str(label) for label in record.plan.classes]
    proba, y = _classes(1409, 2, 3)
    cost = {"fp": 1.0, "fn": 5.0}
    choice = ThresholdChoice(0.3712, "floor and cost", "least cost on validation rows", 0.31, 0.42, cost, {"recall": 0.8})
    conformal = fit_sets(*_classes(3000, 2, 4))
    assert conformal is not None
    comparisons = [record.evaluation.comparison, *(_beaten(name, base) for name, base in (("tree", 0.79), ("constant", 0.5)))]
    evaluation = msgspec.structs.replace(
        record.evaluation,
        comparisons=[c for c in comparisons if c is not None],
        look=look(record),
        calibration=report_calibration(y, proba**0.8 / (proba**0.8).sum(axis=1, keepdims=True), proba, labels, "platt"),
        threshold=report_threshold(y, proba, choice, METRICS["f1"]),
        conformal=report_conformal(conformal, y, proba, labels=labels),
        repeats=seed_spread([0.8463, 0.8440, 0.8471]),
        slices=[
            Slice(["Contract = 'Month-to-month'"], 3000, 750, 2.9, 3.03, interval(0.7791, 0.033), 1e-9, True),
            Slice(["tenure < 6", "Partner is no"], 90, 14, 1.4, None, None, None, False),
        ],
        groupwise=[
            Groupwise(
                "gender",
                [
                    GroupScore("Female", 700, {"roc_auc": interval(0.84, 0.03), "recall": interval(0.79, 0.05)}),
                    GroupScore("Male", 690, {"roc_auc": interval(0.85, 0.03), "recall": interval(0.77, 0.05)}),
                    GroupScore("unknown", 19, {}),
                ],
                {"roc_auc": 0.01, "recall": 0.02},
                {"roc_auc": False, "recall": False},
            )
        ],
    )
    plan = msgspec.structs.replace(record.plan, calibration=Calibration("platt", slopes=[1.2], intercepts=[0.1]))
    plan = msgspec.structs.replace(plan, threshold_choice=choice)
    summary = DataSummary(5634, {"No": 4139.0, "Yes": 1495.0}, {"TotalCharges": 0.0016}, 1, {"No": 1e-4, "Yes": 0.0})
    spec = {**record.spec, "reserve": 0.1, "cost": cost, "sensitive": ["gender"], "repeats": 3}
    return msgspec.structs.replace(
        record, evaluation=evaluation, plan=plan, summary=summary, spec=spec, standings=_standings(record)
    )


def _beaten(name: str, score: float) -> Comparison:
    difference = interval(0.8463 - score, 0.02)
    return Comparison(name, interval(score, 0.02), difference, 1e-9, True, f"Better than the {name} baseline.")


def _standings(record: RunRecord) -> Leaderboard:
    """Trial 3 first, 2 tied, 4 behind."""
    scores = {t.number: t.score or 0.0 for t in record.trials}
    found = [
        Standing("3", scores[3], 0.0, 0.0, 0.0, 1.0, False),
        Standing("2", scores[2], 0.0013, -0.0011, 0.0037, 0.41, False),
        Standing("4", scores[4], 0.0063, 0.0021, 0.0105, 0.002, True),
    ]
    return Leaderboard("3", found, 5634, 5, 2.25, 0.95, "…")


def multiclass(record: RunRecord) -> RunRecord:
    """The fourth opening, better than before; overconfident probabilities."""
    assert record.evaluation is not None
    labels = [str(label) for label in record.plan.classes]
    proba, y = _classes(4000, len(labels), 5)
    sure = proba**1.6 / (proba**1.6).sum(axis=1, keepdims=True)
    conformal = fit_sets(*_classes(3000, len(labels), 6))
    assert conformal is not None
    evaluation = msgspec.structs.replace(
        record.evaluation,
        opened=4,
        look=look(record, 4, elsewhere=2),
        calibration=report_calibration(y, proba, sure, labels, "temperature"),
        conformal=report_conformal(conformal, y, proba, labels=labels),
    )
    return msgspec.structs.replace(record, evaluation=evaluation)


def regression(record: RunRecord) -> RunRecord:
    """The third opening, no better than the baseline, a critical finding that can be mended, intervals of rows in time."""
    assert record.evaluation is not None
    assert record.evaluation.comparison is not None
    rng = np.random.default_rng(8)
    predicted = np.exp(rng.normal(12.1, 0.4, size=4800))
    y = predicted * np.exp(rng.normal(0, 0.14, size=4800))
    conformal = fit_intervals(predicted[:3000], y[:3000], when=np.arange(3000))
    assert conformal is not None
    groups = rng.integers(0, 12, size=1800)
    close = Comparison(
        "shallow_tree", interval(38_900.0, 2800.0), Interval(487.0, -310.0, 1284.0), 0.21, False, "Not shown to be better."
    )
    evaluation = msgspec.structs.replace(
        record.evaluation,
        comparisons=[record.evaluation.comparison, close],
        look=look(record, 3, better_than_shown=True, beats_baseline=False),
        conformal=report_conformal(
            conformal, y[3000:], predicted[3000:], groups=groups, group_labels=np.array([f"district {g}" for g in groups])
        ),
        slices=[Slice(["lot_area > 20,000"], 300, 81, 1.6, 1.2, interval(51_000.0, 9000.0), 0.4, False)],
    )
    findings = [
        msgspec.structs.replace(
            record.findings[0],
            fix=Fix(exclude=("price_per_m2",)),
            cost=Cost(
                "rmse", 1200.0, 38_000.0, "RMSE 1,200 with the column, 38,000 without it (cross-validated, training rows)."
            ),
        )
    ]
    bars = [f"Critical finding {findings[0].name!r}: {findings[0].message}", record.evaluation.comparison.sentence]
    return msgspec.structs.replace(record, evaluation=evaluation, findings=findings, barriers=bars)


def behind(record: RunRecord) -> RunRecord:
    """A model that is no better than the best shown: its own sealed numbers are not in the record."""
    assert record.evaluation is not None
    shown = look(record, 12, better_than_shown=False, best_run="churn-20250301-101010", best_count=3, beats_baseline=False)
    evaluation = Evaluation(
        metric=record.metric,
        n_rows=record.evaluation.n_rows,
        score=record.evaluation.score,
        others={},
        comparison=None,
        opened=12,
        plots=record.evaluation.plots,
        look=msgspec.structs.replace(shown, sound=False),
        plots_of="validation",
    )
    return msgspec.structs.replace(record, evaluation=evaluation, barriers=["Not shown to be better than the baseline."])


def hostile(record: RunRecord, text: str, labels: list[str]) -> RunRecord:
    """Every text of the new parts is hostile, every number that may be missing is."""
    record = binary(record)
    evaluation = record.evaluation
    assert evaluation is not None
    assert evaluation.look is not None
    assert evaluation.threshold is not None
    assert evaluation.conformal is not None
    assert evaluation.calibration is not None
    endless = Interval(0.5, -1.7976931348623157e308, 1.7976931348623157e308)
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    replace = msgspec.structs.replace
    evaluation = replace(
        evaluation,
        opened=2,
        look=replace(evaluation.look, purpose=text, by=text * 9, at=text, vault=text, hash=text, best_run=text, count=2),
        comparisons=[
            Comparison(text * 4, endless, nothing, float("nan"), False, text),
            Comparison("x", endless, endless, 1, False, ""),
        ],
        calibration=replace(
            evaluation.calibration, event=text, method=text, classes={text: {"ece": float("nan")}}, slope=nothing
        ),
        threshold=replace(
            evaluation.threshold,
            rule=text,
            regret_of=text,
            floor={text: 0.5},
            held={},
            precision=None,
            recall=None,
            saved=nothing,
        ),
        conformal=replace(
            evaluation.conformal,
            method=text,
            worst=[replace(w, kind=text, name=text * 5) for w in evaluation.conformal.worst],
            coverage=nothing,
        ),
        repeats=replace(seed_spread([0.5]), sentence=text),
        slices=[Slice([text, "x" * 200], 3, 2, 1.0, None, None, None, False)],
        groupwise=[Groupwise(text, [GroupScore(text * 5, 3, {})], {}, {})],
    )
    waived = Finding(text, "critical", text, tuple(labels), fix=Fix(exclude=(text,)), cost=Cost(text, 1.0, 2.0, text))
    return replace(
        record,
        evaluation=evaluation,
        barriers=[f"Critical finding {waived.name!r}: {waived.message}", text],
        findings=[waived],
        standings=None,
        summary=DataSummary(3, {text: 1.0}, {text: 0.5}, 1, {text: 0.5}),
    )
