"""From a reference to a version that is ready: found, verified, loaded, its golden rows replayed, warmed up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from modelwright.artifacts.bundle import load_bundle
from modelwright.serving.deployments import Served, Target
from modelwright.serving.scoring import Scorer


@dataclass(frozen=True)
class Found:
    """Where a reference leads now: the version, its digest and folder."""

    version: str
    digest: str
    folder: Path


class Loader:
    """Finds and loads what is to be served.

    Parameters
    ----------
    home : Path
    store : str or None
        URL of the store; None is SQLite in the home.
    features : Path or None
        The file of a function that derives columns.
    """

    def __init__(self, home: Path, store: str | None = None, features: Path | None = None) -> None:
        self.home, self.store, self.features = home, store, features

    def find(self, target: Target) -> Found:
        """Where the reference leads at this moment; reads no model.

        Raises
        ------
        ModelwrightError
            If it leads nowhere.
        """
        from modelwright.store.folders import find_run

        folder = Path(target.reference)
        if not (folder / "manifest.json").is_file():
            folder = find_run(target.reference, self.home) / "model"
        folder = folder.resolve()
        digest = manifest_digest(folder)
        return Found(digest[:12], digest, folder)

    def load(self, target: Target, found: Found) -> Served:
        """Load a version and make it ready.

        Raises
        ------
        ModelwrightError
            If it is damaged, cannot be loaded, or answers its golden rows otherwise than when it was written.
        """
        model = load_bundle(found.folder, features=self.features)
        return Served(target.name, found.version, found.digest, found.folder, Scorer(model))


def manifest_digest(folder: Path) -> str:
    """SHA-256 of the manifest, which holds the digests of all other files; "" without one.

    Parameters
    ----------
    folder : Path
    """
    path = folder / "manifest.json"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
