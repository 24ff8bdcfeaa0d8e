"""The contract of a learner: one algorithm behind five methods.

A learner reads `features.Matrix`, never the user's table. It does its own scaling, imputing and one-hot coding
(from `features`), fitted on the rows given to ``fit`` and saved with it. Classes are integers 0..K-1; some of
them may be absent from the rows of one fold, and ``predict`` still returns all K columns.

`testing.learners` holds the contract suite that every learner passes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import msgspec
import numpy as np

from modelwright.features.matrix import Matrix
from modelwright.pickling import reduce_by_saving
from modelwright.tables.schema import Task

Params = Mapping[str, Any]


class Hyperparameter(msgspec.Struct, frozen=True):
    """One tunable setting of an algorithm.

    ``kind`` "int" and "float" have ``low`` and ``high`` (inclusive) and may be ``log``; "choice" has ``choices``.
    ``default`` may differ by task: a mapping from task to value, or one value for all.
    """

    name: str
    kind: Literal["int", "float", "choice"]
    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    #: False: a setting that the portfolio tries and tuning leaves alone.
    tuned: bool = True

    def default_for(self, task: Task) -> Any:
        """The default for one task."""
        return self.default[task] if isinstance(self.default, Mapping) else self.default


class Algorithm(msgspec.Struct, frozen=True):
    """What ``modelwright algorithms`` tells about one algorithm."""

    name: str
    title: str
    tasks: tuple[Task, ...]
    #: What is minimised: loss and regularisation.
    minimises: str
    #: The trainable parameters.
    trains: str
    when: str
    hyperparameters: tuple[Hyperparameter, ...]
    #: The hyperparameter that ``FitResult.n_iterations`` fixes in the final fit; "" when not iterative.
    iterations: str = ""
    #: The extra that brings the library; "" for the core.
    extra: str = ""
    #: The module whose import a fit begins with; its package comes with the extra, or with the core where there is none.
    requires: str = ""
    #: Above this number of training rows the search leaves the algorithm out (None: no limit).
    max_rows: int | None = None
    #: Baselines take part in every run and are never members of an ensemble.
    baseline: bool = False
    reference: str = ""
    #: Whether a person can read the fitted model and follow a prediction by hand.
    interpretable: bool = False

    def defaults(self, task: Task) -> dict[str, Any]:
        """Default value of every hyperparameter for one task."""
        return {h.name: h.default_for(task) for h in self.hyperparameters}


@dataclass(frozen=True)
class Validation:
    """Rows that a fit may watch to stop early; they never change parameters otherwise."""

    X: Matrix
    y: np.ndarray
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class Curve:
    """Loss by iteration or epoch; ``validation`` is empty without validation rows."""

    loss: str
    iterations: list[int]
    training: list[float]
    validation: list[float]


@dataclass(frozen=True)
class FitResult:
    """What a fit learned about itself.

    ``n_iterations`` is the best number of iterations (trees, epochs) seen on validation rows, or the number run.
    ``stopped`` says why training ended: "complete", "early" or "time". ``learned`` are hyperparameters that validation rows
    settled, for the final fit to take over. ``clock`` counts what was done where the clock had a say, under names of the
    algorithm's own; a fit with these counts as `Learner.stop_after` ends at the same point.
    """

    n_iterations: int | None = None
    curve: Curve | None = None
    stopped: str = "complete"
    notes: list[str] = field(default_factory=list)
    learned: dict[str, float] = field(default_factory=dict)
    clock: dict[str, int] = field(default_factory=dict)


class Learner(ABC):
    """One algorithm with one set of hyperparameters.

    Parameters
    ----------
    params : mapping
        Values for some of ``algorithm.hyperparameters``; the others take their defaults. An unknown name or a
        value outside its range raises `SpecError`.
    task : {"binary", "multiclass", "regression", "clustering"}
    n_classes : int
        Number of classes K; 0 for regression and clustering.
    seed : int
        Drives every random choice of the fit.

    Attributes
    ----------
    stop_after : dict of str to int
        Counts of an earlier fit that the clock ended (`FitResult.clock`). Set before `fit`, they end this one there, whatever
        time it takes, so that both save the same bytes.
    """

    algorithm: ClassVar[Algorithm]

    def __init__(self, params: Params | None = None, *, task: Task, n_classes: int = 0, seed: int = 0) -> None:
        self.task: Task = task
        self.n_classes = n_classes
        self.seed = seed
        self.stop_after: Mapping[str, int] = {}
        self.params = resolve_params(self.algorithm, params or {}, task)

    @abstractmethod
    def fit(
        self,
        X: Matrix,
        y: np.ndarray | None,
        *,
        weight: np.ndarray | None = None,
        validation: Validation | None = None,
        time_limit_s: float | None = None,
    ) -> FitResult:
        """Learn the trainable parameters, with one thread.

        Parameters
        ----------
        X : Matrix of n rows
        y : ndarray of shape (n,)
            float64 for regression, int64 class numbers otherwise; None for clustering.
        weight : ndarray of shape (n,), optional
            Non-negative row weights.
        validation : Validation, optional
            Without it the learner runs exactly the number of iterations its parameters name.
        time_limit_s : float, optional
            Iterative learners stop in time and keep what they have; the others may overrun (the worker that
            runs them is then ended from outside).
        """

    @abstractmethod
    def predict(self, X: Matrix) -> np.ndarray:
        """Predict, with one thread.

        Returns
        -------
        ndarray
            Regression: shape (n,), float64. Classification: probabilities of shape (n, K), float64, rows sum
            to 1. Clustering: cluster numbers of shape (n,), int64.
        """

    def prepare_rows(self) -> None:  # noqa: B027  optional: most learners are always ready
        """Get ready for rows that come one at a time.

        `predict` is quick for a single row anyway; what has to be built for that is built when enough rows have come to
        pay for it, or here, so that no request has to wait for it.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the fitted state into an existing empty folder, as JSON, ``.npz`` without objects, or the
        library's own model format. Never pickle."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; predictions are equal bit for bit."""

    def __reduce__(self) -> Any:
        return reduce_by_saving(self)

    def importance(self) -> np.ndarray | None:
        """Share of each input column (numeric, then codes) in the model, summing to 1, or None if unknown."""
        return None


def resolve_params(algorithm: Algorithm, params: Params, task: Task) -> dict[str, Any]:
    """Defaults overlaid with ``params``, each checked against its range.

    Raises
    ------
    SpecError
        For an unknown name (the nearest valid one is named) or a value outside the range.
    """
    from difflib import get_close_matches

    from modelwright.errors import SpecError

    known = {h.name: h for h in algorithm.hyperparameters}
    resolved = algorithm.defaults(task)
    for name, value in params.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Valid names: {', '.join(known) or 'none'}."
            raise SpecError(f"{name!r} is not a hyperparameter.", where=f"algorithm {algorithm.name!r}", mend=hint)
        h = known[name]
        if h.kind == "choice":
            if value not in h.choices:
                raise SpecError(
                    f"{name} = {value!r} is not one of {', '.join(map(repr, h.choices))}.",
                    where=f"algorithm {algorithm.name!r}",
                    mend="Choose one of them.",
                )
        else:
            if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
                raise SpecError(
                    f"{name} = {value!r} is not a number.",
                    where=f"algorithm {algorithm.name!r}",
                    mend=f"Give {h.low} to {h.high}.",
                )
            if (h.low is not None and value < h.low) or (h.high is not None and value > h.high):
                raise SpecError(
                    f"{name} = {value!r} lies outside {h.low} to {h.high}.",
                    where=f"algorithm {algorithm.name!r}",
                    mend="Choose a value in that range.",
                )
            value = int(value) if h.kind == "int" else float(value)
        resolved[name] = value
    return resolved
