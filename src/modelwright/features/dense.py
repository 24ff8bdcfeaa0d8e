"""Dense coding: a `Matrix` as one float64 array, for learners that measure distances or sums.

Numeric columns are imputed with the median (plus a missing indicator where training had missing cells), bent when
skewed, and scaled. Coded columns become one-hot columns of their most frequent levels; columns with more levels
than that also get a target encoding (`features.target_encoding`) where there is a target. Columns that are constant
in training are left out.

Notation: n rows, d output columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from modelwright.features.matrix import Matrix
from modelwright.features.target_encoding import TargetEncoder
from modelwright.tables.schema import Task

Scaling = Literal["standard", "robust"]
Skew = Literal["quantile", "log", "none"]
_SCALINGS: tuple[Scaling, ...] = ("standard", "robust")
_SKEWS: tuple[Skew, ...] = ("quantile", "log", "none")

#: Beyond this sample skewness a column is bent (AutoGluon's linear model uses the same bound).
_SKEW_BOUND = 0.99
#: Nodes of the stored map from values to normal scores.
_QUANTILES = 129
#: Rows that medians, quantiles and skewness are computed from.
_SAMPLE_ROWS = 50_000
#: Learned arrays, named as in the file.
_LEARNED = (
    "numeric",
    "median",
    "kind",
    "bend",
    "centre",
    "scale",
    "indicators",
    "level_column",
    "level_code",
    "encoded",
    "encoded_centre",
    "encoded_scale",
)


class DenseCoder:
    """Learned coding from `Matrix` to a dense array.

    Parameters
    ----------
    scaling : {"standard", "robust"}, default="standard"
        "standard" subtracts the mean and divides by the standard deviation; "robust" uses median and
        interquartile range and then bends outliers smoothly into (-3, 3) by x / sqrt(1 + (x / 3)^2).
    skew : {"quantile", "log", "none"}, default="none"
        What is done with numeric columns of skewness beyond 0.99: a map to normal scores through stored
        quantiles, a signed logarithm, or nothing.
    max_levels : int, default=40
        One-hot columns per coded column at most.
    max_columns : int, default=2000
        One-hot columns in all at most; the most frequent levels are kept.
    max_cells : int, default=40_000_000
        Training rows times output columns at most (lowers ``max_columns`` on long tables; 8 bytes a cell).
    text_components : bool, default=True
        Whether the trailing numeric columns that came from text are kept.
    """

    def __init__(
        self,
        *,
        scaling: Scaling = "standard",
        skew: Skew = "none",
        max_levels: int = 40,
        max_columns: int = 2000,
        max_cells: int = 40_000_000,
        text_components: bool = True,
    ) -> None:
        self.scaling = scaling
        self.skew = skew
        self.max_levels = max_levels
        self.max_columns = max_columns
        self.max_cells = max_cells
        self.text_components = text_components
        self._one_row: Callable[[Matrix], np.ndarray] | None = None

    def fit(
        self, X: Matrix, y: np.ndarray | None = None, *, task: Task = "clustering", n_classes: int = 0, seed: int = 0
    ) -> DenseCoder:
        """Learn the coding from training rows; ``y`` is read for target encodings only."""
        self.fit_transform(X, y, task=task, n_classes=n_classes, seed=seed)
        return self

    def fit_transform(
        self, X: Matrix, y: np.ndarray | None = None, *, task: Task = "clustering", n_classes: int = 0, seed: int = 0
    ) -> np.ndarray:
        """Learn the coding and code the same rows, target encodings out of fold; float64 of shape (n, d)."""
        self._one_row = None
        self._fit_numeric(X)
        high = self._fit_levels(X)
        self.encoded_ = np.array([] if y is None else high, dtype=np.int64)
        self.encoder_ = TargetEncoder()
        self.encoded_centre_ = self.encoded_scale_ = np.zeros(0)
        if y is None or not high:
            return self.transform(X)
        cardinalities = [X.layout.cardinalities[j] for j in high]
        encoded = self.encoder_.fit_transform(X.codes[:, high], cardinalities, y, task=task, n_classes=n_classes, seed=seed)
        everything = self.encoder_.transform(X.codes[:, high]).astype(np.float64)
        deviation = everything.std(axis=0)
        self.encoded_centre_ = everything.mean(axis=0)
        self.encoded_scale_ = np.where(deviation > 0, deviation, 1.0)
        out = self.transform(X)
        out[:, out.shape[1] - encoded.shape[1] :] = (encoded - self.encoded_centre_) / self.encoded_scale_
        return out

    def _fit_numeric(self, X: Matrix) -> None:
        p = X.numeric.shape[1]
        used = p if self.text_components else p - X.layout.text_components
        columns, medians, kinds, bends, centres, scales, indicators = [], [], [], [], [], [], []
        stride = max(1, X.n_rows // _SAMPLE_ROWS)
        for j in range(used):
            whole = np.asarray(X.numeric[:, j], dtype=np.float64)
            missing = np.isnan(whole)
            if missing.any() and not missing.all():
                indicators.append(j)
            known = whole[~missing]
            if known.size == 0 or known.min() == known.max():
                continue
            sample = known[::stride] if np.ptp(known[::stride]) > 0 else known
            median = float(np.median(sample))
            kind, bend = self._bend(sample, median)
            bent = _bent(np.where(missing, median, whole), kind, bend)
            centre, scale = self._location_scale(bent)
            if not scale > 0:
                continue
            columns.append(j)
            medians.append(median)
            kinds.append(kind)
            bends.append(bend)
            centres.append(centre)
            scales.append(scale)
        self.numeric_ = np.array(columns, dtype=np.int64)
        self.median_ = np.array(medians, dtype=np.float64)
        self.kind_ = np.array(kinds, dtype=np.int64)
        self.bend_ = np.array(bends, dtype=np.float64).reshape(len(columns), _QUANTILES)
        self.centre_ = np.array(centres, dtype=np.float64)
        self.scale_ = np.array(scales, dtype=np.float64)
        self.indicators_ = np.array(indicators, dtype=np.int64)

    def _bend(self, sample: np.ndarray, median: float) -> tuple[int, np.ndarray]:
        """How a skewed column is bent: its kind (index into `_SKEWS` names) and the parameters of the bend."""
        bend = np.zeros(_QUANTILES)
        centred = sample - sample.mean()
        deviation = centred.std()
        if self.skew == "none" or not deviation > 0 or abs(np.mean((centred / deviation) ** 3)) <= _SKEW_BOUND:
            return _SKEWS.index("none"), bend
        if self.skew == "quantile":
            return _SKEWS.index("quantile"), np.quantile(sample, np.linspace(0.0, 1.0, _QUANTILES))
        spread = float(np.median(np.abs(sample - median))) or float(deviation)
        bend[:2] = median, spread
        return _SKEWS.index("log"), bend

    def _location_scale(self, values: np.ndarray) -> tuple[float, float]:
        if self.scaling == "standard":
            return float(values.mean()), float(values.std())
        low, centre, high = np.quantile(values, [0.25, 0.5, 0.75])
        scale = float(high - low) / 1.349  # the interquartile range of a standard normal
        # A column with more than half of its cells equal has no interquartile range.
        return float(centre), scale if scale > 0 else float(values.std())

    def _fit_levels(self, X: Matrix) -> list[int]:
        """Choose the one-hot levels; returns the coded columns with more levels than were chosen."""
        found: list[tuple[int, int, int]] = []
        high = []
        for j in range(X.codes.shape[1]):
            levels, counts = np.unique(X.codes[:, j], return_counts=True)
            if len(levels) < 2:
                continue
            order = np.lexsort((levels, -counts))[: self.max_levels]
            if len(levels) == 2:
                order = order[1:]  # the second column of a pair would repeat the first
            if len(levels) > self.max_levels:
                high.append(j)
            found.extend((int(counts[i]), j, int(levels[i])) for i in order)
        fixed = len(self.numeric_) + len(self.indicators_) + len(high)
        room = max(0, min(self.max_columns, self.max_cells // max(X.n_rows, 1) - fixed))
        kept = sorted(found, key=lambda item: (-item[0], item[1], item[2]))[:room]
        high = sorted({*high, *(j for _, j, _ in set(found) - set(kept))})
        kept.sort(key=lambda item: (item[1], item[2]))
        self.level_column_ = np.array([j for _, j, _ in kept], dtype=np.int64)
        self.level_code_ = np.array([code for _, _, code in kept], dtype=np.int64)
        return high

    def transform(self, X: Matrix) -> np.ndarray:
        """Code rows; float64 of shape (n, d), finite. Every row is coded independently of the others."""
        n = X.n_rows
        if n == 1:
            return self._row_coder()(X)
        out = np.zeros((n, self.n_columns))
        for position, j in enumerate(self.numeric_):
            values = np.asarray(X.numeric[:, j], dtype=np.float64)
            values = np.where(np.isnan(values), self.median_[position], values)
            values = _bent(values, int(self.kind_[position]), self.bend_[position])
            values = (values - self.centre_[position]) / self.scale_[position]
            out[:, position] = values / np.sqrt(1.0 + (values / 3.0) ** 2) if self.scaling == "robust" else values
        at = len(self.numeric_)
        for j in self.indicators_:
            out[:, at] = np.isnan(X.numeric[:, j])
            at += 1
        for j in np.unique(self.level_column_):
            codes_of = self.level_code_[self.level_column_ == j]
            codes = np.asarray(X.codes[:, j])
            order = np.clip(np.searchsorted(codes_of, codes), 0, len(codes_of) - 1)
            rows = np.flatnonzero(codes_of[order] == codes)
            out[rows, at + order[rows]] = 1.0
            at += len(codes_of)
        if len(self.encoded_):
            encoded = self.encoder_.transform(np.asarray(X.codes[:, self.encoded_]))
            out[:, at:] = (encoded - self.encoded_centre_) / self.encoded_scale_
        return out

    def _row_coder(self) -> Callable[[Matrix], np.ndarray]:
        """The same for one row, with everything looked up that can be; made once."""
        if self._one_row is None:
            from modelwright.features.dense_row import dense_row

            self._one_row = dense_row(self)
        return self._one_row

    @property
    def n_columns(self) -> int:
        """Number d of output columns."""
        return len(self.numeric_) + len(self.indicators_) + len(self.level_column_) + len(self.encoded_centre_)

    def sources(self, n_numeric: int) -> np.ndarray:
        """Input column of each output column: numeric 0..p-1, then coded p..p+q-1; shape (d,)."""
        encoded = np.repeat(self.encoded_, len(self.encoded_centre_) // max(len(self.encoded_), 1))
        parts = [self.numeric_, self.indicators_, self.level_column_ + n_numeric, encoded + n_numeric]
        return np.concatenate(parts).astype(np.int64)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The learned coding as plain arrays for an ``.npz`` file."""
        options = [_SCALINGS.index(self.scaling), _SKEWS.index(self.skew), self.max_levels, int(self.text_components)]
        arrays = {"options": np.array(options), "limits": np.array([self.max_columns, self.max_cells])}
        arrays |= {name: getattr(self, f"{name}_") for name in _LEARNED}
        return arrays | {f"encoder_{name}": array for name, array in self.encoder_.to_arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> DenseCoder:
        """The inverse of `to_arrays`."""
        scaling, skew, max_levels, text_components = (int(value) for value in arrays["options"])
        max_columns, max_cells = (int(value) for value in arrays["limits"])
        coder = cls(
            scaling=_SCALINGS[scaling],
            skew=_SKEWS[skew],
            max_levels=max_levels,
            max_columns=max_columns,
            max_cells=max_cells,
            text_components=bool(text_components),
        )
        for name in _LEARNED:
            setattr(coder, f"{name}_", arrays[name])
        prefix = "encoder_"
        coder.encoder_ = TargetEncoder.from_arrays({k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)})
        return coder


def _bent(values: np.ndarray, kind: int, bend: np.ndarray) -> np.ndarray:
    """Apply the bend of one column."""
    if _SKEWS[kind] == "log":
        centred = (values - bend[0]) / bend[1]
        return np.asarray(np.sign(centred) * np.log1p(np.abs(centred)))
    if _SKEWS[kind] == "quantile":
        return np.asarray(np.interp(values, *quantile_nodes(bend)))
    return values


def bend_name(kind: int) -> Skew:
    """What is done with a column, by the number that stands in ``kind_``."""
    return _SKEWS[kind]


def quantile_nodes(bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct stored quantiles of a column, and their normal scores."""
    from scipy.special import ndtri

    # Half a step from 0 and 1 keeps the normal scores of the extremes finite.
    half = 0.5 / _QUANTILES
    nodes, first, repeats = np.unique(bend, return_index=True, return_counts=True)
    ranks = (first + (repeats - 1) / 2.0) / (_QUANTILES - 1)
    return nodes, np.asarray(ndtri(np.clip(ranks, half, 1.0 - half)))
