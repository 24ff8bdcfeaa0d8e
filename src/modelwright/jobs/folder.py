"""The folder of a job: how it is begun, and what a list of runs knows of it.

``job.json`` says what was known at the start and never changes; the log says the rest (`jobs.log`). The folder appears in
its place by one rename, with the log locked, so no reader ever sees one without its owner.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from modelwright.errors import BundleError, StorageError
from modelwright.jobs.log import Artifact, Begin, Line, Log, is_alive, read_lines
from modelwright.jobs.values import read_number, restored
from modelwright.provenance.code import DIFF_FILE
from modelwright.provenance.labels import LABELS, Labels
from modelwright.provenance.record import Provenance
from modelwright.runs.entry import RunEntry, State
from modelwright.runs.folder import ARTIFACTS, JOB, LOG
from modelwright.store.folders import RunFolder

#: Raised when an older reader would misread a newer folder.
JOB_FORMAT = 1
#: Names of folders have an end.
_LONGEST_NAME = 100
_ATTEMPTS = 100
#: Params that only choose the draw; runs that differ in nothing else belong to one group.
_SEEDS = frozenset({"seed", "random_state", "random_seed"})


class JobRecord(msgspec.Struct, frozen=True):
    """What is known of a job when it begins.

    ``source`` is the script or function, ``metric`` what a tuning improves, ``details`` what else its maker wants to keep.
    """

    id: str
    name: str
    created: str
    format_version: int = JOB_FORMAT
    kind: Literal["job", "tuning"] = "job"
    parent: str = ""
    source: str = ""
    seed: int | None = None
    metric: str = ""
    greater_is_better: bool | None = None
    details: dict[str, Any] = {}
    provenance: Provenance | None = None


class JobStatus(msgspec.Struct, frozen=True):
    """What the log of a job says so far."""

    state: State
    lines: list[Line]
    params: dict[str, Any]
    metrics: dict[str, float]
    artifacts: dict[str, Artifact]
    ended: float | None = None
    error: str = ""
    exit_code: int | None = None
    peak_memory_mb: float | None = None


def new_job(home: Path, record: JobRecord, labels: Labels, first: Line, *, diff: str = "") -> tuple[JobRecord, Path, Log]:
    """Make the folder of a job that this process owns.

    Parameters
    ----------
    home : Path
        The ``.modelwright`` folder; made if absent.
    record : JobRecord
        Its ``id`` and ``created`` are set here.
    labels : Labels
    first : Line
        Stands first in the log.
    diff : str
        Uncommitted changes of the code.

    Returns
    -------
    record : JobRecord
    folder : Path
    log : Log
        Locked by this process.

    Raises
    ------
    StorageError
        If the folder cannot be made.
    """
    now = datetime.now().astimezone()
    for _ in range(_ATTEMPTS):
        place = RunFolder.new(home, record.name[:_LONGEST_NAME], now.strftime("%Y%m%d-%H%M%S"), lambda run: b"{}")
        run = place.run
        named = msgspec.structs.replace(record, id=run, created=now.isoformat(timespec="milliseconds"))
        log = None
        try:
            (place.draft / JOB).write_bytes(msgspec.json.format(msgspec.json.encode(named)) + b"\n")
            (place.draft / LABELS).write_bytes(msgspec.json.encode(labels))
            (place.draft / ARTIFACTS).mkdir()
            if diff:
                (place.draft / DIFF_FILE).write_text(diff, encoding="utf-8", errors="surrogateescape")
            log = Log(place.draft / LOG)
            log.lock()
            log.append(first)
            folder = place.publish().absolute()
        except (OSError, StorageError) as error:
            if log is not None:
                log.close()
            place.discard()
            if (home / "runs" / run).exists():
                continue  # it was taken meanwhile
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                f"The run folder cannot be made: {error.strerror}.", where=str(home), mend="Give a writable folder with --home."
            ) from error
        log.path = folder / LOG
        return named, folder, log
    raise StorageError(f"No name is free for the run {record.name!r}.", where=str(home), mend="Give it another name.")


def read_record(folder: Path) -> JobRecord:
    """What is known of the job from its start.

    Raises
    ------
    BundleError
        If it cannot be read, or a newer version wrote it.
    """
    path = folder / JOB
    try:
        record = msgspec.json.decode(path.read_bytes(), type=JobRecord)
    except (OSError, msgspec.DecodeError) as error:
        raise BundleError(f"The job cannot be read: {error}.", where=str(path), mend="Give the folder of a job.") from error
    if record.format_version > JOB_FORMAT:
        raise BundleError(
            f"The job has format {record.format_version}, this version reads up to {JOB_FORMAT}.",
            where=str(path),
            mend="Install a newer modelwright.",
        )
    return record


def read_labels(folder: Path) -> Labels:
    """Tags and note; none where the file is absent or damaged."""
    try:
        return msgspec.json.decode((folder / LABELS).read_bytes(), type=Labels)
    except (OSError, msgspec.DecodeError):
        return Labels()


def read_status(folder: Path) -> JobStatus:
    """What was logged so far, and how it stands with the run."""
    # Before the log: an owner that was seen alive may end meanwhile, but one that was not has said its last word.
    alive = is_alive(folder / LOG)
    try:
        lines = read_lines((folder / LOG).read_bytes())
    except OSError:
        lines = []
    params: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    artifacts: dict[str, Artifact] = {}
    end, ended, error, peak = None, None, "", None
    for line in lines:
        if line.metrics:
            metrics.update((name, read_number(value)) for name, value in line.metrics.items())
        if line.params:
            params.update((name, restored(value)) for name, value in line.params.items())
        if line.artifact is not None:
            artifacts[line.artifact.name] = line.artifact
        if line.begin is not None:
            end, ended, error = None, None, ""
        if line.end is not None:
            end, ended = line.end, line.time
        error = line.error or error
        if line.peak_memory_mb is not None:
            peak = max(line.peak_memory_mb, peak or 0.0)
    if end is None and not alive:
        ended = lines[-1].time if lines else None
    return JobStatus(
        state=end.state if end is not None else "running" if alive else "killed",
        lines=lines,
        params=params,
        metrics=metrics,
        artifacts=artifacts,
        ended=ended,
        error=(end.error if end is not None else "") or error,
        exit_code=None if end is None else end.exit_code,
        peak_memory_mb=peak,
    )


def entry_of(folder: Path) -> RunEntry:
    """What a list of runs knows of the job in this folder.

    Metrics are the last logged values; they may be NaN or infinite.

    Raises
    ------
    BundleError
        If it is no folder of a job.
    """
    record, labels, status = read_record(folder), read_labels(folder), read_status(folder)
    origin = record.provenance
    code = origin.code if origin is not None else None
    began = datetime.fromisoformat(record.created).timestamp()
    return RunEntry(
        id=record.id,
        name=record.name,
        kind=record.kind,
        state=status.state,
        created=record.created,
        ended=None if status.ended is None else datetime.fromtimestamp(status.ended, UTC).isoformat(timespec="milliseconds"),
        wall_s=None if status.ended is None else max(0.0, status.ended - began),
        parent=record.parent,
        user=origin.user if origin is not None else "",
        metric=record.metric,
        greater_is_better=record.greater_is_better,
        params=status.params,
        metrics=status.metrics,
        tags=labels.tags,
        note=labels.note,
        source=record.source,
        commit=code.commit if code is not None else "",
        dirty=code.dirty if code is not None else False,
        seed=record.seed,
        group=_group(record, status.params),
        peak_memory_mb=status.peak_memory_mb,
        error=status.error,
    )


def _group(record: JobRecord, params: dict[str, Any]) -> str:
    asked = {name: value for name, value in params.items() if name not in _SEEDS}
    told = repr((record.kind, record.source or record.name, sorted(asked.items())))
    return hashlib.sha256(told.encode(errors="backslashreplace")).hexdigest()[:16]


def begin_line(time: float, pid: int, host: str, params: dict[str, Any] | None = None) -> Line:
    """The first line of a log, or the first after the run was taken over."""
    return Line(time=time, begin=Begin(pid=pid, host=host), params=params or {})
