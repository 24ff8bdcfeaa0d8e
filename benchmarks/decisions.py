"""Conformal coverage, calibration and thresholds on the tables of a folder with a manifest.

usage: python benchmarks/decisions.py DATA_DIR [--tables a,b] [--rows 10000] [--repeats 5] [--cache FOLDER]

For each table one fixed model (LightGBM behind our encoder, one thread) is fitted on five folds, or on windows in
time, and refitted on all training rows. Everything is decided on its out-of-fold predictions, as in training, and
measured on rows that it did not see, over several outer splits. Predictions are kept in ``--cache``, since they take
most of the time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from modelwright.ensembles.calibration import calibrate
from modelwright.ensembles.decisions import decide, latest
from modelwright.ensembles.threshold import choose
from modelwright.errors import SpecError
from modelwright.evaluation.calibration_report import CalibrationReport, report_calibration
from modelwright.evaluation.conformal_report import ConformalReport, report_conformal
from modelwright.evaluation.threshold_report import report_threshold
from modelwright.features.encoder import Encoder
from modelwright.learners.lightgbm import LightGBM
from modelwright.metrics.classification import roc_auc
from modelwright.metrics.registry import METRICS
from modelwright.spec import resolve_spec
from modelwright.splits.folds import folds as make_folds
from modelwright.splits.order import time_values
from modelwright.splits.units import duplicate_units, group_units
from modelwright.tables.conform import conform
from modelwright.tables.types import infer_schema
from modelwright.training.prepare import read_source

_PARAMS = {"n_estimators": 120, "learning_rate": 0.1, "num_leaves": 31}
#: Trees are grown for each class: with many classes fewer rounds cost as much.
_PARAMS_OF_MANY = {"n_estimators": 25, "learning_rate": 0.2, "num_leaves": 15}


def predictions(entry: dict, data: Path, most_rows: int, repeats: int) -> list[dict]:
    """Out-of-fold and evaluation predictions of one table, one dict of arrays an outer split."""
    roles = {role: entry.get(f"{role}_column") for role in ("time", "group")}
    dropped = [c["column"] for c in entry.get("drop_columns") or []]
    spec = resolve_spec(
        None,
        {
            "data": str(data / entry["file"]),
            "target": entry["target"],
            "task": entry["task"] if entry["task"] != "image" else "multiclass",
            "exclude": [name for name in dropped if name not in roles.values()],
            "evaluation": 0.2,
            **roles,
        },
    )
    source = read_source(spec)
    assert source.y is not None
    kept = np.sort(np.random.default_rng(0).permutation(source.frame.height)[:most_rows])
    frame, y, task = source.frame[kept], source.y[kept], source.task
    if task == "multiclass":
        common = np.isin(y, np.flatnonzero(np.bincount(y) >= 10))
        frame, y = frame.filter(pl.Series(common)), np.unique(y[common], return_inverse=True)[1]
    when = time_values(frame[spec.time]) if spec.time else None
    features = [name for name in frame.columns if name not in (*spec.exclude, spec.target)]
    units = group_units(frame[spec.group]) if spec.group else duplicate_units(frame, features)
    n_outer = 1 if when is not None else 5
    outer = make_folds(len(y), y=y, task=task, units=units, time_rank=when, n_folds=n_outer, seed=0)
    found = []
    for number, split in enumerate(outer[:repeats]):
        training, evaluation = split.training, split.validation
        schema = infer_schema(
            frame[training], target=spec.target, task=task, time=spec.time, group=spec.group,
            weight=None, exclude=spec.exclude, types={}, missing_values=(),
        )  # fmt: skip
        typed, _ = conform(frame, schema, columns=schema.features + schema.with_role("time"))
        inner = make_folds(
            len(training), y=y[training], task=task, units=np.unique(units[training], return_inverse=True)[1],
            time_rank=None if when is None else when[training], n_folds=3 if when is not None else 5, seed=number,
        )  # fmt: skip
        parts = [(training[f.training], training[f.validation]) for f in inner]
        out = [_fit(typed, schema, y, task, a, b) for a, b in parts]
        rows = np.concatenate([b for _, b in parts])
        case = {"y": y[rows], "f": np.concatenate(out), "y_new": y[evaluation]}
        case["f_new"] = _fit(typed, schema, y, task, training, evaluation)
        case["fold"] = np.repeat(np.arange(len(parts)), [len(b) for _, b in parts])
        case |= {"unit": units[rows]}
        for name, values in (("group", units if spec.group else None), ("time", when)):
            if values is not None:
                case |= {name: values[rows], f"{name}_new": values[evaluation]}
        found.append(case)
    return found


def _fit(frame: pl.DataFrame, schema: object, y: np.ndarray, task: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    encoder = Encoder.fit(frame[a], schema, seed=0)
    many = task == "multiclass" and int(y.max()) > 3
    n_classes = 0 if task == "regression" else int(y.max()) + 1
    learner = LightGBM(_PARAMS_OF_MANY if many else _PARAMS, task=task, n_classes=n_classes, seed=0)
    learner.fit(encoder.transform(frame[a]), y[a])
    return learner.predict(encoder.transform(frame[b]))


def cases(entry: dict, data: Path, most_rows: int, repeats: int, cache: Path | None) -> list[dict]:
    """Like `predictions`, from the cache where it holds them."""
    name = f"{entry['name']}-{most_rows}-{repeats}"
    if cache and (cache / f"{name}-0.npz").exists():
        return [dict(np.load(p)) for p in sorted(cache.glob(f"{name}-*.npz"))]
    made = predictions(entry, data, most_rows, repeats)
    if cache:
        cache.mkdir(parents=True, exist_ok=True)
        for number, case in enumerate(made):
            np.savez(cache / f"{name}-{number}.npz", **case)
    return made


def measure(case: dict, task: str) -> dict:
    """Decide on out-of-fold rows, measure on the others."""
    groups, when, fold = case["unit"], case.get("time"), case["fold"]
    apart = {"groups": case.get("group_new"), "when": case.get("time_new")}
    metric = METRICS[{"binary": "f1", "multiclass": "log_loss", "regression": "rmse"}[task]]
    started = time.perf_counter()
    made = decide(task, case["f"], case["y"], metric, groups=groups, when=when, fold=fold)
    found = {"seconds": time.perf_counter() - started}
    y, new = case["y_new"], calibrate(case["f_new"], made.calibration) if task != "regression" else case["f_new"]
    if made.conformal is not None:
        found["conformal"] = report_conformal(made.conformal, y, new, **apart)
    if task == "regression":
        return found
    labels = list(range(new.shape[1]))
    found["calibration"] = report_calibration(y, case["f_new"], new, labels, made.calibration.method, **apart)
    if task != "binary":
        return found
    found["auc"] = roc_auc(y, new) - roc_auc(y, case["f_new"])
    assert made.threshold is not None
    found["f1"] = report_threshold(y, new, made.threshold, metric, **apart)
    roles = {"groups": case.get("group"), "when": when}
    if when is not None:
        rows = latest(fold)
        case = case | {"f": case["f"][rows], "y": case["y"][rows]}
        roles = {name: None if a is None else a[rows] for name, a in roles.items()}
    valid = calibrate(case["f"], made.calibration)
    cost = {"fp": 1.0, "fn": 10.0}
    found["cost"] = report_threshold(y, new, choose(valid, case["y"], metric, cost=cost, **roles), metric, **apart)
    for key, least in (("recall", 0.8), ("precision", 0.6)):
        try:
            choice = choose(valid, case["y"], METRICS["roc_auc"], floor={key: least}, **roles)
            found[key] = report_threshold(y, new, choice, metric, **apart)
        except SpecError:
            found[key] = None  # the floor cannot be held, and the error says so
    return found


def line_of_coverage(name: str, roles: str, found: list[ConformalReport]) -> str:
    """Mean coverage over the outer splits against two binomial standard deviations of one."""
    mean = float(np.mean([r.coverage.value for r in found]))
    sd = float(np.sqrt(0.09 / found[0].n_rows))
    wide = found[0].coverage_dependent
    beside = f" dependent {wide.low:.3f}-{wide.high:.3f}" if wide else ""
    worst = "; ".join(f"{w.kind} {w.coverage.value:.2f} of {w.n_rows}" for w in found[0].worst)
    verdict = "yes" if abs(mean - 0.9) <= 2 * sd else "NO"
    over = "yes" if mean >= 0.9 - 2 * sd else "NO"
    low, high = found[0].promised
    return (
        f"| {name} | {roles} | {found[0].method} | {found[0].n_calibration} (worth {found[0].n_effective:.0f}) "
        f"| {found[0].n_rows} x {len(found)} | {mean:.3f} | {2 * sd:.3f} | {verdict} | {over} | {low:.3f}-{high:.3f}{beside} "
        f"| {np.mean([r.size for r in found]):.4g} | {worst} |"
    )


def line_of_calibration(name: str, roles: str, found: list[CalibrationReport], auc: list[float]) -> str:
    """Change of the log loss by calibration over the outer splits."""
    change = float(np.mean([r.log_loss_after for r in found]) / np.mean([r.log_loss_before for r in found]) - 1)
    slope = found[0].slope
    shown = f"{slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})" if slope else "-"
    gap = float(np.mean([r.ece_corrected for r in found]))
    verdict = "yes" if change <= 0.005 else "NO"
    turned = f"{max(map(abs, auc)):.1e}" if auc else "-"
    methods = ", ".join(dict.fromkeys(r.method for r in found))
    return f"| {name} | {roles} | {methods} | {change:+.2%} | {verdict} | {shown} | {gap:.4f} | {turned} |"


def line_of_threshold(name: str, found: list[dict]) -> str:
    """Regret for F1 and costs, and how often floors were held."""
    f1 = float(np.mean([r["f1"].regret for r in found]))
    regret = float(np.mean([r["cost"].regret / r["cost"].cost.value for r in found]))
    simple = [min(r["cost"].cost_nobody.value, r["cost"].cost_everybody.value) for r in found]
    saved = float(np.mean([1 - r["cost"].cost.value / s for r, s in zip(found, simple, strict=True)]))
    floors = []
    for key in ("recall", "precision"):
        reached = [r[key] for r in found if r[key] is not None]
        floors.append(f"{sum(r.held[key] for r in reached)} of {len(reached)}")
    return f"| {name} | {f1:.3f} | {saved:.0%} | {regret:.1%} | {floors[0]} | {floors[1]} |"


def main() -> None:
    """Print three Markdown tables, and the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tables", default="")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    manifest = json.loads((given.data / "manifest.json").read_text())
    wanted = set(filter(None, given.tables.split(",")))
    coverage, calibration, thresholds, sets, seconds = [], [], [], [], 0.0
    for entry in manifest:
        if entry["task"] == "clustering" or (wanted and entry["name"] not in wanted):
            continue
        task = "multiclass" if entry["task"] == "image" else entry["task"]
        found = [measure(case, task) for case in cases(entry, given.data, given.rows, given.repeats, given.cache)]
        seconds = max(seconds, *(r["seconds"] for r in found))
        roles = "+".join(role for role in ("time", "group") if entry.get(f"{role}_column")) or "rows"
        held = [r["conformal"] for r in found if "conformal" in r]
        (coverage if task == "regression" else sets).append(line_of_coverage(entry["name"], roles, held))
        if task != "regression":
            auc = [r["auc"] for r in found if "auc" in r]
            calibration.append(line_of_calibration(entry["name"], roles, [r["calibration"] for r in found], auc))
        if task == "binary":
            thresholds.append(line_of_threshold(entry["name"], found))
        print(entry["name"], flush=True, file=sys.stderr)
    words = ("table", "roles", "form", "calibrated on", "measured on", "coverage", "2 sd", "within", "not below")
    columns = "| " + " | ".join((*words, "expected", "size", "worst")) + " |"
    for title, head, lines in (
        ("Intervals at 0.9", columns, coverage),
        ("Sets at 0.9", columns, sets),
        (
            "Calibration",
            "| table | roles | method | change of log loss | at most +0.5 % | slope | gap | change of AUC |",
            calibration,
        ),
        (
            "Thresholds",
            "| table | regret F1 | saved by costs 1:10 | regret of cost | recall 0.8 held | precision 0.6 held |",
            thresholds,
        ),
    ):
        if lines:
            print(f"\n{title}\n\n{head}\n|{'---|' * (head.count('|') - 1)}")
            print("\n".join(lines))
    print(f"\nLongest decision: {seconds:.2f} s")


if __name__ == "__main__":
    main()
