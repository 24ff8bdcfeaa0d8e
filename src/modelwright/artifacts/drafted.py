"""Files and folders that appear whole or not at all: written beside their place, renamed when they are done."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelwright.errors import StorageError


@contextmanager
def drafted(output: Path, what: str) -> Iterator[Path]:
    """A name beside ``output``, under which the file or folder is to be made.

    Parameters
    ----------
    output : Path
        Where it is to appear.
    what : str
        What it is called in the error: "file", "folder", "archive".

    Yields
    ------
    Path
        Nothing is there yet; what is there after an error is removed.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    draft = output.with_name(f".{output.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield draft
        os.replace(draft, output)
    except OSError as error:
        raise StorageError(
            f"The {what} cannot be written: {error.strerror}.", where=str(output), mend="Give one on a disk with space."
        ) from error
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
