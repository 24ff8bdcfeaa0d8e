"""The manifest of a bundle: every file with its size and digest, and a checksum of the manifest itself.

It is checked before any parser of a model sees a byte. Digests find what was damaged, not who changed it on purpose: for
that there are signatures (`signing`), which are made over the bytes of the manifest.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

import msgspec

from modelwright.errors import BundleError
from modelwright.version import FORMAT_VERSION, __version__

MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "signature.json"
#: The signature of another format; see `openssf`.
OPENSSF_FILE = "model.sig"
#: Both, which no manifest lists.
SIGNATURE_FILES = (SIGNATURE_FILE, OPENSSF_FILE)
#: The checksum is taken with zeros in its own place.
_CHECKSUM = re.compile(rb'"checksum":\s*"([0-9a-f]{64})"')
_ZEROS = "0" * 64
#: What comes of JSON that is damaged, no text, nested without end, or not there.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError)
_COPY_AGAIN = "Copy the model folder again from its source."


class FileEntry(msgspec.Struct, frozen=True):
    """Size and digest of one file of a bundle."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle consists of.

    ``libraries`` are versions of packages by name; ``lineage`` says where it comes from (``run``, ``data``, ``code``).
    ``checksum`` is empty in bundles of before there was one.
    """

    format_version: int
    modelwright: str
    libraries: dict[str, str]
    lineage: dict[str, str]
    files: list[FileEntry]
    checksum: str = ""


def write_manifest(folder: Path, *, libraries: dict[str, str], lineage: dict[str, str]) -> Manifest:
    """List what lies in a folder.

    Parameters
    ----------
    folder : Path
        With all other files of the bundle.
    libraries, lineage : dict of str to str
        See `Manifest`.
    """
    files = [FileEntry(name, path.stat().st_size, sha256_of(path)) for name, path in sorted(_regular_files(folder).items())]
    draft = Manifest(FORMAT_VERSION, __version__, libraries, lineage, files, _ZEROS)
    content = msgspec.json.format(msgspec.json.encode(draft))
    manifest = msgspec.structs.replace(draft, checksum=hashlib.sha256(content).hexdigest())
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def verify_bundle(folder: Path) -> Manifest:
    """Check every file against the manifest before anything parses it.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Manifest

    Raises
    ------
    BundleError
        If a file is missing, added, no regular file, or differs from the manifest; if the manifest was damaged, or is of
        a newer format.
    """
    manifest = read_manifest(folder)
    present = _regular_files(folder).keys() - {MANIFEST_FILE, *SIGNATURE_FILES}
    listed = {entry.path for entry in manifest.files}
    for kind, names in (("missing", listed - present), ("not in the manifest", present - listed)):
        if names:
            raise BundleError(f"Files {kind}: {', '.join(sorted(names)[:5])}.", where=str(folder), mend=_COPY_AGAIN)
    for entry in manifest.files:
        file = folder / entry.path
        if file.stat().st_size != entry.size or sha256_of(file) != entry.sha256:
            raise BundleError("The file differs from the manifest.", where=str(file), mend=_COPY_AGAIN)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest, after its own checksum was compared; no other file is looked at.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    BundleError
        If it is absent, damaged, or of a newer format.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise _not_a_bundle(folder)
    content = path.read_bytes()
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except UNREADABLE as error:
        raise _newer(content, folder) or BundleError(
            f"The manifest is damaged: {error}.", where=str(path), mend=_COPY_AGAIN
        ) from error
    if manifest.format_version > FORMAT_VERSION:
        raise _too_new(manifest.format_version, manifest.modelwright, folder)
    if manifest.checksum:
        found = _CHECKSUM.search(content)
        zeroed = content if found is None else content[: found.start(1)] + _ZEROS.encode() + content[found.end(1) :]
        if hashlib.sha256(zeroed).hexdigest() != manifest.checksum:
            raise BundleError("The manifest is damaged: its checksum differs.", where=str(path), mend=_COPY_AGAIN)
    return manifest


def manifest_digest(folder: Path) -> str:
    """SHA-256 of the manifest, which names every file with its digest: two bundles with the same one are the same.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    BundleError
        If there is no manifest.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise _not_a_bundle(folder)
    return sha256_of(path)


def sha256_of(path: Path) -> str:
    """Digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _regular_files(folder: Path) -> dict[str, Path]:
    """Files below a folder by name; links and devices are refused, so that nothing outside is ever read."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(place) / name
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                found[path.relative_to(folder).as_posix()] = path
            elif not stat.S_ISDIR(mode):
                raise BundleError("A bundle holds regular files only.", where=str(path), mend=_COPY_AGAIN)
    return found


class _Head(msgspec.Struct):
    format_version: int
    modelwright: str = ""


def _newer(content: bytes, folder: Path) -> BundleError | None:
    """The refusal of a manifest that cannot be read because a newer version wrote it."""
    try:
        head = msgspec.json.decode(content, type=_Head)
    except UNREADABLE:
        return None
    return _too_new(head.format_version, head.modelwright, folder) if head.format_version > FORMAT_VERSION else None


def _too_new(version: int, written_by: str, folder: Path) -> BundleError:
    return BundleError(
        f"The model has format {version}, this modelwright {__version__} reads up to {FORMAT_VERSION}.",
        where=str(folder),
        mend=f"Install modelwright {written_by} or newer.",
    )


def _not_a_bundle(folder: Path) -> BundleError:
    return BundleError(
        "There is no manifest.json, so this is not a model folder.",
        where=str(folder),
        mend="Give the folder that training named as the model.",
    )
