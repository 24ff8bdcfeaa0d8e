"""Makes a Python process die, or its disk be full, at its n-th write, fsync, rename or opening of a file to write.

Put the folder of this file on ``PYTHONPATH`` and set ``MODELWRIGHT_FAULT`` to ``ACTION@KIND:N``::

    kill@fsync:3      SIGKILL to itself before its third fsync; its worker processes are left to notice
    tree@any:17       SIGKILL to its worker processes, then to itself
    torn@write:2      half of the second write is done, then as kill
    full@open:5       the fifth opening and every later operation that writes raises ENOSPC

Kinds are write (``os.write``), fsync, rename (``os.rename``, ``os.replace``), open (to write), commit (of SQLite, before and
after it), and any. Operations are counted in the main process of a training only. ``MODELWRIGHT_FAULT_LOG`` names a file
that gets a line for each.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import signal
import sqlite3
import sys
from collections import Counter
from typing import Any

_ASKED = os.environ.get("MODELWRIGHT_FAULT", "")
_LOG = os.environ.get("MODELWRIGHT_FAULT_LOG", "")
_IS_WORKER = {"modelwright.search.worker", "modelwright.search.forks"} & set(getattr(sys, "orig_argv", ()))
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

_write, _open, _kill = os.write, os.open, os.kill
_counts: Counter[str] = Counter()


def _die(*, tree: bool = False) -> None:
    if tree:
        for pid in _descendants():
            with contextlib.suppress(ProcessLookupError):
                _kill(pid, signal.SIGKILL)
    _kill(os.getpid(), signal.SIGKILL)


def _descendants() -> list[int]:
    """The process that forks workers, and they."""
    parents = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            try:
                with _plain_open(f"/proc/{name}/stat") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            parents[int(name)] = parent
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


_plain_open = builtins.open


class _Fault:
    """What is to happen, and when."""

    def __init__(self, asked: str) -> None:
        self.action, _, rest = asked.partition("@")
        self.kind, _, number = rest.partition(":")
        self.number = int(number or 0)
        self.log = _open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644) if _LOG else -1

    def at(self, kind: str, what: object, content: tuple[int, Any] | None = None) -> None:
        """Count one operation; perhaps it is the last."""
        _counts[kind] += 1
        _counts["any"] += 1
        if self.log >= 0:
            _write(self.log, f"{_counts['any']} {kind} {what}\n".encode())
        if self.kind not in (kind, "any") or not self.number:
            return
        count = _counts[self.kind]
        if self.action == "full" and count >= self.number and kind != "commit":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), what if isinstance(what, str) else None)
        if count != self.number or self.action == "full":
            return
        if self.action == "torn" and content is not None:
            descriptor, data = content
            _write(descriptor, bytes(data)[: len(data) // 2])
        _die(tree=self.action == "tree")


def _install(fault: _Fault) -> None:
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def patched_write(descriptor: int, data: Any) -> int:
        fault.at("write", descriptor, (descriptor, data))
        return _write(descriptor, data)

    def patched_fsync(descriptor: int) -> None:
        fault.at("fsync", descriptor)
        fsync(descriptor)

    def patched_rename(source: Any, target: Any, **options: Any) -> None:
        fault.at("rename", str(target))
        rename(source, target, **options)

    def patched_replace(source: Any, target: Any, **options: Any) -> None:
        fault.at("rename", str(target))
        replace(source, target, **options)

    def patched_os_open(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & _WRITES and not str(path).startswith("/dev/"):
            fault.at("open", str(path))
        return _open(path, flags, *rest, **options)

    def patched_open(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        writes = set(mode) & set("wax+")
        if writes and not isinstance(file, int) and not str(file).startswith("/dev/"):
            fault.at("open", str(file))
        return _plain_open(file, mode, *rest, **options)

    class Connection(sqlite3.Connection):
        def commit(self) -> None:
            fault.at("commit", "before")
            super().commit()
            fault.at("commit", "after")

    connect = sqlite3.connect

    def patched_connect(*given: Any, **options: Any) -> sqlite3.Connection:
        return connect(*given, **{"factory": Connection, **options})

    os.write, os.fsync, os.rename, os.replace, os.open = (
        patched_write, patched_fsync, patched_rename, patched_replace, patched_os_open,
    )  # fmt: skip
    builtins.open = io.open = patched_open
    sqlite3.connect = sqlite3.dbapi2.connect = patched_connect


if _ASKED and not _IS_WORKER:
    _install(_Fault(_ASKED))
