"""What target statistics promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import InvalidInputError
from modelwright.features.target_encoding import TargetEncoder


def test_statistics_are_smoothed_means():
    codes = np.array([[1]] * 10 + [[2]] * 30)
    y = np.array([1.0] * 10 + [0.0] * 30)
    encoder = TargetEncoder()
    encoder.fit_transform(codes, [3], y, task="regression", n_classes=0, seed=0)
    # prior 0.25; (10 + 10 * 0.25) / 20, (0 + 2.5) / 40; an unseen level and a missing cell get the prior.
    assert encoder.transform(np.array([[1], [2], [0], [-1]]))[:, 0].tolist() == [0.625, 0.0625, 0.25, 0.25]


def test_own_target_is_no_part_of_a_training_encoding():
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 5, size=(60, 2))
    y = rng.normal(size=60)
    changed = y.copy()
    changed[7] = 1e6
    one = TargetEncoder().fit_transform(codes, [5, 5], y, task="regression", n_classes=0, seed=1)
    two = TargetEncoder().fit_transform(codes, [5, 5], changed, task="regression", n_classes=0, seed=1)
    assert one[7].tolist() == two[7].tolist()
    assert (one != two).any()


def test_pure_noise_is_not_read_off_unique_levels():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    codes = np.arange(1, 2001)[:, None] // 2 + 1
    encoded = TargetEncoder().fit_transform(codes, [1100], y, task="binary", n_classes=2, seed=0)
    assert abs(np.corrcoef(encoded[:, 0], y)[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("task", "n_classes", "width"),
    [("regression", 0, 1), ("binary", 2, 1), ("multiclass", 3, 2), ("multiclass", 10, 9), ("multiclass", 11, 1)],
)
def test_width_follows_the_classes(task, n_classes, width):
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 4, size=(50, 3))
    y = rng.integers(0, max(n_classes, 2), 50)
    encoder = TargetEncoder()
    encoded = encoder.fit_transform(codes, [4, 4, 4], y, task=task, n_classes=n_classes, seed=0)
    assert encoded.shape == (50, 3 * width)
    assert encoded.dtype == np.float32
    assert encoder.transform(codes).shape == encoded.shape


def test_multiclass_statistics_are_frequencies_of_all_classes_but_the_first():
    codes = np.array([[1]] * 40)
    y = np.array([0] * 20 + [1] * 15 + [2] * 5)
    encoder = TargetEncoder()
    encoder.fit_transform(codes, [2], y, task="multiclass", n_classes=3, seed=0)
    assert encoder.transform(codes[:1])[0].tolist() == [0.375, 0.125]


def test_a_weighted_row_counts_like_as_many_rows():
    codes = np.array([[1], [1], [2], [2]])
    y = np.array([4.0, 0.0, 1.0, 3.0])
    weight = np.array([3.0, 1.0, 2.0, 2.0])  # of mean 2, so they count 1.5, 0.5, 1, 1
    encoder = TargetEncoder()
    encoder.fit_transform(codes, [3], y, task="regression", n_classes=0, seed=0, weight=weight)
    # prior (6 + 0 + 1 + 3) / 4 = 2.5; (6 + 25) / 12, (4 + 25) / 12
    np.testing.assert_allclose(encoder.transform(np.array([[1], [2], [0]]))[:, 0], [31 / 12, 29 / 12, 2.5], rtol=1e-6)


def test_equal_weights_change_no_bit_and_rows_of_weight_zero_are_not_heard():
    rng = np.random.default_rng(0)
    codes, y = rng.integers(-1, 5, size=(60, 2)), rng.normal(size=60)
    fixed = {"task": "regression", "n_classes": 0, "seed": 1}
    plain = TargetEncoder().fit_transform(codes, [5, 5], y, **fixed)
    equal = TargetEncoder().fit_transform(codes, [5, 5], y, weight=np.full(60, 0.1), **fixed)
    assert plain.tobytes() == equal.tobytes()
    weight = np.ones(60)
    weight[:10] = 0.0
    loud = y.copy()
    loud[:10] = 1e6
    one = TargetEncoder().fit_transform(codes, [5, 5], y, weight=weight, **fixed)
    two = TargetEncoder().fit_transform(codes, [5, 5], loud, weight=weight, **fixed)
    assert one.tobytes() == two.tobytes()


def test_restored_statistics_give_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 6, size=(80, 2))
    encoder = TargetEncoder()
    encoder.fit_transform(codes, [6, 9], rng.normal(size=80), task="regression", n_classes=0, seed=0)
    np.savez(tmp_path / "state.npz", **encoder.to_arrays())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as arrays:
        restored = TargetEncoder.from_arrays(arrays)
    unseen = np.array([[-1, 8], [5, 0], [99, 3]])
    assert restored.transform(unseen).tobytes() == encoder.transform(unseen).tobytes()


def test_no_coded_columns_give_no_numbers():
    encoder = TargetEncoder()
    empty = np.zeros((5, 0), dtype=np.int32)
    assert encoder.fit_transform(empty, [], np.arange(5.0), task="regression", n_classes=0, seed=0).shape == (5, 0)
    assert TargetEncoder.from_arrays(encoder.to_arrays()).transform(empty).shape == (5, 0)


def test_clustering_is_refused():
    with pytest.raises(InvalidInputError, match="no target"):
        TargetEncoder().fit_transform(np.zeros((2, 1)), [1], np.zeros(2), task="clustering", n_classes=0, seed=0)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(-1, 3), st.floats(-100, 100)), min_size=1, max_size=30),
    seed=st.integers(0, 5),
)
def test_encodings_stay_within_the_targets_and_repeat(rows, seed):
    codes = np.array([[code] for code, _ in rows])
    y = np.array([target for _, target in rows])
    one = TargetEncoder().fit_transform(codes, [4], y, task="regression", n_classes=0, seed=seed)
    two = TargetEncoder().fit_transform(codes, [4], y, task="regression", n_classes=0, seed=seed)
    assert one.tobytes() == two.tobytes()
    assert one.min() >= y.min() - 1e-3
    assert one.max() <= y.max() + 1e-3
