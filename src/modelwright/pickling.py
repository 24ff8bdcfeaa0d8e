"""How what saves itself in a folder is copied, or sent to another process: as the bytes of that folder.

Nothing of the house is stored so (a pickle executes when it is read); but who uses it may copy a model with `copy.deepcopy`,
or send one to a pool of processes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self


class Saved(Protocol):
    """What writes itself into an existing empty folder, and is read back from there."""

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path) -> Self: ...


def reduce_by_saving(thing: Saved) -> tuple[Callable[..., Any], tuple[type[Saved], dict[str, bytes]]]:
    """What ``__reduce__`` returns for a thing that saves itself; what it only derived from that is made again when needed."""
    with tempfile.TemporaryDirectory(prefix="modelwright-pickling-") as name:
        folder = Path(name)
        thing.save(folder)
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return _restored, (type(thing), files)


def _restored(kind: type[Saved], files: dict[str, bytes]) -> Saved:
    with tempfile.TemporaryDirectory(prefix="modelwright-pickling-") as name:
        for relative, content in files.items():
            path = Path(name, relative)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return kind.load(Path(name))
