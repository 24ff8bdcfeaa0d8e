"""What the name of a column hints at, and which name was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_ID_WORDS = frozenset(
    {
        "id",
        "ids",
        "key",
        "uuid",
        "guid",
        "index",
        "idx",
        "no",
        "nr",
        "num",
        "number",
        "serial",
        "rowid",
        "rownum",
        "pid",
        "nbr",
        "sku",
    }
)
_CODE_WORDS = frozenset(
    {"zip", "zipcode", "postcode", "postalcode", "postal", "plz", "code", "codes", "type", "class", "cat", "category"}
    | {"kind", "fips", "sic", "naics", "icd", "channel"}
)
_CODE_ENDINGS = ("code", "zip", "category", "type", "class")
_TIME_WORDS = frozenset(
    {"time", "timestamp", "ts", "date", "datetime", "dt", "year", "yr", "month", "mnth", "week", "day", "hour", "hr"}
    | {"minute", "second", "epoch", "quarter", "period"}
)


def words(name: str) -> list[str]:
    """Lower-case words of a column name, split at signs, digits and camel case: "customerID" is customer, id."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    spaced = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", spaced)
    return [word.lower() for word in re.split(r"[^A-Za-zÀ-ÿ]+", spaced) if word]


def hints_at_id(name: str) -> bool:
    """Whether the name ends as identifiers do, or is the nameless first column that spreadsheets and pandas write."""
    parts = words(name)
    if not parts or name.startswith("Unnamed: ") or name == "column_1":
        return True
    return parts[-1] in _ID_WORDS or parts[-1].endswith(("uuid", "guid")) or (parts[0] == "id" and len(parts) > 1)


def hints_at_code(name: str) -> bool:
    """Whether the name says that its integers name something rather than measure it."""
    parts = words(name)
    if not parts:
        return False
    return parts[-1] in _CODE_WORDS or parts[-1].endswith(_CODE_ENDINGS) or parts[0] in {"zip", "zipcode", "postcode"}


def hints_at_reference(name: str) -> bool:
    """Whether the name ends in "id": its integers refer to something, and may repeat."""
    parts = words(name)
    return bool(parts) and parts[-1] in {"id", "ids", "key", "uuid", "guid"}


def hints_at_time(name: str) -> bool:
    """Whether the name speaks of a date or a time."""
    return any(part in _TIME_WORDS for part in words(name))


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence naming the columns that come nearest to ``name``."""
    names = list(known)
    if not names:
        return "The table has no columns."
    lowered = {n.lower(): n for n in reversed(names)}
    near = [lowered[match] for match in get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)]
    if near:
        return f"Did you mean {' or '.join(map(repr, near))}?"
    shown = ", ".join(map(repr, names[:12]))
    return f"Columns: {shown}{f' and {len(names) - 12} more' if len(names) > 12 else ''}."
