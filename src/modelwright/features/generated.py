"""Columns made from the columns of a `Matrix`: arithmetic of pairs, and statistics of the cells that rows fall into.

Notation: n rows, p numeric columns (those from text not counted), L statistics, g generated columns.

A recipe names the columns; a `Generator` is a recipe with the numbers learned from training rows. It works in three
steps, each over all columns at once so that one row costs microseconds:

1. Keys put a row into a cell: the level of a coded column, or the bin of a numeric one.
2. Statistics are read from one flat table at the cell of one key or of two crossed: the smoothed mean of the target,
   the smoothed mean of another column, or the share of rows.
3. Pairs of numeric columns and statistics are added, subtracted, multiplied and divided.

Statistics of the target are out of fold for the rows they were learned from (`features.target_encoding`). Which
columns are worth generating is decided in `features.generated_screen`.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from modelwright.errors import BundleError
from modelwright.features.columns import LARGEST
from modelwright.features.matrix import OTHER, Layout, Matrix
from modelwright.features.target_encoding import SMOOTHING, TargetEncoder
from modelwright.tables.schema import Task

_RECIPE_FILE = "generated.json"
_TABLE_FILE = "generated.npz"
#: Rows generated at a time, which bounds the memory for cell numbers.
_BLOCK_ROWS = 100_000

Operation = Literal["+", "-", "*", "/"]
_UFUNCS: dict[Operation, np.ufunc] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """What puts rows into cells: coded column ``column``, or numeric column ``column`` cut at ``edges``.

    Cell 0 is for missing cells. ``size`` counts the cells.
    """

    name: str
    column: int
    size: int
    edges: tuple[float, ...] | None = None


class Statistic(msgspec.Struct, frozen=True):
    """One number for each cell of the crossed ``keys`` (one or two).

    ``of`` is the number of the target column for "target" (see `TargetEncoder`) and of the numeric column for "mean";
    "share" does not look at it.
    """

    name: str
    kind: Literal["target", "mean", "share"]
    keys: tuple[int, ...]
    of: int = 0


class Pair(msgspec.Struct, frozen=True):
    """``left operation right``; 0..p-1 are numeric columns and from p on statistics."""

    name: str
    operation: Operation
    left: int
    right: int


class Recipe(msgspec.Struct, frozen=True):
    """Columns to generate: the statistics listed in ``shown``, then the pairs.

    ``n_numeric`` is p.
    """

    n_numeric: int
    keys: tuple[Key, ...] = ()
    statistics: tuple[Statistic, ...] = ()
    shown: tuple[int, ...] = ()
    pairs: tuple[Pair, ...] = ()

    def only(self, names: set[str]) -> Recipe:
        """The recipe of some of its columns, without what they do not need."""
        pairs = [pair for pair in self.pairs if pair.name in names]
        shown = [number for number in self.shown if self.statistics[number].name in names]
        p = self.n_numeric
        needed = {operand - p for pair in pairs for operand in (pair.left, pair.right) if operand >= p} | set(shown)
        statistics = {number: place for place, number in enumerate(sorted(needed))}
        keys = sorted({key for number in statistics for key in self.statistics[number].keys})
        place = {key: at for at, key in enumerate(keys)}

        def moved(operand: int) -> int:
            return operand if operand < p else p + statistics[operand - p]

        return Recipe(
            n_numeric=p,
            keys=tuple(self.keys[key] for key in keys),
            statistics=tuple(
                msgspec.structs.replace(self.statistics[number], keys=tuple(place[key] for key in self.statistics[number].keys))
                for number in statistics
            ),
            shown=tuple(statistics[number] for number in shown),
            pairs=tuple(msgspec.structs.replace(pair, left=moved(pair.left), right=moved(pair.right)) for pair in pairs),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the generated columns, g of them."""
        return (*(self.statistics[number].name for number in self.shown), *(pair.name for pair in self.pairs))

    def cells_of(self, statistic: Statistic) -> int:
        """How many cells a statistic has."""
        return int(np.prod([self.keys[key].size for key in statistic.keys]))


@dataclass
class _Operands:
    """The recipe as index arrays, so that no step loops over generated columns."""

    coded: np.ndarray
    coded_columns: np.ndarray
    coded_sizes: np.ndarray
    binned: list[tuple[int, int, np.ndarray]]
    first: np.ndarray
    second: np.ndarray
    stride: np.ndarray
    offset: np.ndarray
    groups: list[tuple[np.ufunc, np.ndarray, np.ndarray, np.ndarray]]


class Generator:
    """Adds generated columns to matrices; every row by itself, bit for bit the same in any batch.

    Made by `Generator.learn` or `Generator.load`.

    Parameters
    ----------
    recipe : Recipe
    table : ndarray of shape (cells of all statistics,), float32
        The statistics one after another.
    """

    def __init__(self, recipe: Recipe, table: np.ndarray) -> None:
        self.recipe = recipe
        self._table = np.ascontiguousarray(table, dtype=np.float32)
        self._operands = _operands(recipe)

    @classmethod
    def learn(
        cls, recipe: Recipe, X: Matrix, y: np.ndarray, weight: np.ndarray | None, *, task: Task, n_classes: int, seed: int
    ) -> tuple[Generator, np.ndarray]:
        """Learn the statistics of a recipe, and generate its columns for the same rows, target means out of fold.

        Parameters
        ----------
        recipe : Recipe
        X : Matrix of n rows
            Training rows.
        y : ndarray of shape (n,)
            Numbers in regression, class numbers otherwise.
        weight : ndarray of shape (n,), or None
        task, n_classes
            See `TargetEncoder.fit_transform`.
        seed : int
            Draws the folds of the target means.

        Returns
        -------
        Generator
        ndarray of shape (n, g), float32
        """
        positions = _positions(recipe, _operands(recipe), X.numeric, X.codes)
        tables: list[np.ndarray] = []
        values = np.empty((X.n_rows, len(recipe.statistics)), dtype=np.float32)
        encoded: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}
        for number, statistic in enumerate(recipe.statistics):
            size = recipe.cells_of(statistic)
            cell = positions[:, statistic.keys[0]]
            for key in statistic.keys[1:]:
                cell = cell * recipe.keys[key].size + positions[:, key]
            if statistic.kind == "target":
                if statistic.keys not in encoded:
                    encoder, codes = TargetEncoder(), (cell - 1)[:, None]
                    own = encoder.fit_transform(codes, [size - 1], y, task=task, n_classes=n_classes, seed=seed, weight=weight)
                    encoded[statistic.keys] = encoder.to_arrays()["statistics"], own
                everywhere, own = encoded[statistic.keys]
                tables.append(everywhere[:, statistic.of])
                values[:, number] = own[:, statistic.of]
            else:
                source = X.numeric[:, statistic.of] if statistic.kind == "mean" else None
                tables.append(_means(cell, size, source, weight))
                values[:, number] = tables[-1][cell]
        generator = cls(recipe, np.concatenate(tables) if tables else np.empty(0, dtype=np.float32))
        return generator, generator._combine(X.numeric, values)

    def generate(self, numeric: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The generated columns alone.

        Parameters
        ----------
        numeric : ndarray of shape (n, p or more), float32
        codes : ndarray of shape (n, q), int32

        Returns
        -------
        ndarray of shape (n, g), float32
            NaN where a cell is missing, or where something is divided by 0; infinities do not occur.
        """
        if len(numeric) > _BLOCK_ROWS:
            starts = range(0, len(numeric), _BLOCK_ROWS)
            return np.concatenate([self.generate(numeric[i : i + _BLOCK_ROWS], codes[i : i + _BLOCK_ROWS]) for i in starts])
        operands = self._operands
        if not len(operands.first):
            return self._combine(numeric, np.empty((len(numeric), 0), dtype=np.float32))
        positions = _positions(self.recipe, operands, numeric, codes)
        cells = positions[:, operands.first] * operands.stride + positions[:, operands.second] + operands.offset
        return self._combine(numeric, self._table[cells])

    def transform(self, X: Matrix) -> Matrix:
        """The matrix with the generated columns behind its numeric ones (before those that came from text)."""
        return self.extend(X, self.generate(X.numeric, X.codes))

    def extend(self, X: Matrix, generated: np.ndarray) -> Matrix:
        """The matrix with columns that `learn` or `generate` gave."""
        p = self.recipe.n_numeric
        numeric = np.concatenate([X.numeric[:, :p], generated, X.numeric[:, p:]], axis=1)
        return Matrix(numeric, X.codes, X.text, self.layout(X.layout))

    def layout(self, base: Layout) -> Layout:
        """Layout of the extended matrix."""
        p = self.recipe.n_numeric
        return msgspec.structs.replace(base, numeric=(*base.numeric[:p], *self.recipe.names, *base.numeric[p:]))

    def parents(self, base: Layout) -> dict[str, tuple[str, ...]]:
        """For every generated column the columns of the matrix that it is made from, each once."""
        recipe = self.recipe

        def of(operand: int) -> list[str]:
            if operand < recipe.n_numeric:
                return [base.numeric[operand]]
            statistic = recipe.statistics[operand - recipe.n_numeric]
            keys = [recipe.keys[key] for key in statistic.keys]
            named = [base.codes[key.column] if key.edges is None else base.numeric[key.column] for key in keys]
            return [base.numeric[statistic.of], *named] if statistic.kind == "mean" else named

        found = {recipe.statistics[number].name: of(recipe.n_numeric + number) for number in recipe.shown}
        found |= {pair.name: of(pair.left) + of(pair.right) for pair in recipe.pairs}
        return {name: tuple(dict.fromkeys(columns)) for name, columns in found.items()}

    def save(self, folder: Path) -> None:
        """Write ``generated.json`` and ``generated.npz`` into an existing folder."""
        (folder / _RECIPE_FILE).write_bytes(msgspec.json.encode(self.recipe))
        with (folder / _TABLE_FILE).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, table=self._table)

    @staticmethod
    def remove(folder: Path) -> None:
        """Undo an earlier `save` there."""
        for name in (_RECIPE_FILE, _TABLE_FILE):
            (folder / name).unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path) -> Generator | None:
        """Read back what `save` wrote; None if nothing was saved there.

        Raises
        ------
        BundleError
            If a file is damaged.
        """
        if not (folder / _RECIPE_FILE).exists():
            return None
        try:
            recipe = msgspec.json.decode((folder / _RECIPE_FILE).read_bytes(), type=Recipe)
            with (folder / _TABLE_FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                table = arrays["table"]
            if table.shape != (sum(recipe.cells_of(statistic) for statistic in recipe.statistics),):
                raise ValueError("the table of statistics does not fit the recipe")
            return cls(recipe, table)
        except (OSError, ValueError, KeyError, IndexError, EOFError, msgspec.MsgspecError, zipfile.BadZipFile) as error:
            raise BundleError(
                f"The generated columns cannot be read: {error}.",
                where=folder.name,
                mend="Restore the model folder or train again.",
            ) from error

    def _combine(self, numeric: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Step 3, shape (n, g)."""
        recipe = self.recipe
        out = np.empty((len(numeric), len(recipe.shown) + len(recipe.pairs)), dtype=np.float32)
        out[:, : len(recipe.shown)] = values[:, recipe.shown]
        if recipe.pairs:
            operands = np.concatenate([numeric[:, : recipe.n_numeric], values], axis=1)
            with np.errstate(all="ignore"):
                for ufunc, left, right, columns in self._operands.groups:
                    found = ufunc(operands[:, left], operands[:, right])
                    if ufunc is np.divide:
                        found[np.isinf(found)] = np.nan
                    out[:, columns] = found
            np.minimum(np.maximum(out, -LARGEST, out=out), LARGEST, out=out)
        return out


def _operands(recipe: Recipe) -> _Operands:
    coded = [number for number, key in enumerate(recipe.keys) if key.edges is None]
    sizes = [key.size for key in recipe.keys]
    # A statistic of one key is crossed with a column of zeros behind the keys.
    second = [statistic.keys[1] if len(statistic.keys) > 1 else len(sizes) for statistic in recipe.statistics]
    lengths = [recipe.cells_of(statistic) for statistic in recipe.statistics]
    groups = []
    for operation, ufunc in _UFUNCS.items():
        chosen = [(number, pair) for number, pair in enumerate(recipe.pairs) if pair.operation == operation]
        if chosen:
            columns = np.array([len(recipe.shown) + number for number, _ in chosen])
            groups.append((ufunc, np.array([p.left for _, p in chosen]), np.array([p.right for _, p in chosen]), columns))
    return _Operands(
        coded=np.array(coded, dtype=np.int64),
        coded_columns=np.array([recipe.keys[number].column for number in coded], dtype=np.int64),
        coded_sizes=np.array([sizes[number] for number in coded], dtype=np.int64),
        binned=[
            (number, key.column, np.array(key.edges, dtype=np.float32))
            for number, key in enumerate(recipe.keys)
            if key.edges is not None
        ],
        first=np.array([statistic.keys[0] for statistic in recipe.statistics], dtype=np.int64),
        second=np.array(second, dtype=np.int64),
        stride=np.array([1 if key == len(sizes) else sizes[key] for key in second], dtype=np.int64),
        offset=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64) if lengths else np.zeros(0, dtype=np.int64),
        groups=groups,
    )


def _positions(recipe: Recipe, operands: _Operands, numeric: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Cell of every row for every key, and a column of zeros; shape (n, keys + 1), int64."""
    found = np.zeros((len(numeric), len(recipe.keys) + 1), dtype=np.int64)
    if len(operands.coded):
        read = codes[:, operands.coded_columns]
        # Missing is -1; codes beyond the table cannot come from the same encoder, and count as "other".
        found[:, operands.coded] = np.where(read < operands.coded_sizes - 1, read, OTHER) + 1
    for number, column, edges in operands.binned:
        cells = numeric[:, column]
        found[:, number] = np.where(np.isnan(cells), 0, edges.searchsorted(cells, side="right") + 1)
    return found


def _means(cell: np.ndarray, size: int, values: np.ndarray | None, weight: np.ndarray | None) -> np.ndarray:
    """Smoothed mean of the present values in each cell, or without values the share of rows; shape (size,), float32."""
    weight = np.ones(len(cell)) if weight is None or not weight.mean() > 0 else weight / weight.mean()
    if values is None:
        return np.asarray(np.bincount(cell, weights=weight, minlength=size) / len(cell), dtype=np.float32)
    present = ~np.isnan(values)
    cell, weight, values = cell[present], weight[present], values[present].astype(np.float64)
    total = weight.sum()
    prior = float((weight * values).sum() / total) if total > 0 else np.nan
    sums, counts = (np.bincount(cell, weights=w, minlength=size) for w in (weight * values, weight))
    return np.asarray((sums + SMOOTHING * prior) / (counts + SMOOTHING), dtype=np.float32)
