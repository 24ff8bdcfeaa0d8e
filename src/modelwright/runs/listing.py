"""All runs of a home: from the index, repaired by what the folders say.

On each list the names and times of the folders are held against the index, which costs a look at each folder and no file
opened. A run that was copied in, removed, labelled by hand or left by a process that could not reach the store is noticed
that way. Where the store cannot be used the folders are read one by one, and that is said.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from modelwright.errors import ModelwrightError, StorageError
from modelwright.runs.entries import entry_of, is_run
from modelwright.runs.entry import RunEntry
from modelwright.runs.index import Indexed, RunIndex
from modelwright.runs.unfinished import unfinished_entries

#: Raised when an entry would be read otherwise from the same folder: entries of before are then read anew, once.
_READING = 1


@dataclass(frozen=True)
class Listing:
    """Entries, newest first; ``notes`` say what a user should know of how they came about."""

    entries: list[RunEntry]
    notes: list[str] = field(default_factory=list)


def stamp_of(folder: Path) -> str:
    """The state of a run folder: renames within it and files put in change it, appended lines do not."""
    return _stamp(folder.stat().st_mtime_ns)


def _stamp(modified_ns: int) -> str:
    return f"{_READING}:{modified_ns}"


def enter(folder: Path, index: RunIndex) -> RunEntry:
    """Read a run folder and put it into the index.

    Parameters
    ----------
    folder : Path
    index : RunIndex
    """
    stamp = stamp_of(folder)
    entry = entry_of(folder)
    index.put(entry, stamp)
    return entry


def list_runs(home: Path, store: str | None = None, *, unfinished: bool = True, artifacts: str | None = None) -> Listing:
    """All runs of a home, newest first, and those that are published at an address.

    Parameters
    ----------
    home : Path
        Need not exist; then there are none.
    store : str or None
        URL of the store; None is SQLite in the home.
    unfinished : bool, default=True
        Whether trainings that are under way or were killed are listed too.
    artifacts : str or None
        Where runs are published.

    Returns
    -------
    Listing
    """
    if not home.is_dir() and artifacts is None:
        return Listing([])
    try:
        entries, notes = _repaired(home, RunIndex.of(home, store))
    except StorageError as error:
        lines, notes = read_folders(home)
        entries = [line.entry for line in lines]
        notes = [f"The index cannot be used, the folders were read instead. {error.what} {error.mend}", *notes]
    if unfinished:
        published = {entry.id for entry in entries}
        entries += [entry for entry in unfinished_entries(home) if entry.id not in published]
    if artifacts is not None:
        from modelwright.runs.remote import published_entries

        entries, more = published_entries(home, artifacts, entries)
        notes += more
    return Listing(sorted(entries, key=_when, reverse=True), notes)


def _when(entry: RunEntry) -> tuple[float, str]:
    try:
        created = datetime.fromisoformat(entry.created)
        return created.timestamp(), entry.id
    except (ValueError, OverflowError, OSError):
        return 0.0, entry.id


def read_folders(home: Path) -> tuple[list[Indexed], list[str]]:
    """Every run folder of a home read anew, and what was wrong with those that could not be read.

    Parameters
    ----------
    home : Path
    """
    return _read(home / "runs", dict(run_folders(home)))


def run_folders(home: Path) -> Iterator[tuple[str, str]]:
    """Name and stamp of each folder below ``runs/``."""
    try:
        with os.scandir(home / "runs") as places:
            for place in places:
                if not place.name.startswith(".") and place.is_dir():
                    yield place.name, _stamp(place.stat().st_mtime_ns)
    except FileNotFoundError:
        return


def _repaired(home: Path, index: RunIndex) -> tuple[list[RunEntry], list[str]]:
    # The index first: whoever publishes a run puts it there after its folder is in place, so a run of the index without a
    # folder is gone, and not just on its way.
    known = {line.entry.id: line for line in index.lines()}
    there = dict(run_folders(home))
    changed = {
        run: stamp
        for run, stamp in there.items()
        # A run at work appends to its log, which no stamp tells; one that was killed may have been taken up again.
        if run not in known or known[run].stamp != stamp or known[run].entry.state in ("running", "killed")
    }
    read, notes = _read(home / "runs", changed)
    gone = [run for run in known if run not in there]
    updated = {line.entry.id: line for line in read}
    fresh = [line for run, line in updated.items() if known.get(run) != line]
    unreadable = [run for run in changed if run in known and run not in updated]
    if fresh or gone or unreadable:
        try:
            index.put_all(fresh)
            index.remove([*gone, *unreadable])
        except StorageError as error:
            notes.append(f"The index could not be brought up to date. {error.what}")
    lost = {*gone, *unreadable}
    kept = [updated.get(run, line).entry for run, line in known.items() if run not in lost]
    return kept + [line.entry for run, line in updated.items() if run not in known], notes


def _read(runs: Path, stamps: dict[str, str]) -> tuple[list[Indexed], list[str]]:
    found, notes = [], []
    for run, stamp in stamps.items():
        folder = runs / run
        if not is_run(folder):
            continue  # somebody else's folder
        try:
            found.append(Indexed(entry_of(folder), stamp))
        except ModelwrightError as error:
            if folder.is_dir():  # else it was removed meanwhile
                notes.append(f"Run {run} cannot be read: {error.what}")
    return found, notes
