"""Early rows against late ones, where it is known when rows happened."""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Severity

_MIN_ROWS = 200
#: Rows of each side that are compared.
_MOST_ROWS = 10_000
#: Share of the rows at each end.
_END = 1 / 3
#: Distance of the two distributions (0 to 1) from which a column has drifted, above chance.
_SHIFT, _TARGET_SHIFT = 0.15, 0.1
_MOST_COLUMNS = 10


def check(context: Context) -> list[Finding]:
    """Columns, and the target, whose early and late rows differ."""
    if context.time is None or context.n_rows < _MIN_ROWS:
        return []
    early, late = _ends(context.time)
    if len(early) < _MIN_ROWS // 4 or len(late) < _MIN_ROWS // 4:
        return []
    # The largest distance of two samples that chance gives once in ten thousand (Kolmogorov, Smirnov).
    chance = 2.2 * float(np.sqrt((len(early) + len(late)) / (len(early) * len(late))))
    shifts = {}
    for column in context.present:
        cells = context.frame[column.name]
        if column.type in ("text", "datetime") or cells.dtype == pl.Object:
            continue
        shifts[column.name] = _distance(cells[early], cells[late], ordered=column.type == "number")
    findings = []
    moved = sorted(((s, n) for n, s in shifts.items() if s > _SHIFT + chance), reverse=True)
    if moved:
        shown = ", ".join(f"{name!r} ({shift:.2f})" for shift, name in moved[:3])
        findings.append(
            Finding(
                check="drift",
                severity="info",
                message=f"{len(moved)} columns differ between early and late rows, most of all {shown}.",
                columns=tuple(name for _, name in moved[:_MOST_COLUMNS]),
                evidence={
                    "distance": {name: round(shift, 4) for shift, name in moved[:_MOST_COLUMNS]},
                    "chance": round(chance, 4),
                },
                mend="Old rows may mislead: train on recent ones, or replace levels by changes.",
            )
        )
    if context.y is not None:
        findings += _target(context, early, late, chance)
    return findings


def _target(context: Context, early: np.ndarray, late: np.ndarray, chance: float) -> list[Finding]:
    assert context.y is not None
    before, after = context.y[early], context.y[late]
    if context.task == "regression":
        shift = _distance(pl.Series(before), pl.Series(after), ordered=True)
        spoken = f"its mean goes from {before.mean():.4g} to {after.mean():.4g}"
    else:
        n_classes = int(context.y.max()) + 1
        rates = [np.bincount(y.astype(np.int64), minlength=n_classes) / len(y) for y in (before, after)]
        shift = float(np.abs(rates[1] - rates[0]).sum() / 2)
        k = n_classes - 1 if n_classes == 2 else int(np.argmax(np.abs(rates[1] - rates[0])))
        spoken = f"class {context.label(k)} goes from {100 * rates[0][k]:.3g} % to {100 * rates[1][k]:.3g} % of the rows"
    if shift <= chance:
        return []
    severity: Severity = "warning" if shift > _TARGET_SHIFT + chance else "info"
    return [
        Finding(
            check="target_drift",
            severity=severity,
            message=f"The target differs between early and late rows: {spoken}.",
            evidence={"distance": round(shift, 4), "chance": round(chance, 4)},
            mend="Expect it to move on: watch the rate in service, calibrate on recent rows, train again when it has moved.",
        )
    ]


def _ends(time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the earliest and the latest third; rows of one moment are never on both sides."""
    timed = np.flatnonzero(~np.isnan(time))
    if not len(timed):
        return timed, timed
    low, high = np.quantile(time[timed], [_END, 1 - _END])
    rng = np.random.default_rng(0)
    ends = []
    for side in (timed[time[timed] <= low], timed[(time[timed] > low) & (time[timed] >= high)]):
        ends.append(np.sort(rng.choice(side, _MOST_ROWS, replace=False)) if len(side) > _MOST_ROWS else side)
    return ends[0], ends[1]


def _distance(a: pl.Series, b: pl.Series, *, ordered: bool) -> float:
    """Greatest distance of the distribution functions of numbers; total variation of the levels of all else."""
    if ordered and a.dtype.is_numeric():
        x, y = (s.cast(pl.Float64).fill_null(float("nan")).to_numpy() for s in (a, b))
        gaps = abs(float(np.isnan(x).mean() - np.isnan(y).mean()))
        x, y = np.sort(x[~np.isnan(x)]), np.sort(y[~np.isnan(y)])
        if not len(x) or not len(y):
            return gaps
        at = np.concatenate([x, y])
        return max(
            gaps, float(np.abs(np.searchsorted(x, at, "right") / len(x) - np.searchsorted(y, at, "right") / len(y)).max())
        )
    cells = pl.concat([a, b]) if a.dtype == b.dtype else pl.concat([a.cast(pl.String), b.cast(pl.String)])
    if cells.dtype in (pl.Categorical, pl.Enum):
        cells = cells.cast(pl.String)
    codes = cells.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    n_codes = int(codes.max(initial=0)) + 1
    p = np.bincount(codes[: len(a)], minlength=n_codes) / max(1, len(a))
    q = np.bincount(codes[len(a) :], minlength=n_codes) / max(1, len(b))
    # Rare levels differ between any two samples: they count together.
    rare = (p + q) * min(len(a), len(b)) < 10
    return float(np.abs(p - q)[~rare].sum() + abs(float(p[rare].sum() - q[rare].sum()))) / 2
