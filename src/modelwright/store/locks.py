"""Who works on a folder: a lock of the operating system on a file in it.

A lock (``flock``) ends with the last process that holds it, however that ends. A number of a process would not do: numbers
are given again, and mean nothing in another container. The worker processes of a run inherit its lock, so that it stays
while any of them may still write.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path

FILE_NAME = "lock"
_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class FolderLock:
    """The right to work on a folder, until it is released or the process ends.

    Parameters
    ----------
    descriptor : int
        Of the open lock file; worker processes inherit it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, folder: Path, *, wait_s: float = 0.2) -> FolderLock | None:
        """The lock of a folder; None if somebody else has it, or the folder is gone.

        Parameters
        ----------
        folder : Path
        wait_s : float, default=0.2
            Seconds to wait for one who only looks, or for workers that are ending.
        """
        path = folder / FILE_NAME
        deadline = time.monotonic() + wait_s
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except FileNotFoundError:
                return None
            if _lock(descriptor, fcntl.LOCK_EX):
                # The folder may have been moved away and made anew between the two steps.
                if _is(descriptor, path):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}".encode(), 0)
                    return cls(descriptor)
                os.close(descriptor)
                return None
            os.close(descriptor)
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.02)

    def release(self) -> None:
        """Let others work on the folder."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def is_held(folder: Path) -> bool:
    """Whether somebody works on a folder; one without a lock file is nobody's.

    Parameters
    ----------
    folder : Path
    """
    try:
        descriptor = os.open(folder / FILE_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # of another user: not ours to judge
    try:
        return not _lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def owner_lives(folder: Path) -> bool:
    """Whether the process that took the lock last seems to be there; a number may have been given again.

    Parameters
    ----------
    folder : Path
    """
    try:
        return _runs((folder / FILE_NAME).read_text())
    except OSError:
        return False


def host_of(folder: Path) -> str:
    """Name of the machine that worked on a folder last; empty where it is not known."""
    try:
        return (folder / FILE_NAME).read_text().partition(" ")[2]
    except OSError:
        return ""


def _lock(descriptor: int, kind: int) -> bool:
    """Whether the lock was got."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        # A file system without locks: the process that is written there is the next best.
        owner = os.pread(descriptor, 200, 0).decode()
        return owner.startswith(f"{os.getpid()} ") or not _runs(owner)
    return True


def _runs(owner: str) -> bool:
    pid, _, host = owner.partition(" ")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is(descriptor: int, path: Path) -> bool:
    try:
        here, there = os.fstat(descriptor), path.stat()
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
