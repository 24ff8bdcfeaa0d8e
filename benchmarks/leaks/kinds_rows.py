"""Leaks that sit in rows and in the split: order, copies, entities and moments on both sides."""

from __future__ import annotations

import numpy as np
import polars as pl

from leaks.case import NotApplicable, assign_split, time_cut
from leaks.ground import Ground, Planted
from leaks.kinds_columns import sorted_by
from leaks.kinds_relations import with_time


def row_order(ground: Ground) -> Planted:
    """The file sorted by target and noise; the control is the file in shuffled order."""
    place = sorted_by(ground, ground.source)
    return Planted("sorted", rows=np.arange(ground.n), frame=ground.frame[np.argsort(place).tolist()])


def duplicate_rows(ground: Ground) -> Planted:
    """A share of the evaluation rows replaced by copies of training rows; in the control training rows are replaced."""
    split, rows, origin = _copies(ground)
    return Planted("exact", rows=rows, frame=_replaced(ground.frame, rows, origin), split=split)


def near_duplicate_rows(ground: Ground) -> Planted:
    """The same, with numbers moved by a thousandth of their deviation or by one fine step; keys stay the row's own."""
    split, rows, origin = _copies(ground)
    rng = ground.draw("jitter")
    form = ground.pick(("jitter", "step"))
    frame = _replaced(ground.frame, rows, origin)
    moved = []
    for name in ground.features:
        series = ground.frame[name]
        distinct = series.n_unique()
        noise = rng.normal(size=len(rows))
        if distinct >= 0.95 * ground.n and _may_be_key(series):
            frame = frame.with_columns(ground.frame[name])
            continue
        if not series.dtype.is_numeric() or distinct < (20 if series.dtype.is_float() else 50):
            continue
        values = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
        step = _step(values) if series.dtype.is_float() else 1.0
        if series.dtype.is_float() and (form == "jitter" or step > 0.02 * np.nanstd(values)):
            values[rows] += noise * 0.001 * np.nanstd(values)
        else:
            # Every number one step away would be another row; one cell in three is enough to end equality.
            values[rows] += np.sign(noise) * step * ((np.abs(noise) > 1.0) | (len(moved) == 0))
        changed = pl.Series(name, values).fill_nan(None)
        moved.append(changed.cast(series.dtype) if series.dtype.is_integer() else changed)
    if len(moved) < 2:
        raise NotApplicable("fewer than two columns of numbers to move")
    return Planted(form, rows=rows, frame=frame.with_columns(moved), split=split)


def _may_be_key(series: pl.Series) -> bool:
    """Whole numbers, or text that holds no amounts."""
    if series.dtype != pl.String:
        return series.dtype.is_integer()
    return series.str.contains(r"^\s*-?\d+\.\d+\s*$").mean() < 0.5


def _step(values: np.ndarray) -> float:
    """Smallest distance of two values, apart from what rounding leaves."""
    levels = np.unique(values[~np.isnan(values)])
    gaps = np.diff(levels)
    return float(gaps[gaps > 1e-6 * (levels[-1] - levels[0])].min())


def group_overlap(ground: Ground) -> Planted:
    """Entities of 4 to 12 rows that share the outcome, with an id and a fingerprint, on both sides of the split.

    Control: declared entities that do not cross; or, undeclared, ids that cross and have nothing to do with the outcome.
    """
    form = ground.pick(("declared", "undeclared"))
    rng = ground.draw("entities")
    declared = form == "declared"
    mixed = rng.permutation(ground.n)
    alike = mixed if ground.control and not declared else mixed[np.argsort(ground.y[mixed], kind="stable")]
    sizes = rng.integers(4, 13, ground.n)
    entity = np.empty(ground.n, dtype=np.int64)
    entity[alike] = np.repeat(np.arange(ground.n), sizes)[: ground.n]
    n_entities = entity.max() + 1
    ids = rng.permutation(9 * n_entities)[:n_entities]
    prints = np.round(rng.normal(50, 20, n_entities), 4)
    columns = {
        ground.names[0]: pl.Series([f"p{v:06d}" for v in ids[entity]]) if rng.random() < 0.5 else pl.Series(ids[entity]),
        ground.names[1]: pl.Series(prints[entity]),
    }
    # A quarter of the entities belong to evaluation; those that straddle leave half of their rows in training, and so
    # many straddle that a share of ``strength`` of the evaluation rows has siblings there.
    apart = ground.draw("apart").permutation(n_entities) < max(2, n_entities // 4)
    strength = 0.0 if ground.control and declared else ground.strength
    straddles = ground.draw("straddles").random(n_entities) < strength / (0.5 + 0.5 * strength)
    later = np.bincount(entity, minlength=n_entities)[entity] // 2 <= _place_in(entity)
    split = apart[entity] & (later | ~straddles[entity])
    crossing = np.isin(entity, np.intersect1d(entity[split], entity[~split]))
    roles = {"time": ground.roles.get("time"), "group": ground.names[0] if declared else None}
    return Planted(form, columns, rows=np.flatnonzero(split & crossing), roles=roles, split=split)


def time_overlap(ground: Ground) -> Planted:
    """A share of the evaluation rows exchanged with earlier rows; the control is a clean cut."""
    helpers, roles, numbers = with_time(ground)
    split = time_cut(numbers)
    late, early = np.flatnonzero(split), np.flatnonzero(~split)
    share = 0.0 if ground.control else ground.strength
    leaving = late[ground.draw("leave").random(len(late)) < share]
    entering = ground.draw("enter").permutation(early)[: len(leaving)]
    split = split.copy()
    split[leaving[: len(entering)]] = False
    split[entering] = True
    return Planted("exchanged", {}, helpers, entering, roles=roles, split=split)


def _place_in(entity: np.ndarray) -> np.ndarray:
    """How many earlier rows of its entity each row has."""
    order = np.argsort(entity, kind="stable")
    starts = np.searchsorted(entity[order], entity[order])
    place = np.empty(len(entity), dtype=np.int64)
    place[order] = np.arange(len(entity)) - starts
    return place


def _copies(ground: Ground) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The split, the rows to be replaced, and the training rows they become copies of."""
    split = assign_split(ground.frame, ground.seed, ground.target, ground.roles)
    evaluation, training = np.flatnonzero(split), ground.draw("origin").permutation(np.flatnonzero(~split))
    chosen = ground.draw("replaced").random(len(evaluation)) < ground.strength
    n_copies = min(len(evaluation), len(training) // 2)
    evaluation, chosen = evaluation[:n_copies], chosen[:n_copies]
    origin = training[:n_copies][chosen]
    rows = training[n_copies : 2 * n_copies][chosen] if ground.control else evaluation[chosen]
    return split, rows, origin


def _replaced(frame: pl.DataFrame, rows: np.ndarray, origin: np.ndarray) -> pl.DataFrame:
    take = np.arange(frame.height)
    take[rows] = origin
    return frame[take.tolist()]
