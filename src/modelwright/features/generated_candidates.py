"""Which columns could be generated from a matrix, before anybody asks whether they help.

Candidates are built from the columns that a quick boosted model leans on most, so their number does not grow with
the width of the table.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations
from typing import Literal

import numpy as np

from modelwright.features.generated import Key, Operation, Pair, Recipe, Statistic
from modelwright.features.matrix import Matrix
from modelwright.features.target_encoding import MAX_CLASSES
from modelwright.tables.schema import Task

Kind = Literal["arithmetic", "target", "cross", "grid", "group", "share"]
#: All kinds of generated columns.
KINDS: tuple[Kind, ...] = ("arithmetic", "target", "cross", "grid", "group", "share")

#: Numeric columns that are paired with one another.
_PAIRED = 10
#: Keys that are crossed with one another, of either sort.
_CROSSED = 7
#: Columns and keys that means within groups are made of.
_GROUPED = 5
#: Target means in all at most; several classes need several of each cell.
_MOST_TARGET_MEANS = 60
#: A numeric column of at most this many values is a key as it stands; others are cut into `_BINS`.
_FEW_VALUES = 48
_BINS = 16
#: Levels from which on the target means, and the shares, of a single coded column say more than a split on it.
_MANY_LEVELS = 8
#: Cells of one statistic at most, and at most this many times the rows: emptier tables hold only their prior.
_MOST_CELLS = 100_000
_CELLS_PER_ROW = 2
#: Rows that values are counted and bins are cut from.
_SAMPLE_ROWS = 20_000


def candidates(X: Matrix, gain: np.ndarray, *, task: Task, n_classes: int, kinds: Collection[Kind] = KINDS) -> Recipe:
    """Everything worth a try.

    Parameters
    ----------
    X : Matrix of n rows
        Training rows, at least one.
    gain : ndarray of shape (p + q,)
        What each numeric column, then each coded one, is worth to a model; columns of no worth are not used.
    task : {"binary", "multiclass", "regression"}
    n_classes : int
    kinds : collection of str
        What may be generated: "arithmetic" (sums, differences, products, ratios of two numbers), "target" (mean target
        by a category), "cross" (by two categories), "grid" (by bins of numbers, and by those crossed with categories),
        "group" (a number against its mean by a category), "share" (of rows, by a category).

    Returns
    -------
    Recipe
        Without text components; empty if nothing can be built.
    """
    p = X.numeric.shape[1] - X.layout.text_components
    sample = X.numeric[:: max(1, X.n_rows // _SAMPLE_ROWS), :p]
    best = [int(j) for j in np.argsort(-gain, kind="stable") if gain[j] > 0 and (j < p or j >= X.numeric.shape[1])]
    values = {j: np.unique(sample[:, j][~np.isnan(sample[:, j])]) for j in best if j < p}
    numbers = [j for j in best if j < p and len(values[j]) > 2]
    keys: list[Key] = []
    worth: list[float] = []
    for j in best:
        if j >= p:
            code = j - X.numeric.shape[1]
            keys.append(Key(X.layout.codes[code], code, X.layout.cardinalities[code] + 1))
        elif len(values[j]) > 1:
            edges = _edges(values[j], sample[:, j])
            keys.append(Key(X.layout.numeric[j], j, len(edges) + 2, edges))
        else:
            continue
        worth.append(float(gain[j]))
    builder = _Builder(X, p, keys, task, n_classes)
    binned = {k for k, key in enumerate(keys) if key.edges is not None and len(values[key.column]) > _FEW_VALUES}
    whole = [k for k in range(len(keys)) if k not in binned]
    if "target" in kinds:
        for k in whole:
            if keys[k].size > _MANY_LEVELS:
                builder.target((k,))
    crossed = [(k, other) for k, other in combinations(range(len(keys)), 2)]
    if "cross" in kinds:
        for pair in combinations(whole[:_CROSSED], 2):
            builder.target(pair)
    if "grid" in kinds:
        for pair in crossed:
            if max(pair) < _CROSSED and (pair[0] in binned or pair[1] in binned):
                builder.target(pair)
    if "group" in kinds:
        for k in [k for k in whole if keys[k].size > 3][:_GROUPED]:
            for j in numbers[:_GROUPED]:
                builder.against_mean(j, k)
    if "share" in kinds:
        for k in [k for k in whole if keys[k].size > _MANY_LEVELS][:_GROUPED]:
            builder.share(k)
    if "arithmetic" in kinds:
        for left, right in combinations(numbers[:_PAIRED], 2):
            builder.arithmetic(left, right, sample)
    return builder.recipe()


class _Builder:
    """Collects statistics and pairs under names that are not taken."""

    def __init__(self, X: Matrix, p: int, keys: list[Key], task: Task, n_classes: int) -> None:
        self._layout, self._p, self._keys = X.layout, p, keys
        self._names = {*X.layout.numeric, *X.layout.codes}
        self._most_cells = min(_MOST_CELLS, _CELLS_PER_ROW * X.n_rows)
        self._statistics: list[Statistic] = []
        self._shown: list[int] = []
        self._pairs: list[Pair] = []
        self._target_means = 0
        self._targets = ["mean of target"]
        if task == "multiclass":
            # Of many classes `TargetEncoder` tells one from the rest, which helps that one at the cost of the others.
            self._targets = [f"share of class {k}" for k in range(1, n_classes)] if n_classes <= MAX_CLASSES else []

    def target(self, keys: tuple[int, ...]) -> None:
        if not self._targets or self._target_means + len(self._targets) > _MOST_TARGET_MEANS or not self._fits(keys):
            return
        self._target_means += len(self._targets)
        for number, what in enumerate(self._targets):
            self._show(Statistic(self._name(f"{what} by {self._by(keys)}"), "target", keys, number))

    def share(self, key: int) -> None:
        self._show(Statistic(self._name(f"share of rows by {self._by((key,))}"), "share", (key,)))

    def against_mean(self, number: int, key: int) -> None:
        if self._keys[key].edges is not None and self._keys[key].column == number:
            return
        name, mean = self._layout.numeric[number], f"mean of {self._layout.numeric[number]} by {self._by((key,))}"
        self._statistics.append(Statistic(mean, "mean", (key,), number))
        at = self._p + len(self._statistics) - 1
        self._pairs.append(Pair(self._name(f"{name} - {mean}"), "-", number, at))
        self._pairs.append(Pair(self._name(f"{name} / {mean}"), "/", number, at))

    def arithmetic(self, left: int, right: int, sample: np.ndarray) -> None:
        # The column that is 0 more often goes on top.
        zeros = [int((sample[:, j] == 0).sum()) for j in (left, right)]
        over, under = (left, right) if zeros[0] >= zeros[1] else (right, left)
        wanted: tuple[tuple[Operation, int, int], ...] = (
            ("/", over, under), ("-", left, right), ("*", left, right), ("+", left, right),
        )  # fmt: skip
        for operation, one, other in wanted:
            name = f"{self._layout.numeric[one]} {operation} {self._layout.numeric[other]}"
            self._pairs.append(Pair(self._name(name), operation, one, other))

    def recipe(self) -> Recipe:
        return Recipe(self._p, tuple(self._keys), tuple(self._statistics), tuple(self._shown), tuple(self._pairs))

    def _show(self, statistic: Statistic) -> None:
        self._shown.append(len(self._statistics))
        self._statistics.append(statistic)

    def _fits(self, keys: tuple[int, ...]) -> bool:
        return len(keys) == 1 or int(np.prod([self._keys[key].size for key in keys])) <= self._most_cells

    def _by(self, keys: tuple[int, ...]) -> str:
        return " x ".join(self._keys[key].name for key in keys)

    def _name(self, wanted: str) -> str:
        free, number = wanted, 2
        while free in self._names:
            free, number = f"{wanted} ({number})", number + 1
        self._names.add(free)
        return free


def _edges(values: np.ndarray, cells: np.ndarray) -> tuple[float, ...]:
    """Where a numeric column is cut: between any two values if they are few, else at quantiles."""
    if len(values) <= _FEW_VALUES:
        return tuple(((values[1:].astype(np.float64) + values[:-1]) / 2).astype(np.float32).tolist())
    known = cells[~np.isnan(cells)]
    return tuple(np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]).astype(np.float32)).tolist())
