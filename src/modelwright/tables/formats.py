"""What one file holds, by its extension and its bytes: delimited text, Parquet, Arrow, JSON, and their compression."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import polars as pl

from modelwright.errors import DataError
from modelwright.tables.dialect import decode, parse
from modelwright.tables.memory import from_memory

Format = Literal["delimited", "parquet", "arrow", "json lines", "json"]
#: Extensions that are read, each also followed by .gz or .zst.
EXTENSIONS: dict[str, Format] = {
    ".csv": "delimited",
    ".tsv": "delimited",
    ".tab": "delimited",
    ".txt": "delimited",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".jsonl": "json lines",
    ".ndjson": "json lines",
    ".json": "json",
}
_COMPRESSIONS = (".gz", ".zst", ".zstd")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
#: An integer that polars would round to a float when it reads JSON.
_LONG_INTEGER = re.compile(rb"[0-9]{19}")


@dataclass(frozen=True)
class Part:
    """The rows of one file; ``delimiter`` is given where every column is still text."""

    name: str
    frame: pl.DataFrame
    delimiter: str | None = None


def format_of(name: str) -> Format | None:
    """Format by extension, or None if it is not among `EXTENSIONS`."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name.replace("\\", "/")).suffixes]
    if suffixes and suffixes[-1] in _COMPRESSIONS:
        suffixes.pop()
    return EXTENSIONS.get(suffixes[-1]) if suffixes else None


def unknown_extension(name: str, *, source: str) -> DataError:
    """The refusal of a file whose format its name does not tell."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in (".db", ".sqlite", ".sqlite3"):
        mend = f'Read a database by its URL and a query: "sqlite:///{name}", query="table_name".'
    elif suffix in (".xlsx", ".xls", ".ods"):
        mend = "Save the sheet as CSV."
    else:
        mend = f"Known extensions: {', '.join(EXTENSIONS)}, each also with .gz or .zst."
    return DataError(
        f"The extension {suffix!r} is not known." if suffix else "The file has no extension.", where=source, mend=mend
    )


def read_part(raw: bytes, format_: Format, *, source: str) -> Part:
    """Read one file's bytes.

    Raises
    ------
    DataError
        If the bytes are empty, damaged, or of another format than the name says.
    """
    if not raw:
        raise DataError("The file is empty.", where=source, mend="Give a file with column names and rows.")
    raw = _decompress(raw, text=format_ not in ("parquet", "arrow"), source=source)
    if format_ == "delimited":
        if raw[:4] == b"PAR1":
            raise _mismatch("Parquet", source)
        frame, delimiter = parse(decode(raw, source=source), source=source)
        return Part(source, frame, delimiter)
    if format_ == "parquet":
        return Part(source, _read_binary(raw, "Parquet", source))
    if format_ == "arrow":
        return Part(source, _read_binary(raw, "Arrow", source))
    return Part(source, _read_json(decode(raw, source=source), source=source))


def _mismatch(real: str, source: str) -> DataError:
    return DataError(f"The file is {real}, not what its extension says.", where=source, mend="Give it the matching extension.")


def _decompress(raw: bytes, *, text: bool, source: str) -> bytes:
    """By the first bytes rather than the name: downloads are renamed, and servers unpack on the way."""
    try:
        if raw[:2] == _GZIP:
            return gzip.decompress(raw)
        if raw[:4] == _ZSTD:
            return _decompress_zstd(raw, text=text, source=source)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            "The compressed file is damaged or cut off.", where=source, mend="Copy or compress it again."
        ) from error
    return raw


def _decompress_zstd(raw: bytes, *, text: bool, source: str) -> bytes:
    for module in ("compression.zstd", "backports.zstd"):
        try:
            zstd = importlib.import_module(module)
        except ImportError:
            continue
        try:
            return bytes(zstd.decompress(raw))
        except zstd.ZstdError as error:
            raise EOFError(str(error)) from error
    # Python gains Zstandard in 3.14. Until then polars unpacks it, though only line by line and only UTF-8.
    if not text:
        raise DataError(
            "Python before 3.14 cannot unpack this format from Zstandard.",
            where=source,
            mend="Store it without .zst (Parquet and Arrow compress inside), or pip install backports.zstd.",
        )
    try:
        lines = pl.read_lines(raw)["line"]
    except pl.exceptions.PolarsError as error:
        if "utf8" not in str(error).lower().replace("-", ""):
            raise EOFError(str(error)) from error
        raise DataError(
            "Python before 3.14 can unpack Zstandard files in UTF-8 only.",
            where=source,
            mend="Save the text as UTF-8 or compress it with gzip, or pip install backports.zstd.",
        ) from error
    return bytes(lines.str.join("\n").cast(pl.Binary).item()) + b"\n"


def _read_binary(raw: bytes, kind: Literal["Parquet", "Arrow"], source: str) -> pl.DataFrame:
    try:
        if kind == "Parquet":
            return pl.read_parquet(io.BytesIO(raw))
        # Files start with a magic word, streams do not.
        return pl.read_ipc(io.BytesIO(raw)) if raw[:6] == b"ARROW1" else pl.read_ipc_stream(io.BytesIO(raw))
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise DataError(
            f"The file is no readable {kind} file: {str(error).splitlines()[0][:200]}",
            where=source,
            mend="It may be cut off or of another format; write or copy it again.",
        ) from error


def _read_json(raw: bytes, *, source: str) -> pl.DataFrame:
    """JSON lines, an array of records, or an object of columns."""
    raw = raw.strip()
    if not raw:
        raise DataError("The file is empty.", where=source, mend="Give one record a line, or an array of records.")
    is_array = raw[:1] == b"["
    if not _LONG_INTEGER.search(raw):
        try:
            if is_array:
                return pl.read_json(io.BytesIO(raw), infer_schema_length=None)
            return pl.read_ndjson(io.BytesIO(raw), infer_schema_length=None)
        except (pl.exceptions.PolarsError, OSError, ValueError):
            pass  # Python's reader takes NaN, values of mixed types and pretty-printed objects, and knows the line.
    records = _python_json(raw.decode(), source=source)
    try:
        return from_memory(records)[0]
    except DataError as error:
        raise DataError(error.what, where=f"{source}, {error.where}", mend=error.mend) from error


def _python_json(text: str, *, source: str) -> object:
    if text[0] != "[":
        records = []
        try:
            number = 0
            for line in text.split("\n"):
                number += 1
                if line.strip():
                    records.append(json.loads(line))
        except json.JSONDecodeError as error:
            failed: tuple[int, json.JSONDecodeError] = (number, error)
        else:
            if len(records) == 1 and isinstance(records[0], dict) and _holds_columns(records[0]):
                return records[0]
            return records
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        at, cause = (error.lineno, error) if text[0] == "[" else failed
        raise DataError(
            f"The JSON cannot be read: {cause.msg}.",
            where=f"{source}, line {at}",
            mend="Write one record a line, or one array of records.",
        ) from error
    if isinstance(document, dict) and not _holds_columns(document):
        raise DataError(
            "The JSON is one object, not a table.",
            where=source,
            mend="Write one record a line, an array of records, or an object of column name and values.",
        )
    return document


def _holds_columns(document: dict[str, object]) -> bool:
    return bool(document) and all(isinstance(values, list) for values in document.values())
