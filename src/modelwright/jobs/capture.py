"""What a child process prints: shown at once, and kept by whole lines."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import IO

from modelwright.jobs.active import ActiveRun
from modelwright.jobs.log import Artifact, Line
from modelwright.provenance.secrets import redacted
from modelwright.runs.folder import ARTIFACTS

#: Something that the child left running may hold its output open; it is not waited for longer.
_LINGER_S = 2.0
_CHUNK = 1 << 16
#: A line longer than this is kept in pieces.
_LONGEST_LINE = 1 << 20


class Capture:
    """Keeps stdout and stderr of a process as artifacts of a run, from the first line on.

    Parameters
    ----------
    run : ActiveRun
    process : subprocess.Popen
        With both streams as pipes.
    echo : bool
        Pass everything on to the streams of this process too.
    """

    def __init__(self, run: ActiveRun, process: subprocess.Popen[bytes], *, echo: bool) -> None:
        self._threads = []
        for name, source, terminal in (("stdout", process.stdout, sys.stdout), ("stderr", process.stderr, sys.stderr)):
            assert source is not None
            file = f"{name}.log"
            kept = os.open(run.folder / ARTIFACTS / file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            run._log.append(Line(time=time.time(), artifact=Artifact(file, "output", file, "text")))
            shown = getattr(terminal, "buffer", None) if echo else None
            if shown is not None:
                terminal.flush()
            self._threads.append(threading.Thread(target=_copy, args=(source, kept, shown), daemon=True))

    def __enter__(self) -> Capture:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for thread in self._threads:
            thread.join(_LINGER_S)


def _copy(source: IO[bytes], kept: int, shown: IO[bytes] | None) -> None:
    pending = b""
    try:
        while chunk := os.read(source.fileno(), _CHUNK):
            if shown is not None:
                try:
                    shown.write(chunk)
                    shown.flush()
                except (OSError, ValueError):
                    shown = None  # nobody looks any more; what comes is kept all the same
            lines = pending + chunk
            cut = lines.rfind(b"\n") + 1 or (len(lines) if len(lines) > _LONGEST_LINE else 0)
            pending = lines[cut:]
            _keep(kept, lines[:cut])
        _keep(kept, pending)
    except OSError:
        return  # a full disk must not stop the user's program; its own logging tells
    finally:
        os.close(kept)
        source.close()


def _keep(fd: int, lines: bytes) -> None:
    """Write without known secrets; bytes that are no text are kept as they are."""
    text = lines.decode(errors="surrogateescape")
    _write(fd, redacted(text).encode(errors="surrogateescape"))


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
