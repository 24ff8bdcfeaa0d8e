"""How registered models are named: ``churn@champion``, ``churn/7``, or ``churn`` for its champion."""

from __future__ import annotations

import re

import msgspec

from modelwright.errors import InvalidInputError

CHAMPION = "champion"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MEND = "Use letters, digits, dots, dashes and underscores; begin with a letter or digit; 100 signs at most."


class Reference(msgspec.Struct, frozen=True):
    """A version of a model, by number or by alias."""

    name: str
    alias: str | None = None
    number: int | None = None

    def __str__(self) -> str:
        return f"{self.name}/{self.number}" if self.number is not None else f"{self.name}@{self.alias}"


def read_reference(text: str) -> Reference:
    """Read a reference.

    Raises
    ------
    InvalidInputError
        If it is none.

    Examples
    --------
    >>> [str(read_reference(text)) for text in ("churn", "churn@challenger", "churn/7")]
    ['churn@champion', 'churn@challenger', 'churn/7']
    """
    name, at, alias = text.partition("@")
    if at:
        return Reference(checked_name(name, "model"), alias=checked_name(alias, "alias"))
    name, slash, number = text.partition("/")
    if slash:
        if not re.fullmatch(r"[1-9][0-9]{0,8}", number):
            raise InvalidInputError(f"{number!r} is no version of a model.", where=text, mend="Write it as churn/7.")
        return Reference(checked_name(name, "model"), number=int(number))
    return Reference(checked_name(name, "model"), alias=CHAMPION)


def is_reference(text: str) -> bool:
    """Whether the text can only mean a registered model, since it names an alias or a number."""
    name, sign, rest = text.partition("@") if "@" in text else text.partition("/")
    return bool(sign and _NAME.fullmatch(name) and (_NAME.fullmatch(rest) if sign == "@" else re.fullmatch(r"[1-9]\d*", rest)))


def checked_name(name: str, what: str) -> str:
    """The name of a model or an alias, if it is one.

    Raises
    ------
    InvalidInputError
    """
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{name[:120]!r} is no name.", where=what, mend=_MEND)
    return name
