"""k-means: clusters found, numbered by size, and compared in the learned scaling."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.features.matrix import Layout, Matrix
from modelwright.learners.baseline import Constant, MedianSplit
from modelwright.learners.kmeans import KMeans, MiniBatchKMeans, cluster_space


def matrix(values: np.ndarray) -> Matrix:
    layout = Layout(tuple(f"x{j}" for j in range(values.shape[1])), (), ())
    return Matrix(values.astype(np.float32), np.zeros((len(values), 0), dtype=np.int32), None, layout)


def blobs() -> tuple[Matrix, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [100, 60, 30])
    centres = np.array([[0.0, 0.0], [5.0, 5.0], [0.0, 6.0]])
    return matrix(centres[truth] + 0.3 * generator.normal(size=(190, 2))), truth


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
@pytest.mark.parametrize("seed", [0, 1])
def test_clusters_are_found_and_numbered_by_size_whatever_the_seed(kind: type[KMeans], seed: int) -> None:
    X, truth = blobs()
    learner = kind({"n_clusters": 3}, task="clustering", seed=seed)

    learner.fit(X, None)

    assert np.array_equal(learner.predict(X), truth)


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
def test_fewer_distinct_rows_than_clusters_are_told(kind: type[KMeans]) -> None:
    X = matrix(np.array([[0.0], [0.0], [1.0], [1.0], [1.0]]))

    learner = kind({"n_clusters": 4}, task="clustering")
    result = learner.fit(X, None)

    assert result.notes == ["Only 2 clusters: there are no more distinct rows."]
    assert learner.predict(X).tolist() == [1, 1, 0, 0, 0]


def test_columns_that_do_not_vary_give_one_cluster() -> None:
    learner = KMeans(task="clustering")
    result = learner.fit(matrix(np.ones((5, 1))), None)

    assert result.notes == ["No column varies: all rows are one cluster."]
    assert learner.predict(matrix(np.array([[3.0]]))).tolist() == [0]


def test_cluster_space_is_where_distances_are_measured() -> None:
    X, truth = blobs()
    learner = KMeans({"n_clusters": 3}, task="clustering")
    learner.fit(X, None)

    space = cluster_space(learner, X)

    means = np.array([space[truth == k].mean(axis=0) for k in range(3)])
    assert means == pytest.approx(learner.centres_, abs=1e-6)


def test_baseline_split_has_a_cluster_space_and_the_constant_none() -> None:
    X, _ = blobs()
    split = MedianSplit(task="clustering")
    split.fit(X, None)

    assert cluster_space(split, X).shape == (190, 2)
    with pytest.raises(TypeError, match="measures no distances"):
        cluster_space(Constant(task="regression"), X)
