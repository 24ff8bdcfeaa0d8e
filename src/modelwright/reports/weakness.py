"""What the report shows of weak spots: slices, groups, and the checklist."""

from __future__ import annotations

from typing import Any

from modelwright.evaluation.groupwise import Groupwise
from modelwright.evaluation.slices import Slice
from modelwright.reports.format import NOTHING, estimated, metric_title, number, p_value, ranged
from modelwright.reports.reforms import reforms
from modelwright.training.record import RunRecord


def weak_spots(record: RunRecord) -> dict[str, Any]:
    """Slices and groups as rows of text."""
    evaluation = record.evaluation
    if evaluation is None:
        return {"slices": [], "groups": [], "sentence": ""}
    confirmed = [s for s in evaluation.slices if s.confirmed]
    if confirmed:
        worst = confirmed[0]
        where = " and ".join(worst.conditions)
        sentence = f"The model does worst where {where}: there its mean loss is {_times(worst.excess)} that of the other rows."
    else:
        sentence = "No group of rows is shown to be worse than the rest. These looked worst on validation rows:"
    return {
        "slices": [_slice(each) for each in evaluation.slices],
        "groups": [_groups(each, record.metric) for each in evaluation.groupwise],
        "sentence": sentence,
    }


def _slice(found: Slice) -> dict[str, Any]:
    verdict = "too few rows"
    if found.p_value is not None:
        verdict = f"p {text}" if (text := p_value(found.p_value)).startswith("<") else f"p = {text}"
    return {
        "conditions": " and ".join(found.conditions),
        "n": found.n_sealed,
        "score": NOTHING if found.score is None else number(found.score.value),
        "interval": ranged(found.score),
        "excess": _times(found.excess),
        "verdict": verdict if found.confirmed or found.p_value is None else f"not shown, {verdict}",
        "confirmed": found.confirmed,
    }


def _groups(found: Groupwise, metric: str) -> dict[str, Any]:
    names = list(dict.fromkeys([metric, *(name for g in found.groups for name in g.metrics)]))
    rows = [
        (g.group, g.n_rows, [estimated(i) if (i := g.metrics.get(name)) else "unknown" for name in names]) for g in found.groups
    ]
    if metric not in found.gaps:
        sentence = "There are too few rows to compare groups."
    else:
        apart = "their intervals are apart" if found.apart[metric] else "their intervals overlap"
        sentence = f"The largest difference in {metric_title(metric)} is {number(found.gaps[metric])}; {apart}."
    return {"column": found.column, "metrics": [metric_title(name) for name in names], "rows": rows, "sentence": sentence}


def checklist(record: RunRecord) -> dict[str, Any]:
    """The REFORMS items, and how many of them the record fills."""
    items = reforms(record)
    return {"rows": items, "filled": sum(bool(item.answer) for item in items)}


def _times(excess: float | None) -> str:
    return NOTHING if excess is None else f"{excess:.2f} ×"
