"""How one cell of text becomes a number, a boolean or a label: polars expressions shared by learning and applying a schema."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

#: Words that stand for "no value" among numbers or dates (lower case, stripped). A category keeps them as a level.
MARKS: tuple[str, ...] = (
    *("?", "??", "na", "n/a", "#n/a", "n.a.", "nan", "null", "none", "nil", "missing", "unknown", "unk", "undefined"),
    *("not available", "not applicable", "-", "--", "---", ".", "..", "*", "#value!", "#div/0!", "#ref!", "nat", "tbd"),
)

#: Spellings of true and false (lower case, stripped), pair by pair.
BOOLEAN_PAIRS: tuple[tuple[str, str], ...] = (
    *(("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off"), ("1", "0"), ("1.0", "0.0")),
    *(("ja", "nein"), ("oui", "non"), ("sí", "no"), ("si", "no"), ("sim", "não"), ("wahr", "falsch"), ("vrai", "faux")),
)
TRUE_WORDS: tuple[str, ...] = tuple(dict.fromkeys(true for true, _ in BOOLEAN_PAIRS))
FALSE_WORDS: tuple[str, ...] = tuple(dict.fromkeys(false for _, false in BOOLEAN_PAIRS))

#: What may stand before or after a number without changing it: currency signs and codes, and a percent sign.
_CURRENCY = r"[$€£¥₹₩₽]|(?i:usd|eur|gbp|chf|jpy|rs\.?)"
_BEFORE = rf"^([+-]?)\s*(?:{_CURRENCY})\s*"
_AFTER = rf"\s*(?:{_CURRENCY}|%)$"
#: Thousands signs that are blanks of some width; they are all read as one.
_BLANKS = r"[\u00a0\u202f\u2009 ]"


def stripped(expr: pl.Expr) -> pl.Expr:
    """Text without surrounding blanks; a cell of blanks only becomes null."""
    text = expr.str.strip_chars()
    return pl.when(text != "").then(text)


def without_marks(expr: pl.Expr) -> pl.Expr:
    """Stripped text in which the words of `MARKS` are null."""
    return pl.when(~expr.str.to_lowercase().is_in(MARKS)).then(expr)


def without_declared(expr: pl.Expr, dtype: pl.DataType, missing_values: Sequence[str | float]) -> pl.Expr:
    """Null for the cells that the user declared to mean "missing".

    Text is compared after stripping; a numeric declaration also covers the same number kept as text, and the
    other way round. "inf" covers both infinities.
    """
    if not missing_values:
        return expr
    if dtype == pl.String:
        spelled: set[str] = set()
        for value in missing_values:
            spelled.add(str(value).strip())
            if isinstance(value, float) and value.is_integer():
                spelled.add(str(int(value)))
        return pl.when(~expr.is_in(sorted(spelled))).then(expr)
    if not dtype.is_numeric():
        return expr
    numbers = declared_numbers(missing_values)
    finite = [number for number in numbers if math.isfinite(number)]
    kept = expr
    if finite:
        kept = pl.when(~expr.cast(pl.Float64).is_in(finite)).then(kept)
    if len(finite) < len(numbers) and dtype.is_float():
        kept = pl.when(expr.is_finite()).then(kept)
    return kept


def declared_numbers(missing_values: Sequence[str | float]) -> list[float]:
    """The declared missing values that are numbers."""
    numbers = []
    for value in missing_values:
        try:
            number = float(value)
        except ValueError:
            continue
        if not math.isnan(number):
            numbers.append(number)
    return numbers


def text_to_number(expr: pl.Expr, decimal: str = ".", thousands: str = "") -> pl.Expr:
    """Float64 from stripped text; what is no number becomes null.

    A thousands sign counts only where it parts groups of three digits, so that "1,5" is never read as 15.
    """
    text = expr
    if thousands:
        sign = _BLANKS if thousands == " " else _escaped(thousands)
        grouped = text.str.contains(rf"^[+-]?[1-9]\d{{0,2}}(?:{sign}\d{{3}})+(?:{_escaped(decimal)}\d*)?$")
        text = pl.when(grouped).then(text.str.replace_all(sign, "")).otherwise(text)
    if decimal == ",":
        # A stray decimal point would otherwise be read as such: in this column the comma is the decimal sign.
        text = pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(",", ".", literal=True))
    number = text.cast(pl.Float64, strict=False)
    return number.fill_nan(None)


def unadorned(expr: pl.Expr) -> pl.Expr:
    """Text without currency and percent signs: "$ -1,200.50" becomes "-1,200.50" and "12 %" becomes "12"."""
    return expr.str.replace(_BEFORE, "${1}").str.replace(_AFTER, "")


def adorned_to_number(expr: pl.Expr, decimal: str = ".", thousands: str = "") -> pl.Expr:
    """`text_to_number` for cells with currency and percent signs; dearer, so tried only where the plain reading fails."""
    return text_to_number(unadorned(expr), decimal, thousands)


def label_text(expr: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The text of a category, equal for 7, 7.0, "7", "7.0" and " 7 "; null stays null."""
    if dtype == pl.String:
        text = stripped(expr)
        # Only "7.0" is rewritten: "7.10" may be a version and "007" a code.
        return pl.when(text.str.contains(r"^-?\d+\.0$")).then(text.str.head(-2)).otherwise(text)
    if dtype.is_float():
        # Beyond 2**53 neighbouring integers cannot be told apart in a float.
        whole = (expr == expr.floor()) & (expr.abs() < 2.0**53)
        return pl.when(whole).then(expr.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(expr.cast(pl.String))
    if dtype == pl.Datetime:
        return expr.dt.to_string("iso")
    if dtype.is_nested() or dtype == pl.Object:
        return pl.lit(None, dtype=pl.String)
    return expr.cast(pl.String)


def label_of(value: Any) -> str:
    """`label_text` for one Python value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def text_to_boolean(expr: pl.Expr, true_values: Sequence[str] = (), false_values: Sequence[str] = ()) -> pl.Expr:
    """Boolean from stripped text; any usual spelling is understood beside the given ones, anything else is null."""
    word = expr.str.to_lowercase()
    true = [*true_values, *(w for w in TRUE_WORDS if w not in false_values)]
    false = [*false_values, *(w for w in FALSE_WORDS if w not in true_values)]
    return pl.when(word.is_in(true)).then(True).when(word.is_in(false)).then(False).otherwise(None)


def _escaped(sign: str) -> str:
    return "\\" + sign if sign in ".'" else sign
