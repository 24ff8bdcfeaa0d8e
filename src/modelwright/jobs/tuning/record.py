"""What lies in the folder of a search, besides that of any job.

::

    runs/RUN/
        job.json        kind "tuning"; ``details.tuning`` are the settings
        trials.jsonl    a line for each trial that has ended, appended by one write each; of two for one number the later counts
        tuning.json     settings as last resumed, why the search ended, its best trial; replaced in one step
        report.html

Each trial is a run of its own beside it, whose ``details.trial`` is its number.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from modelwright.errors import BundleError
from modelwright.jobs.folder import JobRecord, JobStatus, read_record, read_status
from modelwright.jobs.tuning.loop import Outcome
from modelwright.jobs.tuning.settings import Settings
from modelwright.jobs.tuning.trial import Ended, Trial
from modelwright.jobs.values import read_number, shown
from modelwright.provenance.secrets import redacted
from modelwright.runs.folder import JOB

TRIALS, TUNING, REPORT = "trials.jsonl", "tuning.json", "report.html"
#: Keys of ``details``: of the search, and of each of its trials.
DETAILS, TRIAL = "tuning", "trial"


class TuningRecord(msgspec.Struct, frozen=True):
    """The state of a search; ``last`` is the trial that ended it, beyond which none counts."""

    settings: Settings
    ended: Ended | None = None
    last: int | None = None
    best: int | None = None


def read_tuning(folder: Path, record: JobRecord | None = None) -> TuningRecord:
    """The state of a search.

    Raises
    ------
    BundleError
        If it cannot be read.
    """
    try:
        if (folder / TUNING).is_file():
            return msgspec.json.decode((folder / TUNING).read_bytes(), type=TuningRecord)
        settings = (record or read_record(folder)).details.get(DETAILS)
        return TuningRecord(msgspec.convert(settings, type=Settings))
    except (OSError, msgspec.DecodeError) as error:
        raise BundleError(
            f"The search cannot be read: {error}.", where=str(folder), mend="Name a run of modelwright tune."
        ) from error


def write_tuning(folder: Path, record: TuningRecord) -> None:
    """Replace the state of a search in one step."""
    beside = folder / f"{TUNING}.{os.getpid()}"
    with beside.open("wb") as file:
        recorded = msgspec.structs.replace(record, settings=record.settings.recorded)
        file.write(msgspec.json.format(msgspec.json.encode(recorded)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, folder / TUNING)


class TrialLog:
    """The file of trials, open for appending."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / TRIALS).open("ab", buffering=0)
        if self._file.tell() and not _ends_with_newline(folder / TRIALS):
            self._file.write(b"\n")  # of a process that was killed while it wrote

    def append(self, trial: Trial) -> None:
        """Keep one trial; it is on the disk when this returns."""
        recorded = msgspec.structs.replace(trial, params=shown(trial.params), error=redacted(trial.error))
        data = msgspec.json.encode(recorded) + b"\n"
        while data:  # a disk that fills up may take a part first; the rest then raises
            data = data[self._file.write(data) or 0 :]
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def read_trials(folder: Path) -> dict[int, Trial]:
    """Trials by number, as they last ended; a torn line is passed over."""
    try:
        lines = (folder / TRIALS).read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    decoder, found = msgspec.json.Decoder(Trial), dict[int, Trial]()
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):
            trial = decoder.decode(line)
            found[trial.number] = trial
    return dict(sorted(found.items()))


def left_behind(folder: Path, metric: str, known: set[str]) -> dict[int, tuple[JobRecord, Outcome]]:
    """Trials whose own runs have finished, but whose end the killed search could not write down any more."""
    found = {}
    mark = msgspec.json.encode(folder.name)
    for path in folder.parent.glob(f"*/{JOB}"):
        with contextlib.suppress(OSError, BundleError):  # being deleted, or damaged: not ours to judge
            if path.parent.name in known or mark not in path.read_bytes():
                continue
            record, status = read_record(path.parent), read_status(path.parent)
            if record.parent != folder.name or TRIAL not in record.details or status.state != "finished":
                continue
            found[int(record.details[TRIAL])] = (record, outcome_of(record, status, metric))
    return found


def outcome_of(record: JobRecord, status: JobStatus, metric: str) -> Outcome:
    """How a trial ended whose run has finished."""
    reported = [
        (float(line.step), read_number(line.metrics[metric]))
        for line in status.lines
        if metric in line.metrics and line.step is not None
    ]
    seconds = (status.ended or 0.0) - status.lines[0].time
    return Outcome("complete", status.metrics, reported, seconds=seconds, run=record.id)
