"""Our own audit behind the contract of a detector."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

#: What a finding about rows is called here; every other check speaks about columns.
_KINDS = {
    "duplicates_across_split": "duplicate",
    "near_duplicates_across_split": "duplicate",
    "row_order": "order",
    "group_overlap": "entity",
    "undeclared_group": "entity",
    "time_overlap": "time",
    "undeclared_time": "time",
    "train_evaluation_difference": "split",
    "target_drift": "split",
}
#: Checks of quality, not of leaks: they neither find a planted leak nor raise a false alarm about one.
_QUALITY = {
    *("class_imbalance", "small_class", "few_rows", "conflicting_labels", "duplicate_rows", "near_duplicate_rows"),
    *("constant_column", "empty_column", "nearly_empty_column", "mixed_types", "unreadable_cells"),
    *("high_cardinality", "missing_mark", "sentinel_value", "date_order"),
}


def check(frame: pl.DataFrame, target: str, task: str, roles: dict[str, str | None], split: np.ndarray) -> list[dict[str, Any]]:
    """Findings of ``modelwright.audit_table`` on a table that came divided."""
    from modelwright.api import audit_table

    name = "split"
    while name in frame.columns:
        name += "_"
    given = {key: value for key, value in roles.items() if value is not None}
    audit = audit_table(frame.with_columns(pl.Series(name, split)), target=target, task=task, split=name, costs=False, **given)
    return [
        {
            "severity": finding.severity,
            "kind": _KINDS.get(finding.check, "column"),
            "columns": list(finding.columns),
            "check": finding.check,
        }
        for finding in audit.findings
        if finding.check not in _QUALITY
    ]
