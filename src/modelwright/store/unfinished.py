"""Runs that are being made, or that were killed: what is known of them, and how long they are kept.

::

    HOME/tmp/RUN/spec.json       what was asked (`training.resuming`); there from the first moment
    HOME/tmp/RUN/lock            held by whoever works on the run (`store.locks`)
    HOME/tmp/RUN/journal.jsonl   what is finished (`search.journal`)
    HOME/tmp/RUN/run/, work/     the folder that will be published, and working files

Nothing here changes a run that somebody works on.
"""

from __future__ import annotations

import shutil
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.search.journal import finished_trials, read_lines
from modelwright.store.locks import FolderLock, host_of, is_held

SPEC, JOURNAL = "spec.json", "journal.jsonl"
#: Killed runs wait so long, and so many of them, to be resumed; those that were killed last stay.
KEPT_DAYS, KEPT_RUNS = 14, 5
#: Names of folders that are no run yet, or no longer.
NEW, OLD = ".new-", ".old-"
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Unfinished:
    """A run that is not published.

    Attributes
    ----------
    run : str
    folder : Path
    created : str
        When it was first begun (ISO 8601).
    alive : bool
        Whether somebody works on it; if not, it was killed or failed, and can be resumed.
    n_trials : int
        Trials that are finished.
    changed : float
        When it last wrote into its journal, in seconds since 1970.
    """

    run: str
    folder: Path
    created: str
    alive: bool
    n_trials: int
    changed: float


class _Head(msgspec.Struct, frozen=True):
    run: str
    created: str


def unfinished(home: Path) -> list[Unfinished]:
    """The runs of a home that are not published, oldest first; nothing is changed.

    Parameters
    ----------
    home : Path
    """
    found = []
    for folder in _folders(home):
        about = _about(folder, home)
        if about is not None:
            found.append(about)
    return sorted(found, key=lambda each: (each.created, each.run))


def only_unfinished(home: Path) -> Unfinished:
    """The one run that can be resumed.

    Parameters
    ----------
    home : Path

    Raises
    ------
    InvalidInputError
        If there is none, or more than one; these are named.
    """
    waiting = [each for each in unfinished(home) if not each.alive]
    if len(waiting) == 1:
        return waiting[0]
    if not waiting:
        raise InvalidInputError(
            "There is no run to resume.", where=str(home), mend="Give the folder that holds the runs with --home."
        )
    listed = "; ".join(f"{each.run} ({each.n_trials} finished trials)" for each in waiting)
    raise InvalidInputError(f"{len(waiting)} runs can be resumed.", where=str(home), mend=f"Name one of them: {listed}.")


def sweep(home: Path, *, now: float | None = None) -> None:
    """Remove what killed runs left, but for those that can be resumed.

    These are runs with finished trials; at most `KEPT_RUNS` of them stay, the latest ones, for `KEPT_DAYS` days. What
    another machine left is removed by age alone: its lock may not be seen from here.

    Parameters
    ----------
    home : Path
    now : float, optional
        Seconds since 1970; by default the clock's.
    """
    now = time.time() if now is None else now
    waiting: list[Unfinished] = []
    for folder in _folders(home, hidden=True):
        age_s = now - _changed(folder)
        if folder.name.startswith(OLD):
            shutil.rmtree(folder, ignore_errors=True)
        elif is_held(folder):
            continue
        elif folder.name.startswith(NEW) or not (folder / SPEC).exists():
            if age_s > _DAY_S:  # being made takes an instant
                remove(folder)
        elif host_of(folder) == socket.gethostname() or age_s > KEPT_DAYS * _DAY_S:
            about = _about(folder, home)
            if about is None or about.n_trials == 0 or age_s > KEPT_DAYS * _DAY_S:
                remove(folder)
            else:
                waiting.append(about)
    waiting.sort(key=lambda each: each.changed)
    for about in waiting[: max(0, len(waiting) - KEPT_RUNS)]:
        remove(about.folder)


def remove(folder: Path, lock: FolderLock | None = None) -> bool:
    """Remove the folder of a run that nobody else works on; False if somebody does.

    Parameters
    ----------
    folder : Path
    lock : FolderLock, optional
        The caller's own, if it works on the folder.
    """
    mine = lock or FolderLock.take(folder)
    if mine is None:
        return False
    # Moved first: a removal that is itself killed must not leave half a run.
    away = folder.with_name(f"{OLD}{uuid.uuid4().hex}")
    try:
        folder.rename(away)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(away, ignore_errors=True)
    mine.release()
    return True


def _folders(home: Path, *, hidden: bool = False) -> list[Path]:
    tmp = home / "tmp"
    if not tmp.is_dir():
        return []
    return [path for path in sorted(tmp.iterdir()) if path.is_dir() and (hidden or not path.name.startswith("."))]


def _about(folder: Path, home: Path) -> Unfinished | None:
    """None where it cannot be resumed: what was asked is not there, or the run is published."""
    alive = is_held(folder)
    try:
        head = msgspec.json.decode((folder / SPEC).read_bytes(), type=_Head)
    except (OSError, msgspec.MsgspecError):
        return None
    if not alive and (home / "runs" / head.run).exists():
        return None
    n_trials = finished_trials(read_lines(folder / JOURNAL))
    return Unfinished(head.run, folder, head.created, alive, n_trials, _changed(folder))


def _changed(folder: Path) -> float:
    for path in (folder / JOURNAL, folder / SPEC, folder):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return time.time()
