"""Trainings that are under way, or were killed: what a list says of folders in ``tmp/``."""

from __future__ import annotations

import os
import re
import socket
from datetime import UTC, datetime
from pathlib import Path

from modelwright.runs.entry import RunEntry, State

_STAMPED = re.compile(r"(?P<name>.+)-(?P<when>\d{8}-\d{6})(-\d+)?")


def unfinished_entries(home: Path) -> list[RunEntry]:
    """Entries of trainings that are not published, newest first: "running" or "killed".

    Parameters
    ----------
    home : Path
    """
    found = []
    for folder in (home / "tmp").glob("*"):
        match = _STAMPED.fullmatch(folder.name)
        if match is None or not folder.is_dir():
            continue
        created = datetime.strptime(match["when"], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).isoformat(timespec="seconds")
        found.append(RunEntry(folder.name, match["name"], "training", _state(folder), created))
    return sorted(found, key=lambda entry: entry.created, reverse=True)


def _state(folder: Path) -> State:
    try:
        pid, host = (folder / "pid").read_text().split()
    except (OSError, ValueError):
        return "running"  # just being made
    # Of another machine nobody here can tell.
    return "running" if host != socket.gethostname() or _alive(int(pid)) else "killed"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
