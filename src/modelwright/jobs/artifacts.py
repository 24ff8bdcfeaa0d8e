"""Files of a run: tables, figures, copies of files. Each is written beside its place and renamed in."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import InvalidInputError, StorageError
from modelwright.jobs.folder import read_status
from modelwright.jobs.log import Artifact, ArtifactKind
from modelwright.jobs.values import name_of
from modelwright.runs.folder import ARTIFACTS

#: Begins the names of files that are being written; no reader looks at them.
_DRAFT = ".draft-"
_LONGEST_NAME = 120
_CLEAN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-+=]*")
#: Files that belong to somebody else.
_TAKEN = frozenset({"stdout.log", "stderr.log"})
_count = itertools.count()

#: First bytes of the formats of pictures.
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF8", "gif"),
    (b"%PDF", "pdf"),
    (b"RIFF", "webp"),
)
_MATPLOTLIB_FORMATS = ("png", "svg", "pdf", "jpg", "webp")


def table(folder: Path, name: str, frame: Any) -> Artifact:
    """Write a table as Parquet."""
    name_of(name, "table")
    if type(frame).__name__ == "LazyFrame" or type(frame).__module__.partition(".")[0] != "polars":
        from modelwright.tables.memory import from_memory

        frame, _ = from_memory(frame)
    elif type(frame).__name__ == "Series":
        frame = frame.to_frame()
    unwritable = [column for column, dtype in frame.schema.items() if str(dtype) == "Object"]
    if unwritable:
        raise InvalidInputError(
            f"The column {unwritable[0]!r} holds Python objects.",
            where=f"table {name!r}",
            mend="Turn them into text or numbers.",
        )
    return place(folder, name, "table", "parquet", "parquet", frame.write_parquet)


def figure(folder: Path, name: str, figure: Any) -> list[Artifact]:
    """Write a picture; of an Altair chart also its specification, as "name (spec)".

    Raises
    ------
    InvalidInputError
        If it is no picture.
    """
    name_of(name, "figure")
    library = type(figure).__module__.partition(".")[0]
    if isinstance(figure, str) and figure.lstrip()[:5] in ("<svg ", "<svg>", "<?xml"):
        figure = figure.encode()
    if isinstance(figure, bytes | bytearray | memoryview):
        data = bytes(figure)
        ending = _format_of(data)
        if ending is None:
            raise InvalidInputError(
                f"These {len(data)} bytes are no picture.",
                where=f"figure {name!r}",
                mend="Give PNG, JPEG, GIF, WebP, PDF or SVG.",
            )
        return [place(folder, name, "figure", ending, ending, lambda path: path.write_bytes(data))]
    if hasattr(figure, "savefig") or (library == "matplotlib" and hasattr(figure, "get_figure")):
        drawn = figure if hasattr(figure, "savefig") else figure.get_figure()
        ending = Path(name).suffix.lstrip(".").lower()
        ending = ending if ending in _MATPLOTLIB_FORMATS else "png"
        # Without the date, equal figures are equal bytes.
        settings = {"metadata": {"Date": None}} if ending == "svg" else {}
        return [place(folder, name, "figure", ending, ending, lambda path: drawn.savefig(path, format=ending, **settings))]
    if library == "altair" and hasattr(figure, "to_json"):
        import vl_convert

        spec = figure.to_json()
        picture = vl_convert.vegalite_to_svg(spec)
        shown = place(folder, name, "figure", "svg", "svg", lambda path: path.write_text(picture, encoding="utf-8"))
        kept = place(
            folder, f"{name} (spec)", "file", "vega-lite", "vl.json", lambda path: path.write_text(spec, encoding="utf-8")
        )
        return [shown, kept]
    raise InvalidInputError(
        f"A {library}.{type(figure).__name__} is no figure.",
        where=f"figure {name!r}",
        mend="Give a matplotlib figure, an Altair chart, or the bytes of a picture; log_file keeps other files.",
    )


def file(folder: Path, path: str | Path, name: str | None = None) -> Artifact:
    """Copy a file or a folder."""
    try:
        source = Path(path)
    except TypeError:
        raise InvalidInputError(
            f"A {type(path).__name__} is no path.", where="log_file", mend="Save it to a file first, and give its path."
        ) from None
    name = name_of(source.absolute().name if name is None else name, "file")
    if source.is_dir():
        return place(folder, name, "file", "folder", "", lambda to: shutil.copytree(source, to))
    if not source.is_file():
        raise InvalidInputError("There is no such file.", where=str(source), mend="Give the path of a file or folder.")
    ending = source.suffix.lstrip(".")
    return place(folder, name, "file", ending, "", lambda to: shutil.copyfile(source, to))


def place(folder: Path, name: str, kind: ArtifactKind, format: str, ending: str, write: Callable[[Path], Any]) -> Artifact:
    """Let ``write`` make a file or folder, bring it to the disk, and rename it to where it belongs.

    Parameters
    ----------
    folder : Path
        Of the run.
    name : str
    kind, format : str
        Of the artifact.
    ending : str
        Of the file, added unless the name has it already; "" adds none.
    write : callable
        Gets the path to write to, which does not exist.

    Raises
    ------
    StorageError
        If the disk is full or refuses; an earlier artifact of the name is still there then.
    """
    full = name if not ending or name.lower().endswith(f".{ending}") else f"{name}.{ending}"
    within = full if _is_clean(full) else _made_name(full, name)
    if (folder / ARTIFACTS / within).exists() and _is_anothers(folder, name, within):
        within = _made_name(full, name)
    final = folder / ARTIFACTS / within
    draft = folder / ARTIFACTS / f"{_DRAFT}{os.getpid()}-{next(_count)}{f'.{ending}' if ending else ''}"
    try:
        draft.parent.mkdir(exist_ok=True)
        write(draft)
        size, digest = _settle(draft)
        _replace(draft, final)
    except OSError as error:
        raise StorageError(
            f"The artifact {name!r} could not be kept: {error.strerror or error}.",
            where=str(final),
            mend="Free some space; what was kept before is still there.",
        ) from error
    finally:
        _remove(draft)
    return Artifact(name, kind, within, format, size, digest)


def digest_of(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file, or of all files of a folder with their names."""
    if path.is_file():
        with path.open("rb") as stream:
            return path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()
    size, listed = 0, []
    for each in sorted(p for p in path.rglob("*") if p.is_file()):
        own, digest = digest_of(each)
        size += own
        listed.append((each.relative_to(path).as_posix(), digest))
    return size, hashlib.sha256(msgspec.json.encode(listed)).hexdigest()


def _settle(path: Path) -> tuple[int, str]:
    for each in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        fd = os.open(each, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    return digest_of(path)


def _replace(draft: Path, final: Path) -> None:
    """Rename into place; a folder cannot be replaced in one step, so the old one is moved away first."""
    if final.is_dir() or (draft.is_dir() and final.exists()):
        old = final.parent / f"{_DRAFT}old-{os.getpid()}-{next(_count)}"
        os.replace(final, old)
        os.replace(draft, final)
        _remove(old)
    else:
        os.replace(draft, final)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _format_of(data: bytes) -> str | None:
    for signature, ending in _SIGNATURES:
        if data.startswith(signature):
            return ending
    head = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")
    return "svg" if head.startswith((b"<svg", b"<?xml")) and b"<svg" in data[:10_000] else None


def _is_clean(name: str) -> bool:
    """Whether any file system takes it as the name of a file, and nobody else needs it.

    Names with "/" get no folders of their own: such a one might be an artifact itself.
    """
    return name not in _TAKEN and len(name) <= _LONGEST_NAME and _CLEAN.fullmatch(name) is not None


def _is_anothers(folder: Path, name: str, within: str) -> bool:
    """Whether the file belongs to an artifact of another name, as "a.parquet" to the table "a"."""
    return any(each.file == within and each.name != name for each in read_status(folder).artifacts.values())


def _made_name(full: str, name: str) -> str:
    """A name of a file that no other artifact leads to, with the ending of the one that it stands for."""
    stem, dot, ending = full.rpartition("/")[2].rpartition(".")
    if not dot or not (ending.isascii() and ending.isalnum()) or len(ending) > 12:
        stem, ending = full.rpartition("/")[2], ""
    clean = re.sub(r"[^A-Za-z0-9_\-]+", "-", stem).strip("-")[:60] or "artifact"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{clean}-{digest}{f'.{ending}' if ending else ''}"
