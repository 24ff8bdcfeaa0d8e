"""Planted leaks: tables in which one leak of known kind and strength sits, and controls in which none does.

Usage::

    from leaks.generate import KINDS, NotApplicable, make_case
    case = make_case(frame, "price", "regression", "pair", 0.7, seed=0, roles={"time": "date", "group": None})
    case.frame, case.split, case.truth.columns, case.truth.rows

Only numpy and polars are used, and only streams of seeded generators, so that a case has the same bytes under every
version of both. Cases are nested: the same seed at 0.2 carries a subset of the rows it carries at 0.4. The names of
planted columns mean nothing and their places are random, so that rules about names cannot help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from leaks import kinds_columns, kinds_relations, kinds_rows
from leaks.case import Case, NotApplicable, Truth, assign_split
from leaks.effect import effect
from leaks.ground import Ground, Planted, encode

#: Kind -> what plants it, in the order of the report.
KINDS: dict[str, Callable[[Ground], Planted]] = {
    "exact_copy": kinds_columns.exact_copy,
    "coded_copy": kinds_columns.coded_copy,
    "noisy_copy": kinds_columns.noisy_copy,
    "post_outcome_code": kinds_columns.post_outcome_code,
    "missingness": kinds_columns.missingness,
    "pair": kinds_relations.pair,
    "group_target_aggregate": kinds_relations.group_target_aggregate,
    "future_aggregate": kinds_relations.future_aggregate,
    "future_timestamp": kinds_relations.future_timestamp,
    "id_ordering": kinds_columns.id_ordering,
    "row_order": kinds_rows.row_order,
    "duplicate_rows": kinds_rows.duplicate_rows,
    "near_duplicate_rows": kinds_rows.near_duplicate_rows,
    "group_overlap": kinds_rows.group_overlap,
    "time_overlap": kinds_rows.time_overlap,
}
#: Rows on which effects are measured.
_EFFECT_ROWS = 4_000
_natural: dict[tuple[int, int, str, int], float] = {}


def make_case(
    frame: pl.DataFrame,
    target: str,
    task: str,
    kind: str,
    strength: float,
    seed: int,
    *,
    control: bool = False,
    roles: Mapping[str, str | None] | None = None,
) -> Case:
    """Plant one leak.

    Parameters
    ----------
    frame : DataFrame of n rows
        A clean table; every row has a target, and a time column holds dates or numbers.
    target : str
    task : {"binary", "multiclass", "regression"}
    kind : str
        One of `KINDS`.
    strength : float
        In (0, 1]; what it means depends on the kind.
    seed : int
    control : bool
        Plant the honest counterpart.
    roles : dict
        ``time`` and ``group``, each a column or None.

    Returns
    -------
    Case

    Raises
    ------
    NotApplicable
        If the table cannot host the kind.
    """
    given = {"time": None, "group": None, **(roles or {})}
    ground = Ground(frame, target, task, kind, strength, seed, control, given)
    planted = KINDS[kind](ground)
    out = frame if planted.frame is None else planted.frame
    places = ground.draw("places")
    out = out.clone()
    for name, values in {**planted.helpers, **planted.columns}.items():
        out.insert_column(int(places.integers(0, out.width + 1)), values.alias(name))
    if not control and len(planted.rows) == 0:
        raise NotApplicable("no row carries the leak")
    split_column = None
    if planted.split is not None:
        if not 0 < planted.split.sum() < ground.n:
            raise NotApplicable("one side of the split is empty")
        split_column = ground.names[7]
        out = out.with_columns(pl.Series(split_column, planted.split))
    y = encode(frame[target], task)
    sample = np.sort(np.random.default_rng(0).permutation(ground.n)[:_EFFECT_ROWS])
    effects = [effect(values[sample.tolist()], y[sample], task) for values in planted.columns.values()]
    truth = Truth(
        kind=kind,
        form=planted.form,
        strength=strength,
        control=control,
        seed=seed,
        columns=tuple(planted.columns),
        helpers=tuple(planted.helpers),
        rows=planted.rows,
        roles=planted.roles or given,
        split_column=split_column,
        effect=max(effects) if effects else None,
        natural_effect=natural_effect(frame, target, task, sample, given),
    )
    return Case(out, target, task, truth.roles, truth)


def natural_effect(frame: pl.DataFrame, target: str, task: str, sample: np.ndarray, roles: Mapping[str, str | None]) -> float:
    """Largest effect of a feature of the table as it is; remembered, as every case of a table asks for it."""
    key = (id(frame), frame.height, target, len(sample))
    if key not in _natural:
        y = encode(frame[target], task)[sample]
        left = {target, *(name for name in roles.values() if name)}
        part = frame[sample.tolist()]
        _natural[key] = max((effect(part[name], y, task) for name in frame.columns if name not in left), default=0.0)
    return _natural[key]


__all__ = ["KINDS", "Case", "NotApplicable", "Truth", "assign_split", "make_case"]
