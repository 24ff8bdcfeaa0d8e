"""Files of a run on a server, fetched within limits and under names that lead nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from modelwright.errors import StorageError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import FileInfo
    from mlflow.entities import Run as ServerRun

#: Files of one run; a million of small ones would fill a disk too.
_MOST_FILES = 2000
_DEEPEST = 20


class File(msgspec.Struct, frozen=True):
    """A fetched file, and its name on the server."""

    name: str
    path: Path


class Taken(msgspec.Struct, frozen=True):
    """Fetched files, and a sentence for what was left there."""

    files: list[File]
    left: list[str]


def take_files(client: MlflowClient, run: ServerRun, uri: str, to: Path, *, max_file_bytes: int, max_run_bytes: int) -> Taken:
    """Fetch the files of a run.

    Parameters
    ----------
    client : MlflowClient
    run : mlflow.entities.Run
    uri : str
        Of the server.
    to : Path
        A folder to fetch them to.
    max_file_bytes, max_run_bytes : int
        Larger files, and those beyond the sum, are left there.
    """
    if _names_this_machine(run.info.artifact_uri or "", uri):
        return Taken([], ["files are left out: the server names a folder of this machine as their place"])
    files: list[File] = []
    left: list[str] = []
    total = 0
    for info in _listed(client, run.info.run_id, "", 0):
        size = info.file_size or 0
        if not is_safe(info.path):
            left.append(f"file {info.path[:200]!r} is left out: its name leads out of the run")
        elif size > max_file_bytes:
            left.append(f"file {info.path!r} is left out: {size / 1e6:.3g} MB")
        elif total + size > max_run_bytes or len(files) >= _MOST_FILES:
            left.append(f"file {info.path!r} and those after it are left out: the run has too many or too large files")
            break
        else:
            fetched = _fetched(client, run.info.run_id, info.path, to)
            if fetched is None:
                left.append(f"file {info.path!r} is left out: it cannot be fetched")
                continue
            total += fetched.stat().st_size
            files.append(File(info.path, fetched))
    return Taken(files, left)


def is_safe(name: str) -> bool:
    """Whether the name of a file stays within its folder.

    Examples
    --------
    >>> [is_safe(name) for name in ("plots/roc.png", "../run.json", "/etc/passwd", "a\\\\..\\\\b", "")]
    [True, False, False, False, False]
    """
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and not set(name) & {"\\", "\0", "\n"}


def _names_this_machine(artifact_uri: str, uri: str) -> bool:
    return urlsplit(uri).scheme in ("http", "https") and urlsplit(artifact_uri).scheme in ("", "file")


def _listed(client: MlflowClient, run: str, folder: str, depth: int) -> Iterator[FileInfo]:
    for info in sorted(client.list_artifacts(run, folder or None), key=lambda each: each.path):
        if not info.is_dir:
            yield info
        elif depth < _DEEPEST and is_safe(info.path) and info.path != folder:
            yield from _listed(client, run, info.path, depth + 1)


def _fetched(client: MlflowClient, run: str, name: str, to: Path) -> Path | None:
    """The file, if it is one and lies where it should."""
    from mlflow.exceptions import MlflowException

    try:
        path = Path(client.download_artifacts(run, name, str(to)))
    except MlflowException:
        return None
    except OSError as error:
        raise StorageError(f"A file cannot be kept: {error.strerror}.", where=name, mend="Free some space.") from error
    inside = path.resolve().is_relative_to(to.resolve())
    return path if inside and path.is_file() and not path.is_symlink() else None
