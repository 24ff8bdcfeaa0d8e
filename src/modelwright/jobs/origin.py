"""Where a job comes from: command, code, packages, machine."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import msgspec

from modelwright.provenance.collect import collect
from modelwright.provenance.command import shown_command
from modelwright.provenance.record import Provenance


def origin(source: str = "", *, command: list[str] | None = None, parent: str = "") -> tuple[Provenance, str]:
    """The origin of a run, and the uncommitted changes of its code.

    Parameters
    ----------
    source : str
        The file of the user's code, whose repository counts; by default the working folder's.
    command : list of str, optional
        By default that of this process.
    parent : str
        Runs of one parent have one origin; it is found out once.
    """
    start = Path(source).absolute() if source else Path.cwd()
    found, diff = _once(start, parent) if parent else collect(start=start)
    return (found if command is None else msgspec.structs.replace(found, command=shown_command(command))), diff


@lru_cache(maxsize=4)
def _once(start: Path, parent: str) -> tuple[Provenance, str]:
    return collect(start=start)


def script() -> str:
    """The script that is running, from the working folder if it lies within; empty in a shell or a notebook."""
    given = getattr(sys.modules.get("__main__"), "__file__", None)
    path = Path(given or "").absolute()
    if not given or "site-packages" in path.parts:
        return ""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def file_of(source: str | None) -> str:
    """The file named by a source such as "job.py" or "job.py:train"; empty for a module."""
    path = (script() if source is None else source).partition(":")[0]
    return path if path.endswith(".py") else ""


def script_name() -> str:
    """What a run is called that was given no name."""
    return Path(script()).stem or "run"
