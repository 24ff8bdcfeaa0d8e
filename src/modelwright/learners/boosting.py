"""What the boosted-tree learners (`lightgbm`, `catboost`, `xgboost`) share: everything around the library call.

Notation: n rows, p numeric and q coded columns, K classes of the task, k classes present in the training rows.

The libraries differ in how a tree is grown. They agree on the rest, which lives here: when to stop, the recorded
curve, and the files. What becomes of the target is in `target`.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from modelwright.errors import BundleError, DataError, MissingExtraError
from modelwright.features.matrix import Matrix
from modelwright.learners.base import Curve, FitResult, Learner, Validation
from modelwright.learners.target import (
    CONSTANT_NOTE,
    LOG_TARGET,
    TEMPERATURE,
    Coding,
    Rows,
    code_rows,
    code_validation,
    loss_name,
    with_smearing,
)
from modelwright.learners.temperature import best_temperature
from modelwright.tables.schema import Task

#: Chances below this are as good as it.
_LEAST_CHANCE = 1e-15
#: Share by which a round must be better, each at its temperature, than that of the least log loss to be kept in its place.
_WORTH_ROUNDS = 0.002


def joined(X: Matrix) -> np.ndarray:
    """Numeric columns, then codes, as one float32 table of shape (n, p + q); a missing code is NaN.

    float32 holds every integer up to 2**24, more levels than any column keeps. Without codes it may be ``X.numeric`` itself.
    """
    n, p = X.numeric.shape
    if not X.codes.shape[1]:
        return np.ascontiguousarray(X.numeric, dtype=np.float32)
    table = np.empty((n, p + X.codes.shape[1]), dtype=np.float32)
    table[:, :p] = X.numeric
    table[:, p:] = X.codes
    table[:, p:][X.codes < 0] = np.nan
    return table


def scores_of(chances: np.ndarray) -> np.ndarray:
    """Log-odds (n,) of chances of the second class, or logarithms (n, k) of the chances of each class."""
    logs = np.log(np.maximum(chances, _LEAST_CHANCE))
    return logs if chances.ndim > 1 else logs - np.log(np.maximum(1.0 - chances, _LEAST_CHANCE))


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

    ``scale`` turns losses of the standardised target back into the target's own units. Boosting of classes grows sure of
    itself before it has learned all that it will, so a round after that of the least log loss is the best one if it is better
    by `_WORTH_ROUNDS`, each at the temperature that suits it best (`temperature`). When to stop follows from the log loss
    alone.
    """

    loss: str
    n_rows: int
    learning_rate: float
    deadline: float | None
    scale: float = 1.0
    #: Round after which the clock ended an earlier fit.
    last: int | None = None
    best: int = 0
    stopped: str = "complete"
    rounds: list[int] = field(default_factory=list)
    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    ended: int = 0
    #: That of the best round.
    temperature: float = 1.0
    _latest_temperature: float = 1.0
    _least: float = math.inf
    _least_at: int = 0
    #: What a later round must be below at its temperature; None until one has been looked at.
    _bar: float | None = None
    _started: float = field(default_factory=time.perf_counter)

    def records(self, n_done: int) -> bool:
        """Whether the curve keeps this round: every round at first, then 4 % apart; 10,000 rounds give 175 points."""
        return not self.rounds or n_done - self.rounds[-1] >= max(1, n_done // 25)

    def looks(self, n_done: int, validation: float | None) -> bool:
        """Whether a round is to be shown to `refined`: one of classes that the curve keeps, after the least log loss.

        Up to that round each is better than those before, and to look at all of them would take a fifth of the fit.
        """
        if validation is None or self.loss != "log_loss":
            return False
        return self.records(n_done) and validation >= self._least

    def refined(self, scores: np.ndarray, rows: Rows) -> float:
        """Log loss of validation rows at the temperature that suits a round best.

        Parameters
        ----------
        scores : ndarray of shape (n,) or (n, k)
            Log-odds of the second class, or logarithms of chances up to a constant a row.
        rows : Rows
        """
        z = np.column_stack([np.zeros(len(scores)), scores]) if scores.ndim == 1 else scores
        target = rows.target.astype(np.int64)
        self._latest_temperature, loss = best_temperature(z, target, rows.weight, start=self._latest_temperature)
        return loss

    def settle(self, scores: np.ndarray, rows: Rows) -> None:
        """Find the temperature of the round of the least log loss, if that is the best one; parameters as in `refined`."""
        if self.best == self._least_at:
            self.refined(scores, rows)
            self.temperature = self._latest_temperature

    def stop(self, n_done: int, training: float | None, validation: float | None, refined: float | None = None) -> bool:
        """Note the losses after ``n_done`` rounds; True if boosting ends here."""
        if validation is None:
            self.best = n_done
        elif validation < self._least:
            self._least, self._least_at = validation, n_done
            self.best, self._bar = n_done, None
        if refined is not None:
            self._compare(n_done, refined)
        if training is not None and self.records(n_done):
            self.rounds.append(n_done)
            self.training.append(training * self.scale)
            if validation is not None:
                self.validation.append(validation * self.scale)
        if validation is not None and n_done - self._least_at >= patience(self._least_at, self.n_rows, self.learning_rate):
            self.stopped = "early"
            return True
        if self.last is not None:
            ends = n_done >= self.last
        else:
            now = time.perf_counter()
            # A round that would end after the deadline is not begun.
            ends = self.deadline is not None and now + (now - self._started) / n_done >= self.deadline
        if ends:
            self.stopped, self.ended = "time", n_done
        return ends

    def _compare(self, n_done: int, refined: float) -> None:
        """Note the loss of a round at its temperature, after that of the least log loss."""
        if self._bar is None:
            # What that round has at its temperature is no more than it has as it is, and about what the next look finds.
            self._bar = (1.0 - _WORTH_ROUNDS) * min(self._least, refined)
        elif refined < self._bar:
            self.best, self.temperature, self._bar = n_done, self._latest_temperature, refined

    def result(self) -> FitResult:
        """The fit as its caller sees it."""
        curve = Curve(self.loss, self.rounds, self.training, self.validation)
        clock = {"rounds": self.ended} if self.ended else {}
        return FitResult(n_iterations=max(1, self.best), curve=curve, stopped=self.stopped, clock=clock)


class Meta(msgspec.Struct, frozen=True):
    """Contents of meta.json."""

    task: Task
    n_classes: int
    seed: int
    params: dict[str, Any]
    coding: Coding
    n_numeric: int
    n_codes: int
    #: Trees that LightGBM's scores are summed by: what a model answers, to the last bit, depends on it.
    block_trees: int = 25


class BoostedTrees(Learner):
    """Base of the boosted-tree learners.

    A subclass grows trees (`_train`), predicts (`_predict_raw`), and turns its model into bytes and back
    (`_dump`, `_restore`). Text reaches it only through the numeric columns that came from text.
    """

    #: Name of the library's own file.
    model_file: str
    _block_trees = 25

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
        self._shape = (X.numeric.shape[1], X.codes.shape[1])
        self._coding, rows = code_rows(X, y, weight, self.task, self.n_classes, self.params["log_target"])
        if self._coding.constant is not None:
            return FitResult(n_iterations=1, notes=[CONSTANT_NOTE])
        watched = None if validation is None else code_validation(self._coding, validation)
        watch = Watch(
            loss=loss_name(self.task, self._coding),
            n_rows=rows.X.n_rows,
            learning_rate=float(self.params["learning_rate"]),
            deadline=None if time_limit_s is None else started + time_limit_s,
            scale=self._coding.spread,
            last=self.stop_after.get("rounds"),
        )
        self._train(rows, watched, watch)
        result = watch.result()
        if self.task != "regression":
            if watched is not None:
                watch.settle(scores_of(self._predict_raw(watched.X)), watched)
            # The final fit, without validation rows, takes over what they settled.
            temperature = self.params[TEMPERATURE.name] if watched is None else watch.temperature
            self._coding = msgspec.structs.replace(self._coding, temperature=temperature)
            result = replace(result, learned={} if watched is None else {TEMPERATURE.name: temperature})
        if self._coding.log_factor and validation is not None:
            self._coding, result = with_smearing(self._coding, result, validation, self.predict(validation.X))
        return result

    def _library_params(self) -> dict[str, Any]:
        """The hyperparameters that the library itself knows, but for the rounds."""
        ours = ("n_estimators", LOG_TARGET.name, TEMPERATURE.name)
        return {name: value for name, value in self.params.items() if name not in ours}

    def predict(self, X: Matrix) -> np.ndarray:
        raw = None if self._coding.constant is not None else self._predict_raw(X)
        return self._coding.decode(raw, X.n_rows)

    @property
    def coding(self) -> Coding:
        """How the target was turned into what the library learned."""
        return self._coding

    def save(self, folder: Path) -> None:
        meta = Meta(self.task, self.n_classes, self.seed, self.params, self._coding, *self._shape, self._block_trees)
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
            learner._block_trees = meta.block_trees
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

    @abstractmethod
    def _train(self, rows: Rows, watched: Rows | None, watch: Watch) -> None:
        """Grow trees, showing every round to ``watch``, and keep the first ``watch.best`` rounds."""

    @abstractmethod
    def _predict_raw(self, X: Matrix) -> np.ndarray:
        """Standardised values (n,), the chance of the second class (n,), or of each class present (n, k)."""

    @abstractmethod
    def margin_contributions(self, X: Matrix) -> np.ndarray:
        """What each column adds to the margin, and the base last: (n, p + q + 1), or (n, k, p + q + 1) in any layout that
        flattens to outputs of p + q + 1 numbers.
        """

    @abstractmethod
    def _dump(self) -> bytes:
        """The model as the library writes it; equal for equal fits."""

    @abstractmethod
    def _restore(self, content: bytes) -> None:
        """Undo `_dump`."""

    @abstractmethod
    def _gain(self) -> np.ndarray:
        """Loss saved by the splits on each input column."""
