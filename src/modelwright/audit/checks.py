"""The audit: what is noticed about training rows before anything is fitted.

Each check is one module with one function ``check(context) -> list[Finding]``; a new one is added to `CHECKS`.
A check reads training rows only and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from modelwright.audit import (
    across_split,
    adversarial,
    class_balance,
    coming_rows,
    copies,
    date_order,
    drift,
    duplicate_rows,
    empty_columns,
    few_rows,
    group_statistics,
    high_cardinality,
    identifiers,
    key_order,
    missingness,
    mixed_types,
    near_duplicates,
    pairs,
    pure_groups,
    row_order,
    sentinels,
    target_proxy,
    time_travel,
    undeclared_group,
    undeclared_time,
)
from modelwright.audit.context import Context
from modelwright.audit.finding import Finding
from modelwright.tables.schema import Schema, Task

Check = Callable[[Context], list[Finding]]

#: All checks; findings of equal severity are reported in this order.
CHECKS: tuple[Check, ...] = (
    target_proxy.check,
    copies.check,
    pure_groups.check,
    missingness.check,
    key_order.check,
    pairs.check,
    group_statistics.check,
    coming_rows.check,
    time_travel.check,
    across_split.check,
    adversarial.check,
    undeclared_group.check,
    undeclared_time.check,
    row_order.check,
    few_rows.check,
    class_balance.check,
    duplicate_rows.check,
    near_duplicates.check,
    drift.check,
    date_order.check,
    mixed_types.check,
    sentinels.check,
    high_cardinality.check,
    identifiers.check,
    empty_columns.check,
)

#: Checks that compare columns or rows with each other; the others take next to no time and are never left out.
_LONG = (
    pairs.check,
    group_statistics.check,
    coming_rows.check,
    across_split.check,
    adversarial.check,
    undeclared_group.check,
    undeclared_time.check,
    row_order.check,
    near_duplicates.check,
    drift.check,
)

_SEVERITIES = ("critical", "warning", "info")


def audit(
    frame: pl.DataFrame,
    schema: Schema,
    y: np.ndarray | None,
    task: Task,
    *,
    rows: np.ndarray | None = None,
    classes: Sequence[Any] = (),
    evaluation: pl.DataFrame | None = None,
    evaluation_rows: np.ndarray | None = None,
    known: Sequence[str] = (),
    available: Mapping[str, str] | None = None,
    time_left: Callable[[], float] | None = None,
) -> list[Finding]:
    """Look over training rows.

    Parameters
    ----------
    frame : DataFrame of n rows
        Training rows as read (not conformed).
    schema : Schema
        Learned from these rows.
    y : ndarray of shape (n,) or None
        Encoded target: float64 for regression, class numbers otherwise; None for clustering.
    task : {"binary", "multiclass", "regression", "clustering"}
    rows : ndarray of shape (n,), optional
        Number of each row in the table as read; by default 0..n-1.
    classes : sequence, optional
        Labels of the classes, for messages.
    evaluation : DataFrame, optional
        Evaluation rows as read, without their target, for what crosses the split.
    evaluation_rows : ndarray, optional
        Their numbers in the table as read.
    known, available
        As in the spec.
    time_left : callable, optional
        Seconds that the checks may still take; once it is none, the remaining long ones are left out, and a remark
        names them.

    Returns
    -------
    list of Finding
        The most severe first.
    """
    numbers = np.arange(frame.height) if rows is None else np.asarray(rows)
    context = Context(
        frame, schema, y, task, numbers, tuple(classes), evaluation, evaluation_rows, tuple(known), available or {}
    )
    findings: list[Finding] = []
    skipped: list[str] = []
    for check in CHECKS:
        if check in _LONG and time_left is not None and time_left() <= 0:
            skipped.append(check.__module__.rpartition(".")[2])
        else:
            findings += check(context)
    if skipped:
        findings.append(_skipped(skipped))
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))


def _skipped(names: list[str]) -> Finding:
    return Finding(
        check="checks_skipped",
        severity="info",
        message=f"The budget left no time for {len(names)} checks of the data: {', '.join(names)}.",
        evidence={"checks": names},
        mend="Run `modelwright audit`, which has no clock, or give more time.",
    )


__all__ = ["CHECKS", "Check", "Context", "Finding", "audit"]
