"""Metrics of clustering: how well the clusters separate, and how well two labelings agree."""

from __future__ import annotations

import numpy as np

#: Pairwise distances grow with the square of the rows; beyond this a seeded sample is judged.
MAX_ROWS = 5000
_SAMPLE_SEED = 20


def silhouette_rows(X: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Silhouette of each row of a seeded sample of at most `MAX_ROWS` rows, Euclidean distances.

    A row labelled -1 (noise) belongs to no cluster and has silhouette 0, so that calling hard rows noise gains
    nothing.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Numbers without NaN, scaled as the distance should see them.
    labels : ndarray of shape (n,)
        Cluster numbers.

    Returns
    -------
    ndarray of shape (min(n, 5000),)
        Values in [-1, 1]; NaN throughout if there are fewer than two clusters.
    """
    from sklearn.metrics import silhouette_samples

    if len(labels) > MAX_ROWS:
        rows = np.sort(np.random.default_rng(_SAMPLE_SEED).choice(len(labels), MAX_ROWS, replace=False))
        X, labels = X[rows], labels[rows]
    clustered = labels >= 0
    n_clusters = len(np.unique(labels[clustered]))
    if n_clusters < 2 or n_clusters >= int(clustered.sum()):
        return np.full(len(labels), np.nan)
    values = np.zeros(len(labels))
    values[clustered] = silhouette_samples(np.asarray(X[clustered], dtype=np.float64), labels[clustered])
    return values


def silhouette(X: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean silhouette; row weights are not used. NaN if there are fewer than two clusters."""
    values = silhouette_rows(X, labels)
    return float(values.mean()) if len(values) else float("nan")


def davies_bouldin(X: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean over clusters of the worst ratio of spread to separation; lower is better. Noise rows are left out."""
    from sklearn.metrics import davies_bouldin_score

    clustered = labels >= 0
    n_clusters = len(np.unique(labels[clustered]))
    if n_clusters < 2 or n_clusters >= int(clustered.sum()):
        return float("nan")
    return float(davies_bouldin_score(X[clustered], labels[clustered]))


def adjusted_rand(y: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Agreement of two labelings, 0 at chance and 1 if equal up to names; row weights are not used."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(y, labels))
