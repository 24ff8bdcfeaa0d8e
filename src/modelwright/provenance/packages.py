"""The installed distributions, read from the names of their folders: hundreds are listed in milliseconds."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from modelwright.version import __version__

_FOLDER = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)\.dist-info")


def installed() -> dict[str, str]:
    """Name and version of every distribution that this process can import, sorted by name.

    Names are in the normal form of PEP 503. Where a distribution is installed twice, the one that is imported counts.
    """
    found: dict[str, str] = {}
    for entry in sys.path:
        folder = Path(entry or ".")
        try:
            names = sorted(path.name for path in folder.iterdir() if path.name.endswith((".dist-info", ".egg-info")))
        except OSError:
            continue
        for name in names:
            matched = _FOLDER.fullmatch(name)
            if matched:
                found.setdefault(_normal(matched["name"]), matched["version"])
                continue
            # An unusual name: what its metadata say.
            distribution = metadata.Distribution.at(folder / name)
            told = distribution.metadata["Name"] if distribution.metadata else None
            if told:
                found.setdefault(_normal(told), distribution.version)
    found["modelwright"] = __version__
    return dict(sorted(found.items()))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
