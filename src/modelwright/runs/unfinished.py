"""Trainings that are under way, or were killed: what a list says of folders in ``tmp/``."""

from __future__ import annotations

import re
from pathlib import Path

from modelwright.runs.entry import RunEntry
from modelwright.store.unfinished import unfinished

_STAMP = re.compile(r"-\d{8}-\d{6}(-\d+)?")


def unfinished_entries(home: Path) -> list[RunEntry]:
    """Entries of trainings that are not published, newest first: "running", or "killed" and to be resumed.

    Parameters
    ----------
    home : Path
    """
    return [
        RunEntry(each.run, _STAMP.sub("", each.run), "training", "running" if each.alive else "killed", each.created)
        for each in reversed(unfinished(home))
    ]
