"""The place of a row in the file, and what it tells about the target.

Sorted exports are common, and a split drawn at random is safe from them; a positional split, or a row number that
becomes a feature, is not. What time and the other columns explain is no secret of the order.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.audit.association import draw_folds, indicators, order_effect, quantile_codes, value_effect
from modelwright.audit.context import Context
from modelwright.audit.finding import Finding, Severity
from modelwright.audit.refit import Drop, cross_fitted, drop_between, parts_of
from modelwright.audit.sequence import ranks, sample_rows
from modelwright.tables.schema import Column

#: Effect of the position from which the order carries the target: this, and six standard deviations of chance, by
#: so many shuffled targets.
_EFFECT, _MIN_Z, _SHUFFLES = 0.12, 6.0, 15
#: A file is sorted by the target where the position tells this much; easy tables know as much, and it is told all the same.
_SORTED = 0.6
_MIN_ROWS = 50
_FOLDS = 3
_MOST_ROWS = 6_000


def check(context: Context) -> list[Finding]:
    """File order that goes with the target."""
    if context.y is None or context.n_rows < _MIN_ROWS or not context.present:
        return []
    rows = sample_rows(context, _MOST_ROWS)
    effect, chance = position_effect(context, rows)
    if effect <= max(_EFFECT, chance):
        return []
    placed = context.time is not None or context.group is not None
    drop = _added(context, beyond_roles=placed)
    adds = drop is not None and drop.shown
    severity: Severity = "warning" if adds or (effect >= _SORTED and not placed) else "info"
    known = "time and entity explain" if placed else "the other columns know"
    words = f"beyond what {known}" if adds else "no more than " + known
    evidence: dict[str, float] = {"effect": round(effect, 4), "chance": round(chance, 4)}
    if drop is not None:
        evidence |= {"score_with": round(drop.as_is, 5), "score_without": round(drop.mended, 5)}
        evidence |= {"gain_low": round(drop.low, 5), "gain_high": round(drop.high, 5)}
    return [
        Finding(
            check="row_order",
            severity=severity,
            message=f"The place of a row in the file tells the target, {words} (effect {effect:.2f} of at most 1).",
            evidence=evidence,
            mend="The rows are divided at random here, so the order gives nothing away; a split by position would mislead. "
            "Exclude any row number, and if the order is that of time, name a time column.",
        )
    ]


def position_effect(context: Context, rows: np.ndarray) -> tuple[float, float]:
    """Effect of the position, as a sequence or in stretches, and the effect that chance does not reach."""
    assert context.y is not None
    classification = context.task != "regression"
    targets = indicators(context.y[rows], classification=classification)
    place = ranks(context.rows[rows])
    codes, folds = quantile_codes(place), draw_folds(len(rows), None)

    def effect(order: np.ndarray) -> float:
        """Effect of the places taken in an order."""
        ordered = order_effect(place[order], targets, classification=classification)
        return max(ordered, value_effect(codes[order], targets, folds, classification=classification))

    found = effect(np.arange(len(rows)))
    if found <= _EFFECT:
        return found, _EFFECT
    rng = np.random.default_rng(2)
    by_chance = [effect(rng.permutation(len(rows))) for _ in range(_SHUFFLES)]
    return found, float(np.mean(by_chance) + _MIN_Z * np.std(by_chance))


def _added(context: Context, *, beyond_roles: bool) -> Drop | None:
    """What the position adds to a model of time and entity, or of all other columns where there are no such roles."""
    assert context.y is not None
    rows = sample_rows(context)
    frame, y = context.read_rows(rows), context.y[rows]
    if context.task == "regression":
        y = ranks(y)  # else a few large amounts would hide what the position adds elsewhere
    place = Column("\0place", "number", "feature")
    frame = frame.with_columns(pl.Series(place.name, ranks(context.rows[rows])))
    columns = [] if beyond_roles else list(context.present)
    for values, name in ((context.time, "\0time"), (context.group, "\0group")):
        if values is not None:
            known = values[rows].astype(np.float64)
            if name == "\0group":
                # Entities are numbered by first appearance, which is the order of the file itself.
                known = np.random.default_rng(1).permutation(int(values.max()) + 1)[values[rows]].astype(np.float64)
            frame = frame.with_columns(pl.Series(name, known).fill_nan(None))
            columns.append(Column(name, "number", "feature"))
    n_classes = int(context.y.max()) + 1 if context.task != "regression" else 0
    parts = parts_of(np.random.default_rng(0).permutation(len(rows)) % _FOLDS)
    with_place = cross_fitted(frame, y, [*columns, place], parts, context.task, n_classes)
    without = cross_fitted(frame, y, columns, parts, context.task, n_classes)
    return drop_between(y, with_place, without, context.task)
