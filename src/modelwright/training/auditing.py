"""The audit of a table: as a step of training, and by itself."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import msgspec
import numpy as np
import polars as pl

from modelwright.audit.finding import Finding
from modelwright.audit.waivers import waived
from modelwright.errors import DataError, SpecError
from modelwright.search.budget import HURRIED_S, Budget
from modelwright.spec import Spec
from modelwright.splits.partition import Split
from modelwright.tables.schema import Schema, Task
from modelwright.training.prepare import Division, Source, Training, divide, read_source, type_rows

#: Findings whose cost is measured; further refits would take longer than the rest of the audit together.
MOST_REFITS = 6
#: Share of the budget that the checks of the data may take; what they do not reach is named in the report.
AUDIT_SHARE = 0.2
#: Cells that mark an evaluation row in a column that divides the table; compared in lower case.
_EVALUATION = frozenset({"true", "1", "1.0", "yes", "evaluation", "eval", "test", "testing", "holdout", "hold-out"})
_TRAINING = frozenset({"false", "0", "0.0", "no", "train", "training", "fit", "valid", "validation", "development", "dev"})


class AuditRecord(msgspec.Struct, frozen=True):
    """What the audit of a table found."""

    source: str
    fingerprint: str
    n_rows: int
    n_columns: int
    task: Task
    target: str | None
    split_sentence: str
    findings: list[Finding]
    schema: Schema

    @property
    def critical(self) -> list[Finding]:
        """Critical findings that nobody waived."""
        return [finding for finding in self.findings if finding.bars_promotion]


def audit_table(spec: Spec, *, split: str | None = None, costs: bool = True) -> AuditRecord:
    """Audit a table without training on it.

    The rows that training would seal are left alone: only their features are looked at, for what crosses the split.

    Parameters
    ----------
    spec : Spec
    split : str, optional
        Column that says which rows are for evaluation (true, 1, "test", "evaluation") in a table that came divided.
        By default rows are divided as training would divide them.
    costs : bool, default=True
        Refit a quick model for the findings that can be mended.

    Raises
    ------
    DataError, SpecError
        If the table cannot be read, a named column is absent, or a waiver names no finding.
    """
    if split is not None:
        if split in (spec.target, spec.time, spec.group, spec.weight):
            raise SpecError(f"Column {split!r} has another role.", where="split", mend="Give the split a column of its own.")
        spec = msgspec.structs.replace(spec, exclude=tuple(dict.fromkeys((*spec.exclude, split))))
    source = read_source(spec)
    division = divide(source, spec) if split is None else _declared(source.frame, split)
    training = type_rows(source, spec, division)
    return AuditRecord(
        source=source.description,
        fingerprint=source.fingerprint,
        n_rows=source.frame.height,
        n_columns=source.frame.width,
        task=source.task,
        target=spec.target,
        split_sentence=training.split.sentence,
        findings=Inspection.of(spec, source, training, division).findings(refits=MOST_REFITS if costs else 0),
        schema=training.schema,
    )


@dataclass(frozen=True)
class Inspection:
    """What the audit looks at: training rows, and of the rows to be sealed the features, never a target.

    It holds neither the table nor the spec, which may hold the table, so that it may go on while others train.
    """

    training: Training
    task: Task
    classes: list[Any]
    sealed: pl.DataFrame | None
    sealed_rows: np.ndarray | None
    known: tuple[str, ...]
    available: Mapping[str, Any]
    waive: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, spec: Spec, source: Source, training: Training, division: Division) -> Inspection:
        """Of a table that has been divided."""
        sealed = _without_target(training.with_derived(division.evaluation_of(source)), spec)
        inside = division.outside is None and sealed.height > 0
        return cls(
            training,
            source.task,
            source.classes,
            sealed if sealed.height else None,
            training.split.evaluation if inside else None,
            spec.known,
            spec.available,
            spec.waive,
        )

    def findings(self, *, refits: int = MOST_REFITS, time_left: Callable[[], float] | None = None) -> list[Finding]:
        """What is found, with costs (of the first ``refits`` findings) and waivers.

        Raises
        ------
        SpecError
            If a waiver names no finding.
        """
        # They load scipy.stats, which takes a second; training does that beside its search.
        from modelwright.audit.checks import audit
        from modelwright.audit.context import Context
        from modelwright.audit.cost import costed

        training = self.training
        found = audit(
            training.raw,
            training.schema,
            training.y,
            self.task,
            rows=training.split.training,
            classes=self.classes,
            evaluation=self.sealed,
            evaluation_rows=self.sealed_rows,
            known=self.known,
            available=self.available,
            time_left=time_left,
        )
        if refits and (time_left is None or time_left() > 0):
            context = Context(training.raw, training.schema, training.y, self.task, training.split.training)
            found = costed(found, context, most=refits)
        return waived(found, self.waive, by=_who(), at=datetime.now(UTC).isoformat(timespec="seconds"))

    def in_time(self, budget: Budget, note: Callable[..., None]) -> list[Finding]:
        """`findings` within a share of the budget; messages of critical ones are told to ``note``."""
        found = self.findings(refits=_n_refits(budget), time_left=_time_for_checks(budget))
        note(*(finding.message for finding in found if finding.severity == "critical"))
        return found


def _without_target(frame: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """No check reads an evaluation target; so none is handed one."""
    return frame.drop([name for name in (spec.target, spec.weight) if name in frame.columns])


def _declared(frame: pl.DataFrame, name: str) -> Division:
    if name not in frame.columns:
        near = get_close_matches(name, frame.columns, n=1, cutoff=0.5)
        raise SpecError(
            f"There is no column {name!r}.",
            where="split",
            mend=f"Did you mean {near[0]!r}?" if near else "Name one of the table.",
        )
    cells = frame[name].cast(pl.String).str.strip_chars().str.to_lowercase()
    marked = cells.is_in(sorted(_EVALUATION)).fill_null(False).to_numpy()
    unknown = cells.filter(~cells.is_in(sorted(_EVALUATION | _TRAINING)).fill_null(False))
    if len(unknown):
        raise DataError(
            f"{len(unknown)} rows are neither for training nor for evaluation, for example {unknown[0]!r}.",
            where=f"column {name!r}",
            mend="Write true or false, or 'train' and 'test', in every row.",
        )
    if not marked.any() or marked.all():
        raise DataError(
            f"All {len(marked)} rows are on one side.", where=f"column {name!r}", mend="Mark some rows for evaluation, not all."
        )
    sentence = f"The column {name!r} divides the rows: {int((~marked).sum()):,} train, {int(marked.sum()):,} evaluate."
    return Division(Split("random", np.flatnonzero(~marked), np.flatnonzero(marked), sentence))


def _time_for_checks(budget: Budget) -> Callable[[], float] | None:
    """Seconds of the audit that are left, by its share of the budget; None without a clock."""
    if budget.total_s is None:
        return None
    # Where hardly anything can be fitted, fits come first.
    share = AUDIT_SHARE if budget.total_s > HURRIED_S else AUDIT_SHARE / 2
    end = budget.elapsed() + share * budget.total_s
    return lambda: end - budget.elapsed()


def _n_refits(budget: Budget) -> int:
    """How many findings have their cost measured: a short budget is better spent on the model."""
    if budget.total_s is None or budget.total_s >= 60:
        return MOST_REFITS
    return 2 if budget.total_s >= 20 else 0


def _who() -> str:
    """Name of the account; containers may have none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def mend_spec(record: AuditRecord) -> dict[str, Any]:
    """Keys of the spec that mend the critical findings and warnings: exclude, group, time, missing_values.

    Of several groups or times the most severe finding decides.
    """
    found: dict[str, Any] = {}
    for finding in record.findings:
        if finding.fix is None or finding.severity == "info" or finding.waiver is not None:
            continue
        if finding.severity == "critical" and finding.fix.exclude:
            found["exclude"] = tuple(dict.fromkeys((*found.get("exclude", ()), *finding.fix.exclude)))
        for key in ("group", "time"):
            if getattr(finding.fix, key):
                found.setdefault(key, getattr(finding.fix, key))
        if finding.fix.missing_values:
            found["missing_values"] = {**finding.fix.missing_values, **found.get("missing_values", {})}
    for key in ("group", "time"):
        if found.get(key) in found.get("exclude", ()):
            found["exclude"] = tuple(c for c in found["exclude"] if c != found[key])
    return {key: value for key, value in found.items() if value}
