"""Where a job comes from: command, code, packages, machine. Found out once a process, since it takes a moment."""

from __future__ import annotations

import getpass
import platform
import sys
from functools import lru_cache
from pathlib import Path

import msgspec

from modelwright.provenance.record import Hardware, Provenance


def origin(source: str = "", command: list[str] | None = None) -> tuple[Provenance, str]:
    """The origin of a run of this process, and the uncommitted changes of its code.

    Parameters
    ----------
    source : str
        The file of the user's code, whose repository counts; by default the working folder's.
    command : list of str, optional
        By default that of this process.
    """
    provenance, diff = _origin(str(Path(source).absolute().parent) if source else str(Path.cwd()))
    return (provenance if command is None else msgspec.structs.replace(provenance, command=command)), diff


@lru_cache(maxsize=8)
def _origin(folder: str) -> tuple[Provenance, str]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = ""
    provenance = Provenance(
        command=list(sys.argv),
        user=user,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        packages={},
        hardware=Hardware(machine=platform.machine()),
    )
    return provenance, ""
