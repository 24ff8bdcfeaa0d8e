"""Dense coding: what each column becomes, and that nothing of the new rows leaks into it."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.features.dense import DenseCoder
from modelwright.features.matrix import Layout, Matrix


def matrix(numeric: list[list[float]], codes: list[list[int]] | None = None, *, text_components: int = 0) -> Matrix:
    numbers = np.array(numeric, dtype=np.float32)
    levels = np.zeros((len(numbers), 0), dtype=np.int32) if codes is None else np.array(codes, dtype=np.int32)
    layout = Layout(
        tuple(f"x{j}" for j in range(numbers.shape[1])),
        tuple(f"c{j}" for j in range(levels.shape[1])),
        tuple(int(levels[:, j].max()) + 1 for j in range(levels.shape[1])),
        text_components=text_components,
    )
    return Matrix(numbers, levels, None, layout)


def test_standard_scaling_gives_mean_zero_and_deviation_one() -> None:
    coded = DenseCoder().fit_transform(matrix([[1.0], [2.0], [3.0]]))

    assert coded[:, 0].tolist() == pytest.approx([-1.224744871391589, 0.0, 1.224744871391589])


def test_missing_cell_becomes_the_median_and_raises_its_indicator() -> None:
    coder = DenseCoder().fit(matrix([[1.0], [2.0], [9.0], [np.nan]]))

    coded = coder.transform(matrix([[np.nan], [2.0]]))

    assert coded.shape == (2, 2)
    assert coded[0, 0] == coded[1, 0]
    assert coded[:, 1].tolist() == [1.0, 0.0]


def test_column_without_missing_cells_has_no_indicator() -> None:
    coder = DenseCoder().fit(matrix([[1.0], [2.0], [9.0]]))

    assert coder.transform(matrix([[np.nan]])).shape == (1, 1)


def test_constant_and_empty_columns_are_left_out() -> None:
    assert DenseCoder().fit_transform(matrix([[5.0, np.nan], [5.0, np.nan]], [[1], [1]])).shape == (2, 0)


def test_robust_scaling_bends_outliers_into_three() -> None:
    coder = DenseCoder(scaling="robust").fit(matrix([[float(i)] for i in range(100)]))

    coded = coder.transform(matrix([[1e30], [-1e30], [49.5]]))[:, 0]

    assert coded.tolist() == pytest.approx([3.0, -3.0, 0.0])


@pytest.mark.parametrize("skew", ["quantile", "log"])
def test_skewed_column_is_straightened(skew: str) -> None:
    values = np.exp(2.0 * np.random.default_rng(0).normal(size=2000))
    coder = DenseCoder(skew=skew)  # type: ignore[arg-type]

    coded = coder.fit_transform(matrix([[v] for v in values]))[:, 0]

    assert abs(np.mean(((coded - coded.mean()) / coded.std()) ** 3)) < 1.5
    assert (np.diff(coded[np.argsort(values)]) >= 0).all()


def test_levels_become_one_hot_columns_and_unseen_levels_none() -> None:
    coder = DenseCoder().fit(matrix([[0.0]] * 6, [[1], [1], [1], [2], [2], [-1]]))

    coded = coder.transform(matrix([[0.0]] * 4, [[1], [2], [-1], [0]]))

    assert coded.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_only_the_most_frequent_levels_are_kept() -> None:
    codes = [[1]] * 5 + [[2]] * 4 + [[3]] * 3 + [[4]] * 2

    coder = DenseCoder(max_levels=2).fit(matrix([[0.0]] * 14, codes))

    assert coder.level_code_.tolist() == [1, 2]


def test_many_levels_get_a_target_encoding_out_of_fold() -> None:
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(1, 101), 2)[:, None]
    noise = generator.normal(size=200)
    X = matrix([[0.0]] * 200, codes.tolist())

    coded = DenseCoder(max_levels=2).fit_transform(X, noise, task="regression")

    assert coded.shape[1] == 3
    # A level's mean over two rows follows its own noise; out of fold that must not show.
    assert np.corrcoef(coded[:, -1], noise)[0, 1] < 0.1


def test_text_components_can_be_left_out() -> None:
    X = matrix([[1.0, 5.0], [2.0, 7.0], [4.0, 1.0]], text_components=1)

    assert DenseCoder(text_components=False).fit_transform(X).shape == (3, 1)


def test_columns_are_capped_by_the_number_of_cells() -> None:
    codes = [[1 + i % 50] for i in range(100)]

    coded = DenseCoder(max_cells=1000).fit_transform(matrix([[0.0]] * 100, codes), np.arange(100.0), task="regression")

    assert coded.shape == (100, 10)


def test_restored_coder_gives_the_same_bits() -> None:
    generator = np.random.default_rng(1)
    X = matrix(np.exp(generator.normal(size=(60, 3))).tolist(), generator.integers(-1, 20, (60, 2)).tolist())
    y = generator.integers(0, 3, 60)
    coder = DenseCoder(scaling="robust", skew="quantile", max_levels=5).fit(X, y, task="multiclass", n_classes=3)

    restored = DenseCoder.from_arrays(coder.to_arrays())

    assert np.array_equal(restored.transform(X), coder.transform(X))
    assert len(restored.sources(3)) == restored.n_columns
