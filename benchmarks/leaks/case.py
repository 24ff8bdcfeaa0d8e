"""One planted case, what is true about it, and the split that a detector is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

EVALUATION_SHARE = 0.2


class NotApplicable(ValueError):  # noqa: N818 - a table that cannot host a kind is no error
    """The table cannot host the kind; the case counts as n/a."""


@dataclass(frozen=True)
class Truth:
    """What was planted.

    ``columns`` are the planted columns a detector should name (none for kinds of rows), ``helpers`` those planted so
    that there is something to leak through, ``rows`` the rows that carry the leak, ``effect`` the largest effect of a
    planted column and ``natural_effect`` that of a feature of the table.
    """

    kind: str
    form: str
    strength: float
    control: bool
    seed: int
    columns: tuple[str, ...]
    helpers: tuple[str, ...]
    rows: np.ndarray
    roles: Mapping[str, str | None]
    split_column: str | None
    effect: float | None
    natural_effect: float


@dataclass(frozen=True)
class Case:
    """A table with something planted (or its control), and the truth about it."""

    frame: pl.DataFrame
    target: str
    task: str
    roles: Mapping[str, str | None] = field(default_factory=dict)
    truth: Truth | None = None

    @property
    def features_and_target(self) -> pl.DataFrame:
        """The table without its split column: what a detector is given."""
        split = self.truth.split_column if self.truth else None
        return self.frame if split is None else self.frame.drop(split)

    @property
    def split(self) -> np.ndarray:
        """True for evaluation rows: the planted split, or the one an honest user makes."""
        split = self.truth.split_column if self.truth else None
        if split is not None:
            return self.frame[split].to_numpy()
        return assign_split(self.frame, 0, self.target, self.roles)


def assign_split(
    frame: pl.DataFrame, seed: int, target: str | None = None, roles: Mapping[str, Any] | None = None
) -> np.ndarray:
    """Evaluation rows, about a fifth.

    With a time role the last rows; otherwise whole groups if there is a group role; otherwise rows at random, rows
    equal in all features on one side.

    Returns
    -------
    ndarray of bool of shape (n,)
    """
    roles = roles or {}
    time, group = roles.get("time"), roles.get("group")
    if time is not None:
        return time_cut(time_numbers(frame[time]))
    units = factor(frame[group]) if group is not None else equal_rows(frame.drop(target) if target else frame)
    order = np.random.default_rng([seed, 77]).permutation(units.max() + 1)
    sizes = np.bincount(units)[order]
    chosen = order[np.cumsum(sizes) <= max(EVALUATION_SHARE * len(units), sizes[0])]
    return np.isin(units, chosen)


def time_cut(numbers: np.ndarray) -> np.ndarray:
    """The last rows, about a fifth: everything after a moment, no moment on both sides."""
    moments, counts = np.unique(numbers, return_counts=True)
    later = 1 - np.cumsum(counts) / len(numbers)
    cut = int(np.argmin(np.abs(later - EVALUATION_SHARE)))
    if not 0.02 <= later[cut] <= 0.6:
        raise NotApplicable("too few moments to cut at")
    return numbers > moments[cut]


def time_numbers(series: pl.Series) -> np.ndarray:
    """Moments as numbers in their order: microseconds of dates, numbers as they are."""
    if series.dtype == pl.Date:
        series = series.cast(pl.Datetime("us"))
    if series.dtype.is_temporal():
        series = series.dt.epoch("us")
    elif not series.dtype.is_numeric():
        raise NotApplicable(f"time column {series.name!r} is {series.dtype}")
    if series.null_count():
        raise NotApplicable(f"time column {series.name!r} has gaps")
    return series.to_numpy()


def factor(series: pl.Series) -> np.ndarray:
    """Number of the distinct value of each cell, 0 and up; a gap is a value."""
    return equal_rows(series.to_frame())


def equal_rows(frame: pl.DataFrame) -> np.ndarray:
    """Number of the distinct row of each row, in order of first occurrence."""
    groups = frame.with_row_index("\x00row").group_by(frame.columns, maintain_order=True).agg("\x00row")["\x00row"]
    lengths = groups.list.len().to_numpy()
    numbers = np.empty(frame.height, dtype=np.int64)
    numbers[groups.explode().to_numpy()] = np.repeat(np.arange(len(lengths)), lengths)
    return numbers
