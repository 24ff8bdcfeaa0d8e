"""Everything of a home moved: run folders to an address or back, the database to another one, and a note where it went.

Run folders are copied first, while work goes on; then the database is closed to writers, what was made meanwhile is copied
too, and the rows follow (`store.moving`). Every file and every row is read back and compared. Nothing is removed at the
source. Whatever is killed is done again by the same command, and what is there already is only compared.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import BundleError, InvalidInputError, StorageError
from modelwright.masking import masked
from modelwright.runs.entries import entry_of, is_run
from modelwright.runs.listing import run_folders
from modelwright.runs.remote import ended
from modelwright.store.artifacts import RUNS, ArtifactStore
from modelwright.store.database import FILE_NAME, Database, key_of
from modelwright.store.folders import unfinished
from modelwright.store.locks import FolderLock
from modelwright.store.markers import Marker, described
from modelwright.store.moving import DatabaseMoved, move_database
from modelwright.store.published import Published, WentNote
from modelwright.store.unfinished import NEW

#: The note in the folder of a home whose runs or database were moved.
NOTE = "moved.json"
#: The home itself, where an address could stand.
LOCAL = "local"


class HomeNote(msgspec.Struct, frozen=True):
    """Where a home went; addresses as they may be shown, empty where that part stayed."""

    store: str
    artifacts: str
    at: str


@dataclass
class Moved:
    """What was moved: run folders with their bytes, and the database if it was."""

    runs: list[str] = field(default_factory=list)
    n_files: int = 0
    n_bytes: int = 0
    database: DatabaseMoved | None = None
    stayed: list[str] = field(default_factory=list)


def move(
    home: Path,
    store: str | None,
    artifacts: str | None,
    *,
    to_store: str | None,
    to_artifacts: str | None,
    at: str,
    tell: Callable[[str], None] = lambda _: None,
) -> Moved:
    """Move the run folders and the database of a home.

    Parameters
    ----------
    home : Path
    store, artifacts : str or None
        Where they are; None is the home.
    to_store, to_artifacts : str or None
        Where they go: an address, or "local" for the home. None leaves that part where it is.
    at : str
        When (ISO 8601).
    tell : callable, optional
        Is told what is being done.

    Returns
    -------
    Moved

    Raises
    ------
    InvalidInputError
        If a target holds something else, or a run is at work.
    BundleError, StorageError
        If a file or row differs, or a store fails. The source is as it was, and the same command goes on.
    """
    if to_store is None and to_artifacts is None:
        raise InvalidInputError("Nothing is to be moved.", where="store move", mend="Give a URL, --artifacts URL, or both.")
    home = home.absolute()  # notes at the other end must make sense from anywhere
    if (to_artifacts is not None and to_artifacts == artifacts) or (to_artifacts == LOCAL and artifacts is None):
        raise InvalidInputError("The run folders are there already.", where="--artifacts", mend="Leave it out.")
    with _alone(home):
        _refuse_runs_at_work(home)
        folders = None if to_artifacts is None else _folders_to(home, artifacts, to_artifacts)
        moved = Moved()
        if folders is not None:
            folders.refuse_others()
            folders.copy(moved, tell)
        if to_store is not None:
            moved.database = _move_database(home, store, to_store, to_artifacts, at, folders, moved, tell)
        if folders is not None:
            folders.arrived(at)
        _leave_note(home, to_store, to_artifacts, at)
        moved.stayed = [each.run for each in unfinished(home)]
    return moved


def read_note(home: Path) -> HomeNote | None:
    """Where a home went; None if it did not."""
    try:
        return msgspec.json.decode((home / NOTE).read_bytes(), type=HomeNote)
    except (OSError, msgspec.MsgspecError):
        return None


def _move_database(
    home: Path,
    store: str | None,
    to_store: str,
    to_artifacts: str | None,
    at: str,
    folders: _Folders | None,
    moved: Moved,
    tell: Callable[[str], None],
) -> DatabaseMoved:
    new = None if to_store == LOCAL else to_store
    target = Database.of(home, new)
    own = Database.of(home)
    if target.file is not None and target.file == own.file:
        new = None  # the home's own, written as a URL
    old_key, new_key = key_of(home, store), key_of(home, new)

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"home": new_key} if row.get("home") == old_key else row

    def frozen() -> None:
        _refuse_runs_at_work(home)
        if folders is not None:
            folders.copy(moved, tell)  # what was made meanwhile

    source = Database.of(home, store)
    if store is None and not (home / FILE_NAME).is_file():
        raise InvalidInputError("There is no store in this home.", where=str(home), mend="Give the home with --home.")
    shown = _shown(home, to_artifacts)
    return move_database(source, target, at=at, change=change, artifacts=shown, frozen=frozen, tell=tell)


class _Folders:
    """Run folders on their way; what was compared once in this process is not read again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._done: set[str] = set()

    def refuse_others(self) -> None:
        """Refuse a target that holds something else."""
        raise NotImplementedError

    def copy(self, moved: Moved, tell: Callable[[str], None]) -> None:
        """Copy and compare whatever is not done."""
        raise NotImplementedError

    def arrived(self, at: str) -> None:
        """Leave and remove notes."""
        raise NotImplementedError

    def count(self, moved: Moved, run: str, marker: Marker) -> None:
        """Enter a run as done."""
        self._done.add(run)
        moved.runs.append(run)
        moved.n_files += len(marker.files)
        moved.n_bytes += marker.n_bytes


class _ToAddress(_Folders):
    """To an address: from the home, and from another address those that are not in the home."""

    def __init__(self, home: Path, source: str | None, target: str) -> None:
        super().__init__(home)
        self.source = None if source is None else Published(home, source)
        self.target = Published(home, target)

    def refuse_others(self) -> None:
        store = self.target.store
        strangers = store.strangers()
        here = {run for run, _ in run_folders(self.home)} | set({} if self.source is None else self.source.markers())
        others = sorted(set(store.names()) - here)
        if strangers or others:
            what = f"runs of another home ({_some(others)})" if others else f"something else ({_some(strangers)})"
            raise InvalidInputError(f"The target holds {what}.", where=store.shown, mend="Give an empty folder.")

    def copy(self, moved: Moved, tell: Callable[[str], None]) -> None:
        for run in ended(self.home):
            if run not in self._done:
                tell(f"copying run {run}")
                entry = entry_of(self.home / "runs" / run)
                self.target.publish(run, msgspec.json.encode(entry), verify=True, moving=True)
                self.count(moved, run, self.target.markers()[run])
        for run, marker in ({} if self.source is None else self.source.markers()).items():
            if run not in self._done:
                tell(f"copying run {run}")
                assert self.source is not None
                with _beside(self.home) as place:
                    self.source.store.fetch(marker, place / run)
                    self.target.store.publish(place / run, bytes(marker.entry), verify=True)
                self.count(moved, run, marker)

    def arrived(self, at: str) -> None:
        self.target.store.remove_note()
        if self.source is not None:
            self.source.store.write_note(msgspec.json.encode(WentNote(self.target.store.shown, at)))


class _ToHome(_Folders):
    """Back to the home: what is published is copied in; what lies here already is compared."""

    def __init__(self, home: Path, source: str) -> None:
        super().__init__(home)
        self.source = Published(home, source)

    def refuse_others(self) -> None:
        """A home is never foreign to its own runs."""

    def copy(self, moved: Moved, tell: Callable[[str], None]) -> None:
        for run, marker in self.source.markers().items():
            if run in self._done:
                continue
            tell(f"copying run {run}")
            folder = self.source.bring(marker)
            if described(folder) != (marker.files, marker.folders):
                raise BundleError(
                    f"The run {run} of this home is not the one that was published.",
                    where=str(folder),
                    mend="Move one of the two away, and give the same command again.",
                )
            self.count(moved, run, marker)

    def arrived(self, at: str) -> None:
        self.source.store.write_note(msgspec.json.encode(WentNote(_shown(self.home, LOCAL), at)))


def _folders_to(home: Path, source: str | None, target: str) -> _Folders:
    if target == LOCAL:
        assert source is not None
        return _ToHome(home, source)
    return _ToAddress(home, source, target)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One move of a home at a time."""
    place = home / "moving"
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FolderLock.take(place)
    except OSError as error:
        raise StorageError(
            f"The home cannot be used: {error.strerror}.", where=str(home), mend="Make it writable, or free space."
        ) from error
    if lock is None:
        raise StorageError("Another process moves this home.", where=str(home), mend="Wait for it.")
    try:
        yield
    finally:
        shutil.rmtree(place, ignore_errors=True)
        lock.release()


@contextmanager
def _beside(home: Path) -> Iterator[Path]:
    """A folder for copies on their way; one that is left behind is swept with those of killed runs."""
    place = home / "tmp" / f"{NEW}{uuid.uuid4().hex}"
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _refuse_runs_at_work(home: Path) -> None:
    working = [each.run for each in unfinished(home) if each.alive]
    done = set(ended(home))
    working += [run for run, _ in run_folders(home) if run not in done and is_run(home / "runs" / run)]
    if working:
        raise InvalidInputError(
            f"Runs are at work, or cannot be read: {_some(working)}.",
            where=str(home / RUNS),
            mend="Wait for them or end them; see: modelwright runs.",
        )


def _leave_note(home: Path, to_store: str | None, to_artifacts: str | None, at: str) -> None:
    """Say in the home where it went; what came back here went nowhere."""
    earlier = read_note(home) or HomeNote("", "", at)
    store = earlier.store if to_store is None else "" if to_store == LOCAL else masked(to_store)
    artifacts = earlier.artifacts if to_artifacts is None else "" if to_artifacts == LOCAL else _shown(home, to_artifacts)
    if not store and not artifacts:
        (home / NOTE).unlink(missing_ok=True)
        return
    beside = home / f".{NOTE}.{uuid.uuid4().hex[:8]}"
    try:
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(HomeNote(store, artifacts, at))))
        beside.replace(home / NOTE)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(
            f"The note where the home went cannot be written: {error.strerror}.", where=str(home), mend="Free space."
        ) from error


def _shown(home: Path, artifacts: str | None) -> str:
    if artifacts is None:
        return ""
    return str(home.resolve()) if artifacts == LOCAL else ArtifactStore(artifacts).shown


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
