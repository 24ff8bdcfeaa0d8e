"""Everything about the origin of a run, in one call."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from modelwright.provenance import command as words
from modelwright.provenance.code import code_of
from modelwright.provenance.machine import hardware, system, thread_settings
from modelwright.provenance.packages import installed
from modelwright.provenance.record import Provenance, SourceVersion
from modelwright.provenance.secrets import redacted_code


def collect(
    *, command: list[str] | None = None, source: SourceVersion | None = None, start: Path | None = None
) -> tuple[Provenance, str]:
    """Find out where a run comes from; takes tenths of a second, most of it waiting for ``git``.

    Parameters
    ----------
    command : list of str, optional
        Words of the call; by default those with which this process was called.
    source : SourceVersion, optional
        Which state of the data was read (`source_version.source_version`).
    start : Path, optional
        Folder or script whose repository is meant; the working folder by default.

    Returns
    -------
    tuple of Provenance and str
        The second is the text of the uncommitted changes, to be kept beside the run as `code.DIFF_FILE`; empty if there
        are none. Neither holds a secret that `secrets` knows or that shows by its form.
    """
    code, diff = code_of(Path.cwd() if start is None else start)
    shown = redacted_code(diff)
    if code is not None and shown != diff:
        code = msgspec.structs.replace(code, left_out=[*code.left_out, "secrets in the changes: masked, so they may not apply"])
    found = Provenance(
        command=words.command() if command is None else words.shown_command(command),
        user=words.user(),
        python=_python(),
        system=system(),
        packages=installed(),
        hardware=hardware(),
        threads=thread_settings(),
        code=code,
        source=source,
    )
    return found, shown


def _python() -> str:
    """The version, with the name of any interpreter that is not the usual one."""
    name = platform.python_implementation()
    return platform.python_version() if name == "CPython" else f"{platform.python_version()} ({name})"
