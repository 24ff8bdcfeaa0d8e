"""What every command that touches a policy says where nobody watches it."""

from __future__ import annotations

import os
from pathlib import Path

import typer


def tell_unwatched(home: Path, store: str | None) -> None:
    """Say on the standard error that no scheduler watches the policy of the working folder, if so.

    Parameters
    ----------
    home : Path
    store : str or None
    """
    from modelwright.errors import ModelwrightError
    from modelwright.spec import FILE_NAME

    # A member of `modelwright up` has its scheduler beside it, which may not have begun yet.
    if not Path(FILE_NAME).is_file() or os.environ.get("MODELWRIGHT_TOGETHER"):
        return
    from modelwright.retraining.status import unwatched_here
    from modelwright.retraining.steps import Room

    try:
        said = unwatched_here(Room(home, store, None))
    except ModelwrightError as error:
        said = f"Whether the policy is watched is not known: {error.what}"
    if said:
        typer.echo(said, err=True)
