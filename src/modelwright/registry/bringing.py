"""Registered versions whose folder is gone from the home, made again from the published runs that they came from."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from modelwright.artifacts.manifest import manifest_digest
from modelwright.errors import BundleError, InvalidInputError
from modelwright.registry.files import copied, placed
from modelwright.registry.names import is_reference, read_reference
from modelwright.registry.registry import Registry
from modelwright.registry.rows import Version
from modelwright.runs.remote import bring


def bring_models(references: Iterable[str | Path], home: Path, store: str | None, url: str | None) -> None:
    """Copy what is named into the home, if it is published and not there: runs, and the models of registered versions.

    Parameters
    ----------
    references : iterable of str or Path
        As a command was given them; what leads nowhere is left to what comes after.
    home : Path
    store : str or None
        URL of the database; None is SQLite in ``home``.
    url : str or None
        Where runs are published; None does nothing.

    Raises
    ------
    BundleError
        If a file is not the one that was published or registered; nothing is kept then.
    StorageError
        If the address cannot be read, or the home not written.
    """
    if url is None:
        return
    texts = [str(reference) for reference in references]
    registered = [text for text in texts if is_reference(text) and not Path(text).exists()]
    bring([text for text in texts if text not in registered], home, url)
    for text in registered:
        registry = Registry(home, store)
        try:
            version = registry.look_up(read_reference(text))
        except InvalidInputError:
            continue
        if not version.folder.exists():
            _bring_version(version, home, url)


def _bring_version(version: Version, home: Path, url: str) -> None:
    bring([version.run], home, url)
    bundle = home / "runs" / version.run / "model"
    if not bundle.is_dir():
        return
    copy = copied(bundle, home, version.name)
    if manifest_digest(copy) != version.digest:
        shutil.rmtree(copy, ignore_errors=True)
        raise BundleError(
            f"The published run {version.run} does not hold the model that was registered as {version}.",
            where=str(bundle),
            mend="Restore the folder of the version from a backup.",
        )
    placed(copy, version.number)
