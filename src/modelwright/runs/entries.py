"""The entry of any run folder, and the folder of any run: by path, identifier or name."""

from __future__ import annotations

import math
import re
from pathlib import Path

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.runs.entry import RunEntry
from modelwright.runs.folder import JOB, RECORD


def is_run(folder: Path) -> bool:
    """Whether the folder holds a run of any kind."""
    return (folder / RECORD).is_file() or (folder / JOB).is_file()


def entry_of(folder: Path) -> RunEntry:
    """What a list knows of the run in a folder.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    BundleError
        If what describes the run cannot be read.
    InvalidInputError
        If the folder holds no run.
    """
    if (folder / RECORD).is_file():
        from modelwright.runs.training_entry import training_entry

        return training_entry(folder)
    if (folder / JOB).is_file():
        from modelwright.jobs.folder import entry_of as job_entry

        return _numbers_only(job_entry(folder))
    raise InvalidInputError("There is no run in this folder.", where=str(folder), mend="Give the folder of a run.")


def _numbers_only(entry: RunEntry) -> RunEntry:
    """Without metrics that are no number: nothing is larger than NaN, and JSON has no word for it."""
    metrics = {name: value for name, value in entry.metrics.items() if math.isfinite(value)}
    return entry if len(metrics) == len(entry.metrics) else msgspec.structs.replace(entry, metrics=metrics)


def find_folder(reference: str | Path, home: Path) -> Path:
    """The folder of a run of any kind, given by path, by identifier, or by name (its latest run).

    Parameters
    ----------
    reference : str or Path
    home : Path

    Raises
    ------
    InvalidInputError
        If there is no such run; the latest ones are named.
    """
    path = Path(reference)
    if is_run(path):
        return path
    runs, name = home / "runs", str(reference)
    # An identifier is one name within the folder of runs, not a way out of it.
    if name and Path(name).name == name and is_run(runs / name):
        return runs / name
    folders = list(runs.iterdir()) if runs.is_dir() else []
    of_name = re.compile(re.escape(name) + r"-\d{8}-\d{6}(-\d+)?")
    named = [folder for folder in folders if of_name.fullmatch(folder.name)]
    # A name given by the user may be written otherwise in the folder's name than in the record.
    for folder in sorted(named, key=_when, reverse=True):
        if is_run(folder):
            return folder
    known = ", ".join(folder.name for folder in sorted(folders, key=_modified)[-5:]) or "none yet"
    raise InvalidInputError(f"There is no run {name!r}.", where=str(runs), mend=f"Existing runs: {known}.")


def _when(folder: Path) -> tuple[str, int]:
    stamp = re.search(r"(\d{8}-\d{6})(?:-(\d+))?$", folder.name)
    assert stamp is not None
    return stamp[1], int(stamp[2] or 1)


def _modified(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
