"""Exact Shapley values of stacked trees, by LightGBM's implementation of TreeSHAP.

The trees are written as a LightGBM text model, one output at a time; the library needs for each node the number of
training rows that reached it, which weighs the branches a column is not asked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright.learners.lean_import import library
from modelwright.learners.trees import StackedTrees

#: LightGBM's codes of a numeric split with NaN as the missing value, going right or left.
_MISSING_RIGHT, _MISSING_LEFT = 8, 10


def forest_contributions(trees: StackedTrees, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Base and contributions of the mean over the trees.

    Parameters
    ----------
    trees : StackedTrees
        With covers.
    columns : ndarray of shape (n, p), float32
        NaN is missing.

    Returns
    -------
    base : ndarray of shape (K,)
    values : ndarray of shape (n, p, K)
    """
    n_outputs = trees.values.shape[1]
    base, values = np.empty(n_outputs), np.empty((*columns.shape, n_outputs))
    for output in range(n_outputs):
        booster = library("lightgbm").Booster(model_str=as_lightgbm(trees, output, columns.shape[1]))
        raw = np.asarray(booster.predict(columns, pred_contrib=True, num_threads=1)) / len(trees.roots)
        values[:, :, output], base[output] = raw[:, :-1], float(raw[:, -1].mean())
    return base, values


def as_lightgbm(trees: StackedTrees, output: int, n_columns: int) -> str:
    """The sum of one output over the trees as the text of a LightGBM model."""
    ends = [*trees.roots[1:].tolist(), len(trees.feature)]
    blocks = [
        _tree(trees, number, int(start), end, output) for number, (start, end) in enumerate(zip(trees.roots, ends, strict=True))
    ]
    names = " ".join(f"c{j}" for j in range(n_columns))
    head = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={n_columns - 1}",
        "objective=regression",
        f"feature_names={names}",
        f"feature_infos={' '.join(['none'] * n_columns)}",
        f"tree_sizes={' '.join(str(len(block)) for block in blocks)}",
        "",
        "",
    ]
    return (
        "\n".join(head)
        + "".join(blocks)
        + "end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n\npandas_categorical:null\n"
    )


def _tree(trees: StackedTrees, number: int, start: int, end: int, output: int) -> str:
    inside = trees.leaf[start:end] < 0
    cover = trees.cover[start:end]
    # Inner nodes and leaves are numbered apart; a leaf is written as the complement of its number.
    place = np.where(inside, np.cumsum(inside) - 1, ~(np.cumsum(~inside) - 1))
    children = trees.children[2 * start : 2 * end].reshape(-1, 2) - start
    nodes, leaves = np.flatnonzero(inside), np.flatnonzero(~inside)
    value = trees.values[trees.leaf[start:end][leaves], output].astype(np.float64)
    fields: list[tuple[str, list[Any]]] = [("num_leaves", [len(leaves)]), ("num_cat", [0])]
    if len(nodes):
        decisions = np.where(trees.missing_left[start:end][nodes], _MISSING_LEFT, _MISSING_RIGHT)
        zeros = np.zeros(len(nodes), dtype=np.int64)
        fields += [
            ("split_feature", trees.feature[start:end][nodes].tolist()),
            ("split_gain", zeros.tolist()),
            ("threshold", [repr(t) for t in trees.threshold[start:end][nodes].tolist()]),
            ("decision_type", decisions.tolist()),
            ("left_child", place[children[nodes, 0]].tolist()),
            ("right_child", place[children[nodes, 1]].tolist()),
        ]
    fields += [
        ("leaf_value", [repr(v) for v in value.tolist()]),
        ("leaf_weight", cover[leaves].tolist()),
        ("leaf_count", np.maximum(1, cover[leaves].round()).astype(np.int64).tolist()),
    ]
    if len(nodes):
        fields += [
            ("internal_value", [0] * len(nodes)),
            ("internal_weight", cover[nodes].tolist()),
            ("internal_count", np.maximum(1, cover[nodes].round()).astype(np.int64).tolist()),
        ]
    fields += [("is_linear", [0]), ("shrinkage", [1])]
    lines = [f"Tree={number}", *(f"{name}={' '.join(map(str, values))}" for name, values in fields)]
    return "\n".join(lines) + "\n\n\n"
