"""What a bundle says of the rows that it was trained on: how many, of which table, from when until when.

It stands in the lineage of the manifest, so that whoever compares models later can tell which rows neither has seen.
"""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from modelwright.artifacts.manifest import read_manifest
from modelwright.splits.order import read_times

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Period(msgspec.Struct, frozen=True):
    """The training rows of a bundle.

    ``data`` is the fingerprint of the table that they come from and ``n_data`` its rows; ``first`` and ``last`` are their
    times in UTC (ISO 8601) or numbers, by the column ``time``. What is not known is empty or 0.
    """

    data: str = ""
    n_data: int = 0
    n_rows: int = 0
    time: str = ""
    first: str = ""
    last: str = ""

    @property
    def until(self) -> float | None:
        """``last`` as `moments` has it; None where it is not known."""
        return moment_of(self.last) if self.last else None

    @property
    def dated(self) -> bool:
        """Whether the times are dates."""
        return "T" in self.last


def period_lineage(times: pl.Series | None, *, n_rows: int, n_data: int) -> dict[str, str]:
    """Entries of a lineage.

    Parameters
    ----------
    times : Series or None
        Time of each training row.
    n_rows, n_data : int
        Training rows, and rows of the whole table.
    """
    entries = {"rows": str(n_rows), "table_rows": str(n_data)}
    if times is not None:
        values, dated = moments(times)
        known = values[~np.isnan(values)]
        if len(known):
            first, last = (_told(float(value), dated) for value in (known.min(), known.max()))
            entries |= {"time": times.name, "first": first, "last": last}
    return entries


def read_period(folder: Path) -> Period:
    """What the manifest of a bundle says.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    BundleError
        If the manifest is absent or damaged.
    """
    held = read_manifest(folder).lineage
    return Period(
        held.get("data", ""), int(held.get("table_rows", 0)), int(held.get("rows", 0)), held.get("time", ""),
        held.get("first", ""), held.get("last", ""),
    )  # fmt: skip


def moments(times: pl.Series) -> tuple[np.ndarray, bool]:
    """Times as numbers that compare across tables, and whether they are dates: then seconds since 1970 in UTC.

    Parameters
    ----------
    times : Series
        Dates, datetimes, numbers, or text that holds them.

    Returns
    -------
    values : ndarray of shape (n,), float64
        NaN where the time is missing.
    dated : bool
    """
    read = read_times(times)
    dated = read.dtype.is_temporal()
    if dated and read.dtype != pl.Time:
        values = read.cast(pl.Datetime("us")).to_physical().cast(pl.Float64) / 1e6
    else:
        values, dated = read.to_physical().cast(pl.Float64), False
    return values.fill_null(math.nan).to_numpy().copy(), dated


def moment_of(text: str) -> float:
    """A moment as `moments` has it, from ISO 8601 or a number."""
    if "T" not in text:
        return float(text)
    read = dt.datetime.fromisoformat(text)
    return ((read if read.tzinfo else read.replace(tzinfo=dt.UTC)) - _EPOCH).total_seconds()


def _told(value: float, dated: bool) -> str:
    return (_EPOCH + dt.timedelta(microseconds=round(value * 1e6))).isoformat() if dated else repr(value)
