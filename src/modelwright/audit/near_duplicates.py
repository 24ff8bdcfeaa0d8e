"""Near copies among the rows, inside training and across into evaluation.

What is near is decided in `splits.near`: a copy given a little noise, not a neighbour in a dense table. Honest tables
hold some such pairs, so a crossing counts by its excess over what training rows have among themselves.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Severity
from modelwright.splits.near import near_units
from modelwright.splits.units import equal_rows
from modelwright.tables.conform import conform

#: With fewer features than this, close rows are no surprise.
_MIN_FEATURES = 2
_MIN_ROWS = 20
#: Excess from which a crossing is no chance, with three standard deviations on top; and from which it is critical.
_EXCESS, _CRITICAL_EXCESS = 0.01, 0.05
#: Rows that are looked at in all: near copies of more would take longer than the rest of the audit.
_MAX_ROWS = 1_500_000


def check(context: Context) -> list[Finding]:
    """Near copies of rows, told apart by whether they cross into the evaluation rows."""
    if len(context.present) < _MIN_FEATURES or context.n_rows < _MIN_ROWS:
        return []
    frame, n_training = joined(context, _MAX_ROWS)
    names = frame.columns
    found = near_units(frame, names)
    if not found.n_near:
        return []
    exact = equal_rows(frame, names)
    findings = []
    near = has_near_copy(found.units[:n_training], exact[:n_training])
    if near.any():
        findings.append(_inside(context, near))
    if frame.height > n_training:
        crossing = _across(context, found.units, exact, n_training)
        findings = [crossing, *findings] if crossing else findings
    return findings


def joined(context: Context, most: int, *, names: list[str] | None = None) -> tuple[pl.DataFrame, int]:
    """Features of training rows and, below them, of evaluation rows, and how many are training rows.

    Where the two differ in the type of a column (evaluation rows of another file), both are read by the schema.
    """
    columns = [c for c in context.present if context.evaluation is None or c.name in context.evaluation.columns]
    wanted = [c.name for c in columns] if names is None else names
    training = context.frame.select(wanted).head(most)
    if context.evaluation is None or not wanted:
        return training, training.height
    evaluation = context.evaluation.select(wanted).head(most)
    if training.schema != evaluation.schema:
        read = tuple(context.schema[name] for name in wanted)
        training = conform(context.frame.head(most), context.schema, columns=read)[0]
        evaluation = conform(context.evaluation.head(most), context.schema, columns=read)[0]
    return pl.concat([training, evaluation]), training.height


def crossing_of(units: np.ndarray, n_training: int) -> np.ndarray:
    """Which evaluation rows (those from ``n_training`` on) share a unit with a training row."""
    seen = np.zeros(int(units.max(initial=0)) + 1, dtype=bool)
    seen[units[:n_training]] = True
    return np.asarray(seen[units[n_training:]])


def repeats_inside(units: np.ndarray, n_drawn: int) -> float:
    """Share of randomly drawn training rows that share a unit with one that was not drawn: the crossing by chance."""
    n = len(units)
    n_drawn = max(1, min(n_drawn, n // 3))
    drawn = np.random.default_rng(0).permutation(n)
    order = np.concatenate([drawn[n_drawn:], drawn[:n_drawn]])
    return float(crossing_of(units[order], n - n_drawn).mean())


def has_near_copy(units: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Rows whose unit holds a row that is not an exact copy."""
    n_units = int(units.max(initial=0)) + 1
    low = np.full(n_units, np.iinfo(np.int64).max)
    high = np.full(n_units, -1, dtype=np.int64)
    np.minimum.at(low, units, exact)
    np.maximum.at(high, units, exact)
    return np.asarray((low != high)[units])


def excess_bar(share: float, n: int) -> float:
    """Excess that chance hardly reaches: a hundredth and three standard deviations."""
    p = max(share, 1 / max(1, n))
    return _EXCESS + 3 * float(np.sqrt(p * (1 - min(p, 0.5)) / max(1, n)))


def _inside(context: Context, near: np.ndarray) -> Finding:
    rows = np.flatnonzero(near)
    return Finding(
        check="near_duplicate_rows",
        severity="info",
        message=f"{len(rows):,} of {len(near):,} rows are near copies of another training row.",
        rows=context.numbers_of(rows),
        evidence={"count": len(rows), "share": round(float(near.mean()), 4)},
        mend="Near copies are kept on one side of every split. If they are one case stored twice, drop them.",
    )


def _across(context: Context, units: np.ndarray, exact: np.ndarray, n_training: int) -> Finding | None:
    crossing = crossing_of(units, n_training) & ~crossing_of(exact, n_training)
    n_crossing, m = int(crossing.sum()), len(crossing)
    if not n_crossing:
        return None
    share = n_crossing / m
    drawn = repeats_inside(units[:n_training], m) - repeats_inside(exact[:n_training], m)
    excess = share - max(0.0, drawn)
    severity: Severity = "info"
    if n_crossing >= 3 and excess > excess_bar(max(0.0, drawn), m):
        severity = "critical" if excess >= _CRITICAL_EXCESS else "warning"
    rows = np.flatnonzero(crossing)
    return Finding(
        check="near_duplicates_across_split",
        severity=severity,
        message=f"{n_crossing:,} of {m:,} evaluation rows ({100 * share:.2g} %) are near copies of training rows; "
        f"{100 * max(0.0, drawn):.2g} % would be by chance.",
        rows=evaluation_numbers(context, rows),
        evidence={"count": n_crossing, "share": round(share, 4), "by_chance": round(drawn, 4), "excess": round(excess, 4)},
        mend="The score would be that of recognising rows. Let the rows be divided here, which keeps near copies on one "
        "side, or drop them from the evaluation rows.",
    )


def evaluation_numbers(context: Context, positions: np.ndarray) -> tuple[int, ...]:
    """Row numbers of evaluation rows in the table as read; none if they are of a table of their own."""
    if context.evaluation_rows is None:
        return ()
    return tuple(int(row) for row in context.evaluation_rows[positions[:10]])
