"""Gaps that tell the target: whether a cell is filled may only be known after the outcome."""

from __future__ import annotations

import numpy as np

from modelwright.audit.association import indicators, noise, order_effect
from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Severity

_BARS: tuple[tuple[float, Severity], ...] = ((0.985, "critical"), (0.6, "warning"), (0.3, "info"))
_MIN_Z = 6.0
_MIN_ROWS = 30
#: A side (filled or missing) of one class only counts from this many rows, this share, and this improbability on.
_MIN_PURE_ROWS, _MIN_PURE_SHARE, _MAX_PURE_LOG_P = 8, 0.01, np.log(1e-6)


def check(context: Context) -> list[Finding]:
    """Columns whose gaps go with the target."""
    if context.y is None or context.n_rows < _MIN_ROWS or not context.present:
        return []
    features, y = context.features_and_target()
    classification = context.task != "regression"
    targets = indicators(y, classification=classification)
    chance = _MIN_Z * noise(targets, classification=classification)
    findings = []
    seen: dict[bytes, list[str]] = {}
    masks = {column.name: features[column.name].is_null().to_numpy() for column in context.present}
    for name, mask in masks.items():
        if mask.any() and not mask.all():
            # Columns that were filled together have the same gaps; one finding names them all.
            seen.setdefault(mask.tobytes(), []).append(name)
    for names in seen.values():
        mask = masks[names[0]]
        effect = order_effect(mask.astype(np.float64), targets, classification=classification)
        pure = _pure_side(mask, y, len(seen)) if classification else None
        severity: Severity | None = None
        if effect > chance:
            severity = next((name for bar, name in _BARS if effect >= bar), None)
        if pure is not None and severity != "critical":
            severity = "warning"
        if severity:
            findings.append(_finding(context, names, mask, effect, pure, severity))
    return findings


def _pure_side(mask: np.ndarray, y: np.ndarray, n_tests: int) -> tuple[bool, int, int] | None:
    """(missing?, class, rows) of a side whose rows are all of one class, more often than chance allows."""
    n = len(y)
    for missing in (False, True):
        side = y[mask == missing]
        if len(side) < max(_MIN_PURE_ROWS, _MIN_PURE_SHARE * n) or (side != side[0]).any():
            continue
        base = float(np.mean(y == side[0]))
        if base < 1.0 and len(side) * np.log(base) + np.log(2 * n_tests) <= _MAX_PURE_LOG_P:
            return missing, int(side[0]), len(side)
    return None


def _finding(
    context: Context, names: list[str], mask: np.ndarray, effect: float, pure: tuple[bool, int, int] | None, severity: Severity
) -> Finding:
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    if pure is not None:
        side, code, count = pure
        state = "is missing" if side else "is filled"
        words = f"all {count} rows looked at where {shown} {state} are of class {context.label(code)}"
    else:
        words = f"whether {shown} is filled goes with the target (effect {effect:.2f} of at most 1)"
    return Finding(
        check="missingness_tells_target",
        severity=severity,
        message=words[0].upper() + words[1:] + ".",
        columns=tuple(names),
        evidence={"effect": round(effect, 4), "share_missing": round(float(mask.mean()), 4)},
        mend="If the cells are filled only after the outcome is known, list the column under exclude.",
    )
