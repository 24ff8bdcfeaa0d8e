"""Which generated columns are found, and that none are where there is nothing to find."""

import numpy as np
import pytest

from modelwright.features.generated_candidates import KINDS, candidates
from modelwright.features.generated_screen import generate
from modelwright.features.matrix import Layout, Matrix


def rows(numeric: np.ndarray, codes: np.ndarray | None = None, levels: tuple[int, ...] = (), text: int = 0) -> Matrix:
    codes = np.zeros((len(numeric), 0), dtype=np.int32) if codes is None else codes.astype(np.int32)
    names = tuple(f"x{j}" for j in range(numeric.shape[1]))
    return Matrix(
        numeric.astype(np.float32), codes, None, Layout(names, tuple(f"c{j}" for j in range(codes.shape[1])), levels, 0, text)
    )


def made(X, y, **options):
    return generate(X, y, **({"task": "regression", "n_classes": 0, "seed": 0} | options))


def test_a_planted_ratio_is_found():
    rng = np.random.default_rng(0)
    numeric = rng.uniform(1, 10, (1500, 4))
    y = numeric[:, 0] / numeric[:, 1] + 0.1 * rng.normal(size=1500)
    generator, X = made(rows(numeric), y)
    assert generator is not None
    assert {"x0 / x1", "x1 / x0"} & set(generator.recipe.names)
    assert X.layout.numeric == (*rows(numeric).layout.numeric, *generator.recipe.names)
    assert generator.transform(rows(numeric)).layout == X.layout


def test_a_planted_cross_of_categories_is_found():
    rng = np.random.default_rng(0)
    codes = rng.integers(1, 9, (2400, 3))
    effect = rng.normal(size=(9, 9))
    y = (effect[codes[:, 0], codes[:, 1]] + 0.5 * rng.normal(size=2400) > 0).astype(np.int64)
    generator, _ = made(rows(rng.normal(size=(2400, 1)), codes, (9, 9, 9)), y, task="binary", n_classes=2)
    assert generator is not None
    assert any(set(name.removeprefix("mean of target by ").split(" x ")) == {"c0", "c1"} for name in generator.recipe.names)


def test_a_number_that_counts_against_its_group_is_found():
    rng = np.random.default_rng(0)
    group = rng.integers(1, 13, 2000)
    level = rng.normal(0, 30, 13)[group]
    x = level + rng.normal(size=2000)
    y = x - level + 0.1 * rng.normal(size=2000)
    generator, _ = made(rows(x[:, None], group[:, None], (13,)), y)
    assert generator is not None
    assert "x0 - mean of x0 by c0" in generator.recipe.names


@pytest.mark.parametrize(("task", "n_classes"), [("binary", 2), ("regression", 0), ("multiclass", 4)])
def test_noise_generates_nothing(task, n_classes):
    rng = np.random.default_rng(1)
    X = rows(rng.normal(size=(800, 4)), rng.integers(0, 30, (800, 3)), (30, 30, 30))
    y = rng.normal(size=800) if task == "regression" else rng.integers(0, n_classes, 800)
    generator, same = made(X, y, task=task, n_classes=n_classes)
    assert generator is None
    assert same is X


@pytest.mark.parametrize("y", [np.zeros(400), np.full(400, 3.5)], ids=["zero", "constant"])
def test_a_constant_target_generates_nothing(y):
    assert made(rows(np.random.default_rng(0).normal(size=(400, 3))), y)[0] is None


def test_few_rows_and_clustering_generate_nothing():
    rng = np.random.default_rng(0)
    assert made(rows(rng.normal(size=(50, 3))), rng.normal(size=50))[0] is None
    assert made(rows(rng.normal(size=(500, 3))), None, task="clustering")[0] is None


def test_the_same_seed_chooses_the_same_columns():
    rng = np.random.default_rng(0)
    numeric = rng.uniform(1, 10, (900, 4))
    y = numeric[:, 0] * numeric[:, 1] - numeric[:, 2]
    one, two = (made(rows(numeric), y, seed=3) for _ in range(2))
    assert one[0] is not None
    assert one[0].recipe == two[0].recipe
    assert one[1].numeric.tobytes() == two[1].numeric.tobytes()


def test_no_more_columns_than_asked_for():
    rng = np.random.default_rng(0)
    numeric = rng.uniform(1, 10, (900, 4))
    generator, _ = made(rows(numeric), numeric[:, 0] / numeric[:, 1], max_columns=2)
    assert generator is not None
    assert 1 <= len(generator.recipe.names) <= 2


def test_columns_from_text_take_no_part():
    rng = np.random.default_rng(0)
    X = rows(rng.normal(size=(300, 3)), rng.integers(0, 9, (300, 2)), (9, 9), text=1)
    recipe = candidates(X, np.full(5, 0.2), task="regression", n_classes=0)
    assert recipe.n_numeric == 2
    assert not any("x2" in name for name in recipe.names)


def test_only_the_kinds_asked_for_are_built_and_names_differ():
    rng = np.random.default_rng(0)
    X = rows(np.column_stack([rng.normal(size=(400, 3)), rng.integers(0, 5, 400)]), rng.integers(0, 12, (400, 2)), (12, 12))
    gain = np.full(6, 1 / 6)
    recipes = {kind: candidates(X, gain, task="regression", n_classes=0, kinds=(kind,)) for kind in KINDS}
    names = [name for recipe in recipes.values() for name in recipe.names]
    assert all(recipe.names for recipe in recipes.values())
    assert len(set(names)) == len(names)
    assert set(candidates(X, gain, task="regression", n_classes=0).names) == set(names)
    assert all(" by " not in name for name in recipes["arithmetic"].names)
    assert recipes["target"].names == ("mean of target by c0", "mean of target by c1")


def test_candidates_do_not_grow_with_the_width_of_the_table():
    X = rows(np.random.default_rng(0).normal(size=(300, 400)))
    assert len(candidates(X, np.full(400, 1 / 400), task="regression", n_classes=0).names) < 400


def test_more_classes_than_can_be_encoded_have_no_target_means():
    X = rows(np.random.default_rng(0).normal(size=(400, 2)), np.random.default_rng(1).integers(0, 12, (400, 2)), (12, 12))
    names = candidates(X, np.full(4, 0.25), task="multiclass", n_classes=11).names
    assert names
    assert not any("class" in name or "target" in name for name in names)
