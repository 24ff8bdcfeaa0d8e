"""What texts say of the target: out of fold for the rows it is learned from, and the same in any batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from modelwright.features.encoder import Encoder
from modelwright.features.text import TextVectors
from modelwright.features.text_scores import FEWEST_ROWS, MAX_CLASSES, learn_scores
from modelwright.tables.schema import Column, Schema

WORDS = np.array([f"word{k}" for k in range(400)])
SCHEMA = Schema((Column("price", "number", "feature"), Column("note", "text", "text")))


def notes(n: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts of twelve words, of which some mean yes and some no, and a target that follows them mostly."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(WORDS), (n, 12))
    says = (drawn < 20).sum(axis=1) - ((drawn >= 20) & (drawn < 40)).sum(axis=1)
    return [" ".join(WORDS[row]) for row in drawn], (says + rng.normal(size=n) > 0).astype(np.int64)


def table(n: int = 600) -> tuple[pl.DataFrame, np.ndarray]:
    cells, y = notes(n)
    rng = np.random.default_rng(1)
    return pl.DataFrame({"price": rng.normal(size=n), "note": [None if k % 50 == 7 else c for k, c in enumerate(cells)]}), y


def scored(n: int = 600) -> tuple[Encoder, object, pl.DataFrame, np.ndarray]:
    frame, y = table(n)
    encoder = Encoder.fit(frame, SCHEMA)
    encoder, X = encoder.with_text_scores(encoder.transform(frame), y, task="binary", n_classes=2, seed=0)
    return encoder, X, frame, y


def auc(y: np.ndarray, score: np.ndarray) -> float:
    order = np.argsort(np.argsort(score))
    n_yes = y.sum()
    return float((order[y == 1].sum() - n_yes * (n_yes - 1) / 2) / (n_yes * (len(y) - n_yes)))


def test_scores_tell_the_target_of_rows_they_have_not_seen() -> None:
    encoder, _, _, _ = scored(3000)
    cells, y = notes(2000, seed=5)
    later = encoder.transform(pl.DataFrame({"price": np.zeros(2000), "note": cells}))
    assert auc(y, later.numeric[:, -1]) > 0.7


def test_scores_of_the_rows_they_are_learned_from_are_no_better_than_later_ones() -> None:
    cells, _ = notes(1500)
    noise = np.random.default_rng(2).integers(0, 2, 1500)
    weights = TextVectors.fit(cells).weigh(cells)
    found = learn_scores(weights, noise, None, task="binary", n_classes=2, seed=0)
    assert found is not None
    coefficients, scores = found
    assert auc(noise, np.asarray(weights @ coefficients)[:, 0]) > 0.9, "in sample, the words seem to tell everything"
    assert abs(auc(noise, scores[:, 0]) - 0.5) < 0.06, "out of fold they tell nothing"


def test_cells_with_the_same_words_are_scored_by_a_model_that_has_seen_none_of_them() -> None:
    cells, _ = notes(300)
    noise = np.tile(np.random.default_rng(2).integers(0, 2, 300), 5)
    weights = TextVectors.fit(cells * 5).weigh(cells * 5)
    found = learn_scores(weights, noise, None, task="binary", n_classes=2, seed=0)
    assert found is not None
    assert abs(auc(noise, found[1][:, 0]) - 0.5) < 0.12


def test_names_places_and_missing_cells() -> None:
    encoder, X, frame, _ = scored()
    plain = Encoder.fit(frame, SCHEMA)
    assert encoder.layout.numeric == (*plain.layout.numeric, "note.score_1")
    assert encoder.layout.text_components == plain.layout.text_components + 1, "who reads the terms leaves it out"
    assert encoder.origins["note.score_1"] == ("note",)
    missing = frame["note"].is_null().to_numpy()
    assert np.isnan(X.numeric[missing, -1]).all()
    assert not np.isnan(X.numeric[~missing, -1]).any()
    np.testing.assert_array_equal(X.numeric[:, :-1], plain.transform(frame).numeric)


def test_read_back_and_row_by_row_the_bits_are_the_same(tmp_path: Path) -> None:
    encoder, _, frame, _ = scored()
    encoder.save(tmp_path)
    again = Encoder.load(tmp_path)
    whole = encoder.transform(frame).numeric
    np.testing.assert_array_equal(again.transform(frame).numeric, whole)
    encode = again.row_encoder({"price": 0, "note": 1})
    for k in (0, 7, 311):
        np.testing.assert_array_equal(encode(frame.row(k)).numeric, whole[k : k + 1])


@pytest.mark.parametrize(("task", "n_classes", "k"), [("multiclass", 4, 4), ("regression", 0, 1), ("binary", 2, 1)])
def test_a_score_for_each_class(task: str, n_classes: int, k: int) -> None:
    frame, _ = table()
    rng = np.random.default_rng(0)
    y = rng.normal(size=600) if task == "regression" else rng.integers(0, n_classes, 600)
    encoder = Encoder.fit(frame, SCHEMA)
    richer, X = encoder.with_text_scores(
        encoder.transform(frame), y, rng.random(600), task=task, n_classes=n_classes, seed=0  # type: ignore[arg-type]
    )  # fmt: skip
    assert len(richer.layout.numeric) == len(encoder.layout.numeric) + k == X.numeric.shape[1]


def test_two_texts_have_scores_of_their_own_behind_their_components() -> None:
    frame, y = table()
    frame = frame.with_columns(title=pl.Series(notes(600, seed=9)[0]), taken=pl.lit(1.0))
    schema = Schema((*SCHEMA.columns, Column("title", "text", "text")))
    encoder = Encoder.fit(frame, schema)
    richer, X = encoder.with_text_scores(encoder.transform(frame), y, task="binary", n_classes=2, seed=0)
    names = richer.layout.numeric
    assert [name for name in names if "score" in name] == ["note.score_1", "title.score_1"]
    assert names.index("note.score_1") < names.index("title.topic_1")
    tell = {name: abs(auc(y, np.nan_to_num(X.numeric[:, names.index(name)])) - 0.5) for name in names if "score" in name}
    assert tell["note.score_1"] > 0.1 > tell["title.score_1"]
    later = richer.transform(frame).numeric
    place = names.index("title.topic_1")
    np.testing.assert_array_equal(later[:, place], X.numeric[:, place])


def test_rows_without_weight_are_as_if_they_were_not_there() -> None:
    cells, y = notes(600)
    weights = TextVectors.fit(cells).weigh(cells)
    turned = np.concatenate([y[:400], 1 - y[400:]])
    found = learn_scores(weights, turned, np.repeat([1.0, 0.0], [400, 200]), task="binary", n_classes=2, seed=0)
    assert found is not None
    assert auc(y, np.asarray(weights @ found[0])[:, 0]) > 0.7
    assert learn_scores(weights, y, np.zeros(600), task="binary", n_classes=2, seed=0) is not None


def test_nothing_is_learned_from_few_rows_many_classes_or_no_text() -> None:
    cells, y = notes(FEWEST_ROWS - 1)
    assert learn_scores(TextVectors.fit(cells).weigh(cells), y, None, task="binary", n_classes=2, seed=0) is None
    cells, _ = notes(600)
    many = np.arange(600) % (MAX_CLASSES + 1)
    weights = TextVectors.fit(cells).weigh(cells)
    assert learn_scores(weights, many, None, task="multiclass", n_classes=MAX_CLASSES + 1, seed=0) is None
    frame = pl.DataFrame({"price": np.random.default_rng(0).normal(size=100)})
    encoder = Encoder.fit(frame, Schema(SCHEMA.columns[:1]))
    same, _ = encoder.with_text_scores(encoder.transform(frame), np.arange(100) % 2, task="binary", n_classes=2, seed=0)
    assert same is encoder
