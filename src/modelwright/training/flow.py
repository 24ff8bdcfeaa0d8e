"""Training, readable from top to bottom.

::

    read      source            -> table, fingerprint, task
    split     table, roles      -> sealed evaluation rows (in the vault) and typed training rows
    audit     training rows     -> findings, while the search goes on
    search    training rows     -> baselines; portfolio probed on a subset; best families tuned; best validated
    fit       training rows     -> members on the complete training data, weights, calibration
    evaluate  vault opened once -> score with interval, test against the baseline
    package                     -> bundle, report, run record; published by one rename

The clock, the worker processes and the run folder live here; the steps are functions of values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from modelwright.artifacts.measure import Measured
from modelwright.artifacts.model import Model
from modelwright.artifacts.period import period_lineage
from modelwright.artifacts.reading import read_out
from modelwright.aside import Aside
from modelwright.ensembles.limits import ModelLimits
from modelwright.ensembles.threshold import check_decisions
from modelwright.errors import ModelwrightError, StorageError
from modelwright.events import Emit, Finished, Noted
from modelwright.learners import registry
from modelwright.metrics import registry as metrics
from modelwright.metrics.metric import Metric
from modelwright.provenance.code import commit_of
from modelwright.provenance.collect import collect
from modelwright.provenance.labels import Labels
from modelwright.provenance.machine import available_cpus
from modelwright.provenance.secrets import redacted
from modelwright.provenance.source_version import source_version
from modelwright.search.budget import HURRIED_S, Budget
from modelwright.search.candidate import Candidate
from modelwright.search.executor import Executor
from modelwright.search.grids import check_grids
from modelwright.search.tuning import require_sampler
from modelwright.spec import Spec
from modelwright.splits.order import time_values
from modelwright.splits.units import group_units
from modelwright.store.database import Database
from modelwright.store.ledger import Ledger as VaultLedger
from modelwright.tables import traces
from modelwright.tables.schema import Task
from modelwright.training import naive
from modelwright.training.auditing import Inspection
from modelwright.training.environment import environment, libraries
from modelwright.training.evaluate import evaluate, standings, with_validation_plots
from modelwright.training.final import FinalFit, fit_on_all_rows
from modelwright.training.importance import validation_importance
from modelwright.training.judge import typed
from modelwright.training.large.flow import LargeRun
from modelwright.training.large.source import large_scan
from modelwright.training.measured import Meter, figures_of, only, package
from modelwright.training.narrow import narrowed
from modelwright.training.newest import choose_in_time, on_newest_rows
from modelwright.training.opening import Scored, evaluate_sealed
from modelwright.training.prepare import Facts, Training, copies_among, divide, read_source, seal_and_type
from modelwright.training.publish import Ledger, build_record, write_partition, write_run
from modelwright.training.record import RunRecord
from modelwright.training.reference import training_reference
from modelwright.training.resuming import Attempt, begin, is_full, take_up
from modelwright.training.searching import search_models
from modelwright.training.selection import MAX_MEMBERS, Selection, choose_members
from modelwright.training.within import settle

#: Seeds with which a member is fitted at most, where time is left.
SEEDS = 3


def train(
    spec: Spec,
    *,
    started: float,
    emit: Emit,
    stop: threading.Event,
    render: Callable[[RunRecord], str],
    memory_bytes: float | None = None,
) -> tuple[RunRecord, Path]:
    """Run all steps and publish the run.

    A table on disk that would fill too much of the memory goes the same way with a sample of its rows; the members that
    were chosen are then fitted on all training rows in batches (`training.large`).

    Parameters
    ----------
    spec : Spec
    started : float
        Moment of the call on the ``time.monotonic`` clock; the budget counts from here.
    emit : callable
        Receives the events.
    stop : threading.Event
        Set from outside to end the search early; what is there is then finished and published.
    render : callable
        Makes the report of a record.
    memory_bytes : float, optional
        Memory that counts as free when it is decided whether the table is read whole; by default what is free.

    Returns
    -------
    tuple of RunRecord and Path
        The record, and the published run folder.
    """
    _check_names(spec)
    return _run(begin(spec, spec.name or _name_of(spec), started=started), emit, stop, render, memory_bytes)


def resume(
    run: str,
    home: Path,
    *,
    started: float,
    emit: Emit,
    stop: threading.Event,
    render: Callable[[RunRecord], str],
    data: Any = None,
    store: str | None = None,
    memory_bytes: float | None = None,
) -> tuple[RunRecord, Path]:
    """Go on with a run that was killed, or that failed: the same steps, with the answers that are in its journal.

    Parameters
    ----------
    run : str
        Identifier of the run.
    home : Path
        Folder that holds the runs.
    started, emit, stop, render, memory_bytes
        As for `train`.
    data, store
        As for `resuming.take_up`.

    Returns
    -------
    tuple of RunRecord and Path
        As `train`.

    Raises
    ------
    DataError
        If the rows are not those that the run began with.
    """
    attempt = take_up(home, run, started=started, data=data, store=store)
    n = attempt.journal.n_finished
    emit(Noted(elapsed_s=attempt.budget.elapsed(), message=f"The run goes on; {n} finished trials are kept."))
    return _run(attempt, emit, stop, render, memory_bytes)


def _run(
    attempt: Attempt,
    emit: Emit,
    stop: threading.Event,
    render: Callable[[RunRecord], str],
    memory_bytes: float | None,
) -> tuple[RunRecord, Path]:
    """Make and publish a run, or keep what is finished of it."""
    folder, budget, known = attempt.folder, attempt.budget, attempt.known_table
    ledger = Ledger(budget, emit)
    start = Path.cwd()  # now: the caller's code may change the folder later
    origin = Aside(lambda: collect(source=source_version(attempt.spec.data), start=start), "provenance")
    try:
        try:
            log = folder.work / "workers.log"
            libraries = _libraries(attempt.spec)
            with Executor(
                available_cpus(), log, stop, journal=attempt.journal, libraries=libraries, lock=folder.lock
            ) as executor:
                # What the free memory decided the first time is held.
                large = None
                if known is None or known.large:
                    scan = large_scan(attempt.spec, memory_bytes if known is None else 0.0)
                    large = None if scan is None else LargeRun(attempt.spec, scan, known)
                record = _train(attempt, ledger, executor, large)
            with ledger.step("package", "writing the report"):
                provenance, diff = origin.result()
                record = msgspec.structs.replace(record, provenance=provenance)
                write_run(record, folder.draft, render, labels=Labels(attempt.spec.tags, attempt.spec.note), diff=diff)
            published = folder.publish()
        except Exception as error:
            system = isinstance(error, OSError) and error.errno is not None
            if isinstance(error, ModelwrightError) or not (system or is_full(error)):
                raise
            raise StorageError(
                f"{getattr(error, 'strerror', None) or 'No space left on the disk'}.",
                where=str(getattr(error, "filename", None) or attempt.spec.home),
                mend="Free space, or give another --home.",
            ) from error
    except BaseException as error:
        ledger.hush()
        attempt.end(error)
        raise
    attempt.journal.close()
    emit(Finished(elapsed_s=budget.elapsed(), run=record.id, folder=str(published)))
    return record, published


def _train(attempt: Attempt, ledger: Ledger, executor: Executor, large: LargeRun | None) -> RunRecord:
    spec, folder, budget = attempt.spec, attempt.folder, attempt.budget
    vaults = VaultLedger(Database.of(Path(spec.home), spec.store))
    seal = partial(_seal, spec) if large is None else large.seal
    table, training, inspection = seal(folder.draft / "vault", vaults, budget, ledger, attempt.check_table)
    attempt.journal.read(table.fingerprint, large=large is not None, most_rows=None if large is None else large.most_rows)
    with ledger.step("split", "copies among the training rows"):
        copies = copies_among(training, spec.budget_s)
    inspect = partial(inspection.in_time, budget, ledger.note)
    audit = ledger.beside("audit", "looking for trouble", inspect, failed=executor.stop.set)
    # From here on nothing in reach holds a sealed row: not the table, not the spec, not the vault without an opening. The
    # audit has their features for itself, and no target.
    del inspection, inspect
    name = spec.name or _name_of(spec)
    attempt = replace(attempt, spec=attempt.plain)
    spec = attempt.spec
    metric = _metric(spec, table.task)
    with audit, ledger.step("search", "baselines, portfolio, tuning, validation"):
        when = time_values(training.raw[spec.time]) if spec.time else None
        groups = group_units(training.raw[spec.group]) if spec.group else None
        if spec.select_features:
            training, _, note = narrowed(training, table, spec, copies, groups=groups, when=when)
            ledger.note(note)
        asked, time_to_search = (spec, budget) if large is None else large.search_with(spec, budget, table)
        search = search_models(asked, table, training, metric, copies, when, folder.work, time_to_search, ledger, executor)
        interrupted = executor.stop.is_set()
        executor.stop.clear()
        choose = partial(
            choose_members,
            search,
            training.y,
            training.weight,
            groups=copies.units if groups is None else groups,
            when=when,
            cost=spec.cost,
            floor=spec.floor,
            max_members=1 if spec.interpretable else MAX_MEMBERS,
        )
        meter = Meter(search, training, table.classes, ModelLimits(spec.max_latency, spec.max_size))
        candidates = search.validated() or search.probed()

        def choose_among(wanted: Sequence[Candidate]) -> Selection:
            return choose(allowed=only(wanted))

        in_time = when is not None and large is None
        if in_time:
            selection = choose_in_time(search, training.frame.height, lambda allowed: choose(allowed=allowed), meter.allowed)
        else:
            selection = choose(allowed=meter.allowed)
        ledger.note(*selection.notes, *filter(None, [meter.sentence(candidates)]))
    with ledger.step("fit", "fitting the members on all training rows"):
        baselines = search.ranked_baselines()
        fitted = [candidate for candidate in baselines if candidate.algorithm != naive.NAME]
        seeds = SEEDS if search.problem.several_seeds else 1

        def fit(selection: Selection, baselines: list[Candidate], repeats: int = 1, seeds: int = 1) -> FinalFit:
            final = fit_on_all_rows(
                search, selection, baselines, training.frame.height,
                repeats=repeats, seeds=seeds, alike=when is None and large is None,
            )  # fmt: skip
            if large is not None:
                large.fit(training, final, spec, budget, executor)
            ledger.note(*final.notes)
            return final

        final = fit(selection, fitted, spec.repeats, seeds)
        if in_time:
            selection, final, said = on_newest_rows(selection, final, choose_among)
            ledger.note(*said)

        lineage = {"run": folder.run, "data": table.fingerprint, "code": commit_of(Path.cwd())}
        times, n_learned = training.raw[spec.time] if spec.time else None, len(training.split.training)
        if large is not None:
            times, n_learned = large.learned()
        lineage |= period_lineage(times, n_rows=n_learned, n_data=table.n_rows)

        def packaged(selection: Selection, final: FinalFit) -> Measured:
            model = _model(table, training, selection, final, metric.name, folder.run)
            return package(
                model,
                folder.draft / "model",
                training,
                libraries=libraries(),
                lineage=lineage,
                limits=meter.limits,
                reference=training_reference(model, training, selection, drawn=large is not None),
            )

        if not meter.limits.given:
            executor.close()  # nothing will be fitted any more, and what follows takes memory too
        settled = settle(
            selection,
            final,
            meter=meter,
            candidates=candidates or [candidate for candidate, _ in selection.members],
            packaged=packaged,
            choose=choose_among,
            fit=lambda chosen: fit(chosen, []),
            y=training.y,
            weight=training.weight,
            metric=metric,
        )
        selection, final = settled.selection, settled.final
        ledger.note(*settled.notes)
        model = _model(table, training, selection, final, metric.name, folder.run)
    # The vault is not opened for a run whose audit failed.
    findings = audit.result()
    with ledger.step("evaluate", "opening the vault once"):
        evaluation = None
        if training.vault is not None:
            ranked = [candidate.algorithm for candidate in baselines]

            def scored(raw: pl.DataFrame) -> Scored:
                sealed = typed(raw, training, table, spec, model)
                return evaluate(spec, training, sealed, model, metric, selection, final, ranked)

            shown, look = evaluate_sealed(
                vaults,
                training.vault,
                scored,
                run=folder.run,
                purpose=redacted(spec.purpose),
                at=datetime.now(UTC).isoformat(timespec="seconds"),
                metric=metric,
                task=table.task,
                classes=table.classes,
                seed=spec.seed,
                again=bool(attempt.resumed),
            )
            evaluation = with_validation_plots(msgspec.structs.replace(shown, look=look), training, selection, model)
        compared = standings(training, selection, metric, groups, when, spec.seed)
        figures = figures_of(
            selection, final, meter, [*search.validated(), *baselines], settled.measured, metric, training,
            groups=groups, when=when, seed=spec.seed,
        )  # fmt: skip
        importance = validation_importance(search, selection, training, time_limit_s=_spare(budget))
    with ledger.step("package", "writing the bundle"):
        write_partition(training, search, folder.draft / "partition.parquet")
        record = build_record(
            spec=spec,
            run=folder.run,
            name=name,
            created=attempt.created.isoformat(timespec="seconds"),
            table=table,
            training=training,
            search=search,
            selection=selection,
            final=final,
            evaluation=evaluation,
            findings=findings,
            importance=importance,
            standings=compared,
            ledger=ledger,
            environment=environment(executor.n_workers),
            model_folder=folder.draft / "model",
            interrupted=interrupted,
            figures=figures,
            readable=read_out(model, folder.draft / "model"),
        )
    record = msgspec.structs.replace(record, resumed=attempt.resumed, wall_s=round(record.wall_s + attempt.earlier_s, 3))
    return record if large is None else large.recorded(record)


def _seal(
    spec: Spec, folder: Path, vaults: VaultLedger, budget: Budget, ledger: Ledger, check: Callable[[str], None]
) -> tuple[Facts, Training, Inspection]:
    """Read and split; the rows to be sealed leave this function in the vault only, but for the features that are inspected.

    ``check`` refuses the fingerprint of rows that are not those of the run.
    """
    with ledger.step("read", "reading the table"):
        source = read_source(spec)
        check(source.fingerprint)
        check_decisions(spec.cost, spec.floor, source.task)
        check_grids(spec.hyperparams, source.task)
        _metric(spec, source.task)
        ledger.note(f"{source.description}: {source.frame.height:,} rows, {source.frame.width} columns.", *source.notes)
    with ledger.step("split", "sealing the evaluation rows"):
        division = divide(source, spec)
        training = seal_and_type(source, spec, division, folder)
        if source.traces is not None:
            source.traces.write(folder.parent / traces.FILE_NAME)
        if training.vault is not None:
            vaults.check(training.vault.about)
        ledger.note(training.split.sentence, *training.notes)
    return source.facts(), training, Inspection.of(spec, source, training, division)


def _metric(spec: Spec, task: Task) -> Metric:
    return metrics.get(spec.metric, task) if spec.metric else metrics.default_metric(task)


def _model(table: Facts, training: Training, selection: Selection, final: FinalFit, metric: str, run: str) -> Model:
    return Model(
        task=table.task,
        target=next((c.name for c in training.schema.with_role("target")), None),
        classes=table.classes,
        schema=training.schema,
        encoders=final.encoders[: 1 + max(member.encoder for member in final.members)],
        members=final.members,
        calibration=selection.calibration,
        conformal=selection.conformal,
        threshold=selection.threshold,
        metric=metric,
        run=run,
        derived=training.served,
    )


def _spare(budget: Budget) -> float:
    """Seconds that importance may take: what is left beyond the report."""
    return min(10.0, max(0.3, 0.4 * (budget.left() - 2.5))) if budget.total_s is not None else 10.0


def _check_names(spec: Spec) -> None:
    """Refuse unknown algorithms before anything is read."""
    for name in [*spec.algorithms, *spec.hyperparams]:
        registry.get(name)
    require_sampler(spec.sampler)


def _libraries(spec: Spec) -> list[str]:
    """What the workers will need; where seconds count not torch, which takes longer than all others."""
    named = list(spec.algorithms) or list(spec.hyperparams)
    found = registry.libraries(named or (registry.names("clustering", baseline=False) if spec.target is None else ()))
    hurried = not named and spec.budget_s is not None and spec.budget_s <= HURRIED_S
    return [name for name in found if name != "torch" or not hurried]


def _name_of(spec: Spec) -> str:
    return Path(spec.data).name.split(".")[0] if isinstance(spec.data, (str, Path)) and "://" not in str(spec.data) else "run"
