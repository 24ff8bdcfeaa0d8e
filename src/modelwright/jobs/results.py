"""What a function returns, as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelwright.jobs.values import is_number

if TYPE_CHECKING:
    from modelwright.jobs.active import ActiveRun

#: Name of the metric when a function returns one number.
SCORE = "score"


def metrics_of(result: Any) -> dict[str, Any]:
    """The numbers of a returned dict by name, or a returned number as "score"; nothing of anything else.

    Examples
    --------
    >>> metrics_of({"roc_auc": 0.8, "model": object()})
    {'roc_auc': 0.8}
    >>> metrics_of(0.7)
    {'score': 0.7}
    """
    if isinstance(result, dict):
        return {name: value for name, value in result.items() if isinstance(name, str) and name.strip() and is_number(value)}
    return {SCORE: result} if not isinstance(result, bool) and is_number(result) else {}


def log_result(run: ActiveRun, result: Any) -> None:
    """Log the numbers of what a function returned."""
    metrics = metrics_of(result)
    if metrics:
        run.log(metrics=metrics)
