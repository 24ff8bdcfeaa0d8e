"""From a reference to a version that is ready: found, verified, loaded, its golden rows replayed, warmed up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelwright.artifacts.bundle import load_bundle
from modelwright.artifacts.golden import check_golden
from modelwright.artifacts.manifest import Manifest, manifest_digest
from modelwright.artifacts.tried import begin_once
from modelwright.errors import BundleError
from modelwright.learners.lean_import import library
from modelwright.registry.files import MODELS
from modelwright.registry.find import find_bundle
from modelwright.registry.names import is_reference
from modelwright.registry.registry import Registry
from modelwright.serving.ahead import Ahead
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
    ahead : dict, optional
        Children that were begun before; those that are waited for are taken out.
    """

    def __init__(self, home: Path, store: str | None = None, features: Path | None = None, ahead: Ahead | None = None) -> None:
        self.home, self.store, self.features = home, store, features
        self._ahead = {} if ahead is None else ahead

    def find(self, target: Target) -> Found:
        """Where the reference leads at this moment; reads no model.

        Raises
        ------
        ModelwrightError
            If it leads nowhere.
        """
        if is_reference(target.reference) and not Path(target.reference).exists():
            version = Registry(self.home, self.store).resolve(target.reference)
            return Found(str(version.number), version.digest, version.folder)
        folder = find_bundle(target.reference, self.home, self.store).resolve()
        digest = manifest_digest(folder)
        registered = folder.parent.parent == (self.home / MODELS).resolve()
        return Found(folder.name if registered else digest[:12], digest, folder)

    def load(self, target: Target, found: Found) -> Served:
        """Load a version and make it ready.

        Raises
        ------
        ModelwrightError
            If it is damaged, cannot be loaded, or answers its golden rows otherwise than when it was written.
        """
        begun = self._ahead.pop(found.folder.resolve(), None)
        if begun is not None and begun.digest != found.digest:
            begun.probe.close()  # replaced since
            begun = None
        begun = begun or begin_once(found.folder, self.home, features=self.features)
        if begun is not None:
            _import_readers(begun.probe.manifest)
            begun.finish()
        model = load_bundle(found.folder, features=self.features)
        check_golden(model, found.folder)
        if manifest_digest(found.folder) != found.digest:
            raise BundleError("The model was replaced while it was loaded.", where=str(found.folder), mend="Try again.")
        return Served(target.name, found.version, found.digest, found.folder, Scorer(model))


def _import_readers(manifest: Manifest) -> None:
    """Import what will read the members while the child tries them: a start costs no more than one of the two."""
    for name in ("lightgbm", "xgboost", "catboost"):
        if any(each == name or each.startswith(f"{name}-") for each in manifest.libraries):
            try:
                library(name)
            except ImportError:
                continue  # told by the learner, with the extra that brings it
