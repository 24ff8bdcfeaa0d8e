"""Reading the cells of one row without a table: what `tables.conform` says, for Python values.

Kept to the values that come by the thousand: numbers, booleans, usual spellings, dates in ISO form or in a format of
digits. Any other value raises `UnusualCellError`, and whoever reads the row asks `tables.conform`, so that rules and
errors stand in one place. What is read here equals what `conform` reads, to the bit.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from modelwright.errors import ModelwrightError
from modelwright.tables.cells import FALSE_WORDS, MARKS, TRUE_WORDS, declared_numbers
from modelwright.tables.dates import ISO_FORMATS
from modelwright.tables.schema import Column

#: A number or boolean as a float with NaN for missing; a datetime as microseconds since 1970; text; None for missing.
Cell = float | int | str | None
CellReader = Callable[[Any], Cell]

NAN = math.nan
#: What the Unicode standard calls white space, which is what polars strips; ``str.strip()`` takes four signs more.
_BLANKS = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,2})?")
_WHOLE = re.compile(r"-?\d+\.0")
_MARKS = frozenset(MARKS)
_ISO = re.compile(
    r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_MAYBE_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = dt.datetime(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)
_FIELDS = {
    **{"Y": "([1-9][0-9]{3})", "y": "([0-9]{2})", "B": "([A-Za-z]{3,9})", "z": "([+-][0-9]{2}:?[0-9]{2})"},
    **dict.fromkeys("mdHMS", "([0-9]{2})"),
}
_MONTH_NAMES = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"),
    "december",
)
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)} | {
    name[:3]: number for number, name in enumerate(_MONTH_NAMES, start=1)
}
_LARGEST_INTEGER = 2**63


class UnusualCellError(ModelwrightError):
    """The reading of a cell is left to `tables.conform`."""

    def __init__(self) -> None:
        super().__init__("An unusual cell.")


def plain(value: Any) -> Any:
    """A Python value for a NumPy scalar, None for pandas' missing markers; other values as they are."""
    if isinstance(value, np.generic):
        if isinstance(value, np.datetime64 | np.timedelta64):
            raise UnusualCellError
        return value.item()
    kind = type(value).__name__
    if kind in ("NAType", "NaTType"):
        return None
    if kind == "Timestamp" and isinstance(value, dt.datetime):
        moment = value.astimezone(dt.UTC) if value.tzinfo is not None else value
        return dt.datetime(moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.microsecond)
    raise UnusualCellError


def cell_reader(column: Column, *, inferred: bool) -> CellReader:
    """How the cells of one column are read.

    Parameters
    ----------
    column : Column
    inferred : bool
        Whether text in ISO 8601 form is taken for a date before the column is looked at, as `tables.read` does with
        values that have no declared type; cells of a polars table have one.

    Returns
    -------
    callable
        From a Python value to a `Cell`. Raises `UnusualCellError` for a value that only `conform` can judge.
    """
    if column.type == "number":
        return _number(column)
    if column.type == "boolean":
        return _boolean(column)
    if column.type == "datetime":
        return _datetime(column, inferred)
    return _label(column, inferred)


def _number(column: Column) -> CellReader:
    numbers, no_infinity, spelled = _declared(column)
    simple, thousands = column.decimal == ".", column.thousands

    def read(value: Any) -> Cell:
        kind = type(value)
        if kind is float:
            return NAN if value in numbers or (no_infinity and math.isinf(value)) else float(value)
        if kind is int:
            if not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
                raise UnusualCellError
            number = float(value)
            return NAN if number in numbers else number
        if value is None:
            return NAN
        if kind is bool:
            return 1.0 if value else 0.0
        if kind is str:
            text = value.strip(_BLANKS)
            if not text or text in spelled:
                return NAN
            if simple and _PLAIN_NUMBER.fullmatch(text) and not (thousands and thousands in text):
                number = float(text)
                return NAN if number in numbers else number
            if text.isascii() and text.lower() in _MARKS:
                return NAN
            raise UnusualCellError
        return read(plain(value))

    return read


def _boolean(column: Column) -> CellReader:
    numbers, no_infinity, spelled = _declared(column)
    false = [*column.false_values, *(word for word in FALSE_WORDS if word not in column.true_values)]
    true = [*column.true_values, *(word for word in TRUE_WORDS if word not in column.false_values)]
    meaning = dict.fromkeys(false, 0.0) | dict.fromkeys(true, 1.0)

    def read(value: Any) -> Cell:
        kind = type(value)
        if kind is bool:
            return 1.0 if value else 0.0
        if value is None:
            return NAN
        if kind is int or kind is float:
            if value in numbers or value != value or (no_infinity and kind is float and math.isinf(value)):
                return NAN
            if value >= 1:
                return 1.0
            if value == 0:
                return 0.0
            raise UnusualCellError
        if kind is str:
            text = value.strip(_BLANKS)
            if not text or text in spelled:
                return NAN
            if not text.isascii():
                raise UnusualCellError
            word = text.lower()
            if word in _MARKS:
                return NAN
            if word in meaning:
                return meaning[word]
            raise UnusualCellError
        return read(plain(value))

    return read


def _datetime(column: Column, inferred: bool) -> CellReader:
    _, _, spelled = _declared(column)
    parsers = _parsers(column.formats or ISO_FORMATS)

    def read(value: Any) -> Cell:
        kind = type(value)
        if kind is str:
            if inferred and _MAYBE_ISO.match(value):
                return _iso(value)
            text = value.strip(_BLANKS)
            if not text or text in spelled:
                return None
            if not text.isascii():
                raise UnusualCellError
            if text.lower() in _MARKS:
                return None
            for parse in parsers:
                moment = parse(text)
                if moment is not None:
                    return moment
            raise UnusualCellError
        if value is None:
            return None
        if kind is dt.datetime:
            moment = value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
            return (moment - _EPOCH) // _MICROSECOND
        if kind is dt.date:
            return (dt.datetime(value.year, value.month, value.day) - _EPOCH) // _MICROSECOND
        if kind is float and inferred and value != value:
            return None
        if kind in (float, int, bool):
            raise UnusualCellError
        return read(plain(value))

    return read


def _label(column: Column, inferred: bool) -> CellReader:
    numbers, no_infinity, spelled = _declared(column)

    def read(value: Any) -> Cell:
        kind = type(value)
        if kind is str:
            if inferred and _MAYBE_ISO.match(value):
                raise UnusualCellError
            text = value.strip(_BLANKS)
            if not text or text in spelled:
                return None
            # Only "7.0" is rewritten; see `tables.cells.label_text`.
            return text[:-2] if text.endswith(".0") and _WHOLE.fullmatch(text) else str(text)
        if value is None:
            return None
        if kind is bool:
            return "true" if value else "false"
        if kind is int:
            if not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
                raise UnusualCellError
            return None if float(value) in numbers else str(value)
        if kind is float:
            if value != value or value in numbers or (no_infinity and math.isinf(value)):
                return None
            if value.is_integer() and abs(value) < 2.0**53:
                return str(int(value))
            raise UnusualCellError
        if kind is dt.datetime or kind is dt.date:
            raise UnusualCellError
        return read(plain(value))

    return read


def _declared(column: Column) -> tuple[frozenset[float], bool, frozenset[str]]:
    """Declared missing values: finite numbers, whether infinities are among them, and spellings."""
    spelled: set[str] = set()
    for value in column.missing_values:
        spelled.add(str(value).strip())
        if isinstance(value, float) and value.is_integer():
            spelled.add(str(int(value)))
    numbers = declared_numbers(column.missing_values)
    finite = frozenset(number for number in numbers if math.isfinite(number))
    return finite, any(math.isinf(number) for number in numbers), frozenset(spelled)


def _iso(text: str) -> int:
    if not _ISO.fullmatch(text):
        raise UnusualCellError
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UnusualCellError from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return (moment - _EPOCH) // _MICROSECOND


def _parsers(formats: tuple[str, ...]) -> list[Callable[[str], int | None]]:
    """Parsers of the leading formats that are made of plain fields; the first other format ends the list."""
    parsers: list[Callable[[str], int | None]] = []
    for fmt in formats:
        parser = _parser(fmt)
        if parser is None:
            break
        parsers.append(parser)
    return parsers


def _parser(fmt: str) -> Callable[[str], int | None] | None:
    pieces = re.split(r"%(.)", fmt)
    names = pieces[1::2]
    given = set(names)
    known = given <= set(_FIELDS) and len(given) == len(names) and len(given & {"Y", "y"}) == len(given & {"m", "B"}) == 1
    if not known or ("S" in given and "M" not in given) or ("M" in given) != ("H" in given):
        return None
    parts = [_FIELDS[piece] if number % 2 else re.escape(piece) for number, piece in enumerate(pieces)]
    match = re.compile("".join(parts)).fullmatch
    year, short_year, month, month_name, day, hour, minute, second, zone = (
        names.index(name) + 1 if name in given else 0 for name in "YymBdHMSz"
    )

    def parse(text: str) -> int | None:
        found = match(text)
        if found is None:
            return None
        in_year = int(found[year]) if year else _century(int(found[short_year]))
        in_month = int(found[month]) if month else _MONTHS.get(found[month_name].lower(), 0)
        try:
            moment = dt.datetime(
                in_year,
                in_month,
                int(found[day]) if day else 1,
                int(found[hour]) if hour else 0,
                int(found[minute]) if minute else 0,
                int(found[second]) if second else 0,
            )
        except ValueError:
            return None
        since = (moment - _EPOCH) // _MICROSECOND
        return since - _offset(found[zone]) if zone else since

    return parse


def _century(year: int) -> int:
    """A year of two digits; 69 and 70, on which conventions differ, are left to polars."""
    if year in (69, 70):
        raise UnusualCellError
    return year + (2000 if year < 69 else 1900)


def _offset(zone: str) -> int:
    """Microseconds of "+05:30"."""
    size = int(zone[1:3]) * 60 + int(zone[-2:])
    return (-size if zone[0] == "-" else size) * 60_000_000
