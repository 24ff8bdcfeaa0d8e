"""What a training says to MLflow: its sealed figures with their intervals, its curves, and a child run for each trial."""

from __future__ import annotations

from pathlib import Path

from modelwright.mirroring.content import TRIAL_TAG, Point, Told, point, texts
from modelwright.runs.curves import curves_of
from modelwright.runs.entry import RunEntry
from modelwright.runs.facts import flat
from modelwright.runs.run import Run
from modelwright.training.record import CurveRecord, Trial

_STATUS = {"complete": "FINISHED", "failed": "FAILED", "unavailable": "FAILED", "abandoned": "KILLED", "stopped": "KILLED"}


def points_of_training(folder: Path, entry: RunEntry, end_ms: int) -> list[Point]:
    """Sealed figures, as far as they may be shown, their 95 % intervals, validation score, cost, and the curves.

    Parameters
    ----------
    folder : Path
    entry : RunEntry
    end_ms : int
        Time of the figures.
    """
    figures: dict[str, object] = {
        **entry.metrics,
        **{f"{name}_low": low for name, (low, _) in entry.intervals.items()},
        **{f"{name}_high": high for name, (_, high) in entry.intervals.items()},
        f"validation_{entry.metric}": entry.validation,
        "wall_s": entry.wall_s,
        "peak_memory_mb": entry.peak_memory_mb,
        **{f"findings_{severity}": number for severity, number in entry.findings.items()},
    }
    points = [each for name, value in figures.items() for each in point(name, value, 0, end_ms)]
    for curve in curves_of(folder, entry):
        name = f"curve_{curve.figure}"
        points += [p for s, v in zip(curve.steps, curve.values, strict=True) for p in point(name, v, int(s), end_ms)]
    return points


def trials_of_training(folder: Path, start_ms: int, end_ms: int) -> list[Told]:
    """A child run for each trial, in their order; times of trials are not recorded, so they have that of the run.

    Parameters
    ----------
    folder : Path
    start_ms, end_ms : int
        Of the run.
    """
    record = Run(folder).record
    curves: dict[int, list[CurveRecord]] = {}
    for curve in record.curves:
        curves.setdefault(curve.trial, []).append(curve)
    weights = record.plan.weights
    return [
        _told(trial, record.metric, curves.get(trial.number, []), weights.get(trial.number), start_ms, end_ms)
        for trial in record.trials
    ]


def _told(trial: Trial, metric: str, curves: list[CurveRecord], weight: float | None, start_ms: int, end_ms: int) -> Told:
    figures = {
        metric: trial.score,
        "weight": weight,
        "fit_s": trial.fit_s,
        "predict_us_per_row": trial.predict_us_per_row,
        "size_bytes": trial.size_bytes,
        "peak_memory_mb": trial.peak_memory_mb,
        "n_rows": trial.n_rows,
        "n_iterations": trial.n_iterations,
    }
    points = [each for name, value in figures.items() for each in point(name, value, 0, end_ms)]
    for fold, score in enumerate(trial.fold_scores):
        points += point(f"{metric}_by_fold", score, fold, end_ms)
    for curve in curves:
        for part, values in (("training", curve.training), ("validation", curve.validation)):
            for step, value in zip(curve.iterations, values, strict=False):
                points += point(f"{curve.loss}_{part}_fold_{curve.fold}", value, step, end_ms)
    tags = {TRIAL_TAG: str(trial.number), "modelwright.stage": trial.stage, "modelwright.error": trial.error[:5000]}
    return Told(
        name=f"{trial.number} {trial.algorithm}",
        status=_STATUS[trial.state],
        start_ms=start_ms,
        end_ms=end_ms,
        params=texts({"algorithm": trial.algorithm, **flat(trial.params)}),
        tags={name: value for name, value in tags.items() if value},
        metrics=points,
        trial=trial.number,
    )
