"""Secrets by reference: ``${NAME}`` and ``${file:/path}`` are read at the moment of use, and their values never written.

Whoever opens an address calls `expanded`; the spec and every record keep the reference. Whoever writes a file or a line
of the database passes it through `redacted`, which knows every value that was expanded in this process, passwords that
came in plain (`remember`), and the values of environment variables with telling names. What shows by its form alone is
found by `masking`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.masking import MASK, REFERENCE, looks_secret, masked, masked_code

T = TypeVar("T")

#: Shorter values of variables with telling names are not looked for: they would be found in ordinary words.
MIN_LENGTH = 8
#: Values behind references are secrets by the user's own word: looked for from here on, below `MIN_LENGTH` as whole words.
_MIN_REFERENCE_LENGTH = 4
#: A line of a longer secret, such as a key file, that is looked for by itself.
_MIN_LINE = 16

#: Values that must not be written, of this process: what is opened deep inside must be known wherever files are written.
_KNOWN: set[str] = set()


def remember(value: str | None) -> None:
    """Never write this value from now on."""
    if value and len(value) >= _MIN_REFERENCE_LENGTH and value != MASK:
        _KNOWN.add(value)


def expanded(text: str, *, where: str = "") -> str:
    """The text of a query or an address with what its references stand for; call it at the moment of use only.

    In an address, what stands in the place of user or password is percent-encoded, so that any sign may occur in it.
    User, host and port of an address, and the path of a database, are not taken for secrets unless their variable has a
    telling name; every other value is.

    Parameters
    ----------
    text : str
        ``$${`` stands for ``${`` itself.
    where : str, default=""
        What error messages call the place.

    Raises
    ------
    InvalidInputError
        If a variable is not set, or a file cannot be read.
    """
    if "${" not in text:
        return text
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.\-]*://", text)
    authority = _authority(text, scheme.end()) if scheme else (0, 0, 0)
    file_store = scheme is not None and scheme[0].partition("://")[0].lower() in (
        "http",
        "https",
        "s3",
        "gs",
        "gcs",
        "abfs",
        "az",
    )

    def value(match: re.Match[str]) -> str:
        found = _value_of(match[1], where or text)
        start, user_ends, ends = authority
        in_user = start <= match.start() < user_ends
        in_password = in_user and ":" in REFERENCE.sub("", text[start : match.start()])
        in_host = user_ends <= match.start() < ends
        in_path = ends > 0 and match.start() >= ends and "?" not in REFERENCE.sub("", text[ends : match.start()])
        shown = scheme is not None and ((in_user and not in_password) or in_host or (in_path and not file_store))
        if not shown or match[1].startswith("file:") or looks_secret(match[1]):
            remember(found)
        return quote(found, safe="") if in_user else found

    return REFERENCE.sub(value, text).replace("$${", "${")


def redacted(text: str) -> str:
    """Text as it may be written."""
    return _hidden(masked(text), _pattern(secret_values()))


def redacted_code(text: str) -> str:
    """Code, settings, a traceback as it may be written: literals under telling names are masked too."""
    return _hidden(masked_code(text), _pattern(secret_values()))


def redacted_value(value: T) -> T:
    """A struct, or plain values, with every text in it as it may be written; the same object where nothing is to hide.

    Raises
    ------
    msgspec.ValidationError
        If a secret is the value of a field that has only a few allowed words.
    """
    pattern, changed = _pattern(secret_values()), False

    def change(text: str) -> str:
        nonlocal changed
        shown = _hidden(masked(text), pattern)
        changed = changed or shown != text
        return shown

    plain = _walked(msgspec.to_builtins(value, enc_hook=str), change)
    if not changed:
        return value
    return msgspec.convert(plain, type(value)) if isinstance(value, msgspec.Struct) else plain


def secret_values(environment: Mapping[str, str] | None = None) -> set[str]:
    """Every value that must not be written, as far as this process knows."""
    found = set(_KNOWN)
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= MIN_LENGTH and looks_secret(name) and not _is_path(value):
            found.add(value)
    return found


def _is_path(value: str) -> bool:
    """A variable that names an existing file is a reference to a secret, not one."""
    return value.startswith(("/", "~")) and len(value) < 1000 and "\n" not in value and Path(value).expanduser().exists()


def _pattern(values: set[str]) -> re.Pattern[str] | None:
    forms: set[str] = set()
    for value in values:
        stripped = value.strip()
        lines = [line.strip() for line in stripped.splitlines()]
        forms.update({value, stripped, *([line for line in lines if len(line) >= _MIN_LINE] if len(lines) > 1 else [])})
    forms |= {quote(form, safe="") for form in forms} | {repr(form)[1:-1] for form in forms}
    wanted = sorted((form for form in forms if len(form) >= _MIN_REFERENCE_LENGTH), key=lambda form: (-len(form), form))
    if not wanted:
        return None
    alternatives = [
        re.escape(form) if len(form) >= MIN_LENGTH else rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])" for form in wanted
    ]
    return re.compile("|".join(alternatives))


def _hidden(text: str, pattern: re.Pattern[str] | None) -> str:
    return text if pattern is None else pattern.sub(MASK, text)


def _walked(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_walked(key, change): _walked(each, change) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_walked(each, change) for each in value]
    return value


def _authority(text: str, start: int) -> tuple[int, int, int]:
    """Where user and password begin and end, and where the host ends; references count as one sign each."""
    plain = REFERENCE.sub(lambda match: "x" * len(match[0]), text)
    at = re.match(r"[^\s]*@", plain[start:])
    end_of_user = start + at.end() - 1 if at else start
    if at and re.match(r"[^@:/?#]*(?::\d+)?[/?#]", plain[start:]):
        end_of_user = start  # an "@" of the path
    after = re.search(r"[/?#]", plain[end_of_user:])
    return start, end_of_user, end_of_user + after.start() if after else len(text)


def _value_of(name: str, where: str) -> str:
    if name.startswith("file:"):
        path = Path(name.removeprefix("file:")).expanduser()
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise InvalidInputError(
                f"The file {str(path)!r} that ${{{name}}} refers to cannot be read: {reason}.",
                where=masked(where),
                mend="Check its path and rights.",
            ) from None
    found = os.environ.get(name)
    if found is None:
        raise InvalidInputError(
            f"The environment variable {name!r} that ${{{name}}} refers to is not set.",
            where=masked(where),
            mend=f"Set it (export {name}=…), or write $${{{name}}} if the text itself is meant.",
        )
    return found
