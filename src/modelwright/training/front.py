"""Which models of a run no other beats in score, single-row time and size at once."""

from __future__ import annotations

from dataclasses import dataclass

from modelwright.ensembles.pareto import pareto_front
from modelwright.training.record import RunRecord

#: Number of the delivered model where trials have theirs.
DELIVERED = -1


@dataclass(frozen=True)
class Point:
    """One model with the three things that are weighed against each other; ``trial`` may be `DELIVERED`."""

    trial: int
    score: float
    single_row_s: float
    size_bytes: float
    on_front: bool = False


def points(record: RunRecord) -> list[Point]:
    """Validated candidates that were measured, and the delivered model; empty in records without figures.

    Baselines cannot be delivered and do not take part. A model with one member stands for the candidate that it is.
    """
    if record.figures is None:
        return []
    found = []
    members = {member.trial for member in record.plan.members}
    delivered = record.figures.delivered
    if delivered is not None and delivered.score is not None:
        found.append(Point(DELIVERED, delivered.score, delivered.measured.single_row_s, float(delivered.measured.size_bytes)))
    alone = members if found and len(members) == 1 else set()
    for trial in record.trials:
        if trial.baseline or trial.stage != "validate" or trial.state != "complete" or trial.score is None:
            continue
        figures = record.figures.of(trial.number)
        if trial.number in alone or figures is None or figures.single_row_s is None or figures.size_bytes is None:
            continue
        found.append(Point(trial.number, trial.score, figures.single_row_s, float(figures.size_bytes)))
    sign = -1.0 if record.greater_is_better else 1.0
    marks = pareto_front([(sign * p.score, p.single_row_s, p.size_bytes) for p in found])
    return [Point(p.trial, p.score, p.single_row_s, p.size_bytes, mark) for p, mark in zip(found, marks, strict=True)]


def on_front(record: RunRecord) -> set[int]:
    """Numbers of the trials on the front, and `DELIVERED` if the delivered model is on it."""
    front = {point.trial for point in points(record) if point.on_front}
    members = {member.trial for member in record.plan.members}
    return front | members if DELIVERED in front and len(members) == 1 else front
