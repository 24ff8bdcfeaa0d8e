"""Bundles that a child process of this machine has loaded before: that is asked once, not each time.

A home remembers them in its folder ``tried``, one empty file each, named after the digest and the libraries that parse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from modelwright.artifacts.manifest import Manifest, manifest_digest
from modelwright.artifacts.probe import probe_bundle
from modelwright.version import __version__

_TRIED = "tried"


def probe_once(
    folder: Path,
    home: Path | None,
    *,
    features: str | Path | None = None,
    meanwhile: Callable[[Manifest], None] | None = None,
) -> None:
    """Load a bundle and replay its golden rows in a child process, unless one did so with these very bytes.

    Parameters
    ----------
    folder : Path
    home : Path or None
        Where it is remembered; None asks each time.
    features, meanwhile
        As for `probe_bundle`.

    Raises
    ------
    BundleError
        As `probe_bundle` raises it.
    """
    mark = None if home is None else home / _TRIED / f"{manifest_digest(folder)}-{_libraries()}"
    if mark is not None and mark.is_file():
        return
    probe_bundle(folder, features=features, meanwhile=meanwhile)
    if mark is not None:
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError:
            return  # a home that cannot be written: the child loads it again next time


def _libraries() -> str:
    """A short name for the versions that parse models."""
    from importlib.metadata import PackageNotFoundError, version

    found = [__version__]
    for name in ("numpy", "scikit-learn", "lightgbm", "catboost", "xgboost-cpu", "torch", "skops"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return hashlib.sha256("; ".join(found).encode()).hexdigest()[:12]
