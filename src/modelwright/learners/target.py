"""From the task's target to what a supervised library learns, and back.

Notation: n rows, K classes of the task, k classes present in the training rows.

Used by boosted trees and the network, which all want classes without gaps, a target of mean 0 and spread 1, and
at least something to learn. Linear models share the factor of a logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from modelwright.errors import DataError
from modelwright.features.matrix import Matrix
from modelwright.learners.base import FitResult, Hyperparameter, Validation
from modelwright.learners.fitting import all_classes, mean_one
from modelwright.learners.rowwise import row_shares
from modelwright.learners.temperature import HIGH, LOW
from modelwright.tables.schema import Task

#: The tasks that have a target.
SUPERVISED: tuple[Task, ...] = ("binary", "multiclass", "regression")

CONSTANT_NOTE = "The target or every column is constant: the model is a constant."


#: Beyond these a factor says that the logarithm is the wrong scale.
_FACTORS = (0.5, 2.0)
LOG_TARGET = Hyperparameter(
    "log_target",
    "float",
    0.0,
    "0: the target as it is; above 0: its logarithm is learned, and predictions are multiplied by this (regression of "
    "numbers from 0 up; validation rows settle it)",
    0.0,
    10.0,
    tuned=False,
)
TEMPERATURE = Hyperparameter(
    "temperature",
    "float",
    1.0,
    "outputs of a classifier are divided by it (validation rows settle it)",
    LOW,
    HIGH,
    tuned=False,
)


def by_task(classification: Any, regression: Any) -> dict[str, Any]:
    """A default that differs by task."""
    return {"binary": classification, "multiclass": classification, "regression": regression}


@dataclass(frozen=True)
class Rows:
    """Rows ready for a library: target numbered 0..k-1 or standardised, no row of weight zero."""

    X: Matrix
    target: np.ndarray
    weight: np.ndarray | None


class Coding(msgspec.Struct, frozen=True):
    """How the target was turned into what the library learns.

    ``classes`` are the classes present, ascending (classification); ``centre`` and ``spread`` the mean and
    standard deviation, ``low`` and ``high`` the range (regression). ``constant`` is the whole model where there is
    nothing to learn: one number, or K probabilities. With ``log_factor`` above 0 the logarithm of 1 + y is learned, and
    predictions are multiplied by it: the mean of a logarithm leads below the mean (Duan's smearing). Logarithms of
    probabilities are divided by ``temperature``.
    """

    n_rows: int
    n_classes: int
    classes: list[int] = []
    centre: float = 0.0
    spread: float = 1.0
    low: float = 0.0
    high: float = 0.0
    constant: list[float] | None = None
    log_factor: float = 0.0
    temperature: float = 1.0

    @property
    def n_present(self) -> int:
        """Number of classes that the library tells apart; 0 for regression."""
        return len(self.classes)

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Class numbers 0..k-1, or the standardised target; float32, which is how the libraries keep both."""
        if self.classes:
            return np.searchsorted(np.asarray(self.classes), y).astype(np.float32)
        y = np.log1p(np.maximum(y, 0.0)) if self.log_factor else y
        return ((y - self.centre) / self.spread).astype(np.float32)

    def decode(self, raw: np.ndarray | None, n_rows: int) -> np.ndarray:
        """Predictions in the task's own terms.

        ``raw`` is the standardised value (n,), the probability of the second class present (n,), or of each class
        present (n, k); it is not read where the model is a constant.
        """
        if self.constant is not None:
            return np.full(n_rows, self.constant[0]) if not self.classes else np.tile(self.constant, (n_rows, 1))
        raw = np.asarray(raw, dtype=np.float64)
        if not self.classes:
            number = raw * self.spread + self.centre
            return self.log_factor * np.expm1(number) if self.log_factor else number
        proba = raw
        if raw.ndim == 1:
            proba = np.empty((len(raw), 2))
            proba[:, 0], proba[:, 1] = 1.0 - raw, raw
        if self.temperature != 1.0:
            proba = proba ** (1.0 / self.temperature)
        return all_classes(row_shares(proba), np.asarray(self.classes), self.n_classes, self.n_rows)


def code_rows(
    X: Matrix, y: np.ndarray, weight: np.ndarray | None, task: Task, n_classes: int, log_factor: float = 0.0
) -> tuple[Coding, Rows]:
    """Find the coding of training rows and apply it; weights are scaled to mean 1.

    ``log_factor`` is heard in regression, where no target is negative.

    Raises
    ------
    DataError
        If every weight is zero.
    """
    X, y, weight = _positive_weight(X, y, weight)
    if weight is not None:
        weight = mean_one(weight, X.n_rows)
    varied = _varies(X)
    if task == "regression":
        coding = _regression(y, weight, log_factor if varied else 0.0)
        if not varied:
            coding = msgspec.structs.replace(coding, constant=[coding.centre])
    else:
        coding = _classification(y, weight, n_classes, constant=not varied)
    return coding, Rows(X, coding.encode(y), weight)


def code_validation(coding: Coding, validation: Validation) -> Rows | None:
    """Validation rows in the same coding; None if none is left.

    A row whose class training never saw is left out: its loss says nothing about when to stop.
    """
    X, y, weight = _positive_weight(validation.X, validation.y, validation.weight)
    if coding.classes:
        known = np.flatnonzero(np.isin(y, coding.classes))
        if len(known) < len(y):
            X, y, weight = X.take(known), y[known], None if weight is None else weight[known]
    return Rows(X, coding.encode(y), weight) if X.n_rows else None


def with_smearing(
    coding: Coding, result: FitResult, validation: Validation, prediction: np.ndarray
) -> tuple[Coding, FitResult]:
    """The coding with the factor of `smearing`, which is among what the fit has learned: the final fit takes it over."""
    coding = msgspec.structs.replace(coding, log_factor=smearing(coding.log_factor, validation, prediction))
    return coding, replace(result, learned={LOG_TARGET.name: coding.log_factor})


def smearing(factor: float, validation: Validation, prediction: np.ndarray) -> float:
    """The factor that a mean needs which was learned as the mean of a logarithm.

    With the residuals r of the logarithm on validation rows it is the mean of exp(r - mean(r)), rows weighted by their
    prediction. Their mean is taken out: that validation rows lie higher altogether, as later rows do where a target
    grows, is no property of the scale.

    Parameters
    ----------
    factor : float
        What the predictions were multiplied by; comes back where validation rows cannot tell a better one.
    validation : Validation
    prediction : ndarray of shape (n,)
    """
    plain = np.maximum(prediction / factor, 0.0)
    residual = np.log1p(np.maximum(validation.y, 0.0)) - np.log1p(plain)
    weight = plain if validation.weight is None else plain * validation.weight
    if not np.isfinite(residual).all() or not weight.sum() > 0:
        return factor
    found = np.average(np.exp(residual - np.average(residual, weights=weight)), weights=weight)
    return float(np.clip(found, *_FACTORS))


def loss_name(task: Task, coding: Coding) -> str:
    """Name of the loss that a fit watches."""
    if task != "regression":
        return "log_loss"
    return "rmsle" if coding.log_factor else "rmse"


def _regression(y: np.ndarray, weight: np.ndarray | None, log_factor: float = 0.0) -> Coding:
    if log_factor and y.min() >= 0:
        coding = _regression(np.log1p(y), weight)
        if coding.constant is None:
            return msgspec.structs.replace(coding, low=float(y.min()), high=float(y.max()), log_factor=log_factor)
    centre = float(np.average(y, weights=weight))
    spread = float(np.sqrt(np.average((y - centre) ** 2, weights=weight)))
    # Below this the spread is rounding of the mean, not variation.
    flat = spread <= 1e-12 * abs(centre)
    coding = Coding(len(y), 0, centre=centre, spread=1.0 if flat else spread, low=float(y.min()), high=float(y.max()))
    return msgspec.structs.replace(coding, constant=[centre]) if flat else coding


def _classification(y: np.ndarray, weight: np.ndarray | None, n_classes: int, *, constant: bool) -> Coding:
    present = np.unique(y).astype(np.int64)
    coding = Coding(len(y), n_classes, classes=present.tolist())
    if len(present) > 1 and not constant:
        return coding
    counts = np.bincount(y.astype(np.int64), weights=weight, minlength=n_classes)[present]
    shares = all_classes((counts / counts.sum())[None], present, n_classes, len(y))
    return msgspec.structs.replace(coding, constant=shares[0].tolist())


def _positive_weight(X: Matrix, y: np.ndarray, weight: np.ndarray | None) -> tuple[Matrix, np.ndarray, np.ndarray | None]:
    """Leave out rows of weight zero, which may hold classes that no other row has."""
    if weight is None or (weight > 0).all():
        return X, y, weight
    kept = np.flatnonzero(weight > 0)
    if not len(kept):
        raise DataError("Every row has weight 0.", where="weight", mend="Give at least one row a positive weight.")
    return X.take(kept), y[kept], weight[kept]


def _varies(X: Matrix) -> bool:
    """Whether any column takes two values (missing counts as one)."""
    numbers = (np.any((c != c[0]) & ~(np.isnan(c) & np.isnan(c[0]))) for c in X.numeric.T)
    return any(numbers) or any(np.any(c != c[0]) for c in X.codes.T)
