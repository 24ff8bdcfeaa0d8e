"""From the source to sealed rows and typed training rows.

The order keeps the promise of sealing: rows are divided before types are inferred, so nothing about the
evaluation rows but their target, time and group can influence what is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from msgspec import structs

from modelwright.errors import DataError, SpecError
from modelwright.features.derived import Derived, learn_derived
from modelwright.features.feature_set import FeatureSet, feature_set
from modelwright.spec import Spec
from modelwright.splits.inside import rule_within
from modelwright.splits.near import NearUnits, near_units
from modelwright.splits.partition import Split
from modelwright.splits.seal import LONG, PASSES_IF_LONG, require_rows, seal
from modelwright.splits.vault import Vault
from modelwright.tables.conform import check_finite, conform
from modelwright.tables.differences import traced
from modelwright.tables.fingerprint import fingerprint
from modelwright.tables.read import read
from modelwright.tables.roles import encode_target, infer_task, labelled_rows, renamed_class
from modelwright.tables.schema import Schema, Task
from modelwright.tables.traces import Traces
from modelwright.tables.types import infer_schema

#: Share of a budget that looking for near copies among training rows may take, what a pass of it takes for a cell (6,142
#: rows of 1,502 columns: 2 s in 12 passes; 89,542 rows of 28, many alike: 3 s in 10), and what a column takes before it.
_NEAR_SHARE, _PASS_S_PER_CELL, _COLUMN_S = 0.05, 6e-8, 1e-3


@dataclass(frozen=True)
class Facts:
    """What the steps after the split may know of the table: everything but its rows."""

    description: str
    fingerprint: str
    task: Task
    classes: list[Any]
    n_rows: int
    n_columns: int


@dataclass(frozen=True)
class Source:
    """The table as read, and what it is to be used for."""

    frame: pl.DataFrame
    description: str
    fingerprint: str
    task: Task
    #: None for clustering.
    y: np.ndarray | None
    classes: list[Any]
    weight: np.ndarray | None
    notes: list[str]
    #: Of all rows as read, those without a target too; None for a sample of a larger table.
    traces: Traces | None = None

    def facts(self) -> Facts:
        """The same without rows."""
        return Facts(self.description, self.fingerprint, self.task, self.classes, self.frame.height, self.frame.width)


@dataclass(frozen=True)
class Training:
    """Typed training rows, and the vault that holds the others; ``raw`` has the derived columns too, the vault has not."""

    frame: pl.DataFrame
    raw: pl.DataFrame
    schema: Schema
    y: np.ndarray | None
    weight: np.ndarray | None
    split: Split
    vault: Vault | None
    notes: list[str]
    derived: Derived | None = None

    def with_derived(self, raw: pl.DataFrame) -> pl.DataFrame:
        """Rows as read, with the derived columns."""
        return raw if self.derived is None else self.derived.apply(raw)

    @property
    def served(self) -> Derived | None:
        """The derived columns that the model needs."""
        return None if self.derived is None else self.derived.only([column.name for column in self.schema.features])

    @property
    def feature_set(self) -> FeatureSet:
        """What is learned from, for the record."""
        return feature_set(self.schema, None if self.derived is None else self.derived.about)


def read_source(spec: Spec) -> Source:
    """Read the table, find the target and the task.

    Raises
    ------
    DataError, SpecError
        If the table cannot be read, a named column is absent, or the target cannot be learned.
    """
    table = read(spec.data, query=spec.query)
    frame, notes = table.frame, []
    for option in ("target", "time", "group", "weight"):
        name = getattr(spec, option)
        if name is not None:
            _require(name, frame.columns, option)
    if not isinstance(spec.features, str):  # what a function derives is known once it has run
        _require_named(spec, [*frame.columns, *(spec.features or {})])
    digest, traces = traced(frame)
    if spec.target is None:
        if spec.task not in (None, "clustering"):
            raise SpecError(
                f"A {spec.task} task needs a target.", where="target", mend="Name the column to predict with --target."
            )
        require_rows(frame.height, spec.evaluation)
        notes.append("No target is named, so rows are grouped into clusters.")
        return Source(frame, table.source, digest, "clustering", None, [], _weights(frame, spec), notes, traces)
    if spec.task == "clustering":
        raise SpecError("A clustering task has no target.", where="target", mend="Leave out --target, or exclude that column.")
    missing = declared_missing(spec, spec.target)
    rows = labelled_rows(frame[spec.target], missing)
    if len(rows) < frame.height:
        notes.append(f"{frame.height - len(rows)} of {frame.height} rows have no value in {spec.target!r} and are left out.")
        frame = frame[rows]
    require_rows(frame.height, spec.evaluation)
    task, reason = infer_task(frame[spec.target], spec.task)
    notes.append(reason)
    y, classes = encode_target(frame[spec.target], task, spec.positive, missing_values=missing)
    if renamed := renamed_class(frame[spec.target], y, classes):
        notes.append(f"The target's cells {renamed[0]!r} are the class {renamed[1]!r}, which is what the model answers.")
    if task == "binary":
        notes.append(f"The positive class is {classes[1]!r}.")
    return Source(frame, table.source, digest, task, y, classes, _weights(frame, spec), notes, traces)


@dataclass(frozen=True)
class Division:
    """Which rows are sealed, and the evaluation table where they come from one of their own."""

    split: Split
    outside: pl.DataFrame | None = None

    def evaluation_of(self, source: Source) -> pl.DataFrame:
        """The sealed rows as read."""
        return source.frame[self.split.evaluation] if self.outside is None else self.outside


def divide(source: Source, spec: Spec) -> Division:
    """Decide which rows are sealed.

    Raises
    ------
    DataError, SpecError
        If the rows cannot be divided as asked.
    """
    frame = source.frame
    ignored = {*spec.exclude, spec.target, spec.weight}
    features = [name for name in frame.columns if name not in ignored]
    if not features:
        raise DataError("No column is left to learn from.", where=source.description, mend="Exclude fewer columns.")
    everything = np.arange(frame.height)
    if isinstance(spec.evaluation, str) and spec.evaluation == "none":
        return Division(Split("none", everything, everything[:0], 'No rows are sealed: evaluation = "none".'))
    if isinstance(spec.evaluation, float):
        split = seal(
            frame,
            y=source.y,
            task=source.task,
            time=frame[spec.time] if spec.time else None,
            group=frame[spec.group] if spec.group else None,
            share=spec.evaluation,
            seed=spec.seed,
            features=features,
            classes=source.classes,
            gap=spec.gap,
            reserve=spec.reserve,
            rule=spec.partition,
        )
        return Division(split)
    outside = read(spec.evaluation)
    if spec.target is not None:
        _require(spec.target, outside.frame.columns, "target")
        labelled = labelled_rows(outside.frame[spec.target], declared_missing(spec, spec.target))
        outside = replace(outside, frame=outside.frame[labelled])
    sentence = f"The evaluation rows come from {outside.source}; all rows of the table train."
    return Division(Split("external", everything, everything[:0], sentence), outside.frame)


def seal_and_type(source: Source, spec: Spec, division: Division, folder: Path) -> Training:
    """Put the sealed rows into a vault in ``folder``, and type the training rows."""
    split = division.split
    if split.rule == "none":
        return type_rows(source, spec, division)
    outside = division.outside
    vault = Vault.seal(
        folder,
        division.evaluation_of(source),
        data=source.fingerprint,
        rows_digest=split.digest(source.fingerprint) if outside is None else fingerprint(outside),
        target=spec.target,
    )
    if len(split.reserve):
        reserve = Vault.seal(
            folder,
            source.frame[split.reserve],
            data=source.fingerprint,
            rows_digest=split.digest(source.fingerprint, "reserve"),
            target=spec.target,
            part="reserve",
            before=vault,
        )
        vault = reserve if spec.open_reserve else vault
    return type_rows(source, spec, division, vault)


def type_rows(source: Source, spec: Spec, division: Division, vault: Vault | None = None) -> Training:
    """Learn types and roles from the training rows, and read those rows accordingly."""
    split = division.split
    raw = source.frame[split.training]
    schema = _infer(raw, source, spec, () if spec.features is None else raw.columns)
    derived: Derived | None = None
    said: list[str] = []
    if spec.features is not None:
        raw, schema, derived, said = _with_features(raw, schema, source, spec)
    if spec.group is not None and rule_within(raw, split, spec.time, spec.group, spec.gap) not in ("group", "group_time"):
        # A panel: the stations of today are those of tomorrow, and what is known of each is no leak.
        schema = schema.knowing(spec.group)
    if not schema.features:
        reasons = "; ".join(f"{c.name}: {c.reason}" for c in schema.columns if c.role not in ("target", "weight"))
        raise DataError(
            "No column can be learned from.", where=source.description, mend=f"Columns were left out because: {reasons[:600]}."
        )
    if division.outside is not None:
        _check_outside(_derive(derived, division.outside), schema, source, spec)
    elif len(split.evaluation):
        # Rows that cannot be read as the training rows are (a column of numbers that turns into words over time)
        # would otherwise be noticed after all the training. This refuses; it changes nothing that is trained.
        conform(_derive(derived, source.frame[split.evaluation]), schema)
    conformed, notes = conform(raw, schema, columns=schema.features + schema.with_role("time"))
    check_finite(source.frame, schema)  # a check of the input: it refuses, and changes nothing that is trained
    check_finite(conformed, schema)
    y = None if source.y is None else source.y[split.training]
    weight = None if source.weight is None else source.weight[split.training]
    return Training(conformed, raw, schema, y, weight, split, vault, [*said, *notes], derived)


def _infer(rows: pl.DataFrame, source: Source, spec: Spec, only: Sequence[str] = ()) -> Schema:
    """The schema of rows; what the user says of columns besides ``only`` is left for later, where any are given."""
    missing = spec.missing_values
    return infer_schema(
        rows,
        target=spec.target,
        task=source.task,
        time=spec.time,
        group=spec.group,
        weight=spec.weight,
        exclude=[name for name in spec.exclude if not only or name in only],
        types={name: kind for name, kind in spec.types.items() if not only or name in only},
        missing_values={name: cells for name, cells in missing.items() if not only or name in only}
        if isinstance(missing, dict)
        else missing,
    )


def _with_features(
    raw: pl.DataFrame, schema: Schema, source: Source, spec: Spec
) -> tuple[pl.DataFrame, Schema, Derived, list[str]]:
    """Training rows with the derived columns, the schema of both, and what is to be said of them."""
    assert spec.features is not None
    derived = learn_derived(raw, schema, spec.features, types=spec.types, seed=spec.seed)
    raw = derived.apply(raw)
    # Cells were read when they were derived from, so only what is declared of a derived column itself counts.
    missing = spec.missing_values if isinstance(spec.missing_values, dict) else {}
    _require_named(spec, raw.columns)
    for option, named in (("types", spec.types), ("missing_values", missing)):
        for name in named:
            _require(name, raw.columns, option)
    added = infer_schema(
        raw.select(derived.names),
        target=None,
        exclude=[name for name in spec.exclude if name in derived.names],
        types={name: kind for name, kind in spec.types.items() if name in derived.names},
        missing_values={name: cells for name, cells in missing.items() if name in derived.names},
    )
    columns = [
        structs.replace(column, reason=f"derived as {derived.about.text(column.name)}: {column.reason}")
        for column in added.columns
    ]
    unread = [column for column in added.columns if column.role not in ("feature", "text")]
    notes = [f"Derived columns: {', '.join(map(repr, derived.names))}."]
    notes += [f"The derived column {column.name!r} is not learned from: {column.reason}." for column in unread]
    return raw, Schema((*schema.columns, *columns)), derived, notes


def _derive(derived: Derived | None, raw: pl.DataFrame) -> pl.DataFrame:
    return raw if derived is None else derived.apply(raw)


def copies_among(training: Training, budget_s: float | None = None) -> NearUnits:
    """Exact and near copies among the training rows, which folds keep together; near ones as far as a short budget allows."""
    passes = PASSES_IF_LONG if training.raw.height > LONG else None
    # A column of the user's makes no rows more alike or less: the same folds for every feature set.
    added = () if training.derived is None else training.derived.names
    names = [column.name for column in training.schema.features if column.name not in added]
    if budget_s is not None:
        for_passes = max(0.0, _NEAR_SHARE * budget_s - _COLUMN_S * len(names))
        most = int(for_passes / (_PASS_S_PER_CELL * max(1, training.raw.height * len(names))))
        # By the budget, not by the clock: the folds are the same on a slower machine.
        passes = most if most < (12 if passes is None else passes) else passes
    return near_units(training.raw, names or list(added), passes=passes)


def declared_missing(spec: Spec, column: str) -> tuple[str | float, ...]:
    """Cell values that the user declared to mean "missing" in a column."""
    return spec.missing_values.get(column, ()) if isinstance(spec.missing_values, dict) else spec.missing_values


def _check_outside(outside: pl.DataFrame, schema: Schema, source: Source, spec: Spec) -> None:
    """Refuse an evaluation table that does not fit before any time is spent on training."""
    where = "the evaluation table"
    if outside.height < 2:
        raise DataError(f"It has {outside.height} usable rows.", where=where, mend="Give at least 2, better some hundreds.")
    conform(outside, schema)
    if spec.target is None:
        return
    missing = declared_missing(spec, spec.target)
    y, _ = encode_target(outside[spec.target], source.task, classes=source.classes or None, missing_values=missing)
    if source.task in ("binary", "multiclass") and len(np.unique(y)) == 1:
        raise DataError(
            f"All its {len(y)} rows are of the class {source.classes[int(y[0])]!r}, so classes cannot be told apart on them.",
            where=where,
            mend="Give an evaluation table with rows of other classes too.",
        )


def _require_named(spec: Spec, columns: Sequence[str]) -> None:
    """Columns that may be derived ones must exist."""
    for option in ("exclude", "sensitive", "known"):
        for name in getattr(spec, option):
            _require(name, columns, option)
    for pair in spec.available.items():
        for name in pair:
            _require(name, columns, "available")


def _require(name: str, columns: Sequence[str], option: str) -> None:
    if name not in columns:
        near = get_close_matches(name, columns, n=1, cutoff=0.5)
        shown = ", ".join(columns[:12]) + (", …" if len(columns) > 12 else "")
        raise SpecError(
            f"There is no column {name!r}.",
            where=option,
            mend=f"Did you mean {near[0]!r}?" if near else f"The columns are: {shown}.",
        )


def _weights(frame: pl.DataFrame, spec: Spec) -> np.ndarray | None:
    if spec.weight is None:
        return None
    values = frame[spec.weight].cast(pl.Float64, strict=False)
    bad = values.is_null() | (values < 0) | values.is_infinite()
    if bad.any():
        raise DataError(
            f"{bad.sum()} weights are missing, negative or not a number, the first in row {bad.arg_true()[0]}.",
            where=f"column {spec.weight!r}",
            mend="Give every row a weight of 0 or more.",
        )
    if values.sum() <= 0:
        raise DataError("All weights are zero.", where=f"column {spec.weight!r}", mend="Give some rows a positive weight.")
    return values.to_numpy()
