"""Members whose trees have an exact form: LightGBM, forests, and the baselines that are one tree or a constant.

Thresholds and leaves are doubles as in the original, and what is compared are the same float32 numbers, so every row
reaches the same leaves; sums may differ in their last bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelwright.artifacts.onnx.graph import ML, Graph, library, refused
from modelwright.learners.base import Learner
from modelwright.learners.forest import Forest
from modelwright.learners.lightgbm import LightGBM
from modelwright.learners.target import Coding
from modelwright.learners.trees import StackedTrees

_AT_MOST, _MEMBER, _SUM = 0, 6, 1


@dataclass
class Ensemble:
    """Attributes of one TreeEnsemble, node by node."""

    n_targets: int
    roots: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    missing_left: list[int] = field(default_factory=list)
    #: Position of the child, and whether it is one of the leaves.
    left: list[tuple[int, int]] = field(default_factory=list)
    right: list[tuple[int, int]] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def node(self, feature: int, split: float, missing_left: bool, members: list[float] | None = None) -> int:
        """A node whose children are set later; ``members`` are the codes that go left."""
        self.features.append(feature)
        self.splits.append(split)
        self.modes.append(_AT_MOST if members is None else _MEMBER)
        self.missing_left.append(int(missing_left))
        self.members += [] if members is None else [*members, np.nan]
        self.left.append((0, 1))
        self.right.append((0, 1))
        return len(self.features) - 1

    def leaf(self, target: int, weight: float) -> tuple[int, int]:
        """A leaf, as a child."""
        self.targets.append(target)
        self.weights.append(weight)
        return len(self.targets) - 1, 1

    def root(self, child: tuple[int, int]) -> None:
        """Begin a tree with a node, or with a leaf both sides of a node lead to."""
        if child[1]:
            number = self.node(0, 0.0, False)
            self.left[number] = self.right[number] = child
            self.roots.append(number)
        else:
            self.roots.append(child[0])

    def add_to(self, graph: Graph, table: str) -> str:
        """Sums of the leaves that rows reach, of shape (n, n_targets)."""
        helper, proto = library("onnx.helper"), library("onnx").TensorProto

        def doubles(name: str, values: list[float]) -> Any:
            return helper.make_tensor(name, proto.DOUBLE, [len(values)], values)

        sets = {"membership_values": doubles("membership_values", self.members)} if self.members else {}
        return graph.add(
            "TreeEnsemble", table, domain=ML, aggregate_function=_SUM, n_targets=self.n_targets, post_transform=0,
            tree_roots=self.roots, nodes_featureids=self.features, nodes_splits=doubles("splits", self.splits),
            nodes_modes=helper.make_tensor("modes", proto.UINT8, [len(self.modes)], self.modes),
            nodes_missing_value_tracks_true=self.missing_left,
            nodes_truenodeids=[at for at, _ in self.left], nodes_trueleafs=[leaf for _, leaf in self.left],
            nodes_falsenodeids=[at for at, _ in self.right], nodes_falseleafs=[leaf for _, leaf in self.right],
            leaf_targetids=self.targets, leaf_weights=doubles("weights", self.weights), **sets,
        )  # fmt: skip


def member(graph: Graph, learner: Learner, table: str) -> str:
    """What a member predicts: probabilities (n, K), or numbers (n, 1); before its weight and the calibration."""
    if isinstance(learner, LightGBM):
        return _lightgbm(graph, learner, table)
    if isinstance(learner, Forest):
        return _forest(graph, learner, table)
    raise refused(f"The model has a member {learner.algorithm.name!r}")


def _lightgbm(graph: Graph, learner: LightGBM, table: str) -> str:
    coding = learner.coding
    if coding.constant is not None:
        raise refused("The model is a constant")
    if coding.classes and len(coding.classes) != learner.n_classes:
        raise refused("Some classes were not among the rows of a member")
    dumped = learner.dumped()
    n_targets = int(dumped["num_tree_per_iteration"])
    ensemble = Ensemble(n_targets)
    for number, tree in enumerate(dumped["tree_info"]):
        ensemble.root(_grown(ensemble, tree["tree_structure"], number % n_targets))
    return _decoded(graph, coding, ensemble.add_to(graph, table))


def _grown(ensemble: Ensemble, structure: dict[str, Any], target: int) -> tuple[int, int]:
    """A tree of LightGBM's own description; leaf-wise growth makes some deeper than Python's stack."""
    top: list[tuple[int, int]] = []
    waiting: list[tuple[dict[str, Any], int, str]] = [(structure, -1, "")]
    while waiting:
        part, parent, side = waiting.pop()
        if "split_feature" not in part:
            child = ensemble.leaf(target, float(part["leaf_value"]))
        else:
            child = (_split(ensemble, part), 0)
            waiting += [(part["left_child"], child[0], "left"), (part["right_child"], child[0], "right")]
        if parent < 0:
            top.append(child)
        else:
            getattr(ensemble, side)[parent] = child
    return top[0]


def _split(ensemble: Ensemble, part: dict[str, Any]) -> int:
    feature = int(part["split_feature"])
    if part["decision_type"] == "==":  # a set of codes; a missing one goes right
        return ensemble.node(feature, 0.0, False, [float(code) for code in str(part["threshold"]).split("||")])
    threshold = float(part["threshold"])
    # Without missing cells in the training rows a later one counts as 0.
    left = bool(part["default_left"]) if part["missing_type"] == "NaN" else threshold >= 0.0
    return ensemble.node(feature, threshold, left)


def _decoded(graph: Graph, coding: Coding, scores: str) -> str:
    """`Coding.decode`, from raw scores."""
    if not coding.classes:
        number = graph.add("Add", graph.add("Mul", scores, graph.constant(coding.spread)), graph.constant(coding.centre))
        if not coding.log_factor:
            return number
        grown = graph.add("Sub", graph.add("Exp", number), graph.constant(1.0))
        return graph.add("Mul", grown, graph.constant(coding.log_factor))
    if coding.temperature != 1.0:
        scores = graph.add("Div", scores, graph.constant(coding.temperature))
    if coding.n_present > 2:
        return graph.add("Softmax", scores, axis=1)
    chance = graph.add("Sigmoid", scores)
    return graph.add("Concat", graph.add("Sub", graph.constant(1.0), chance), chance, axis=1)


def _forest(graph: Graph, learner: Forest, table: str) -> str:
    if len(learner.encoded_):
        raise refused("A forest of the model reads target encodings")
    if learner.task != "regression" and len(learner.classes_) != learner.n_classes:
        raise refused("Some classes were not among the rows of a member")
    trees = learner.trees_
    votes = None
    # One target an ensemble: a leaf of the operator has one number, a leaf of a forest has K.
    for output in range(trees.values.shape[1]):
        found = _stacked(trees, output).add_to(graph, table)
        votes = found if votes is None else graph.add("Concat", votes, found, axis=1)
    assert votes is not None, "a forest has at least one output"
    n_trees = float(len(trees.roots))
    if learner.task == "regression":
        return graph.add("Div", votes, graph.constant(n_trees))
    shares = graph.add("Div", graph.add("Add", votes, graph.constant(learner.prior_[None])), graph.constant(n_trees + 1.0))
    return graph.add("Div", shares, graph.add("ReduceSum", shares, graph.constant([1], np.int64), keepdims=1))


def _stacked(trees: StackedTrees, output: int) -> Ensemble:
    ensemble = Ensemble(1)
    inner = np.flatnonzero(trees.leaf < 0)
    place = {int(node): number for number, node in enumerate(inner)}
    for node in inner.tolist():
        ensemble.node(int(trees.feature[node]), float(trees.threshold[node]), bool(trees.missing_left[node]))
    leaves: dict[int, tuple[int, int]] = {}

    def child(node: int) -> tuple[int, int]:
        if node in place:
            return place[node], 0
        if node not in leaves:
            leaves[node] = ensemble.leaf(0, float(trees.values[trees.leaf[node], output]))
        return leaves[node]

    for node, number in place.items():
        ensemble.left[number] = child(int(trees.children[2 * node]))
        ensemble.right[number] = child(int(trees.children[2 * node + 1]))
    for root in trees.roots.tolist():
        ensemble.root(child(int(root)))
    return ensemble
