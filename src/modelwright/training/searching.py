"""The search step: folds and subset, problem and limits, then the generations in order."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.errors import DataError
from modelwright.learners import registry
from modelwright.learners.memory import fit_memory_bytes, free_memory_bytes
from modelwright.metrics.metric import Metric
from modelwright.search.board import Limits, Problem
from modelwright.search.budget import Budget, probe_rows
from modelwright.search.candidate import Candidate
from modelwright.search.executor import Executor
from modelwright.search.further import use_time_left
from modelwright.search.grids import with_grids
from modelwright.search.portfolio import Entry, is_skewed, portfolio
from modelwright.search.search import Search
from modelwright.search.views import Views
from modelwright.spec import Spec
from modelwright.splits.folds import subset
from modelwright.splits.inside import training_folds
from modelwright.splits.near import NearUnits
from modelwright.splits.partition import Fold
from modelwright.tables.schema import Task
from modelwright.training import naive
from modelwright.training.prepare import Facts, Training
from modelwright.training.publish import Ledger

#: Rows of one fold on which candidates are scored in the probe; more would only cost time.
MAX_PROBE_VALIDATION = 10_000
#: The estimate of a fit's memory was up to a fifth too low where it was checked.
MEMORY_MARGIN = 1.25
#: Rounds of tuning, climbing and racing while time is left.
MAX_ROUNDS = 4
#: What an interpretable model is held to: inputs that are bent to normal scores cannot be followed by hand.
READABLE: dict[str, dict[str, tuple[Any, ...]]] = {"linear": {"skew": ("none", "log")}}
#: Divisions of few rows into folds on which members are compared, and what their seeds lie apart.
MAX_DIVISIONS = 5
SEED_STEP = 1_009


def search_models(
    spec: Spec,
    table: Facts,
    training: Training,
    metric: Metric,
    copies: NearUnits,
    when: np.ndarray | None,
    work: Path,
    budget: Budget,
    ledger: Ledger,
    executor: Executor,
) -> Search:
    """Find candidates: baselines and portfolio, then rounds of tuning, climbing and racing while time is left.

    Parameters
    ----------
    spec, table, training, metric
        What is asked, what the table is, its training rows, and what is improved.
    copies : NearUnits
        Copies among the training rows; folds keep them together.
    when : ndarray of shape (n,), optional
        Times of the training rows as numbers.
    work : Path
        Working folder.
    budget, ledger, executor
        The clock, the listener and the worker processes.

    Returns
    -------
    Search
        Settled: its folds are those that were reached.
    """
    n = training.frame.height
    divided = partial(
        training_folds,
        training.raw,
        training.split,
        features=[column.name for column in training.schema.features],
        y=training.y,
        task=table.task,
        time=spec.time,
        group=spec.group,
        gap=spec.gap,
        units=copies,
    )
    folds = divided(seed=spec.seed)
    _require_scores(table, training, metric, folds[0])
    further: list[Fold] = []
    if budget.total_s is not None and spec.time is None and len(folds) > 1 and table.task != "clustering":
        for number in range(1, MAX_DIVISIONS):
            further += divided(seed=spec.seed + number * SEED_STEP)
    probe, whole = probe_of(spec, table, training, folds[0], when)
    K = len(table.classes)
    views = Views(
        work / "views",
        training.frame,
        training.schema,
        training.y,
        training.weight,
        seed=spec.seed,
        task=table.task,
        n_classes=K,
    )
    problem = Problem(
        table.task,
        K,
        metric,
        folds,
        probe,
        spec.seed,
        whole,
        y=training.y,
        weight=training.weight,
        when=when,
        limits=Limits(spec.trials, spec.max_failures, spec.max_trial_time),
        sampler=spec.sampler,
        grids=spec.hyperparams,
        allowed=READABLE if spec.interpretable else {},
        further=further,
        # More fits would take more time and more room than a limit on either allows for.
        several_seeds=spec.max_latency is None and spec.max_size is None and not spec.interpretable,
    )
    search = Search(problem, executor, views, work, budget, ledger.emit, _admission(spec, training, K))
    if whole:
        ledger.note(f"Candidates are compared on all {n:,} training rows.")
    else:
        ledger.note(f"Candidates are compared on {len(probe.training):,} of {n:,} training rows, the best then on all.")
    entries = _entries(spec, table.task, training, K, len(probe.training))
    search.probe(registry.names(table.task, baseline=True), entries)
    if budget.total_s is not None:
        search.recall()
    search.climb()
    search.race()
    for _ in range(MAX_ROUNDS):
        if executor.stop.is_set() or not search.tune():
            break
        search.climb()
        search.race()
    if budget.total_s is not None:
        search.climb()
        search.race(all_folds=True)
        use_time_left(search)
        search.rescue()
    search.settle()
    if spec.time and table.task == "regression":
        naive.NaiveForecast(training, spec.time, spec.group).add_to(search)
    ledger.note(*search.notes)
    return search


def _require_scores(table: Facts, training: Training, metric: Metric, fold: Fold) -> None:
    """Refuse rows of two classes of which only one can be validated, where the metric compares the two."""
    if table.task != "binary" or training.y is None or metric.reads != "proba":
        return
    y = training.y[fold.validation]
    if len(np.unique(y)) < 2 and math.isnan(metric.score(y, np.full((len(y), 2), 0.5), None)):
        counts = np.bincount(training.y, minlength=2)
        rarer = int(counts.argmin())
        raise DataError(
            f"The rows of class {table.classes[rarer]!r} that train ({counts[rarer]:,}) cannot be divided into some to learn "
            f"from and some to validate on, and {metric.title} compares both classes.",
            where="the target",
            mend='Bring more rows of that class that do not repeat each other, or set metric = "log_loss".',
        )


def _entries(spec: Spec, task: Task, training: Training, n_classes: int, n_probe: int) -> list[Entry]:
    """The portfolio of the algorithms that may be chosen, with the user's own values of hyperparameters."""
    named = list(spec.algorithms) or list(spec.hyperparams)
    allowed = set(named) or set(registry.names(task, baseline=False))
    if spec.interpretable:
        allowed = set(registry.interpretable(task, named))
    n_rows, n_features = training.frame.height, len(training.schema.features)
    skewed = task == "regression" and training.y is not None and is_skewed(training.y)
    generated = task != "clustering" and not spec.interpretable
    entries = portfolio(task, n_rows, n_features, spec.budget_s, n_classes, skewed=skewed, n_probe=n_probe, generated=generated)
    entries = [entry for entry in entries if entry.algorithm in allowed]
    if spec.interpretable:
        linear = [
            entry._replace(params=entry.params | {"skew": skew})
            for entry in entries
            if entry.algorithm == "linear"
            for skew in READABLE["linear"]["skew"]
        ]
        entries = [entry for entry in entries if entry.algorithm != "linear"]
        entries += [] if "linear" in spec.hyperparams else linear
    known = {entry.algorithm for entry in entries}
    return with_grids([*entries, *(Entry(name, {}) for name in named if name not in known)], spec.hyperparams)


def probe_of(spec: Spec, table: Facts, training: Training, first: Fold, when: np.ndarray | None) -> tuple[Fold, bool]:
    """The part of the first fold on which candidates are compared cheaply, and whether it is the whole fold."""
    size = probe_rows(len(first.training), len(training.schema.features), spec.budget_s)
    if size >= len(first.training):
        return first, True
    chosen = [
        rows[subset(rows, training.y, table.task, wanted, spec.seed, time_rank=when)]
        for rows, wanted in ((first.training, size), (first.validation, MAX_PROBE_VALIDATION))
    ]
    return Fold(np.sort(chosen[0]), np.sort(chosen[1])), False


def _admission(spec: Spec, training: Training, n_classes: int) -> Callable[[Candidate, int], str]:
    """Says why a fit may not start: memory that the user or the machine does not give."""
    types = [column.type for column in training.schema.features]
    n_codes = types.count("category")

    def refused(candidate: Candidate, n_rows: int) -> str:
        needed = MEMORY_MARGIN * fit_memory_bytes(
            candidate.algorithm, candidate.params, n_rows, len(types) - n_codes, n_codes, n_classes
        )
        most = free_memory_bytes() if spec.max_fit_memory is None else min(spec.max_fit_memory, free_memory_bytes())
        if needed <= most:
            return ""
        whose = "are free" if spec.max_fit_memory is None or most < spec.max_fit_memory else "are allowed"
        return f"needs about {needed / 1e9:.2f} GB of memory, {most / 1e9:.2f} GB {whose}"

    return refused
