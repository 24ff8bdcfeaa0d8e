"""Tags and note of a run: the only file of a published run that changes, replaced in one step."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from modelwright.errors import InvalidInputError, StorageError
from modelwright.provenance.labels import LABELS, Labels


def read_labels(folder: Path) -> Labels:
    """Tags and note of a run folder; none where nobody gave any, or where the file cannot be read."""
    try:
        return msgspec.json.decode((folder / LABELS).read_bytes(), type=Labels)
    except (OSError, msgspec.MsgspecError):
        return Labels()


def write_labels(folder: Path, labels: Labels) -> None:
    """Replace the labels of a run folder in one step.

    Raises
    ------
    StorageError
        If the folder cannot be written; the labels are then as they were.
    """
    beside = folder / f".{LABELS}.{uuid.uuid4().hex[:8]}"
    try:
        with beside.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(labels)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, folder / LABELS)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(
            f"The labels cannot be written: {error.strerror}.", where=str(folder / LABELS), mend="Make the folder writable."
        ) from error


def relabel(folder: Path, tags: Mapping[str, str], note: str | None = None, remove: Iterable[str] = ()) -> Labels:
    """Give a run further tags, another note, and take tags away; others who do so at the same moment wait.

    Parameters
    ----------
    folder : Path
    tags : mapping of str to str
    note : str or None
        None leaves it as it is.
    remove : iterable of str

    Returns
    -------
    Labels
        As they are now.

    Raises
    ------
    InvalidInputError
        If a tag to be removed is not there.
    StorageError
        If the folder cannot be written.
    """
    gone = list(remove)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        labels = read_labels(folder)
        for key in gone:
            if key not in labels.tags:
                known = ", ".join(sorted(labels.tags)) or "none"
                raise InvalidInputError(f"The run has no tag {key!r}.", where="--remove", mend=f"Its tags: {known}.")
        kept = {key: value for key, value in labels.tags.items() if key not in gone}
        labels = Labels(kept | dict(tags), labels.note if note is None else note)
        write_labels(folder, labels)
        return labels
    finally:
        os.close(descriptor)
