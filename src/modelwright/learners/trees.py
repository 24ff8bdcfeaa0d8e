"""Decision trees as plain arrays, and how rows walk down them.

scikit-learn's own tree objects could be rebuilt through ``__setstate__``, but the layout of that state is private
and has changed between its versions; a saved model has to outlive them. So the trees are kept as arrays here and
walked by numpy, all trees of a block of rows at once.

Notation: n rows, T trees, N nodes in all trees, L leaves in all trees, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.errors import BundleError
from modelwright.features.matrix import MISSING, Matrix

#: Rows times trees that are walked at once; about the size of a second-level cache.
_CHUNK_CELLS = 65_536


def coded_columns(X: Matrix) -> np.ndarray:
    """Numbers, then codes as numbers with NaN for missing; float32 of shape (n, p + q)."""
    codes = np.asarray(X.codes)
    as_numbers = np.where(codes == MISSING, np.float32(np.nan), codes.astype(np.float32))
    return np.ascontiguousarray(np.concatenate([np.asarray(X.numeric, dtype=np.float32), as_numbers], axis=1))


@dataclass(frozen=True)
class StackedTrees:
    """T trees, their nodes one after another.

    Parameters
    ----------
    roots : ndarray of shape (T,), int32
    feature : ndarray of shape (N,), int32
        Column compared; 0 at a leaf.
    threshold : ndarray of shape (N,), float64
        Go left when the value is at most this; +inf at a leaf.
    missing_left : ndarray of shape (N,), bool
    children : ndarray of shape (2 N,), int32
        Left child of node i at 2 i, right child at 2 i + 1; a leaf is its own child.
    leaf : ndarray of shape (N,), int32
        Row of ``values`` for a leaf, -1 inside the tree.
    values : ndarray of shape (L, K), float32
    depth : int
        Largest depth of a tree.
    cover : ndarray of shape (N,), float32
        Weighted training rows that reached a node; empty in models saved before it was kept.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    children: np.ndarray
    leaf: np.ndarray
    values: np.ndarray
    depth: int
    cover: np.ndarray

    @classmethod
    def from_sklearn(cls, trees: Sequence[Any]) -> StackedTrees:
        """Copy the ``tree_`` attributes of fitted scikit-learn trees.

        Written into arrays of their final size, since a forest of millions of nodes is there twice meanwhile anyway.
        """
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        first_leaf = np.cumsum([0, *(tree.n_leaves for tree in trees)])
        nodes, leaves = int(starts[-1]), int(first_leaf[-1])
        stacked = cls(
            roots=starts[:-1].astype(np.int32),
            feature=np.empty(nodes, dtype=np.int32),
            threshold=np.empty(nodes, dtype=np.float64),
            missing_left=np.empty(nodes, dtype=bool),
            children=np.empty(2 * nodes, dtype=np.int32),
            leaf=np.empty(nodes, dtype=np.int32),
            values=np.empty((leaves, trees[0].value.shape[2]), dtype=np.float32),
            depth=max(int(tree.max_depth) for tree in trees),
            cover=np.empty(nodes, dtype=np.float32),
        )
        for tree, at, leaf in zip(trees, starts.tolist(), first_leaf.tolist(), strict=False):
            here = slice(at, at + tree.node_count)
            is_leaf = np.asarray(tree.children_left) < 0
            own = np.arange(len(is_leaf))
            pair = np.column_stack([np.where(is_leaf, own, tree.children_left), np.where(is_leaf, own, tree.children_right)])
            stacked.feature[here] = np.where(is_leaf, 0, tree.feature)
            stacked.threshold[here] = np.where(is_leaf, np.inf, tree.threshold)
            stacked.missing_left[here] = np.asarray(tree.missing_go_to_left, dtype=bool) & ~is_leaf
            stacked.children[2 * at : 2 * (at + tree.node_count)] = pair.ravel() + at
            stacked.leaf[here] = np.where(is_leaf, np.cumsum(is_leaf) - 1 + leaf, -1)
            stacked.values[leaf : leaf + tree.n_leaves] = np.asarray(tree.value)[is_leaf, 0, :]
            stacked.cover[here] = np.asarray(tree.weighted_n_node_samples)
        return stacked

    def leaves(self, columns: np.ndarray) -> np.ndarray:
        """Leaf that each row reaches in each tree, as rows of ``values``; shape (n, T).

        Parameters
        ----------
        columns : ndarray of shape (n, p), float32
            NaN is missing.
        """
        n, p = columns.shape
        n_trees = len(self.roots)
        flat = columns.ravel()
        start = np.repeat(np.arange(n, dtype=np.int64) * p, n_trees)
        node = np.tile(self.roots, n)
        walking = np.arange(len(node))
        has_missing = bool(np.isnan(flat).any())
        for _ in range(self.depth):
            here = node[walking]
            value = flat[start[walking] + self.feature[here]]
            left = value <= self.threshold[here]
            if has_missing:
                left |= np.isnan(value) & self.missing_left[here]
            below = self.children[2 * here + ~left]
            moved = below != here
            node[walking] = below
            if not moved.all():
                walking = walking[moved]
            if len(walking) == 0:
                break
        return self.leaf[node].reshape(n, n_trees)

    def mean(self, columns: np.ndarray) -> np.ndarray:
        """Mean of the leaf values over trees; float64 of shape (n, K).

        The trees of a row are summed by themselves, so a row's result does not depend on the batch.
        """
        n_outputs = self.values.shape[1]
        out = np.empty((len(columns), n_outputs))
        step = max(1, _CHUNK_CELLS // len(self.roots))
        by_output = np.ascontiguousarray(self.values.T, dtype=np.float64)
        for at in range(0, len(columns), step):
            reached = self.leaves(columns[at : at + step])
            for k in range(n_outputs):
                out[at : at + step, k] = np.add.reduce(by_output[k][reached], axis=1)
        return out / len(self.roots)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The trees as plain arrays for an ``.npz`` file."""
        return {
            "roots": self.roots,
            "feature": self.feature,
            "threshold": self.threshold,
            "missing_left": self.missing_left,
            "children": self.children,
            "leaf": self.leaf,
            "values": self.values,
            "cover": self.cover,
            "depth": np.array(self.depth),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> StackedTrees:
        """The inverse of `to_arrays`.

        Raises
        ------
        BundleError
            If an index points outside the trees: a damaged file must not read foreign memory or loop.
        """
        named = {name: arrays[name] for name in ("roots", "feature", "threshold", "missing_left", "children", "leaf", "values")}
        cover = arrays.get("cover", np.zeros(0, dtype=np.float32))
        trees = cls(depth=int(arrays["depth"]), cover=cover, **named)
        nodes, leaves = len(trees.feature), len(trees.values)
        inside = (
            len(trees.children) == 2 * nodes
            and len(trees.threshold) == len(trees.leaf) == len(trees.missing_left) == nodes
            and bool(np.all((trees.children >= 0) & (trees.children < nodes)))
            and bool(np.all((trees.roots >= 0) & (trees.roots < nodes)))
            and bool(np.all((trees.leaf >= -1) & (trees.leaf < leaves)))
            and bool(np.all(trees.feature >= 0))
            and len(trees.cover) in (0, nodes)
        )
        if not inside:
            raise BundleError("The saved trees point outside themselves.", where="arrays.npz", mend="Copy the model again.")
        return trees
