"""What is run: a script, a function of a file, or a function of a module; and how arguments become params."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.jobs.values import guessed


class Target(msgspec.Struct, frozen=True):
    """A script (``function`` is empty), or a function of a file or of a module."""

    place: str
    function: str = ""

    @property
    def is_file(self) -> bool:
        """Whether the place is a file rather than the name of a module."""
        return self.place.endswith(".py") or not self.function

    @property
    def name(self) -> str:
        """What a run of it is called."""
        return self.function or Path(self.place).stem


def target_of(text: str) -> Target:
    """Read "script.py", "job.py:train" or "package.module:train".

    Raises
    ------
    InvalidInputError
        If it is none of these, or there is no such file.
    """
    place, colon, function = text.rpartition(":") if not Path(text).is_file() else (text, "", "")
    if not colon:
        place, function = text, ""
    target = Target(place, function)
    if colon and not function.isidentifier():
        raise InvalidInputError(f"{function!r} is no name of a function.", where=text, mend="Write job.py:train.")
    if target.is_file and not Path(place).is_file():
        mend = "Name a Python file, job.py:function or module:function."
        raise InvalidInputError(f"There is no file {place!r}.", where=text, mend=mend)
    return target


def params_of(arguments: Sequence[str]) -> dict[str, Any]:
    """Params from the arguments of a script: ``--name value``, ``--name=value``, ``--flag``, and "args" for the rest.

    An option given twice becomes a list; dashes within names become underscores, so that filters can name them.

    Examples
    --------
    >>> params_of(["rows.csv", "--lr", "0.1", "--batch-size=32", "--fast"])
    {'args': ['rows.csv'], 'lr': 0.1, 'batch_size': 32, 'fast': True}
    """
    return {name: _guess(value) for name, value in texts_of(arguments).items()}


def texts_of(arguments: Sequence[str]) -> dict[str, Any]:
    """Like `params_of`, but values stay the texts that they are; flags are True."""
    found: dict[str, Any] = {}
    rest: list[str] = []
    position = 0
    while position < len(arguments):
        word = arguments[position]
        position += 1
        if word == "--":
            rest += arguments[position:]
            break
        if not _is_option(word):
            rest.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        given: Any = value
        if not equals:
            given = True
            if position < len(arguments) and not _is_option(arguments[position]) and arguments[position] != "--":
                given = arguments[position]
                position += 1
        name = name.replace("-", "_")
        if name in found:
            given = [*(found[name] if isinstance(found[name], list) else [found[name]]), given]
        found[name] = given
    return ({"args": rest} if rest else {}) | found


def arguments_of(params: Mapping[str, Any]) -> list[str]:
    """Arguments of a script from params: True becomes a flag, False and None are left out, a list is repeated.

    Examples
    --------
    >>> arguments_of({"lr": 0.1, "fast": True, "layers": [64, 32], "slow": False})
    ['--lr=0.1', '--fast', '--layers=64', '--layers=32']
    """
    words: list[str] = []
    for name, value in params.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if each is True:
                words.append(f"--{name}")
            elif each is not False and each is not None:
                words.append(f"--{name}={each}")
    return words


def _is_option(word: str) -> bool:
    """A dash and a name; "-0.1" and "-" are values."""
    if len(word) < 2 or word[0] != "-" or word == "--":
        return False
    try:
        float(word)
    except ValueError:
        return True
    return False


def arguments_for(function: Callable[..., Any], texts: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Typed arguments of a function from what the command line gave, by its annotations and defaults.

    Raises
    ------
    InvalidInputError
        If an argument is missing, unknown, or not of its type.
    """
    signature = inspect.signature(function)
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # annotations that cannot be resolved say nothing
        hints = {}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    named = {n: p for n, p in signature.parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    unknown = [name for name in texts if name not in named and not takes_any]
    if unknown:
        raise InvalidInputError(
            f"The function takes no {unknown[0]!r}." if unknown[0] != "args" else "A function takes named arguments only.",
            where=where,
            mend=f"It takes: {', '.join(named) or 'nothing'}. Write --name value.",
        )
    missing = [name for name, p in named.items() if p.default is p.empty and name not in texts]
    if missing:
        raise InvalidInputError(
            f"The argument {missing[0]!r} is missing.", where=where, mend=f"Add --{missing[0].replace('_', '-')} VALUE."
        )
    return {name: _typed(name, value, named.get(name), hints.get(name), where) for name, value in texts.items()}


def _typed(name: str, value: Any, parameter: inspect.Parameter | None, hint: Any, where: str) -> Any:
    if hint is None and parameter is not None and parameter.default is not parameter.empty and parameter.default is not None:
        hint = type(parameter.default)
    if hint is None or hint is Any:
        return _guess(value)
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        with contextlib.suppress(msgspec.DecodeError):  # a text may merely begin so
            value = msgspec.json.decode(value)
    try:
        for candidate in (value, [value]):
            with contextlib.suppress(msgspec.ValidationError):
                return msgspec.convert(candidate, type=hint, strict=False, dec_hook=_made)
    except (TypeError, NotImplementedError):  # a type of which nobody knows how it is written
        return _guess(value)
    raise InvalidInputError(
        f"{value!r} is not of the type {getattr(hint, '__name__', hint)}.",
        where=f"{where}, argument {name!r}",
        mend="Give one that is.",
    )


def _made(kind: type, value: Any) -> Any:
    if issubclass(kind, PurePath):
        return kind(value)
    raise NotImplementedError


def _guess(value: Any) -> Any:
    if isinstance(value, list):
        return [_guess(each) for each in value]
    return guessed(value) if isinstance(value, str) else value
