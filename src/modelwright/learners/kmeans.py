"""k-means, on all rows at once or in small batches.

Notation: n rows, d scaled columns (`features.DenseCoder`), k centres.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.features.dense import DenseCoder
from modelwright.features.matrix import Matrix
from modelwright.learners.base import Algorithm, FitResult, Hyperparameter, Learner, Validation
from modelwright.learners.fitting import prefixed, quiet_fit, read_state, unprefixed, weighted_rows, write_state
from modelwright.learners.rowwise import squared_distances

#: Rows whose distances to all centres are held at once.
_CHUNK_ROWS = 8192


class CentreModel(Learner):
    """What the two k-means share: scaling, nearest centre, stable numbering."""

    @abstractmethod
    def _model(self, n_clusters: int) -> Any: ...

    def fit(
        self,
        X: Matrix,
        y: np.ndarray | None = None,
        *,
        weight: np.ndarray | None = None,
        validation: Validation | None = None,
        time_limit_s: float | None = None,
    ) -> FitResult:
        """Find the centres; see `Learner.fit`. ``y`` and validation rows are not read."""
        rows = weighted_rows(weight, X.n_rows)
        if len(rows) < X.n_rows:
            X = X.take(rows)
        row_weight = None if weight is None else np.asarray(weight, dtype=np.float64)[rows]
        self.coder_ = DenseCoder(scaling=self.params["scaling"], max_levels=20, max_columns=500, text_components=True)
        notes: list[str] = []
        with quiet_fit(notes):
            scaled = self.coder_.fit_transform(X)
            if scaled.shape[1] == 0:
                self.centres_ = np.zeros((1, 0))
                return FitResult(n_iterations=0, notes=["No column varies: all rows are one cluster."])
            n_distinct = len(np.unique(scaled[: 100 * self.params["n_clusters"]], axis=0))
            n_clusters = min(self.params["n_clusters"], len(scaled))
            if n_distinct < n_clusters:
                n_clusters = min(n_clusters, len(np.unique(scaled, axis=0)))
            if n_clusters < self.params["n_clusters"]:
                notes.append(f"Only {n_clusters} clusters: there are no more distinct rows.")
            model = self._model(n_clusters).fit(scaled, sample_weight=row_weight)
        self.centres_ = _ordered(np.asarray(model.cluster_centers_, dtype=np.float64), scaled, row_weight)
        return FitResult(n_iterations=int(model.n_iter_), notes=notes)

    def predict(self, X: Matrix) -> np.ndarray:
        """Number of the nearest centre (the lower one of two equally near); int64 of shape (n,)."""
        return _nearest(self.coder_.transform(X), self.centres_)

    def save(self, folder: Path) -> None:
        """Write ``state.json`` and ``arrays.npz``."""
        write_state(folder, self, {"centres": self.centres_, **prefixed("coder_", self.coder_.to_arrays())})

    @classmethod
    def load(cls, folder: Path) -> CentreModel:
        """Read back what `save` wrote."""
        learner, arrays, _ = read_state(cls, folder)
        learner.centres_ = arrays["centres"]
        learner.coder_ = DenseCoder.from_arrays(unprefixed("coder_", arrays))
        return learner


def cluster_space(learner: Learner, X: Matrix) -> np.ndarray:
    """The scaled columns in which a clustering learner measures distances, for silhouette and plots.

    Parameters
    ----------
    learner : Learner
        A fitted clustering learner of this package.
    X : Matrix of n rows

    Returns
    -------
    ndarray of shape (n, d), float64
    """
    coder = getattr(learner, "coder_", None)
    if not isinstance(coder, DenseCoder):
        raise TypeError(f"{learner.algorithm.name!r} measures no distances between coded columns")
    return coder.transform(X)


def _nearest(scaled: np.ndarray, centres: np.ndarray) -> np.ndarray:
    out = np.empty(len(scaled), dtype=np.int64)
    for start in range(0, len(scaled), _CHUNK_ROWS):
        out[start : start + _CHUNK_ROWS] = squared_distances(scaled[start : start + _CHUNK_ROWS], centres).argmin(axis=1)
    return out


def _ordered(centres: np.ndarray, scaled: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Centres by weight of their rows, largest first, then by coordinates: numbers do not depend on the start."""
    sizes = np.bincount(_nearest(scaled, centres), weights=weight, minlength=len(centres))
    return centres[np.lexsort((*centres.T[::-1], -sizes))]


_SCALING = Hyperparameter(
    "scaling",
    "choice",
    "robust",
    '"robust": median and interquartile range, outliers bent into (-3, 3); "standard": mean and standard deviation.',
    choices=("robust", "standard"),
)
_N_CLUSTERS = Hyperparameter("n_clusters", "int", 8, "Number of clusters.", low=2, high=100, log=True)


class KMeans(CentreModel):
    """Lloyd's algorithm from several k-means++ starts."""

    algorithm = Algorithm(
        name="kmeans",
        title="k-means",
        tasks=("clustering",),
        minimises="Weighted sum of squared distances from each row to the nearest centre, in scaled columns.",
        trains="The coordinates of the centres, by Lloyd's algorithm from k-means++ starts, the best of n_init runs.",
        when="Round clusters of similar spread. Clusters are numbered by size, 0 the largest.",
        hyperparameters=(
            _N_CLUSTERS,
            Hyperparameter("n_init", "int", 5, "Runs from different starts; the best one is kept.", low=1, high=20),
            _SCALING,
        ),
        max_rows=100_000,
        requires="sklearn.cluster",
        reference="Lloyd, Least squares quantization in PCM, 1982; Arthur and Vassilvitskii, k-means++, SODA 2007.",
        interpretable=True,
    )

    def _model(self, n_clusters: int) -> Any:
        from sklearn.cluster import KMeans as Lloyd

        return Lloyd(n_clusters, n_init=self.params["n_init"], max_iter=300, random_state=self.seed)


class MiniBatchKMeans(CentreModel):
    """Centres moved by small batches of rows."""

    algorithm = Algorithm(
        name="minibatch_kmeans",
        title="Mini-batch k-means",
        tasks=("clustering",),
        minimises="The same sum of squared distances as k-means, by steps on random batches of rows.",
        trains="The coordinates of the centres, each a running mean of the batch rows nearest to it.",
        when="Many rows: a small loss of quality for a large gain of time.",
        hyperparameters=(
            _N_CLUSTERS,
            Hyperparameter("batch_size", "int", 2048, "Rows in a batch.", low=64, high=65536, log=True),
            Hyperparameter("n_init", "int", 3, "Random starts that are compared on a sample.", low=1, high=20),
            _SCALING,
        ),
        requires="sklearn.cluster",
        reference="Sculley, Web-scale k-means clustering, WWW 2010.",
        interpretable=True,
    )

    def _model(self, n_clusters: int) -> Any:
        from sklearn.cluster import MiniBatchKMeans as Batches

        return Batches(n_clusters, batch_size=self.params["batch_size"], n_init=self.params["n_init"], random_state=self.seed)
