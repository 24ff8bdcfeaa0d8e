"""Curves of a run of any kind: loss by iteration of a training, logged values by step of a job."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from modelwright.runs.entry import RunEntry
from modelwright.runs.folder import LOG, RECORD
from modelwright.training.record import CurveRecord

#: How a line of a log begins; where a torn line and a whole one grew together, the whole one is found by it.
_OPENING = b'{"time":'


class Curve(msgspec.Struct, frozen=True):
    """One figure over iterations or steps; ``figure`` is its name, such as "log_loss" or "loss"."""

    figure: str
    steps: list[float]
    values: list[float]
    what: str = ""


class _Member(msgspec.Struct, frozen=True):
    trial: int
    weight: float


class _Plan(msgspec.Struct, frozen=True):
    members: list[_Member] = []


class _Record(msgspec.Struct, frozen=True):
    curves: list[CurveRecord] = []
    plan: _Plan = _Plan()


class _Line(msgspec.Struct, frozen=True):
    metrics: dict[str, Any] = {}
    step: float | None = None


def curves_of(folder: Path, entry: RunEntry) -> list[Curve]:
    """The curves that tell most about a run; none where there are none.

    Parameters
    ----------
    folder : Path
    entry : RunEntry

    Returns
    -------
    list of Curve
        Of a training, validation loss (else training loss) of its heaviest iterative member on the first fold; of a job,
        each metric that was logged twice or more.
    """
    try:
        return _of_training(folder) if entry.kind == "training" else _of_job(folder)
    except (OSError, msgspec.MsgspecError):
        return []


def _of_training(folder: Path) -> list[Curve]:
    record = msgspec.json.decode((folder / RECORD).read_bytes(), type=_Record)
    weight: dict[int, float] = {}
    for member in record.plan.members:
        weight[member.trial] = weight.get(member.trial, 0.0) + member.weight
    inside = sorted((c for c in record.curves if c.trial in weight), key=lambda c: (-weight[c.trial], c.fold))
    for curve in inside:
        values = curve.validation or curve.training
        points = [(float(s), v) for s, v in zip(curve.iterations, values, strict=False) if math.isfinite(v)]
        if len(points) > 1:
            part = "validation" if curve.validation else "training"
            return [Curve(curve.loss, [s for s, _ in points], [v for _, v in points], f"{part}, {curve.algorithm}")]
    return []


def _of_job(folder: Path) -> list[Curve]:
    found: dict[str, list[tuple[float, float]]] = {}
    for text in (folder / LOG).read_bytes().split(b"\n")[:-1]:  # what follows the last line end is no line yet
        try:
            line = msgspec.json.decode(text[max(text.rfind(_OPENING), 0) :], type=_Line)
        except msgspec.MsgspecError:
            continue
        for name, value in line.metrics.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
                points = found.setdefault(name, [])
                points.append((len(points) if line.step is None else line.step, float(value)))
    curves = []
    for name, points in found.items():
        if len(points) > 1:
            points.sort(key=lambda point: point[0])
            curves.append(Curve(name, [s for s, _ in points], [v for _, v in points]))
    return curves
