"""The score on rows whose labels have come, and their losses in the order of the rows.

Labels count by the prediction that they belong to, and rows by their own order: when and in which order the labels came,
and how often, makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from scipy import special

from modelwright.metrics.intervals import interval
from modelwright.metrics.metric import Metric
from modelwright.monitoring.adwin import Adwin
from modelwright.monitoring.checked import Losses, Realised
from modelwright.monitoring.drift import State
from modelwright.tables.cells import label_of
from modelwright.tables.schema import Task

#: Deviations of a 95 % interval's half width.
_NORMAL = 1.959964


class ScoreRule(msgspec.Struct, frozen=True):
    """When a score has fallen.

    Parameters
    ----------
    min_labels : int
        Labels below which nothing is said.
    p : float
        Largest chance of so large a fall if nothing had changed.
    fall : float
        Least fall: of metrics between 0 and 1 in their unit, of others as a share of the reference.
    """

    min_labels: int = 50
    p: float = 0.002
    fall: float = 0.01


def truth_of(values: Sequence[Any], task: Task, classes: Sequence[Any]) -> np.ndarray:
    """Labels as numbers of classes, or as numbers; NaN where there is none, or one that the model does not know.

    Parameters
    ----------
    values : sequence of label, number or None
    task : {"binary", "multiclass", "regression", "clustering"}
    classes : sequence
    """
    if task == "regression":
        return np.array([_number(value) for value in values], dtype=np.float64)
    places: Mapping[str, int] = {str(label_of(label)): k for k, label in enumerate(classes)}
    return np.array([math.nan if v is None else places.get(str(label_of(v)), math.nan) for v in values], dtype=np.float64)


def realised(
    metric: Metric,
    y: np.ndarray,
    answers: np.ndarray,
    held_y: np.ndarray,
    held_answers: np.ndarray,
    *,
    threshold: float | None = None,
    rule: ScoreRule | None = None,
) -> tuple[Realised | None, float]:
    """The score of labelled rows beside that of the reference.

    Parameters
    ----------
    metric : Metric
    y : ndarray of shape (n,)
        NaN where no label has come.
    answers : ndarray of shape (n,) or (n, n_classes)
    held_y, held_answers : ndarray
        The same of the reference.
    threshold : float, optional
    rule : ScoreRule, optional

    Returns
    -------
    Realised or None
        None if no score can be computed.
    float
        The chance of so large a fall if nothing had changed.
    """
    rule = rule or ScoreRule()
    known = np.isfinite(y)
    n = int(known.sum())
    now = _scored(metric, y[known], answers[known], threshold)
    then = _scored(metric, held_y, held_answers, threshold)
    if now is None or then is None:
        return None, 1.0
    fall = metric.utility(then[0]) - metric.utility(now[0])
    error = math.hypot(*((high - low) / 2 / _NORMAL for _, low, high in (now, then)))
    p = float(special.ndtr(-fall / error)) if error > 0 else float(fall <= 0)
    state = state_of_fall(metric, fall, then[0], p, rule) if n >= rule.min_labels else "not enough data"
    return Realised(metric.name, metric.greater_is_better, *now, then[0], n, state), p


def state_of_fall(metric: Metric, fall: float, reference: float, p: float, rule: ScoreRule) -> State:
    """A fall judged by its chance and its size."""
    least = rule.fall * metric.unit(reference)
    if p < rule.p and fall >= least:
        return "alarm"
    return "warning" if p < 0.05 and fall >= least else "ok"


def losses_of(
    y: np.ndarray, answers: np.ndarray, held_y: np.ndarray, held_answers: np.ndarray, label: np.ndarray
) -> np.ndarray:
    """Loss of each labelled row in [0, 1]: an error of the class, or the share of reference rows with a smaller error.

    Parameters
    ----------
    y, answers : ndarray
        Of the window; ``y`` is NaN where no label has come.
    held_y, held_answers : ndarray
        Of the reference; read for numbers only.
    label : ndarray of shape (n,)
        Predicted classes; not read for numbers.
    """
    known = np.isfinite(y)
    if answers.ndim == 2:
        return np.asarray((label[known] != y[known]).astype(np.float64))
    errors = np.sort(np.abs(held_y - held_answers))
    return np.asarray(np.searchsorted(errors, np.abs(y - answers)[known]) / max(len(errors), 1))


def watched(before: np.ndarray, losses: np.ndarray) -> Losses | None:
    """Whether the mean loss rises within the window, by ADWIN.

    Parameters
    ----------
    before : ndarray of shape (k,)
        Losses of earlier rows, oldest first.
    losses : ndarray of shape (n,)
        Those of the window.

    Returns
    -------
    Losses or None
        None without losses.
    """
    if not len(losses):
        return None
    adwin = Adwin()
    adwin.changes(before)
    for value in losses:
        held, mean = adwin.width, adwin.mean
        if adwin.update(float(value)) and adwin.mean > mean and held:
            # What was cut away is the side before the change.
            cut = held + 1 - adwin.width
            was = ((held * mean + float(value)) - adwin.width * adwin.mean) / max(cut, 1)
            return Losses(float(losses.mean()), True, float(np.clip(was, 0.0, 1.0)), adwin.mean)
    return Losses(float(losses.mean()))


def _scored(metric: Metric, y: np.ndarray, answers: np.ndarray, threshold: float | None) -> tuple[float, float, float] | None:
    if len(y) < 2 or (answers.ndim == 2 and len(np.unique(y)) < 2):
        return None
    truth = y.astype(np.int64) if answers.ndim == 2 else y
    found = interval(metric, truth, answers, threshold=threshold)
    values = (float(found.value), float(found.low), float(found.high))
    return values if all(map(math.isfinite, values)) else None


def _number(value: Any) -> float:
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan
