"""Raw scores and leaves of a LightGBM booster: many rows in blocks of trees, one row by the library's fast call.

LightGBM walks all trees for a row before it turns to the next row, and a thousand trees do not fit into the cache: with
1,000 trees of 100 leaves a row takes 46 us, in blocks of 25 trees 15.5 us. Where trees are small a block has more of them:
15,300 trees of some five leaves take a row alone 1.6 ms in blocks of 18, and 0.4 ms in blocks of 200. Blocks are summed in
their order, for one row as for many, so both give the same bits. Rows that are alike in the columns that matter take the
same branches, which processors foresee: put next to each other, they take 12.8 us, of which the ordering is 0.1 us.

A booster keeps the range of its last prediction for itself, so ranges of one booster asked for by two threads, or kept
in configurations of the fast call, would answer for each other. Ranges are therefore asked for under a lock, and blocks
made boosters of their own (0.2 s for a thousand trees) as soon as rows come alone or two threads ask at once.

``LGBM_BoosterPredictForMatSingleRowFast`` is not reachable from the Python package, so it is called through the
package's own handle of the library; so is ``LGBM_BoosterPredictForMat``, which ``Booster.predict`` prepares for 60 us a
block, as much as 100 rows take in it. Where a name is missing, rows go through ``Booster.predict``.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from modelwright.learners.lean_import import library

#: Trees in a block at least, and characters of the written model that a block of more small trees has; a leaf takes 90 to 110.
_BLOCK_TREES, _BLOCK_CHARACTERS = 25, 100_000
#: Up to this many rows the fast call, row by row, beats a batch call per block.
FEW_ROWS = 32
#: Rows from which on alike ones are put together: by this many columns, each cut into this many ranges.
_ORDERED_ROWS = 2_000
_ORDERING_COLUMNS, _RANGES = 4, 16
_FLOAT32 = 0
_KINDS = {"raw": 1, "leaf": 2}

Kind = Literal["raw", "leaf"]


def trees_per_block(text: str) -> int:
    """How many trees of a model a block is to have: more where they are small, since each block costs a call.

    Parameters
    ----------
    text : str
        The model as LightGBM writes it.
    """
    return max(_BLOCK_TREES, _BLOCK_CHARACTERS * text.count("\nTree=") // len(text))


class Scores:
    """Sum of the leaf values of a booster, or the leaves that rows reach; safe to share between threads.

    Parameters
    ----------
    booster : lightgbm.Booster, or list of lightgbm.Booster
        A list gives the blocks: leaves are those of the first, then of the second; raw scores are their sum.
    n_columns : int
        Columns of the tables that it reads.
    kind : {"raw", "leaf"}, default="raw"
    block_trees : int, default=25
        Trees in a block of a single booster.
    """

    def __init__(self, booster: Any, n_columns: int, kind: Kind = "raw", *, block_trees: int = _BLOCK_TREES) -> None:
        self._parts: list[Any] = booster if isinstance(booster, list) else []
        self._booster = booster[0] if self._parts else booster
        self._kind = kind
        self._n_columns = n_columns
        self._per_iteration = int(self._booster.num_model_per_iteration())
        if self._parts:
            self._blocks = [(0, int(part.num_trees()) // self._per_iteration) for part in self._parts]
        else:
            n_iterations = max(1, int(booster.num_trees()) // self._per_iteration)
            step = max(1, block_trees // self._per_iteration)
            self._blocks = [(start, min(step, n_iterations - start)) for start in range(0, n_iterations, step)]
            if len(self._blocks) == 1:
                self._parts = [booster]
        self._threads = threading.local()
        self._fast = _has_fast_call(self._booster)
        self._lock = threading.Lock()
        self._rows_seen = 0
        self._columns: np.ndarray | None = None

    def table(self, table: np.ndarray) -> np.ndarray:
        """Scores of rows.

        Parameters
        ----------
        table : ndarray of shape (n, n_columns), float32

        Returns
        -------
        ndarray
            "raw": shape (n,), or (n, K) where an iteration has K trees. "leaf": shape (n, T), numbers of leaves.
        """
        n = len(table)
        self._rows_seen += n
        if self._fast and n <= FEW_ROWS and (self._parts or self._rows_seen > FEW_ROWS):
            rows = self.row(table[0])[None] if n == 1 else np.array([self.row(row) for row in table]).reshape(n, self._width)
            return rows[:, 0] if self._kind == "raw" and self._per_iteration == 1 else rows
        order = self._order(table) if n >= _ORDERED_ROWS else None
        if order is not None:
            table = table[order]
        total = self._found(table)
        if order is None:
            return total
        in_place = np.empty_like(total)
        in_place[order] = total
        return in_place

    def row(self, row: np.ndarray) -> np.ndarray:
        """Scores of one row of shape (n_columns,), float32; shape (K,) or (T,). The result is the caller's."""
        if not self._fast:
            return np.asarray(self.table(row[None]), dtype=np.float64).reshape(self._width)
        calls: _Calls | None = getattr(self._threads, "calls", None)
        if calls is None:
            calls = self._threads.calls = _Calls(self.prepare(), self._n_columns, self._kind, self._widths())
        return calls.sum(row) if self._kind == "raw" else calls.all(row)

    def _found(self, table: np.ndarray) -> np.ndarray:
        """What the blocks answer, taken together."""
        # One by one: with 20 classes all answers at once would be a gigabyte for 20,000 rows.
        answers = (self._block(number, table) for number in range(len(self._blocks)))
        if not self._parts and self._lock.acquire(blocking=False):
            try:
                return self._together(answers)
            finally:
                self._lock.release()
        self.prepare()
        return self._together(answers)

    def _together(self, answers: Iterator[np.ndarray]) -> np.ndarray:
        if self._kind == "leaf":
            return np.concatenate([answer.reshape(len(answer), -1) for answer in answers], axis=1)
        total = next(answers)
        for answer in answers:
            total += answer
        return total

    def _block(self, number: int, table: np.ndarray) -> np.ndarray:
        booster, (start, count) = (self._parts[number], (0, -1)) if self._parts else (self._booster, self._blocks[number])
        if self._fast:
            return _answered(booster, table, self._kind, start, count, self._widths()[number])
        options: dict[str, Any] = {"raw_score": True} if self._kind == "raw" else {"pred_leaf": True}
        return np.asarray(booster.predict(table, start_iteration=start, num_iteration=count, num_threads=1, **options))

    def _order(self, table: np.ndarray) -> np.ndarray:
        """Rows alike in the columns that the trees use most, next to each other."""
        if self._columns is None:
            kind = "gain" if self._kind == "raw" else "split"
            boosters = self._parts if self._kind == "leaf" else [self._booster]
            used = np.sum([booster.feature_importance(kind) for booster in boosters], axis=0)
            self._columns = np.argsort(-used, kind="stable")[:_ORDERING_COLUMNS]
        place = np.zeros(len(table), dtype=np.uint16)
        for j in self._columns:
            column = np.ascontiguousarray(table[:, j])
            sample = np.sort(column[:: len(column) // 1_000])
            cuts = np.unique(sample[len(sample) * np.arange(1, _RANGES) // _RANGES])
            place = place * np.uint16(_RANGES) + np.searchsorted(cuts, column).astype(np.uint16)
        return np.argsort(place, kind="stable")

    def prepare(self) -> list[Any]:
        """Make the blocks boosters of their own now, rather than when rows have shown that it pays."""
        with self._lock:
            if not self._parts:
                texts = (
                    self._booster.model_to_string(start_iteration=start, num_iteration=count) for start, count in self._blocks
                )
                self._parts = [library("lightgbm").Booster(model_str=text) for text in texts]
            return self._parts

    def _widths(self) -> list[int]:
        """Numbers that each block answers for a row."""
        return [self._per_iteration * (1 if self._kind == "raw" else count) for _, count in self._blocks]

    @property
    def _width(self) -> int:
        return self._per_iteration if self._kind == "raw" else sum(self._widths())


def _answered(booster: Any, table: np.ndarray, kind: Kind, start: int, count: int, width: int) -> np.ndarray:
    """What ``Booster.predict`` answers for a table of float32: shape (n,), or (n, width)."""
    basic = library("lightgbm").basic
    table = np.ascontiguousarray(table, dtype=np.float32)
    found = np.empty((len(table), width), dtype=np.float64)
    vars(basic)["_safe_call"](
        vars(basic)["_LIB"].LGBM_BoosterPredictForMat(
            booster._handle,
            ctypes.c_void_p(table.ctypes.data),
            ctypes.c_int(_FLOAT32),
            ctypes.c_int32(len(table)),
            ctypes.c_int32(table.shape[1]),
            ctypes.c_int(1),
            ctypes.c_int(_KINDS[kind]),
            ctypes.c_int(start),
            ctypes.c_int(count),
            ctypes.c_char_p(b"num_threads=1"),
            ctypes.byref(ctypes.c_int64(0)),
            ctypes.c_void_p(found.ctypes.data),
        )
    )
    if kind == "leaf":
        return found.astype(np.int32)
    return found[:, 0] if width == 1 else found


class _Calls:
    """The fast calls of one thread: a configuration for each block, an input and an output that they share."""

    def __init__(self, boosters: list[Any], n_columns: int, kind: Kind, widths: list[int]) -> None:
        basic = library("lightgbm").basic
        native: Any = vars(basic)["_LIB"]
        self._boosters = boosters  # kept alive: the configurations point into them
        self._free = native.LGBM_FastConfigFree
        # It keeps the interpreter: a call takes 5 us, to get it back from another thread up to a hundred times that.
        self._predict = ctypes.PyDLL(native._name).LGBM_BoosterPredictForMatSingleRowFast
        self._check = vars(basic)["_safe_call"]
        self._input = np.empty(n_columns, dtype=np.float32)
        self._outputs = [np.empty(width, dtype=np.float64) for width in widths]
        self._data = ctypes.c_void_p(self._input.ctypes.data)
        self._length = ctypes.c_int64(0)
        self._length_at = ctypes.byref(self._length)
        self._calls: list[tuple[ctypes.c_void_p, ctypes.c_void_p, np.ndarray]] = []
        for booster, output in zip(boosters, self._outputs, strict=True):
            config = ctypes.c_void_p()
            self._check(
                native.LGBM_BoosterPredictForMatSingleRowFastInit(
                    booster._handle,
                    ctypes.c_int(_KINDS[kind]),
                    ctypes.c_int(0),
                    ctypes.c_int(-1),
                    ctypes.c_int(_FLOAT32),
                    ctypes.c_int32(n_columns),
                    ctypes.c_char_p(b"num_threads=1"),
                    ctypes.byref(config),
                )
            )
            self._calls.append((config, ctypes.c_void_p(output.ctypes.data), output))

    def all(self, row: np.ndarray) -> np.ndarray:
        """Answers of the blocks, one after another."""
        self._run(row)
        return np.concatenate(self._outputs)

    def sum(self, row: np.ndarray) -> np.ndarray:
        """Answers of the blocks, added in their order."""
        self._run(row)
        if len(self._outputs[0]) == 1:
            total = self._outputs[0].item(0)
            for output in self._outputs[1:]:
                total += output.item(0)
            return np.array([total])
        scores = self._outputs[0].copy()
        for output in self._outputs[1:]:
            scores += output
        return scores

    def _run(self, row: np.ndarray) -> None:
        self._input[:] = row
        predict, data, length = self._predict, self._data, self._length_at
        for config, result, _ in self._calls:
            if predict(config, data, length, result):
                self._check(-1)

    def __del__(self) -> None:
        for config, _, _ in getattr(self, "_calls", ()):
            self._free(config)


def _has_fast_call(booster: Any) -> bool:
    basic = library("lightgbm").basic
    native, check = vars(basic).get("_LIB"), vars(basic).get("_safe_call")
    names = (
        "LGBM_BoosterPredictForMatSingleRowFastInit", "LGBM_BoosterPredictForMatSingleRowFast", "LGBM_FastConfigFree",
        "LGBM_BoosterPredictForMat",
    )  # fmt: skip
    return check is not None and hasattr(booster, "_handle") and all(hasattr(native, name) for name in names)
