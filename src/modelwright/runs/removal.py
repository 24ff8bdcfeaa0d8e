"""Deleting runs: by name or by age, never what somebody needs or works on.

A folder is renamed out of the list first and removed then, so that nobody ever sees half of a run.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from modelwright.errors import StorageError
from modelwright.runs.entries import entry_of
from modelwright.runs.entry import RunEntry
from modelwright.runs.folder import JOB, RECORD
from modelwright.runs.index import Pin, RunIndex
from modelwright.store.unfinished import remove

TRASH = "trash"


class _Spec(msgspec.Struct, frozen=True):
    store: str | None = None


class _Stored(msgspec.Struct, frozen=True):
    spec: _Spec = _Spec()


@dataclass(frozen=True)
class Removed:
    """What went and what stayed, each with the reason."""

    gone: list[str] = field(default_factory=list)
    stayed: list[tuple[str, str]] = field(default_factory=list)


def older_than(entries: Sequence[RunEntry], age_s: float, now: datetime) -> list[RunEntry]:
    """Entries that began longer ago; those whose time cannot be read are not among them.

    Parameters
    ----------
    entries : sequence of RunEntry
    age_s : float
        Seconds.
    now : datetime
        With a time zone.
    """
    found = []
    for entry in entries:
        try:
            created = datetime.fromisoformat(entry.created)
        except ValueError:
            continue
        created = created if created.tzinfo else created.replace(tzinfo=UTC)
        if now - created > timedelta(seconds=age_s):
            found.append(entry)
    return found


def best_of(entries: Sequence[RunEntry], n: int) -> set[str]:
    """The ``n`` best runs of each question: the same kind, data, target and metric (jobs: the same name).

    Sealed scores come before validation scores; runs without either are never among the best.
    """
    asked: dict[tuple[str, ...], list[RunEntry]] = {}
    for entry in entries:
        if _score(entry) is not None:
            of_job = "" if entry.kind == "training" else entry.name
            asked.setdefault((entry.kind, entry.data, entry.target, entry.metric, of_job), []).append(entry)
    best: set[str] = set()
    for alike in asked.values():
        ranked = sorted(alike, key=_rank, reverse=True)
        best |= {entry.id for entry in ranked[:n]}
    return best


def _rank(entry: RunEntry) -> tuple[bool, float]:
    score = _score(entry)
    assert score is not None
    return entry.metric in entry.metrics, -score if entry.greater_is_better is False else score


def _score(entry: RunEntry) -> float | None:
    return entry.metrics.get(entry.metric, entry.validation)


def reasons_to_stay(
    entries: Sequence[RunEntry], pins: Sequence[Pin], among: Sequence[RunEntry], keep_best: int = 0
) -> dict[str, str]:
    """Run -> why it is not deleted, for those of ``entries`` that stay.

    Parameters
    ----------
    entries : sequence of RunEntry
        That were asked to be deleted.
    pins : sequence of Pin
    among : sequence of RunEntry
        All runs, of which the best are kept, and of which some may have others as parents.
    keep_best : int, default=0
    """
    held: dict[str, list[str]] = {}
    for pin in pins:
        held.setdefault(pin.run, []).append(f"{pin.holder} ({pin.why})" if pin.why else pin.holder)
    best = best_of(among, keep_best) if keep_best else set()
    asked = {entry.id for entry in entries}
    children: dict[str, int] = {}
    for entry in among:
        if entry.parent and entry.parent not in (entry.id,) and entry.id not in asked:
            children[entry.parent] = children.get(entry.parent, 0) + 1
    reasons = {}
    for entry in entries:
        if entry.id in held:
            reasons[entry.id] = f"needed by {', '.join(held[entry.id])}"
        elif entry.state == "running":
            reasons[entry.id] = "somebody works on it"
        elif entry.id in best:
            reasons[entry.id] = f"one of the {keep_best} best" if keep_best > 1 else "the best"
        elif entry.id in children:
            reasons[entry.id] = f"{children[entry.id]} runs belong to it"
    return reasons


def delete_runs(
    home: Path,
    index: RunIndex,
    entries: Sequence[RunEntry],
    among: Sequence[RunEntry],
    *,
    keep_best: int = 0,
    dry_run: bool = False,
) -> Removed:
    """Delete the folders of runs, and forget them in the index.

    Parameters
    ----------
    home : Path
    index : RunIndex
    entries : sequence of RunEntry
        To be deleted.
    among : sequence of RunEntry
        All runs of the home.
    keep_best : int, default=0
        So many of each question stay.
    dry_run : bool, default=False
        Only say what would go and stay.

    Returns
    -------
    Removed

    Raises
    ------
    StorageError
        If the store cannot be written: without it nobody knows what is needed.
    """
    found, moved = Removed(), []
    with index.removing() as removal:
        reasons = reasons_to_stay(entries, removal.pins(), among, keep_best)
        if not index.home:
            reasons |= _of_another_store(home, entries)
        for entry in entries:
            if entry.id in reasons:
                found.stayed.append((entry.id, reasons[entry.id]))
                continue
            if not dry_run:
                try:
                    moved.append(_move_away(home, entry.id))
                except OSError as error:
                    found.stayed.append((entry.id, f"cannot be moved away: {error.strerror}"))
                    continue
                removal.remove(entry.id)
            found.gone.append(entry.id)
    for folder in moved:
        shutil.rmtree(folder, ignore_errors=True)
    if not dry_run:
        empty_trash(home)
    return found


def _of_another_store(home: Path, entries: Sequence[RunEntry]) -> dict[str, str]:
    """Trainings made with a store by URL: whether somebody needs them stands there, and not in the home."""
    found = {}
    for entry in entries:
        try:
            record = msgspec.json.decode((home / "runs" / entry.id / RECORD).read_bytes(), type=_Stored)
        except (OSError, msgspec.MsgspecError):
            continue
        if record.spec.store:
            found[entry.id] = f"made with the store {record.spec.store}, which knows who needs it: give it with --store"
    return found


def empty_trash(home: Path) -> None:
    """Remove what a deletion that was killed left behind."""
    # The folder itself stays: somebody else may be about to move a run into it.
    for left in (home / TRASH).glob("*"):
        shutil.rmtree(left, ignore_errors=True)


def _move_away(home: Path, run: str) -> Path:
    if not run or Path(run).name != run:
        raise StorageError(f"{run!r} is no name of a run.", where=str(home), mend="Give the identifier of a run.")
    trash = home / TRASH
    trash.mkdir(exist_ok=True)
    away = trash / f"{uuid.uuid4().hex[:8]}-{run}"[:200]
    folder = home / "runs" / run
    if (folder / JOB).is_file() and entry_of(folder).state == "running":
        raise OSError(errno.EBUSY, "somebody works on it")  # taken up since it was listed
    if folder.exists():
        os.replace(folder, away)
    elif (home / "tmp" / run).exists() and not remove(home / "tmp" / run):  # killed before it was published
        raise OSError(errno.EBUSY, "somebody works on it")
    return away
