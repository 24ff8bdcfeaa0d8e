"""Linear models: ridge, lasso, elastic net, and logistic regression with the same penalties.

Notation: n rows, d dense columns (`features.DenseCoder`), v text terms, K classes; theta holds (d + v) coefficients
per output; r_i are row weights of mean 1.

    minimise  sum_i r_i loss(y_i, f(x_i)) + alpha * (l1_ratio |theta|_1 + (1 - l1_ratio) / 2 |theta|^2)

with half the squared error on the standardised target (or its standardised logarithm), or the negative log likelihood.
Intercepts are free.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from modelwright.features.dense import DenseCoder
from modelwright.features.matrix import Matrix
from modelwright.learners.base import Algorithm, Curve, FitResult, Hyperparameter, Learner, Validation
from modelwright.learners.fitting import (
    Deadline,
    all_classes,
    mean_one,
    prefixed,
    present_classes,
    quiet_fit,
    read_state,
    required_target,
    unprefixed,
    weighted_rows,
    write_state,
)
from modelwright.learners.logistic import fit_logistic
from modelwright.learners.rowwise import row_products, sigmoid, softmax, sparse_row_products
from modelwright.learners.target import LOG_TARGET, smearing

#: Regression predictions stay within the training range widened by this share of it on both sides.
_WIDENING = 0.5
#: Sums that are logarithms count as no larger; no target is near its exponential, and 710 would have none.
LARGEST_LOGARITHM = 300.0
#: Multiply-adds that an iterative solver may spend before it is stopped.
_WORK = 1e11
#: Iterations that it may do however large the table is.
_FEWEST_ITERATIONS = 30


class LinearModel(Learner):
    """What `Linear` and the baseline `SimpleLinear` share; subclasses say which penalty applies."""

    @abstractmethod
    def _penalty(self) -> tuple[float, float]:
        """``alpha`` and ``l1_ratio``."""

    @abstractmethod
    def _coder(self, text_components: bool) -> DenseCoder: ...

    def fit(
        self,
        X: Matrix,
        y: np.ndarray | None,
        *,
        weight: np.ndarray | None = None,
        validation: Validation | None = None,
        time_limit_s: float | None = None,
    ) -> FitResult:
        """Learn coefficients; see `Learner.fit`. Validation rows only settle the factor behind a logarithm."""
        y = required_target(y, self.algorithm.name)
        deadline = Deadline(time_limit_s)
        rows = weighted_rows(weight, X.n_rows)
        if len(rows) < X.n_rows:
            X, y, weight = X.take(rows), np.asarray(y)[rows], np.asarray(weight)[rows]
        self.reads_text = X.text is not None
        self.n_numeric_, self.n_codes_ = X.numeric.shape[1], X.codes.shape[1]
        self.coder_ = self._coder(text_components=not self.reads_text)
        self.log_factor_ = 0.0  # the sum of the coefficients is the prediction itself
        notes: list[str] = []
        with quiet_fit(notes):
            dense = self.coder_.fit_transform(X, y, task=self.task, n_classes=self.n_classes, seed=self.seed)
            inputs = sparse.hstack([sparse.csr_matrix(dense), X.text], format="csr") if self.reads_text else dense
            row_weight = mean_one(weight, X.n_rows)
            if self.task == "regression":
                result = self._fit_regression(inputs, y, row_weight, notes)
                if self.log_factor_ and validation is not None:
                    self.log_factor_ = smearing(self.log_factor_, validation, self.predict(validation.X))
                    result = replace(result, learned={LOG_TARGET.name: self.log_factor_})
            else:
                result = self._fit_classes(inputs, y, row_weight, deadline, notes)
        return result

    def _fit_regression(self, inputs: Any, y: np.ndarray, row_weight: np.ndarray, notes: list[str]) -> FitResult:
        from sklearn.linear_model import ElasticNet, Ridge

        alpha, l1_ratio = self._penalty()
        y = np.asarray(y, dtype=np.float64)
        self.bounds_ = widened_range(float(y.min()), float(y.max()))
        if y.min() >= 0:
            self.log_factor_ = float(self.params.get(LOG_TARGET.name, 0.0))
        y = self.scale_of(y)
        centre = float(np.average(y, weights=row_weight))
        scale = float(np.sqrt(np.average((y - centre) ** 2, weights=row_weight)))
        n, d = inputs.shape
        n_iterations = None
        if d == 0 or not scale > 0:
            coefficients, intercept = np.zeros((d, 1)), np.array([centre])
        else:
            if l1_ratio == 0:
                solver = "sparse_cg" if sparse.issparse(inputs) else "cholesky"
                model = Ridge(alpha=alpha, solver=solver, max_iter=500)
            else:
                # scikit-learn divides the loss by n, so the penalty is divided likewise.
                max_iter = int(np.clip(_WORK / (n * d), _FEWEST_ITERATIONS, 2000))
                gram = not sparse.issparse(inputs) and n > d and d <= 1000
                model = ElasticNet(alpha=alpha / n, l1_ratio=l1_ratio, max_iter=max_iter, tol=1e-4, precompute=gram)
            model.fit(inputs, (y - centre) / scale, sample_weight=row_weight)
            if l1_ratio > 0:
                n_iterations = int(np.max(model.n_iter_))
            coefficients = np.asarray(model.coef_, dtype=np.float64).reshape(-1, 1) * scale
            intercept = np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64)) * scale + centre
        self.classes_ = np.zeros(0, dtype=np.int64)
        self.coefficients_, self.intercept_, self.n_rows_ = coefficients, intercept, n
        return FitResult(n_iterations=n_iterations, notes=notes)

    def _fit_classes(
        self, inputs: Any, y: np.ndarray, row_weight: np.ndarray, deadline: Deadline, notes: list[str]
    ) -> FitResult:
        alpha, l1_ratio = self._penalty()
        n, d = inputs.shape
        self.classes_ = present_classes(y)
        self.n_rows_ = n
        self.bounds_ = np.zeros(0)
        n_outputs = max(1, len(self.classes_) if len(self.classes_) > 2 else len(self.classes_) - 1)
        if len(self.classes_) == 1:
            self.coefficients_, self.intercept_ = np.zeros((d, 1)), np.zeros(1)
            return FitResult(notes=[*notes, "One class only."])
        max_iter = int(np.clip(_WORK / (4.0 * n * max(d, 1) * n_outputs), _FEWEST_ITERATIONS, 1000))
        targets = np.searchsorted(self.classes_, y)
        found = fit_logistic(
            inputs,
            targets,
            len(self.classes_),
            row_weight,
            alpha=alpha,
            l1_ratio=l1_ratio,
            max_iter=max_iter,
            deadline=deadline,
            last=self.stop_after.get("iterations"),
        )
        self.coefficients_, self.intercept_ = found.coefficients, found.intercept
        if found.stopped == "iterations":
            notes.append(f"The solver was stopped after {len(found.losses)} iterations, before it had converged.")
        curve = Curve("log_loss", list(range(1, len(found.losses) + 1)), found.losses, [])
        stopped = "time" if found.stopped == "time" else "complete"
        clock = {"iterations": len(found.losses)} if stopped == "time" else {}
        return FitResult(n_iterations=len(found.losses), curve=curve, stopped=stopped, notes=notes, clock=clock)

    def scale_of(self, y: np.ndarray) -> np.ndarray:
        """The target of a regression on the scale on which coefficients add up; shape (n,)."""
        return np.log1p(np.maximum(y, 0.0)) if self.log_factor_ else y

    def number_of(self, scores: np.ndarray) -> np.ndarray:
        """Predictions of a regression from sums of coefficients, within the widened training range; any shape."""
        low, high = self.bounds_
        if self.log_factor_:
            scores, low = self.log_factor_ * np.expm1(np.minimum(scores, LARGEST_LOGARITHM)), max(low, 0.0)
        return np.asarray(np.clip(scores, low, high))

    def predict(self, X: Matrix) -> np.ndarray:
        """Predict; see `Learner.predict`. Regression values are clipped to the widened training range."""
        d = self.coder_.n_columns
        scores = row_products(self.coder_.transform(X), self.coefficients_[:d])
        if self.reads_text and X.text is not None:
            scores = scores + sparse_row_products(X.text, self.coefficients_[d:])
        scores = scores + self.intercept_
        if self.task == "regression":
            return self.number_of(scores[:, 0])
        if len(self.classes_) == 1:
            proba = np.ones((len(scores), 1))
        elif len(self.classes_) == 2:
            positive = sigmoid(scores[:, 0])
            proba = np.column_stack([1.0 - positive, positive])
        else:
            proba = softmax(scores)
        return all_classes(proba, self.classes_, self.n_classes, self.n_rows_)

    def importance(self) -> np.ndarray | None:
        """Share of each input column in the sum of absolute coefficients (columns are on one scale)."""
        d = self.coder_.n_columns
        size = np.abs(self.coefficients_[:d]).sum(axis=1)
        shares = np.bincount(self.coder_.sources(self.n_numeric_), weights=size, minlength=self.n_numeric_ + self.n_codes_)
        total = shares.sum()
        return shares / total if total > 0 else None

    def save(self, folder: Path) -> None:
        """Write ``state.json`` and ``arrays.npz``."""
        arrays = {
            "coefficients": self.coefficients_,
            "intercept": self.intercept_,
            "bounds": self.bounds_,
            "classes": self.classes_,
            **prefixed("coder_", self.coder_.to_arrays()),
        }
        facts = {
            "n_rows": self.n_rows_,
            "reads_text": self.reads_text,
            "n_numeric": self.n_numeric_,
            "n_codes": self.n_codes_,
            "log_factor": self.log_factor_,
        }
        write_state(folder, self, arrays, facts)

    @classmethod
    def load(cls, folder: Path) -> LinearModel:
        """Read back what `save` wrote."""
        learner, arrays, facts = read_state(cls, folder)
        learner.coder_ = DenseCoder.from_arrays(unprefixed("coder_", arrays))
        learner.coefficients_, learner.intercept_ = arrays["coefficients"], arrays["intercept"]
        learner.bounds_, learner.classes_ = arrays["bounds"], arrays["classes"]
        learner.n_rows_, learner.reads_text = facts["n_rows"], facts["reads_text"]
        learner.n_numeric_, learner.n_codes_ = facts["n_numeric"], facts["n_codes"]
        learner.log_factor_ = facts.get("log_factor", 0.0)  # models before December 2026 have none
        return learner


def widened_range(low: float, high: float) -> np.ndarray:
    """Least and largest prediction of a regression that was trained on targets from ``low`` to ``high``."""
    widened = _WIDENING * (high - low)
    return np.array([low - widened, high + widened])


class Linear(LinearModel):
    """Ridge, lasso, elastic net; logistic regression."""

    algorithm = Algorithm(
        name="linear",
        title="Linear model (ridge, lasso, elastic net; logistic regression)",
        tasks=("binary", "multiclass", "regression"),
        minimises=(
            "Half the squared error on the standardised target or its logarithm (regression) or the negative log likelihood "
            "(classification), summed over rows, plus alpha * (l1_ratio * |coefficients|_1 + (1 - l1_ratio) / 2 * "
            "|coefficients|^2); the intercept is not penalised."
        ),
        trains=(
            "One coefficient per column (numbers, one-hot levels, target encodings, text terms) and an intercept; for K > 2 "
            "classes K of each. Ridge is solved in closed form, lasso and elastic net by coordinate descent, logistic "
            "regression by L-BFGS. Regression predictions are clipped to the training range widened by half of it on "
            "either side."
        ),
        when="Few rows, many columns, text, or when a readable model is wanted; a strong partner of trees in ensembles.",
        hyperparameters=(
            Hyperparameter(
                "alpha",
                "float",
                1.0,
                "Weight of the penalty against the loss summed over rows; for classification C = 1 / alpha.",
                low=1e-6,
                high=1e3,
                log=True,
            ),
            Hyperparameter(
                "l1_ratio",
                "float",
                0.0,
                "Share of the absolute-value penalty: 0 is ridge, 1 is lasso (coefficients become exactly zero).",
                low=0.0,
                high=1.0,
            ),
            Hyperparameter(
                "skew",
                "choice",
                "quantile",
                "Numeric columns of skewness beyond 0.99: map to normal scores, signed logarithm, or nothing.",
                choices=("quantile", "log", "none"),
            ),
            Hyperparameter(
                "max_levels",
                "int",
                50,
                "One-hot columns per category column; further levels enter through their target encoding.",
                low=2,
                high=200,
                log=True,
            ),
            LOG_TARGET,
        ),
        requires="sklearn.linear_model",
        reference=(
            "Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2009, sections 3.4 and 4.4; "
            "Zou and Hastie, Regularization and variable selection via the elastic net, JRSS B 2005."
        ),
        interpretable=True,
    )

    def _penalty(self) -> tuple[float, float]:
        return float(self.params["alpha"]), float(self.params["l1_ratio"])

    def _coder(self, text_components: bool) -> DenseCoder:
        return DenseCoder(skew=self.params["skew"], max_levels=self.params["max_levels"], text_components=text_components)
