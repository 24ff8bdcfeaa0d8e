"""Dates kept as text: which formats a column is written in, and reading it with them.

Formats are strptime formats as polars understands them, and "Q%q" for a quarter. A format without a day ("%Y-%m",
"%YQ%q", "%G-W%V") reads the first day of the month, the quarter or the week. Times with an offset are turned to UTC; the
result never carries a time zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import polars as pl

_TIMES = ("", " %H:%M:%S", " %H:%M", " %H:%M:%S%.f", " %I:%M:%S %p", " %I:%M %p")
_ISO = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"),
    *("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%d %H:%M:%SZ", "%Y-%m-%dT%H:%MZ"),
    *("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S %z"),
    *("%Y-%m-%d %H:%M%z", "%Y-%m-%dT%H:%M%z"),
)
#: Formats whose reading is never in doubt, tried when a native datetime column later arrives as text.
ISO_FORMATS: tuple[str, ...] = _ISO

#: %B and %A also read the short names, "Jan" and "Mon".
_CERTAIN_DAYS = (
    *("%Y/%m/%d", "%Y.%m.%d", "%B %d, %Y", "%d %B %Y", "%d-%B-%Y", "%d-%B-%y", "%d %B %y", "%B %d %Y", "%d. %B %Y"),
    *("%A, %B %d, %Y", "%A %B %d %Y", "%d/%B/%Y", "%B-%d-%Y"),
)
_CERTAIN = (
    *_ISO,
    *(day + time for day in _CERTAIN_DAYS for time in _TIMES),
    *("%Y%m%d", "%Y%m%dT%H%M%S", "%Y%m%d %H%M%S", "%Y%m%d%H%M%S", "%Y%m%d %H:%M:%S", "%Y%m%dT%H%M%SZ"),
    *("%d/%B/%Y:%H:%M:%S %z", "%A, %d %B %Y %H:%M:%S GMT", "%A, %d %B %Y %H:%M:%S %z", "%A %B %d %H:%M:%S %z %Y"),
    *("%A %B %d %H:%M:%S %Y", "%Y-%m", "%Y/%m", "%B %Y", "%B-%Y", "%B-%y", "%m/%Y", "%m-%Y"),
    *("%YQ%q", "%Y-Q%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%G-W%V", "%GW%V"),
)
#: strptime knows no quarters, so they are read as their first months.
_QUARTERS = {"Q1": "M01", "Q2": "M04", "Q3": "M07", "Q4": "M10"}
#: Pairs that differ only in whether the day or the month comes first.
_ORDERED = tuple(
    (f"%d{sign}%m{sign}{year}{time}", f"%m{sign}%d{sign}{year}{time}")
    for sign in "/.-"
    for year in ("%Y", "%y")
    for time in _TIMES
)

#: Part of the reason of a column whose order of day and month could not be settled; the audit looks for it.
UNDECIDED = "month first by default: no cell tells whether the day or the month comes first"
MIXED = "written in both orders"

#: strptime reads English names only, so that "level 12" and "Room 3" are spared two hundred tries.
_MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[A-Za-z]{0,6}"
_LOOKS_LIKE_DATE = re.compile(
    rf"^(?:[A-Za-z]{{3,9}},?\s+)?(?:\d{{1,4}}[-/. ]\s?(?:\d{{1,2}}|{_MONTH})(?:[-/., :]|$)|\d{{8}}(?:[T ]?\d{{4,6}}Z?)?$"
    rf"|{_MONTH}[-. ]\s?\d{{1,4}}(?:\b|,)|\d{{1,2}}\.? ?{_MONTH}[-. ,])"
    r"|^(?:\d{1,2}[-/](?:1[89]|20)\d{2}|\d{4}[- ]?[Qq][1-4]|[Qq][1-4][-/ ]\d{4}|\d{4}-?W\d{2})$"
)
#: Distinct values looked at before a format is tried on the whole column.
_SAMPLE = 2000
#: A share of 98 % in time order or more counts as sorted: exports are sorted but for a few late entries.
_SORTED = 0.98


@dataclass(frozen=True)
class DateReading:
    """How a text column of dates is to be read.

    ``order`` is "" where no format leaves open whether day or month comes first; otherwise it says how that
    was decided: "values" (a number above 12), "sorted" (the file is in time order one way only), "mixed"
    (both orders occur) or "default" (month first, undecided).
    """

    formats: tuple[str, ...]
    order: str
    reason: str
    n_read: int
    n_unread: int


def parse_dates(text: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    """Datetime(us) from stripped text; a cell that no format reads, or of a year outside 1000-9999, is null."""
    result = pl.Series(text.name, [None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    open_cells = text
    for fmt in formats:
        if open_cells.null_count() == len(open_cells):
            break
        parsed = _strptime(open_cells, fmt)
        result = result.zip_with(result.is_not_null(), parsed)
        # Only what is still unread meets the next format.
        open_cells = open_cells.set(result.is_not_null(), None) if len(formats) > 1 else open_cells
    return result.alias(text.name)


def written(moment: datetime, fmt: str) -> str:
    """A moment as text in one of the formats above."""
    return moment.strftime(fmt.replace("%q", str((moment.month + 2) // 3)).replace("%.f", ""))


def find_formats(text: pl.Series) -> DateReading | None:
    """The formats of a text column, or None where it does not hold dates.

    Parameters
    ----------
    text : Series of stripped text in file order, missing cells null

    Returns
    -------
    DateReading or None
        None unless at least 95 % of the cells can be read.
    """
    cells = text.drop_nulls()
    distinct = cells.unique(maintain_order=True)
    sample = distinct.head(_SAMPLE)
    if not sample.len() or not _plausible(sample):
        return None
    formats, order, reasons = _choose(sample, cells)
    if not formats:
        return None
    unread = cells.filter(parse_dates(cells, formats).is_null())
    if unread.len() and len(distinct) > _SAMPLE:
        # Formats that first appear late in the file.
        more, more_order, more_reasons = _choose(unread.unique(maintain_order=True).head(_SAMPLE), cells)
        formats, order, reasons = (
            formats + tuple(f for f in more if f not in formats),
            order or more_order,
            reasons + more_reasons,
        )
        unread = cells.filter(parse_dates(cells, formats).is_null())
    if unread.len() > 0.05 * cells.len():
        return None
    shown = ", ".join(formats[:3]) + (f" and {len(formats) - 3} more" if len(formats) > 3 else "")
    reason = f"dates kept as text, written as {shown}"
    return DateReading(formats, order, "; ".join([reason, *reasons]), cells.len() - unread.len(), unread.len())


def _plausible(sample: pl.Series) -> bool:
    """Whether most of the first values have the look of a date: trying all formats is dear."""
    values = sample.head(100).to_list()
    alike = sum(1 for value in values if len(value) <= 40 and _LOOKS_LIKE_DATE.match(value))
    return alike >= 0.9 * len(values)


def _choose(sample: pl.Series, cells: pl.Series) -> tuple[tuple[str, ...], str, list[str]]:
    """Formats by how much they read of what is left, the order of day and month, and what is to be said about it."""
    chosen: list[str] = []
    order = ""
    reasons: list[str] = []
    left = sample
    candidates: list[tuple[str, ...]] = [*((f,) for f in _CERTAIN), *_ORDERED]
    # The two or three candidates that read anything are found on few values, then counted on all.
    probe = left.gather_every(max(1, len(left) // 200))
    candidates = [c for c in candidates if any(_strptime(probe, f).is_not_null().any() for f in c)] or candidates
    while left.len():
        best: tuple[str, ...] = ()
        best_count = 0
        for candidate in candidates:
            read = _strptime(left, candidate[0]).is_not_null()
            if len(candidate) == 2:
                read = read | _strptime(left, candidate[1]).is_not_null()
            count = int(read.sum())
            if count > best_count:
                best, best_count = candidate, count
        if not best:
            break
        if len(best) == 2:
            formats, order, reason = _day_or_month_first(best, cells)
            reasons.append(reason)
        else:
            formats = best
        chosen.extend(formats)
        left = left.filter(parse_dates(left, tuple(formats)).is_null())
    return tuple(chosen), order, reasons


def _day_or_month_first(pair: tuple[str, ...], cells: pl.Series) -> tuple[tuple[str, ...], str, str]:
    """Decide over the whole column which of the two orders holds."""
    day_format, month_format = pair
    day_first, month_first = _strptime(cells, day_format), _strptime(cells, month_format)
    only_day = int((day_first.is_not_null() & month_first.is_null()).sum())
    only_month = int((month_first.is_not_null() & day_first.is_null()).sum())
    if only_day and only_month:
        first = pair if only_day >= only_month else (month_format, day_format)
        word = "day" if only_day >= only_month else "month"
        text = (
            f"{MIXED}: {only_day} cells can only be day first and {only_month} only month first; cells that "
            f"allow either are read {word} first"
        )
        return tuple(first), "mixed", text
    if only_day:
        return (day_format,), "values", f"day first, because in {only_day} cells the first number is above 12"
    if only_month:
        return (month_format,), "values", f"month first, because in {only_month} cells the second number is above 12"
    day_sorted, month_sorted = _share_in_order(day_first), _share_in_order(month_first)
    if day_sorted >= _SORTED and month_sorted < _SORTED:
        return (day_format,), "sorted", "day first: no number is above 12, but read so the rows are in time order"
    if month_sorted >= _SORTED and day_sorted < _SORTED:
        return (month_format,), "sorted", "month first: no number is above 12, but read so the rows are in time order"
    return (month_format,), "default", UNDECIDED


def _share_in_order(dates: pl.Series) -> float:
    """Share of steps that do not go back (or, in a file written newest first, do not go forward)."""
    steps = dates.drop_nulls().diff().drop_nulls().dt.total_seconds()
    if not steps.len():
        return 0.0
    return max(int((steps >= 0).sum()), int((steps <= 0).sum())) / steps.len()


def _strptime(text: pl.Series, fmt: str) -> pl.Series:
    """Read with one format; null where it does not fit."""
    if "%q" in fmt:
        text, fmt = text.str.to_uppercase().str.replace_many(_QUARTERS), fmt.replace("Q%q", "M%m")
    if "%V" in fmt:
        text, fmt = text + " 1", fmt + " %u"
    elif "%d" not in fmt:
        text, fmt = text + " 01", fmt + " %d"
    if "%H" in fmt or "%I" in fmt:
        parsed = text.str.strptime(pl.Datetime("us"), fmt, strict=False)
        if "%z" in fmt:
            parsed = parsed.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    else:
        parsed = text.str.strptime(pl.Date, fmt, strict=False).cast(pl.Datetime("us"))
    # strptime reads "1/2/05" with %Y as the year 5.
    year = parsed.dt.year()
    return parsed.set((year < 1000) | (year > 9999), None)
