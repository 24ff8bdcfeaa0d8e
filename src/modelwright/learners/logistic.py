"""Logistic regression by L-BFGS, interruptible and with its loss curve.

The absolute-value part of the penalty is made smooth by writing each coefficient as a difference of two
non-negative ones, which L-BFGS-B keeps at exactly zero where they belong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.learners.fitting import Deadline
from modelwright.learners.rowwise import sigmoid, softmax


@dataclass(frozen=True)
class LogisticFit:
    """Coefficients of shape (d, K) — or (d, 1) for two classes — intercepts, and the mean penalised loss by iteration.

    ``stopped`` is "converged", "iterations" or "time".
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    losses: list[float]
    stopped: str


def fit_logistic(
    X: Any,
    y: np.ndarray,
    n_classes: int,
    row_weight: np.ndarray,
    *,
    alpha: float,
    l1_ratio: float = 0.0,
    max_iter: int = 500,
    deadline: Deadline | None = None,
    last: int | None = None,
) -> LogisticFit:
    """Minimise the weighted negative log likelihood plus an elastic-net penalty.

    Parameters
    ----------
    X : ndarray or csr_matrix of shape (n, d)
    y : ndarray of shape (n,), values 0..K-1, every class present
    n_classes : int
        K, at least 2.
    row_weight : ndarray of shape (n,), mean 1
    alpha, l1_ratio : float
        Penalty alpha * (l1_ratio |theta|_1 + (1 - l1_ratio) / 2 |theta|^2) against the loss summed over rows.
    max_iter : int
    deadline : Deadline, optional
    last : int, optional
        Iteration after which the deadline ended an earlier fit; this one ends there, whatever time it takes.
    """
    from scipy.optimize import minimize

    n, d = X.shape
    width = 1 if n_classes == 2 else n_classes
    onehot = None if width == 1 else (np.asarray(y)[:, None] == np.arange(n_classes)).astype(np.float64)
    smooth = _smooth_loss(X, y, onehot, row_weight, alpha * (1.0 - l1_ratio))
    # Start from the class frequencies: the intercepts need no iterations then.
    frequency = np.bincount(y, weights=row_weight, minlength=n_classes) + 1e-9
    start = np.log(frequency / frequency.sum())
    intercept = np.array([start[1] - start[0]]) if width == 1 else start - start.mean()
    theta = np.concatenate([np.zeros(d * width), intercept])
    lasso = alpha * l1_ratio / n
    losses: list[float] = []
    timed_out = False

    def after(intermediate_result: Any) -> None:
        nonlocal timed_out
        losses.append(float(intermediate_result.fun))
        if len(losses) == last or (last is None and deadline is not None and deadline.passed):
            timed_out = True
            raise StopIteration

    options = {"maxiter": max_iter, "maxfun": 2 * max_iter, "ftol": 1e-9, "gtol": 1e-5, "maxcor": 10}
    if lasso > 0:
        split, bounds = np.concatenate([theta[: d * width] * 0, theta]), [(0, None)] * (2 * d * width) + [(None, None)] * width

        def objective(parts: np.ndarray) -> tuple[float, np.ndarray]:
            positive, negative, free = parts[: d * width], parts[d * width : 2 * d * width], parts[2 * d * width :]
            value, gradient = smooth(np.concatenate([positive - negative, free]))
            inner = gradient[: d * width]
            return value + lasso * parts[: 2 * d * width].sum(), np.concatenate(
                [inner + lasso, lasso - inner, gradient[d * width :]]
            )

        found = minimize(objective, split, jac=True, method="L-BFGS-B", bounds=bounds, callback=after, options=options)
        theta = np.concatenate([found.x[: d * width] - found.x[d * width : 2 * d * width], found.x[2 * d * width :]])
    else:
        found = minimize(smooth, theta, jac=True, method="L-BFGS-B", callback=after, options=options)
        theta = np.asarray(found.x)
    stopped = "time" if timed_out else ("iterations" if found.status == 1 else "converged")
    return LogisticFit(theta[: d * width].reshape(d, width), theta[d * width :], losses, stopped)


def _smooth_loss(
    X: Any, y: np.ndarray, onehot: np.ndarray | None, row_weight: np.ndarray, ridge: float
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Mean loss with the squared penalty, and its gradient, as a function of the flat parameters."""
    n, d = X.shape
    sign = 2.0 * np.asarray(y, dtype=np.float64) - 1.0

    def value_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        width = 1 if onehot is None else onehot.shape[1]
        coefficients, intercept = theta[: d * width].reshape(d, width), theta[d * width :]
        scores = X @ coefficients + intercept
        if onehot is None:
            margin = sign * scores[:, 0]
            loss = float(np.dot(row_weight, np.logaddexp(0.0, -margin)))
            residual = (-row_weight * sign * sigmoid(-margin))[:, None]
        else:
            top = scores.max(axis=1, keepdims=True)
            normaliser = np.log(np.exp(scores - top).sum(axis=1)) + top[:, 0]
            loss = float(np.dot(row_weight, normaliser - (scores * onehot).sum(axis=1)))
            residual = row_weight[:, None] * (softmax(scores) - onehot)
        loss += 0.5 * ridge * float(np.square(coefficients).sum())
        slope = np.asarray(X.T @ residual) + ridge * coefficients
        return loss / n, np.concatenate([slope.ravel(), residual.sum(axis=0)]) / n

    return value_and_gradient
