"""Walking the trees of a forest in LightGBM's native code, with the saved leaf values kept as they are.

A forest of 100 trees and two million nodes takes 55 us a row in NumPy, and 1.5 ms when the row comes alone; LightGBM's
predictor takes 25 us and 0.1 ms. So the splits (not the leaf values) are written as a LightGBM model, which is asked for
leaf numbers only; values are then looked up and averaged as ever, and the result is equal to the bit. Writing takes
about 0.6 us a node, and is done when so many rows have come that it would have paid.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from modelwright.learners.lean_import import library
from modelwright.learners.lightgbm_scores import Scores
from modelwright.learners.trees import StackedTrees

#: Nodes for each row from which on writing pays; a row that comes alone counts as `_ALONE` rows.
_NODES_A_ROW = 50
_ALONE = 40
_FEW_ROWS = 16
#: Larger forests are walked in NumPy: a node takes about 40 bytes more in LightGBM.
_MOST_NODES = 5_000_000
#: Nodes walked at once, which should stay in the cache.
_BLOCK_NODES = 100_000
_CHUNK_ROWS = 4096
#: LightGBM's bits of a split: missing values are NaN; they go left.
_NAN_IS_MISSING = 8
_MISSING_LEFT = 2


class TreeWalker:
    """Mean leaf values of a forest, row by row or for many rows; safe to share between threads.

    Parameters
    ----------
    trees : StackedTrees
    """

    def __init__(self, trees: StackedTrees) -> None:
        self._trees = trees
        self._values = np.ascontiguousarray(trees.values.T, dtype=np.float64)
        self._scores: Scores | None = None
        self._first_leaf = np.zeros(0, dtype=np.int64)
        self._seen = 0
        self._lock = threading.Lock()

    def prepare(self, n_columns: int) -> None:
        """Write the trees for LightGBM now, rather than when rows have shown that it pays."""
        with self._lock:
            if self._scores is None and len(self._trees.feature) <= _MOST_NODES:
                trees_a_block = max(1, _BLOCK_NODES * len(self._trees.roots) // len(self._trees.feature))
                texts, self._first_leaf = lightgbm_texts(self._trees, n_columns, trees_a_block)
                self._scores = Scores([library("lightgbm").Booster(model_str=text) for text in texts], n_columns, "leaf")

    def mean(self, columns: np.ndarray) -> np.ndarray:
        """`StackedTrees.mean`, float64 of shape (n, K).

        Parameters
        ----------
        columns : ndarray of shape (n, p), float32
            NaN is missing.
        """
        n = len(columns)
        if self._scores is None:
            self._seen += n * (_ALONE if n <= _FEW_ROWS else 1)
            if self._seen * _NODES_A_ROW < len(self._trees.feature):
                return self._trees.mean(columns)
            self.prepare(columns.shape[1])
        scores = self._scores
        if scores is None:
            return self._trees.mean(columns)
        out = np.empty((n, len(self._values)))
        for at in range(0, n, _CHUNK_ROWS):
            reached = scores.table(columns[at : at + _CHUNK_ROWS]).astype(np.int64) + self._first_leaf
            for k, values in enumerate(self._values):
                out[at : at + _CHUNK_ROWS, k] = np.add.reduce(values[reached], axis=1)
        return out / len(self._trees.roots)


def lightgbm_texts(trees: StackedTrees, n_columns: int, trees_a_block: int) -> tuple[Iterator[str], np.ndarray]:
    """The splits as LightGBM model files whose leaves have no values, and the first leaf of each tree, shape (T,).

    Leaves keep their order within a tree. LightGBM compares as the trees do: left when the value, widened to float64, is
    at most the threshold, and missing values where the split says. Files are written as they are asked for: a node takes
    about 60 bytes in them.
    """
    inner = trees.leaf < 0
    ends = np.append(trees.roots[1:], len(inner))
    tree = np.repeat(np.arange(len(trees.roots)), ends - trees.roots)
    before_inner: np.ndarray = np.cumsum(inner) - inner
    before_leaf: np.ndarray = np.cumsum(~inner) - ~inner
    first_leaf: np.ndarray = before_leaf[trees.roots]
    number = np.where(inner, before_inner - before_inner[trees.roots][tree], ~(before_leaf - first_leaf[tree]))
    fields = {
        "split_feature": trees.feature[inner],
        "threshold": trees.threshold[inner],
        "decision_type": _NAN_IS_MISSING + _MISSING_LEFT * trees.missing_left[inner].astype(np.int64),
        "left_child": number[trees.children[0::2]][inner],
        "right_child": number[trees.children[1::2]][inner],
    }
    ends_inner = np.cumsum(np.bincount(tree[inner], minlength=len(trees.roots))).tolist()

    def text(index: int) -> str:
        begin, end = ends_inner[index - 1] if index else 0, ends_inner[index]
        lines = [f"Tree={index % trees_a_block}", f"num_leaves={end - begin + 1}", "num_cat=0"]
        if end > begin:
            lines += [f"{name}={_listed(values[begin:end])}" for name, values in fields.items()]
        lines += [f"leaf_value={'0 ' * (end - begin)}0", "is_linear=0", "shrinkage=1", "", ""]
        return "\n".join(lines)

    starts = range(0, len(ends_inner), trees_a_block)
    blocks = (range(start, min(start + trees_a_block, len(ends_inner))) for start in starts)
    return (_file([text(index) for index in block], n_columns) for block in blocks), first_leaf


def _file(trees: list[str], n_columns: int) -> str:
    head = {
        "version": "v4",
        "num_class": "1",
        "num_tree_per_iteration": "1",
        "label_index": "0",
        "max_feature_idx": str(n_columns - 1),
        "objective": "regression",
        "feature_names": " ".join(f"c{j}" for j in range(n_columns)),
        "feature_infos": " ".join(["none"] * n_columns),
        "tree_sizes": " ".join(str(len(text)) for text in trees),
    }
    start = "\n".join(["tree", *(f"{name}={value}" for name, value in head.items()), "", ""])
    return start + "".join(trees) + "end of trees\n"


def _listed(values: np.ndarray) -> str:
    """Numbers between blanks, in the shortest form that reads back to the same bits."""
    import polars as pl

    text: Any = pl.Series(values).cast(pl.String).str.join(" ").item()
    return str(text)
