"""What the boosted-tree learners (`lightgbm`, `catboost`, `xgboost`) share: everything around the library call.

Notation: n rows, p numeric and q coded columns, K classes of the task, k classes present in the training rows.

The libraries differ in how a tree is grown. They agree on the rest, which lives here: absent classes, constant
targets, the scale of a regression target, when to stop, the recorded curve, and the files.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from msgspec.structs import replace

from modelwright.errors import BundleError, DataError, MissingExtraError
from modelwright.features.matrix import Matrix
from modelwright.learners.base import Curve, FitResult, Learner, Validation
from modelwright.learners.fitting import all_classes, mean_one
from modelwright.tables.schema import Task

#: The tasks that boosted trees and the network learn.
SUPERVISED: tuple[Task, ...] = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Rows:
    """Rows ready for a library: target numbered 0..k-1 or standardised, no row of weight zero."""

    X: Matrix
    target: np.ndarray
    weight: np.ndarray | None


def joined(X: Matrix) -> np.ndarray:
    """Numeric columns, then codes, as one float32 table of shape (n, p + q); a missing code is NaN.

    float32 holds every integer up to 2**24, more levels than any column keeps.
    """
    n, p = X.numeric.shape
    table = np.empty((n, p + X.codes.shape[1]), dtype=np.float32)
    table[:, :p] = X.numeric
    table[:, p:] = X.codes
    table[:, p:][X.codes < 0] = np.nan
    return table


def patience(best: int, n_rows: int, learning_rate: float) -> int:
    """Rounds without improvement after which boosting stops.

    AutoGluon waits max(300 min(1, 10000/n), 20, 0.3 best + 20) rounds at any learning rate. A step of half the
    size needs twice the rounds for the same progress, so the first term is 5 / learning_rate here (100 rounds at
    0.05); the share of the best round is 0.2, since on two cores waiting is what a budget is lost to.
    """
    by_size = min(300.0, 5.0 / learning_rate) * min(1.0, 10_000 / n_rows)
    return round(max(20.0, by_size, 0.2 * best + 10))


@dataclass
class Watch:
    """Follows the loss round by round and says when to stop.

    ``scale`` turns losses of the standardised target back into the target's own units.
    """

    loss: str
    n_rows: int
    learning_rate: float
    deadline: float | None
    scale: float = 1.0
    best: int = 0
    best_loss: float = float("inf")
    stopped: str = "complete"
    rounds: list[int] = field(default_factory=list)
    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    _started: float = field(default_factory=time.perf_counter)

    def records(self, n_done: int) -> bool:
        """Whether the curve keeps this round: every round at first, then 4 % apart; 10,000 rounds give 175 points."""
        return not self.rounds or n_done - self.rounds[-1] >= max(1, n_done // 25)

    def stop(self, n_done: int, training: float | None, validation: float | None) -> bool:
        """Note the losses after ``n_done`` rounds; True if boosting ends here."""
        if validation is None:
            self.best = n_done
        elif validation < self.best_loss:
            self.best, self.best_loss = n_done, validation
        if training is not None and self.records(n_done):
            self.rounds.append(n_done)
            self.training.append(training * self.scale)
            if validation is not None:
                self.validation.append(validation * self.scale)
        if validation is not None and n_done - self.best >= patience(self.best, self.n_rows, self.learning_rate):
            self.stopped = "early"
            return True
        if self.deadline is not None:
            now = time.perf_counter()
            # A round that would end after the deadline is not begun.
            if now + (now - self._started) / n_done >= self.deadline:
                self.stopped = "time"
                return True
        return False

    def result(self) -> FitResult:
        """The fit as its caller sees it."""
        curve = Curve(self.loss, self.rounds, self.training, self.validation)
        return FitResult(n_iterations=max(1, self.best), curve=curve, stopped=self.stopped)


class Coding(msgspec.Struct, frozen=True):
    """How the target was turned into what the library learns.

    ``classes`` are the classes present, ascending (classification); ``centre`` and ``spread`` the mean and
    standard deviation (regression). ``constant`` is the whole model where there is nothing to learn.
    """

    classes: list[int]
    n_rows: int
    centre: float
    spread: float
    constant: list[float] | None

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Numbers 0..k-1, or the standardised target, float32 (which is how the libraries keep it)."""
        if self.classes:
            return np.searchsorted(np.asarray(self.classes), y).astype(np.float32)
        return ((y - self.centre) / self.spread).astype(np.float32)

    def knows(self, y: np.ndarray) -> np.ndarray:
        """Which rows have a class seen in training."""
        return np.isin(y, self.classes) if self.classes else np.ones(len(y), dtype=bool)


def learn_coding(y: np.ndarray, weight: np.ndarray | None, task: Task, n_classes: int) -> Coding:
    """Find the coding of one set of training rows."""
    if task == "regression":
        centre = float(np.average(y, weights=weight))
        spread = float(np.sqrt(np.average((y - centre) ** 2, weights=weight)))
        # Below this the spread is rounding of the mean, not variation.
        flat = spread <= 1e-12 * max(1.0, abs(centre))
        return Coding([], len(y), centre, 1.0 if flat else spread, [centre] if flat else None)
    classes = [int(k) for k in np.unique(y)]
    coding = Coding(classes, len(y), 0.0, 1.0, None)
    return coding if len(classes) > 1 else replace(coding, constant=_mean(coding, y, weight, n_classes))


class Meta(msgspec.Struct, frozen=True):
    """Contents of meta.json."""

    task: Task
    n_classes: int
    seed: int
    params: dict[str, Any]
    coding: Coding
    n_numeric: int
    n_codes: int


class BoostedTrees(Learner):
    """Base of the boosted-tree learners.

    A subclass grows trees (`_train`), predicts (`_predict_raw`), and turns its model into bytes and back
    (`_dump`, `_restore`). Text reaches it only through the numeric columns that came from text.
    """

    #: Name of the library's own file.
    model_file: str

    def fit(
        self,
        X: Matrix,
        y: np.ndarray | None,
        *,
        weight: np.ndarray | None = None,
        validation: Validation | None = None,
        time_limit_s: float | None = None,
    ) -> FitResult:
        started = time.perf_counter()
        if y is None:
            raise DataError("Boosted trees need a target.", where=f"algorithm {self.algorithm.name!r}", mend="Name the target.")
        X, y, weight = _positive_weight(X, y, weight)
        if weight is not None:
            weight = mean_one(weight, X.n_rows)
        self._shape = (X.numeric.shape[1], X.codes.shape[1])
        self._coding = learn_coding(y, weight, self.task, self.n_classes)
        if self._coding.constant is None and not _varies(X):
            self._coding = replace(self._coding, constant=_mean(self._coding, y, weight, self.n_classes))
        if self._coding.constant is not None:
            return FitResult(n_iterations=1, notes=["The target or every column is constant: the model is a constant."])
        rows = Rows(X, self._coding.encode(y), weight)
        watched = None if validation is None else self._watched(validation)
        watch = Watch(
            loss="rmse" if self.task == "regression" else "log_loss",
            n_rows=X.n_rows,
            learning_rate=float(self.params["learning_rate"]),
            deadline=None if time_limit_s is None else started + time_limit_s,
            scale=self._coding.spread,
        )
        self._train(rows, watched, watch)
        return watch.result()

    def _watched(self, validation: Validation) -> Rows | None:
        """Validation rows as the library sees them; a class that training never saw has no loss to watch."""
        X, y, weight = _positive_weight(validation.X, validation.y, validation.weight)
        known = self._coding.knows(y)
        if not known.all():
            kept = np.flatnonzero(known)
            X, y, weight = X.take(kept), y[kept], None if weight is None else weight[kept]
        return Rows(X, self._coding.encode(y), weight) if X.n_rows else None

    def predict(self, X: Matrix) -> np.ndarray:
        coding = self._coding
        if self.task == "regression":
            if coding.constant is not None:
                return np.full(X.n_rows, coding.constant[0])
            return np.asarray(self._predict_raw(X), dtype=np.float64) * coding.spread + coding.centre
        if coding.constant is not None:
            return np.tile(np.asarray(coding.constant), (X.n_rows, 1))
        raw = np.asarray(self._predict_raw(X), dtype=np.float64)
        if raw.ndim == 1:
            raw = np.column_stack([1.0 - raw, raw])
        raw /= raw.sum(axis=1, keepdims=True)
        return all_classes(raw, np.asarray(coding.classes), self.n_classes, coding.n_rows)

    def save(self, folder: Path) -> None:
        meta = Meta(self.task, self.n_classes, self.seed, self.params, self._coding, *self._shape)
        (folder / "meta.json").write_bytes(msgspec.json.encode(meta))
        if self._coding.constant is None:
            (folder / self.model_file).write_bytes(self._dump())

    @classmethod
    def load(cls, folder: Path) -> Self:
        try:
            meta = msgspec.json.decode((folder / "meta.json").read_bytes(), type=Meta)
            learner = cls(meta.params, task=meta.task, n_classes=meta.n_classes, seed=meta.seed)
            learner._coding = meta.coding
            learner._shape = (meta.n_numeric, meta.n_codes)
            if meta.coding.constant is None:
                learner._restore((folder / cls.model_file).read_bytes())
        except MissingExtraError:
            raise
        except Exception as error:  # each library raises its own type, some of them plain Exception
            raise BundleError(
                f"The saved {cls.algorithm.name} cannot be read: {error}",
                where=folder.name,
                mend="Train or copy the model again.",
            ) from error
        return learner

    def importance(self) -> np.ndarray | None:
        if self._coding.constant is not None:
            return None
        gain = np.asarray(self._gain(), dtype=np.float64)
        total = gain.sum()
        return gain / total if total > 0 else None

    @property
    def _n_present(self) -> int:
        """Classes that the library tells apart."""
        return len(self._coding.classes)

    @abstractmethod
    def _train(self, rows: Rows, watched: Rows | None, watch: Watch) -> None:
        """Grow trees, showing every round to ``watch``, and keep the first ``watch.best`` rounds."""

    @abstractmethod
    def _predict_raw(self, X: Matrix) -> np.ndarray:
        """Standardised values (n,), the chance of the second class (n,), or of each class present (n, k)."""

    @abstractmethod
    def _dump(self) -> bytes:
        """The model as the library writes it; equal for equal fits."""

    @abstractmethod
    def _restore(self, content: bytes) -> None:
        """Undo `_dump`."""

    @abstractmethod
    def _gain(self) -> np.ndarray:
        """Loss saved by the splits on each input column."""


def _positive_weight(X: Matrix, y: np.ndarray, weight: np.ndarray | None) -> tuple[Matrix, np.ndarray, np.ndarray | None]:
    """Leave out rows of weight zero, which may hold classes that no other row has."""
    if weight is None or (weight > 0).all():
        return X, y, weight
    kept = np.flatnonzero(weight > 0)
    if not len(kept):
        raise DataError("Every row has weight 0.", where="weight", mend="Give at least one row a positive weight.")
    return X.take(kept), y[kept], weight[kept]


def _varies(X: Matrix) -> bool:
    """Whether any column takes two values (missing counts as one)."""
    for table in (X.numeric, X.codes):
        for column in table.T:
            if np.any((column != column[0]) & ~(np.isnan(column) & np.isnan(column[0]))):
                return True
    return False


def _mean(coding: Coding, y: np.ndarray, weight: np.ndarray | None, n_classes: int) -> list[float]:
    """Best constant: the mean, or the share of each class."""
    if not coding.classes:
        return [coding.centre]
    present = np.asarray(coding.classes)
    counts = np.bincount(y.astype(np.int64), weights=weight, minlength=n_classes)[present]
    return [float(share) for share in all_classes((counts / counts.sum())[None], present, n_classes, coding.n_rows)[0]]
