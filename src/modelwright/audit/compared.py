"""Every column beside the target, as the checks of single columns look at it.

Features are read as the model reads them. Identifiers are looked at too, for a key may carry the target; prose is
looked at by its order and its gaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from scipy.stats import norm

from modelwright.audit.association import chance, draw_folds, indicators, noise, order_effect, quantile_codes, value_effect
from modelwright.tables.cells import stripped, without_declared
from modelwright.tables.schema import Column

#: Share of distinct cells from which values do not repeat enough for target means.
NEAR_UNIQUE = 0.95
#: Share of text cells that must hold digits for the column to be put in the order of its numbers.
_NUMBERED = 0.95

#: Standard deviations by formula outside of which permutations need not be asked: chance is at most some four
#: times as wide as the formula says (target means of many codes), and never narrower.
_CLEARLY_NOT, _CLEARLY = 2.0, 25.0
_LEVEL = 0.01


@dataclass(frozen=True)
class Cells:
    """One column on n compared rows.

    ``order`` puts the rows in a sequence (NaN where missing), ``codes`` number the values, or bins of a number
    (0 is a gap), ``exact`` number the values themselves. ``words`` says whether the cells are text.
    """

    column: Column
    order: np.ndarray | None
    codes: np.ndarray
    exact: np.ndarray
    missing: np.ndarray
    words: bool
    #: The cells as numbers, or the number in each text; None for text without.
    number: np.ndarray | None

    @property
    def name(self) -> str:
        return self.column.name

    @cached_property
    def n_distinct(self) -> int:
        """Distinct filled values."""
        return int(self.exact.max(initial=0))

    @property
    def near_unique(self) -> bool:
        """Whether nearly every filled cell is a value of its own."""
        filled = int((~self.missing).sum())
        return filled > 0 and self.n_distinct >= NEAR_UNIQUE * filled


@dataclass(frozen=True)
class Compared:
    """The columns, and the target of the same n rows.

    ``targets`` has shape (K, n), see `association.indicators`; ``y`` is the encoded target.
    """

    rows: np.ndarray
    y: np.ndarray
    classification: bool
    targets: np.ndarray
    folds: np.ndarray
    cells: dict[str, Cells]

    @property
    def n(self) -> int:
        return len(self.y)

    @cached_property
    def noise(self) -> float:
        return noise(self.targets, classification=self.classification)

    @cached_property
    def effects(self) -> dict[str, float]:
        """Effect of the values of each column: its order or its cross-fitted target means."""
        return {name: max(self.effect_of(view) for view in self.views(name)) for name in self.cells}

    @cached_property
    def gaps(self) -> dict[tuple[str, ...], np.ndarray]:
        """Columns that are missing in the same rows -> the mask; columns without gaps are left out."""
        found: dict[bytes, list[str]] = {}
        for name, cells in self.cells.items():
            if cells.missing.any() and not cells.missing.all():
                found.setdefault(cells.missing.tobytes(), []).append(name)
        return {tuple(names): self.cells[names[0]].missing for names in found.values()}

    def views(self, name: str) -> list[np.ndarray]:
        """What the effect of a column is taken over."""
        cells = self.cells[name]
        views = [] if cells.order is None else [cells.order]
        if not (cells.words and cells.near_unique):
            views.append(cells.codes)
        elif cells.order is not None:
            views.append(quantile_codes(cells.order))
        return views

    def effect_of(self, view: np.ndarray) -> float:
        """Effect of an order (float) or of codes (integers)."""
        if view.dtype.kind == "f":
            return order_effect(view, self.targets, classification=self.classification)
        return value_effect(view, self.targets, self.folds, classification=self.classification)

    def beyond_chance(self, views: list[np.ndarray], effect: float, n_tests: int) -> bool:
        """Whether an effect is larger than permuted targets give, at 1 % over all tests together."""
        if effect <= _CLEARLY_NOT * self.noise:
            return False
        if effect > _CLEARLY * self.noise:
            return True
        mean, sd = chance(views, self.targets, self.folds, classification=self.classification)
        return effect > mean + float(norm.isf(_LEVEL / max(1, n_tests))) * sd


def compare(
    features: pl.DataFrame,
    columns: Sequence[Column],
    identifiers: Mapping[Column, pl.Series],
    y: np.ndarray,
    *,
    classification: bool,
    rows: np.ndarray,
    group: np.ndarray | None = None,
    time: np.ndarray | None = None,
) -> Compared:
    """Put columns beside the target.

    Parameters
    ----------
    features : DataFrame of n rows
        Conformed cells of ``columns``.
    columns : sequence of Column
    identifiers : mapping of Column to Series of length n
        Cells as read of columns that are not learned from.
    y : ndarray of shape (n,)
        Encoded target.
    classification : bool
    rows : ndarray of shape (n,)
        Position of each row among the training rows.
    group, time : ndarray of shape (n,), optional
        Entity and moment of each row; the folds follow them.
    """
    cells = {column.name: _cells(column, features[column.name]) for column in columns}
    cells |= {column.name: _cells(column, _raw(values, column)) for column, values in identifiers.items()}
    targets = indicators(y, classification=classification)
    return Compared(rows, y, classification, targets, draw_folds(len(y), group, time), cells)


def _cells(column: Column, values: pl.Series) -> Cells:
    missing = values.is_null().to_numpy()
    exact = values.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    if values.dtype == pl.String:
        number = _number_in(values, exact)
        letters = np.where(exact == 0, np.nan, exact.astype(np.float64))
        return Cells(column, letters if number is None else number, exact, exact, missing, words=True, number=number)
    x = values.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return Cells(column, x, quantile_codes(x), exact, missing, words=False, number=x)


def _raw(values: pl.Series, column: Column) -> pl.Series:
    """Cells of an identifier: numbers stay numbers, so that 9 comes before 10."""
    if values.dtype in (pl.Categorical, pl.Enum):
        values = values.cast(pl.String)
    if values.dtype.is_numeric():
        return values.cast(pl.Float64).fill_nan(None)
    if values.dtype != pl.String:
        return values
    frame = values.to_frame().select(stripped(pl.col(values.name)))
    text = frame.select(without_declared(pl.col(values.name), pl.String(), column.missing_values)).to_series()
    numbers = text.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == text.null_count() else text


def _number_in(values: pl.Series, exact: np.ndarray) -> np.ndarray | None:
    """The last number in each text ("K9", "12.5 km"), if nearly every cell holds one and they tell the values apart."""
    number = values.str.extract(r"([+-]?\d+(?:\.\d+)?)\D*$", 1).cast(pl.Float64, strict=False)
    filled = len(values) - values.null_count()
    if not filled or number.is_not_null().sum() < _NUMBERED * filled or number.n_unique() <= 0.5 * int(exact.max(initial=0)):
        return None
    return number.fill_null(float("nan")).to_numpy()
