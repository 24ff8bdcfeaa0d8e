"""A run of a server as a run folder of ours: what is written, and how it gets its place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import StorageError
from modelwright.jobs import artifacts
from modelwright.jobs.folder import JobRecord
from modelwright.jobs.log import Begin, End, Line
from modelwright.jobs.values import guessed, metric_value, shown
from modelwright.mirroring.files import File
from modelwright.provenance.labels import LABELS, Labels
from modelwright.provenance.secrets import redacted_value
from modelwright.runs.entry import State
from modelwright.runs.folder import ARTIFACTS, JOB, LOG
from modelwright.store.folders import RunFolder

#: Key of the details of a job that came from a server.
DETAILS = "mlflow"
_STATES: dict[str, State] = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "interrupted"}
#: Tags that a mirrored run has from us; they are no labels of people.
_OURS = "modelwright."
_NOTE = "mlflow.note.content"


def record_of(run: Any, *, experiment: str, uri: str, parent: str) -> JobRecord:
    """What is known of the run from its start.

    Parameters
    ----------
    run : mlflow.entities.Run
    experiment, uri : str
        Where it comes from.
    parent : str
        Our identifier of its parent, or empty.
    """
    data = run.inputs.dataset_inputs if run.inputs is not None else []
    details = {
        "uri": uri,
        "run_id": run.info.run_id,
        "experiment": experiment,
        "user": run.info.user_id or "",
        "commit": run.data.tags.get("mlflow.source.git.commit", ""),
        "tags": {name: value for name, value in run.data.tags.items() if name.startswith(_OURS)},
        "data": [{"name": each.dataset.name, "digest": each.dataset.digest} for each in data],
    }
    seed = guessed(run.data.params.get("seed", run.data.params.get("random_state", "")))
    return JobRecord(
        id="",
        name=run.info.run_name or run.info.run_id[:8],
        created=_moment(run.info.start_time or 0).isoformat(timespec="milliseconds"),
        parent=parent,
        source=run.data.tags.get("mlflow.source.name", ""),
        seed=seed if type(seed) is int else None,
        details={DETAILS: details},
    )


def user_tags(run: Any) -> Labels:
    """Tags that people gave; those of MLflow and of mirroring stay out, the note comes along."""
    tags = {name: value for name, value in run.data.tags.items() if not name.startswith(("mlflow.", _OURS))}
    return Labels(tags=tags, note=run.data.tags.get(_NOTE, ""))


def imported_lines_of(run: Any, histories: Mapping[str, list[tuple[int, int, float]]], left: list[str]) -> list[Line]:
    """The log of the run: params first, each value of a metric at its time and step, the end.

    Parameters
    ----------
    run : mlflow.entities.Run
    histories : mapping of str to list of (time in ms, step, value)
    left : list of str
        What is to be said of files that stayed there.
    """
    start = (run.info.start_time or 0) / 1000
    points = sorted((time, step, name, value) for name, each in histories.items() for time, step, value in each)
    end = (run.info.end_time or (points[-1][0] if points else run.info.start_time or 0)) / 1000
    params = shown({name: guessed(value) for name, value in run.data.params.items()})
    return [
        Line(time=start, begin=Begin(pid=0, host="mlflow"), params=params),
        *(Line(time=time / 1000, metrics={name: metric_value(name, value)}, step=step) for time, step, name, value in points),
        *(Line(time=end, note=note) for note in left),
        Line(time=end, end=End(_STATES.get(run.info.status, "interrupted"))),
    ]


def written(home: Path, record: JobRecord, labels: Labels, lines: list[Line], files: list[File]) -> str:
    """Make the run folder, complete or not at all; its identifier.

    Parameters
    ----------
    home : Path
    record : JobRecord
    labels : Labels
    lines : list of Line
    files : list of File
        Copied into the folder.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    when = datetime.fromisoformat(record.created).strftime("%Y%m%d-%H%M%S")
    place = RunFolder.new(home, record.name[:100], when, lambda run: b"{}")
    try:
        named = redacted_value(msgspec.structs.replace(record, id=place.run))
        (place.draft / JOB).write_bytes(msgspec.json.format(msgspec.json.encode(named)) + b"\n")
        (place.draft / LABELS).write_bytes(msgspec.json.encode(redacted_value(labels)))
        (place.draft / ARTIFACTS).mkdir()
        # The end stays last: what follows the last word of a run would look like a run taken up again.
        kept = [Line(time=lines[-1].time, artifact=artifacts.file(place.draft, file.path, file.name)) for file in files]
        log = [redacted_value(line) for line in [*lines[:-1], *kept, lines[-1]]]
        (place.draft / LOG).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in log))
        place.publish()
    except OSError as error:
        place.discard()
        raise StorageError(
            f"The run cannot be kept: {error.strerror}.",
            where=str(home),
            mend="Free some space; runs brought in before are kept.",
        ) from error
    except BaseException:
        place.discard()
        raise
    return place.run


def _moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone()
