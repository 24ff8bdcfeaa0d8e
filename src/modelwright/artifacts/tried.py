"""Bundles that a child process of this machine has loaded before: that is asked once, not each time.

A home remembers them in its folder ``tried``, one empty file each, named after the digest and the libraries that parse.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from modelwright.artifacts.manifest import manifest_digest
from modelwright.artifacts.probe import Probe, start_probe
from modelwright.version import __version__

_TRIED = "tried"


@dataclass(frozen=True)
class Begun:
    """A child at work on a bundle, and where it is remembered that it found nothing wrong."""

    probe: Probe
    digest: str
    mark: Path | None

    def finish(self) -> None:
        """Wait for what the child says, and remember it; raises as `Probe.finish` does."""
        self.probe.finish()
        if self.mark is not None:
            try:
                self.mark.parent.mkdir(parents=True, exist_ok=True)
                self.mark.touch()
            except OSError:
                return  # a home that cannot be written: the child loads it again next time


def begin_once(folder: Path, home: Path | None, *, features: str | Path | None = None) -> Begun | None:
    """Begin to load a bundle in a child process; None where one did so with these very bytes.

    Parameters
    ----------
    folder : Path
    home : Path or None
        Where it is remembered; None asks each time.
    features : str or Path, optional
        As for `start_probe`.

    Raises
    ------
    BundleError
        As `start_probe` raises it.
    """
    digest = manifest_digest(folder)
    mark = None if home is None else home / _TRIED / f"{digest}-{_libraries()}"
    if mark is not None and mark.is_file():
        return None
    return Begun(start_probe(folder, features=features), digest, mark)


def probe_once(folder: Path, home: Path | None, *, features: str | Path | None = None) -> None:
    """Load a bundle in a child process, unless one did so with these very bytes: `begin_once`, and `Begun.finish`."""
    begun = begin_once(folder, home, features=features)
    if begun is not None:
        begun.finish()


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
