"""The rows of a run as it had them: read, divided, typed and dealt out into folds again, by its own rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from modelwright.errors import BundleError, DataError, InvalidInputError, ModelwrightError
from modelwright.runs.reproducing.values import Step
from modelwright.spec import Spec
from modelwright.splits.folds import fewer
from modelwright.splits.inside import training_folds
from modelwright.splits.order import time_values
from modelwright.splits.partition import Fold, Split
from modelwright.splits.units import group_units
from modelwright.tables.differences import Difference, difference, traced
from modelwright.tables.locations import is_database
from modelwright.tables.read import read
from modelwright.tables.table import Table
from modelwright.tables.traces import FILE_NAME, Traces
from modelwright.training.narrow import narrowed
from modelwright.training.prepare import Division, Source, Training, copies_among, divide, read_source, type_rows
from modelwright.training.record import RunRecord
from modelwright.training.searching import probe_of

PARTS = ("training", "evaluation", "reserve", "left out")


def read_run(folder: Path) -> tuple[RunRecord, Spec, pl.DataFrame]:
    """The record, the spec and the partition of a run.

    Raises
    ------
    BundleError
        If the folder is incomplete.
    DataError
        If the run is of a kind that cannot be repeated.
    """
    try:
        record = msgspec.json.decode((folder / "run.json").read_bytes(), type=RunRecord)
        parts = pl.read_parquet(folder / "partition.parquet")
        spec = msgspec.convert(record.spec, Spec)
    except (OSError, msgspec.MsgspecError, pl.exceptions.PolarsError) as error:
        raise BundleError(f"The run cannot be read: {error}.", where=folder.name, mend="Give the folder of a run.") from error
    if record.plan.streamed:
        raise DataError(
            "This run was fitted on a table larger than memory, in batches, and such runs are not reproduced.",
            where=record.id,
            mend="Train and reproduce on a part of the rows.",
        )
    return record, spec, parts


def read_table(record: RunRecord, spec: Spec, data: Any) -> Table:
    """The rows as read, from where the run read them or from ``data``."""
    if isinstance(data, (str, Path)) and spec.query is not None and not is_database(str(data)):
        spec = msgspec.structs.replace(spec, query=None)
    try:
        return read(spec.data if data is None else data, query=spec.query)
    except InvalidInputError as error:
        if data is not None:
            raise
        raise DataError(
            f"The rows of the run cannot be read: {error.what}", where=error.where, mend="Say with --data where they are now."
        ) from error


def compare_data(record: RunRecord, folder: Path, table: Table) -> tuple[Step, Difference | None]:
    """Whether this is the table of the run, and if not where it differs."""
    digest, _ = traced(table.frame)
    if digest == record.fingerprint:
        return Step("data", "equal", f"{table.frame.height:,} rows, fingerprint {digest[:16]}"), None
    said = f"its fingerprint is {digest[:16]}, not {record.fingerprint[:16]}"
    if not (folder / FILE_NAME).is_file():
        return Step("data", "different", f"{said}; where it differs cannot be said, for the run kept no hashes of cells"), None
    found = difference(Traces.read(folder / FILE_NAME), table.frame)
    if found is None:
        return Step("data", "different", f"{said}; the hashes of cells that the run kept do not say where"), None
    return Step("data", "different", f"{found.sentence} Rows are counted from 0; {said}"), found


@dataclass(frozen=True)
class Again:
    """What the run worked on.

    ``probe`` and ``folds`` are rows among the training rows; ``split`` is the recorded one where the rules divide otherwise
    now.
    """

    source: Source
    training: Training
    folds: list[Fold]
    probe: Fold
    when: np.ndarray | None
    seed: int

    def fold(self, number: int, n_rows: int) -> Fold:
        """A fold, with so many training rows where a run had no time for all."""
        return fewer(self.folds[number], n_rows, self.training.y, self.source.task, self.seed, self.when)


def prepare_again(record: RunRecord, spec: Spec, parts: pl.DataFrame, table: Table) -> tuple[list[Step], Again | None]:
    """Divide and type the rows as the run did, and compare; None where what follows cannot be done."""
    spec = msgspec.structs.replace(spec, data=table, query=None)
    try:
        source = read_source(spec)
        division, step = _divided(record, spec, parts, source)
        training = type_rows(source, spec, division)
        copies, dependence = copies_among(training, spec.budget_s), _dependence(training, spec)
        if spec.select_features:
            training, _, _ = narrowed(training, source.facts(), spec, copies, **dependence)
    except ModelwrightError as error:
        return [Step("columns", "different", f"the rows are refused now: {error}")], None
    steps = [step, _columns(record, training)]
    if steps[1].state == "different":
        return steps, None
    folds = training_folds(
        training.raw,
        training.split,
        features=[column.name for column in training.schema.features],
        y=training.y,
        task=source.task,
        time=spec.time,
        group=spec.group,
        gap=spec.gap,
        seed=spec.seed,
        units=copies,
    )
    probe, _ = probe_of(spec, source.facts(), training, folds[0], dependence["when"])
    steps[0] = _compare_folds(steps[0], parts, folds, len(training.split.training))
    return steps, Again(source, training, folds, probe, dependence["when"], spec.seed)


def _divided(record: RunRecord, spec: Spec, parts: pl.DataFrame, source: Source) -> tuple[Division, Step]:
    recorded = {name: parts.filter(pl.col("part") == name)["row"].to_numpy() for name in PARTS}
    kept = Split(
        record.plan.split_rule,  # type: ignore[arg-type]
        recorded["training"],
        recorded["evaluation"],
        record.plan.split_sentence,
        recorded["reserve"],
        recorded["left out"],
    )
    if record.plan.split_rule == "external":
        # Which rows of the table train does not depend on the other table; `sealed` compares what was predicted for its rows.
        split = Split("external", np.arange(source.frame.height), np.arange(0), record.plan.split_sentence)
        division = Division(split)
    else:
        division = divide(source, spec)
        split = division.split
    now = _parts(split)
    if now.equals(_parts(kept)):
        counts = ", ".join(f"{len(rows):,} {name}" for name, rows in recorded.items() if len(rows))
        return division, Step("partition", "equal", counts)
    both = _parts(kept).join(now, on="row", how="full", suffix="_now", coalesce=True).sort("row")
    unequal = both.filter(pl.col("part").ne_missing(pl.col("part_now")))
    row, before, after = unequal.row(0)
    detail = f"row {row:,} is {after or 'absent'} now, {before or 'absent'} in the run; {unequal.height:,} rows differ"
    return Division(kept), Step("partition", "different", detail)


def _parts(split: Split) -> pl.DataFrame:
    named = zip(PARTS, (split.training, split.evaluation, split.reserve, split.left_out), strict=True)
    frames = [pl.DataFrame({"row": rows.astype(np.int64), "part": [name] * len(rows)}) for name, rows in named]
    schema = pl.Schema({"row": pl.Int64, "part": pl.String})
    return pl.concat([frame.cast(schema) for frame in frames]).sort("row")


def _columns(record: RunRecord, training: Training) -> Step:
    then, now = record.plan.schema.columns, training.schema.columns
    if training.schema == record.plan.schema:
        if record.feature_set is not None and training.feature_set != record.feature_set:
            function = record.feature_set.function
            return Step("columns", "different", f"derived columns are computed otherwise{function and f', by {function}'}")
        return Step("columns", "equal", f"{len(training.schema.features)} of {len(now)} are learned from")
    for before, after in zip(then, now, strict=False):
        if before != after:
            fields = [f for f in before.__struct_fields__ if getattr(before, f) != getattr(after, f)]
            said = "; ".join(f"{f} {getattr(after, f)!r} now, {getattr(before, f)!r} in the run" for f in fields)
            return Step("columns", "different", f"column {before.name!r}: {said}"[:500])
    return Step("columns", "different", f"there are {len(now)} columns, not {len(then)}")


def _dependence(training: Training, spec: Spec) -> dict[str, Any]:
    return {
        "when": time_values(training.raw[spec.time]) if spec.time else None,
        "groups": group_units(training.raw[spec.group]) if spec.group else None,
    }


def _compare_folds(step: Step, parts: pl.DataFrame, folds: list[Fold], n: int) -> Step:
    """Adds the validation folds to what the step says of the partition; a run keeps those that it reached."""
    then = parts.filter(pl.col("part") == "training")["fold"].to_numpy()
    n_folds = int(then.max(initial=-1)) + 1
    now = np.full(n, -1)
    for number, fold in enumerate(folds[:n_folds]):
        now[fold.validation] = number
    if step.state != "equal" or len(then) != n:
        return step
    unequal = np.flatnonzero(then != now)
    if not len(unequal):
        return msgspec.structs.replace(step, detail=f"{step.detail}; {n_folds} validation fold{'s' * (n_folds != 1)}")
    rows = parts.filter(pl.col("part") == "training")["row"].to_numpy()
    k = int(unequal[0])
    detail = f"row {rows[k]:,} validates in fold {now[k]} now, in {then[k]} in the run; {len(unequal):,} rows differ"
    return Step("partition", "different", detail)
