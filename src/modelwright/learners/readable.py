"""A fitted model in a form that a person can read: a table of coefficients, or rules."""

from __future__ import annotations

import msgspec


class Term(msgspec.Struct, frozen=True):
    """One input of a linear model.

    ``meaning`` says when the coefficient counts: "is 'Fiber optic'", "missing", or by what the value is divided.
    ``coefficients`` has one number an output, on the scale of the sum (log odds for classes, the target's unit for numbers).
    """

    column: str
    meaning: str
    coefficients: list[float]


class Readable(msgspec.Struct, frozen=True):
    """The model in words and numbers.

    ``kind`` is "linear" or "tree"; ``outputs`` names the columns of the coefficients; ``rules`` are the lines of a tree.
    """

    kind: str
    sentence: str
    outputs: list[str] = []
    intercept: list[float] = []
    terms: list[Term] = []
    rules: list[str] = []
    n_left_out: int = 0
