"""Reproducing in a process of its own: what this one has imported, set and drawn has no part in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from modelwright.errors import InvalidInputError, ModelwrightError
from modelwright.runs.reproducing.values import Reproduction
from modelwright.tables.read import read


def reproduce_in_child(
    folder: Path, data: Any = None, *, python: Path | None = None, variables: Mapping[str, str] | None = None
) -> Reproduction:
    """Run ``modelwright reproduce`` and read its answer.

    Parameters
    ----------
    folder : Path
        A run folder.
    data : str, Path or table, optional
        Rows; a table in memory is handed over in a file.
    python : Path, optional
        The interpreter; by default this one.
    variables : mapping of str to str, optional
        The environment of the process; by default this one's.

    Raises
    ------
    InvalidInputError, ModelwrightError
        What the process refused, or how it ended.
    """
    with TemporaryDirectory(prefix="modelwright-") as name:
        words = [str(python or sys.executable), "-m", "modelwright.cli.main", "reproduce", str(folder.resolve()), "--json"]
        if isinstance(data, (str, os.PathLike)):
            words += ["--data", os.fspath(data)]
        elif data is not None:
            path = Path(name) / "rows.arrow"
            read(data).frame.write_ipc(path)
            words += ["--data", str(path)]
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env=None if variables is None else dict(variables),
        )
    return _answer(done.returncode, done.stdout, done.stderr)


def _answer(code: int, said: str, complained: str) -> Reproduction:
    line = said.strip().splitlines()[-1] if said.strip() else ""
    if code in (0, 1) and line:
        try:
            return msgspec.json.decode(line, type=Reproduction)
        except msgspec.MsgspecError:
            pass  # an error in JSON, or no JSON at all: both are told below
    try:
        told = json.loads(line)
        kind = InvalidInputError if told["exit_code"] == 2 else ModelwrightError
        error = kind(told["what"], where=told["where"], mend=told["mend"])
    except (ValueError, KeyError, TypeError):
        last = (complained.strip().splitlines() or ["nothing was said"])[-1]
        raise ModelwrightError(f"The process that reproduces ended with exit code {code}: {last}") from None
    raise error
