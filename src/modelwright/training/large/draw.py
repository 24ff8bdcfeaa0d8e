"""One pass over a large table: the side of every row, a sample to search on, and the sealed rows to evaluate on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from modelwright.splits.hashed import by_row_number, positions
from modelwright.splits.hashed_sides import EVALUATION, LEFT_OUT, RESERVE, SAMPLED, TRAINING, Sides, reader_of_moments
from modelwright.tables.settled import Settled

#: Training rows to search on, sealed rows to evaluate on, and the cells that either may take; more rows of a wide table
#: would not fit beside the fits, more of a narrow one would only cost time.
SAMPLE_ROWS, SEALED_ROWS, MOST_CELLS = 200_000, 500_000, 20_000_000
#: Rows of a rare class that the sample holds, as far as there are so many.
FEWEST_OF_CLASS = 200
#: Drawn beyond what is wanted, because rows come by chance and are then cut back.
_BEYOND = 1.1


@dataclass(frozen=True)
class Part:
    """Some rows of the table with their row numbers, ascending."""

    frame: pl.DataFrame
    rows: np.ndarray


@dataclass(frozen=True)
class Drawn:
    """What one pass kept.

    Attributes
    ----------
    side : ndarray of shape (n_rows,), uint8
        Of every row: `LEFT_OUT`, `TRAINING`, `SAMPLED` (which trains too), `EVALUATION` or `RESERVE`.
    sample : Part
        Training rows to search on.
    weight : ndarray or None
        How many rows each row of the sample stands for, with mean 1; None where all stand for the same number.
    evaluation, reserve : Part
        Sealed rows, or as many of them as are evaluated on.
    n_unlabelled : int
        Rows without a target, which are left out.
    times : Series or None
        Cells of the time column of training rows, the first and the last moment among them.
    """

    side: np.ndarray
    sample: Part
    weight: np.ndarray | None
    evaluation: Part
    reserve: Part
    n_unlabelled: int
    times: pl.Series | None = None

    def count(self, side: int) -> int:
        """Number of rows of a side."""
        return int(np.count_nonzero(self.side == side))


def draw(
    table: Settled,
    sides: Sides | None,
    labelled: Callable[[pl.DataFrame], np.ndarray],
    *,
    target: str | None,
    time: str | None = None,
    sample_rows: int = SAMPLE_ROWS,
    sealed_rows: int = SEALED_ROWS,
    seed: int = 0,
) -> Drawn:
    """Read all rows once more and keep what the flow needs in memory.

    Parameters
    ----------
    table : Settled
        With the counts of the target's cells, where it has few different ones.
    sides : Sides or None
        None lets all rows train.
    labelled : callable
        From a batch to a mask of the rows that have a target.
    target, time : str or None
        Columns.
    sample_rows, sealed_rows : int
        At most so many, and at most `MOST_CELLS` cells each.
    seed : int

    Returns
    -------
    Drawn
        The same for the same table and seed, however it is cut into files.
    """
    most = max(1_000, MOST_CELLS // max(len(table.types), 1))
    sample_rows, sealed_rows = min(sample_rows, most), min(sealed_rows, most)
    share = sides.share if sides is not None else 0.0
    reserve = sides.reserve if sides is not None else 0.0
    strata = _Strata(table, target, sample_rows, max(1e-9, 1.0 - share - reserve))
    sealed = {EVALUATION: share, RESERVE: reserve}
    kept: dict[int, list[pl.DataFrame]] = {TRAINING: [], EVALUATION: [], RESERVE: []}
    numbers: dict[int, list[np.ndarray]] = {TRAINING: [], EVALUATION: [], RESERVE: []}
    picks: list[np.ndarray] = []
    strata_of: list[np.ndarray] = []
    side = np.empty(table.n_rows, dtype=np.uint8)
    totals = np.zeros(strata.n, dtype=np.int64)
    start = n_unlabelled = 0
    ends = None if time is None else _Ends(table, time)
    for stored in table.scan.batches():
        batch = table.typed(stored)
        here, place = sides.of(batch, start) if sides is not None else _all_train(batch.height)
        has_target = labelled(batch)
        n_unlabelled += int((~has_target).sum())
        here[~has_target] = LEFT_OUT
        side[start : start + batch.height] = here
        if ends is not None:
            ends.see(batch, here == TRAINING)
        stratum = strata.of(stored)
        totals += np.bincount(stratum[here == TRAINING], minlength=strata.n)
        pick = positions(by_row_number(start, batch.height, salt=f"sample {seed}"))
        chosen = {TRAINING: np.flatnonzero((here == TRAINING) & (pick < strata.chance[stratum]))}
        for part, portion in sealed.items():
            wanted = min(1.0, sealed_rows / max(1.0, portion * table.n_rows))
            chosen[part] = np.flatnonzero((here == part) & (place < wanted))
        for part, rows in chosen.items():
            if len(rows):
                kept[part].append(batch[rows])
                numbers[part].append(rows + start)
        picks.append(pick[chosen[TRAINING]])
        strata_of.append(stratum[chosen[TRAINING]])
        start += batch.height
    empty = table.typed(table.scan.head(1))[:0]
    parts = {part: _part(kept[part], numbers[part], empty) for part in kept}
    sample, weight = strata.cut(parts[TRAINING], np.concatenate(picks), np.concatenate(strata_of), totals)
    side[sample.rows] = SAMPLED
    return Drawn(side, sample, weight, parts[EVALUATION], parts[RESERVE], n_unlabelled, None if ends is None else ends.cells)


class _Ends:
    """Cells of a column of time: of each batch the earliest and the latest."""

    def __init__(self, table: Settled, time: str) -> None:
        look = table.typed(table.scan.head())[time]
        self._time, self._moments, self.cells = time, reader_of_moments(look), look[:0]

    def see(self, batch: pl.DataFrame, trains: np.ndarray) -> None:
        """Look at the rows of a batch that train."""
        cells = batch[self._time].filter(trains)
        moments = self._moments(cells)
        if not np.isnan(moments).all():
            self.cells = self.cells.append(cells[[int(np.nanargmin(moments)), int(np.nanargmax(moments))]])


class _Strata:
    """How many rows of each class the sample takes; one stratum where the target has many values, or there is none."""

    def __init__(self, table: Settled, target: str | None, sample_rows: int, training_share: float) -> None:
        counts = table.counts.get(target) if target is not None else None
        self._target = target
        self._values = sorted(str(value) for value in counts if value is not None) if counts else []
        self.n = len(self._values) + 1  # the last is for cells that are no class
        rows = np.array([counts[value] for value in self._values] if counts else [], dtype=np.float64)
        if not self._values:
            self._wanted = np.array([float(sample_rows)])
            rows = np.array([float(table.n_rows)])
        else:
            fewest = min(FEWEST_OF_CLASS, sample_rows // (2 * len(rows)))
            self._wanted = np.append(np.maximum(sample_rows * rows / rows.sum(), fewest), 0.0)
            rows = np.append(rows, 1.0)
        spread = 4.0 * np.sqrt(self._wanted) + 10.0
        self.chance = np.minimum(1.0, (_BEYOND * self._wanted + spread) / (rows * training_share))
        if self._values:
            self.chance[-1] = 0.0

    def of(self, stored: pl.DataFrame) -> np.ndarray:
        """Stratum of each row of a batch as stored."""
        if self._target is None or not self._values:
            return np.zeros(stored.height, dtype=np.int64)
        cells = stored[self._target].cast(pl.String)
        codes = pl.Series(range(len(self._values)), dtype=pl.Int64)
        found = cells.replace_strict(pl.Series(self._values), codes, default=self.n - 1, return_dtype=pl.Int64)
        return found.fill_null(self.n - 1).to_numpy()

    def cut(self, drawn: Part, pick: np.ndarray, stratum: np.ndarray, totals: np.ndarray) -> tuple[Part, np.ndarray | None]:
        """The rows wanted of each stratum, those of the lowest hash, and what each stands for."""
        keep = np.zeros(len(pick), dtype=bool)
        stands_for = np.ones(len(pick))
        wanted = self._wanted if not self._values else _apportioned(self._wanted, totals)
        for k in range(self.n):
            rows = np.flatnonzero(stratum == k)
            chosen = rows[np.argsort(pick[rows], kind="stable")[: round(wanted[k])]]
            keep[chosen] = True
            if len(chosen):
                stands_for[chosen] = totals[k] / len(chosen)
        rows = np.flatnonzero(keep)
        weight = stands_for[rows] / stands_for[rows].mean() if len(rows) else stands_for[rows]
        # Rounding of the counts is no reason to weigh.
        uneven = len(rows) and weight.max() > 1.2 * weight.min()
        return Part(drawn.frame[rows], drawn.rows[rows]), weight if uneven else None


def _apportioned(wanted: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """What is wanted of each class by the rows that really train."""
    size = wanted.sum()
    fewest = min(FEWEST_OF_CLASS, size // (2 * max(1, len(wanted) - 1)))
    return np.minimum(totals, np.maximum(size * totals / max(1, totals.sum()), fewest))


def _all_train(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(n_rows, TRAINING, dtype=np.uint8), np.zeros(n_rows)


def _part(frames: list[pl.DataFrame], numbers: list[np.ndarray], empty: pl.DataFrame) -> Part:
    if not frames:
        return Part(empty, np.empty(0, dtype=np.int64))
    return Part(pl.concat(frames).rechunk(), np.concatenate(numbers))
