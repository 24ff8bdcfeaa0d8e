"""What generated columns promise."""

import numpy as np
import polars as pl
import pytest

from modelwright.errors import BundleError
from modelwright.features.encoder import Encoder
from modelwright.features.generated import Generator, Key, Pair, Recipe, Statistic
from modelwright.features.matrix import Layout, Matrix
from modelwright.tables.schema import Column, Schema

FIXED = {"task": "regression", "n_classes": 0, "seed": 0}
CITY = Key("city", 0, 4)
KIND = Key("kind", 1, 3)
AGE = Key("age", 0, 4, edges=(30.0, 60.0))


def matrix(numeric, codes=None, names=("age", "price"), text=0) -> Matrix:
    numeric = np.array(numeric, dtype=np.float32)
    codes = np.zeros((len(numeric), 0)) if codes is None else np.array(codes)
    return Matrix(
        numeric,
        codes.astype(np.int32),
        None,
        Layout(names, ("city", "kind")[: codes.shape[1]], (3, 2)[: codes.shape[1]], 0, text),
    )


def learned(recipe, X, y=None, weight=None, **options):
    y = np.zeros(X.n_rows) if y is None else np.asarray(y, dtype=np.float64)
    return Generator.learn(recipe, X, y, weight, **(FIXED | options))


def random_rows(n=300, seed=0) -> tuple[Matrix, np.ndarray]:
    """Rows with missing cells in every column."""
    rng = np.random.default_rng(seed)
    numeric = rng.normal(50, 20, (n, 2)).astype(np.float32)
    numeric[rng.random((n, 2)) < 0.1] = np.nan
    numeric[rng.random(n) < 0.1, 1] = 0.0
    return matrix(numeric, np.column_stack([rng.integers(-1, 3, n), rng.integers(-1, 2, n)])), rng.normal(size=n)


EVERYTHING = Recipe(
    n_numeric=2,
    keys=(CITY, KIND, AGE),
    statistics=(
        Statistic("mean of target by city x kind", "target", (0, 1)),
        Statistic("mean of target by age x city", "target", (2, 0)),
        Statistic("mean of price by city", "mean", (0,), 1),
        Statistic("share of rows by kind", "share", (1,)),
    ),
    shown=(0, 1, 3),
    pairs=(
        Pair("age / price", "/", 0, 1),
        Pair("price - mean of price by city", "-", 1, 4),
        Pair("age * price", "*", 0, 1),
        Pair("age + price", "+", 0, 1),
        Pair("price / mean of price by city", "/", 1, 4),
    ),
)


def test_pairs_are_what_their_names_say():
    recipe = Recipe(2, pairs=tuple(Pair(f"age {op} price", op, 0, 1) for op in "+-*/"))
    generator, _ = learned(recipe, matrix([[1, 2]]))
    assert generator.generate(np.array([[8, 4]], dtype=np.float32), np.zeros((1, 0))).tolist() == [[12, 4, 32, 2]]


def test_division_by_zero_and_missing_cells_are_missing_and_nothing_is_infinite():
    recipe = Recipe(2, pairs=(Pair("age / price", "/", 0, 1), Pair("age * price", "*", 0, 1)))
    generator, _ = learned(recipe, matrix([[1, 2]]))
    found = generator.generate(np.array([[1, 0], [0, 0], [np.nan, 1], [3e38, 3e38]], dtype=np.float32), np.zeros((4, 0)))
    assert np.isnan(found[:3, 0]).all()
    assert found[3].tolist() == [1.0, np.float32(3e38)]


def test_target_means_of_crossed_categories_are_smoothed():
    X = matrix(np.zeros((30, 2)), [[1, 1]] * 10 + [[2, 1]] * 20)
    recipe = Recipe(2, (CITY, KIND), (Statistic("t", "target", (0, 1)),), (0,))
    generator, _ = learned(recipe, X, [3.0] * 10 + [0.0] * 20)
    codes = np.array([[1, 1], [2, 1], [2, 0], [-1, -1], [99, 1]])
    # Prior 1; (30 + 10) / 20, 10 / 30; cells never seen have the prior; an unknown level counts as "other".
    np.testing.assert_allclose(
        generator.generate(np.zeros((5, 2), dtype=np.float32), codes)[:, 0], [2, 1 / 3, 1, 1, 1], rtol=1e-6
    )


def test_numbers_fall_into_bins_and_missing_ones_into_a_bin_of_their_own():
    X = matrix([[10, 0]] * 10 + [[30, 0]] * 10 + [[80, 0]] * 10 + [[np.nan, 0]] * 10)
    recipe = Recipe(2, (AGE,), (Statistic("share", "share", (0,)), Statistic("t", "target", (0,))), (0, 1))
    generator, _ = learned(recipe, X, [0.0] * 10 + [4.0] * 10 + [8.0] * 10 + [12.0] * 10)
    cells = np.array([[29.9, 0], [30, 0], [60, 0], [np.nan, 0]], dtype=np.float32)
    found = generator.generate(cells, np.zeros((4, 0)))
    assert found[:, 0].tolist() == [0.25] * 4
    assert found[:, 1].tolist() == [3.0, 5.0, 7.0, 9.0]  # half way to the mean, 6


def test_own_target_is_no_part_of_a_training_row():
    X, y = random_rows()
    loud = y.copy()
    loud[7] = 1e5
    one, two = learned(EVERYTHING, X, y)[1], learned(EVERYTHING, X, loud)[1]
    np.testing.assert_allclose(one[7], two[7], rtol=1e-4)
    assert np.nanmax(np.abs(one - two)) > 100


def test_training_rows_differ_from_others_in_target_means_only():
    X, y = random_rows()
    generator, training = learned(EVERYTHING, X, y)
    others = generator.generate(X.numeric, X.codes)
    assert (training[:, :2] != others[:, :2]).any()
    assert training[:, 2:].tobytes() == others[:, 2:].tobytes()


def test_weights_are_heard():
    X, y = random_rows()
    weight = np.where(np.arange(300) < 100, 0.0, 2.0)
    loud = np.where(weight > 0, y, 1e6)
    one, two = (learned(EVERYTHING, X, target, weight)[0].generate(X.numeric, X.codes) for target in (y, loud))
    assert one.tobytes() == two.tobytes()


def test_one_row_equals_the_batch_bit_for_bit(monkeypatch):
    X, y = random_rows()
    generator, _ = learned(EVERYTHING, X, y)
    batch = generator.generate(X.numeric, X.codes)
    rows = [generator.generate(X.numeric[i : i + 1], X.codes[i : i + 1]) for i in range(X.n_rows)]
    assert np.concatenate(rows).tobytes() == batch.tobytes()
    monkeypatch.setattr("modelwright.features.generated._BLOCK_ROWS", 7)
    assert generator.generate(X.numeric, X.codes).tobytes() == batch.tobytes()


def test_generated_columns_stand_before_text_components():
    X = matrix(np.arange(9).reshape(3, 3), names=("age", "price", "note.topic_1"), text=1)
    generator, _ = learned(Recipe(2, pairs=(Pair("sum", "+", 0, 1),)), X)
    extended = generator.transform(X)
    assert extended.layout.numeric == ("age", "price", "sum", "note.topic_1")
    assert extended.layout.text_components == 1
    assert extended.numeric.tolist() == [[0, 1, 1, 2], [3, 4, 7, 5], [6, 7, 13, 8]]


def test_classes_have_a_column_each():
    X = matrix(np.zeros((40, 2)), [[1, 1]] * 40)
    recipe = Recipe(2, (CITY,), (Statistic("b", "target", (0,), 0), Statistic("c", "target", (0,), 1)), (0, 1))
    y = np.array([0] * 20 + [1] * 15 + [2] * 5)
    generator, training = learned(recipe, X, y, task="multiclass", n_classes=3)
    assert generator.generate(X.numeric[:1], X.codes[:1]).tolist() == [[0.375, 0.125]]
    assert training.shape == (40, 2)


def test_recipe_of_some_columns_gives_the_same_values():
    X, y = random_rows()
    everything, _ = learned(EVERYTHING, X, y)
    names = {"price - mean of price by city", "mean of target by age x city", "age * price"}
    some = EVERYTHING.only(names)
    assert set(some.names) == names
    assert len(some.statistics) == 2
    assert {key.name for key in some.keys} == {"age", "city"}
    fewer, _ = learned(some, X, y)
    columns = [EVERYTHING.names.index(name) for name in some.names]
    np.testing.assert_array_equal(fewer.generate(X.numeric, X.codes), everything.generate(X.numeric, X.codes)[:, columns])


def test_restored_generator_gives_the_same_bits(tmp_path):
    X, y = random_rows()
    generator, _ = learned(EVERYTHING, X, y)
    generator.save(tmp_path)
    restored = Generator.load(tmp_path)
    assert restored is not None
    assert restored.recipe == generator.recipe
    assert restored.generate(X.numeric, X.codes).tobytes() == generator.generate(X.numeric, X.codes).tobytes()


@pytest.mark.parametrize("name", ["generated.json", "generated.npz"])
def test_damaged_files_are_refused(tmp_path, name):
    generator, _ = learned(EVERYTHING, *random_rows())
    generator.save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="generated columns"):
        Generator.load(tmp_path)


def test_table_of_another_recipe_is_refused(tmp_path):
    X, y = random_rows()
    generator, _ = learned(EVERYTHING, X, y)
    generator.save(tmp_path)
    table = (tmp_path / "generated.npz").read_bytes()
    learned(EVERYTHING.only({"share of rows by kind"}), X, y)[0].save(tmp_path)
    (tmp_path / "generated.npz").write_bytes(table)
    with pytest.raises(BundleError, match="does not fit"):
        Generator.load(tmp_path)


@pytest.fixture
def encoded() -> tuple[pl.DataFrame, Encoder]:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "price": rng.normal(100, 10, 80),
            "city": rng.choice(["a", "b", "c"], 80),
            "rooms": rng.integers(1, 6, 80).astype(float),
            "note": rng.choice(["good view", "bad street noise", "good street", "large garden view"], 80),
        }
    )
    schema = Schema(
        (
            Column("price", "number", "feature"),
            Column("city", "category", "feature"),
            Column("rooms", "number", "feature"),
            Column("note", "text", "text"),
        )
    )
    return frame, Encoder.fit(frame, schema)


def with_columns(frame: pl.DataFrame, encoder: Encoder) -> Encoder:
    X = encoder.transform(frame)
    p = X.numeric.shape[1] - X.layout.text_components
    recipe = Recipe(
        p,
        (Key("city", 0, X.layout.cardinalities[0] + 1),),
        (Statistic("mean of price by city", "mean", (0,), 0),),
        (),
        (Pair("price - mean of price by city", "-", 0, p), Pair("price / rooms", "/", 0, 1)),
    )
    return encoder.with_generator(learned(recipe, X)[0])


def test_encoder_with_a_generator_is_an_encoder(encoded, tmp_path):
    frame, plain = encoded
    encoder = with_columns(frame, plain)
    X = encoder.transform(frame)
    assert X.layout == encoder.layout
    assert X.numeric.shape[1] == len(X.layout.numeric) == len(plain.layout.numeric) + 2
    assert X.layout.text_components == plain.layout.text_components > 0
    assert set(encoder.origins) == {*X.layout.numeric, *X.layout.codes}
    assert encoder.origins["price - mean of price by city"] == ("price", "city")
    assert encoder.origins["price / rooms"] == ("price", "rooms")
    assert encoder.origins["city"] == ("city",)
    assert encoder.sources == plain.sources
    encoder.save(tmp_path)
    loaded = Encoder.load(tmp_path)
    assert loaded.layout == encoder.layout
    assert loaded.transform(frame).numeric.tobytes() == X.numeric.tobytes()
    row = loaded.transform(frame.slice(5, 1))
    assert row.numeric.tobytes() == X.numeric[5:6].tobytes()


def test_encoder_saved_again_without_its_generator_forgets_it(encoded, tmp_path):
    frame, plain = encoded
    with_columns(frame, plain).save(tmp_path)
    plain.save(tmp_path)
    assert Encoder.load(tmp_path).layout == plain.layout
