"""Cells of a table in a form in which rows can be compared: numbers in units of what counts as equal, codes for the rest.

A column of numbers is divided by its tolerance, so that two cells are near where their values differ by at most one.
"""

from __future__ import annotations

import numpy as np
import polars as pl

#: Two numbers count as equal within this share of the standard deviation: four times the jitter of 0.001 that a copy
#: may have been given.
TOLERANCE = 4e-3
#: Width of a grid cell in tolerances: wide enough that few copies lie on two sides of a wall.
CELL = 12.0
_SAMPLE_ROWS = 20_000
#: Texts that repeat so early are read once a level.
_FIRST_LOOK = 1000


class Cells:
    """One column of some rows of a table; cells are read when they are asked for.

    Parameters
    ----------
    column : Series
    rows : ndarray of int, optional
        Positions in the column; None is all of them. The cells count from 0 within these.
    keep : bool
        Whether to keep the cells once all have been read, at 4 bytes each.

    Attributes
    ----------
    numeric : bool
        Whether cells are numbers in units of the tolerance, NaN where missing; otherwise they are codes.
    varies : bool
        Whether there is more than one value.
    """

    def __init__(self, column: pl.Series, rows: np.ndarray | None, *, keep: bool) -> None:
        self._column, self._rows, self._keep = column, rows, keep
        self._kept: np.ndarray | None = None
        self._asked = 0
        self._counts: dict[float, np.ndarray] = {}
        self._counts_asked: dict[float, int] = {}
        self._n = n = len(column) if rows is None else len(rows)
        part = np.arange(n)
        if n > _SAMPLE_ROWS:
            part = np.sort(np.random.default_rng(0).choice(n, size=_SAMPLE_ROWS, replace=False))
        self._scale = _scale(self._gather(part))
        self.numeric = self._scale is not None
        values = self.at(part)
        self.sample = np.sort(values[~np.isnan(values)]) if self.numeric else np.sort(values)
        self.n_sample, self.n_missing = len(values), len(values) - len(self.sample)
        self._distinct, first = np.unique(self.sample, return_index=True)
        self._below = np.append(first, len(self.sample))
        missing = bool(self.n_missing)
        self.varies = len(self.sample) > 0 and (missing or self.sample[0] != self.sample[-1] or column.n_unique() > 1)

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Cells of some rows: float32, or uint32 codes."""
        if self._kept is None:
            self._asked += len(rows)
            # Asked for as many cells as there are, it is cheaper to read all of them once.
            if not self._keep or self._asked <= self._n:
                return self._read(self._gather(rows))
        return self.all()[rows]

    def all(self) -> np.ndarray:
        """Cells of all rows."""
        if self._kept is not None:
            return self._kept
        values = self._read(self._column if self._rows is None else self._column.gather(self._rows))
        if self._keep:
            self._kept = values
        return values

    def agree(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether cells agree: numbers within a tolerance, codes by equality; missing agrees with missing."""
        return np.asarray(x == y) if not self.numeric else self.distance(x, y) <= 1

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How many tolerances lie between cells: NaN where one is missing, 0 where both are; codes may not be asked."""
        between = np.abs(x - y)
        if self.n_missing or np.isnan(between).any():
            between[np.isnan(x) & np.isnan(y)] = 0
        return between

    def agreeing(self, rows: np.ndarray, reach: float = 1.0) -> np.ndarray:
        """How many rows of the sample agree by chance with the cell of each row within ``reach``, as uint16."""
        reach = reach if self.numeric else 1.0
        if reach not in self._counts:
            self._counts_asked[reach] = self._counts_asked.get(reach, 0) + len(rows)
            if self._kept is None or self._counts_asked[reach] <= self._n:
                return self._count(self.at(rows), reach)
            self._counts[reach] = self._count(self._kept, reach)
        return self._counts[reach][rows]

    def surprise(self) -> np.ndarray:
        """How much is said by another row agreeing with a cell with which 0, 1, … rows of the sample agree.

        -ln of the share of rows that agree by chance.
        """
        return -np.log(np.minimum((np.arange(self.n_sample + 1) + 1.0) / (self.n_sample + 1.0), 1.0))

    def _count(self, values: np.ndarray, reach: float) -> np.ndarray:
        by = np.float32(reach) if self.numeric else np.uint32(0)
        low = self._below[np.searchsorted(self._distinct, values - by, side="left")]
        high = self._below[np.searchsorted(self._distinct, values + by, side="right")]
        agree = high - low
        if self.numeric:
            agree[np.isnan(values)] = self.n_missing
        return agree.astype(np.uint16)

    def grid(self, shift: float) -> np.ndarray:
        """Number of the grid cell of each row, as uint64; missing is a cell of its own."""
        if not self.numeric:
            return self.all().astype(np.uint64)
        cell = self.all() * np.float32(1 / CELL)
        cell += np.float32(shift)
        np.floor(cell, out=cell)
        cell += np.float32(0)  # -0.0 and 0.0 are one cell
        np.nan_to_num(cell, copy=False, nan=-3e38)
        return cell.view(np.uint32).astype(np.uint64)

    def grid_surprise(self) -> float:
        """-ln of the chance that two rows share a grid cell."""
        values = np.floor(self.sample / CELL) if self.numeric else self.sample
        counts = np.append(np.unique(values, return_counts=True)[1], self.n_missing)
        return float(-np.log(max(float(((counts / max(1, self.n_sample)) ** 2).sum()), 1e-12)))

    def _gather(self, rows: np.ndarray) -> pl.Series:
        return self._column.gather(rows if self._rows is None else self._rows[rows])

    def _read(self, column: pl.Series) -> np.ndarray:
        if self._scale is None:
            return _codes(column)
        middle, tolerance = self._scale
        with np.errstate(over="ignore"):
            return np.clip((_as_numbers(column) - middle) / tolerance, -1e30, 1e30).astype(np.float32)


def _as_numbers(column: pl.Series) -> np.ndarray:
    return (column.to_physical() if column.dtype.is_temporal() else column).cast(pl.Float64).to_numpy()


def _scale(sample: pl.Series) -> tuple[float, float] | None:
    """Middle and tolerance of a column of numbers; None for what is compared as it is, two numbers included."""
    if not (sample.dtype.is_numeric() or sample.dtype.is_temporal()):
        return None
    part = _as_numbers(sample)
    part = part[np.isfinite(part)]
    if len(part) < 3 or (part[0] == part).all():
        return None
    low, middle, high = (float(q) for q in np.quantile(part, (0.005, 0.5, 0.995)))
    # A few wild values must not make all others equal.
    tolerance = TOLERANCE * (float(np.clip(part, low, high).std()) or float(part.std()))
    if sample.dtype.is_integer():
        if part.max() - part.min() < 2:
            return None
        tolerance = max(tolerance, 1.01)  # one step
    return (middle, tolerance) if 0 < tolerance < np.inf else None


def _codes(column: pl.Series) -> np.ndarray:
    """32 bits a cell, equal where the cells are; texts are compared without case and outer blanks."""
    if column.dtype == pl.Object:
        column = pl.Series(column.name, [str(v) for v in column.to_list()])
    if column.dtype in (pl.Categorical, pl.Enum):
        # Each level is read once, not each cell; the last place is for missing cells.
        levels = column.drop_nulls().unique()
        number = levels.to_physical().cast(pl.Int64).to_numpy()
        codes = np.zeros(int(number.max(initial=-1)) + 2, dtype=np.uint32)
        codes[number] = _codes(levels.cast(pl.String))
        return codes[column.to_physical().cast(pl.Int64).fill_null(len(codes) - 1).to_numpy()]
    if column.dtype == pl.String:
        if len(column) > _FIRST_LOOK and column.head(_FIRST_LOOK).n_unique() <= _FIRST_LOOK // 4:
            return _codes(column.cast(pl.Categorical))
        column = column.str.normalize("NFC").str.to_lowercase().str.strip_chars()
        column = column.str.replace_all(r"\s+", " ")
    return (column.to_frame().hash_rows(seed=0).to_numpy() >> np.uint64(32)).astype(np.uint32)
