"""Sides of the rows of a table that comes in batches: what trains, what is sealed, what takes no part.

The rules are those of `splits.seal`, decided by each row's hash (`splits.hashed`) instead of by a draw over all rows:
copies and entities stay whole because equal cells have equal hashes, and classes keep their shares because the hash
knows nothing of them. Near copies are not looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl

from modelwright.errors import DataError
from modelwright.splits.cut import PANEL, cut_values
from modelwright.splits.hashed import by_row_number, positions, row_hashes
from modelwright.splits.order import gap_length, time_values
from modelwright.splits.partition import Rule
from modelwright.tables.dates import find_formats, parse_dates

#: Rows of the sample train too; their own number tells them from the others that train.
LEFT_OUT, TRAINING, EVALUATION, RESERVE, SAMPLED = 0, 1, 2, 3, 4
#: Moments from which a cut in time is taken; a quantile of a million values is right to a tenth of a percent.
_MOMENTS = 1_000_000
HashRule = Literal["random", "group", "time", "group_time"]


@dataclass(frozen=True)
class Sides:
    """Decides the side of every row of a batch.

    Parameters
    ----------
    rule : {"random", "group", "time", "group_time"}
    share, reserve : float
        Shares of the rows to seal for the evaluation and besides.
    seed : int
    content : tuple of str
        Columns in which copies are recognised; empty makes every row a case of its own.
    group, time : str or None
    cuts : tuple of float
        Moments from which rows evaluate, and from which they are the reserve; for a cut in time.
    gap : float
        Length of time before the cut whose rows take no part, in the units of `order.time_values`.
    late : ndarray of uint64
        Hashes of the entities that occur after the cut, ascending; their earlier rows do not train ("group_time").
    moments : callable
        From the time column to numbers that sort.
    """

    rule: HashRule
    share: float
    reserve: float
    seed: int
    content: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    cuts: tuple[float, ...] = ()
    gap: float = 0.0
    late: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    moments: Callable[[pl.Series], np.ndarray] = time_values

    def place(self, batch: pl.DataFrame, start: int) -> np.ndarray:
        """Where each row of a batch lies in [0, 1); equal for rows that must stay together."""
        salt = f"side {self.seed}"
        alone = positions(by_row_number(start, batch.height, salt=salt))
        if self.rule in ("time", "group_time"):
            return alone
        whole = positions(row_hashes(batch, self.content, salt=salt)) if self.content else alone
        if self.rule != "group" or self.group is None:
            return whole
        # A row without a group is an entity of its own.
        known = batch[self.group].is_not_null().to_numpy()
        return np.where(known, positions(row_hashes(batch, [self.group], salt=salt)), whole)

    def of(self, batch: pl.DataFrame, start: int) -> tuple[np.ndarray, np.ndarray]:
        """Side of each row (uint8), and its place within its side in [0, 1), by which a part of a side is taken."""
        place = self.place(batch, start)
        side = np.full(batch.height, TRAINING, dtype=np.uint8)
        if self.time is not None and self.rule in ("time", "group_time"):
            moment = self.moments(batch[self.time])
            with np.errstate(invalid="ignore"):
                late = moment >= self.cuts[0]
                side[~late & (moment > self.cuts[0] - self.gap)] = LEFT_OUT
                side[late] = EVALUATION
                if len(self.cuts) > 1:
                    side[moment >= self.cuts[1]] = RESERVE
            if self.rule == "group_time" and self.group is not None and len(self.late):
                known = np.isin(_entities(batch[self.group], self.seed), self.late) & batch[self.group].is_not_null().to_numpy()
                side[(side == TRAINING) & known] = LEFT_OUT
            return side, place
        sealed = self.share + self.reserve
        side[place < sealed] = RESERVE
        side[place < self.share] = EVALUATION
        within = np.where(place < self.share, place / self.share, (place - self.share) / max(self.reserve, 1e-300))
        return side, np.where(place < sealed, within, (place - sealed) / (1 - sealed))


def _entities(group: pl.Series, seed: int) -> np.ndarray:
    return row_hashes(group.to_frame(), [group.name], salt=f"entity {seed}")


def reader_of_moments(look: pl.Series) -> Callable[[pl.Series], np.ndarray]:
    """`order.time_values` with the formats that the first rows show, so that every batch is read alike.

    Raises
    ------
    DataError
        If the column holds neither times nor numbers.
    """
    time_values(look)  # refuses what is no time
    if look.dtype != pl.String:
        return time_values
    text = look.str.strip_chars()
    if text.cast(pl.Float64, strict=False).null_count() <= text.null_count():
        return lambda cells: cells.str.strip_chars().cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy().copy()
    found = find_formats(text)
    formats = () if found is None else found.formats
    return lambda cells: time_values(parse_dates(cells.str.strip_chars(), formats))


def sides_in_time(
    batches: Callable[[list[str]], Iterable[pl.DataFrame]],
    look: pl.DataFrame,
    *,
    n_rows: int,
    time: str,
    group: str | None,
    share: float,
    reserve: float,
    gap: str | float | None,
    rule: Rule | None,
    seed: int,
) -> Sides:
    """The cut in time, and with a group column whether entities are kept apart by it, as `splits.by_time` does.

    Parameters
    ----------
    batches : callable
        From columns to all rows in batches; called once or twice.
    look : DataFrame
        The first rows.
    n_rows : int
    time : str
    group : str or None
    share, reserve, gap, rule, seed
        As in `splits.seal.seal`.

    Raises
    ------
    DataError
        If the times order too few rows, or the rule asks to keep a panel of entities apart.
    """
    moments = reader_of_moments(look[time])
    kept: list[np.ndarray] = []
    start = n_missing = 0
    for batch in batches([time]):
        moment = moments(batch[time])
        n_missing += int(np.isnan(moment).sum())
        drawn = positions(by_row_number(start, batch.height, salt=f"moments {seed}")) < _MOMENTS / n_rows
        kept.append(moment[drawn & ~np.isnan(moment)])
        start += batch.height
    sample = np.concatenate(kept) if kept else np.empty(0)
    where = f"column {time!r}"
    if n_missing > 0.5 * n_rows:
        raise DataError(
            f"{n_missing:,} of {n_rows:,} rows have no readable time, so it is unknown which rows are later.",
            where=where,
            mend="Fill in the times, drop the rows without one, or leave out the time option.",
        )
    if len(np.unique(sample)) < 2:
        raise DataError(
            "All rows have the same time, so none are later than others.", where=where, mend="Leave out the time option."
        )
    shares = (share + reserve, reserve) if reserve else (share,)
    cuts = tuple(cut_values(sample, shares))
    length = gap_length(gap, look[time]) if gap is not None else 0.0
    base = Sides("time", share, reserve, seed, (), group, time, cuts, length, moments=moments)
    if group is None or rule == "time":
        return base
    late, panel = _entities_by_cut(batches([time, group]), base)
    if not panel:
        return Sides("group_time", share, reserve, seed, (), group, time, cuts, length, late, moments)
    if rule == "group_time":
        raise DataError(
            f"Most entities of {group!r} go on through the cut in time, so keeping them apart needs all rows in memory.",
            where="partition",
            mend='Use partition = "time" or partition = "group" for a table of this size.',
        )
    return base


def _entities_by_cut(batches: Iterable[pl.DataFrame], sides: Sides) -> tuple[np.ndarray, bool]:
    """Entities that occur after the cut, and whether entities go on through it (`splits.cut.is_panel`)."""
    assert sides.time is not None
    assert sides.group is not None
    parts: list[pl.DataFrame] = []
    for batch in batches:
        moment = sides.moments(batch[sides.time])
        with np.errstate(invalid="ignore"):
            late = moment >= sides.cuts[0]
        cells = pl.DataFrame({"entity": _entities(batch[sides.group], sides.seed), "late": late, "early": ~late})
        known = cells.filter(batch[sides.group].is_not_null())
        parts.append(known.group_by("entity").agg(pl.col("late").sum(), pl.col("early").sum()))
        if len(parts) > 16:
            parts = [_together(parts)]
    all_of = _together(parts)
    both = all_of.filter((pl.col("late") > 0) & (pl.col("early") > 0))
    going_on = max(float(both[side].sum()) / max(1.0, float(all_of[side].sum())) for side in ("late", "early"))
    return np.sort(all_of.filter(pl.col("late") > 0)["entity"].to_numpy()), going_on > PANEL


def _together(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts).group_by("entity").agg(pl.col("late").sum(), pl.col("early").sum())
