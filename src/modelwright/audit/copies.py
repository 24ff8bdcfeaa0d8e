"""Columns that follow the target exactly on a share of the rows: a line, or a code for each value.

A copy that holds on a fifth of the rows is silent to every correlation, and yet a model finds it. Two kinds of relation
are sought, for targets of many values only, since two classes agree by chance:

* a line x = a y + b through random pairs of rows, and the rows that lie on it;
* a code: values of x that stand for one value of y each, found on one half of the rows and counted on the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwright.audit.compared import Cells
from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Fix

#: Share of rows and distinct values on both axes that no accident reaches.
_MIN_SHARE, _MIN_DISTINCT = 0.08, 15
#: Rows within this part of the range are on the line.
_TOLERANCE = 1e-7
#: Numbers written with so few decimals are off by half a unit, if the range holds at least so many units.
_MOST_DECIMALS, _MIN_STEPS = 5, 1_000.0
#: How many times the rows of the best other parallel line (or of a chance code) there must be: integers lie on lines.
_TIMES = 3.0
#: Pairs that lines are drawn through, and the rows that are asked first. With a share of 8 %, one pair in 156 is on it.
_PAIRS, _ASKED = 1_000, 400
#: A code of the target repeats: values with fewer rows are entities, not codes.
_ROWS_PER_CODE = 10
_MIN_ROWS = 100


@dataclass(frozen=True)
class Relation:
    """What holds on which share of the rows, in words."""

    words: str
    share: float
    rows: np.ndarray


def check(context: Context) -> list[Finding]:
    """Features that equal a scaled or recoded target on many rows."""
    if context.y is None or context.task != "regression" or context.n_rows < _MIN_ROWS:
        return []
    compared = context.compared
    y = compared.y
    if len(np.unique(y)) < _MIN_DISTINCT:
        return []
    findings = []
    for name, cells in compared.cells.items():
        relation = None
        if cells.number is not None:
            relation = line(cells.number, y, name=name)
        if relation is None:
            relation = code(cells, y)
        if relation is not None:
            findings.append(_finding(context, cells, relation))
    return findings


def line(x: np.ndarray, y: np.ndarray, *, name: str = "x", seed: int = 0) -> Relation | None:
    """The line that x lies on as a function of y, if enough rows do.

    Parameters
    ----------
    x : ndarray of shape (n,)
        NaN where missing.
    y : ndarray of shape (n,)
    name : str
        What to call x in words.
    seed : int

    Returns
    -------
    Relation or None
        ``share`` is a share of all n rows.
    """
    n = len(y)
    filled = np.flatnonzero(np.isfinite(x))
    if len(filled) < _MIN_SHARE * n or len(filled) < _MIN_ROWS:
        return None
    rng = np.random.default_rng(seed)
    first, second = filled[rng.integers(0, len(filled), _PAIRS)], filled[rng.integers(0, len(filled), _PAIRS)]
    rise = y[second] - y[first]
    usable = (rise != 0) & (x[second] != x[first])
    if not usable.any():
        return None
    first, second = first[usable], second[usable]
    slope = (x[second] - x[first]) / rise[usable]
    start = x[first] - slope * y[first]
    tolerance = _tolerance(x[filled])
    asked = filled[rng.permutation(len(filled))[:_ASKED]]
    hits = np.sum(np.abs(x[asked] - slope[:, np.newaxis] * y[asked] - start[:, np.newaxis]) <= tolerance, axis=1)
    best = int(hits.argmax())
    if hits[best] < 0.5 * _MIN_SHARE * len(asked):
        return None
    near = filled[np.abs(x[filled] - slope[best] * y[filled] - start[best]) <= 3 * tolerance]
    # Two rounded points give a slope that is a little off; all points near the line mend it.
    centre_y, centre_x = float(y[near].mean()), float(x[near].mean())
    spread = float(np.sum((y[near] - centre_y) ** 2))
    if spread == 0:
        return None
    a = float(np.sum((y[near] - centre_y) * (x[near] - centre_x))) / spread
    b = centre_x - a * centre_y
    distance = x - a * y - b
    rows = np.flatnonzero(np.abs(distance) <= tolerance)
    if len(rows) < _MIN_SHARE * n or min(len(np.unique(x[rows])), len(np.unique(y[rows]))) < _MIN_DISTINCT:
        return None
    beside = distance[np.isfinite(distance) & (np.abs(distance) > tolerance)]
    if len(beside):
        _, counts = np.unique(np.round(beside / (2 * tolerance)), return_counts=True)
        if len(rows) < _TIMES * int(counts.max()):
            return None
    sign = "-" if b < 0 else "+"
    words = f"{name} = {a:.6g} y {sign} {abs(b):.6g}" if abs(b) > tolerance else f"{name} = {a:.6g} y"
    return Relation(words, len(rows) / n, rows)


def _tolerance(x: np.ndarray) -> float:
    """How far from a line is still on it: rounding, of the computer or of whoever wrote the cells down."""
    span = max(float(np.ptp(x)), 1e-300)
    for decimals in range(_MOST_DECIMALS + 1):
        unit = 10.0**-decimals
        if unit <= span / _MIN_STEPS and np.allclose(x / unit, np.round(x / unit), rtol=0, atol=1e-6):
            return max(_TOLERANCE * span, 0.51 * unit)
    return _TOLERANCE * span


def code(cells: Cells, y: np.ndarray) -> Relation | None:
    """The code that stands for values of y one to one, if enough rows follow it.

    The code is read off every second row, and counted on the others.
    """
    n = len(y)
    if cells.n_distinct < _MIN_DISTINCT or cells.n_distinct * _ROWS_PER_CODE > n:
        return None
    values, places = np.unique(y, return_inverse=True)
    if len(values) < _MIN_DISTINCT or len(values) * 2 > n:
        return None
    reading = np.arange(n) % 2 == 0
    stands_for = _most_frequent(cells.exact[reading], places[reading], cells.n_distinct + 1)
    counted = np.flatnonzero(~reading & (cells.exact > 0))
    hit = counted[stands_for[cells.exact[counted]] == places[counted]]
    share = len(hit) / max(1, int((~reading).sum()))
    frequency = np.bincount(places, minlength=len(values)) / n
    by_chance = float(np.mean(frequency[stands_for[cells.exact[counted]]])) if len(counted) else 0.0
    codes, meant = np.unique(cells.exact[hit]), np.unique(places[hit])
    one_to_one = min(len(codes), len(meant)) >= max(_MIN_DISTINCT, 0.8 * max(len(codes), len(meant)))
    if share < max(_MIN_SHARE, _TIMES * by_chance) or not one_to_one:
        return None
    return Relation(f"each of {len(codes)} values stands for one value of the target", share, hit)


def _most_frequent(codes: np.ndarray, places: np.ndarray, n_codes: int) -> np.ndarray:
    """The most frequent place of each code; 0 for a code without rows."""
    pairs, counts = np.unique(np.stack([codes, places]), axis=1, return_counts=True)
    result = np.zeros(n_codes, dtype=np.int64)
    for i in np.argsort(counts, kind="stable"):
        result[pairs[0, i]] = pairs[1, i]
    return result


def _finding(context: Context, cells: Cells, relation: Relation) -> Finding:
    name = cells.name
    return Finding(
        check="copy_of_target",
        severity="critical",
        message=f"{name!r} is the target in other words on {100 * relation.share:.0f} % of the rows: {relation.words}.",
        columns=(name,),
        rows=context.numbers_of(context.compared.rows[relation.rows]),
        evidence={"share": round(relation.share, 4), "relation": relation.words},
        mend="A value that follows the target so exactly was made from it: list the column under exclude.",
        fix=Fix(exclude=(name,)),
    )
