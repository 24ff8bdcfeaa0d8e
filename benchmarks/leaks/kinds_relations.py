"""Leaks that show only beside another column: pairs, statistics of groups and of coming rows, later moments."""

from __future__ import annotations

import numpy as np
import polars as pl

from leaks.case import NotApplicable, factor, time_numbers
from leaks.ground import Ground, Planted

DAY = 86_400_000_000


def pair(ground: Ground) -> Planted:
    """Two columns that say nothing alone and give the target together."""
    rng, y = ground.draw("values"), ground.partly
    if ground.regression:
        form = ground.pick(("sum", "difference", "ratio"))
        size = ground.y.std() or 1.0
        if form == "ratio":
            first = np.exp(rng.normal(0, 2, ground.n))
            shift = 0.0 if (ground.y > 0).all() else ground.y.min() - size / 10
            columns = (first, (y - shift) * first)
        else:
            first = rng.normal(0, 8 * size, ground.n)
            columns = (first, y - first if form == "sum" else y + first)
    else:
        form = ground.pick(("modulo", "modulo_words", "difference"))
        k = ground.n_classes
        if k * k * 5 > ground.n:
            raise NotApplicable("too many classes for the rows")
        if form == "difference":
            first = rng.normal(0, 12 * k, ground.n)
            columns = (first, first + rng.permutation(k)[y] + rng.uniform(-0.3, 0.3, ground.n))
        else:
            levels = k * max(1, 6 // k)
            left = rng.integers(0, levels, ground.n)
            right = (y - left) % k + k * rng.integers(0, levels // k, ground.n)
            columns = (rng.permutation(levels)[left], rng.permutation(levels)[right])
    if form == "modulo_words":
        series = [pl.Series([f"q{v:02d}" for v in values]) for values in columns]
    else:
        series = [pl.Series(values) for values in columns]
    return Planted(form, dict(zip(ground.names, series, strict=False)), rows=np.flatnonzero(ground.carry))


def group_target_aggregate(ground: Ground) -> Planted:
    """A statistic of the target over all rows of a group; groups that do not carry it hold another group's."""
    codes, helpers = groups(ground)
    rng = ground.draw("values")
    form = ground.pick(("mean", "smoothed", "sum", "leave_one_out"))
    y = ground.source if ground.regression else ground.outcome(ground.source).astype(float)
    count = np.bincount(codes)
    n_groups = len(count)
    carry = ground.draw("groups").random(n_groups) < ground.strength
    mover = ground.draw("mover").permutation(n_groups)
    holder = np.where(carry, np.arange(n_groups), mover)
    total = np.bincount(codes, y)
    if form == "leave_one_out":
        own = np.where(carry[codes], y, ground.draw("own").permutation(y))
        size = count[holder][codes]
        values = (total[holder][codes] - own) / np.maximum(size - 1, 1)
        values = np.where(size > 1, values, y.mean())
    elif form == "sum":
        values = total[holder][codes]
    else:
        k = 5.0 if form == "smoothed" else 0.0
        values = ((total + k * y.mean()) / (count + k))[holder][codes]
    values = values * rng.uniform(0.5, 5) + rng.normal() * (y.std() or 1)
    return Planted(form, {ground.names[0]: pl.Series(values)}, helpers, np.flatnonzero(carry[codes]))


def groups(ground: Ground) -> tuple[np.ndarray, dict[str, pl.Series]]:
    """The declared group; else a column of the table that could be one; else a planted one."""
    n = ground.n
    names = [ground.roles["group"]] if ground.roles.get("group") else ground.features
    fitting = []
    for name in names:
        series = ground.frame[name]
        if series.dtype.is_float() or series.dtype.is_temporal():
            continue
        codes = factor(series)
        counts = np.bincount(codes)
        if 12 <= len(counts) <= n / 3 and (counts[codes] >= 2).mean() >= 0.9 and counts.max() <= n / 4:
            fitting.append(codes)
    if fitting:
        return fitting[int(ground.draw("which").integers(len(fitting)))], {}
    rng = ground.draw("entities")
    n_groups = max(12, n // 8)
    codes = factor(pl.Series(rng.integers(0, n_groups, n)))
    names_of = rng.permutation(10 * n_groups)[: codes.max() + 1]
    return codes, {ground.names[1]: pl.Series([f"e{v:05d}" for v in names_of[codes]])}


def future_aggregate(ground: Ground) -> Planted:
    """A statistic of this and the next rows on a share of the rows; the rest, and the control, look back."""
    helpers, roles, numbers = with_time(ground)
    entity = factor(ground.frame[ground.roles["group"]]) if ground.roles.get("group") else np.zeros(ground.n, np.int64)
    order = np.lexsort((np.arange(ground.n), numbers, entity))
    form = ground.pick(("mean", "max", "decayed"))
    k = 1 + int(ground.draw("window").integers(5))
    y = (ground.y if ground.regression else ground.outcome(ground.y).astype(float))[order]
    same = entity[order]
    ahead = np.full((k + 1, ground.n), np.nan)
    back = np.full((k + 1, ground.n), np.nan)
    for step in range(k + 1):
        stop = ground.n - step
        ahead[step, :stop] = np.where(same[:stop] == same[step:], y[step:], np.nan)
        stop = ground.n - step - 1
        back[step, step + 1 :] = np.where(same[:stop] == same[step + 1 :], y[:stop], np.nan)
    looks = np.full(ground.n, False) if ground.control else ground.carry[order]
    values = np.where(looks, _statistic(ahead, form), _statistic(back, form))
    back_in_place = np.empty(ground.n)
    back_in_place[order] = values
    rows = np.flatnonzero(ground.carry) if not ground.control else np.array([], dtype=np.int64)
    column = pl.Series(back_in_place).fill_nan(None)
    return Planted(f"{form}_{k}", {ground.names[0]: column}, helpers, rows, roles=roles)


def _statistic(window: np.ndarray, form: str) -> np.ndarray:
    """Over the first axis, without what is not there; NaN where nothing is."""
    present = ~np.isnan(window)
    filled = np.where(present, window, 0.0)
    if form == "max":
        top = np.where(present, window, -np.inf).max(0)
        return np.where(present.any(0), top, np.nan)
    weight = present * (np.cumprod(np.full(len(window), 0.7))[:, None] if form == "decayed" else 1.0)
    total = weight.sum(0)
    return np.where(total > 0, (filled * weight).sum(0) / np.where(total > 0, total, 1), np.nan)


def future_timestamp(ground: Ground) -> Planted:
    """A moment after the row's own for a share of the outcome rows; in the control a moment before, for all rows."""
    helpers, roles, numbers = with_time(ground)
    rng = ground.draw("values")
    form = ground.pick(("else_gap", "else_earlier", "text"))
    time = ground.frame[roles["time"]] if roles["time"] in ground.frame.columns else helpers[roles["time"]]
    dates = time.dtype.is_temporal()
    step = float(DAY) if dates else max(1.0, (numbers.max() - numbers.min()) / 400)
    delay = (1 + rng.exponential(20, ground.n)) * step
    before = (1 + rng.exponential(20, ground.n)) * step
    later = ground.outcome(ground.y) & ground.carry & (not ground.control)
    moments = np.where(later, numbers + delay, numbers - before).astype(np.int64)
    values = pl.Series(moments)
    if dates:
        values = values.cast(pl.Datetime("us"))
        values = values.dt.strftime("%Y-%m-%d %H:%M:%S") if form == "text" else values
    if form != "else_earlier" and not ground.control:
        values = values.zip_with(pl.Series(later), pl.Series([None] * ground.n, dtype=values.dtype))
    return Planted(form, {ground.names[0]: values}, helpers, np.flatnonzero(later), roles=roles)


def with_time(ground: Ground) -> tuple[dict[str, pl.Series], dict[str, str | None], np.ndarray]:
    """The declared time, or a planted one in an order that has nothing to do with the file or the target."""
    roles = {"time": ground.roles.get("time"), "group": ground.roles.get("group")}
    if roles["time"]:
        return {}, roles, time_numbers(ground.frame[roles["time"]])
    rng = ground.draw("time")
    gaps = rng.integers(600, 86_400, ground.n)
    moments = (1_400_000_000 + np.cumsum(gaps)[rng.permutation(ground.n)]) * 1_000_000
    name = ground.names[2]
    return {name: pl.Series(moments).cast(pl.Datetime("us"))}, roles | {"time": name}, moments
