"""Where versions lie: ``HOME/models/NAME/NUMBER/`` is a bundle, copied whole, verified, and never changed."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from modelwright.artifacts.manifest import verify_bundle
from modelwright.errors import StorageError

MODELS = "models"
_NEW = ".new-"


def version_folder(home: Path, name: str, number: int) -> Path:
    """Where a version lies."""
    return home / MODELS / name / str(number)


def copied(bundle: Path, home: Path, name: str) -> Path:
    """A verified copy of a bundle beside the versions of a model, brought to the disk; `placed` makes it a version.

    Raises
    ------
    BundleError
        If the bundle, or its copy, differs from its manifest.
    StorageError
        If it cannot be written.
    """
    verify_bundle(bundle)
    place = home / MODELS / name / f"{_NEW}{uuid.uuid4().hex}"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(bundle, place)
        for path in [*place.rglob("*"), place]:
            _sync(path)
    except OSError as error:
        shutil.rmtree(place, ignore_errors=True)
        raise StorageError(
            f"The version cannot be written: {error.strerror}.",
            where=str(place.parent),
            mend="Free space, or make it writable.",
        ) from error
    try:
        verify_bundle(place)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return place


def placed(copy: Path, number: int) -> Path:
    """Rename a copy to its number. What lies there is of a process that was killed before it entered the version."""
    place = copy.parent / str(number)
    if place.exists():
        leftover = copy.parent / f"{_NEW}{uuid.uuid4().hex}"
        os.rename(place, leftover)
        shutil.rmtree(leftover, ignore_errors=True)
    os.rename(copy, place)
    _sync(place.parent)
    return place


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
