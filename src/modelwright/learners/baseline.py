"""Baselines: what any model must beat.

They take part in every run and are never members of an ensemble. `seasonal_naive` is a function rather than a
learner because it reads raw time, which a `Matrix` no longer holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from modelwright.errors import DataError
from modelwright.features.dense import DenseCoder
from modelwright.features.matrix import Matrix
from modelwright.learners.base import Algorithm, FitResult, Hyperparameter, Learner, Validation
from modelwright.learners.fitting import (
    all_classes,
    mean_one,
    prefixed,
    present_classes,
    quiet_fit,
    read_state,
    required_target,
    unprefixed,
    weighted_rows,
    write_state,
)
from modelwright.learners.linear import LinearModel
from modelwright.learners.rowwise import row_products, row_shares
from modelwright.learners.trees import StackedTrees, coded_columns
from modelwright.tables.schema import Task

_SUPERVISED: tuple[Task, ...] = ("binary", "multiclass", "regression")


class Constant(Learner):
    """The same prediction for every row."""

    algorithm = Algorithm(
        name="constant",
        title="Constant prediction",
        tasks=_SUPERVISED,
        minimises="Squared error (regression) or log loss (classification) among predictions that ignore the columns.",
        trains="The weighted mean of the target, or the weighted frequency of each class.",
        when="Always, as the floor: a model that does not beat it has learned nothing from the columns.",
        hyperparameters=(),
        baseline=True,
        interpretable=True,
    )

    def fit(
        self,
        X: Matrix,
        y: np.ndarray | None,
        *,
        weight: np.ndarray | None = None,
        validation: Validation | None = None,
        time_limit_s: float | None = None,
    ) -> FitResult:
        """Learn the mean or the class frequencies; see `Learner.fit`."""
        y = required_target(y, self.algorithm.name)
        row_weight = mean_one(weight, X.n_rows)
        if self.task == "regression":
            self.value_ = np.array([np.average(np.asarray(y, dtype=np.float64), weights=row_weight)])
        else:
            frequency = np.bincount(y, weights=row_weight, minlength=self.n_classes)
            present = np.flatnonzero(frequency > 0)
            proba = (frequency[present] / frequency.sum())[None, :]
            self.value_ = all_classes(proba, present, self.n_classes, X.n_rows)[0]
        return FitResult()

    def predict(self, X: Matrix) -> np.ndarray:
        """Repeat the learned value; see `Learner.predict`."""
        if self.task == "regression":
            return np.full(X.n_rows, self.value_[0])
        return np.tile(self.value_, (X.n_rows, 1))

    def save(self, folder: Path) -> None:
        """Write ``state.json`` and ``arrays.npz``."""
        write_state(folder, self, {"value": self.value_})

    @classmethod
    def load(cls, folder: Path) -> Constant:
        """Read back what `save` wrote."""
        learner, arrays, _ = read_state(cls, folder)
        learner.value_ = arrays["value"]
        return learner


class ShallowTree(Learner):
    """One decision tree of small depth."""

    algorithm = Algorithm(
        name="shallow_tree",
        title="Shallow decision tree",
        tasks=_SUPERVISED,
        minimises="Squared error (regression) or Gini impurity (classification), greedily, split by split.",
        trains="The column and threshold of each split, and the mean target or class frequencies of each leaf.",
        when="As a reference: eight rules that fit on a page. A model should clearly beat it.",
        hyperparameters=(
            Hyperparameter("max_depth", "int", 3, "Splits from the root to a leaf at most.", low=1, high=8),
            Hyperparameter("min_samples_leaf", "int", 10, "Training rows in a leaf at least.", low=1, high=1000, log=True),
        ),
        baseline=True,
        requires="sklearn.tree",
        reference="Breiman, Friedman, Olshen, Stone, Classification and Regression Trees, 1984.",
        interpretable=True,
    )

    def fit(
        self,
        X: Matrix,
        y: np.ndarray | None,
        *,
        weight: np.ndarray | None = None,
        validation: Validation | None = None,
        time_limit_s: float | None = None,
    ) -> FitResult:
        """Grow the tree; see `Learner.fit`."""
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        y = required_target(y, self.algorithm.name)
        rows = weighted_rows(weight, X.n_rows)
        X, y = (X.take(rows), np.asarray(y)[rows]) if len(rows) < X.n_rows else (X, y)
        row_weight = None if weight is None else np.asarray(weight, dtype=np.float64)[rows]
        settings = {
            "max_depth": self.params["max_depth"],
            "min_samples_leaf": min(self.params["min_samples_leaf"], max(1, len(rows) // 4)),
            "random_state": self.seed,
        }
        kind = DecisionTreeRegressor if self.task == "regression" else DecisionTreeClassifier
        notes: list[str] = []
        with quiet_fit(notes):
            model = kind(**settings).fit(coded_columns(X), y, sample_weight=row_weight)
        present = np.zeros(0, dtype=np.int64) if self.task == "regression" else present_classes(y)
        trees = StackedTrees.from_sklearn([model.tree_])
        if self.task != "regression":
            # One pseudo-row of overall frequencies per leaf: a pure leaf must not claim certainty.
            count = np.asarray(model.tree_.n_node_samples)[model.tree_.children_left < 0][:, None]
            overall = np.asarray(model.tree_.value)[0, 0]
            trees = replace(trees, values=((trees.values * count + overall) / (count + 1.0)).astype(np.float32))
        self.trees_ = trees
        self.classes_, self.n_rows_ = present, X.n_rows
        self.importance_ = np.asarray(model.feature_importances_, dtype=np.float64)
        return FitResult(notes=notes)

    def predict(self, X: Matrix) -> np.ndarray:
        """Predict; see `Learner.predict`."""
        values = self.trees_.mean(coded_columns(X))
        if self.task == "regression":
            return values[:, 0]
        return all_classes(row_shares(values), self.classes_, self.n_classes, self.n_rows_)

    def importance(self) -> np.ndarray | None:
        """Share of each column in the decrease of impurity."""
        total = self.importance_.sum()
        return self.importance_ / total if total > 0 else None

    def save(self, folder: Path) -> None:
        """Write ``state.json`` and ``arrays.npz``."""
        arrays = {"classes": self.classes_, "importance": self.importance_, **prefixed("trees_", self.trees_.to_arrays())}
        write_state(folder, self, arrays, {"n_rows": self.n_rows_})

    @classmethod
    def load(cls, folder: Path) -> ShallowTree:
        """Read back what `save` wrote."""
        learner, arrays, facts = read_state(cls, folder)
        learner.trees_ = StackedTrees.from_arrays(unprefixed("trees_", arrays))
        learner.classes_, learner.importance_, learner.n_rows_ = arrays["classes"], arrays["importance"], facts["n_rows"]
        return learner


class SimpleLinear(LinearModel):
    """Ridge or logistic regression with a fixed penalty."""

    algorithm = Algorithm(
        name="simple_linear",
        title="Linear model with fixed settings",
        tasks=_SUPERVISED,
        minimises="Half the squared error or the negative log likelihood, summed over rows, plus 1/2 |coefficients|^2.",
        trains="One coefficient per standardised number or frequent level, and an intercept.",
        when="As a reference: the first model that a statistician would fit.",
        hyperparameters=(),
        baseline=True,
        requires="sklearn.linear_model",
        reference="Hoerl and Kennard, Ridge regression, Technometrics 1970.",
        interpretable=True,
    )

    def _penalty(self) -> tuple[float, float]:
        return 1.0, 0.0

    def _coder(self, text_components: bool) -> DenseCoder:
        return DenseCoder(max_levels=20, max_columns=500, text_components=text_components)


class MedianSplit(Learner):
    """Two clusters: below and above the median of the first principal component."""

    algorithm = Algorithm(
        name="median_split",
        title="Split at the median of the first principal component",
        tasks=("clustering",),
        minimises="Nothing beyond the variance left by one direction; the cut makes two halves of equal size.",
        trains="The direction of largest variance of the scaled columns, and the median along it.",
        when="As a reference for clusterings: clusters that are real should be more compact than two halves.",
        hyperparameters=(),
        baseline=True,
        reference="Boley, Principal direction divisive partitioning, DMKD 1998.",
    )

    def fit(
        self,
        X: Matrix,
        y: np.ndarray | None = None,
        *,
        weight: np.ndarray | None = None,
        validation: Validation | None = None,
        time_limit_s: float | None = None,
    ) -> FitResult:
        """Learn direction and median; see `Learner.fit`."""
        self.coder_ = DenseCoder(scaling="robust", max_levels=20, max_columns=500)
        notes: list[str] = []
        with quiet_fit(notes):
            scaled = self.coder_.fit_transform(X)
            row_weight = mean_one(weight, len(scaled))
            self.centre_ = np.average(scaled, axis=0, weights=row_weight)
            centred = (scaled - self.centre_) * np.sqrt(row_weight)[:, None]
            _, vectors = np.linalg.eigh(centred.T @ centred) if scaled.shape[1] else (None, np.zeros((0, 1)))
            direction = vectors[:, -1]
        # The sign of an eigenvector is arbitrary; fixing it keeps the cluster numbers stable.
        if direction.size and direction[np.argmax(np.abs(direction))] < 0:
            direction = -direction
        self.direction_ = direction
        self.median_ = np.zeros(1)
        along = self._along(X)
        order = np.argsort(along, kind="stable")
        half = np.searchsorted(np.cumsum(row_weight[order]), row_weight.sum() / 2.0)
        self.median_ = np.array([along[order[min(half, len(order) - 1)]]])
        return FitResult(notes=notes)

    def _along(self, X: Matrix) -> np.ndarray:
        return row_products(self.coder_.transform(X) - self.centre_, self.direction_[:, None])[:, 0]

    def predict(self, X: Matrix) -> np.ndarray:
        """0 up to the median, 1 beyond it."""
        return (self._along(X) > self.median_[0]).astype(np.int64)

    def save(self, folder: Path) -> None:
        """Write ``state.json`` and ``arrays.npz``."""
        arrays = {"centre": self.centre_, "direction": self.direction_, "median": self.median_}
        write_state(folder, self, {**arrays, **prefixed("coder_", self.coder_.to_arrays())})

    @classmethod
    def load(cls, folder: Path) -> MedianSplit:
        """Read back what `save` wrote."""
        learner, arrays, _ = read_state(cls, folder)
        learner.centre_, learner.direction_, learner.median_ = arrays["centre"], arrays["direction"], arrays["median"]
        learner.coder_ = DenseCoder.from_arrays(unprefixed("coder_", arrays))
        return learner


def seasonal_naive(
    time: np.ndarray,
    y: np.ndarray,
    group: np.ndarray | None,
    time_new: np.ndarray,
    group_new: np.ndarray | None,
) -> np.ndarray:
    """The last training value of the same season and group.

    The season follows the spacing of the training times within a group (its median): hour of the week when rows
    come more often than every 18 hours, weekday up to 4 days, month of the year beyond. Numeric times have no
    calendar: the last value of the group serves.

    Parameters
    ----------
    time, time_new : ndarray of datetime64 or float
        Times of the training rows and of the rows to predict, in any order. Not-a-time counts as unknown.
    y : ndarray of shape (n,), float64
    group, group_new : ndarray or None
        One series per value; None means one series in all.

    Returns
    -------
    ndarray of shape (len(time_new),), float64
        Where a group lacks the season, its mean; for an unknown group, the overall mean.

    References
    ----------
    .. [1] Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 2021, section 5.2.

    Examples
    --------
    >>> days = np.array(["2024-01-01", "2024-01-02", "2024-01-08"], dtype="datetime64[us]")
    >>> seasonal_naive(days, np.array([1.0, 2.0, 3.0]), None, np.array(["2024-01-16"], dtype="datetime64[us]"), None)
    array([2.])
    """
    time, time_new, y = np.asarray(time), np.asarray(time_new), np.asarray(y, dtype=np.float64)
    groups = np.zeros(len(time), dtype=np.int64) if group is None else np.asarray(group)
    groups_new = np.zeros(len(time_new), dtype=np.int64) if group_new is None else np.asarray(group_new)
    if len(y) == 0:
        raise DataError("There are no training rows.", where="seasonal_naive", mend="Give at least one row.")
    keys = {value: number for number, value in enumerate(dict.fromkeys(groups.tolist()))}
    series = np.array([keys[value] for value in groups.tolist()], dtype=np.int64)
    series_new = np.array([keys.get(value, -1) for value in groups_new.tolist()], dtype=np.int64)
    moments, moments_new = _microseconds(time), _microseconds(time_new)
    season_of = _season(moments, series, calendar=time.dtype.kind == "M")
    order = np.lexsort((moments, series))
    order = order[~np.isnan(moments[order])]
    # Later rows overwrite earlier ones, so that the last value of each season remains.
    last = {
        (s, k): v for s, k, v in zip(series[order].tolist(), season_of(moments[order]).tolist(), y[order].tolist(), strict=True)
    }
    counts = np.bincount(series, minlength=len(keys))
    means = np.append(np.bincount(series, weights=y, minlength=len(keys)) / counts, y.mean())
    seasons_new = season_of(moments_new).tolist()
    return np.array(
        [last.get((s, k), means[s]) for s, k in zip(series_new.tolist(), seasons_new, strict=True)], dtype=np.float64
    )


def _microseconds(time: np.ndarray) -> np.ndarray:
    """Times as float microseconds since 1970, or the numbers themselves; unknown is NaN."""
    if time.dtype.kind != "M":
        return time.astype(np.float64)
    whole = time.astype("datetime64[us]")
    return np.where(np.isnat(whole), np.nan, whole.astype(np.int64).astype(np.float64))


def _season(moments: np.ndarray, series: np.ndarray, *, calendar: bool) -> Callable[[np.ndarray], np.ndarray]:
    """The function from moments to season numbers that suits the spacing; -1 for an unknown moment."""
    hour = 3_600e6
    order = np.lexsort((moments, series))
    gaps = np.diff(moments[order])[np.diff(series[order]) == 0]
    gaps = gaps[gaps > 0]
    spacing = float(np.median(gaps)) if gaps.size else 24 * hour

    def season(values: np.ndarray) -> np.ndarray:
        known = ~np.isnan(values)
        out = np.full(len(values), -1, dtype=np.int64)
        if not calendar:
            out[known] = 0
        elif spacing < 18 * hour:
            out[known] = np.floor(values[known] / hour).astype(np.int64) % 168
        elif spacing < 96 * hour:
            out[known] = np.floor(values[known] / (24 * hour)).astype(np.int64) % 7
        else:
            out[known] = values[known].astype(np.int64).astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) % 12
        return out

    return season
