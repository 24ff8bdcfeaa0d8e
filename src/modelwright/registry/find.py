"""From what a user calls a model to its folder: a path, a registered model, or the model of a run."""

from __future__ import annotations

from pathlib import Path

from modelwright.errors import InvalidInputError
from modelwright.registry.names import is_reference
from modelwright.registry.registry import Registry
from modelwright.store.database import FILE_NAME
from modelwright.store.folders import find_run


def find_bundle(reference: str | Path, home: Path, store: str | None = None) -> Path:
    """The folder of a model.

    Parameters
    ----------
    reference : str or Path
        Folder of a bundle or a run; ``churn@champion``, ``churn/7``; identifier or name of a run; or the name of a
        registered model, for its champion, where no run is called so.
    home : Path
    store : str or None

    Raises
    ------
    InvalidInputError
        If there is none of that name.
    BundleError
        If the folder of a registered version was changed.
    """
    folder = Path(reference)
    if (folder / "manifest.json").is_file():
        return folder
    text = str(reference)
    if is_reference(text) and not folder.exists():
        return Registry(home, store).resolve(text).folder
    try:
        return find_run(reference, home) / "model"
    except InvalidInputError:
        # Looking must not make a store where there is none.
        if store is None and not (home / FILE_NAME).is_file():
            raise
        registry = Registry(home, store)
        if text not in registry.models():
            raise
        return registry.resolve(text).folder


def open_registry(home: str | Path = ".modelwright", *, store: str | None = None) -> Registry:
    """The registered models of a home.

    Parameters
    ----------
    home : str or Path, default=".modelwright"
        Folder that holds runs and models.
    store : str, optional
        URL of the database; None is SQLite in ``home``.

    Returns
    -------
    Registry
        With ``resolve``, ``versions``, ``register``, ``promote``, ``rollback`` and ``decisions``.
    """
    return Registry(Path(home), store)
