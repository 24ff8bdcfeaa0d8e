"""The calls: train a model, load a model, look at a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright.events import Emit, Event, StepStarted, ignore
from modelwright.interrupts import first_interrupt_stops
from modelwright.spec import Spec, resolve_spec

if TYPE_CHECKING:
    from modelwright.artifacts.model import Model
    from modelwright.jobs.opened import JobRun
    from modelwright.runs.audit import Audit
    from modelwright.runs.run import Run
    from modelwright.runs.table import RunList


def train(
    data: Any,
    *,
    target: str | None = None,
    task: str | None = None,
    metric: str | None = None,
    budget: str | float | None = None,
    trials: int | None = None,
    algorithms: Sequence[str] | None = None,
    time: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    positive: Any = None,
    exclude: Sequence[str] | None = None,
    evaluation: Any = None,
    seed: int | None = None,
    name: str | None = None,
    home: str | Path | None = None,
    query: str | None = None,
    types: dict[str, str] | None = None,
    missing_values: Any = None,
    gap: str | float | None = None,
    partition: str | None = None,
    reserve: float | None = None,
    open_reserve: bool | None = None,
    purpose: str | None = None,
    strict: bool | None = None,
    waive: Any = None,
    known: Sequence[str] | None = None,
    available: dict[str, str] | None = None,
    cost: dict[str, float] | None = None,
    floor: dict[str, float] | None = None,
    repeats: int | None = None,
    sensitive: Sequence[str] | None = None,
    store: str | None = None,
    artifacts: str | None = None,
    sampler: str | None = None,
    hyperparams: dict[str, dict[str, Any]] | None = None,
    max_trial_time: str | float | None = None,
    max_failures: int | None = None,
    max_latency: str | float | None = None,
    max_size: str | float | None = None,
    max_fit_memory: str | float | None = None,
    interpretable: bool | None = None,
    features: dict[str, Any] | str | None = None,
    select_features: bool | None = None,
    tags: dict[str, str] | None = None,
    note: str | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Run:
    """Train a model on a table and score it on rows that were sealed before anything looked at them.

    Parameters
    ----------
    data : str, Path or table
        A path, folder, glob or URL (CSV, Parquet, Arrow, JSON lines, SQLite, Postgres), or a table in memory
        (pandas, Polars, Arrow, NumPy).
    target : str, optional
        Column to predict. Without it rows are grouped into clusters.
    task : {"binary", "multiclass", "regression", "clustering"}, optional
        Inferred from the target when not given.
    metric : str, optional
        What the search improves; by default ROC AUC, log loss, RMSE or silhouette, by task.
    budget : str or float, optional
        Wall-clock from this call to the written report: "60s", "5m", "2h", or seconds. Default "5m", or no
        clock if only ``trials`` is given.
    trials : int, optional
        Number of trials; the clock-free limit, which makes a run repeatable.
    algorithms : sequence of str, optional
        Names from ``modelwright algorithms``; all that suit the task by default.
    time : str, optional
        Column that orders the rows. The latest rows are then sealed.
    group : str, optional
        Column whose rows belong together (a patient, a shop). Whole groups are then sealed.
    weight : str, optional
        Column of row weights.
    positive : str, int or bool, optional
        The class that counts as positive in a binary task.
    exclude : sequence of str, optional
        Columns to leave out.
    evaluation : float, str or table, optional
        Share of rows to seal (default 0.2), a table of its own, or "none".
    seed : int, optional
        Drives every random choice; 0 by default.
    name : str, optional
        Name of the run; from the file by default.
    home : str or Path, optional
        Where runs are kept; ``.modelwright`` by default.
    query : str, optional
        SQL or table name, when ``data`` is a database URL.
    types : dict, optional
        Column types that correct the inferred ones.
    missing_values : sequence or dict, optional
        Cell values that mean "missing", for all columns or by column.
    gap : str or float, optional
        Length of time left out between training and later rows, such as "7d".
    partition : {"random", "group", "time", "group_time"}, optional
        Rule that divides the rows; by default it follows from ``time`` and ``group``.
    reserve : float, optional
        Share of rows sealed besides, for when the evaluation rows were opened ten times.
    open_reserve : bool, optional
        Evaluate on the reserve.
    purpose : str, optional
        Why the sealed rows are opened; stands in the ledger.
    strict : bool, optional
        On the command line, exit code 3 if a critical finding is not waived; kept in the record here.
    waive : sequence of dict, optional
        Findings accepted by name: ``{"finding": "target_proxy:age", "reason": "...", "by": "..."}``.
    known : sequence of str, optional
        Time columns that are known beforehand although they lie in the future.
    available : dict, optional
        Column -> the column that holds when its value became known.
    cost : dict, optional
        What errors cost, ``{"fp": 1, "fn": 20}``; the threshold makes the expected cost least.
    floor : dict, optional
        ``{"recall": 0.9}`` or ``{"precision": 0.8}``: what the threshold must hold.
    repeats : int, optional
        Fits of the final model with different seeds, to show what the score owes to the seed.
    sensitive : sequence of str, optional
        Columns by whose values the metrics are told apart.
    store : str, optional
        URL of the database that holds the ledger; SQLite in ``home`` by default.
    artifacts : str, optional
        Address where the finished run is published too, such as "s3://bucket/churn".
    sampler : {"tpe", "cmaes", "gp", "random", "grid"}, optional
        Who proposes hyperparameters after the portfolio.
    hyperparams : dict, optional
        Values to try, ``{"lightgbm": {"num_leaves": [15, 63]}}``; a single value is fixed.
    max_trial_time, max_latency : str or float, optional
        Seconds, or texts such as "30s" and "1ms": what one fit, and the prediction of one row, may take.
    max_failures : int, optional
        Failed fits after which the search stops.
    max_size, max_fit_memory : str or float, optional
        Bytes, or texts such as "20MB": size of the packaged model, and memory of one fit.
    interpretable : bool, optional
        Only algorithms whose model a person can read.
    features : dict or str, optional
        Derived columns: Polars expressions, or texts such as "rooms / persons", by name; or "file.py:function".
    select_features : bool, optional
        Leave out columns that do not help on validation rows.
    tags : dict of str to str, optional
        Labels by which runs are found.
    note : str, optional
        A sentence about the run.
    on_event : callable, optional
        Receives progress (`modelwright.events`).

    Returns
    -------
    Run
        With ``leaderboard``, ``model``, ``record``, ``report`` and ``folder``.

    Raises
    ------
    InvalidInputError
        If the table or an option cannot be used; nothing is written then.
    TrainingError
        If no algorithm could be fitted.
    """
    given = {key: value for key, value in locals().items() if key != "on_event" and value is not None}
    return train_spec(resolve_spec(None, given), on_event=on_event)


def train_spec(spec: Spec, *, on_event: Callable[[Event], None] | None = None, started: float | None = None) -> Run:
    """Like `train`, for a resolved `Spec`; ``started`` is when the budget began on the ``time.monotonic`` clock."""
    started = time.monotonic() if started is None else started
    from modelwright.reports.report import render
    from modelwright.runs.remote import check, publish_finished
    from modelwright.runs.run import Run
    from modelwright.training.flow import train as run_flow

    check(Path(spec.home), spec.artifacts)  # before anything costs time
    stop = threading.Event()
    with first_interrupt_stops(stop):
        record, folder = run_flow(spec, started=started, emit=_with_charts_ready(on_event or ignore), stop=stop, render=render)
    _enter(folder, Path(spec.home), spec.store)
    publish_finished(Path(spec.home), spec.artifacts, folder.name)
    return Run(folder, record)


def resume(
    run: str | None = None,
    *,
    home: str | Path = ".modelwright",
    data: Any = None,
    store: str | None = None,
    artifacts: str | None = None,
    on_event: Callable[[Event], None] | None = None,
    started: float | None = None,
) -> Run:
    """Go on with a run that was killed, or that failed, from its finished trials.

    Parameters
    ----------
    run : str, optional
        Its identifier; by default the only run that can be resumed.
    home : str or Path, default=".modelwright"
        Folder that holds the runs.
    data : str, Path or table, optional
        The rows, where they are no longer where the run read them, or were in memory and too large to be kept.
    store : str, optional
        URL of the database, where it holds a password.
    artifacts : str, optional
        Where the finished run is published, if not where it was asked for.
    on_event : callable, optional
        Receives progress (`modelwright.events`).
    started : float, optional
        When the time that is left began, on the ``time.monotonic`` clock; now by default.

    Returns
    -------
    Run

    Raises
    ------
    InvalidInputError
        If there is no such run, or several and none is named; if it is finished.
    DataError
        If the rows are not those that the run began with.
    StorageError
        If another process works on it.
    """
    started = time.monotonic() if started is None else started
    from modelwright.reports.report import render
    from modelwright.runs.remote import publish_finished
    from modelwright.runs.run import Run
    from modelwright.store.unfinished import only_unfinished
    from modelwright.training.flow import resume as run_flow

    chosen = run or only_unfinished(Path(home)).run
    stop = threading.Event()
    with first_interrupt_stops(stop):
        record, folder = run_flow(
            chosen,
            Path(home),
            started=started,
            emit=_with_charts_ready(on_event or ignore),
            stop=stop,
            render=render,
            data=data,
            store=store,
        )
    _enter(folder, Path(home), store or record.spec.get("store"))
    publish_finished(Path(home), artifacts or record.spec.get("artifacts"), folder.name)
    return Run(folder, record)


def _with_charts_ready(emit: Emit) -> Emit:
    """Loads what draws the report while the workers fit and this process waits."""
    from modelwright.reports.svg import warm_up

    def told(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "fit":
            warm_up()
        emit(event)

    return told


def _enter(folder: Path, home: Path, store: str | None) -> None:
    """Put a published run into the index of its home. If that fails nothing is lost: the next list reads the folder."""
    from modelwright.runs.index import RunIndex
    from modelwright.runs.listing import enter

    with suppress(ModelwrightError, OSError):
        enter(folder, RunIndex.of(home, store))


def audit_table(
    data: Any,
    *,
    target: str | None = None,
    split: str | None = None,
    costs: bool = True,
    **options: Any,
) -> Audit:
    """Look a table over for leaks and other trouble without training on it.

    Parameters
    ----------
    data : str, Path or table
        As for `train`.
    target : str, optional
        Column to predict.
    split : str, optional
        Column that says which rows are for evaluation (true, 1, "test"), where the table came divided. By default
        rows are divided as `train` would divide them, and targets of the rows it would seal are not looked at.
    costs : bool, default=True
        Measure what each finding costs by a quick refit; False is faster.
    **options
        Further options of `train`: task, time, group, weight, exclude, evaluation, seed, types, missing_values,
        known, available, waive, query.

    Returns
    -------
    Audit
        With ``findings``, the most severe first.

    Raises
    ------
    InvalidInputError
        If the table or an option cannot be used.
    """
    from modelwright.runs.audit import Audit
    from modelwright.training import auditing

    spec = resolve_spec(None, {"data": data, "target": target, **options})
    return Audit(auditing.audit_table(spec, split=split, costs=costs))


def load(
    path: str | Path,
    *,
    home: str | Path = ".modelwright",
    features: str | Path | None = None,
    store: str | None = None,
    artifacts: str | None = None,
    trusted_keys: str | Path | Sequence[str | Path] = (),
) -> Model:
    """Load a model from its folder, from a run folder, by the name of a run, or by the name of a registered model.

    Parameters
    ----------
    path : str or Path
        ``churn@champion`` and ``churn/7`` mean registered versions.
    home : str or Path, default=".modelwright"
        Where runs and models are looked for by name.
    features : str or Path, optional
        The file of the function that derives columns, where the model has one and it lies elsewhere now.
    store : str, optional
        URL of the database of the registry; None is SQLite in ``home``.
    artifacts : str, optional
        Address where runs are published; one that is not in ``home`` is copied there and verified.
    trusted_keys : str, Path or sequence of them, default=()
        Files of public keys, one of which must have signed the model.

    Returns
    -------
    Model

    Raises
    ------
    BundleError
        If the folder is damaged, from a newer version, or not signed by a trusted key.
    InvalidInputError
        If nothing of that name exists.
    """
    from modelwright.artifacts.bundle import load_bundle
    from modelwright.registry.bringing import bring_models
    from modelwright.registry.find import find_bundle

    bring_models([path], Path(home), store, artifacts)
    return load_bundle(find_bundle(path, Path(home), store), features=features, trusted_keys=trusted_keys)


def open_run(reference: str | Path, *, home: str | Path = ".modelwright", artifacts: str | None = None) -> Run | JobRun:
    """A run by folder, identifier or name: a finished training, a job of your own code in whatever state, or a search."""
    from modelwright.runs.folder import JOB, RECORD
    from modelwright.runs.remote import bring
    from modelwright.store.folders import find_run

    bring([reference], Path(home), artifacts)
    folder = find_run(reference, Path(home), records=(RECORD, JOB))
    if not (folder / RECORD).is_file():
        from modelwright.jobs.opened import JobRun
        from modelwright.jobs.tuning.result import search_of

        return search_of(folder) or JobRun(folder)
    from modelwright.runs.run import Run

    return Run(folder)


def open_training(reference: str | Path, *, home: str | Path = ".modelwright", artifacts: str | None = None) -> Run:
    """Like `open_run`, for trainings only."""
    from modelwright.runs.remote import bring
    from modelwright.runs.run import Run
    from modelwright.store.folders import find_run

    bring([reference], Path(home), artifacts)
    return Run(find_run(reference, Path(home)))


def list_runs(
    filter: str | None = None,
    *,
    sort: str | None = None,
    limit: int | None = None,
    home: str | Path = ".modelwright",
    store: str | None = None,
    artifacts: str | None = None,
) -> RunList:
    """All runs of a home as a table, newest first.

    Parameters
    ----------
    filter : str, optional
        Such as ``metrics.roc_auc > 0.8 and tags.team == "x"``; it is parsed, never evaluated as code.
    sort : str, optional
        A field such as "metrics.roc_auc"; with "-" before it the largest come first.
    limit : int, optional
        Only so many.
    home : str or Path, default=".modelwright"
    store : str, optional
        URL of the database, where it is not SQLite in ``home``.
    artifacts : str, optional
        Address where runs are published; they are listed too.

    Returns
    -------
    RunList
        A sequence of entries, with ``to_polars()`` and ``to_pandas()``.

    Raises
    ------
    InvalidInputError
        If the filter or the key cannot be understood; the message names the position.
    """
    from modelwright.runs.listing import list_runs as listed
    from modelwright.runs.table import RunList, chosen

    found = listed(Path(home), store, artifacts=artifacts)
    return RunList(chosen(found.entries, filter, sort)[:limit], found.notes)
