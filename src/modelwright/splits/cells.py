"""Cells of a table in a form in which rows can be compared: numbers in units of what counts as equal, codes for the rest.

A column of numbers is divided by its tolerance, so that two cells are near where their values differ by at most one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

#: Two numbers count as equal within this share of the standard deviation: four times the jitter of 0.001 that a copy
#: may have been given.
TOLERANCE = 4e-3
#: Width of a grid cell in tolerances: wide enough that few copies lie on two sides of a wall.
CELL = 12.0
_SAMPLE_ROWS = 20_000


@dataclass(frozen=True)
class Cells:
    """One column.

    Parameters
    ----------
    values : ndarray of shape (n,)
        float32 in units of the tolerance, NaN where missing; or uint32 codes.
    sample : ndarray
        Sorted values of some rows, without missing ones: how common a value is.
    n_sample : int
        Rows of the sample, missing ones included.
    n_missing : int
        Missing ones among them; 0 for codes, where missing is a code.
    """

    values: np.ndarray
    sample: np.ndarray
    n_sample: int
    n_missing: int

    @property
    def numeric(self) -> bool:
        return self.values.dtype == np.float32

    def surprise(self, values: np.ndarray, reach: float = 1.0) -> np.ndarray:
        """How much is said by another row agreeing with each value: -ln of the share of rows that agree by chance."""
        by = np.float32(reach) if self.numeric else np.uint32(0)
        low = np.searchsorted(self.sample, values - by, side="left")
        high = np.searchsorted(self.sample, values + by, side="right")
        agree = np.where(np.isnan(values), self.n_missing, high - low) if self.numeric else high - low
        return -np.log(np.minimum((agree + 1.0) / (self.n_sample + 1.0), 1.0))

    def agree(self, a: np.ndarray, b: np.ndarray, reach: float = 1.0) -> np.ndarray:
        """Whether two rows agree: numbers within ``reach`` tolerances, codes by equality; missing agrees with missing."""
        x, y = self.values[a], self.values[b]
        if not self.numeric:
            return np.asarray(x == y)
        return np.asarray((np.abs(x - y) <= reach) | (np.isnan(x) & np.isnan(y)))

    def grid(self, shift: float) -> np.ndarray:
        """Number of the grid cell of each row, as uint64; missing is a cell of its own."""
        if not self.numeric:
            return self.values.astype(np.uint64)
        cell = self.values * np.float32(1 / CELL) + np.float32(shift)
        np.floor(cell, out=cell)
        np.nan_to_num(cell, copy=False, nan=-3e38)
        return cell.view(np.uint32).astype(np.uint64)

    def grid_surprise(self) -> float:
        """-ln of the chance that two rows share a grid cell."""
        if self.numeric:
            values = np.floor(self.sample / CELL)
            _, counts = np.unique(values, return_counts=True)
            counts = np.append(counts, self.n_missing)
        else:
            _, counts = np.unique(self.sample, return_counts=True)
        return float(-np.log(max(float(((counts / max(1, self.n_sample)) ** 2).sum()), 1e-12)))


def read_cells(frame: pl.DataFrame, names: Sequence[str]) -> list[Cells]:
    """Comparable cells of the columns that are not constant.

    Parameters
    ----------
    frame : DataFrame of n rows
    names : sequence of str

    Returns
    -------
    list of Cells
        About 4 bytes a cell.
    """
    rows = np.arange(frame.height)
    if frame.height > _SAMPLE_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(frame.height, size=_SAMPLE_ROWS, replace=False))
    found = []
    for name in names:
        column = frame[name]
        if column.dtype.is_temporal():
            column = column.to_physical()
        values = _numbers(column) if column.dtype.is_numeric() else _codes(column)
        if values is None:
            values = _codes(column)
        part = values[rows]
        present = np.sort(part[~np.isnan(part)]) if values.dtype == np.float32 else np.sort(part)
        cells = Cells(values, present, len(part), len(part) - len(present))
        if not (len(present) and present[0] == present[-1] and not cells.n_missing) or (values != values[0]).any():
            found.append(cells)
    return found


def _numbers(column: pl.Series) -> np.ndarray | None:
    """Numbers in units of the tolerance; None for two values or fewer, which are codes."""
    numbers = column.cast(pl.Float64).to_numpy()
    part = numbers if len(numbers) <= _SAMPLE_ROWS else numbers[:: len(numbers) // _SAMPLE_ROWS]
    part = part[np.isfinite(part)]
    if len(part) < 3:
        return None
    low, middle, high = np.quantile(part, (0.005, 0.5, 0.995))
    # A few wild values must not make all others equal.
    tolerance = TOLERANCE * float(np.clip(part, low, high).std())
    if tolerance <= 0:
        tolerance = TOLERANCE * float(part.std())
    if column.dtype.is_integer():
        if part.max() - part.min() < 2:
            return None
        tolerance = max(tolerance, 1.01)  # one step
    if tolerance <= 0 or not np.isfinite(tolerance):
        return None
    with np.errstate(over="ignore"):
        return np.clip((numbers - middle) / tolerance, -1e30, 1e30).astype(np.float32)


def _codes(column: pl.Series) -> np.ndarray:
    """32 bits a cell, equal where the cells are; texts are compared without case and outer blanks."""
    if column.dtype == pl.Object:
        column = pl.Series(column.name, [str(v) for v in column.to_list()])
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        column = column.str.normalize("NFC").str.to_lowercase().str.strip_chars()
        column = column.str.replace_all(r"\s+", " ")
    return (column.to_frame().hash_rows(seed=0).to_numpy() >> np.uint64(32)).astype(np.uint32)
