"""What each input column adds to a learner's prediction of a row.

Notation: n rows, p numeric and q coded columns, v text terms, k outputs on the learner's additive scale, K outputs of
the task.

Boosted trees and forests: exact Shapley values of the trees in their path-dependent form (TreeSHAP [1]_), on the
margin for boosters, on the scale of probabilities or values for forests. Linear models: coefficient times coded value,
against a row whose coded columns are all zero (average numbers, no known level, no known word), which is exact
because the model is a sum. Other learners have no such form and give None.

References
----------
.. [1] Lundberg, Erion, Lee, "Consistent Individualized Feature Attribution for Tree Ensembles", arXiv 1802.03888.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.features.matrix import Matrix
from modelwright.learners.base import Learner
from modelwright.learners.boosting import BoostedTrees
from modelwright.learners.fitting import all_classes
from modelwright.learners.forest import Forest
from modelwright.learners.linear import LARGEST_LOGARITHM, LinearModel
from modelwright.learners.rowwise import sigmoid, softmax
from modelwright.learners.tree_shap import forest_contributions

#: Points of the Gauss-Legendre rule along the line from the base margin to the margin of the row.
_POINTS = 48


@dataclass(frozen=True)
class Contributions:
    """Prediction of each row as a base and a sum over input columns.

    Parameters
    ----------
    base : ndarray of shape (K,)
        K is 1 for regression.
    columns : ndarray of shape (n, p + q, K)
    text : ndarray of shape (n, v, K) or None
        Sum over the terms of a row is what its texts add; None if the learner reads no terms.
    """

    base: np.ndarray
    columns: np.ndarray
    text: np.ndarray | None = None


def contributions(learner: Learner, X: Matrix, terms: np.ndarray | None = None) -> Contributions | None:
    """Contributions on the scale of ``learner.predict``; base and columns add up to it.

    Parameters
    ----------
    learner : Learner
        Fitted.
    X : Matrix of n rows
    terms : ndarray of shape (v,), int, optional
        Number of the text column of each term; the text contributions are summed by it.

    Returns
    -------
    Contributions or None
        None if the learner has no exact form.

    Notes
    -----
    From margins to probabilities: the gradient of the link, averaged along the straight line from the base margin to
    the margin of the row, times what each column adds to the margin. The parts add up because the gradient is
    integrated along the whole way.
    """
    if isinstance(learner, BoostedTrees):
        if learner._coding.constant is not None:
            return _constant(learner, X)
        base, values = (part / learner._coding.temperature for part in _of_boosters(learner, X))
        return _with_link(learner, X, base, values, None, learner._coding.classes, learner._coding.n_rows)
    if isinstance(learner, Forest):
        return _of_forest(learner, X)
    if isinstance(learner, LinearModel):
        return _of_linear(learner, X, terms)
    return None


def _constant(learner: Learner, X: Matrix) -> Contributions:
    prediction = learner.predict(X.take(np.arange(1)))
    base = np.atleast_1d(prediction[0])
    return Contributions(base, np.zeros((X.n_rows, X.numeric.shape[1] + X.codes.shape[1], len(base))))


def _of_boosters(learner: BoostedTrees, X: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Base of shape (k,) and values of shape (n, p + q, k) on the margin."""
    raw = np.asarray(learner.margin_contributions(X), dtype=np.float64)
    width = X.numeric.shape[1] + X.codes.shape[1] + 1
    raw = raw.reshape(X.n_rows, -1, width).transpose(0, 2, 1)
    return raw[:, -1, :].mean(axis=0), raw[:, :-1, :]


def _of_forest(learner: Forest, X: Matrix) -> Contributions:
    columns = learner.read_columns(X)
    base, values = forest_contributions(learner.trees_, columns)
    sources = learner.column_sources(X)
    summed = _by_source(values, sources, X)
    if learner.task == "regression":
        return Contributions(base, summed)
    # One more vote by the overall frequencies; see `Forest.predict`.
    n_trees = len(learner.trees_.roots)
    base, summed = (base * n_trees + learner.prior_) / (n_trees + 1.0), summed * n_trees / (n_trees + 1.0)
    return _spread(Contributions(base, summed), learner.classes_, learner.n_classes, learner.n_rows_)


def _of_linear(learner: LinearModel, X: Matrix, terms: np.ndarray | None) -> Contributions:
    coded, sources = learner.coder_.transform(X), learner.coder_.sources(learner.n_numeric_)
    d = coded.shape[1]
    k = learner.coefficients_.shape[1]
    values = _by_source(coded[:, :, None] * learner.coefficients_[None, :d], sources, X)
    text = None
    if learner.reads_text and X.text is not None and terms is not None and len(terms):
        text = np.zeros((X.n_rows, int(terms.max()) + 1, k))
        for output in range(k):
            weighted = X.text.multiply(learner.coefficients_[d:, output][None, :]).tocsr()
            for number in range(text.shape[1]):
                text[:, number, output] = np.asarray(weighted[:, np.flatnonzero(terms == number)].sum(axis=1)).ravel()
    if learner.task == "regression":
        part = Contributions(learner.intercept_, values, text)
        wanted = learner.number_of(_total(part))
        if learner.log_factor_:
            part = _behind_logarithm(part, learner.log_factor_)
        return _scaled_to(part, wanted)
    return _with_link(learner, X, learner.intercept_, values, text, learner.classes_.tolist(), learner.n_rows_)


def _by_source(values: np.ndarray, sources: np.ndarray, X: Matrix) -> np.ndarray:
    """Derived columns summed into the matrix columns they came from; shape (n, p + q, k)."""
    summed = np.zeros((X.n_rows, X.numeric.shape[1] + X.codes.shape[1], values.shape[2]))
    for j, source in enumerate(sources):
        summed[:, source] += values[:, j]
    return summed


def _total(part: Contributions) -> np.ndarray:
    total = part.base + part.columns.sum(axis=1)
    return total if part.text is None else total + part.text.sum(axis=1)


def _scaled_to(part: Contributions, wanted: np.ndarray) -> Contributions:
    """The same base, and contributions stretched so that they add up to what is wanted; shape (n, K)."""
    moved = _total(part) - part.base
    factor = np.divide(wanted - part.base, moved, out=np.ones_like(moved), where=np.abs(moved) > 1e-12)[:, None, :]
    return Contributions(part.base, part.columns * factor, None if part.text is None else part.text * factor)


def _with_link(
    learner: Learner,
    X: Matrix,
    base: np.ndarray,
    values: np.ndarray,
    text: np.ndarray | None,
    classes: list[int],
    n_rows: int,
) -> Contributions:
    """From the additive scale to the learner's own predictions."""
    if isinstance(learner, BoostedTrees) and learner._coding.log_factor:
        coding = learner._coding
        text = None if text is None else text * coding.spread
        part = Contributions(base * coding.spread + coding.centre, values * coding.spread, text)
        return _behind_logarithm(part, coding.log_factor)
    if learner.task == "regression":
        scale = learner._coding.spread if isinstance(learner, BoostedTrees) else 1.0
        centre = learner._coding.centre if isinstance(learner, BoostedTrees) else 0.0
        return Contributions(base * scale + centre, values * scale, None if text is None else text * scale)
    everything = values if text is None else np.concatenate([values, text], axis=1)
    start, shares = _through(_sigmoid_link if len(base) == 1 else _softmax_link, base, everything)
    width = values.shape[1]
    part = Contributions(start, shares[:, :width], None if text is None else shares[:, width:])
    return _spread(part, np.asarray(classes, dtype=np.int64), learner.n_classes, n_rows)


def _behind_logarithm(part: Contributions, factor: float) -> Contributions:
    """From the logarithm of 1 + y to y times a factor."""

    def link(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The number behind a logarithm, (n, 1), and its slope, (n, 1, 1)."""
        margin = np.minimum(margin, LARGEST_LOGARITHM)
        return factor * np.expm1(margin), (factor * np.exp(margin))[:, :, None]

    width = part.columns.shape[1]
    everything = part.columns if part.text is None else np.concatenate([part.columns, part.text], axis=1)
    start, shares = _through(link, part.base, everything)
    return Contributions(start, shares[:, :width], None if part.text is None else shares[:, width:])


def _sigmoid_link(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of shape (n, 2) and their gradient of shape (n, 2, 1)."""
    p = sigmoid(margin[:, 0])
    slope = p * (1 - p)
    return np.column_stack([1 - p, p]), np.stack([-slope, slope], axis=1)[:, :, None]


def _softmax_link(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of shape (n, k) and their gradient of shape (n, k, k)."""
    p = softmax(margin)
    return p, p[:, :, None] * (np.eye(p.shape[1])[None] - p[:, None, :])


def _through(
    link: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], base: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Base and contributions behind a link."""
    points, weights = np.polynomial.legendre.leggauss(_POINTS)
    moved = values.sum(axis=1)
    start = link(base[None])[0][0]
    slope: Any = 0.0
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        slope = slope + weight * link(base + point * moved)[1]
    shares = np.einsum("nkc,njc->njk", slope, values)
    # What the rule misses of the integral is far below what anybody reads; the sum is made exact nevertheless.
    end = link(base + moved)[0]
    return start, _scaled_to(Contributions(start, shares), end).columns


def _spread(part: Contributions, classes: np.ndarray, n_classes: int, n_rows: int) -> Contributions:
    """Classes that training lacked get their small constant; see `all_classes`."""
    if len(classes) == n_classes:
        return part
    base = all_classes(part.base[None], classes, n_classes, n_rows)[0]
    factor = 1.0 - (n_classes - len(classes)) / (n_rows + n_classes)

    def widened(values: np.ndarray) -> np.ndarray:
        out = np.zeros((*values.shape[:2], n_classes))
        out[:, :, classes] = values * factor
        return out

    return Contributions(base, widened(part.columns), None if part.text is None else widened(part.text))
