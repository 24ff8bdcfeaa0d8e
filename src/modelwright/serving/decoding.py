"""Bytes of a request as rows: JSON with typed cells, so that depth is bounded by the types."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from modelwright.serving.limits import Limits
from modelwright.serving.problems import Problem, not_json

#: A cell as JSON has it.
Scalar = str | int | float | bool | None
Row = dict[str, Scalar]

#: A key of an object, or a text that begins with a colon.
_KEY = re.compile(rb'"[ \t\r\n]*:')


def decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """Decode JSON; what is wrong with it becomes a `Problem`.

    Parameters
    ----------
    decoder : Decoder
    body : bytes
    """
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise not_json(error, body) from None


def check_keys(body: bytes, n_keys: int) -> None:
    """Refuse an object that has one key twice; which of the values was meant, nobody could say.

    Parameters
    ----------
    body : bytes
        JSON that was decoded already.
    n_keys : int
        Keys of all its objects after decoding. Where as many are written as were found, none was there twice.
    """
    # Each key has a colon behind it. Where texts have none, counting them is enough, and five times as quick as the pattern.
    if body.count(b":") == n_keys:
        return
    if len(_KEY.findall(body)) == n_keys:
        return
    try:
        json.loads(body, object_pairs_hook=_without_repeats)
    except (RecursionError, ValueError) as error:
        raise not_json(error, body) from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Problem(400, "repeated_key", "An object of the JSON has the same key twice.")
    return found


def check_rows(rows: list[Row], limits: Limits, n_columns: int, body_size: int) -> None:
    """Refuse too many rows, columns, or too long texts.

    Parameters
    ----------
    rows : list of dict
    limits : Limits
    n_columns : int
        Columns of the model.
    body_size : int
        Bytes of the body: texts of a short body need no look.
    """
    if not rows:
        raise Problem(400, "no_rows", "There are no rows.")
    if len(rows) > limits.rows:
        raise Problem(413, "too_many_rows", f"A request has {limits.rows:,} rows at most.")
    most = n_columns + limits.extra_columns
    for number, row in enumerate(rows):
        if len(row) > most:
            raise Problem(
                400,
                "too_many_columns",
                f"A row has {most:,} columns at most: those of the model and {limits.extra_columns}.",
                row=number,
            )
    if body_size > limits.text_chars:
        check_texts(rows, limits)


def check_texts(rows: list[Row], limits: Limits) -> None:
    """Refuse cells or names that are too long."""
    for number, row in enumerate(rows):
        for name, value in row.items():
            if len(name) > limits.text_chars or (type(value) is str and len(value) > limits.text_chars):
                raise Problem(400, "too_long_text", f"A text has {limits.text_chars:,} characters at most.", row=number)
