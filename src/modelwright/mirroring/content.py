"""What a run says to MLflow, as plain values: params, tags, stepped metrics, child runs. No server is needed here."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from modelwright.provenance.labels import LABELS
from modelwright.runs.entry import RunEntry
from modelwright.runs.facts import flat
from modelwright.runs.folder import JOB, LOG, RECORD

#: Tags by which a mirrored run is found again.
RUN_TAG, TRIAL_TAG, DONE_TAG = "modelwright.run", "modelwright.trial", "modelwright.mirrored"
#: Limits of MLflow: letters of a name, of a param, of a tag (older servers take 5,000).
_NAME, _PARAM, _TAG = 250, 6000, 5000
#: Raised when runs would be told otherwise, so that a mirrored one is brought up to date.
_TELLING = 1
#: States of ours -> states of MLflow.
STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "killed": "KILLED", "running": "RUNNING"}


class Point(msgspec.Struct, frozen=True):
    """One value of a metric; ``time_ms`` since 1970."""

    name: str
    value: float
    step: int
    time_ms: int


class Told(msgspec.Struct, frozen=True):
    """A run as MLflow knows runs; ``trial`` is the number of a child, None for the run itself."""

    name: str
    status: str
    start_ms: int
    end_ms: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[Point]
    trial: int | None = None


def told_of(folder: Path, entry: RunEntry) -> tuple[Told, list[Told]]:
    """A run and its child trials.

    Parameters
    ----------
    folder : Path
    entry : RunEntry
        Of this folder.
    """
    start = milliseconds(entry.created)
    end = milliseconds(entry.ended) if entry.ended else start
    if entry.kind == "training":
        from modelwright.mirroring.trainings import points_of_training, trials_of_training

        points, children = points_of_training(folder, entry, end), trials_of_training(folder, start, end)
    else:
        points, children = _points_of_job(folder), []
    facts = {
        RUN_TAG: entry.id, "modelwright.kind": entry.kind, "modelwright.task": entry.task,
        "modelwright.target": entry.target, "modelwright.metric": entry.metric, "modelwright.data": entry.data,
        "modelwright.source": entry.source, "modelwright.error": entry.error, "modelwright.withheld": entry.withheld,
        "modelwright.parent": entry.parent, "mlflow.note.content": entry.note, "mlflow.user": entry.user,
        "mlflow.source.git.commit": entry.commit, "mlflow.source.name": entry.source, "mlflow.source.type": "LOCAL",
    }  # fmt: skip
    if entry.better is not None:
        facts["modelwright.better_than_baseline"] = str(entry.better).lower()
    own = {clean(key): value for key, value in entry.tags.items() if not key.startswith(("mlflow.", "modelwright."))}
    params = flat(entry.params) | ({} if entry.seed is None else {"seed": entry.seed})
    told = Told(
        name=entry.name,
        status=STATUS[entry.state],
        start_ms=start,
        end_ms=end,
        params=texts(params),
        tags={name: value[:_TAG] for name, value in {**own, **facts}.items() if value},
        metrics=points,
    )
    return told, children


def digest_of(folder: Path) -> str:
    """Changes whenever the run would be told otherwise; cheap, so that mirroring a mirrored run costs next to nothing."""
    found = hashlib.sha256(str(_TELLING).encode())
    for name in (RECORD, JOB, LOG, LABELS):
        path = folder / name
        found.update(name.encode() + (path.read_bytes() if path.is_file() else b"-"))
    return found.hexdigest()[:32]


def milliseconds(moment: str) -> int:
    """Milliseconds since 1970 of a time as records have it; 0 where it is none."""
    try:
        return int(datetime.fromisoformat(moment).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


def clean(name: str) -> str:
    """A name that MLflow takes: other letters become "_", a long one ends in a digest so that no two fall together.

    Examples
    --------
    >>> clean("loss (validation)")
    'loss _validation_'
    """
    made = re.sub(r"[^\w.\- :/]", "_", name, flags=re.ASCII).strip("/") or "_"
    if made.startswith(".") or "//" in made or "/." in made:
        made = made.replace("/", "_").replace(".", "_")
    if (made != name and not name.isascii()) or len(made) > _NAME:
        made = f"{made[: _NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return made


def texts(params: Mapping[str, Any]) -> dict[str, str]:
    """Params as the texts that MLflow keeps."""
    return {clean(name): _text(value)[:_PARAM] for name, value in params.items()}


def point(name: str, value: Any, step: int, time_ms: int) -> list[Point]:
    """The point, if the value is a number that says something."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return []
    return [Point(clean(name), float(value), step, time_ms)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _points_of_job(folder: Path) -> list[Point]:
    """Every logged value; where no step was given, its number in the order of logging."""
    from modelwright.jobs.folder import read_status
    from modelwright.jobs.values import read_number

    counts: dict[str, int] = {}
    points: list[Point] = []
    for line in read_status(folder).lines:
        for name, value in line.metrics.items():
            step = counts.get(name, 0) if line.step is None else line.step
            counts[name] = counts.get(name, 0) + 1
            points.append(Point(clean(name), read_number(value), step, int(line.time * 1000)))
    return points
