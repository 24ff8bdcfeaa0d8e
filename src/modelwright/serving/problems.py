"""What is answered to a request that cannot be served: a code, words, column and row; never a value, a path or a traceback."""

from __future__ import annotations

from typing import Any

import msgspec

from modelwright.errors import ModelwrightError


class Problem(ModelwrightError):  # noqa: N818  (RFC 9457 calls it so)
    """A request that is refused.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        For programs, such as "wrong_type".
    message : str
        For people; holds nothing that the client sent but names of columns that the model has.
    row : int or None, default=None
        Index of the row, counted from 0.
    column : str or None, default=None
    expected : str or None, default=None
        Type that was expected.
    headers : dict of str to str or None, default=None
        Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        row: int | None = None,
        column: str | None = None,
        expected: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.row, self.column, self.expected = row, column, expected
        self.headers = headers or {}

    def body(self, request_id: str) -> bytes:
        """The answer as JSON. ``error`` is one string, as the Open Inference Protocol wants it."""
        told: dict[str, Any] = {"error": self.message, "code": self.code}
        for name in ("row", "column", "expected"):
            value = getattr(self, name)
            if value is not None:
                told[name] = value
        return msgspec.json.encode(told | {"request_id": request_id})


def not_json(error: Exception, body: bytes) -> Problem:
    """The problem for a body that the JSON decoder refused.

    Parameters
    ----------
    error : Exception
    body : bytes
    """
    if not body:
        return Problem(400, "empty_body", "The body is empty.")
    if isinstance(error, RecursionError):
        return Problem(400, "too_deep", "The JSON is nested too deeply.")
    if isinstance(error, msgspec.ValidationError):
        return Problem(400, "wrong_shape", f"The JSON has another shape than this address takes: {_place(str(error))}.")
    return Problem(
        400, "not_json", "The body is not JSON in UTF-8. NaN and Infinity are no JSON: send null for a missing value."
    )


def _place(said: str) -> str:
    """The decoder's words without the names of fields, which may be the client's."""
    what, _, where = said.partition(" - at ")
    if what.startswith("Object contains unknown field"):
        what = "there is a field that is not known here"
    return f"{what[0].lower()}{what[1:]}" + (f", at {where}" if where else "")
