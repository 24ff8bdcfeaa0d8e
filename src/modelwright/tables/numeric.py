"""What a column of numbers is: a measure, a boolean, a code that names something, an identifier, or a packed date."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from modelwright.tables.cells import MARKS, adorned_to_number, text_to_number
from modelwright.tables.dates import parse_dates
from modelwright.tables.names import hints_at_code, hints_at_id, hints_at_reference, hints_at_time
from modelwright.tables.schema import LogicalType

#: Share of distinct values from which a column tells rows apart instead of describing them.
NEAR_UNIQUE = 0.95
#: Fewer rows than this say nothing about uniqueness: ten measurements are often all different.
MIN_ROWS_FOR_ID = 20
#: Most levels of an integer code that is read as a category.
MAX_CODES = 1000

#: Decimal and thousands sign, in the order tried; the first that reads every cell wins.
_CONVENTIONS = ((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"))


@dataclass(frozen=True)
class Reading:
    """The type found for one column, the words for it, and its reading instructions."""

    type: LogicalType
    reason: str
    formats: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str = ""
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()


@dataclass(frozen=True)
class NumberText:
    """How text is read as numbers, and how many cells are marks for "missing" or cannot be read."""

    decimal: str
    thousands: str
    n_numbers: int
    n_distinct: int
    n_marks: int
    n_unread: int
    marks: tuple[str, ...]
    unread: tuple[str, ...]


def classify_numbers(values: pl.Series, *, declared_time: bool = False) -> Reading:
    """Type of a numeric column.

    Parameters
    ----------
    values : Series of numbers without nulls, of at least two distinct values
    declared_time : bool
        Whether the user named it as the time column.
    """
    name, n_rows = values.name, len(values)
    if values.dtype.is_float() and not bool((values == values.floor()).all()):
        return Reading("number", "numbers with decimals")
    n_distinct = values.n_unique()
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    about_time = declared_time or hints_at_time(name)
    if about_time and low >= 19000101 and high <= 21001231 and _packed_dates(values):
        return Reading("datetime", "integers such as 20240131, read as year, month and day", formats=("%Y%m%d",))
    if declared_time:
        return Reading("number", "numbers that put the rows in order")
    if n_distinct == 2 and low == 0 and high == 1:
        return Reading("boolean", "integers 0 and 1 only")
    if n_distinct <= MAX_CODES and n_rows >= 2 * n_distinct and hints_at_code(name):
        return Reading("category", f"integers with {n_distinct} distinct values, and the name says they are codes")
    if hints_at_reference(name) and n_rows >= MIN_ROWS_FOR_ID:
        if n_rows >= 5 * n_distinct:
            return Reading(
                "category", f"integers with {n_distinct} distinct values that repeat, and the name says they refer to something"
            )
        return Reading(
            "id", f"integers with {n_distinct} distinct values in {n_rows} rows, and the name says they identify something"
        )
    if n_distinct >= NEAR_UNIQUE * n_rows and n_rows >= MIN_ROWS_FOR_ID and not about_time:
        if hints_at_id(name):
            return Reading(
                "id", f"{_share(n_distinct, n_rows)} of the integers are distinct, and the name is that of an identifier"
            )
        if n_rows >= 50 and _dense(n_distinct, n_rows, high - low + 1):
            return Reading(
                "id",
                f"{_share(n_distinct, n_rows)} of the integers are distinct and run on without large gaps, as row numbers do",
            )
    return Reading("number", f"integers with {n_distinct} distinct values")


def find_numbers(text: pl.Series) -> NumberText | None:
    """How a text column is read as numbers, or None where it holds something else.

    Marks such as "?" or "NA" count as missing. Of the other cells all must be numbers; in a column of many
    distinct numbers one cell in a hundred may be anything.

    Parameters
    ----------
    text : Series of stripped text, missing cells null
    """
    name = "cell"
    counts = text.drop_nulls().alias(name).value_counts(name="n")
    is_mark = pl.col(name).str.to_lowercase().is_in(MARKS)
    marks = counts.filter(is_mark)
    cells = counts.filter(~is_mark)
    if not cells.height:
        return None
    probe = cells.head(100)[name]
    if not probe.str.contains(r"\d").any():
        return None
    # "02134" and "007" are codes: as numbers they would lose their zeros.
    if cells[name].str.contains(r"^[+-]?0\d").any():
        return None
    # Prose is told apart on a few cells: seven ways of reading are dear on long texts.
    spelled = pl.any_horizontal(adorned_to_number(pl.col(name), *signs).is_not_null() for signs in _CONVENTIONS)
    if int(probe.to_frame().select(spelled.sum()).item()) < 0.8 * len(probe):
        return None
    best: tuple[str, str] = (".", "")
    best_count, best_bad = -1, cells
    total = int(cells["n"].sum())
    for reader in (text_to_number, adorned_to_number):
        for decimal, thousands in _CONVENTIONS:
            bad = cells.filter(reader(pl.col(name), decimal, thousands).is_null())
            count = total - int(bad["n"].sum())
            if count > best_count:
                best, best_count, best_bad = (decimal, thousands), count, bad
            if count == total:
                break
        if best_count == total:
            break
    n_distinct = cells.height - best_bad.height
    if best_count < total and (best_count < 0.99 * total or n_distinct <= 20):
        return None
    return NumberText(
        decimal=best[0],
        thousands=best[1],
        n_numbers=best_count,
        n_distinct=n_distinct,
        n_marks=int(marks["n"].sum()),
        n_unread=total - best_count,
        marks=tuple(marks.sort("n", name, descending=[True, False])[name].head(3).to_list()),
        unread=tuple(best_bad.sort("n", name, descending=[True, False])[name].head(3).to_list()),
    )


def read_numbers(text: pl.Series, how: NumberText) -> pl.Series:
    """Float64 from stripped text; marks and cells that cannot be read are null."""
    expr = pl.col(text.name)
    number = pl.coalesce(text_to_number(expr, how.decimal, how.thousands), adorned_to_number(expr, how.decimal, how.thousands))
    return text.to_frame().select(number)[text.name]


def _packed_dates(values: pl.Series) -> bool:
    """Whether every distinct value is a calendar day written as one number."""
    distinct = values.unique().cast(pl.Int64).cast(pl.String)
    return parse_dates(distinct, ("%Y%m%d",)).null_count() == 0


def _dense(n_distinct: int, n_rows: int, span: float) -> bool:
    """Whether distinct integers fill their range more evenly than a measure would.

    The rows may be a random part of a table whose integers run 1, 2, 3; random draws that leave so few gaps
    would collide far more often.
    """
    return span <= 1.3 * n_distinct or (n_distinct >= 0.99 * n_rows and span <= 3.0 * n_distinct)


def _share(part: int, whole: int) -> str:
    return "all" if part == whole else f"{100 * part / whole:.1f} %"
