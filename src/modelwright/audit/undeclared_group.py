"""Entities of several rows that nobody declared.

A column is called an entity where its rows share the target as neighbouring values do not, and where it fixes other
columns as well (a patient has one sex and one age); or where it is a key that repeats and fixes other columns. Whether
that matters is then measured, not argued: the same small model on the same rows, in random folds and in folds by entity.
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from modelwright.audit.across_split import entities_crossing, is_clean_cut
from modelwright.audit.context import Context
from modelwright.audit.entities import Entity, entities
from modelwright.audit.finding import Cost, Finding, Fix, Severity
from modelwright.audit.refit import Drop, cross_fitted, drop_between, parts_of
from modelwright.splits.units import group_units

#: Excess likeness of the target from which a column remembers; from which it does so beyond doubt.
LEAST_MEMORY, _STRONG = 0.3, 0.6
#: Without a column that the entity fixes, it must have so many rows to be more than a measurement.
_MIN_SIZE = 5.0
#: A key has at least this share of distinct values.
_KEY = 0.2
_MIN_ROWS = 60
#: Evaluation rows of known entities below this share: the split keeps them apart.
_APART = 0.01
_CELLS, _MOST_ROWS, _FEWEST_ROWS = 200_000, 4_000, 500
_FOLDS = 3
_CODE = re.compile(r"^\S*\d\S*$")


def check(context: Context) -> list[Finding]:
    """The column that most looks like an entity, if no group is declared."""
    if context.y is None or not context.present or context.group_name is not None or context.n_rows < _MIN_ROWS:
        return []
    found = entities(context, least_memory=LEAST_MEMORY)
    remembering = [entity for entity in found if remembers(entity)]
    keys = [entity for entity in found if _is_key(entity)]
    for entity in [*_preferred(remembering), *keys[:1]]:
        finding = _finding(context, entity, by_memory=entity in remembering)
        if finding is not None:
            return [finding]
    codes = [entity for entity in found if _is_code(context, entity)]
    return [_repeated_code(entity) for entity in codes[:1]]


def remembers(entity: Entity) -> bool:
    """Whether rows of one value share the target as an entity's do, and not as a measurement's or an attribute's."""
    if entity.excess < LEAST_MEMORY:
        return False
    if entity.integral and (entity.twins or entity.determined):
        return True
    if not entity.integral:
        # A measurement may repeat by chance; a fingerprint fixes several others that are as fine.
        return len(entity.fine) + len(entity.twins) >= 2
    return entity.excess >= _STRONG and entity.size >= _MIN_SIZE


def _is_key(entity: Entity) -> bool:
    return entity.integral and entity.levels >= _KEY * entity.rows and bool(entity.determined) and entity.levels >= 100


def _preferred(found: list[Entity]) -> list[Entity]:
    """Those that fix more first; of equal ones the greater memory."""
    return sorted(
        found, key=lambda e: (-bool(e.twins or e.determined), -round(e.excess, 1), not e.integral, -len(e.determined))
    )


def _finding(context: Context, entity: Entity, *, by_memory: bool) -> Finding | None:
    name = entity.name
    drop = damage(context, name)
    strong = by_memory and entity.excess >= _STRONG and bool(entity.twins or entity.determined)
    if by_memory and not strong and (drop is None or not drop.shown):
        return None
    severity: Severity = "warning"
    where = ""
    if context.evaluation is not None and name in context.evaluation.columns:
        share = float(entities_crossing(context, name).mean())
        where = f" {100 * share:.3g} % of the evaluation rows are of an entity that training has seen."
        if share < _APART or is_clean_cut(context):
            severity = "info"
    fixed = (*entity.twins, *entity.determined)
    also = f", and it fixes {', '.join(map(repr, fixed[:3]))}{' and more' if len(fixed) > 3 else ''}" if fixed else ""
    shares = (
        f"rows that share a value of {name!r} share the target (likeness {entity.memory:.2f}, {max(0.0, entity.adjacent):.2f}"
    )
    what = f"{shares} with the next value){also}" if by_memory else f"{name!r} is a key that repeats{also}"
    evidence = {
        "levels": entity.levels,
        "rows_by_level": round(entity.size, 2),
        "likeness": round(entity.memory, 3),
        "likeness_to_next": round(entity.adjacent, 3),
        "fixes": list(fixed[:10]),
    }
    if drop is not None:
        evidence |= {"lost": round(drop.lost, 5), "lost_low": round(drop.low, 5), "lost_high": round(drop.high, 5)}
    return Finding(
        check="undeclared_group",
        severity=severity,
        message=f"{what[0].upper() + what[1:]}: it seems to name an entity of several rows.{where}",
        columns=(name,),
        evidence=evidence,
        mend=f"If the model will meet new entities, set group = {name!r}: all rows of one then stay on one side.",
        fix=Fix(group=name),
        cost=None if drop is None else _cost(drop, name),
    )


def damage(context: Context, name: str) -> Drop | None:
    """Scores in random folds, and in folds by a column, of the same rows."""
    assert context.y is not None
    rows = _sample(context, name)
    units = group_units(context.frame[name][rows])
    if int(units.max()) + 1 < 2 * _FOLDS:
        return None
    frame, y = context.read_rows(rows), context.y[rows]
    n_classes = int(context.y.max()) + 1 if context.task != "regression" else 0
    rng = np.random.default_rng(0)
    at_random = rng.permutation(len(rows)) % _FOLDS
    # Largest first, each to the fold with the fewest rows, so that few large entities still fill three folds.
    sizes = np.bincount(units)
    fold, load = np.zeros(len(sizes), dtype=np.int64), np.zeros(_FOLDS)
    for unit in np.lexsort((rng.random(len(sizes)), -sizes)):
        fold[unit] = int(np.argmin(load))
        load[fold[unit]] += sizes[unit]
    without = [column for column in context.present if column.name != name]
    as_is = cross_fitted(frame, y, context.present, parts_of(at_random), context.task, n_classes)
    mended = cross_fitted(frame, y, without, parts_of(fold[units]), context.task, n_classes)
    return drop_between(y, as_is, mended, context.task, groups=units)


def _sample(context: Context, name: str) -> np.ndarray:
    """Rows for the refit, by whole entities; of copies one, lest they decide the score."""
    rows = context.row_copies.distinct
    most = min(_MOST_ROWS, max(_FEWEST_ROWS, _CELLS // max(1, len(context.present))))
    if len(rows) <= most:
        return rows
    units = group_units(context.frame[name][rows])
    sizes = np.bincount(units)
    if most * sizes.max() > len(rows) * 40:  # few large entities: some rows of all say more than all rows of some
        return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    rank = np.random.default_rng(0).permutation(len(sizes))[units]
    return np.sort(rows[np.argsort(rank, kind="stable")[:most]])


def _cost(drop: Drop, name: str) -> Cost:
    sentence = (
        f"{drop.title} {drop.as_is:.4g} in random folds, {drop.mended:.4g} in folds that keep each {name!r} whole: "
        f"{drop.lost:.3g} too good ({drop.low:.3g} to {drop.high:.3g})."
    )
    return Cost(metric=drop.metric, as_is=drop.as_is, mended=drop.mended, sentence=sentence)


def _is_code(context: Context, entity: Entity) -> bool:
    cells = context.frame[entity.name]
    if cells.dtype != pl.String or entity.levels < max(100, _KEY * entity.rows) or entity.size < 1.1:
        return False
    shown = cells.drop_nulls().head(500).to_list()
    return bool(shown) and sum(bool(_CODE.match(str(cell))) for cell in shown) >= 0.95 * len(shown)


def _repeated_code(entity: Entity) -> Finding:
    return Finding(
        check="undeclared_group",
        severity="info",
        message=f"{entity.name!r} holds codes that repeat: {entity.levels:,} in {entity.rows:,} rows looked at.",
        columns=(entity.name,),
        evidence={"levels": entity.levels, "rows_by_level": round(entity.size, 2), "likeness": round(entity.memory, 3)},
        mend=f"If rows of one code belong together, set group = {entity.name!r}.",
        fix=Fix(group=entity.name),
    )
