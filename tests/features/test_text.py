"""What text vectors promise."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from modelwright.features import text
from modelwright.features.text import TextVectors, split_terms, text_sizes

CELLS = [
    "Free entry now, free prize!",
    "free prize now",
    "call me later",
    "will you call me later today",
    None,
    "prize entry for you",
    "",
    "unique",
]


def test_terms_are_words_and_neighbouring_pairs():
    assert split_terms("Not good, NOT bad") == ["not", "good", "not", "bad", "not good", "good not", "not bad"]


def test_marks_are_terms_but_stops_and_quotes_are_not():
    assert split_terms("Don't! 'Win' £5.")[:5] == ["don't", "!", "win", "£", "5"]


def test_weights_equal_those_of_scikit_learn():
    present = [cell for cell in CELLS if cell is not None]
    reference = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=text.TERM_PATTERN)
    expected = reference.fit_transform(present).toarray()
    vectors = TextVectors.fit(CELLS)
    order = [vectors.terms.index(term) for term in reference.get_feature_names_out()]
    assert len(order) == len(vectors.terms)
    assert vectors.weigh(present).toarray()[:, order] == pytest.approx(expected, abs=1e-6)


def test_rows_have_unit_length_or_none():
    weights = TextVectors.fit(CELLS).weigh(CELLS)
    length = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    assert length.tolist() == pytest.approx([1, 1, 1, 1, 0, 1, 0, 0], abs=1e-6)


def test_frequent_terms_stand_first_and_are_bounded(monkeypatch):
    monkeypatch.setattr(text, "MAX_TERMS", 2)
    assert TextVectors.fit(CELLS).terms == ("prize", "call")


def test_missing_cells_have_no_coordinates():
    vectors = TextVectors.fit(CELLS)
    coordinates = vectors.project(vectors.weigh(CELLS), CELLS)
    assert np.isnan(coordinates).all(axis=1).tolist() == [cell is None for cell in CELLS]
    assert coordinates[6].tolist() == [0.0] * vectors.n_components


def test_components_keep_the_distances_when_nothing_is_cut():
    vectors = TextVectors.fit(CELLS)
    present = [cell for cell in CELLS if cell]
    weights = vectors.weigh(present)
    coordinates = vectors.project(weights, present)
    assert coordinates @ coordinates.T == pytest.approx((weights @ weights.T).toarray(), abs=1e-5)


def test_sampled_fit_repeats_itself(monkeypatch):
    monkeypatch.setattr(text, "MAX_FIT_CHARACTERS", 60)
    monkeypatch.setattr(text, "MAX_SVD_CELLS", 3)
    one, two = TextVectors.fit(CELLS, seed=5), TextVectors.fit(CELLS, seed=5)
    assert one.terms == two.terms
    assert one.components.tobytes() == two.components.tobytes()


@pytest.mark.parametrize("cells", [[], [None], ["a"], ["a", "b"], ["a", "a"], ["a b"] * 3, ["", ""], ["!?", "..."]])
def test_poor_columns_are_no_error(cells):
    vectors = TextVectors.fit(cells)
    weights = vectors.weigh(cells)
    assert weights.shape == (len(cells), len(vectors.terms))
    assert vectors.project(weights, cells).shape == (len(cells), vectors.n_components)


def test_only_the_beginning_of_a_huge_cell_is_read(monkeypatch):
    monkeypatch.setattr(text, "MAX_CELL_CHARACTERS", 5)
    assert split_terms("one two three") == ["one", "t", "one t"]


def test_sizes_count_characters_and_words():
    assert np.array_equal(text_sizes(["two words", "", None]), [[9, 2], [0, 0], [np.nan, np.nan]], equal_nan=True)
