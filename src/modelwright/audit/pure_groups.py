"""Values whose rows all share one outcome: a reason code, a field filled in afterwards, a filler number, a gap.

For a value with k rows, all of class c with base rate p_c, chance gives p_c^k; the product with the number of values
and columns looked at bounds the chance that any such value is found. A numeric target is cut into fifths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwright.audit.association import quantile_codes
from modelwright.audit.compared import Cells
from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Fix, Severity
from modelwright.audit.ties import Tie

#: A pure value counts from this many rows and this share of them, and this improbability on.
_MIN_ROWS, _MIN_SHARE, _MAX_LOG_P = 8, 0.01, float(np.log(1e-6))
#: The pure values of a column must cover this share of the rows: quantised measures have thousands of pure specks.
_COVERED = 0.03
#: Without a verdict on the column, this share: of nineteen diseases, one always shows in a symptom of its own.
_COVERED_UNTIED = 0.1
#: From here on the column decides the outcome of most rows, which no honest column does by single values.
_MOST_COVERED = 0.5
_FIFTHS = 5


@dataclass(frozen=True)
class PureValues:
    """The pure values of one column: their codes (0 is the gap), and the rows and the classes they cover."""

    codes: tuple[int, ...]
    classes: tuple[int, ...]
    covered: np.ndarray
    #: Whether these values hold all rows of their classes, so that the column says the class in other words.
    exact: bool

    @property
    def share(self) -> float:
        return float(self.covered.mean())


def check(context: Context) -> list[Finding]:
    """Columns with values that occur with one outcome only."""
    if context.y is None or context.n_rows < _MIN_ROWS or not context.compared.cells:
        return []
    compared = context.compared
    y = np.unique(compared.y, return_inverse=True)[1] if compared.classification else quantile_codes(compared.y, _FIFTHS) - 1
    verdicts = {name: item.severity for item in context.standings if item.severity for name in item.names}
    suspects = {name for item in context.standings if item.tie.missing for name in item.names}
    findings = []
    gaps_seen: set[bytes] = set()
    for name, cells in compared.cells.items():
        pure = pure_values(cells, y, len(compared.cells))
        if pure is None or pure.share < _COVERED:
            continue
        if pure.codes == (0,):
            # Columns with the same gaps are one finding, and the gaps have a check of their own for their strength.
            key = cells.missing.tobytes()
            if key in gaps_seen:
                continue
            gaps_seen.add(key)
        others = set(compared.cells) - suspects - {name}
        tie = context.ties.of_codes(np.where(pure.covered, cells.exact + 1, 0), others)
        if not tie.other:
            # What a few rows do not show, the column as a whole may.
            tie = context.ties.of_codes(context.ties.codes_of(name), others)
        findings.append(_finding(context, cells, pure, tie, verdicts.get(name)))
    return findings


def pure_values(cells: Cells, y: np.ndarray, n_columns: int) -> PureValues | None:
    """Values of a column whose rows share one class, more often than chance allows; None if there are none.

    Parameters
    ----------
    cells : Cells
    y : ndarray of shape (n,), int64
        Class of each row, 0 and up.
    n_columns : int
        Columns looked at.
    """
    n, n_classes = len(y), int(y.max()) + 1
    counts = np.bincount(cells.exact)
    frequent = np.flatnonzero(counts >= max(_MIN_ROWS, _MIN_SHARE * n))
    if len(frequent) == 0 or n_classes < 2:
        return None
    place = np.full(len(counts), -1)
    place[frequent] = np.arange(len(frequent))
    inside = place[cells.exact] >= 0
    table = np.bincount(place[cells.exact[inside]] * n_classes + y[inside], minlength=len(frequent) * n_classes)
    table = table.reshape(len(frequent), n_classes)
    base = np.bincount(y, minlength=n_classes) / n
    chosen = table.argmax(axis=1)
    log_p = counts[frequent] * np.log(np.maximum(base[chosen], 1e-300)) + np.log(len(frequent) * n_columns)
    pure = (table.max(axis=1) == counts[frequent]) & (log_p <= _MAX_LOG_P)
    if not pure.any():
        return None
    codes, classes = frequent[pure], np.unique(chosen[pure])
    covered = np.isin(cells.exact, codes)
    exact = len(classes) < n_classes and bool(np.array_equal(covered, np.isin(y, classes)))
    return PureValues(tuple(int(code) for code in codes), tuple(int(c) for c in classes), covered, exact)


def _finding(context: Context, cells: Cells, pure: PureValues, tie: Tie, verdict: Severity | None) -> Finding:
    # A level that occurs with one outcome only may be an honest fact (an age below which nobody defaults); what is
    # neither outstanding nor without ties to other columns is worth a remark.
    severity: Severity = "info"
    if verdict == "critical" or (pure.share >= _MOST_COVERED and (verdict or tie.missing or pure.exact)):
        severity = "critical"
    elif verdict or ((tie.missing or pure.exact) and pure.share >= _COVERED_UNTIED):
        severity = "warning"
    name = cells.name
    names = next((names for names in context.compared.gaps if name in names), (name,)) if pure.codes == (0,) else (name,)
    count = int(pure.covered.sum())
    if context.task == "regression":
        outcome = f"one fifth of the target ({_listed([f'fifth {c + 1}' for c in pure.classes])})"
    else:
        outcome = f"one class ({_listed([context.label(c) for c in _labels(context, pure.classes)])})"
    where = "is missing" if pure.codes == (0,) else f"holds {_values(context, cells, pure)}"
    message = f"Rows where {name!r} {where} are all of {outcome}: {count:,} of {context.compared.n:,} rows looked at"
    message += ", and no other row is." if pure.exact else "."
    return Finding(
        check="pure_groups",
        severity=severity,
        message=message,
        columns=names,
        evidence={
            "rows": count,
            "share": round(pure.share, 4),
            "values": len(pure.codes),
            **({"tie": round(tie.share, 4)} if tie.judged else {}),
            **({"tied_to": tie.other} if tie.other else {}),
        },
        mend="Is the value filled in before the outcome is known? If not, list the column under exclude.",
        fix=Fix(exclude=names),
    )


def _labels(context: Context, places: tuple[int, ...]) -> list[int]:
    """Class numbers of the places that `numpy.unique` gave them."""
    codes = np.unique(context.compared.y)
    return [int(codes[place]) for place in places]


def _values(context: Context, cells: Cells, pure: PureValues) -> str:
    """The first pure values in words."""
    raw = context.frame[cells.name]
    shown = []
    for code in pure.codes[:3]:
        first = int(np.flatnonzero(cells.exact == code)[0])
        shown.append("nothing" if code == 0 else repr(raw[int(context.compared.rows[first])]))
    more = len(pure.codes) - len(shown)
    return _listed(shown, " or ") + (f" (or one of {more} more values)" if more else "")


def _listed(words: list[str], last: str = " or ") -> str:
    if len(words) > 4:
        return f"{', '.join(words[:4])} and {len(words) - 4} more"
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + last + words[-1]
