"""Support vector machines with a Gaussian kernel, exact for few rows, approximate for more.

Notation: n rows, d scaled columns (`features.DenseCoder`), m reference rows z_j, K classes;
k(x, z) = exp(-g |x - z|^2).

Both forms predict sum_j k(x, z_j) beta_j + b. Up to `EXACT_ROWS` rows the z_j are the support vectors of
scikit-learn's (libsvm's) solution, one class against the rest. Beyond, the z_j are m random training rows, and beta
comes from a logistic or ridge regression on the Nystroem features k(x, Z) k(Z, Z)^(-1/2): the same functions, but
another loss, which is why it is called an approximation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from modelwright.features.dense import DenseCoder
from modelwright.features.matrix import Matrix
from modelwright.learners.base import Algorithm, FitResult, Hyperparameter, Learner, Validation
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
from modelwright.learners.rowwise import row_products, row_shares, sigmoid, softmax, squared_distances

#: Rows up to which the exact problem is solved: its time grows with n^2 to n^3, and three more fits calibrate it.
EXACT_ROWS = 3000
#: One class against the rest costs a fit per class; beyond this number the approximation serves at any size.
_EXACT_CLASSES = 10
#: Reference rows of the approximation at most, and cells (8 bytes) of the training features at most.
_MAX_REFERENCES = 1000
_MAX_CELLS = 40_000_000
_CHUNK_ROWS = 1024
_FOLDS = 3


class SupportVectorMachine(Learner):
    """Gaussian-kernel support vector machine, or its Nystroem approximation."""

    algorithm = Algorithm(
        name="svm",
        title="Support vector machine with a Gaussian kernel",
        tasks=("binary", "multiclass", "regression"),
        minimises=(
            "Up to 3000 rows: C times the hinge loss (classification, one class against the rest) or the epsilon-insensitive "
            "absolute error (regression, standardised target), plus half the squared norm of the function. Beyond, or with "
            "more than 10 classes: log loss or squared error in place of these losses, same penalty, functions of up to 1000 "
            "random reference rows (Nystroem approximation)."
        ),
        trains=(
            "One coefficient per support vector or reference row and output, and an intercept; for classification up to "
            "3000 rows also a sigmoid per class that turns decision values into probabilities, fitted out of fold (3 folds)."
        ),
        when="Up to some ten thousand rows with smooth relations among numbers; slow to predict with many support vectors.",
        hyperparameters=(
            Hyperparameter("C", "float", 1.0, "Weight of the loss against the penalty.", low=0.01, high=1000.0, log=True),
            Hyperparameter(
                "gamma",
                "float",
                1.0,
                "Narrowness of the kernel, as a multiple of 1 / (columns x their variance).",
                low=0.01,
                high=10.0,
                log=True,
            ),
            Hyperparameter(
                "epsilon",
                "float",
                0.1,
                "Regression up to 3000 rows: errors below this many standard deviations of the target are free.",
                low=0.001,
                high=1.0,
                log=True,
            ),
        ),
        max_rows=100_000,
        requires="sklearn.svm",
        reference=(
            "Cortes and Vapnik, Support-vector networks, 1995; Platt, Probabilistic outputs for support vector machines, 1999; "
            "Williams and Seeger, Using the Nystroem method to speed up kernel machines, NIPS 2000."
        ),
    )

    def fit(
        self,
        X: Matrix,
        y: np.ndarray | None,
        *,
        weight: np.ndarray | None = None,
        validation: Validation | None = None,
        time_limit_s: float | None = None,
    ) -> FitResult:
        """Solve the exact or the approximate problem; see `Learner.fit`. Validation rows are not read."""
        y = required_target(y, self.algorithm.name)
        deadline = Deadline(time_limit_s)
        rows = weighted_rows(weight, X.n_rows)
        X, y = (X.take(rows), np.asarray(y)[rows]) if len(rows) < X.n_rows else (X, y)
        row_weight = mean_one(None if weight is None else np.asarray(weight)[rows], X.n_rows)
        self.n_rows_ = X.n_rows
        self.classes_ = np.zeros(0, dtype=np.int64) if self.task == "regression" else present_classes(y)
        # An out-of-range number would sit where no kernel reaches; the robust scaling bends it back.
        self.coder_ = DenseCoder(scaling="robust", max_levels=12, max_columns=300)
        notes: list[str] = []
        with quiet_fit(notes):
            scaled = self.coder_.fit_transform(X, y, task=self.task, n_classes=self.n_classes, seed=self.seed)
            variance = float(scaled.var()) if scaled.size else 1.0
            self.width_ = self.params["gamma"] / (max(scaled.shape[1], 1) * max(variance, 1e-12))
            self.slope_, self.offset_ = np.zeros(0), np.zeros(0)
            self.bounds_ = np.array([y.min(), y.max()], dtype=np.float64) if self.task == "regression" else np.zeros(0)
            if self.bounds_.size:
                widened = 0.5 * (self.bounds_[1] - self.bounds_[0])
                self.bounds_ = self.bounds_ + np.array([-widened, widened])
            if len(self.classes_) == 1 or (self.bounds_.size and self.bounds_[0] == self.bounds_[1]):
                self.vectors_, self.beta_ = scaled[:1], np.zeros((1, 1))
                self.intercept_ = np.array([self.bounds_[0] if self.bounds_.size else 0.0])
                return FitResult(notes=[*notes, "The target does not vary."])
            exact = len(scaled) <= EXACT_ROWS and len(self.classes_) <= _EXACT_CLASSES
            cut_after = None
            if exact:
                self._fit_exact(scaled, y, row_weight)
            else:
                cut_after = self._fit_approximate(scaled, y, row_weight, deadline, notes)
        if cut_after is None:
            return FitResult(notes=notes)
        return FitResult(stopped="time", notes=notes, clock={"iterations": cut_after})

    # -- exact ---------------------------------------------------------------------------------------------------

    def _fit_exact(self, scaled: np.ndarray, y: np.ndarray, row_weight: np.ndarray) -> None:
        kernel = np.exp(-self.width_ * squared_distances(scaled, scaled))
        if self.task == "regression":
            centre, scale = float(np.average(y, weights=row_weight)), float(y.std())
            beta, intercept = self._solve(kernel, (y - centre) / scale, row_weight)
            beta, intercepts = beta[:, None] * scale, np.array([intercept * scale + centre])
        else:
            # Two classes are one problem; more are one class against the rest each.
            targets = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
            solved = [self._solve_calibrated(kernel, y == value, row_weight) for value in targets]
            beta = np.column_stack([item[0] for item in solved])
            intercepts = np.array([item[1] for item in solved])
            self.slope_ = np.array([item[2] for item in solved])
            self.offset_ = np.array([item[3] for item in solved])
        used = np.any(beta != 0, axis=1)
        used[0] |= not used.any()
        self.vectors_, self.beta_, self.intercept_ = scaled[used], beta[used], intercepts

    def _solve(self, kernel: np.ndarray, target: np.ndarray, row_weight: np.ndarray) -> tuple[np.ndarray, float]:
        """Coefficients of all rows (zero off the support) and the intercept."""
        from sklearn.svm import SVC, SVR

        # A solver that has not converged after this many steps is kept as it is: scikit-learn then warns.
        settings: dict[str, Any] = {"kernel": "precomputed", "C": self.params["C"], "max_iter": 200_000, "cache_size": 100}
        model = SVC(**settings) if target.dtype == bool else SVR(epsilon=self.params["epsilon"], **settings)
        # libsvm takes a seed even where it draws nothing; SVR has no parameter for it.
        model.random_state = self.seed
        model.fit(kernel, target, sample_weight=row_weight)
        beta = np.zeros(len(kernel))
        beta[model.support_] = model.dual_coef_[0]
        return beta, float(model.intercept_[0])

    def _solve_calibrated(
        self, kernel: np.ndarray, positive: np.ndarray, row_weight: np.ndarray
    ) -> tuple[np.ndarray, float, float, float]:
        beta, intercept = self._solve(kernel, positive, row_weight)
        # Folds are dealt out within each side, so that every fold has both where there are enough rows.
        fold = np.empty(len(positive), dtype=np.int64)
        generator = np.random.default_rng(self.seed)
        for side in (positive, ~positive):
            fold[side] = generator.permutation(int(side.sum())) % _FOLDS
        decision = np.zeros(len(positive))
        for f in range(_FOLDS):
            outside, inside = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
            if positive[outside].all() or not positive[outside].any():
                decision[inside] = 1.0 if positive[outside].all() else -1.0
                continue
            part, part_intercept = self._solve(kernel[np.ix_(outside, outside)], positive[outside], row_weight[outside])
            decision[inside] = kernel[np.ix_(inside, outside)] @ part + part_intercept
        return beta, intercept, *fit_sigmoid(decision, positive, row_weight)

    # -- approximate ---------------------------------------------------------------------------------------------

    def _fit_approximate(
        self, scaled: np.ndarray, y: np.ndarray, row_weight: np.ndarray, deadline: Deadline, notes: list[str]
    ) -> int | None:
        """Iterations after which the clock ended the solver, if it did."""
        n = len(scaled)
        m = int(np.clip(_MAX_CELLS // n, 100, min(_MAX_REFERENCES, n)))
        chosen = np.sort(np.random.default_rng(self.seed).choice(n, m, replace=False))
        references = scaled[chosen]
        values, vectors = np.linalg.eigh(np.exp(-self.width_ * squared_distances(references, references)))
        kept = values > 1e-10 * values[-1]
        root = vectors[:, kept] / np.sqrt(values[kept])
        features = np.empty((n, root.shape[1]))
        for start in range(0, n, _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            features[rows] = np.exp(-self.width_ * squared_distances(scaled[rows], references)) @ root
        notes.append(f"Approximated with {m} reference rows, because the exact problem is too large.")
        alpha, cut_after = 1.0 / self.params["C"], None
        if self.task == "regression":
            from sklearn.linear_model import Ridge

            centre, scale = float(np.average(y, weights=row_weight)), float(y.std())
            model = Ridge(alpha=alpha, solver="cholesky").fit(features, (y - centre) / scale, sample_weight=row_weight)
            coefficients = np.asarray(model.coef_).reshape(-1, 1) * scale
            intercept = np.array([float(model.intercept_) * scale + centre])
        else:
            targets = np.searchsorted(self.classes_, y)
            outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
            max_iter = int(np.clip(1e11 / (4.0 * features.size * outputs), 30, 500))
            found = fit_logistic(
                features,
                targets,
                len(self.classes_),
                row_weight,
                alpha=alpha,
                max_iter=max_iter,
                deadline=deadline,
                last=self.stop_after.get("iterations"),
            )
            if found.stopped == "iterations":
                notes.append(f"The solver was stopped after {len(found.losses)} iterations, before it had converged.")
            cut_after = len(found.losses) if found.stopped == "time" else None
            coefficients, intercept = found.coefficients, found.intercept
        self.vectors_, self.beta_, self.intercept_ = references, root @ coefficients, intercept
        return cut_after

    # -- predict, save -------------------------------------------------------------------------------------------

    def predict(self, X: Matrix) -> np.ndarray:
        """Predict; see `Learner.predict`. Regression values stay within the training range widened by half of it."""
        scaled = self.coder_.transform(X)
        scores = np.empty((len(scaled), self.beta_.shape[1]))
        for start in range(0, len(scaled), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            scores[rows] = row_products(np.exp(-self.width_ * squared_distances(scaled[rows], self.vectors_)), self.beta_)
        scores += self.intercept_
        if self.task == "regression":
            return np.asarray(np.clip(scores[:, 0], self.bounds_[0], self.bounds_[1]))
        if len(self.classes_) == 1:
            proba = np.ones((len(scores), 1))
        elif len(self.classes_) == 2:
            positive = sigmoid(scores[:, 0] * self.slope_[0] + self.offset_[0]) if self.slope_.size else sigmoid(scores[:, 0])
            proba = np.column_stack([1.0 - positive, positive])
        elif self.slope_.size:
            proba = row_shares(sigmoid(scores * self.slope_ + self.offset_) + 1e-12)
        else:
            proba = softmax(scores)
        return all_classes(proba, self.classes_, self.n_classes, self.n_rows_)

    def save(self, folder: Path) -> None:
        """Write ``state.json`` and ``arrays.npz``."""
        arrays = {name: getattr(self, f"{name}_") for name in _SAVED}
        write_state(
            folder,
            self,
            {**arrays, **prefixed("coder_", self.coder_.to_arrays())},
            {"n_rows": self.n_rows_, "width": self.width_},
        )

    @classmethod
    def load(cls, folder: Path) -> SupportVectorMachine:
        """Read back what `save` wrote."""
        learner, arrays, facts = read_state(cls, folder)
        for name in _SAVED:
            setattr(learner, f"{name}_", arrays[name])
        learner.coder_ = DenseCoder.from_arrays(unprefixed("coder_", arrays))
        learner.n_rows_, learner.width_ = facts["n_rows"], facts["width"]
        return learner


_SAVED = ("vectors", "beta", "intercept", "slope", "offset", "bounds", "classes")


def fit_sigmoid(decision: np.ndarray, positive: np.ndarray, row_weight: np.ndarray) -> tuple[float, float]:
    """Slope and offset of Platt's sigmoid; the probability is 1 / (1 + exp(-(slope * decision + offset))).

    Targets are drawn in from 0 and 1 by the number of rows on each side, as Platt does against overfitting.

    Parameters
    ----------
    decision : ndarray of shape (n,)
        Out-of-fold decision values.
    positive : ndarray of shape (n,), bool
    row_weight : ndarray of shape (n,)

    References
    ----------
    .. [1] Lin, Lin, Weng, A note on Platt's probabilistic outputs for support vector machines, 2007.
    """
    from scipy.optimize import minimize

    n_positive, n_negative = float(positive.sum()), float((~positive).sum())
    target = np.where(positive, (n_positive + 1.0) / (n_positive + 2.0), 1.0 / (n_negative + 2.0))
    total = row_weight.sum()

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scores = parameters[0] * decision + parameters[1]
        value = np.dot(row_weight, np.logaddexp(0.0, scores) - target * scores) / total
        residual = row_weight * (sigmoid(scores) - target) / total
        return float(value), np.array([residual @ decision, residual.sum()])

    prior = np.log((n_positive + 1.0) / (n_negative + 1.0))
    # A negative slope would turn the ranking around on the strength of noise.
    found = minimize(loss, np.array([1.0, prior]), jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)])
    return float(found.x[0]), float(found.x[1])
