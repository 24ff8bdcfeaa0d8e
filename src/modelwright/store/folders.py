"""Run folders: written beside their place and renamed in, so that nothing half-written is ever visible.

::

    HOME/runs/RUN/    published runs
    HOME/tmp/RUN/     runs being made; ``run/`` becomes the run folder, ``work/`` is thrown away, ``pid`` tells whose
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from modelwright.errors import InvalidInputError, StorageError


class RunFolder:
    """The place of one run while it is being made.

    Parameters
    ----------
    home : Path
        The ``.modelwright`` folder; made if absent.
    run : str
        Identifier of the run.
    """

    def __init__(self, home: Path, run: str) -> None:
        self.run = run
        self.published = home / "runs" / run
        self._tmp = home / "tmp" / run
        self.draft = self._tmp / "run"
        self.work = self._tmp / "work"
        try:
            _sweep(home / "tmp")
            self.draft.mkdir(parents=True)
            (self._tmp / "pid").write_text(f"{os.getpid()} {socket.gethostname()}")
            self.work.mkdir()
            self.published.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The run folder cannot be made: {error.strerror}.", where=str(home), mend="Give a writable folder with --home."
            ) from error

    def publish(self) -> Path:
        """Make the draft visible in one step and drop the working files."""
        _sync(self.draft)
        os.replace(self.draft, self.published)
        self.discard()
        return self.published

    def discard(self) -> None:
        """Remove everything that is not published."""
        shutil.rmtree(self._tmp, ignore_errors=True)


def _sweep(tmp: Path) -> None:
    """Remove what killed runs of this machine left behind; folders of running ones stay."""
    for left in tmp.glob("*"):
        try:
            pid, host = (left / "pid").read_text().split()
        except (OSError, ValueError):
            continue  # just being made, or not ours to judge
        if host == socket.gethostname() and not _runs(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(folder: Path) -> None:
    """Bring files to the disk before the rename makes them visible."""
    for path in folder.rglob("*"):
        if path.is_file():
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
