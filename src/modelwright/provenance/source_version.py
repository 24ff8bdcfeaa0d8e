"""Which state of its source a table was read from: size and time of a file, or what a server calls its version."""

from __future__ import annotations

import glob
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelwright.masking import masked
from modelwright.provenance.record import SourceVersion
from modelwright.provenance.secrets import expanded

#: What stores and web servers call the version of an object, the most telling first.
_VERSIONS = ("version_id", "VersionId", "ETag", "etag", "md5", "generation")
_MAGIC = ("*", "?", "[")


def source_version(data: Any) -> SourceVersion | None:
    """Look the source up, without reading it.

    Parameters
    ----------
    data : str, Path or table
        As for `tables.read.read`.

    Returns
    -------
    SourceVersion or None
        None for tables in memory, and where nothing is there any more. Of databases the address alone is known; of a
        remote object size and version, as far as its server tells.
    """
    if not isinstance(data, (str, Path)):
        return None
    address = str(data)
    if "://" in address:
        return _remote(address)
    path = Path(address).expanduser()
    if path.is_dir():
        files = [each for each in path.iterdir() if each.is_file()]
    elif path.is_file():
        files = [path]
    else:
        found = glob.glob(str(path), recursive=True) if any(sign in address for sign in _MAGIC) else []
        files = [Path(each) for each in found if Path(each).is_file()]
    if not files:
        return None
    states = [each.stat() for each in files]
    latest = datetime.fromtimestamp(max(state.st_mtime for state in states), UTC)
    return SourceVersion(address, sum(state.st_size for state in states), latest.isoformat(timespec="microseconds"))


def _remote(address: str) -> SourceVersion | None:
    import fsspec.core

    shown = masked(address)
    try:
        system, path = fsspec.core.url_to_fs(expanded(address))
        known = system.info(path)
    except (OSError, ValueError, ImportError):
        # A database, a folder of a server that lists none, or a store that is out of reach now: reading says what is wrong.
        return SourceVersion(shown)
    changed = known.get("LastModified") or known.get("last_modified") or known.get("mtime") or ""
    return SourceVersion(
        source=shown,
        size_bytes=known.get("size"),
        modified=changed.isoformat() if isinstance(changed, datetime) else str(changed),
        version=next((str(known[name]).strip('"') for name in _VERSIONS if known.get(name)), ""),
    )
