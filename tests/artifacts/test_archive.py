"""An archive of a bundle comes back as it was, and a hostile one leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwright.artifacts.archive import export_bundle, import_bundle, plain_name
from modelwright.artifacts.bundle import load_bundle, manifest_digest
from modelwright.errors import BundleError, InvalidInputError

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files(bundle: Path) -> Files:
    return {path.relative_to(bundle).as_posix(): path.read_bytes() for path in sorted(bundle.rglob("*")) if path.is_file()}


def test_a_bundle_comes_back_as_it_was_and_the_archive_is_always_the_same(bundle: Path, tmp_path: Path) -> None:
    export_bundle(bundle, tmp_path / "a.tar.gz")
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    export_bundle(copy, tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    import_bundle(tmp_path / "a.tar.gz", tmp_path / "back")
    assert manifest_digest(tmp_path / "back") == manifest_digest(bundle)
    assert load_bundle(tmp_path / "back").run == load_bundle(bundle).run
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "back").rglob("*") if path.is_file()} == {0o600}


def test_what_is_there_already_is_left_alone(bundle: Path, tmp_path: Path) -> None:
    export_bundle(bundle, tmp_path / "a.tar.gz")
    with pytest.raises(InvalidInputError, match="such a file already"):
        export_bundle(bundle, tmp_path / "a.tar.gz")
    with pytest.raises(InvalidInputError, match=r"ends in \.tar\.gz"):
        export_bundle(bundle, tmp_path / "a.zip")
    (tmp_path / "there").mkdir()
    with pytest.raises(InvalidInputError, match="such a folder already"):
        import_bundle(tmp_path / "a.tar.gz", tmp_path / "there")
    with pytest.raises(InvalidInputError, match="no such file"):
        import_bundle(tmp_path / "none.tar.gz", tmp_path / "new")


# --- hostile archives ------------------------------------------------------------------------------------------------


def _tar(files: Files, extra: list[tuple[tarfile.TarInfo, bytes]] = [], *, form: int = tarfile.USTAR_FORMAT) -> bytes:  # noqa: B006
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info, content in extra:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _special(kind: bytes, name: str = "members/evil", link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def _named(name: bytes, *, prefix: bytes = b"", magic: bytes = b"ustar\x0000") -> bytes:
    """A block of a regular, empty file with any bytes for a name."""
    head = bytearray(512)
    head[: len(name[:100])] = name[:100]
    head[100:108], head[108:116], head[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    head[124:136], head[136:148], head[156:157] = b"00000000000\0", b"00000000000\0", b"0"
    head[257:265], head[345 : 345 + len(prefix)] = magic, prefix
    return _sealed(head)


def _sealed(head: bytearray) -> bytes:
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    return bytes(head)


def _changed(tar: bytes, at: int, value: bytes) -> bytes:
    """A tar whose first header was changed and sealed again."""
    head = bytearray(tar[:512])
    head[at : at + len(value)] = value
    return _sealed(head) + tar[512:]


def _with(files: Files, *blocks: bytes) -> bytes:
    return _tar(files).rstrip(b"\0") + bytes(-len(_tar(files).rstrip(b"\0")) % 512) + b"".join(blocks) + bytes(1024)


def _zip(files: Files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def _edited(files: Files, name: str, content: bytes) -> Files:
    return {**files, name: content}


Z = gzip.compress
HOSTILE: dict[str, Callable[[Files], bytes]] = {
    "a link": lambda f: Z(_tar(f, [(_special(tarfile.SYMTYPE, link="/etc/passwd"), b"")])),
    "a link to a folder above": lambda f: Z(_tar(f, [(_special(tarfile.SYMTYPE, "members/up", ".."), b"")])),
    "a link, then a file through it": lambda f: Z(
        _tar({}, [(_special(tarfile.SYMTYPE, "out", "/tmp"), b""), (tarfile.TarInfo("out/escaped"), b"x")])
    ),
    "a link in place of a file": lambda f: Z(
        _tar(
            {k: v for k, v in f.items() if k != "schema.json"}, [(_special(tarfile.SYMTYPE, "schema.json", "/etc/passwd"), b"")]
        )
    ),
    "a hard link": lambda f: Z(_tar(f, [(_special(tarfile.LNKTYPE, link="manifest.json"), b"")])),
    "a hard link outwards": lambda f: Z(_tar(f, [(_special(tarfile.LNKTYPE, link="../../../etc/passwd"), b"")])),
    "a character device": lambda f: Z(_tar(f, [(_special(tarfile.CHRTYPE), b"")])),
    "a block device": lambda f: Z(_tar(f, [(_special(tarfile.BLKTYPE), b"")])),
    "a pipe": lambda f: Z(_tar(f, [(_special(tarfile.FIFOTYPE), b"")])),
    "a folder": lambda f: Z(_tar(f, [(_special(tarfile.DIRTYPE), b"")])),
    "a contiguous file": lambda f: Z(_tar(f, [(_special(tarfile.CONTTYPE), b"x")])),
    "a sparse file": lambda f: Z(_tar(f, [(_special(tarfile.GNUTYPE_SPARSE), b"x" * 512)])),
    "a kind that nobody knows": lambda f: Z(_tar(f, [(_special(b"Q"), b"x")])),
    "an extension record that renames": lambda f: Z(
        _tar(f, [(_special(tarfile.XHDTYPE, "x"), b"24 path=../../../escaped\n"), (tarfile.TarInfo("a"), b"x")])
    ),
    "a global extension record": lambda f: Z(_tar({}, [(_special(tarfile.XGLTYPE, "x"), b"19 path=../escaped\n")])),
    "a long-name record": lambda f: Z(
        _tar(
            f, [(_special(tarfile.GNUTYPE_LONGNAME, "././@LongLink"), b"../" * 90 + b"escaped\0"), (tarfile.TarInfo("a"), b"x")]
        )
    ),
    "a long-link record": lambda f: Z(_tar(f, [(_special(tarfile.GNUTYPE_LONGLINK, "././@LongLink"), b"/etc/passwd\0")])),
    "extension records of a whole archive": lambda f: Z(_tar({"ä" * 80: b"x", **f}, form=tarfile.PAX_FORMAT)),
    "a regular file with a link target": lambda f: Z(_changed(_tar(f), 157, b"/etc/passwd")),
    "a name above": lambda f: Z(_tar({**f, "../escaped": b"x"})),
    "a name above in the middle": lambda f: Z(_tar({**f, "members/../../escaped": b"x"})),
    "an absolute name": lambda f: Z(_tar({**f, "/tmp/escaped": b"x"})),
    "a name above in the prefix": lambda f: Z(_with(f, _named(b"escaped", prefix=b"../.."))),
    "a name with NUL and more behind": lambda f: Z(_with(f, _named(b"members/a\0/../../escaped"))),
    "a backslash": lambda f: Z(_tar({**f, "..\\escaped": b"x"})),
    "a drive letter": lambda f: Z(_tar({**f, "C:/escaped": b"x"})),
    "an empty name": lambda f: Z(_with(f, _named(b""))),
    "a name beyond ASCII": lambda f: Z(_with(f, _named("members/．．/escaped".encode()))),
    "a hidden file": lambda f: Z(_tar({**f, ".bashrc": b"x"})),
    "a name of control signs": lambda f: Z(_with(f, _named(b"members/a\x1b[2Jb"))),
    "folders twenty deep": lambda f: Z(_tar({**f, "a/" * 20 + "b": b"x"})),
    "the same file twice": lambda f: Z(_with(f, _named(b"manifest.json"))),
    "the same file in capitals": lambda f: Z(_with(f, _named(b"MANIFEST.json"))),
    "a file where a folder must be": lambda f: Z(_tar({"members": b"x", **f})),
    "a file that is not in the manifest": lambda f: Z(_tar({**f, "members/0/extra.py": b"import os"})),
    "a file less": lambda f: Z(_tar({k: v for k, v in f.items() if k != "model.json"})),
    "no manifest": lambda f: Z(_tar({k: v for k, v in f.items() if k != "manifest.json"})),
    "a changed file": lambda f: Z(_tar(_edited(f, "model.json", f["model.json"].replace(b"0", b"1", 1)))),
    "a changed manifest": lambda f: Z(_tar(_edited(f, "manifest.json", f["manifest.json"].replace(b"0.1.0", b"0.1.1")))),
    "two thousand files": lambda f: Z(_tar({**f, **{f"a{k}": b"" for k in range(2_000)}})),
    "a hundred megabytes of zeros": lambda f: Z(_tar({"zeros": bytes(100_000_000), **f}), 9),
    "a size beyond the cap": lambda f: Z(_changed(_tar(f), 124, b"77777777777\0")),
    "a size in base 256": lambda f: Z(_changed(_tar(f), 124, b"\x80" + bytes(10) + b"\x01")),
    "a negative size": lambda f: Z(_changed(_tar(f), 124, b"-0000000010\0")),
    "a size that is no number": lambda f: Z(_changed(_tar(f), 124, b"99999999999\0")),
    "a wrong checksum": lambda f: Z(_tar(f)[:148] + b"0000000\0" + _tar(f)[156:]),
    "an old header of another make": lambda f: Z(_changed(_tar(f), 257, b"ustar  \0")),
    "cut in a header": lambda f: Z(_tar(f)[:300]),
    "cut in a file": lambda f: Z(_tar(f)[:700]),
    "without an end": lambda f: Z(_tar(f).rstrip(b"\0")),
    "cut in the compressed bytes": lambda f: Z(_tar(f))[:-200],
    "cut before the compressed checksum": lambda f: Z(_tar(f))[:-8],
    "a wrong compressed checksum": lambda f: Z(_tar(f))[:-8] + struct.pack("<I", 1) + Z(_tar(f))[-4:],
    "something behind": lambda f: Z(_tar(f)) + b"#!/bin/sh\n",
    "a second archive behind": lambda f: Z(_tar(f)) + Z(_tar({"../escaped": b"x"})),
    "a second archive inside": lambda f: Z(_tar(f) + _tar({"../escaped": b"x"})),
    "empty": lambda f: b"",
    "an empty archive": lambda f: Z(bytes(1024)),
    "not compressed": lambda f: _tar(f),
    "raw deflate": lambda f: zlib.compress(_tar(f)),
    "a zip": _zip,
    "noise": lambda f: hashlib.shake_128(b"noise").digest(5_000),
    "a pickle": lambda f: (
        b"\x80\x04\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94."
    ),
    "a bomb in a bomb": lambda f: Z(Z(bytes(50_000_000))),
}


def test_there_are_forty_hostile_archives() -> None:
    assert len(HOSTILE) >= 40


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(how: str, files: Files, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    archive = inner / "model.tar.gz"
    archive.write_bytes(HOSTILE[how](files))
    with pytest.raises(BundleError) as caught:
        import_bundle(archive, inner / "model", most_bytes=200_000_000)
    assert caught.value.mend
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()] == [archive]
    assert not Path("/tmp/escaped").exists()


# --- names -----------------------------------------------------------------------------------------------------------

_UP = (
    "..",
    "...",
    "%2e%2e",
    "%252e%252e",
    "．．",
    "․․",
    ".%2e",
    "..%00",
    "..;",
    "..\0",
    "~",
    "~root",
    ".",
    "",
    "‥",
    "%c0%ae%c0%ae",
)
_SIGNS = ("/", "\\", "%2f", "%5c", "%252f", "／", "∕", "⁄", "//", "/./", ":", "\\\\")
_GOALS = ("etc/passwd", "manifest.json")
TRAVERSAL = sorted(
    {f"{up}{sign}{goal}" for up in _UP for sign in _SIGNS for goal in _GOALS}
    | {f"members/0/{up}{sign}escaped" for up in _UP for sign in _SIGNS[:6]}
    | {"/etc/passwd", "\\\\server\\share", "C:\\x", "C:x", "file:///etc/passwd", "http://a/b", "a\nb", "a b", "a/", "/a", "-rf"}
    | {"con:", "a" * 101, "/".join("abcdefg"), "members//0", "a\u202eb", "\ufeffmanifest.json", "aux|x", "$(id)", "`id`", "a;b"}
)


def test_there_are_three_hundred_names_that_lead_elsewhere() -> None:
    assert len(TRAVERSAL) >= 300


@pytest.mark.parametrize("name", TRAVERSAL)
def test_a_name_that_leads_elsewhere_is_no_name(name: str) -> None:
    assert not plain_name(name)


def test_an_archive_with_any_of_these_names_unpacks_nothing(files: Files, tmp_path: Path) -> None:
    archive = tmp_path / "in" / "model.tar.gz"
    archive.parent.mkdir()
    for name in TRAVERSAL:
        archive.write_bytes(Z(_named(name.encode()) + _tar({}), 1))
        with pytest.raises(BundleError):
            import_bundle(archive, archive.parent / "model")
        assert [path.name for path in tmp_path.rglob("*") if path != archive] == ["in"], name
