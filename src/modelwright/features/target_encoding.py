"""Coded columns as smoothed means of the target.

Notation: n rows, q coded columns, m numbers for each column. For a level with count c and target sum s, and the
mean of all rows p,

    encoded = (s + a p) / (c + a)            a = 10, the number of pseudo rows

Training rows are encoded out of fold: each with the sums and the mean of the rows of the other folds, so that a
row's own target is no part of its encoding. Without this a learner would read the target of rare levels off the
encoding. With row weights, scaled to mean 1, c is a sum of weights and s a weighted sum.

References
----------
.. [1] Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes", SIGKDD Explorations 2001.
.. [2] Pargent et al., "Regularized target encoding outperforms traditional methods", Computational Statistics 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from modelwright.errors import InvalidInputError
from modelwright.features.matrix import MISSING, OTHER
from modelwright.tables.schema import Task

SMOOTHING = 10.0
N_FOLDS = 5
#: With more classes a column of its own for each class would outgrow the table.
MAX_CLASSES = 10


class TargetEncoder:
    """Target statistics of coded columns.

    Each coded column gives m numbers: the mean target in regression; the frequency of class 1 in binary
    classification; the frequencies of classes 1..K-1 for up to `MAX_CLASSES` classes; the frequency of the most
    common class for more. A missing cell is a level like any other.

    Attributes
    ----------
    n_outputs_ : int
        m.
    """

    def __init__(self) -> None:
        self.n_outputs_ = 0
        self._tables: list[np.ndarray] = []

    def fit_transform(
        self,
        codes: np.ndarray,
        cardinalities: Sequence[int],
        y: np.ndarray,
        *,
        task: Task,
        n_classes: int,
        seed: int,
        weight: np.ndarray | None = None,
    ) -> np.ndarray:
        """Learn the statistics of all rows, and encode these rows out of fold.

        Parameters
        ----------
        codes : ndarray of shape (n, q), integers
            -1 missing, 0 other, up to ``cardinalities[j] - 1``.
        cardinalities : sequence of int, length q
        y : ndarray of shape (n,)
            Numbers in regression, class numbers 0..K-1 otherwise.
        task : {"binary", "multiclass", "regression"}
        n_classes : int
            K; not looked at in regression.
        seed : int
            Draws the folds.
        weight : ndarray of shape (n,), optional
            Non-negative row weights; what counts is how they compare.

        Returns
        -------
        ndarray of shape (n, q * m), float32
            The m numbers of the first column, then those of the second.

        Raises
        ------
        InvalidInputError
            If there are no rows, or for clustering, which has no target.
        """
        if task == "clustering":
            raise InvalidInputError("Clustering has no target to encode with.", mend="Use the codes as they are.")
        if len(codes) == 0:
            raise InvalidInputError("There are no rows to learn target statistics from.", mend="Give at least one row.")
        targets = _targets(np.asarray(y), task, n_classes)
        n_rows, n_outputs = targets.shape
        self.n_outputs_ = n_outputs
        weight = _mean_one(weight)
        weighted = targets if weight is None else targets * weight[:, None]
        n_folds = min(N_FOLDS, n_rows)
        fold = np.random.default_rng(seed).permutation(n_rows) % n_folds
        prior = targets.mean(axis=0) if weight is None else weighted.mean(axis=0)
        fold_prior = _fold_priors(targets, weight, fold, n_folds)
        encoded = np.empty((n_rows, len(cardinalities) * n_outputs), dtype=np.float32)
        self._tables = []
        for j, cardinality in enumerate(cardinalities):
            size = cardinality + 1
            cell = fold * size + _positions(codes[:, j], size)
            length = n_folds * size
            counts = np.bincount(cell, weights=weight, minlength=length).reshape(n_folds, size).astype(np.float64)
            sums = np.stack(
                [np.bincount(cell, weights=target, minlength=length).reshape(n_folds, size) for target in weighted.T], axis=2
            )
            total_count, total_sum = counts.sum(axis=0), sums.sum(axis=0)
            self._tables.append(_smooth(total_sum, total_count, prior))
            others = _smooth(total_sum - sums, np.maximum(total_count - counts, 0.0), fold_prior[:, None, :])
            encoded[:, j * n_outputs : (j + 1) * n_outputs] = others.reshape(length, n_outputs)[cell]
        return encoded

    @property
    def tables(self) -> list[np.ndarray]:
        """Statistics of each coded column, float32 of shape (levels + 2, m): missing, other, then the levels."""
        return self._tables

    def transform(self, codes: np.ndarray) -> np.ndarray:
        """Encode rows that the statistics were not learned from.

        Parameters
        ----------
        codes : ndarray of shape (n, q), integers

        Returns
        -------
        ndarray of shape (n, q * m), float32
        """
        encoded = np.empty((len(codes), len(self._tables) * self.n_outputs_), dtype=np.float32)
        for j, table in enumerate(self._tables):
            encoded[:, j * self.n_outputs_ : (j + 1) * self.n_outputs_] = table[_positions(codes[:, j], len(table))]
        return encoded

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The state as arrays to be saved without objects."""
        width = self.n_outputs_
        stacked = np.concatenate(self._tables) if self._tables else np.zeros((0, width), dtype=np.float32)
        return {
            "n_outputs": np.array(width, dtype=np.int64),
            "sizes": np.array([len(table) for table in self._tables], dtype=np.int64),
            "statistics": stacked,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> TargetEncoder:
        """Restore what `to_arrays` gave."""
        encoder = cls()
        encoder.n_outputs_ = int(arrays["n_outputs"])
        encoder._tables = np.split(arrays["statistics"], np.cumsum(arrays["sizes"])[:-1]) if len(arrays["sizes"]) else []
        return encoder


def _targets(y: np.ndarray, task: Task, n_classes: int) -> np.ndarray:
    """What is averaged, shape (n, m), float64."""
    if task == "regression":
        return y.astype(np.float64)[:, None]
    if n_classes > MAX_CLASSES:
        classes = np.array([np.bincount(y.astype(np.int64), minlength=n_classes).argmax()])
    else:
        classes = np.arange(1, max(n_classes, 2))
    return np.asarray(y[:, None] == classes, dtype=np.float64)


def _mean_one(weight: np.ndarray | None) -> np.ndarray | None:
    """Weights scaled to mean 1, float64; None where they are all equal or all zero, so that nothing depends on rounding."""
    if weight is None:
        return None
    weight = np.asarray(weight, dtype=np.float64)
    mean = weight.mean()
    return weight / mean if mean > 0 and np.ptp(weight) > 0 else None


def _fold_priors(targets: np.ndarray, weight: np.ndarray | None, fold: np.ndarray, n_folds: int) -> np.ndarray:
    """Mean target of the rows outside each fold, shape (n_folds, m); a single row has no others and keeps its own."""
    if n_folds == 1:
        return np.asarray(targets.mean(axis=0, keepdims=True))
    others = [fold != number for number in range(n_folds)]
    # Where the others weigh nothing they count alike.
    shares = [None if weight is None or not weight[rows].any() else weight[rows] for rows in others]
    return np.stack(
        [
            np.average(targets[r], axis=0, weights=w) if w is not None else targets[r].mean(axis=0)
            for r, w in zip(others, shares, strict=True)
        ]
    )


def _positions(codes: np.ndarray, size: int) -> np.ndarray:
    """Rows of a table of statistics: missing first, then code 0 and up; codes beyond the table are "other"."""
    known = np.where(codes < size - 1, codes, OTHER)
    return np.asarray(known, dtype=np.int64) - MISSING


def _smooth(sums: np.ndarray, counts: np.ndarray, prior: np.ndarray) -> np.ndarray:
    return np.asarray((sums + SMOOTHING * prior) / (counts[..., None] + SMOOTHING), dtype=np.float32)
