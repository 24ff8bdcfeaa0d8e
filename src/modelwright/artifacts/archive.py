"""A bundle as one file, and back.

An archive is a gzipped tar of regular files, the manifest first; the same bundle gives the same bytes. What comes in is
read by a parser of our own that knows nothing but regular files with plain names: links, devices, folders, long-name and
extension records, absolute names and ".." have no way in because there is no code for them. Bytes are counted while they
are unpacked, into a fresh folder that gets its name only after every digest was compared and a child process has loaded
the model (`probe`).
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from modelwright.artifacts.drafted import drafted
from modelwright.artifacts.manifest import MANIFEST_FILE, SIGNATURE_FILES, Manifest, verify_bundle
from modelwright.artifacts.probe import probe_bundle
from modelwright.artifacts.signing import verify_signature
from modelwright.errors import BundleError, InvalidInputError, StorageError

#: Files of a bundle at most (about three for each member), and bytes that may be unpacked unless the caller says more.
MOST_FILES, MOST_BYTES = 1_000, 8_000_000_000
#: From this many bytes on, so many times the archive's own bytes are too many.
_FREE_BYTES, _MOST_RATIO = 64_000_000, 200
_MOST_DEPTH = 6
_BLOCK, _CHUNK = 512, 1 << 18
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OCTAL = re.compile(rb" *([0-7]{1,11})[ \0]*")
_MEND = "Ask for an archive made with: modelwright bundle export."


def export_bundle(folder: Path, output: Path) -> Manifest:
    """Write a bundle into one file; it appears whole or not at all.

    Parameters
    ----------
    folder : Path
    output : Path
        Ends in ".tar.gz"; must not exist.

    Raises
    ------
    BundleError
        If the bundle is damaged.
    InvalidInputError
        If the file exists, or its name does not end in ".tar.gz".
    StorageError
        If it cannot be written.
    """
    if not output.name.endswith(".tar.gz"):
        raise InvalidInputError("An archive ends in .tar.gz.", where=str(output), mend="Name it model.tar.gz.")
    if output.exists():
        raise InvalidInputError("There is such a file already.", where=str(output), mend="Give another name, or remove it.")
    manifest = verify_bundle(folder)
    signed = [name for name in SIGNATURE_FILES if (folder / name).is_file()]
    names = [MANIFEST_FILE, *signed, *sorted(entry.path for entry in manifest.files)]
    with drafted(output, "archive") as draft, draft.open("wb") as file:
        _write(file, folder, names)
        file.flush()
        os.fsync(file.fileno())
    return manifest


def import_bundle(
    archive: Path,
    folder: Path,
    *,
    features: str | Path | None = None,
    trusted_keys: str | Path | Sequence[str | Path] = (),
    most_bytes: int = MOST_BYTES,
    most_files: int = MOST_FILES,
) -> Manifest:
    """Unpack an archive, verify it, load it once in a child process, and publish it as a folder.

    Parameters
    ----------
    archive : Path
    folder : Path
        Must not exist; readable by its owner alone.
    features, trusted_keys
        As for `bundle.load_bundle`.
    most_bytes : int, default=8000000000
        Bytes that may be unpacked.
    most_files : int, default=1000

    Raises
    ------
    BundleError
        If it is no archive of a bundle, is too large, or holds anything but regular files with plain names; if the bundle
        is damaged, not signed by a trusted key, or cannot be loaded. Nothing stays on the disk then.
    InvalidInputError
        If the archive does not exist, or the folder does.
    StorageError
        If the folder cannot be written.
    """
    if folder.exists() or folder.is_symlink():
        raise InvalidInputError("There is such a folder already.", where=str(folder), mend="Give another name.")
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        with archive.open("rb") as file:
            draft.mkdir(mode=0o700)
            _unpack(file, draft, str(archive), most_bytes, most_files)
        manifest = verify_bundle(draft)
        verify_signature(draft, trusted_keys)
        probe_bundle(draft, features=features)
        os.rename(draft, folder)
    except FileNotFoundError as error:
        raise InvalidInputError(
            "There is no such file or folder.", where=str(error.filename), mend="Look at the names given."
        ) from error
    except OSError as error:
        raise StorageError(
            f"The archive cannot be unpacked: {error.strerror}.", where=str(error.filename or folder), mend="Free some space."
        ) from error
    except BundleError as error:
        # The folder that was looked at is gone by the time the message is read.
        raise BundleError(error.what, where=error.where.replace(str(draft), str(archive)), mend=error.mend) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def plain_name(name: str) -> bool:
    """Whether a file of a bundle may have this name: short words of letters, digits, ".", "_" and "-", between slashes.

    Examples
    --------
    >>> plain_name("members/0/booster.txt"), plain_name("../booster.txt"), plain_name("C:/booster.txt")
    (True, False, False)
    """
    parts = name.split("/")
    return len(parts) <= _MOST_DEPTH and all(_PART.fullmatch(part) for part in parts)


def _write(file: BinaryIO, folder: Path, names: Sequence[str]) -> None:
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: with a gzip header, which has no name and no time

    class Squeezed:
        def write(self, data: bytes) -> int:
            file.write(squeeze.compress(data))
            return len(data)

    with tarfile.open(fileobj=Squeezed(), mode="w|", format=tarfile.USTAR_FORMAT) as tar:  # type: ignore[call-overload]
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = (folder / name).stat().st_size, 0o644
            with (folder / name).open("rb") as content:
                tar.addfile(entry, content)
    file.write(squeeze.flush())


def _unpack(file: BinaryIO, folder: Path, where: str, most_bytes: int, most_files: int) -> None:
    stream = _Unsqueezed(file, where, most_bytes)
    seen: set[str] = set()
    while (head := stream.exactly(_BLOCK)) != bytes(_BLOCK):
        name, size = _entry(head, where)
        if len(seen) >= most_files:
            raise BundleError(f"The archive holds more than {most_files:,} files.", where=where, mend=_MEND)
        # Names that differ in case alone are one file on some systems.
        if name.casefold() in seen:
            raise BundleError("The archive holds a file twice.", where=where, mend=_MEND)
        seen.add(name.casefold())
        path = folder / name
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        except (FileExistsError, NotADirectoryError) as error:
            raise BundleError("A file of the archive stands where a folder must be.", where=where, mend=_MEND) from error
        with os.fdopen(descriptor, "wb") as out:
            for part in stream.parts(size):
                out.write(part)
        stream.exactly(-size % _BLOCK)
    stream.end()
    if MANIFEST_FILE not in seen:
        raise BundleError("The archive holds no bundle: there is no manifest.json.", where=where, mend=_MEND)


def _entry(head: bytes, where: str) -> tuple[str, int]:
    """Name and size of a regular file."""
    given = _OCTAL.fullmatch(head[148:156])
    if given is None or int(given[1], 8) != sum(head[:148]) + 8 * ord(" ") + sum(head[156:]):
        raise BundleError("The archive is damaged: a checksum differs.", where=where, mend=_MEND)
    size = _OCTAL.fullmatch(head[124:136])
    kind, plain = head[156:157], head[257:263] in (b"ustar\0", bytes(6))
    if kind not in (b"0", b"\0") or size is None or not plain or head[157:257].strip(b"\0"):
        raise BundleError("The archive holds something that is no regular file.", where=where, mend=_MEND)
    parts = [_text(head[345:500]) if head[257:263] != bytes(6) else "", _text(head[:100])]
    name = "/".join(part for part in parts if part)
    if not plain_name(name):
        raise BundleError("The archive holds a file with a name that a bundle does not use.", where=where, mend=_MEND)
    return name, int(size[1], 8)


def _text(field: bytes) -> str:
    """The text of a field; bytes behind its end, or beyond ASCII, make it a name that is refused."""
    text, _, rest = field.partition(b"\0")
    with suppress(UnicodeDecodeError):
        if not rest.strip(b"\0"):
            return text.decode("ascii")
    return "\0"


class _Unsqueezed:
    """The bytes of a gzip file, counted as they come."""

    def __init__(self, file: BinaryIO, where: str, most_bytes: int) -> None:
        self._file, self._where, self._most = file, where, most_bytes
        self._inflate = zlib.decompressobj(31)
        self._ahead = b""
        self._n_read = self._n_out = 0

    def parts(self, n: int) -> Iterator[bytes]:
        """The next n bytes, in pieces."""
        while n:
            if not self._ahead:
                self._ahead = self._more()
                if not self._ahead:
                    raise self._refused("The archive is cut off.")
            part, self._ahead = self._ahead[:n], self._ahead[n:]
            n -= len(part)
            yield part

    def exactly(self, n: int) -> bytes:
        """The next n bytes of a few."""
        return b"".join(self.parts(n))

    def end(self) -> None:
        """Nothing but zeros may follow, and nothing behind the compressed bytes."""
        left = self._ahead or self._more()
        while left:
            if left.strip(b"\0"):
                raise self._refused("Something follows the end of the archive.")
            left = self._more()
        if not self._inflate.eof or self._inflate.unused_data or self._file.read(1):
            raise self._refused("The archive is cut off, or something follows it.")

    def _more(self) -> bytes:
        while not self._inflate.eof:
            given = self._inflate.unconsumed_tail
            if not given:
                given = self._file.read(_CHUNK)
                self._n_read += len(given)
                if not given:
                    return b""
            try:
                found = self._inflate.decompress(given, _CHUNK)
            except zlib.error as error:
                raise self._refused("The file is no gzipped archive, or was damaged.") from error
            self._n_out += len(found)
            if self._n_out > self._most:
                raise self._refused(f"The archive unpacks to more than {self._most:,} bytes.")
            if self._n_out > _FREE_BYTES and self._n_out > _MOST_RATIO * self._n_read:
                raise self._refused(f"The archive unpacks to more than {_MOST_RATIO} times its size.")
            if found:
                return found
        return b""

    def _refused(self, what: str) -> BundleError:
        return BundleError(what, where=self._where, mend=_MEND)
