"""Run folders: written beside their place and renamed in, so that nothing half-written is ever visible.

::

    HOME/runs/RUN/    published runs
    HOME/tmp/RUN/     runs being made, or killed; ``run/`` becomes the run folder (see `store.unfinished`)
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from modelwright.errors import InvalidInputError, StorageError
from modelwright.store.locks import FolderLock, owner_lives
from modelwright.store.unfinished import JOURNAL, NEW, SPEC, remove, sweep
from modelwright.store.unfinished import only_unfinished as only_unfinished
from modelwright.store.unfinished import unfinished as unfinished

#: Seconds that the worker processes of a killed run may take to notice it.
_ENDING_S = 15.0
#: Processes may want the same identifier in the same second so often in a row.
_ATTEMPTS = 100


class RunFolder:
    """The place of one run while it is being made; it is locked until it is published, discarded or left.

    Parameters
    ----------
    home : Path
        The ``.modelwright`` folder; made if absent.
    run : str
        Identifier of the run.
    asked : bytes, default=b"{}"
        What was asked, which lies in the folder from its first moment.

    Raises
    ------
    StorageError
        If the folder cannot be made, or is there already.
    """

    def __init__(self, home: Path, run: str, asked: bytes = b"{}") -> None:
        try:
            sweep(home)
            lock = _made(home, run, asked)
        except OSError as error:
            raise StorageError(
                f"The run folder cannot be made: {error.strerror}.", where=str(home), mend="Give a writable folder with --home."
            ) from error
        if lock is None:
            raise StorageError(f"There is a run {run!r} already.", where=str(home), mend="Give another name.")
        self._locate(home, run, lock)

    @classmethod
    def new(cls, home: Path, name: str, when: str, asked: Callable[[str], bytes]) -> RunFolder:
        """The folder of a new run, under the first identifier that is free.

        Parameters
        ----------
        home : Path
        name, when : str
            As for `new_run_id`.
        asked : callable
            From the identifier to what was asked.
        """
        for _ in range(_ATTEMPTS):
            run = new_run_id(name, when, home)
            try:
                return cls(home, run, asked(run))
            except StorageError as error:
                if error.__cause__ is not None:
                    raise
                # Another process was faster.
        raise StorageError(f"No identifier is free for the run {name!r}.", where=str(home), mend="Give it another name.")

    @classmethod
    def resumed(cls, home: Path, run: str) -> RunFolder:
        """The folder of a killed run.

        Parameters
        ----------
        home : Path
        run : str

        Raises
        ------
        InvalidInputError
            If it is published, or there is no such run.
        StorageError
            If another process works on it.
        """
        tmp = home / "tmp" / run
        if (home / "runs" / run).exists():
            raise InvalidInputError(
                f"The run {run!r} is finished.", where=str(home / "runs" / run), mend=f"See it with: modelwright show {run}"
            )
        if not (tmp / SPEC).is_file():
            known = ", ".join(each.run for each in unfinished(home) if not each.alive) or "none"
            raise InvalidInputError(
                f"There is no unfinished run {run!r}.", where=str(home / "tmp"), mend=f"Runs that can be resumed: {known}."
            )
        lock = FolderLock.take(tmp, wait_s=0.2 if owner_lives(tmp) else _ENDING_S)
        if lock is None:
            raise StorageError(
                f"Another process works on the run {run!r}.", where=str(tmp), mend="Wait for it, or end it first."
            )
        folder = cls.__new__(cls)
        folder._locate(home, run, lock)
        try:
            # What was half published is made anew from what is finished.
            shutil.rmtree(folder.draft, ignore_errors=True)
            folder.draft.mkdir()
            folder.work.mkdir(exist_ok=True)
            folder.published.parent.mkdir(exist_ok=True)
        except OSError as error:
            lock.release()
            raise StorageError(
                f"The run folder cannot be used: {error.strerror}.", where=str(tmp), mend="Make it writable."
            ) from error
        return folder

    def _locate(self, home: Path, run: str, lock: FolderLock) -> None:
        self.run = run
        self.published = home / "runs" / run
        self.tmp = home / "tmp" / run
        self.draft, self.work = self.tmp / "run", self.tmp / "work"
        self.spec, self.journal = self.tmp / SPEC, self.tmp / JOURNAL
        self._lock = lock

    @property
    def lock(self) -> int:
        """Descriptor of the lock, for processes that work on the run too."""
        return self._lock.descriptor

    def publish(self) -> Path:
        """Make the draft visible in one step and drop the working files."""
        sync(self.draft)
        os.replace(self.draft, self.published)
        _sync_one(self.published.parent)
        self.discard()
        return self.published

    def discard(self) -> None:
        """Remove everything that is not published."""
        remove(self.tmp, self._lock)

    def leave(self) -> None:
        """Keep what is finished, so that the run can be resumed."""
        shutil.rmtree(self.draft, ignore_errors=True)
        self._lock.release()


def _made(home: Path, run: str, asked: bytes) -> FolderLock | None:
    """The locked folder of a new run, which appears with all that makes it one; None if the identifier is taken."""
    tmp, published = home / "tmp", home / "runs" / run
    published.parent.mkdir(parents=True, exist_ok=True)
    new = tmp / f"{NEW}{uuid.uuid4().hex}"
    new.mkdir(parents=True)
    try:
        lock = FolderLock.take(new)
        if lock is None:
            raise OSError(None, "it was removed while it was being made")
        for name in ("run", "work"):
            (new / name).mkdir()
        (new / SPEC).write_bytes(asked)
        try:
            # A folder that is not empty is never replaced: of two processes one gets the name.
            os.rename(new, tmp / run)
        except OSError as error:
            # Whoever has the name may have published by now.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) and not (tmp / run).exists():
                raise
            remove(new, lock)
            return None
        if published.exists():  # another process published this very identifier meanwhile
            remove(tmp / run, lock)
            return None
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return lock


def sync(folder: Path) -> None:
    """Bring files and folders to the disk before the rename makes them visible."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir() or path.is_file():
            _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def new_run_id(name: str, when: str, taken: Path) -> str:
    """``name-YYYYmmdd-HHMMSS``, with a number when two runs start in the same second."""
    stem = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-.') or 'run'}-{when}"
    candidate, number = stem, 2
    while (taken / "runs" / candidate).exists() or (taken / "tmp" / candidate).exists():
        candidate, number = f"{stem}-{number}", number + 1
    return candidate


def find_run(reference: str | Path, home: Path, *, records: Sequence[str] = ("run.json",)) -> Path:
    """The folder of a run given by path, by identifier, or by name (its latest run).

    ``records`` are the files one of which makes a folder that of a run of the wanted kind.

    Raises
    ------
    InvalidInputError
        If there is no such run; the existing ones are named.
    """
    path = Path(reference)
    if any((path / record).is_file() for record in records):
        return path
    runs = home / "runs"
    existing = (
        sorted((p for p in runs.glob("*") if any((p / r).is_file() for r in records)), key=lambda p: p.stat().st_mtime)
        if runs.is_dir()
        else []
    )
    for found in reversed(existing):
        if found.name == str(reference) or re.fullmatch(re.escape(str(reference)) + r"-\d{8}-\d{6}(-\d+)?", found.name):
            return found
    known = ", ".join(p.name for p in existing[-5:]) or "none yet"
    raise InvalidInputError(f"There is no run {str(reference)!r}.", where=str(runs), mend=f"Existing runs: {known}.")
