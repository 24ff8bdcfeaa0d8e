"""What a published run consists of, as its marker says it (see `store.artifacts`): functions of values and of a folder."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

import msgspec

from modelwright.errors import BundleError

#: Raised when an older reader would misread a newer marker.
MARKER_FORMAT = 1
#: The one file of a run that changes later; it stands in the marker, which is replaced as a whole.
LABELS = "labels.json"
#: ``RUN~NUMBER~DIGEST.json``
NAME = re.compile(r"(?P<run>[^~/]+)~(?P<number>\d{6})~(?P<digest>[0-9a-f]{16})\.json")


class StoredFile(msgspec.Struct, frozen=True):
    """One file of a published run; ``path`` is relative to its folder, with slashes."""

    path: str
    size: int
    sha256: str


class Marker(msgspec.Struct, frozen=True):
    """What a published run consists of; ``entry`` and ``labels`` are JSON as whoever published it wrote them."""

    format_version: int
    run: str
    modelwright: str
    content: str
    files: list[StoredFile]
    folders: list[str]
    entry: msgspec.Raw
    labels: msgspec.Raw

    @property
    def n_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size for file in self.files)


def is_whole(name: str, content: bytes) -> bool:
    """Whether a marker has the content that its name speaks of."""
    match = NAME.fullmatch(name)
    return match is not None and match["digest"] == digest_of(content)


def run_of(name: str) -> str:
    """The run that a marker of this name is of."""
    return name.partition("~")[0]


def decoded(content: bytes, name: str) -> Marker:
    """A marker from its text.

    Raises
    ------
    BundleError
        If a newer version wrote it, or it is none.
    """
    try:
        marker = msgspec.json.decode(content, type=Marker)
    except msgspec.MsgspecError as error:
        raise BundleError(
            f"The marker of the run {run_of(name)} cannot be read: {error}.", where=name, mend="Publish the run again."
        ) from error
    if marker.format_version > MARKER_FORMAT:
        raise BundleError(
            f"The marker of the run {run_of(name)} has format {marker.format_version}, this version reads up to"
            f" {MARKER_FORMAT}.",
            where=name,
            mend="Install a newer modelwright.",
        )
    return marker


def described(folder: Path) -> tuple[list[StoredFile], list[str]]:
    """Every file of a run folder with its digest, and its folders; not the labels, and not files that are being written.

    Parameters
    ----------
    folder : Path
    """
    files, folders = [], []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            folders.append(name)
        elif path.is_file() and name != LABELS and not name.startswith(f".{LABELS}"):
            files.append(StoredFile(name, path.stat().st_size, file_digest(path)))
    return files, folders


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_of(files: list[StoredFile], folders: list[str]) -> str:
    return hashlib.sha256(msgspec.json.encode([files, folders])).hexdigest()[:16]


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def encoded(marker: Marker) -> bytes:
    return msgspec.json.encode(marker)


def raw(text: bytes) -> msgspec.Raw:
    # On one line and valid, whatever the file looked like.
    return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(text)))


def safe_path(path: str) -> Path:
    """A path within the folder of a run; anything else is refused."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or os.sep not in "/":
        raise BundleError(f"{path!r} is no path within a run.", where=path, mend="Do not use these artifacts.")
    return Path(*pure.parts)
