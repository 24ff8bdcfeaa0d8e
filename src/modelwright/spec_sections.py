"""Readers of the sections of ``modelwright.toml`` that are not about training: fields of a struct from the keys of a table.

A field in seconds ends in ``_s`` and has a key without it, whose value may be written as "12h". Every refusal names its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from modelwright.errors import InvalidInputError, SpecError
from modelwright.spec_values import nearest

#: Reads one value that stands at a place.
Read = Callable[[Any, str], Any]
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S}
_CENTURY_S = 100 * 366 * DAY_S


def read_fields(kind: type[msgspec.Struct], given: Any, readers: Mapping[str, Read], where: str) -> dict[str, Any]:
    """The fields of a struct that a table gives.

    Parameters
    ----------
    kind : type
    given : mapping
        As it stands in the file.
    readers : mapping of str to callable
        By field.
    where : str
        What errors call the place.

    Raises
    ------
    SpecError
        For a key that there is not, with the nearest one, and for a value that its reader refuses.
    """
    if not isinstance(given, Mapping):
        raise SpecError(f"{given!r} is not a table of keys.", where=where, mend="Write each key in a line of its own.")
    fields = {field.removesuffix("_s"): field for field in kind.__struct_fields__ if field in readers}
    values = {}
    for key, value in given.items():
        if key not in fields:
            raise SpecError(f"There is no key {key!r}.", where=where, mend=nearest(str(key), tuple(fields)))
        place = f"{where}, key {key!r}"
        try:
            values[fields[key]] = readers[fields[key]](value, place)
        except InvalidInputError as error:
            inside = error.where.startswith(place)
            raise SpecError(error.what, where=error.where if inside else place, mend=error.mend) from None
    return values


def part(kind: type[msgspec.Struct], readers: Mapping[str, Read]) -> Read:
    """A table within a table."""

    def read(value: Any, where: str) -> Any:
        return kind(**read_fields(kind, value, readers, where))

    return read


def text(value: Any, where: str) -> str:
    """One text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise SpecError(f"{value!r} is not a text.", where=where, mend="Give one non-empty text.")
    return value.strip()


def flag(value: Any, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise SpecError(f"{value!r} is not true or false.", where=where, mend="Write true or false.")
    return value


def whole(low: int, *, none: bool = False) -> Read:
    """A whole number; None is written as "none", where it may be."""

    def read(value: Any, where: str) -> int | None:
        if none and value == "none":
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= 10**12:
            mend = f"Give one from {low} on" + (', or "none".' if none else ".")
            raise SpecError(f"{value!r} is not a whole number from {low} on.", where=where, mend=mend)
        return value

    return read


def number(low: float, high: float, what: str = "a number") -> Read:
    """A number in a range."""

    def read(value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise SpecError(f"{value!r} is not {what} from {low:g} to {high:g}.", where=where, mend="Give one in that range.")
        return float(value)

    return read


def length(*, none: bool = False, least: float = 0.0) -> Read:
    """A length of time, in seconds."""

    def read(value: Any, where: str) -> float | None:
        if none and value == "none":
            return None
        seconds = seconds_of(value)
        if seconds is None or not least <= seconds <= _CENTURY_S:
            mend = 'Give one such as "30m", "12h", "7d" or "2w"' + (', or "none".' if none else ".")
            raise SpecError(f"{value!r} is not a length of time.", where=where, mend=mend)
        return seconds

    return read


def seconds_of(value: Any) -> float | None:
    """Seconds of a length of time; a plain number is seconds already. None if it is none.

    Examples
    --------
    >>> [seconds_of(value) for value in ("90s", "1.5h", "2w", 30, "soon")]
    [90.0, 5400.0, 1209600.0, 30.0, None]
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)", str(value).strip().lower())
    return float(found[1]) * _UNITS[found[2]] if found else None


def length_of(seconds: float) -> str:
    """A length of time in words.

    Examples
    --------
    >>> [length_of(seconds) for seconds in (1.0, 90.0, 7200.0, 86400.0, 129600.0, 7776000.0)]
    ['1 second', '90 seconds', '2 hours', '1 day', '36 hours', '90 days']
    """
    for unit, name in ((DAY_S, "day"), (HOUR_S, "hour"), (60.0, "minute")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:,.0f} {name}{'' if seconds == unit else 's'}"
    return f"{seconds:,g} second{'' if seconds == 1 else 's'}"


def choice(words: Sequence[str]) -> Read:
    """One of a few words."""

    def read(value: Any, where: str) -> str:
        if value not in words:
            raise SpecError(f"{value!r} is not one of {', '.join(words)}.", where=where, mend=nearest(str(value), words))
        return str(value)

    return read


def choices(words: Sequence[str], what: str) -> Read:
    """Some of a few words, each once; a single one need not stand in a list."""

    def read(value: Any, where: str) -> tuple[str, ...]:
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, (list, tuple)):
            raise SpecError(f"{value!r} is not a list of {what}s.", where=where, mend=f"Choose from {', '.join(words)}.")
        for each in listed:
            if each not in words:
                raise SpecError(f"{each!r} is no {what}.", where=where, mend=nearest(str(each), words))
        return tuple(dict.fromkeys(listed))

    return read
