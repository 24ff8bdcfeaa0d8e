"""Linear models on rows that come in batches: one step of Newton's method from the sample's solution.

Notation: n rows, d dense columns with a column of ones behind them, K outputs; theta (d + 1, K) the coefficients on
the sample, g and H the gradient and the Hessian of the loss summed over all n rows at theta.

    minimise  g . delta + delta' H delta / 2 + penalty(theta + delta)

For squared error this is the exact solution over all rows. For logistic regression theta is already within
1 / sqrt(n_sample) of it, and one step from there is as good as the maximum of the likelihood [1]_. Both need a single
pass, no learning rate and no order of rows, which stochastic gradient steps would. For K > 2 classes H has K^2 blocks, so
it is taken from the sample, which leaves the step as good.

References
----------
.. [1] van der Vaart, Asymptotic Statistics, 1998, section 5.7 (one-step estimators).
"""

from __future__ import annotations

import numpy as np

from modelwright.learners.linear import Linear, widened_range
from modelwright.learners.rowwise import sigmoid, softmax
from modelwright.learners.streamed import Batch, Limits, Stream, StreamedFit

_CHUNK_ROWS = 16_384
_SWEEPS = 200
#: Coefficients of all classes up to which their curvature is taken together; more are taken class by class.
_MOST_TOGETHER = 2_000
#: Rows of the sample that the curvature of many classes is taken from.
_CURVATURE_ROWS = 50_000


def fit_linear(learner: Linear, stream: Stream, sample: Batch, limits: Limits) -> StreamedFit:
    """Coefficients over all rows of a stream; see `streamed.fit_streamed`."""
    if learner.reads_text:
        return StreamedFit(None, 0, notes=["A linear model that reads text stays as fitted on the sample."])
    regression = learner.task == "regression"
    if not regression and len(learner.classes_) < 2:
        return StreamedFit(None, 0, notes=["The linear model knew a single class and stays as fitted on the sample."])
    theta = np.vstack([learner.coefficients_, np.atleast_2d(learner.intercept_)])
    d, n_outputs = theta.shape[0] - 1, theta.shape[1]
    gradient, hessian = np.zeros_like(theta), np.zeros((d + 1, d + 1))
    total_weight, n_rows, low, high = 0.0, 0, np.inf, -np.inf
    notes: list[str] = []
    for batch in stream:
        assert batch.y is not None
        dense = learner.coder_.transform(batch.X)
        weight = np.ones(len(dense)) if batch.weight is None else batch.weight
        if batch.sampled is not None and len(learner.coder_.encoded_centre_):
            # Levels were encoded with the targets of the sample, whose rows would take that for knowledge.
            weight = np.where(batch.sampled, 0.0, weight)
        for start in range(0, len(dense), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            inputs = np.column_stack([dense[part], np.ones(len(dense[part]))])
            residual, curvature = _derivatives(learner, inputs @ theta, batch.y[part])
            gradient += inputs.T @ (residual * weight[part, None])
            if n_outputs == 1:
                hessian += inputs.T @ (inputs * (curvature * weight[part])[:, None])
        total_weight += float(weight.sum())
        n_rows += len(dense)
        low, high = min(low, float(batch.y.min())), max(high, float(batch.y.max()))
        if limits.over and n_rows < stream.n_rows:
            notes.append(f"The linear model is from {n_rows:,} of {stream.n_rows:,} training rows: time was up.")
            break
    if total_weight <= 0:
        return StreamedFit(None, 0, notes=["The linear model stays as fitted on the sample: there are no further rows."])
    # Weights have mean 1 in the loss that the penalty is set against; regression learns the standardised target.
    gradient, hessian = gradient * n_rows / total_weight, hessian * n_rows / total_weight
    scale = _target_scale(learner, sample) if regression else 1.0
    alpha, l1_ratio = learner._penalty()
    ridge, lasso = alpha * (1.0 - l1_ratio) / scale**2, alpha * l1_ratio / scale
    if n_outputs == 1:
        moved = _step(gradient[:, 0] / scale**2, hessian / scale**2, theta[:, 0], ridge, lasso, d)[:, None]
    else:
        moved = _step_of_classes(learner, sample, gradient, theta, ridge, lasso, n_rows)
    fitted = Linear(learner.params, task=learner.task, n_classes=learner.n_classes, seed=learner.seed)
    fitted.coder_, fitted.classes_, fitted.reads_text = learner.coder_, learner.classes_, False
    fitted.n_numeric_, fitted.n_codes_, fitted.n_rows_ = learner.n_numeric_, learner.n_codes_, n_rows
    fitted.coefficients_, fitted.intercept_ = moved[:d], moved[d]
    fitted.bounds_ = widened_range(low, high) if regression else np.zeros(0)
    fitted.log_factor_ = learner.log_factor_
    if not regression and not _no_worse(fitted, learner, sample):
        return StreamedFit(None, 0, notes=["The linear model stays as fitted on the sample: the step on all rows overshot."])
    return StreamedFit(fitted, n_rows, 1, None, notes)


def _derivatives(learner: Linear, scores: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First derivative of each row's loss by its scores, (n, K), and the second where K is 1, (n,)."""
    if learner.task == "regression":
        return scores - learner.scale_of(y)[:, None], np.ones(len(y))
    target = np.searchsorted(learner.classes_, y)
    if scores.shape[1] == 1:
        chance = sigmoid(scores)
        return chance - target[:, None], (chance * (1.0 - chance))[:, 0]
    residual = softmax(scores)
    residual[np.arange(len(y)), target] -= 1.0
    return residual, np.zeros(0)


def _step_of_classes(
    learner: Linear, sample: Batch, gradient: np.ndarray, theta: np.ndarray, ridge: float, lasso: float, n_rows: int
) -> np.ndarray:
    """The step of K > 2 outputs, with the curvature of the sample."""
    width, n_classes = theta.shape
    rows = np.linspace(0, sample.X.n_rows - 1, min(_CURVATURE_ROWS, sample.X.n_rows)).astype(np.int64)
    dense = learner.coder_.transform(sample.X.take(rows))
    inputs = np.column_stack([dense, np.ones(len(dense))])
    weight = np.ones(len(rows)) if sample.weight is None else sample.weight[rows]
    weight = weight * (n_rows / weight.sum())
    chance = softmax(inputs @ theta)

    def block(k: int, other: int) -> np.ndarray:
        second = chance[:, k] * ((k == other) - chance[:, other])
        found: np.ndarray = inputs.T @ (inputs * (second * weight)[:, None])
        return found

    moved = np.empty_like(theta)
    if width * n_classes > _MOST_TOGETHER:
        for k in range(n_classes):  # twice the diagonal bounds the whole, so that the step does not overshoot
            moved[:, k] = _step(gradient[:, k], 2.0 * block(k, k), theta[:, k], ridge, lasso, width - 1)
        return moved
    hessian = np.empty((n_classes, width, n_classes, width))
    for k in range(n_classes):
        for other in range(k, n_classes):
            hessian[k, :, other, :] = block(k, other)
            hessian[other, :, k, :] = hessian[k, :, other, :].T
    whole = hessian.reshape(n_classes * width, n_classes * width)
    found = _step(gradient.T.ravel(), whole, theta.T.ravel(), ridge, lasso, width - 1)
    return found.reshape(n_classes, width).T


def _step(gradient: np.ndarray, hessian: np.ndarray, theta: np.ndarray, ridge: float, lasso: float, free: int) -> np.ndarray:
    """The minimiser of the penalised quadratic; of every ``free`` + 1 coefficients the last is not penalised."""
    penalised = np.arange(len(theta)) % (free + 1) != free
    jitter = 1e-10 * max(float(np.trace(hessian)) / len(theta), 1e-300)
    curve = hessian + np.diag(ridge * penalised + jitter)
    slope = hessian @ theta - gradient
    if lasso == 0:
        solution: np.ndarray = np.linalg.solve(curve, slope)
        return solution
    solution = theta.copy()
    for _ in range(_SWEEPS):  # coordinate descent on the quadratic
        before = solution.copy()
        for j in range(len(theta)):
            rest = slope[j] - curve[j] @ solution + curve[j, j] * solution[j]
            solution[j] = np.sign(rest) * max(abs(rest) - lasso * penalised[j], 0.0) / curve[j, j]
        if np.max(np.abs(solution - before)) <= 1e-7 * max(1e-12, float(np.max(np.abs(solution)))):
            break
    return solution


def _target_scale(learner: Linear, sample: Batch) -> float:
    """Spread of the target: penalties count coefficients of the standardised one."""
    assert sample.y is not None
    y = learner.scale_of(sample.y)
    centre = np.average(y, weights=sample.weight)
    scale = float(np.sqrt(np.average((y - centre) ** 2, weights=sample.weight)))
    return scale if scale > 0 else 1.0


def _no_worse(fitted: Linear, before: Linear, sample: Batch) -> bool:
    """Whether the log-loss on the sample is not much above what the fit on the sample itself had."""
    assert sample.y is not None
    losses = []
    for learner in (before, fitted):
        chance = learner.predict(sample.X)[np.arange(len(sample.y)), sample.y.astype(np.int64)]
        losses.append(float(np.average(-np.log(np.maximum(chance, 1e-15)), weights=sample.weight)))
    return bool(np.isfinite(losses[1]) and losses[1] <= 1.02 * losses[0] + 1e-3)
