"""What may be logged: numbers for metrics, plain values for params, text for names.

JSON knows no NaN and no infinity. As metrics they are written as the texts "nan", "inf" and "-inf"; within params as
``{"$float": "nan"}``.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import numbers
import os
import re
from collections.abc import Mapping
from typing import Any

from modelwright.errors import InvalidInputError
from modelwright.masking import MASK, looks_secret
from modelwright.provenance.secrets import MIN_LENGTH, redacted_value, remember

_FLOAT = "$float"
#: Longest text that describes a value which is not plain.
_DESCRIPTION = 200
#: Words of our field that only look like secrets.
_NO_SECRET = re.compile(r"(?i)tokeni[sz]ers?")


def name_of(name: Any, what: str) -> str:
    """The name as it was given, if it can be one: any text that is not empty and can be written.

    Raises
    ------
    InvalidInputError
        Otherwise.
    """
    if not isinstance(name, str):
        raise InvalidInputError(
            f"The name of a {what} is text, not {_kind(name)}: {name!r}.", where=what, mend=f"Write str({name!r})."
        )
    if not name.strip():
        raise InvalidInputError(f"The name of a {what} is empty.", where=what, mend="Give it a name.")
    return writable(name, f"the name of a {what}")


def writable(text: str, where: str) -> str:
    """The text, if it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(
            f"{text!r} has half a character in it, which no file can hold.", where=where, mend="Decode it rightly first."
        ) from None
    return text


def metric_value(name: str, value: Any) -> float | str:
    """A number as it is written: finite ones as they are, others as text.

    Python, NumPy and torch numbers are taken, arrays of one element too.

    Raises
    ------
    InvalidInputError
        If it is no real number.
    """
    if type(value) is not float:
        value = _number(name, value)
    return value if math.isfinite(value) else str(value)


def _number(name: str, value: Any) -> float:
    if isinstance(value, int | float):
        pass
    elif isinstance(value, numbers.Real | decimal.Decimal):
        value = float(value)
    elif hasattr(value, "item") and _elements(value) == 1:
        value = value.item()
    if not isinstance(value, int | float):
        raise InvalidInputError(
            f"A metric is one number, not {_kind(value)}{_shape(value)}: {_short(value)}.",
            where=f"metric {name!r}",
            mend="Log a number; log_param takes texts and lists, log_table takes tables.",
        )
    try:
        return float(value)
    except OverflowError:
        raise InvalidInputError(
            "The integer is larger than any float.", where=f"metric {name!r}", mend="Log its logarithm, or a param."
        ) from None


def is_number(value: Any) -> bool:
    """Whether the value can be logged as a metric."""
    try:
        metric_value("", value)
    except InvalidInputError:
        return False
    return True


def read_number(value: float | str) -> float:
    """The number of a metric as it was logged."""
    return float(value)


def step_of(step: Any) -> int | None:
    """The step, if it is a whole number."""
    if step is None or type(step) is int:
        return step
    if hasattr(step, "item") and _elements(step) == 1:
        step = step.item()
    if isinstance(step, int) or (isinstance(step, float) and step.is_integer()):
        return int(step)
    raise InvalidInputError(
        f"A step is a whole number, not {_kind(step)}: {_short(step)}.", where="step", mend="Count steps, batches or epochs."
    )


def plain(name: str, value: Any) -> Any:
    """A param as it is written to JSON: text, numbers, truth values, None, and lists and dicts of these.

    NumPy scalars and arrays, paths, dates and enum members are turned into their nearest plain value.

    Raises
    ------
    InvalidInputError
        If it is none of these.
    """
    kind = type(value)
    if kind is str:
        return writable(value, f"param {name!r}")
    if kind in (int, bool) or value is None:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_FLOAT: str(float(value))}
    if isinstance(value, enum.Enum):
        return plain(name, value.value)
    if isinstance(value, str):
        return plain(name, str(value))
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            raise InvalidInputError(
                f"The keys of a dict are text, not {_kind(wrong[0])}: {wrong[0]!r}.",
                where=f"param {name!r}",
                mend="Turn the keys into text.",
            )
        return {writable(key, f"param {name!r}"): plain(name, each) for key, each in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(name, each) for each in value]
    if isinstance(value, set | frozenset):
        return [plain(name, each) for each in sorted(value, key=repr)]
    if isinstance(value, os.PathLike):
        return writable(os.fsdecode(value), f"param {name!r}")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | dt.timedelta):
        return str(value)
    if isinstance(value, numbers.Real):
        return plain(name, float(value))
    if hasattr(value, "tolist") and hasattr(value, "shape") and (_elements(value) or 0) <= 10_000:
        listed = value.tolist()
        if not hasattr(listed, "tolist"):
            return plain(name, listed)
    raise InvalidInputError(
        f"A param is a plain value, not {_kind(value)}{_shape(value)}.",
        where=f"param {name!r}",
        mend="Log its name or its settings; tables and models have log_table and log_model.",
    )


def described(name: str, value: Any) -> Any:
    """Like `plain`, but what is not plain is described in words: arguments may be anything."""
    try:
        found = plain(name, value)
    except InvalidInputError:
        found = None if value is None else _description(value)
    if isinstance(found, list | dict) and len(repr(found)) > 10 * _DESCRIPTION:
        return f"{_kind(value)} of {len(value) if hasattr(value, '__len__') else len(found)}"
    return found


def restored(value: Any) -> Any:
    """A param as it was logged, from what was written."""
    if isinstance(value, dict):
        if set(value) == {_FLOAT}:
            return float(value[_FLOAT])
        return {key: restored(each) for key, each in value.items()}
    return [restored(each) for each in value] if isinstance(value, list) else value


def shown(params: dict[str, Any]) -> dict[str, Any]:
    """Params as they may be written: texts under names such as "password", and known secrets within others, are masked.

    Examples
    --------
    >>> shown({"db_password": "geheim", "lr": 0.1, "max_tokens": 512, "tokenizer": "bert"})
    {'db_password': '***', 'lr': 0.1, 'max_tokens': 512, 'tokenizer': 'bert'}
    """
    masked = dict(params)
    for name, value in params.items():
        if isinstance(value, str) and looks_secret(_NO_SECRET.sub("", name)):
            masked[name] = MASK
            if len(value) >= MIN_LENGTH:
                remember(value)  # it may be printed, or stand in an error
    return redacted_value(masked) if masked else masked


def guessed(text: str) -> Any:
    """A value of the command line: a number or truth value where it reads as one, else the text.

    Examples
    --------
    >>> [guessed(text) for text in ("7", "1e-3", "true", "adam", "007")]
    [7, 0.001, True, 'adam', '007']
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits.isdigit():
        return text  # a code, such as a postcode, is no number
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _elements(value: Any) -> int | None:
    shape = getattr(value, "shape", ())
    try:
        return math.prod(int(length) for length in shape)
    except (TypeError, ValueError):
        return None


def _kind(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def _shape(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f" of shape {tuple(shape)}" if isinstance(shape, tuple) and shape else ""


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _description(value: Any) -> str:
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{getattr(value, '__module__', '')}.{value.__qualname__}".lstrip(".")
    if hasattr(value, "shape"):
        return f"{_kind(value)}{_shape(value)}"
    text = " ".join(repr(value).split())
    # An address differs from run to run and would make equal runs look different.
    if " at 0x" in text:
        return _kind(value)
    return (text if len(text) <= _DESCRIPTION else f"{text[: _DESCRIPTION - 3]}...").encode(errors="replace").decode()
