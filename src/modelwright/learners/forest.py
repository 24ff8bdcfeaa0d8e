"""Random forests and extremely randomised trees."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.features.matrix import Matrix
from modelwright.features.target_encoding import TargetEncoder
from modelwright.learners.base import Algorithm, FitResult, Hyperparameter, Learner, Validation
from modelwright.learners.fitting import (
    Deadline,
    all_classes,
    prefixed,
    present_classes,
    quiet_fit,
    read_state,
    required_target,
    unprefixed,
    weighted_rows,
    write_state,
)
from modelwright.learners.forest_walk import TreeWalker
from modelwright.learners.rowwise import row_shares
from modelwright.learners.trees import StackedTrees, coded_columns

#: Leaves of one tree at most; with 100 trees of two classes a saved forest stays below about 100 MB.
_MAX_LEAVES = 15_000
#: Numbers in the leaves of all trees at most (4 bytes each), which binds when there are many classes.
_MAX_LEAF_VALUES = 40_000_000
#: Coded columns with more levels than this are read through their target encoding as well.
_MANY_LEVELS = 12


class Forest(Learner):
    """What the two forests share; subclasses name the scikit-learn classes."""

    @abstractmethod
    def _model(self, settings: dict[str, Any]) -> Any: ...

    def fit(
        self,
        X: Matrix,
        y: np.ndarray | None,
        *,
        weight: np.ndarray | None = None,
        validation: Validation | None = None,
        time_limit_s: float | None = None,
    ) -> FitResult:
        """Grow trees until all are grown or the time is up; see `Learner.fit`. Validation rows are not read."""
        y = required_target(y, self.algorithm.name)
        deadline = Deadline(time_limit_s)
        rows = weighted_rows(weight, X.n_rows)
        X, y = (X.take(rows), np.asarray(y)[rows]) if len(rows) < X.n_rows else (X, y)
        row_weight = None if weight is None else np.asarray(weight, dtype=np.float64)[rows]
        if row_weight is not None and np.ptp(row_weight) == 0:
            # scikit-learn draws bootstrap rows by weight; equal weights would only change the draw.
            row_weight = None
        self.n_rows_ = X.n_rows
        self.classes_ = np.zeros(0, dtype=np.int64) if self.task == "regression" else present_classes(y)
        notes: list[str] = []
        with quiet_fit(notes):
            cardinalities = np.array(X.layout.cardinalities, dtype=np.int64)
            self.encoded_ = np.flatnonzero(cardinalities > _MANY_LEVELS)
            self.encoder_ = TargetEncoder()
            columns = coded_columns(X)
            if len(self.encoded_):
                sizes = cardinalities[self.encoded_].tolist()
                encoded = self.encoder_.fit_transform(
                    X.codes[:, self.encoded_], sizes, y, task=self.task, n_classes=self.n_classes, seed=self.seed
                )
                columns = np.concatenate([columns, encoded], axis=1)
            model, stopped = self._grow(columns, y, row_weight, deadline)
        self.importance_ = self._shares(model, X)
        self.trees_ = StackedTrees.from_sklearn([tree.tree_ for tree in model.estimators_])
        n_trees = len(model.estimators_)
        del model  # as large as what was copied
        self._walker = TreeWalker(self.trees_)
        counts = row_weight if row_weight is not None else np.ones(X.n_rows)
        self.prior_ = np.zeros(0)
        if self.task != "regression":
            self.prior_ = np.bincount(np.searchsorted(self.classes_, y), weights=counts) / counts.sum()
        if stopped == "time":
            notes.append(f"The time was up after {n_trees} of {self.params['n_estimators']} trees.")
        clock = {"trees": n_trees} if stopped == "time" else {}
        return FitResult(n_iterations=n_trees, stopped=stopped, notes=notes, clock=clock)

    def _grow(self, columns: np.ndarray, y: np.ndarray, row_weight: np.ndarray | None, deadline: Deadline) -> tuple[Any, str]:
        """Grow in steps that fit into the time; the trees are the same as if grown at once."""
        wanted = int(self.params["n_estimators"])
        n = len(columns)
        n_values = max(1, len(self.classes_))
        max_leaves = int(min(_MAX_LEAVES, max(1000, _MAX_LEAF_VALUES // (wanted * n_values))))
        min_leaf = min(int(self.params["min_samples_leaf"]), max(1, n // 4))
        model = self._model(
            {
                "n_estimators": 1,
                "max_features": float(self.params["max_features"]),
                "min_samples_leaf": min_leaf,
                # Growing best-first is slower, so the bound is set only where it can bind.
                "max_leaf_nodes": max_leaves if n / min_leaf > max_leaves else None,
                "warm_start": True,
                "n_jobs": 1,
                "random_state": self.seed,
            }
        )
        model.fit(columns, y, sample_weight=row_weight)
        done, last = 1, self.stop_after.get("trees", wanted)
        while done < wanted:
            if done >= last:
                return model, "time"
            per_tree = deadline.elapsed_s / done
            # A step of about half a second, so that the clock is looked at often enough.
            step = min(last - done, max(1, int(0.5 / max(per_tree, 1e-4))))
            if not deadline.leaves(per_tree):
                return model, "time"
            while step > 1 and not deadline.leaves(per_tree * step):
                step //= 2
            done += step
            model.set_params(n_estimators=done)
            model.fit(columns, y, sample_weight=row_weight)
        return model, "complete"

    def _shares(self, model: Any, X: Matrix) -> np.ndarray:
        """Decrease of impurity by input column; an encoded column counts for the column it came from."""
        gains = np.asarray(model.feature_importances_, dtype=np.float64)
        p, q = X.numeric.shape[1], X.codes.shape[1]
        encoded = np.repeat(self.encoded_, (len(gains) - p - q) // max(len(self.encoded_), 1))
        sources = np.concatenate([np.arange(p + q), p + encoded]).astype(np.int64)
        return np.bincount(sources, weights=gains, minlength=p + q)

    def predict(self, X: Matrix) -> np.ndarray:
        """Predict; see `Learner.predict`.

        Class frequencies are averaged over the trees and one more vote, cast by the overall frequencies, so
        that a class which no tree saw in a leaf keeps a small probability.
        """
        values = self._walker.mean(self.read_columns(X))
        if self.task == "regression":
            return np.asarray(values[:, 0])
        n_trees = len(self.trees_.roots)
        proba = (values * n_trees + self.prior_) / (n_trees + 1.0)
        return all_classes(row_shares(proba), self.classes_, self.n_classes, self.n_rows_)

    def prepare_rows(self) -> None:
        self._walker.prepare(len(self.importance_) + len(self.encoded_) * self.encoder_.n_outputs_)

    def read_columns(self, X: Matrix) -> np.ndarray:
        """What the trees compare: numbers, codes, then target encodings; float32 of shape (n, p + q + e)."""
        columns = coded_columns(X)
        if len(self.encoded_):
            columns = np.concatenate([columns, self.encoder_.transform(np.asarray(X.codes[:, self.encoded_]))], axis=1)
        return columns

    def column_sources(self, X: Matrix) -> np.ndarray:
        """Input column of each column that the trees compare; shape (p + q + e,)."""
        p, q = X.numeric.shape[1], X.codes.shape[1]
        n_encoded = self.read_columns(X.take(np.zeros(0, dtype=np.int64))).shape[1] - p - q
        encoded = np.repeat(self.encoded_, n_encoded // max(len(self.encoded_), 1))
        return np.concatenate([np.arange(p + q), p + encoded]).astype(np.int64)

    def importance(self) -> np.ndarray | None:
        """Share of each input column in the decrease of impurity over all trees."""
        total = self.importance_.sum()
        return self.importance_ / total if total > 0 else None

    def save(self, folder: Path) -> None:
        """Write ``state.json`` and ``arrays.npz``."""
        arrays = {
            "classes": self.classes_,
            "prior": self.prior_,
            "importance": self.importance_,
            **prefixed("trees_", self.trees_.to_arrays()),
            "encoded": self.encoded_,
            **prefixed("encoder_", self.encoder_.to_arrays()),
        }
        write_state(folder, self, arrays, {"n_rows": self.n_rows_})

    @classmethod
    def load(cls, folder: Path) -> Forest:
        """Read back what `save` wrote."""
        learner, arrays, facts = read_state(cls, folder)
        learner.classes_, learner.prior_, learner.importance_ = arrays["classes"], arrays["prior"], arrays["importance"]
        learner.trees_ = StackedTrees.from_arrays(unprefixed("trees_", arrays))
        learner._walker = TreeWalker(learner.trees_)
        learner.encoded_ = arrays["encoded"]
        learner.encoder_ = TargetEncoder.from_arrays(unprefixed("encoder_", arrays))
        learner.n_rows_ = facts["n_rows"]
        return learner


_TRAINS = (
    "Column, threshold and side of missing cells for each split of each tree, at most 15 000 leaves a tree, and the "
    "mean target or class frequencies of each leaf. Category codes are split as ordered numbers; columns with more "
    "than 12 levels also enter through their out-of-fold target encoding."
)


def _hyperparameters(max_features: dict[str, float]) -> tuple[Hyperparameter, ...]:
    return (
        Hyperparameter(
            "n_estimators", "int", 100, "Number of trees; more trees smooth the prediction.", low=1, high=500, log=True
        ),
        Hyperparameter(
            "max_features",
            "float",
            max_features,
            "Share of the columns that each split may choose from; fewer make the trees more different.",
            low=0.05,
            high=1.0,
        ),
        Hyperparameter(
            "min_samples_leaf",
            "int",
            {"binary": 2, "multiclass": 1, "regression": 2},
            "Training rows in a leaf at least; more make smoother and smaller trees.",
            low=1,
            high=100,
            log=True,
        ),
    )


class RandomForest(Forest):
    """Averaged trees, each grown on a bootstrap sample."""

    algorithm = Algorithm(
        name="random_forest",
        title="Random forest",
        tasks=("binary", "multiclass", "regression"),
        minimises=(
            "Squared error (regression) or Gini impurity (classification) in each split, greedily; no penalty. The average "
            "over trees grown on bootstrap samples lowers the variance."
        ),
        trains=_TRAINS,
        when="A sturdy model with little to tune; useful beside boosted trees in an ensemble.",
        hyperparameters=_hyperparameters({"binary": 0.3, "multiclass": 0.3, "regression": 0.5}),
        iterations="n_estimators",
        max_rows=1_000_000,
        requires="sklearn.ensemble",
        reference="Breiman, Random forests, Machine Learning 2001.",
    )

    def _model(self, settings: dict[str, Any]) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        return (RandomForestRegressor if self.task == "regression" else RandomForestClassifier)(**settings)


class ExtraTrees(Forest):
    """Averaged trees whose thresholds are drawn at random."""

    algorithm = Algorithm(
        name="extra_trees",
        title="Extremely randomised trees",
        tasks=("binary", "multiclass", "regression"),
        minimises=(
            "Squared error (regression) or Gini impurity (classification) among one random threshold per candidate column, "
            "split by split; no penalty. Every tree sees all rows."
        ),
        trains=_TRAINS,
        when="Noisy or smooth relations; faster than a random forest and different enough to help an ensemble.",
        hyperparameters=_hyperparameters({"binary": 0.5, "multiclass": 0.5, "regression": 0.8}),
        iterations="n_estimators",
        max_rows=1_000_000,
        requires="sklearn.ensemble",
        reference="Geurts, Ernst, Wehenkel, Extremely randomized trees, Machine Learning 2006.",
    )

    def _model(self, settings: dict[str, Any]) -> Any:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        return (ExtraTreesRegressor if self.task == "regression" else ExtraTreesClassifier)(**settings)
