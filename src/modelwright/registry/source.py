"""What can be registered: the model of a finished run, or a bundle by itself."""

from __future__ import annotations

from pathlib import Path

import msgspec

from modelwright.artifacts.manifest import verify_bundle
from modelwright.store.folders import find_run


class Source(msgspec.Struct, frozen=True):
    """A bundle, where it comes from, and what stands against registering it."""

    bundle: Path
    run: str = ""
    data: str = ""
    barriers: list[str] = []


class _Record(msgspec.Struct, frozen=True):
    id: str
    fingerprint: str
    barriers: list[str] = []


def source_of(reference: str | Path, home: Path) -> Source:
    """What a run or a folder offers.

    Parameters
    ----------
    reference : str or Path
        Identifier, name or folder of a run, or the folder of a bundle.
    home : Path

    Raises
    ------
    InvalidInputError
        If there is no such run.
    BundleError
        If the bundle is damaged.
    """
    folder = Path(reference)
    if (folder / "manifest.json").is_file():
        if (folder.parent / "run.json").is_file():
            return _of_run(folder.parent)
        manifest = verify_bundle(folder)
        barriers = ["There is no record of how this bundle was trained and tested."]
        return Source(folder, manifest.lineage.get("run", ""), manifest.lineage.get("data", ""), barriers)
    return _of_run(find_run(reference, home))


def _of_run(folder: Path) -> Source:
    record = msgspec.json.decode((folder / "run.json").read_bytes(), type=_Record)
    return Source(folder / "model", record.id, record.fingerprint, record.barriers)
