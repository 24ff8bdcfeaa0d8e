"""Run records as a training would write them, one for each kind of run the report must tell about."""

from __future__ import annotations

import importlib.util
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from modelwright.audit.finding import Finding
from modelwright.tables.schema import Column, Schema
from modelwright.training.record import (
    Comparison,
    CurveRecord,
    Evaluation,
    Interval,
    MemberRecord,
    Plan,
    RunRecord,
    Trial,
)

_SPEC = importlib.util.spec_from_file_location("honest_parts", Path(__file__).parent / "honest_parts.py")
assert _SPEC is not None
assert _SPEC.loader is not None
honest = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(honest)

HOSTILE = '<script>alert("x")</script>'


def _curves(trial: int, algorithm: str, loss: str, level: float, folds: int = 2) -> list[CurveRecord]:
    steps = np.arange(1, 301)
    curves = []
    for fold in range(folds):
        training = level * (0.55 + 0.45 * np.exp(-steps / 60)) + 0.004 * fold
        validation = level * (0.66 + 0.36 * np.exp(-steps / 45)) + 0.0004 * np.maximum(0, steps - 170) * level + 0.01 * fold
        curves.append(CurveRecord(trial, algorithm, fold, loss, steps.tolist(), training.tolist(), validation.tolist()))
    return curves


def _trials(metric_sign: float, level: float, unit: float) -> list[Trial]:
    def trial(number: int, algorithm: str, offset: float, **more: Any) -> Trial:
        folds = [level - metric_sign * unit * (offset + wobble) for wobble in (-0.4, 0.1, 0.6, -0.1, -0.2)]
        settings: dict[str, Any] = {
            "params": {"learning_rate": 0.05, "max_depth": 6},
            "state": "complete",
            "stage": "validate",
            "score": sum(folds) / 5,
            "fold_scores": folds,
            "n_rows": 5634,
            "n_iterations": 212,
            "fit_s": 1.9 + number,
            "predict_us_per_row": 11.2 * (number + 1),
            "size_bytes": 412_000 * (number + 1),
            "peak_memory_mb": 212.0 + number,
        }
        return Trial(number=number, algorithm=algorithm, **{**settings, **more})

    return [
        trial(
            0,
            "baseline_constant",
            9.0,
            baseline=True,
            stage="baseline",
            fit_s=0.0004,
            size_bytes=310,
            n_iterations=None,
            params={},
        ),
        trial(1, "baseline_linear", 2.0, baseline=True, n_iterations=None, params={"C": 1.0}),
        trial(2, "lightgbm", 0.3),
        trial(3, "catboost", 0.0, fit_s=14.2),
        trial(4, "extra_trees", 1.4, size_bytes=48_000_000),
        trial(5, "lightgbm", 0.8, stage="probe", fold_scores=[], n_rows=2000),
        trial(6, "xgboost", 1.1, stage="tune", fold_scores=[], n_rows=2000),
        trial(
            7,
            "network",
            0.0,
            state="unavailable",
            score=None,
            fold_scores=[],
            fit_s=0.0,
            predict_us_per_row=0.0,
            size_bytes=0,
            error="torch is not installed. Install it with: pip install 'modelwright[network]'",
        ),
        trial(
            8,
            "svm",
            0.0,
            state="failed",
            score=None,
            fold_scores=[],
            error="ValueError: kernel matrix\nholds infinities at row 12",
        ),
        trial(
            9,
            "knn",
            0.0,
            state="abandoned",
            score=None,
            fold_scores=[],
            error="Left out after 2 folds: cannot reach the best three.",
        ),
    ]


def _environment() -> dict[str, Any]:
    return {
        "python": "3.11.9",
        "platform": "Linux-6.8.0-x86_64-with-glibc2.39",
        "cpu": "AMD EPYC 7B13",
        "cores": 2,
        "memory_mb": 8192.0,
        "packages": {
            "numpy": "2.4.1",
            "polars": "2.1.0",
            "scikit-learn": "1.9.0",
            "lightgbm": "4.7.0",
            "catboost": "1.3.0",
            "scipy": "1.17.0",
        },
    }


def _churn_columns() -> tuple[Column, ...]:
    categories = (
        "gender",
        "Partner",
        "Dependents",
        "InternetService",
        "OnlineSecurity",
        "TechSupport",
        "Contract",
        "PaymentMethod",
    )
    return (
        Column("customerID", "id", "id", "every value is different, so it cannot be learned from"),
        *(Column(name, "category", "feature", "text with 2 to 4 distinct values") for name in categories),
        *(Column(name, "number", "feature", "decimal numbers") for name in ("tenure", "MonthlyCharges", "TotalCharges")),
        Column("SeniorCitizen", "boolean", "feature", "only 0 and 1"),
        Column("empty_note", "empty", "ignored", "holds no value at all"),
        Column("Churn", "boolean", "target", "set in the spec"),
    )


def _base(
    task: Any,
    metric: str,
    greater: bool,
    columns: tuple[Column, ...],
    target: str | None,
    classes: list[Any],
    trials: list[Trial],
    evaluation: Evaluation | None,
    curves: list[CurveRecord],
    **more: Any,
) -> RunRecord:
    members = [
        MemberRecord(
            3, "catboost", {"learning_rate": 0.0471, "depth": 6, "l2_leaf_reg": 3.0}, 312, 0.62, 17, 5634, True, 15.1, 1_240_000
        ),
        MemberRecord(
            2,
            "lightgbm",
            {"learning_rate": 0.05, "num_leaves": 31, "min_child_samples": 20},
            212,
            0.38,
            18,
            5634,
            True,
            2.2,
            870_000,
        ),
    ]
    plan = Plan(
        schema=Schema(columns),
        task=task,
        metric=metric,
        classes=classes,
        split_rule="stratified",
        split_sentence="One row in five was sealed at random, with the same share of each class.",
        n_folds=5,
        probe_rows=2000,
        seed=0,
        members=members,
        temperature=1.08,
        threshold=0.3712 if task == "binary" else None,
    )
    features = [c.name for c in columns if c.role == "feature"]
    shares = [0.6**i * 0.4 for i in range(len(features))]
    settings: dict[str, Any] = {
        "id": "20250311-142501-churn-7f3a",
        "name": "churn",
        "created": "2025-03-11T14:25:01Z",
        "modelwright": "0.1.0",
        "spec": {
            "data": "examples/data/telco_churn.csv",
            "target": target,
            "metric": metric,
            "budget_s": 60.0,
            "evaluation": 0.2,
            "seed": 0,
        },
        "source": "examples/data/telco_churn.csv",
        "fingerprint": "blake2b:4f1c2aa07d3be19902c1d9e35c6f8ab1",
        "n_rows": 7043,
        "n_columns": len(columns),
        "n_training": 5634,
        "n_evaluation": 1409,
        "notes": ["Column 'customerID' is an identifier and was left out.", "Positive class is 'Yes', the rarer one."],
        "validation_score": trials[min(3, len(trials) - 1)].score,
        "importance": list(zip(features, shares, strict=True)),
        "timings_s": {
            "read": 0.12,
            "audit": 0.9,
            "split": 0.05,
            "baseline": 1.1,
            "search": 41.2,
            "fit": 9.8,
            "evaluate": 1.4,
            "package": 0.6,
        },
        "wall_s": 55.4,
        "budget_s": 60.0,
        "peak_memory_mb": 612.4,
        "environment": _environment(),
        "model": {"size_bytes": 2_110_000, "predict_us_per_row": 34.1, "n_members": 2},
        "findings": [
            Finding(
                "identifier",
                "info",
                "Column 'customerID' has a different value in every row.",
                ("customerID",),
                (),
                {"distinct": 7043},
            ),
            Finding(
                "missing_cells",
                "warning",
                "Column 'TotalCharges' is blank in 11 rows.",
                ("TotalCharges",),
                (488, 753, 936),
                {"missing_share": 0.00156, "rows": 11},
                "Fill them in the source, or leave it: the model learns that they are missing.",
            ),
        ],
    }
    return RunRecord(
        task=task,
        target=target,
        metric=metric,
        greater_is_better=greater,
        plan=plan,
        trials=trials,
        evaluation=evaluation,
        curves=curves,
        **{**settings, **more},
    )


def _interval(value: float, half: float) -> Interval:
    return Interval(value, value - half, value + half)


def binary_record() -> RunRecord:
    """A churn run whose model beats the baseline, with all that is known of a first opening."""
    return honest.binary(old_record())


def behind_record() -> RunRecord:
    """A model that is no better than the best shown on rows that are worn."""
    return honest.behind(old_record())


def old_record() -> RunRecord:
    """The same run as an earlier version would have recorded it."""
    grid = np.linspace(0, 1, 120)
    bins = np.linspace(0.05, 0.9, 10)
    evaluation = Evaluation(
        metric="roc_auc",
        n_rows=1409,
        score=_interval(0.84634, 0.0213),
        others={
            "log_loss": _interval(0.41731, 0.021),
            "accuracy": _interval(0.7921, 0.021),
            "average_precision": _interval(0.6612, 0.042),
            "brier": _interval(0.1361, 0.0081),
            "f1": _interval(0.631, 0.034),
        },
        comparison=Comparison(
            baseline="baseline_linear",
            baseline_score=_interval(0.8342, 0.0221),
            difference=Interval(0.0121, 0.0043, 0.0199),
            p_value=0.0021,
            better=True,
            sentence="The model beats the linear baseline by 0.0121 ROC AUC (0.0043 to 0.0199) on 1,409 sealed rows.",
        ),
        plots={
            "roc": {"fpr": grid.tolist(), "tpr": (grid**0.28).tolist()},
            "pr": {"recall": grid.tolist(), "precision": (0.92 - 0.65 * grid**2.2).tolist()},
            "calibration": {
                "predicted": bins.tolist(),
                "observed": (bins * 0.96 + 0.01).tolist(),
                "count": [420, 260, 170, 130, 110, 98, 84, 66, 48, 23],
            },
            "confusion": {"labels": ["No", "Yes"], "counts": [[871, 164], [109, 265]]},
        },
    )
    curves = [
        c
        for t, name in ((2, "lightgbm"), (3, "catboost"), (6, "xgboost"))
        for c in _curves(t, name, "log_loss", 0.6 + 0.01 * t)
    ]
    return _base(
        "binary", "roc_auc", True, _churn_columns(), "Churn", ["No", "Yes"], _trials(1.0, 0.8471, 0.0045), evaluation, curves
    )


def multiclass_record() -> RunRecord:
    """Letters: 26 classes."""
    letters = list(string.ascii_uppercase)
    rng = np.random.default_rng(3)
    counts = rng.poisson(0.35, size=(26, 26)) + np.diag(rng.integers(120, 160, size=26))
    counts[letters.index("H"), letters.index("K")] = 14
    columns = (
        *(Column(f"x{i}", "number", "feature", "whole numbers with 16 distinct values") for i in range(16)),
        Column("letter", "category", "target"),
    )
    bins = np.linspace(0.3, 0.99, 8)
    evaluation = Evaluation(
        metric="log_loss",
        n_rows=4000,
        score=_interval(0.10412, 0.009),
        others={"accuracy": _interval(0.9712, 0.0052), "macro_f1": _interval(0.9709, 0.0054)},
        comparison=Comparison(
            "baseline_linear",
            _interval(0.7811, 0.018),
            _interval(0.677, 0.017),
            0.0001,
            True,
            "The model beats the linear baseline by 0.677 log loss on 4,000 sealed rows.",
        ),
        plots={
            "confusion": {"labels": letters, "counts": counts.tolist()},
            "calibration": {
                "predicted": bins.tolist(),
                "observed": (bins - 0.03).tolist(),
                "count": [40, 44, 60, 90, 160, 300, 700, 2606],
            },
        },
    )
    trials = _trials(-1.0, 0.1098, 0.004)
    record = _base(
        "multiclass",
        "log_loss",
        False,
        columns,
        "letter",
        letters,
        trials,
        evaluation,
        _curves(2, "lightgbm", "log_loss", 0.4),
        name="letters",
        n_rows=20_000,
        n_training=16_000,
        n_evaluation=4000,
        findings=[],
    )
    return honest.multiclass(record)


def regression_record() -> RunRecord:
    """House prices; the model is no better than the baseline, and a leak was found."""
    rng = np.random.default_rng(5)
    actual = np.exp(rng.normal(12.1, 0.42, size=1800))
    predicted = actual * np.exp(rng.normal(0.01, 0.13, size=1800))
    columns = (
        Column("address", "text", "text", "long text, 98 % distinct"),
        *(
            Column(name, "number", "feature", "decimal numbers")
            for name in ("living_area", "lot_area", "year_built", "price_per_m2")
        ),
        Column("sold_at", "datetime", "time", "set in the spec"),
        Column("price", "number", "target", "set in the spec"),
    )
    evaluation = Evaluation(
        metric="rmse",
        n_rows=1800,
        score=_interval(38_412.73, 2914.2),
        others={"mae": _interval(24_811.2, 1410.0), "r2": _interval(0.8123, 0.031), "mape": _interval(0.0981, 0.004)},
        opened=3,
        comparison=Comparison(
            "baseline_linear",
            _interval(38_120.4, 2850.3),
            Interval(-292.3, -1710.0, 1125.4),
            0.66,
            False,
            "The model is not better than the linear baseline: the difference in RMSE of −292 may be chance (−1,710 to 1,125).",
        ),
        plots={"residuals": {"predicted": predicted.tolist(), "actual": actual.tolist()}},
    )
    leak = Finding(
        "target_leak",
        "critical",
        "Column 'price_per_m2' gives the target away: alone it explains 99.1 % of it.",
        ("price_per_m2",),
        (),
        {"r2_alone": 0.9912, "rows": 7200},
        'Leave it out with exclude = ["price_per_m2"], unless it is known before the sale.',
    )
    record = _base(
        "regression",
        "rmse",
        False,
        columns,
        "price",
        [],
        _trials(-1.0, 37_900.0, 320.0),
        evaluation,
        _curves(3, "catboost", "rmse", 60_000.0),
        name="house prices",
        n_rows=9000,
        n_training=7200,
        n_evaluation=1800,
        findings=[leak],
    )
    return honest.regression(record)


def clustering_record() -> RunRecord:
    """Customers in five groups; nothing to compare with."""
    rng = np.random.default_rng(7)
    cluster = rng.integers(0, 5, size=900)
    evaluation = Evaluation(
        metric="silhouette",
        n_rows=900,
        score=_interval(0.4127, 0.018),
        others={"davies_bouldin": _interval(0.91, 0.05)},
        comparison=None,
        plots={
            "clusters": {
                "x": (rng.normal(size=900) + 3 * (cluster % 3)).tolist(),
                "y": (rng.normal(size=900) + 4 * (cluster // 3)).tolist(),
                "cluster": cluster.tolist(),
            }
        },
    )
    columns = tuple(Column(f"spend_{i}", "number", "feature", "decimal numbers") for i in range(6))
    trials = [Trial(0, "kmeans", {"n_clusters": 5}, "complete", "validate", 0.4102, [], 3600, 14, 0.4, 1.1, 9000, 120.0)]
    return _base(
        "clustering",
        "silhouette",
        True,
        columns,
        None,
        [],
        [*trials, *_trials(1.0, 0.39, 0.01)[2:4]],
        evaluation,
        [],
        name="customer groups",
        n_rows=4500,
        n_training=3600,
        n_evaluation=900,
        findings=[],
        importance=[],
        validation_score=0.4102,
    )


def unsealed_record() -> RunRecord:
    """evaluation = "none"."""
    record = binary_record()
    plan = msgspec.structs.replace(record.plan, split_rule="none", split_sentence="All rows train; none were sealed.")
    return msgspec.structs.replace(
        record, evaluation=None, plan=plan, spec={**record.spec, "evaluation": "none"}, n_training=7043, n_evaluation=0
    )


def hostile_record() -> RunRecord:
    """Names that are markup, control characters, very long, or right to left; numbers that are not numbers."""
    record = old_record()
    assert record.evaluation is not None
    names = [
        HOSTILE,
        "x" * 300,
        "naïve 名前 🙂",
        "a\x00b\x1b[31m",
        "\u202eltr",
        "tab\tnew\nline",
        "'\"&amp;--><!--",
        "</style><b>",
        "\\u003c${1}`{{7*7}}",
    ]
    columns = (*(Column(n, "number", "feature", HOSTILE) for n in names), Column(HOSTILE + "y", "boolean", "target", "set"))
    trials = [msgspec.structs.replace(t, algorithm=t.algorithm + "<i>", error=HOSTILE * 20) for t in record.trials]
    labels = [HOSTILE, "'];alert(1)//"]
    plots = {**record.evaluation.plots, "confusion": {"labels": labels, "counts": [[10, 0], [3, 9]]}}
    plots["calibration"] = {
        "predicted": [0.1, None, float("nan"), 0.9],
        "observed": [0.2, 0.5, 0.5, 0.8],
        "count": [5, 5, 5, 5],
    }
    evaluation = msgspec.structs.replace(
        record.evaluation, plots=plots, others={"<b>": Interval(float("nan"), float("-inf"), float("inf"))}
    )
    record = honest.hostile(msgspec.structs.replace(record, evaluation=evaluation), HOSTILE, names)
    return msgspec.structs.replace(
        record,
        name=HOSTILE,
        target=HOSTILE + "y",
        source="/data/a b'; rm -rf <x>.csv",
        plan=msgspec.structs.replace(record.plan, schema=Schema(columns), classes=labels, split_sentence=HOSTILE),
        trials=trials,
        notes=[HOSTILE],
        findings=[
            *record.findings,
            Finding(HOSTILE, "critical", HOSTILE, tuple(names), (1, 2), {HOSTILE: HOSTILE, "n": [1, 2]}, HOSTILE),
        ],
        importance=[(name, 0.3) for name in names],
        environment={HOSTILE: {HOSTILE: HOSTILE}, "packages": {HOSTILE: HOSTILE}},
        model={HOSTILE: HOSTILE},
        spec={HOSTILE: [HOSTILE]},
        timings_s={HOSTILE: 1.0},
    )


def wide_record() -> RunRecord:
    """Three hundred columns and two hundred trials."""
    record = binary_record()
    columns = (
        *(Column(f"sensor_{i:03d}_mean", "number", "feature", "decimal numbers") for i in range(299)),
        Column("fault", "boolean", "target"),
    )
    probes = [msgspec.structs.replace(record.trials[5], number=10 + i, score=0.8 + i / 1e4) for i in range(200)]
    return msgspec.structs.replace(
        record,
        name="a machine with a rather long name that wraps on every telephone",
        n_columns=300,
        plan=msgspec.structs.replace(record.plan, schema=Schema(columns)),
        trials=[*record.trials, *probes],
        importance=[(c.name, 0.9**i / 10) for i, c in enumerate(columns[:-1])],
    )


def empty_record() -> RunRecord:
    """Interrupted before anything was finished."""
    record = binary_record()
    return msgspec.structs.replace(
        record,
        trials=[],
        curves=[],
        evaluation=None,
        validation_score=None,
        importance=[],
        interrupted=True,
        findings=[],
        notes=[],
        budget_s=None,
        timings_s={},
        environment={},
        model={},
        spec={},
        plan=msgspec.structs.replace(record.plan, members=[]),
        source="<DataFrame>",
    )


RECORDS: dict[str, Callable[[], RunRecord]] = {
    "binary": binary_record,
    "old": old_record,
    "behind": behind_record,
    "multiclass": multiclass_record,
    "regression": regression_record,
    "clustering": clustering_record,
    "unsealed": unsealed_record,
    "hostile": hostile_record,
    "wide": wide_record,
    "empty": empty_record,
}


@pytest.fixture(scope="session")
def records() -> dict[str, RunRecord]:
    return {name: build() for name, build in RECORDS.items()}


@pytest.fixture(scope="session")
def pages(records: dict[str, RunRecord]) -> dict[str, str]:
    """Every record rendered once."""
    from modelwright.reports.report import render

    return {name: render(record) for name, record in records.items()}
