"""The log of a job: a file of JSON lines, to which any number of threads and processes append at once.

A line is one ``write`` to a file opened for appending, so lines of different writers never mix, and what was logged
survives the death of its process. It is brought to the disk about once a second and at the end, by a thread of its own,
so that nobody waits for the disk. Who owns the run holds a lock (``flock``) on the file for as long as it lives: the system
frees it when the process dies, however it dies, and no process identifier is ever mistaken for another.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Literal

import msgspec

from modelwright.errors import InvalidInputError, StorageError
from modelwright.runs.entry import State

_SYNC_EVERY_S = 1.0
#: How every line begins; where a torn line and a whole one grew together, the whole one is found by it.
_OPENING = b'{"time":'

ArtifactKind = Literal["table", "figure", "model", "file", "output"]


class Artifact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file, or a folder, of the run; ``file`` is its path within ``artifacts/``, ``format`` how it is to be read."""

    name: str
    kind: ArtifactKind
    file: str
    format: str = ""
    size_bytes: int = 0
    sha256: str = ""


class Begin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A process took the run over."""

    pid: int
    host: str


class End(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last word of a run."""

    state: State
    error: str = ""
    exit_code: int | None = None


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was logged; ``time`` in seconds since 1970."""

    time: float
    metrics: dict[str, float | str] = {}
    step: int | None = None
    params: dict[str, Any] = {}
    artifact: Artifact | None = None
    begin: Begin | None = None
    end: End | None = None
    #: Of the process that did the work, its high-water mark so far.
    peak_memory_mb: float | None = None
    error: str = ""
    note: str = ""


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Line)
_open: weakref.WeakSet[Log] = weakref.WeakSet()


class Log:
    """The file, open for appending. Safe for threads; a forked child goes on with a handle of its own, without the lock.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = _opened(path)
        self._guard = threading.RLock()  # a signal handler may log while its own thread does
        self._dirty = threading.Event()
        self._syncing = False
        _heed_forks()
        _open.add(self)

    def lock(self) -> bool:
        """Take the run over; False if a living process has it."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise StorageError(
                f"The file system has no locks: {error.strerror}.",
                where=str(self.path),
                mend="Keep runs on a local disk (--home).",
            ) from error
        return True

    def append(self, line: Line) -> None:
        """Write one line.

        Raises
        ------
        StorageError
            If the disk is full or refuses; what was logged before is still there.
        InvalidInputError
            If the run has ended.
        """
        data = _encode(line) + b"\n"
        with self._guard:
            if self._fd < 0:
                raise InvalidInputError(
                    "The run has ended.",
                    where=str(self.path.parent),
                    mend="Log inside its with block, or open it again (resume=).",
                )
            try:
                written = os.write(self._fd, data)
                while written < len(data):
                    # Cut short, as by a full disk. The rest may not follow, since others may have written: begin a new line.
                    written = os.write(self._fd, b"\n" + data) - 1
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                raise StorageError(
                    "The disk is full." if full else f"The log cannot be written: {error.strerror}.",
                    where=str(self.path),
                    mend="Free some space; what was logged before is kept.",
                ) from error
        if not self._dirty.is_set():
            self._dirty.set()
            if not self._syncing:
                self._syncing = True
                threading.Thread(target=_sync_often, args=(weakref.ref(self), self._dirty), daemon=True).start()

    def close(self) -> None:
        """Bring everything to the disk and free the lock."""
        with self._guard:
            if self._fd >= 0:
                try:
                    os.fsync(self._fd)
                finally:
                    os.close(self._fd)
                    self._fd = -1
        self._dirty.set()

    def _sync(self) -> bool:
        """Bring what was written to the disk; False once closed."""
        if self._fd < 0:
            return False
        try:
            # A handle of its own: nobody who logs may wait for the disk, and a copy would carry the lock into forked children.
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError:
            return False  # a full disk is told to who writes next
        return True

    def _after_fork(self) -> None:
        """In the child: the guard may be held by a thread that is not here, and the lock belongs to the parent."""
        self._guard = threading.RLock()  # a signal handler may log while its own thread does
        self._dirty = threading.Event()
        self._syncing = False
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = _opened(self.path)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(
            f"The log cannot be opened: {error.strerror}.", where=str(path), mend="Give a writable folder (--home)."
        ) from error


def _sync_often(log: weakref.ref[Log], dirty: threading.Event) -> None:
    while True:
        dirty.wait()
        time.sleep(_SYNC_EVERY_S)
        dirty.clear()
        found = log()
        if found is None or not found._sync():
            return
        del found


def _heed_forks() -> None:
    global _heeded
    if not _heeded:
        _heeded = True
        os.register_at_fork(after_in_child=_reopen)


_heeded = False


def _reopen() -> None:
    for log in list(_open):
        log._after_fork()


def is_alive(path: Path) -> bool:
    """Whether a living process owns the run of this log."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


def read_lines(data: bytes) -> list[Line]:
    """All whole lines, in the order in which they were written; a torn one is passed over."""
    whole = data[: data.rfind(b"\n") + 1]
    try:
        return _decoder.decode_lines(whole)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [line for raw in whole.split(b"\n") if (line := _read(raw)) is not None]


def _read(raw: bytes) -> Line | None:
    start = raw.find(_OPENING)
    while start >= 0:
        try:
            return _decoder.decode(raw[start:])
        except (msgspec.DecodeError, UnicodeDecodeError):
            start = raw.find(_OPENING, start + 1)
    return None


class Tail:
    """Reads a log as it grows.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[Line]:
        """The lines that came since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        self._offset += data.rfind(b"\n") + 1
        return read_lines(data)
