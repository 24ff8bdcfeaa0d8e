"""Files, folders and globs, on this machine or in any store that fsspec reaches, as one table."""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from modelwright.errors import DataError
from modelwright.provenance.secrets import expanded
from modelwright.tables.dialect import infer_numbers
from modelwright.tables.formats import EXTENSIONS, Part, format_of, read_part, unknown_extension
from modelwright.tables.locations import is_url, without_credentials
from modelwright.tables.normalise import normalise

_MAGIC = ("*", "?", "[")


def read_files(address: str) -> tuple[pl.DataFrame, str]:
    """Read a path, a URL, a folder or a glob.

    Several files are put below one another in the order of their names. They must be of one format and have
    the same columns; the order of columns is that of the first file.

    Raises
    ------
    DataError
        If nothing can be read there, or the files do not fit together.
    """
    source = without_credentials(address)
    names, read_bytes = _remote(address, source) if is_url(address) else _local(address, source)
    formats = {name: format_of(urlsplit(name).path if is_url(name) else name) for name in names}
    if len(names) == 1 and formats[names[0]] is None:
        raise unknown_extension(names[0], source=source)
    if len(set(formats.values())) > 1:
        listed = ", ".join(sorted({str(value or "unknown") for value in formats.values()}))
        raise DataError(
            f"The files are of several formats ({listed}), which may be one table stored twice.",
            where=source,
            mend="Give a glob that matches one format, such as folder/*.csv.",
        )
    parts: list[Part] = []
    for name in names:
        format_ = formats[name]
        if format_ is None:
            raise unknown_extension(name, source=source)
        shown = without_credentials(name)
        try:
            raw = read_bytes(name)
        except OSError as error:
            raise _unreadable(error, shown) from error
        parts.append(read_part(raw, format_, source=shown))
    return _combine(parts, source), source


def _unreadable(error: OSError, source: str) -> DataError:
    if isinstance(error, PermissionError):
        return DataError("Reading is not permitted.", where=source, mend="Give the user of this process the right to read it.")
    if isinstance(error, FileNotFoundError):
        return DataError("There is no such file.", where=source, mend="Check the address.")
    reason = error.strerror or type(error).__name__
    return DataError(f"The file cannot be read ({reason}).", where=source, mend="Check the address, the disk and the network.")


def _local(address: str, source: str) -> tuple[list[str], Callable[[str], bytes]]:
    path = Path(address).expanduser()
    if path.is_dir():
        try:
            entries = sorted(entry.name for entry in path.iterdir() if entry.is_file())
        except OSError as error:
            raise _unreadable(error, source) from error
        names = [str(path / name) for name in _readable(entries, source)]
    elif path.exists():
        names = [str(path)]
    elif any(sign in address for sign in _MAGIC):
        names = sorted(name for name in glob.glob(str(path), recursive=True) if os.path.isfile(name))
        if not names:
            raise DataError("No file matches.", where=source, mend="Check the folder and the pattern.")
    else:
        raise _missing(path, source)
    return names, lambda name: Path(name).read_bytes()


def _missing(path: Path, source: str) -> DataError:
    folder = path.parent
    if not folder.is_dir():
        return DataError("There is no such file.", where=source, mend=f"The folder {str(folder)!r} does not exist either.")
    try:
        others = [entry.name for entry in folder.iterdir()]
    except OSError:
        others = []
    lowered = {name.lower(): name for name in others}
    near = get_close_matches(path.name.lower(), lowered, n=3, cutoff=0.6)
    if near:
        return DataError("There is no such file.", where=source, mend=f"Did you mean {' or '.join(lowered[n] for n in near)}?")
    return DataError(
        "There is no such file.", where=source, mend=f"Its folder {str(folder)!r} holds no file of a similar name."
    )


def _readable(entries: list[str], source: str) -> list[str]:
    """Files of known extension; hidden ones and markers such as _SUCCESS are no part of the data."""
    names = [name for name in entries if not name.startswith((".", "_")) and format_of(name) is not None]
    if not names:
        raise DataError(
            f"The folder holds no file that can be read ({len(entries)} files in all).",
            where=source,
            mend=f"Known extensions: {', '.join(EXTENSIONS)}, each also with .gz or .zst.",
        )
    return names


def _remote(address: str, source: str) -> tuple[list[str], Callable[[str], bytes]]:
    import fsspec.core

    try:
        system, path = fsspec.core.url_to_fs(expanded(address, where=source))
    except ImportError as error:
        package = error.name or str(error)
        raise DataError(
            f"The store needs a package that is not installed: {package}.", where=source, mend=f"{error}"
        ) from error
    except ValueError as error:
        scheme = address.partition("://")[0]
        raise DataError(
            f"The scheme {scheme!r} is not known.", where=source, mend="Give a path, or a URL of a store or database."
        ) from error
    return _list_remote(system, path, address, source), system.cat_file


def _list_remote(system: Any, path: str, address: str, source: str) -> list[str]:
    if address.lower().startswith(("http://", "https://")):
        return [path]  # Web servers list no folders, and "?" starts a query there.
    try:
        if any(sign in path for sign in _MAGIC) and not system.exists(path):
            names = sorted(name for name in system.glob(path) if system.isfile(name))
            if not names:
                raise DataError("No file matches.", where=source, mend="Check the folder and the pattern.")
            return names
        if system.isdir(path):
            found = {posixpath.basename(entry["name"]): entry["name"] for entry in system.ls(path) if entry["type"] == "file"}
            return [found[name] for name in _readable(sorted(found), source)]
        if not system.exists(path):
            raise DataError("There is no such file.", where=source, mend="Check the address.")
    except OSError as error:
        raise _unreadable(error, source) from error
    return [path]


def _combine(parts: list[Part], source: str) -> pl.DataFrame:
    first = parts[0]
    for part in parts[1:]:
        missing = [name for name in first.frame.columns if name not in part.frame.columns]
        extra = [name for name in part.frame.columns if name not in first.frame.columns]
        if missing or extra:
            raise DataError(
                f"Its columns differ from those of {first.name}: missing {missing}, added {extra}.",
                where=part.name,
                mend="Give the files the same columns, or read them apart.",
            )
    if all(part.delimiter is not None for part in parts):
        # As text first: whether a column is a number is decided over all files at once.
        whole = pl.concat([part.frame.select(first.frame.columns) for part in parts])
        return normalise(
            infer_numbers(whole, decimal_comma=all(part.delimiter != "," for part in parts)) if whole.height else whole,
            source=source,
        )
    filled = [Part(part.name, normalise(part.frame, source=part.name)) for part in parts if part.frame.height]
    if not filled:
        return normalise(first.frame, source=source)
    return pl.DataFrame([_below_one_another(filled, name) for name in first.frame.columns])


def _below_one_another(parts: list[Part], name: str) -> pl.Series:
    columns = [part.frame[name] for part in parts]
    typed = {column.dtype: part.name for part, column in zip(parts, columns, strict=True) if column.null_count() < len(column)}
    if len(typed) > 1 and set(typed) <= {pl.Int64, pl.UInt64, pl.Float64}:
        # Through values where Int64 and UInt64 meet, because their common type would round.
        target: pl.DataType | type[pl.DataType] = pl.Float64 if pl.Float64 in typed else pl.Int128
    elif len(typed) > 1:
        described = ", ".join(f"{dtype} in {where}" for dtype, where in typed.items())
        raise DataError(
            f"The files hold different types ({described}).",
            where=f"column {name!r}",
            mend="Store the column with one type in every file.",
        )
    else:
        target = next(iter(typed), pl.String)
    joined = pl.concat([column.cast(target) if len(typed) and column.dtype != target else column for column in columns])
    return normalise(joined.to_frame(), source=name).to_series()
