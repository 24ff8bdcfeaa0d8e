"""Delimited text: its encoding, its delimiter, its rows, and which of its columns are numbers.

CSV has no types and no agreed form, so everything here is inferred from the whole file, never from its first
rows. Polars parses; Python's slower reader takes over for files that polars refuses and to name the row that
is wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from modelwright.errors import DataError
from modelwright.tables.normalise import clean_names

if TYPE_CHECKING:
    import _csv

_DELIMITERS = (",", ";", "\t", "|")
#: Records looked at to find the delimiter.
_SAMPLE_RECORDS = 100
_SAMPLE_CHARACTERS = 200_000
#: Cells looked at before a whole column is tried as numbers; one that is no number settles it.
_SAMPLE_CELLS = 200
#: Bytes whose quotes are counted at a time; they fit a processor's cache.
_COUNTED_BYTES = 1 << 20
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NOT_FINITE = r"[+-]?(?:inf|infinity|nan)"
_POINT_NUMBER = re.compile(rf"\s*(?:{_NUMBER}|{_NOT_FINITE})\s*", re.IGNORECASE)
_COMMA_NUMBER = re.compile(r"\s*[+-]?(?:[0-9.]+,?[0-9]*|,[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_ANY_COMMA = r"^\s*[+-]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+)?(?:,[0-9]*)?(?:[eE][+-]?[0-9]+)?\s*$"
_GROUPED_BY_POINTS = r"^\s*[+-]?[0-9]{1,3}(?:\.[0-9]{3})*\s*$"
_LEADING_ZERO = r"^\s*[+-]?0[0-9]"
_LONG_INTEGER = r"^\s*[+-]?[0-9]{19,}\s*$"
_BOOLEANS = frozenset({"true", "false", "True", "False", "TRUE", "FALSE"})


def decode(raw: bytes, *, source: str) -> bytes:
    """Bytes of a text file in any usual encoding, as UTF-8 with ``\\n`` at the ends of lines.

    A byte order mark decides; without one, UTF-8 is tried, then Windows-1252, then Latin-1.

    Raises
    ------
    DataError
        If the bytes are no text.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            raw = raw.decode("utf-16").encode()
        except UnicodeError as error:
            raise DataError(
                "The file starts as UTF-16 text but does not go on so.",
                where=source,
                mend="Save it as UTF-8; it may have been cut off.",
            ) from error
    else:
        raw = raw.removeprefix(codecs.BOM_UTF8)
        if b"\x00" in raw:
            raise DataError(
                "The file holds zero bytes, so it is not text in UTF-8, UTF-16 with a byte order mark, or Windows-1252.",
                where=source,
                mend="Save it as UTF-8, or give it the extension of its real format.",
            )
        if not _is_utf8(raw):
            try:
                raw = raw.decode("cp1252").encode()
            except UnicodeDecodeError:
                raw = raw.decode("latin-1").encode()
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
        if b"\n" not in raw:
            raw = raw.replace(b"\r", b"\n")
    return raw


def _is_utf8(raw: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    step = 1 << 24
    try:
        for start in range(0, len(raw), step):
            decoder.decode(raw[start : start + step], final=start + step >= len(raw))
    except UnicodeDecodeError:
        return False
    return True


def find_delimiter(raw: bytes) -> str:
    """The delimiter under which the first records have the header's number of fields; a tie goes to more fields."""
    text = raw[:_SAMPLE_CHARACTERS].decode("utf-8", errors="ignore")
    cut_off = len(raw) > _SAMPLE_CHARACTERS
    best, best_score = "", (0.0, 0)
    for delimiter in _DELIMITERS:
        counts = [len(row) for row in itertools.islice(_python_rows(text, delimiter), _SAMPLE_RECORDS) if row]
        if cut_off and 1 < len(counts) < _SAMPLE_RECORDS:
            counts.pop()
        if not counts or counts[0] < 2:
            continue
        score = (sum(count == counts[0] for count in counts) / len(counts), counts[0])
        if score > best_score:
            best, best_score = delimiter, score
    # A file of one column: with a delimiter that it does not contain, commas inside its cells stay in them.
    return best or next((delimiter for delimiter in "\t|;," if delimiter not in text), ",")


def parse(raw: bytes, *, source: str) -> tuple[pl.DataFrame, str]:
    """Rows of a delimited file, every cell as text, and the delimiter.

    Parameters
    ----------
    raw : bytes
        UTF-8 text from `decode`.
    source : str
        Named in errors.

    Raises
    ------
    DataError
        If the file is empty, names a column twice, or has a row with more or fewer fields than the header.
    """
    if not raw.strip():
        raise DataError(
            "The file is empty.", where=source, mend="Give a file with column names in its first line and rows below."
        )
    raw = raw.lstrip(b"\n")
    delimiter = find_delimiter(raw)
    header = next(_python_rows(raw[: 1 << 20].decode("utf-8", errors="ignore"), delimiter))
    names = clean_names(header, source=source)
    try:
        frame = pl.read_csv(raw, separator=delimiter, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError):
        return _parse_in_python(raw, delimiter, names, source=source), delimiter
    if frame.width != len(names) or (len(names) > 1 and not _rows_are_whole(raw, frame, delimiter)):
        return _parse_in_python(raw, delimiter, names, source=source), delimiter
    frame.columns = names
    return frame, delimiter


def _rows_are_whole(raw: bytes, frame: pl.DataFrame, delimiter: str) -> bool:
    """Whether no row is short or blank; polars fills short rows with nulls, and refuses long ones itself.

    A short row has no last cell. Only if such cells exist are the delimiters outside quotes counted: Python's
    reader, which would find the row, took 11 s for 130 MB, the count takes a fraction of a second.
    """
    if not frame[:, -1].null_count():
        return True
    expected = (frame.width - 1) * (frame.height + 1)
    if b'"' not in raw:
        return raw.count(delimiter.encode()) == expected
    content = np.frombuffer(raw, dtype=np.uint8)
    found, quotes = 0, 0
    for start in range(0, len(content), _COUNTED_BYTES):
        block = content[start : start + _COUNTED_BYTES]
        # An odd number of quotes so far means inside; the sum may wrap around, which keeps its parity.
        quotes_so_far = np.cumsum(block == ord('"'), dtype=np.uint8) + np.uint8(quotes)
        found += int(np.count_nonzero((block == ord(delimiter)) & (quotes_so_far & 1 == 0)))
        quotes = int(quotes_so_far[-1]) & 1
    return found == expected


def _python_rows(text: str, delimiter: str, *, strict: bool = False) -> _csv.Reader:
    # The default limit of 128 KiB a field would refuse long documents.
    csv.field_size_limit(2**31 - 1)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)


def _parse_in_python(raw: bytes, delimiter: str, names: list[str], *, source: str) -> pl.DataFrame:
    text = raw.decode()
    try:
        rows = _whole_rows(_python_rows(text, delimiter, strict=True), delimiter, len(names), source=source)
    except csv.Error:
        # A quoted cell with something behind its closing quote; the lenient reader appends it.
        rows = _whole_rows(_python_rows(text, delimiter), delimiter, len(names), source=source)
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pl.DataFrame([pl.Series(name, cells, dtype=pl.String) for name, cells in zip(names, columns, strict=True)])


def _whole_rows(reader: _csv.Reader, delimiter: str, n_columns: int, *, source: str) -> list[list[str]]:
    """Rows below the header; blank lines are none, except as gaps of a single column."""
    next(reader)
    rows: list[list[str]] = []
    last_line = reader.line_num
    try:
        for row in reader:
            if len(row) == n_columns:
                rows.append(row)
            elif not row or (len(row) == 1 and not row[0].strip()):
                if n_columns == 1:
                    rows.append([""])
            else:
                shown = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}[delimiter]
                raise DataError(
                    f"The row has {len(row)} fields, but the header names {n_columns} columns (delimiter: {shown}).",
                    where=f"{source}, line {reader.line_num}",
                    mend="Quote cells that contain the delimiter or a line break, and give each row every field.",
                )
            last_line = reader.line_num
    except csv.Error as error:
        if "end of data" not in str(error):
            raise
        raise DataError(
            "A quoted cell is never closed, so it swallows the rest of the file.",
            where=f"{source}, line {last_line + 1}",
            mend='Close the quote, or write a quote inside a quoted cell twice ("").',
        ) from error
    return rows


def infer_numbers(frame: pl.DataFrame, *, decimal_comma: bool) -> pl.DataFrame:
    """Turn text columns into numbers or booleans where every cell that is not empty is one.

    Integers with leading zeros ("00501") and those too long for 64 bits stay text: they are codes, and a number
    would lose what tells them apart.

    Parameters
    ----------
    frame : polars.DataFrame
        Text columns.
    decimal_comma : bool
        Whether a comma may be the decimal sign; False for files delimited by commas.
    """
    texts = [series.set(series == "", None) if (series == "").any() else series for series in frame.iter_columns()]
    columns = [_point_numbers(series) for series in texts]
    if decimal_comma:
        commas = [_comma_numbers(series) if series.dtype == pl.String else None for series in columns]
        if any(found is not None for found in commas):
            # In a file that writes 1,5 a column of 1.234 and 12.500 counts thousands.
            for i, (text, found) in enumerate(zip(texts, commas, strict=True)):
                if found is not None:
                    columns[i] = found
                elif columns[i].dtype == pl.Float64 and text.str.contains(_GROUPED_BY_POINTS).all():
                    columns[i] = text.str.replace_all(".", "", literal=True).str.strip_chars().cast(pl.Int64)
    return pl.DataFrame(columns)


def _sample(series: pl.Series) -> list[str]:
    cells = series.head(_SAMPLE_CELLS * 5).drop_nulls()
    return (cells if len(cells) else series.drop_nulls()).head(_SAMPLE_CELLS).to_list()


def _point_numbers(series: pl.Series) -> pl.Series:
    sample = _sample(series)
    if not sample:
        return series
    if sample[0] in _BOOLEANS:
        lowered = series.str.to_lowercase()
        if lowered.is_in(["true", "false"]).all() and series.is_in(list(_BOOLEANS)).all():
            return lowered == "true"
        return series
    if not all(_POINT_NUMBER.fullmatch(cell) for cell in sample) or series.str.contains(_LEADING_ZERO).any():
        return series
    stripped = series.str.strip_chars()
    for dtype in (pl.Int64, pl.UInt64):
        integers = stripped.cast(dtype, strict=False)
        if integers.null_count() == series.null_count():
            return integers
    numbers = stripped.cast(pl.Float64, strict=False)
    if numbers.null_count() > series.null_count() or not numbers.is_finite().any():
        return series
    return series if series.str.contains(_LONG_INTEGER).any() else numbers


def _comma_numbers(series: pl.Series) -> pl.Series | None:
    sample = _sample(series)
    if not sample or not all(_COMMA_NUMBER.fullmatch(cell) for cell in sample):
        return None
    if not series.str.contains(",", literal=True).any() or not series.str.contains(_ANY_COMMA).all():
        return None
    plain = series.str.strip_chars().str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    numbers = plain.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == series.null_count() else None
