"""What people say of a run, beside its record: tags by which it is found, and a note."""

from __future__ import annotations

import msgspec

#: The file of a run folder that has them; the only one that changes later.
LABELS = "labels.json"


class Labels(msgspec.Struct, frozen=True):
    """Tags and note of a run; they may be changed at any time."""

    tags: dict[str, str] = {}
    note: str = ""
