"""What a column of text is: numbers or dates kept as text, a boolean, categories, free text, or an identifier."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from modelwright.tables.cells import BOOLEAN_PAIRS, FALSE_WORDS, MARKS, TRUE_WORDS
from modelwright.tables.dates import find_formats
from modelwright.tables.names import hints_at_id, hints_at_time
from modelwright.tables.numeric import (
    MIN_ROWS_FOR_ID,
    NEAR_UNIQUE,
    NumberText,
    Reading,
    classify_numbers,
    find_numbers,
    read_numbers,
)

#: Text is prose from this mean length in characters or this mean number of words, if most cells differ.
_PROSE_LENGTH = 20
_PROSE_WORDS = 4
#: Rows looked at for the mean length.
_SAMPLE = 20_000


def classify_text(text: pl.Series, *, declared_time: bool = False) -> Reading:
    """Type of a text column.

    Parameters
    ----------
    text : Series of stripped text in file order, missing cells null, of at least one value
    declared_time : bool
        Whether the user named it as the time column.
    """
    name = text.name
    cells = text.drop_nulls()
    n_rows, n_distinct = len(cells), cells.n_unique()
    if n_distinct <= 4 and (boolean := _boolean(cells)):
        return boolean
    about_time = declared_time or hints_at_time(name)
    packed = about_time and bool(cells.head(100).str.contains(r"^\d{8}(\d{6})?$").all())
    if not packed and (numbers := find_numbers(text)):
        return _numbers_as_text(text, numbers, declared_time)
    unmarked = cells.filter(~cells.str.to_lowercase().is_in(MARKS))
    dates = find_formats(unmarked)
    if dates:
        lost = dates.n_unread + n_rows - len(unmarked)
        reason = dates.reason + (f"; {lost} cells that are no date become missing" if lost else "")
        return Reading("datetime", reason, formats=dates.formats)
    return _words(cells, n_rows, n_distinct)


def _boolean(cells: pl.Series) -> Reading | None:
    """Two values in a usual spelling of yes and no, in any letter case."""
    spelled = sorted(set(cells.str.to_lowercase().unique().to_list()))
    known = all(word in TRUE_WORDS or word in FALSE_WORDS for word in spelled)
    if not known or not any(true in spelled and false in spelled for true, false in BOOLEAN_PAIRS):
        return None
    true = tuple(word for word in spelled if word in TRUE_WORDS)
    false = tuple(word for word in spelled if word in FALSE_WORDS)
    return Reading("boolean", f"only {_listed(true)} and {_listed(false)}", true_values=true, false_values=false)


def _numbers_as_text(text: pl.Series, how: NumberText, declared_time: bool) -> Reading:
    """The reading of numbers kept as text, saying what becomes missing."""
    values = read_numbers(text, how).drop_nulls()
    inner = classify_numbers(values, declared_time=declared_time) if values.n_unique() > 1 else Reading("number", "one number")
    parts = [f"{inner.reason}, kept as text"]
    if how.decimal == "," or how.thousands:
        sign = "a blank" if how.thousands == " " else repr(how.thousands)
        parts.append(f"decimal sign {how.decimal!r}" + (f", thousands sign {sign}" if how.thousands else ""))
    if how.n_marks:
        parts.append(f"{how.n_marks} cells ({_listed(how.marks)}) become missing")
    if how.n_unread:
        parts.append(f"{how.n_unread} cells that are no number ({_listed(how.unread)}) become missing")
    if inner.type == "number":
        return replace(inner, reason="; ".join(parts), decimal=how.decimal, thousands=how.thousands)
    return replace(inner, reason="; ".join(parts))


def _words(cells: pl.Series, n_rows: int, n_distinct: int) -> Reading:
    """Prose, identifier or category."""
    sample = cells.gather_every(max(1, n_rows // _SAMPLE))
    length = float(sample.str.len_chars().mean() or 0.0)  # type: ignore[arg-type]
    n_words = float(sample.str.count_matches(r"\S+").mean() or 0.0)  # type: ignore[arg-type]
    share = n_distinct / n_rows
    described = f"{n_distinct} distinct values in {n_rows} rows"
    long = n_words >= _PROSE_WORDS or (length >= _PROSE_LENGTH and n_words >= 2)
    if (long and share >= 0.2 and n_distinct > 50) or (long and share >= 0.8 and n_distinct > 5):
        return Reading("text", f"free text of {n_words:.0f} words on average, {described}")
    if share >= 0.5 and n_words >= 2 and n_distinct > 1000:
        return Reading("text", f"short free text of {n_words:.1f} words on average, {described}")
    if share >= NEAR_UNIQUE and (n_rows >= MIN_ROWS_FOR_ID or (n_rows >= 5 and hints_at_id(cells.name))):
        return Reading("id", f"short text that is different in nearly every row, {described}")
    return Reading("category", f"text with {described}")


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(repr(value if len(value) <= 40 else value[:37] + "...") for value in values)
