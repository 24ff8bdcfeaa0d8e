"""The run that a command names, finished or not."""

from __future__ import annotations

from pathlib import Path

from modelwright.errors import InvalidInputError
from modelwright.runs.entries import entry_of, find_folder
from modelwright.runs.entry import RunEntry
from modelwright.runs.unfinished import unfinished_entries


def folder_or_entry(reference: str, home: Path) -> tuple[Path | None, RunEntry]:
    """Folder and entry of a run; no folder for a training that is under way or was killed.

    Parameters
    ----------
    reference : str
    home : Path

    Raises
    ------
    InvalidInputError
        If there is no such run.
    """
    try:
        folder = find_folder(reference, home)
    except InvalidInputError:
        for entry in unfinished_entries(home):
            if reference in (entry.id, entry.name):
                return None, entry
        raise
    return folder, entry_of(folder)
