"""Leaks that sit in one column: copies of the target, reason codes, gaps, keys."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import polars as pl

from leaks.case import NotApplicable
from leaks.effect import ordered, ranks
from leaks.ground import Ground, Planted


def exact_copy(ground: Ground) -> Planted:
    """The target under another label or scale, on a share of the rows; the rest holds the shuffled target."""
    rng, y = ground.draw("values"), ground.partly
    if ground.regression:
        form = ground.pick(("affine", "negated", "log", "rounded_text"))
        scale, shift = rng.uniform(0.2, 5), rng.normal() * (np.std(ground.y) or 1)
        if form == "log":
            values = pl.Series(np.log1p((y - ground.y.min()) / (np.std(ground.y) or 1)) * scale)
        elif form == "rounded_text":
            values = pl.Series([f"{round(float(v), 4)} u" for v in y])
        else:
            values = pl.Series((-scale if form == "negated" else scale) * y + shift)
        return _one(ground, form, values)
    form = ground.pick(("labels", "codes", "scaled"))
    order = rng.permutation(ground.n_classes)
    if form == "labels":
        words = np.array([f"k{code:04x}" for code in rng.permutation(65536)[: ground.n_classes]])
        return _one(ground, form, pl.Series(words[y]))
    values = order[y] if form == "codes" else order[y] * rng.uniform(0.5, 9) + rng.normal()
    return _one(ground, form, pl.Series(values))


def coded_copy(ground: Ground) -> Planted:
    """Many codes a class, or tenths of the number in shuffled order."""
    rng, y = ground.draw("values"), ground.partly
    form = ground.pick(("numbers", "words"))
    if ground.regression:
        edges = np.unique(np.quantile(ground.y, np.linspace(0, 1, 11)[1:-1]))
        codes = np.searchsorted(edges, y, side="right")
        names = rng.permutation(len(edges) + 1)
    else:
        counts = np.bincount(ground.y, minlength=ground.n_classes)
        per_class = np.clip(counts // 20, 2, 12)
        starts = np.concatenate([[0], np.cumsum(per_class)])
        codes = starts[y] + (rng.random(ground.n) * per_class[y]).astype(np.int64)
        names = rng.permutation(starts[-1])
    values = names[codes] + 1
    return _one(ground, form, pl.Series([f"z{v:03d}" for v in values]) if form == "words" else pl.Series(values))


def noisy_copy(ground: Ground) -> Planted:
    """The target plus noise: the strength is the correlation, or the AUC between neighbouring classes is 0.5 + s/2."""
    rng, y, s = ground.draw("values"), ground.source, ground.strength
    form = ground.pick(("normal", "heavy", "exponential"))
    noise = rng.laplace(size=ground.n) / np.sqrt(2) if form == "heavy" else rng.normal(size=ground.n)
    if ground.regression:
        share = min(s, 0.998)
        z = (y - y.mean()) / (y.std() or 1)
        values = share * z + np.sqrt(1 - share**2) * noise
    else:
        step = np.sqrt(2) * NormalDist().inv_cdf(min(0.5 + s / 2, 0.9995))
        values = rng.permutation(ground.n_classes)[y] * step + noise
    if form == "exponential":
        values = np.exp(values / (values.std() or 1))
    return _one(ground, form, pl.Series(values), np.arange(ground.n))


def post_outcome_code(ground: Ground) -> Planted:
    """A reason for a share of the outcome rows, and the default value for all others."""
    rng = ground.draw("values")
    filled = ground.outcome(ground.source) & ground.carry
    form = ground.pick(("words", "amount", "gaps"))
    if form == "amount":
        values = pl.Series(np.where(filled, np.round(rng.lognormal(4, 1, ground.n), 2) + 0.01, 0.0))
    else:
        words = np.array([f"r{code:03x}" for code in rng.permutation(4096)[: 3 + int(rng.integers(4))]])
        values = pl.Series(words[rng.integers(0, len(words), ground.n)])
        values = _where(filled, values, None if form == "gaps" else "r-")
    return _one(ground, form, values, np.flatnonzero(filled))


def missingness(ground: Ground) -> Planted:
    """Real values in shuffled order, whose gaps follow the outcome."""
    rng, s = ground.draw("values"), ground.strength
    base = float(ground.draw("base").uniform(0.1, 0.3))
    outcome = ground.outcome(ground.source)
    form = ground.pick(("gap", "filler_number", "gap_elsewhere"))
    if form == "gap_elsewhere":
        outcome = ~outcome
    gaps = rng.random(ground.n) < np.where(outcome, base + s * (1 - base), base * (1 - s))
    numeric = [c for c in ground.features if ground.frame[c].dtype.is_numeric() and ground.frame[c].n_unique() >= 5]
    if not numeric:
        if form == "filler_number":
            raise NotApplicable("no column of numbers")
        numeric = ground.features
    chosen = ground.frame[numeric[int(rng.integers(len(numeric)))]]
    values = chosen.drop_nulls()
    values = values[rng.integers(0, len(values), ground.n).tolist()].alias("")
    if form == "filler_number":
        filler = float(-999 if ordered(values)[0].min() > -900 else -(10.0**7))
        return _one(ground, form, _where(~gaps, values.cast(pl.Float64), filler), np.flatnonzero(gaps & outcome))
    return _one(ground, form, _where(~gaps, values, None), np.flatnonzero(gaps & outcome))


def id_ordering(ground: Ground) -> Planted:
    """A key of one value a row, given in an order that is a weighting of target and noise."""
    rng = ground.draw("values")
    position = sorted_by(ground, ground.source)
    form = ground.pick(("numbers", "words"))
    keys = 10_000 + np.cumsum(rng.integers(1, 9, ground.n))
    values = keys[position]
    return _one(ground, form, pl.Series([f"K{v:08d}" for v in values]) if form == "words" else pl.Series(values))


def sorted_by(ground: Ground, y: np.ndarray) -> np.ndarray:
    """Place of each row when sorted by ``strength`` of the target's rank and the rest of noise; classes in any order."""
    rng, s = ground.draw("order"), ground.strength
    y = y if ground.regression else rng.permutation(ground.n_classes)[y]
    noise = rng.permutation(ground.n)
    score = s * ranks(y) + (1 - s) * noise + noise / ground.n**2
    place = np.empty(ground.n, dtype=np.int64)
    place[np.argsort(score, kind="stable")] = np.arange(ground.n)
    return place


def _where(keep: np.ndarray, values: pl.Series, other: object) -> pl.Series:
    """The values where ``keep``, ``other`` elsewhere."""
    return pl.select(pl.when(pl.lit(pl.Series(keep))).then(pl.lit(values)).otherwise(pl.lit(other))).to_series()


def _one(ground: Ground, form: str, values: pl.Series, rows: np.ndarray | None = None) -> Planted:
    rows = np.flatnonzero(ground.carry) if rows is None else rows
    return Planted(form, {ground.names[0]: values}, rows=rows)
