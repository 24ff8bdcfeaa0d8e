"""What every kind plants in: the table, its target as numbers, and draws that do not depend on the strength."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from leaks.case import NotApplicable

MIN_OUTCOME_ROWS = 20


@dataclass(frozen=True)
class Ground:
    """A table to plant in.

    ``y`` holds class numbers or the number to forecast; in a control it is shuffled before planting where the control
    of the kind says so. Every draw has a name and a stream of its own, so that a case at 0.2 carries a subset of the
    rows of the same case at 0.4.
    """

    frame: pl.DataFrame
    target: str
    task: str
    kind: str
    strength: float
    seed: int
    control: bool
    roles: Mapping[str, str | None]

    @property
    def n(self) -> int:
        return self.frame.height

    @property
    def regression(self) -> bool:
        return self.task == "regression"

    @cached_property
    def y(self) -> np.ndarray:
        return encode(self.frame[self.target], self.task)

    @cached_property
    def n_classes(self) -> int:
        return int(self.y.max()) + 1

    @cached_property
    def shuffled(self) -> np.ndarray:
        """The target of another row, for rows that do not carry the leak."""
        return self.y[self.draw("others").permutation(self.n)]

    @cached_property
    def source(self) -> np.ndarray:
        """What is planted from: the target, or in a control the shuffled target."""
        return self.y[self.draw("control").permutation(self.n)] if self.control else self.y

    @cached_property
    def carry(self) -> np.ndarray:
        """Rows that carry the leak: a share of ``strength``, nested over strengths."""
        return self.draw("carry").random(self.n) < self.strength

    @cached_property
    def partly(self) -> np.ndarray:
        """The source on the rows that carry it, the shuffled target elsewhere."""
        return np.where(self.carry, self.source, self.shuffled)

    def draw(self, name: str) -> np.random.Generator:
        """A stream of its own for each use, equal at every strength and in the control."""
        words = [zlib.crc32(text.encode()) for text in (self.kind, self.target, name)]
        return np.random.default_rng([self.seed, self.n, *words])

    def pick(self, forms: tuple[str, ...]) -> str:
        """The form of this case."""
        return forms[int(self.draw("form").integers(len(forms)))]

    def outcome(self, y: np.ndarray) -> np.ndarray:
        """Rows of the rarest class with at least 20 rows, or the top fifth."""
        if self.regression:
            top = y >= np.quantile(y, 0.8)
            return y > np.quantile(y, 0.8) if top.mean() > 0.5 else top
        counts = np.bincount(self.y)
        large = np.flatnonzero(counts >= MIN_OUTCOME_ROWS)
        if len(large) == 0:
            raise NotApplicable("no class of 20 rows")
        return y == large[np.argmin(counts[large])]

    @cached_property
    def names(self) -> list[str]:
        """Names that say nothing."""
        codes = self.draw("names").integers(0, 16**6, 8)
        return [f"v_{code:06x}" for code in codes]

    @property
    def features(self) -> list[str]:
        left = {self.target, *(name for name in self.roles.values() if name)}
        return [name for name in self.frame.columns if name not in left]


@dataclass(frozen=True)
class Planted:
    """What a kind did to the table: new columns by name, or a new frame, and the truth about it."""

    form: str
    columns: dict[str, pl.Series] = field(default_factory=dict)
    helpers: dict[str, pl.Series] = field(default_factory=dict)
    rows: np.ndarray = field(default_factory=lambda: np.array([], dtype=np.int64))
    frame: pl.DataFrame | None = None
    roles: Mapping[str, str | None] | None = None
    split: np.ndarray | None = None


def encode(target: pl.Series, task: str) -> np.ndarray:
    """Class numbers in the order of their labels, or the numbers themselves."""
    if task == "regression":
        return target.cast(pl.Float64).to_numpy()
    labels = np.unique(target.cast(pl.String).to_numpy().astype(str), return_inverse=True)[1]
    return labels.reshape(-1).astype(np.int64)
