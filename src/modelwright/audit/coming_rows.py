"""Columns that know the outcome of rows that come later.

Weather, traffic and sales honestly know tomorrow, and slow series know it through themselves. So what goes with the next
outcome is only told; a warning needs that a column tells more about the next outcome than its own next value does,
which no honest measurement does; and critical is a column that *equals* a statistic of coming rows.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Fix
from modelwright.audit.future_forms import exact_form, standard
from modelwright.audit.outcomes import outcomes
from modelwright.audit.rows_in_time import Sequence, in_time
from modelwright.tables.conform import conform

_MIN_ROWS = 100
#: Plain dependence on the next outcome, given the present and the past: from this partial correlation and z on.
_PLAIN, _PLAIN_Z = 0.1, 5.0
#: The same, given also the column's own value at the time of that outcome.
_AHEAD, _AHEAD_Z = 0.2, 6.0
#: How much larger it must be than the largest of some with the column moved against the outcome.
_AHEAD_SHIFTED, _SHIFTS = 2.0, 30
#: Rows of the past that are taken into account, and rows ahead that are tried.
_LAGS, _AHEAD_ROWS = 12, 2
#: Outcomes that are followed through time: those that some column goes with best, some rows ahead.
_MOST_OUTCOMES, _FORESEEN_ROWS, _FORESEEN_Z = 6, 4, 4.0


def check(context: Context) -> list[Finding]:
    """Columns that equal a statistic of coming rows, and, with a time column, those that know the next outcome."""
    if context.y is None or context.n_rows < _MIN_ROWS:
        return []
    columns = tuple(c for c in context.present if c.type in ("number", "boolean"))
    if not columns:
        return []
    sequence = in_time(context)
    rows = sequence.rows[sequence.rows >= 0]
    if len(rows) < _MIN_ROWS:
        return []
    cells = conform(context.frame[rows], context.schema, columns=columns)[0]
    values = {c.name: sequence.lay(_values(cells[c.name])) for c in columns}
    known = ~np.isnan(sequence.y)
    series = []
    for row in outcomes(sequence.y[known], classification=context.task != "regression"):
        placed = np.full(len(sequence.y), np.nan)
        placed[known] = row
        series.append(placed)
    series = _foreseen(sequence, values, series)
    equal = exact_form(sequence, values, series, few_values=context.time is not None)
    findings = [_equal(context, name, found) for name, found in equal.items() if found is not None]
    if context.time is None:
        return findings
    told = {finding.columns[0] for finding in findings}
    ahead, plain = _dependence(sequence, {n: v for n, v in values.items() if n not in told}, series)
    findings += [_knows(context, name, r, z) for name, (r, z) in ahead.items()]
    told |= set(ahead)
    leading = {name: r for name, r in plain.items() if name not in told}
    if leading:
        findings.append(_leads(leading))
    return findings


def _foreseen(sequence: Sequence, values: dict[str, np.ndarray], series: list[np.ndarray]) -> list[np.ndarray]:
    """Outcomes that correlate with a column some rows before, the strongest first."""
    x = np.stack([standard(values[name]) for name in values])
    found = []
    for v in series:
        ahead = np.stack([standard(sequence.shifted(v, step)) for step in range(1, _FORESEEN_ROWS + 1)])
        n = max(1, int((~np.isnan(v)).sum()))
        strongest = float(np.abs(x @ ahead.T).max()) / n
        if strongest * np.sqrt(n) > _FORESEEN_Z:
            found.append((strongest, v))
    return [v for _, v in sorted(found, key=lambda pair: -pair[0])[:_MOST_OUTCOMES]]


def _values(cells: pl.Series) -> np.ndarray:
    return cells.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _dependence(
    sequence: Sequence, values: dict[str, np.ndarray], series: list[np.ndarray]
) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Columns that beat their own next value, with partial correlation and z; and all that go with the next outcome."""
    ahead: dict[str, tuple[float, float]] = {}
    plain: dict[str, float] = {}
    for v in series:
        for step in range(1, _AHEAD_ROWS + 1):
            coming = sequence.shifted(v, step)
            past = np.stack([sequence.shifted(v, step - 1 - lag) for lag in range(_lags(sequence) + 1)])
            usable = ~np.isnan(coming) & ~np.isnan(past).any(axis=0)
            if usable.sum() < _MIN_ROWS:
                continue
            base = np.concatenate([np.ones((1, len(v))), past])
            for name, x in values.items():
                now = sequence.shifted(x, step)
                both = usable & ~np.isnan(x)
                if both.sum() < _MIN_ROWS or np.ptp(x[both]) == 0:
                    continue
                r = _partial(x[both], coming[both], base[:, both])
                if abs(r) <= max(_PLAIN, _PLAIN_Z / np.sqrt(both.sum())):
                    continue
                if step == 1:
                    plain[name] = max(plain.get(name, 0.0), abs(r))
                before = sequence.shifted(x, -1)
                full = both & ~np.isnan(now) & ~np.isnan(before)
                if full.sum() < _MIN_ROWS:
                    continue
                left = _left(np.stack([x[full], coming[full]]), np.concatenate([base[:, full], [now[full], before[full]]]))
                r = _correlation(*left)
                z = abs(float(np.arctanh(np.clip(r, -0.999999, 0.999999)))) * np.sqrt(full.sum() - len(base) - 4)
                enough = abs(r) > _AHEAD and z > _AHEAD_Z and abs(r) > ahead.get(name, (0.0, 0.0))[0]
                if enough and abs(r) > _AHEAD_SHIFTED * _by_chance(*left):
                    ahead[name] = (abs(r), float(z))
    return ahead, plain


def _lags(sequence: Sequence) -> int:
    """As many as leave most rows of an entity."""
    length = len(sequence.entity) / max(1, len(np.unique(sequence.entity)))
    return int(np.clip(length / 3 - 2, 0, _LAGS))


def _partial(x: np.ndarray, v: np.ndarray, base: np.ndarray) -> float:
    """Correlation of what a linear base leaves of both."""
    return _correlation(*_left(np.stack([x, v]), base))


def _left(rows: np.ndarray, base: np.ndarray) -> np.ndarray:
    """What a linear base leaves of each row; zeros where it leaves nothing but rounding."""
    q = np.linalg.qr(base.T)[0]
    centred = rows - rows.mean(axis=1, keepdims=True)
    left = centred - (centred @ q) @ q.T
    gone = (left**2).sum(axis=1) <= 1e-12 * (centred**2).sum(axis=1)
    return np.where(gone[:, np.newaxis], 0.0, left)


def _correlation(x: np.ndarray, v: np.ndarray) -> float:
    scale = np.sqrt((x @ x) * (v @ v))
    return float(x @ v / scale) if scale > 0 else 0.0


def _by_chance(x: np.ndarray, v: np.ndarray) -> float:
    """Largest correlation when x is moved against v: rare values meet by chance more often than normal ones."""
    steps = np.random.default_rng(0).integers(20, max(21, len(x) - 20), _SHIFTS)
    return max(abs(_correlation(np.roll(x, step), v)) for step in steps)


def _equal(context: Context, name: str, found: tuple[str, float, int]) -> Finding:
    form, share, n = found
    order = "" if context.time is not None else " (in the order of the file)"
    return Finding(
        check="coming_rows",
        severity="critical",
        message=f"{name!r} equals {form}{order} in {100 * share:.3g} % of {n} rows looked at.",
        columns=(name,),
        evidence={"form": form, "exact_share": round(share, 4), "rows": n},
        mend="It is computed from rows that come later: list it under exclude, or compute it from earlier rows only.",
        fix=Fix(exclude=(name,)),
    )


def _knows(context: Context, name: str, r: float, z: float) -> Finding:
    return Finding(
        check="coming_rows",
        severity="warning",
        message=f"{name!r} tells more about the next outcome than its own next value does "
        f"(partial correlation {r:.2f} given the present, the past and that value).",
        columns=(name,),
        evidence={"partial_correlation": round(r, 4), "z": round(z, 2)},
        mend="Is it computed from a window that reaches into coming rows? If so, list it under exclude. A forecast made "
        "beforehand is honest.",
        fix=Fix(exclude=(name,)),
    )


def _leads(leading: dict[str, float]) -> Finding:
    ranked = sorted(leading, key=lambda name: -leading[name])
    shown = ", ".join(f"{name!r} ({leading[name]:.2f})" for name in ranked[:5])
    more = f" and {len(ranked) - 5} more" if len(ranked) > 5 else ""
    return Finding(
        check="leading_column",
        severity="info",
        message=f"Go with the next outcome beyond the present and the past (partial correlation): {shown}{more}.",
        columns=tuple(ranked),
        evidence={"partial_correlation": {name: round(leading[name], 4) for name in ranked[:20]}},
        mend="Weather, prices and traffic do so honestly. A column averaged over a window should end at its row.",
    )
