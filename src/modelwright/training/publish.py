"""From the values of a finished training to the files of its run folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import polars as pl

from modelwright.aside import Aside
from modelwright.audit.finding import Finding
from modelwright.evaluation.importance import Importance
from modelwright.evaluation.multiple import Leaderboard
from modelwright.events import Emit, Event, Noted, StepStarted, ignore
from modelwright.learners.readable import Readable
from modelwright.provenance.code import DIFF_FILE
from modelwright.provenance.labels import LABELS, Labels
from modelwright.provenance.secrets import redacted_value
from modelwright.search.budget import Budget
from modelwright.search.candidate import Candidate
from modelwright.search.search import Search
from modelwright.spec import Spec
from modelwright.training.environment import peak_memory_mb
from modelwright.training.figures import Figures
from modelwright.training.final import FinalFit
from modelwright.training.prepare import Facts, Training
from modelwright.training.record import CurveRecord, Evaluation, Plan, RunRecord, Trial, TrialState
from modelwright.training.selection import Selection
from modelwright.training.summary import summarise
from modelwright.version import __version__

T = TypeVar("T")


class Ledger:
    """Times the steps, keeps the notes, and tells both to the listener, one event at a time."""

    def __init__(self, budget: Budget, emit: Emit) -> None:
        self.budget = budget
        self._listener = emit
        self._telling = threading.RLock()
        self.notes: list[str] = []
        self.timings_s: dict[str, float] = {}
        self.memory_mb: dict[str, float] = {}

    def emit(self, event: Event) -> None:
        """Tell the listener; steps may run beside one another."""
        with self._telling:
            self._listener(event)

    def hush(self) -> None:
        """Tell nothing more: the run has failed, and what still runs beside it has nobody to tell."""
        with self._telling:
            self._listener = ignore

    def step(self, name: str, message: str) -> AbstractContextManager[None]:
        """Time a step; a step entered twice adds up."""
        self._begin(name, message)
        return self._timed(name)

    def beside(self, name: str, message: str, work: Callable[[], T], *, failed: Callable[[], None] | None = None) -> Aside[T]:
        """Begin a step that goes on in a thread of its own while others follow; ``failed`` as for `Aside`."""
        self._begin(name, message)
        return Aside(self._timed(name)(work), name, failed=failed)

    def _begin(self, name: str, message: str) -> None:
        self.emit(StepStarted(elapsed_s=self.budget.elapsed(), step=name, message=message))

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timings_s[name] = self.timings_s.get(name, 0.0) + time.perf_counter() - started
            self.memory_mb[name] = round(peak_memory_mb(), 1)

    def note(self, *messages: str) -> None:
        """Keep a message for the record and tell it."""
        for message in messages:
            self.notes.append(message)
            self.emit(Noted(elapsed_s=self.budget.elapsed(), message=message))


def build_record(
    *,
    spec: Spec,
    run: str,
    name: str,
    created: str,
    table: Facts,
    training: Training,
    search: Search,
    selection: Selection,
    final: FinalFit,
    evaluation: Evaluation | None,
    findings: list[Finding],
    importance: list[Importance],
    standings: Leaderboard | None,
    ledger: Ledger,
    environment: dict[str, Any],
    model_folder: Path,
    interrupted: bool,
    figures: Figures | None = None,
    readable: Readable | None = None,
) -> RunRecord:
    """Everything about the run as one value."""
    problem = search.problem
    plan = Plan(
        schema=training.schema,
        task=table.task,
        metric=problem.metric.name,
        classes=table.classes,
        split_rule=training.split.rule,
        split_sentence=training.split.sentence,
        n_folds=len(problem.folds),
        probe_rows=len(problem.probe.training),
        seed=spec.seed,
        members=final.records,
        temperature=selection.temperature,
        threshold=selection.threshold,
        calibration=selection.calibration,
        threshold_choice=selection.choice,
    )
    worker_peak = max((d.peak_memory_mb for c in search.candidates for d in c.answers()), default=0.0)
    outside = 0 if evaluation is None else evaluation.n_rows
    return RunRecord(
        id=run,
        name=name,
        created=created,
        modelwright=__version__,
        spec=spec.to_dict(),
        source=table.description,
        fingerprint=table.fingerprint,
        n_rows=table.n_rows,
        n_columns=table.n_columns,
        task=table.task,
        target=spec.target,
        metric=problem.metric.name,
        greater_is_better=problem.metric.greater_is_better,
        plan=plan,
        n_training=training.frame.height,
        n_evaluation=len(training.split.evaluation) or outside,
        findings=sorted(findings, key=lambda f: ("critical", "warning", "info").index(f.severity)),
        notes=ledger.notes,
        trials=[_trial(c, search) for c in search.candidates],
        curves=[curve for c in search.candidates for curve in _curves(c)],
        validation_score=selection.validation_score,
        evaluation=evaluation,
        importance=[(entry.name, entry.share) for entry in importance],
        importances=importance,
        timings_s={step: round(seconds, 3) for step, seconds in ledger.timings_s.items()},
        step_memory_mb=dict(ledger.memory_mb),
        wall_s=round(ledger.budget.elapsed(), 3),
        budget_s=spec.budget_s,
        peak_memory_mb=round(max(peak_memory_mb(), worker_peak), 1),
        environment=environment,
        model={
            "folder": "model",
            "size_bytes": sum(p.stat().st_size for p in model_folder.rglob("*") if p.is_file()),
            "members": len(final.members),
        },
        baseline_validation={c.algorithm: c.score for c in search.candidates if c.baseline and c.score is not None},
        interrupted=interrupted,
        figures=figures,
        readable=readable,
        standings=standings,
        feature_set=training.feature_set,
        barriers=barriers_of(findings, evaluation) + (figures.barriers() if figures is not None else []),
        summary=summarise(training.frame.select([c.name for c in training.schema.features]), training.y, table.classes),
    )


def barriers_of(findings: list[Finding], evaluation: Evaluation | None) -> list[str]:
    """Why a model may not be registered or promoted without further words."""
    found = [f"Critical finding {f.name!r}: {f.message}" for f in findings if f.bars_promotion]
    comparison = None if evaluation is None else evaluation.comparison
    look = None if evaluation is None else evaluation.look
    if comparison is not None and not comparison.better:
        found.append(comparison.sentence)
    elif comparison is None and look is not None and look.beats_baseline is False:
        found.append("Not shown to be better than the baseline.")
    if evaluation is None:
        found.append("No sealed score exists.")
    return found


def write_run(
    record: RunRecord, folder: Path, render: Callable[[RunRecord], str], *, labels: Labels | None = None, diff: str = ""
) -> None:
    """Write the files of a run into its draft folder, with every known secret masked.

    Parameters
    ----------
    record : RunRecord
    folder : Path
    render : callable
        Makes the report of a record.
    labels : Labels, optional
    diff : str
        Uncommitted changes of the code that ran.
    """
    record, labels = redacted_value(record), redacted_value(labels or Labels())
    (folder / "run.json").write_bytes(msgspec.json.format(msgspec.json.encode(record)))
    if labels != Labels():
        (folder / LABELS).write_bytes(msgspec.json.format(msgspec.json.encode(labels)))
    if diff:
        (folder / DIFF_FILE).write_text(diff, encoding="utf-8")
    (folder / "plan.json").write_bytes(msgspec.json.format(msgspec.json.encode(record.plan)))
    (folder / "findings.json").write_bytes(msgspec.json.format(msgspec.json.encode(record.findings)))
    (folder / "environment.json").write_bytes(msgspec.json.format(msgspec.json.encode(record.environment)))
    (folder / "evaluation.json").write_bytes(msgspec.json.format(msgspec.json.encode(record.evaluation)))
    trials = [msgspec.structs.asdict(t) | {"params": msgspec.json.encode(t.params).decode()} for t in record.trials]
    pl.DataFrame(trials, infer_schema_length=None).write_parquet(folder / "trials.parquet")
    points = [
        {
            "trial": c.trial,
            "algorithm": c.algorithm,
            "fold": c.fold,
            "loss": c.loss,
            "iteration": i,
            "training": t,
            "validation": v,
        }
        for c in record.curves
        for i, t, v in zip_longest(c.iterations, c.training, c.validation)
    ]
    columns = {"trial": pl.Int64, "algorithm": pl.String, "fold": pl.Int64, "loss": pl.String, "iteration": pl.Int64}
    pl.DataFrame(points, schema=columns | {"training": pl.Float64, "validation": pl.Float64}).write_parquet(
        folder / "curves.parquet"
    )
    (folder / "report.html").write_text(render(record), encoding="utf-8")


def write_partition(training: Training, search: Search, path: Path) -> None:
    """Row positions of the (labelled) table with their part and validation fold (-1: never validated)."""
    part = np.full(len(training.split.training), -1, dtype=np.int64)
    for number, fold in enumerate(search.problem.folds):
        part[fold.validation] = number
    split = training.split
    parts = [pl.DataFrame({"row": split.training, "part": "training", "fold": part})]
    for name, rows in (("evaluation", split.evaluation), ("reserve", split.reserve), ("left out", split.left_out)):
        parts.append(pl.DataFrame({"row": rows, "part": [name] * len(rows), "fold": np.full(len(rows), -1)}))
    schema = pl.Schema({"row": pl.Int64, "part": pl.String, "fold": pl.Int64})
    pl.concat([each.cast(schema) for each in parts]).sort("row").write_parquet(path)


def _trial(candidate: Candidate, search: Search) -> Trial:
    answers = candidate.answers()
    errors = [d for d in answers if d.error]
    complete = candidate.complete(len(search.problem.folds)) or (
        candidate.stage in ("probe", "tune") and candidate.score is not None
    )
    state: TrialState = "complete"
    # Nothing was begun of it: the search ended before its turn came.
    why = candidate.unavailable or ("" if answers else "the search ended before its turn")
    if why:
        state = "unavailable"
    elif not complete:
        cut = any(d.ended in ("deadline", "stop") for d in errors) or not errors
        state = "stopped" if cut else "failed"
    good = [d for d in answers if not d.error]
    folds = len(search.problem.folds[0].training)
    return Trial(
        number=candidate.number,
        algorithm=candidate.algorithm,
        params=candidate.params,
        state=state,
        stage=candidate.stage,
        score=candidate.score,
        fold_scores=candidate.fold_scores,
        n_rows=folds if candidate.fold_scores else len(search.problem.probe.training),
        n_iterations=candidate.n_iterations,
        fit_s=round(sum(d.seconds for d in good), 4),
        predict_us_per_row=float(np.mean([d.predict_us_per_row for d in good])) if good else 0.0,
        size_bytes=max((d.size_bytes for d in good), default=0),
        peak_memory_mb=round(max((d.peak_memory_mb for d in good), default=0.0), 1),
        baseline=candidate.baseline,
        error=why or (errors[0].error if errors else ""),
    )


def _curves(candidate: Candidate) -> list[CurveRecord]:
    """The curve of the first fold, or of the probe."""
    done = candidate.folds.get(0) or candidate.probe
    if done is None or not done.curve_iterations:
        return []
    return [
        CurveRecord(
            candidate.number,
            candidate.algorithm,
            0,
            done.curve_loss,
            done.curve_iterations,
            done.curve_training,
            done.curve_validation,
        )
    ]
