"""Statistics of the target by group, computed with the outcomes of the rows themselves.

A mean over all rows of a group is constant inside the groups and knows the noise of the group means (`group_noise`). A
mean over the *other* rows of the group falls inside the group exactly as the row's own outcome rises. Whatever is computed
out of fold, or from earlier rows, does neither and is no suspect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from modelwright.audit.context import Context
from modelwright.audit.exact_lines import line_share
from modelwright.audit.finding import Finding, Fix
from modelwright.audit.group_noise import by_group, explained, knows_noise, mostly_knows_noise
from modelwright.audit.outcomes import outcomes
from modelwright.splits.units import group_units
from modelwright.tables.conform import conform
from modelwright.tables.schema import Task

#: Groups that a column must have, and rows each on average.
_MIN_GROUPS, _MIN_ROWS_PER_GROUP = 12, 1.5
#: Group columns that are tried; those with the most groups first.
_MOST_GROUPINGS = 100
#: Whole groups are drawn until they hold this many rows, but not fewer or more groups than these.
_ENOUGH_ROWS, _FEWEST_GROUPS, _MOST_GROUPS = 50_000, 60, 1_000
#: Share of the rows that must hold the usual value of their group.
_CONSTANT = 0.97
#: The same beyond what two rows of different groups share.
_BEYOND_CHANCE = 0.9
#: Leave-one-out: share of the groups in which x falls exactly as y rises, and how many there must be.
_LOO_SHARE, _LOO_GROUPS = 0.5, 10
#: Share of neighbours of one group and outcome that must hold one value, also beyond those of one group.
_LOO_AGREEMENT, _LOO_BEYOND = 0.5, 0.3
#: How often the same is allowed with the target dealt anew inside each group, as a share of what was found.
_LOO_CHANCE = 0.2


@dataclass(frozen=True)
class _Evidence:
    name: str
    grouping: str
    form: str
    numbers: dict[str, float | int]
    strength: float


@dataclass(frozen=True)
class _Members:
    """Rows of whole groups, the number of the group of each, their target, and all rows of each group."""

    grouping: str
    rows: np.ndarray
    units: np.ndarray
    y: np.ndarray
    everything: np.ndarray


def check(context: Context) -> list[Finding]:
    """Columns that know the sampling noise of the target's group means."""
    if context.y is None or context.n_rows < 2 * _MIN_GROUPS:
        return []
    numbers = {c.name: _values(context.read[0][c.name]) for c in context.present if c.type == "number"}
    if not numbers:
        return []
    classification = context.task != "regression"
    sampled = context.y[context.sample]
    suspects = {
        grouping: [(name, kind) for name, kind in _suspects(units, sampled, numbers, classification) if name != grouping]
        for grouping, units in _groupings(context).items()
    }
    tests = max(1, sum(kind == "constant" for found in suspects.values() for _, kind in found))
    best: dict[str, _Evidence] = {}
    for grouping, listed in suspects.items():
        if not listed:
            continue
        members = _members(context, grouping)
        rows = context.frame[members.rows]
        for name, kind in listed:
            x = _values(conform(rows, context.schema, columns=(context.schema[name],))[0][name])
            if kind == "constant":
                evidence = _constant(x, members, tests, classification)
            else:
                evidence = _left_out(x, members, context.task)
            if evidence is not None and (name not in best or evidence.strength > best[name].strength):
                best[name] = replace(evidence, name=name)
    return [_finding(context, evidence) for evidence in best.values()]


def _members(context: Context, grouping: str) -> _Members:
    """Whole groups, drawn until they hold enough rows."""
    assert context.y is not None
    units = context.group if grouping == context.group_name else None
    units = group_units(context.frame[grouping]) if units is None else units
    counts = np.bincount(units)
    drawn = np.random.default_rng(0).permutation(np.flatnonzero(counts >= 2))
    enough = int(np.searchsorted(np.cumsum(counts[drawn]), _ENOUGH_ROWS)) + 1
    drawn = drawn[: min(_MOST_GROUPS, max(_FEWEST_GROUPS, enough))]
    number = np.full(len(counts), -1)
    number[np.sort(drawn)] = np.arange(len(drawn))
    rows = np.flatnonzero(number[units] >= 0)
    everything = counts + _elsewhere(context, grouping, units)
    return _Members(grouping, rows, number[units[rows]], context.y[rows], everything[np.sort(drawn)])


def _groupings(context: Context) -> dict[str, np.ndarray]:
    """Group of each row of the sample: the declared column, and every discrete one that could be an entity."""
    found: dict[str, tuple[int, np.ndarray]] = {}
    n = len(context.sample)
    for column in context.schema.columns:
        declared = column.name == context.group_name
        if column.name not in context.frame.columns or not (declared or column.role in ("feature", "id")):
            continue
        cells = context.sampled[column.name]
        if not declared and (column.type in ("boolean", "text") or cells.dtype.is_temporal()):
            continue
        if cells.dtype.is_float() and not declared and not _whole(cells):
            continue
        units = group_units(cells)
        n_groups = int(units.max()) + 1
        if n_groups - int(cells.null_count()) >= _MIN_GROUPS and n_groups <= n / _MIN_ROWS_PER_GROUP:
            found[column.name] = (n_groups if not declared else n + 1, units)
    ranked = sorted(found.items(), key=lambda item: -item[1][0])[:_MOST_GROUPINGS]
    return {name: units for name, (_, units) in ranked}


def _whole(cells: pl.Series) -> bool:
    return bool((cells.drop_nulls().round(0) == cells.drop_nulls()).all())


def _values(cells: pl.Series) -> np.ndarray:
    return cells.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _suspects(units: np.ndarray, y: np.ndarray, numbers: dict[str, np.ndarray], classification: bool) -> list[tuple[str, str]]:
    """Columns that are constant inside the groups, and columns that mostly are given group and target."""
    order = np.argsort(units, kind="stable")
    by_both = np.lexsort((y, units))
    suspects = []
    for name, x in numbers.items():
        alone = _agreement(x[order], units[order])
        if classification:
            # Inside a group, equal outcomes leave equal outcomes out.
            given = _agreement(x[by_both], units[by_both], y[by_both])
            left_out = given >= _LOO_AGREEMENT and given > alone and given >= alone + _LOO_BEYOND * (1 - alone)
        else:
            left_out = alone < _CONSTANT and _falls(x, y, units)[0] >= _LOO_SHARE
        if left_out:
            suspects.append((name, "left out"))
        _, counts = np.unique(x, return_counts=True)
        anywhere = float(np.sum((counts / len(x)) ** 2))
        # A column that is nearly constant is so inside every group too.
        if alone >= _CONSTANT and alone - anywhere >= _BEYOND_CHANCE * (1 - anywhere):
            suspects.append((name, "constant"))
    return suspects


def _agreement(x: np.ndarray, *keys: np.ndarray) -> float:
    """Share of neighbouring rows of equal keys with equal x; 0 where hardly any rows have equal keys."""
    same = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
    if same.sum() < _MIN_GROUPS:
        return 0.0
    scale = 1e-9 * max(float(np.nanmax(np.abs(x), initial=0.0)), 1e-300)
    with np.errstate(invalid="ignore"):
        equal = (np.abs(x[1:] - x[:-1]) <= scale) | (np.isnan(x[1:]) & np.isnan(x[:-1]))
    return float(equal[same].mean())


def _constant(x: np.ndarray, members: _Members, tests: int, classification: bool) -> _Evidence | None:
    """A statistic of all rows of each group."""
    # Rows that do not hold the value of their group may differ in the target for the same reason.
    kept = _usual(x, members.units)
    values = outcomes(members.y[kept], classification=classification)
    seen = [by_group(x[kept], members.units[kept], row, members.everything) for row in values]
    groups = [group for group in seen if group is not None]
    if not groups:
        return None
    found = [knows_noise(group, tests * len(groups), len(groups)) for group in groups]
    if not any(evidence is not None and evidence[2] >= 0 for evidence in found):
        # The tolerant test is dear: it is asked about the outcome that goes with the column best.
        found.append(mostly_knows_noise(max(groups, key=explained), tests * len(groups)))
    best = max((evidence for evidence in found if evidence is not None), key=lambda evidence: evidence[2], default=None)
    return None if best is None else _Evidence("", members.grouping, *best)


def _usual(x: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Rows that hold the middle value of their group."""
    order = np.lexsort((x, units))
    counts = np.bincount(units)
    middle = order[np.cumsum(counts) - counts + (counts - 1) // 2]
    value = x[middle][units]
    return np.asarray((x == value) | (np.isnan(x) & np.isnan(value)))


def _left_out(x: np.ndarray, members: _Members, task: Task) -> _Evidence | None:
    """A mean of the other rows of the group: inside a group it falls exactly as the row's own outcome rises."""
    units = members.units
    best: _Evidence | None = None
    rows = outcomes(members.y, classification=task != "regression")
    if task == "binary":
        rows = np.concatenate([rows, 1 - rows])
    for row in rows:
        share, n_groups = _falls(x, row, units)
        if n_groups < _LOO_GROUPS or share < _LOO_SHARE or line_share(x[~np.isnan(x)], row[~np.isnan(x)])[0] > 0.9:
            continue
        order = np.lexsort((np.random.default_rng(0).random(len(row)), units))
        dealt = np.empty_like(row)
        dealt[np.argsort(units, kind="stable")] = row[order]
        chance = _falls(x, dealt, units)[0]
        if chance <= _LOO_CHANCE * share and (best is None or share > best.strength):
            numbers = {"exact_share": round(share, 4), "chance_share": round(chance, 4), "groups": n_groups}
            best = _Evidence("", members.grouping, "leave-one-out mean", numbers, share)
    return best


def _falls(x: np.ndarray, row: np.ndarray, units: np.ndarray) -> tuple[float, int]:
    """Share of the groups with several outcomes, two of them equal or three different, in which x = a - b row, b > 0."""
    filled = ~np.isnan(x)
    x, row, units = x[filled], row[filled], units[filled]
    counts = np.maximum(np.bincount(units), 1)
    dx = x - (np.bincount(units, weights=x) / counts)[units]
    dy = row - (np.bincount(units, weights=row) / counts)[units]
    xx, yy = np.bincount(units, weights=dx**2), np.bincount(units, weights=dy**2)
    xy = np.bincount(units, weights=dx * dy)
    spread = 1e-9 * max(float(row.var()), 1e-300)
    usable = (counts >= 3) & (yy > spread * counts)
    if not usable.any():
        return 0.0, 0
    reach = 1e-6
    exact = (xy < 0) & (xx > 0) & (xy**2 >= (1 - reach) * xx * yy)
    return float(exact[usable].mean()), int(usable.sum())


def _elsewhere(context: Context, grouping: str, units: np.ndarray) -> np.ndarray:
    """Evaluation rows of each group: a leak often counted them too."""
    n_groups = int(units.max()) + 1
    if context.evaluation is None or grouping not in context.evaluation.columns:
        return np.zeros(n_groups)
    labels = context.frame[grouping]
    sizes = context.evaluation[grouping].drop_nulls().cast(labels.dtype, strict=False).value_counts(name="rows")
    numbered = pl.DataFrame({grouping: labels, "unit": units}).unique(subset=[grouping]).drop_nulls()
    joined = numbered.join(sizes, on=grouping, how="inner")
    rows = np.zeros(n_groups)
    rows[joined["unit"].to_numpy()] = joined["rows"].to_numpy()
    return rows


def _finding(context: Context, evidence: _Evidence) -> Finding:
    if evidence.form == "statistic":
        words = (
            f"{evidence.name!r} follows the target's means by {evidence.grouping!r} more closely than a column can that does "
            f"not know these outcomes: what it leaves unexplained is {evidence.numbers['noise_ratio']:.2g} of what the noise "
            f"of those means alone would leave, in {evidence.numbers['groups']} groups."
        )
    else:
        words = (
            f"{evidence.name!r} is exactly a {evidence.form} of the target by {evidence.grouping!r}, "
            f"outcome of the rows themselves included, in {100 * evidence.numbers['exact_share']:.3g} % "
            f"of {evidence.numbers['groups']} groups."
        )
    return Finding(
        check="group_statistic",
        severity="critical" if evidence.strength >= 0 else "warning",
        message=words,
        columns=(evidence.name,),
        evidence={"group": evidence.grouping, "form": evidence.form, **evidence.numbers},
        mend="It was computed from outcomes that it is to predict: list it under exclude, or compute it from earlier rows "
        "or out of fold.",
        fix=Fix(exclude=(evidence.name,)),
    )
