"""Two columns that give the target together and not alone.

Three looks, from cheap to dear. Joint bins see any relation that shows on a coarse grid (a sum, a difference, a
remainder, an exclusive or, a maximum). What a straight line leaves of one column by the other, in numbers and in logarithms,
sees a small difference or ratio of two large numbers. Planes through three random rows see sums, differences, products and
ratios that hold exactly on a part of the rows.

That an honest sum defines the target (price = quantity times unit price) cannot be told from the cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from modelwright.audit.association import draw_folds, indicators, order_effect, quantile_codes, value_effect
from modelwright.audit.context import Context
from modelwright.audit.exact_planes import plane_share
from modelwright.audit.finding import Finding, Fix, Severity
from modelwright.tables.schema import Column

_MIN_ROWS = 100
#: Columns compared with each other, and rows that all pairs are screened on.
_MOST_COLUMNS, _SCREEN_ROWS = 400, 4_000
#: Multiplications that the product of the joint bins may cost; of more columns, evenly chosen ones are screened.
_MOST_WORK = 2e10
#: Levels of a number, and the most that values of their own may have.
_LEVELS, _MOST_LEVELS = 8, 32
#: A column that does so well alone is for other checks.
_ALONE = 0.9
#: What the joint bins must explain beyond both columns together, as a share of variance, to be looked at closely.
_SYNERGY, _CLOSELY = 0.15, 25
#: Bars: joint effect, what it exceeds the better column by, and from where on it is critical.
_JOINT, _BEYOND, _CRITICAL = 0.6, 0.35, 0.9
#: Honest tables have many pairs of one kind: the lead in what is beyond single columns over pairs that share none.
_LEAD = 0.2
#: Pairs of numbers of which the rest beside a line is looked at, by how near the line and by what the line explains.
_MOST_LINES, _MOST_PLANES = 60, 400
#: Projections that stand for many classes.
_PROJECTIONS = 4
_MIN_EXACT, _EXACT_CRITICAL = 0.12, 0.5


@dataclass(frozen=True)
class _View:
    """One column on the compared rows: its bins, its numbers where it has any, its effect alone."""

    name: str
    codes: np.ndarray
    numbers: np.ndarray | None
    effect: float

    @cached_property
    def positive(self) -> bool:
        return self.numbers is not None and bool(np.nanmin(self.numbers) > 0)


@dataclass(frozen=True)
class _Pair:
    first: _View
    second: _View
    effect: float
    form: str
    exact: float = 0.0

    @property
    def beyond(self) -> float:
        return self.effect - max(self.first.effect, self.second.effect)

    def shares_with(self, other: _Pair) -> bool:
        return bool({self.first.name, self.second.name} & {other.first.name, other.second.name})


def check(context: Context) -> list[Finding]:
    """Pairs of columns whose joint effect is far above what each has alone."""
    if context.y is None or context.n_rows < _MIN_ROWS:
        return []
    features, y = context.features_and_target()
    classification = context.task != "regression"
    targets = indicators(y, classification=classification)
    rows = context.sample[context.target_sample]
    folds = draw_folds(len(y), None if context.group is None else context.group[rows])

    def effect(codes: np.ndarray) -> float:
        return value_effect(codes, targets, folds, classification=classification)

    views = _views(context.present, features, targets, effect, classification)
    if len(views) < 2:
        return []
    numeric = [view for view in views if view.numbers is not None]
    pairs = [_Pair(a, b, effect(_joint(a.codes, b.codes)), "taken together") for a, b in _screened(views, y, classification)]
    projected = _projected(y, classification)
    pairs += _left_over(numeric, projected, effect)
    if not classification:
        pairs += _exact(numeric, projected, y)
    return [_finding(pair) for pair in _outstanding(pairs)]


def _views(
    columns: tuple[Column, ...],
    features: pl.DataFrame,
    targets: np.ndarray,
    effect: Callable[[np.ndarray], float],
    classification: bool,
) -> list[_View]:
    """Columns that do not stand out alone; of very many, evenly chosen ones."""
    usable = [c for c in columns if c.type in ("number", "boolean", "category")]
    stride = max(1, -(-len(usable) // _MOST_COLUMNS))
    views = []
    for column in usable[::stride]:
        cells = features[column.name]
        numbers = None
        if cells.dtype == pl.String:
            codes = cells.rank("dense").fill_null(0).to_numpy().astype(np.int64)
            if codes.max(initial=0) > _MOST_LEVELS:
                continue
            alone = effect(codes)
        else:
            numbers = cells.cast(pl.Float64).fill_null(float("nan")).to_numpy()
            if np.isnan(numbers).all():
                continue
            codes = _bins(numbers)
            alone = max(effect(quantile_codes(numbers)), order_effect(numbers, targets, classification=classification))
        if alone < _ALONE and codes.max(initial=0) > 0:
            views.append(_View(column.name, codes, numbers, alone))
    return views


def _bins(x: np.ndarray) -> np.ndarray:
    """The values themselves where there are few, else bins of equal size; 0 is a gap."""
    filled = ~np.isnan(x)
    distinct = np.unique(x[filled])
    if len(distinct) > _MOST_LEVELS:
        distinct = np.unique(np.quantile(x[filled], np.linspace(0, 1, _LEVELS + 1)[1:-1]))
    codes = np.zeros(len(x), dtype=np.int64)
    codes[filled] = np.searchsorted(distinct, x[filled], side="right") + 1
    return codes


def _joint(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.unique(a * (int(b.max(initial=0)) + 1) + b, return_inverse=True)[1], dtype=np.int64)


def _screened(views: list[_View], y: np.ndarray, classification: bool) -> list[tuple[_View, _View]]:
    """Pairs whose joint bins explain more of the target than both columns do one by one.

    Sums and counts of the cells of all pairs come from one product of matrices of zeros and ones.
    """
    step = max(1, -(-len(y) // _SCREEN_ROWS))
    projected = _projected(y[::step], classification)
    n = projected.shape[1]
    widths = [int(view.codes.max()) + 1 for view in views]
    most = np.sqrt(_MOST_WORK / (n * (1 + len(projected))))
    stride = max(1, int(np.ceil(sum(widths) / most)))
    views, widths = views[::stride], widths[::stride]
    starts = np.concatenate([[0], np.cumsum(widths)])
    ones = np.zeros((n, starts[-1]), dtype=np.float32)
    for view, start in zip(views, starts, strict=False):
        ones[np.arange(n), start + view.codes[::step]] = 1.0
    counts = ones.T @ ones
    filled = np.maximum(counts, 1.0)
    between = sum((ones.T @ (ones * row[:, np.newaxis])) ** 2 / filled for row in projected) / len(projected)
    # Sums over the cells of each pair of columns.
    explained = np.add.reduceat(np.add.reduceat(between, starts[:-1], axis=0), starts[:-1], axis=1)
    cells = np.add.reduceat(np.add.reduceat((counts > 0).astype(np.float32), starts[:-1], axis=0), starts[:-1], axis=1)
    share = 1 - (1 - explained / n) * (n - 1) / np.maximum(n - cells, 1)
    alone = np.diag(share)
    synergy = share - np.maximum(alone, 0)[:, np.newaxis] - np.maximum(alone, 0)[np.newaxis]
    synergy[cells > n / 2] = 0.0
    upper = np.triu_indices(len(views), 1)
    best = np.argsort(-synergy[upper], kind="stable")[:_CLOSELY]
    return [(views[upper[0][k]], views[upper[1][k]]) for k in best if synergy[upper][k] > _SYNERGY]


def _projected(y: np.ndarray, classification: bool) -> np.ndarray:
    """Standardised ranks of a number, or signs drawn for each class; shape (q, n)."""
    if not classification or len(np.unique(y)) <= 2:
        rows = indicators(y, classification=classification)
    else:
        codes = np.unique(y, return_inverse=True)[1]
        k = int(codes.max()) + 1
        base = np.arange(k) % 2 * 2.0 - 1.0
        rows = np.stack([np.random.default_rng(seed).permutation(base)[codes] for seed in range(_PROJECTIONS)])
    rows = rows - rows.mean(axis=1, keepdims=True)
    scale = rows.std(axis=1, keepdims=True)
    return np.asarray(rows / np.where(scale > 0, scale, 1.0), dtype=np.float32)


def _left_over(views: list[_View], projected: np.ndarray, effect: Callable[[np.ndarray], float]) -> list[_Pair]:
    """Pairs of numbers by what a line of one leaves of the other; in logarithms where both are positive."""
    found = []
    for chosen, turn, form in _scales(views):
        matrix = np.stack([_standard(turn(_numbers(view))) for view in chosen])
        r = np.abs(matrix @ matrix.T)[np.triu_indices(len(chosen), 1)] / matrix.shape[1]
        gain = _gains(matrix, projected)
        best = dict.fromkeys([*np.argsort(-r, kind="stable")[:_MOST_LINES], *np.argsort(-gain, kind="stable")[:_MOST_LINES]])
        for i, j in np.transpose(np.triu_indices(len(chosen), 1))[list(best)]:
            a, b = chosen[i], chosen[j]
            rest = max(effect(quantile_codes(left)) for left in _residuals(turn(_numbers(a)), turn(_numbers(b))))
            found.append(_Pair(a, b, rest, form))
    return found


def _scales(views: list[_View]) -> list[tuple[list[_View], Callable[[np.ndarray], np.ndarray], str]]:
    """Numbers as they are, and logarithms of those that are positive."""
    positive = [view for view in views if view.positive]
    scales: list[tuple[list[_View], Callable[[np.ndarray], np.ndarray], str]] = [
        (views, np.asarray, "sum or difference"),
        (positive, np.log, "product or ratio"),
    ]
    return [scale for scale in scales if len(scale[0]) > 1]


def _gains(matrix: np.ndarray, projected: np.ndarray) -> np.ndarray:
    """Share of the target that two columns explain linearly beyond both one by one, for each pair above the diagonal.

    Two predictors of correlation r that correlate with the target by p and q explain (pp + qq - 2pqr) / (1 - rr).
    """
    n = matrix.shape[1]
    r = (matrix @ matrix.T / n)[upper := np.triu_indices(len(matrix), 1)]
    gains = np.zeros(len(r))
    for row in projected.astype(np.float64):
        alone = matrix @ row / n
        p, q = alone[upper[0]], alone[upper[1]]
        room = np.maximum(1 - r**2, 1e-9)
        gains = np.maximum(gains, np.minimum(1.0, (p**2 + q**2 - 2 * p * q * r) / room) - p**2 - q**2)
    return gains


def _numbers(view: _View) -> np.ndarray:
    assert view.numbers is not None
    return view.numbers


def _residuals(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """What is left of b by a line in a, and with a slope of one."""
    both = ~np.isnan(a) & ~np.isnan(b)
    centred = a[both] - a[both].mean()
    scale = float(centred @ centred)
    slope = float(centred @ b[both]) / scale if scale > 0 else 0.0
    unit = np.copysign(1.0, slope)
    return [b - slope * a] if abs(abs(slope) - 1) > 0.1 else [b - slope * a, b - unit * a]


def _standard(x: np.ndarray) -> np.ndarray:
    spread = np.nanstd(x)
    if not spread > 0:
        return np.zeros_like(x)
    return np.nan_to_num((x - np.nanmean(x)) / spread, nan=0.0)


def _exact(views: list[_View], projected: np.ndarray, y: np.ndarray) -> list[_Pair]:
    """Pairs of numbers whose planes, plain or in logarithms, hold exactly on a part of the rows."""
    found = []
    for chosen, turn, form in _scales(views):
        if turn is np.log and not (y > 0).all():
            continue
        matrix = np.stack([_standard(turn(_numbers(view))) for view in chosen])
        best = np.argsort(-_gains(matrix, projected), kind="stable")[:_MOST_PLANES]
        for i, j in np.transpose(np.triu_indices(len(chosen), 1))[best]:
            a, b = chosen[i], chosen[j]
            share = plane_share(turn(y), turn(_numbers(a)), turn(_numbers(b)))
            if share >= _MIN_EXACT:
                found.append(_Pair(a, b, 1.0, form, share))
    return found


def _outstanding(pairs: list[_Pair]) -> list[_Pair]:
    """Pairs beyond the bars, the best first, of which no two share a column and each leads those that share none."""
    chosen: list[_Pair] = []
    ranked = sorted(pairs, key=lambda pair: (-pair.exact, -pair.effect))
    for pair in ranked:
        if any(pair.shares_with(other) for other in chosen):
            continue
        if pair.exact < _MIN_EXACT:
            if pair.effect < _JOINT or pair.beyond < _BEYOND:
                continue
            rest = [p.beyond for p in pairs if not p.shares_with(pair) and not any(p.shares_with(c) for c in chosen)]
            if rest and pair.beyond - max(rest) < _LEAD:
                continue
        chosen.append(pair)
    return chosen


def _finding(pair: _Pair) -> Finding:
    a, b = pair.first, pair.second
    critical = pair.exact >= _EXACT_CRITICAL or (pair.exact == 0 and pair.effect >= _CRITICAL)
    severity: Severity = "critical" if critical else "warning"
    names = (a.name, b.name)
    if pair.exact:
        words = f"A {pair.form} of {a.name!r} and {b.name!r} is exactly the target in {100 * pair.exact:.3g} % of the rows"
    else:
        joined = f"as a {pair.form}" if " or " in pair.form else pair.form
        words = f"{a.name!r} and {b.name!r}, {joined}, predict the target (effect {pair.effect:.2f} of at most 1)"
    return Finding(
        check="pair_tells_target",
        severity=severity,
        message=f"{words}; alone they hardly do ({a.effect:.2f} and {b.effect:.2f}).",
        columns=names,
        evidence={
            "form": pair.form,
            "effect": round(pair.effect, 4),
            "exact_share": round(pair.exact, 4),
            "alone": [round(a.effect, 4), round(b.effect, 4)],
        },
        mend="Are both known before the outcome, such as a quantity and a unit price? If not, list them under exclude.",
        fix=Fix(exclude=names),
    )
