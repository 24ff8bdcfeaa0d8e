"""Arithmetic whose result for one row does not depend on the other rows of the batch.

BLAS picks other kernels, and so other orders of summation, for one row than for many: the last bits of a
prediction would depend on the batch it came in. Learners predict with these functions, which reduce every row on
its own, and use BLAS in ``fit`` only.

Notation: n rows, p columns, k outputs.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

#: Cells of the temporary product; about the size of a second-level cache.
_CHUNK_CELLS = 65_536


def row_products(X: np.ndarray, W: np.ndarray) -> np.ndarray:
    """``X @ W`` with every row summed by itself, in the same order whatever n is.

    Parameters
    ----------
    X : ndarray of shape (n, p), float64
    W : ndarray of shape (p, k), float64

    Returns
    -------
    ndarray of shape (n, k), float64
    """
    n, p = X.shape
    columns = np.ascontiguousarray(W.T, dtype=np.float64)
    out = np.zeros((n, len(columns)))
    step = max(1, _CHUNK_CELLS // max(p, 1))
    for start in range(0, n, step):
        rows = np.ascontiguousarray(X[start : start + step], dtype=np.float64)
        for output, column in enumerate(columns):
            # The last axis is contiguous, so numpy reduces each row separately (pairwise summation over p).
            out[start : start + step, output] = np.add.reduce(rows * column, axis=1)
    return out


def sparse_row_products(X: sparse.csr_matrix, W: np.ndarray) -> np.ndarray:
    """``X @ W`` for sparse rows; scipy walks the stored cells of each row in their order."""
    return np.asarray(sparse.csr_matrix(X) @ np.ascontiguousarray(W, dtype=np.float64))


def squared_distances(X: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared Euclidean distance of every row to every centre, pair by pair; shape (n, number of centres)."""
    from scipy.spatial.distance import cdist

    if centres.shape[1] == 0:
        return np.zeros((len(X), len(centres)))
    return np.asarray(cdist(X, centres, "sqeuclidean"))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of shape (n, K) from scores of that shape."""
    return row_shares(np.exp(scores - scores.max(axis=1, keepdims=True)))


def row_shares(values: np.ndarray) -> np.ndarray:
    """Every value as a share of the sum of its row, in the same bits however many rows there are; shape (n, K).

    Libraries return some tables column by column, which numpy would sum in another order than a single row.
    """
    rows = np.ascontiguousarray(values, dtype=np.float64)
    return np.asarray(rows / np.add.reduce(rows, axis=1, keepdims=True))


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow."""
    small = np.exp(-np.abs(scores))
    return np.asarray(np.where(scores >= 0, 1.0, small) / (1.0 + small))
