"""Cell values that probably stand for "not known": reported, never replaced."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding

#: Words that only ever stand for "no value"; "none" and "." may be honest levels and are not among them.
_WORDS = frozenset(
    {"?", "??", "na", "n/a", "#n/a", "nan", "null", "unknown", "unk", "missing", "not available", "-", "--", "undefined"}
)
_USUAL = frozenset({-9.0, -99.0, -999.0, -9999.0, -99999.0, -200.0, -1.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, 9999999.0})
#: Isolation: distance from the nearest other value, as a multiple of the spread (1st to 99th percentile) of the others.
_USUAL_GAP, _ANY_GAP = 0.5, 1.0
_USUAL_COUNT, _ANY_COUNT, _ANY_SHARE = 3, 10, 0.002
#: The others must be a measure of many values, not a handful of codes.
_MIN_OTHERS = 10
#: Share of rows from which a lone -1 in a column of non-negative numbers is told.
_MINUS_ONE_SHARE = 0.005


def check(context: Context) -> list[Finding]:
    """Isolated repeated extremes among numbers, and words such as "?" among categories."""
    features = context.read[0]
    findings: list[Finding] = []
    words: dict[str, dict[str, int]] = {}
    for column in context.present:
        cells = features[column.name].drop_nulls()
        if not len(cells):
            continue
        if column.type == "number":
            findings += [_number(column.name, value, count, len(cells)) for value, count in numeric_sentinels(cells)]
        elif column.type == "category":
            levels = cells.alias("level").value_counts(name="n")
            marks = levels.filter(pl.col("level").str.to_lowercase().is_in(sorted(_WORDS))).sort("level")
            if 0 < marks.height < levels.height:
                words[column.name] = dict(zip(marks["level"].to_list(), marks["n"].to_list(), strict=True))
    return [*findings, _words(words)] if words else findings


def numeric_sentinels(cells: pl.Series) -> list[tuple[float, int]]:
    """Values, with their counts, that lie apart from all others and are repeated."""
    low, high = float(cells.min()), float(cells.max())  # type: ignore[arg-type]
    found = []
    values = cells.to_numpy()
    for value in dict.fromkeys((low, high)):
        same = values == value
        count = int(same.sum())
        usual = value in _USUAL
        if not math.isfinite(value) or count < (_USUAL_COUNT if usual else max(_ANY_COUNT, _ANY_SHARE * len(values))):
            continue
        others = values[~same]
        others = others[np.isfinite(others)]
        # Sentinels may sit on both ends, and one must not hide the other by stretching the spread.
        if len(others) < _MIN_OTHERS or _is_bound(value, others):
            continue
        first, last = np.quantile(others, [0.01, 0.99])
        gap = float(np.min(np.abs(others - value)))
        spread = float(last - first)
        few = len(np.unique(others[:: max(1, len(others) // 5000)])) < _MIN_OTHERS
        if few or spread <= 0:
            continue
        isolated = gap >= (_USUAL_GAP if usual else _ANY_GAP) * spread
        lone_minus_one = value == -1 and float(others.min()) >= 0 and count >= _MINUS_ONE_SHARE * len(values)
        if isolated or lone_minus_one:
            found.append((value, count))
    return found


def _number(name: str, value: float, count: int, n_filled: int) -> Finding:
    shown = f"{value:g}" if abs(value) < 1e15 else repr(value)
    spelled = str(int(value)) if value.is_integer() else repr(value)
    return Finding(
        check="sentinel_value",
        # A zero apart from all others is as often a true "none" (never renovated) as a mark.
        severity="info" if value == 0 else "warning",
        message=f"{name!r} holds {shown} in {count} of {n_filled} filled cells, far from all other values: "
        "it may mean 'not known'.",
        columns=(name,),
        evidence={"value": value, "count": count},
        mend=f"If so, write missing_values = [{spelled}] for this column in modelwright.toml. Nothing was replaced.",
    )


def _is_bound(value: float, others: np.ndarray) -> bool:
    """Whether the value is the honest end of a share or a percentage."""
    return any(value in (0.0, top) and others.min() >= 0 and others.max() <= top for top in (1.0, 100.0))


def _words(found: dict[str, dict[str, int]]) -> Finding:
    """One finding for all columns: a table uses the same mark throughout."""
    shown = "; ".join(
        f"{name!r} holds {', '.join(f'{mark!r} in {count} cells' for mark, count in marks.items())}"
        for name, marks in list(found.items())[:5]
    )
    more = f"; and {len(found) - 5} more columns" if len(found) > 5 else ""
    return Finding(
        check="missing_mark",
        severity="info",
        message=f"{shown}{more}. Such a word is kept as a level of its own.",
        columns=tuple(found),
        evidence={"counts": found},
        mend="To have it treated as missing, list it under missing_values in modelwright.toml.",
    )
