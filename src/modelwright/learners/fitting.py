"""What the classic learners share: warnings as notes, the clock, absent classes, and saved state."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from modelwright.errors import BundleError, DataError
from modelwright.learners.base import Learner
from modelwright.tables.schema import Task

AnyLearner = TypeVar("AnyLearner", bound=Learner)


@contextmanager
def quiet_fit(notes: list[str]) -> Iterator[None]:
    """One thread, and warnings of the library collected as ``notes`` instead of shown."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        sentence = " ".join(str(warning.message).split()).split(". ")[0].rstrip(".") + "."
        if sentence not in notes:
            notes.append(sentence)


class Deadline:
    """The moment at which an iterative fit stops; never, when ``limit_s`` is None."""

    def __init__(self, limit_s: float | None) -> None:
        self._start = time.monotonic()
        self._limit_s = limit_s

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._start

    def leaves(self, needed_s: float) -> bool:
        """Whether ``needed_s`` more seconds still fit."""
        return self._limit_s is None or self.elapsed_s + needed_s <= self._limit_s

    @property
    def passed(self) -> bool:
        return not self.leaves(0.0)


def mean_one(weight: np.ndarray | None, n_rows: int) -> np.ndarray:
    """Row weights scaled to mean 1, so that penalties mean the same with and without weights."""
    if weight is None:
        return np.ones(n_rows)
    weight = np.asarray(weight, dtype=np.float64)
    total = weight.sum()
    return weight * (n_rows / total) if total > 0 else np.ones(n_rows)


def weighted_rows(weight: np.ndarray | None, n_rows: int) -> np.ndarray:
    """Positions of the rows that count (weight above zero); all rows when none does."""
    if weight is None or not np.any(np.asarray(weight) > 0):
        return np.arange(n_rows)
    return np.flatnonzero(np.asarray(weight) > 0)


def required_target(y: np.ndarray | None, algorithm: str) -> np.ndarray:
    """The target as an array; an error where a supervised algorithm was given none."""
    if y is None:
        raise DataError(
            "A target is needed.", where=f"algorithm {algorithm!r}", mend="Give y, or choose a clustering algorithm."
        )
    return np.asarray(y)


def present_classes(y: np.ndarray) -> np.ndarray:
    """Class numbers that occur, ascending."""
    return np.unique(np.asarray(y)).astype(np.int64)


def all_classes(proba: np.ndarray, present: np.ndarray, n_classes: int, n_rows: int) -> np.ndarray:
    """Probabilities of the present classes spread over all K columns.

    A class that the training rows lacked gets 1 / (n + K) rather than 0: not having been seen in n rows is weak
    evidence, and a zero would make one such row ruin the log loss.
    """
    if len(present) == n_classes:
        return proba
    out = np.full((len(proba), n_classes), 1.0 / (n_rows + n_classes))
    absent = n_classes - len(present)
    out[:, present] = proba * (1.0 - absent / (n_rows + n_classes))
    return out


def write_state(
    folder: Path, learner: Learner, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any] | None = None
) -> None:
    """Write ``state.json`` (settings and small facts) and ``arrays.npz``."""
    state = {
        "algorithm": learner.algorithm.name,
        "params": learner.params,
        "task": learner.task,
        "n_classes": learner.n_classes,
        "seed": learner.seed,
        "facts": dict(facts or {}),
    }
    (folder / "state.json").write_bytes(msgspec.json.encode(state))
    with (folder / "arrays.npz").open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: np.asarray(value) for name, value in arrays.items()})


class _State(msgspec.Struct):
    algorithm: str
    params: dict[str, Any]
    task: Task
    n_classes: int
    seed: int
    facts: dict[str, Any] = {}


def read_state(cls: type[AnyLearner], folder: Path) -> tuple[AnyLearner, dict[str, np.ndarray], dict[str, Any]]:
    """The learner with its settings, its arrays, and its facts, as `write_state` left them.

    Raises
    ------
    BundleError
        If a file is missing, cut short, or belongs to another algorithm.
    """
    try:
        state = msgspec.json.decode((folder / "state.json").read_bytes(), type=_State)
        with np.load(folder / "arrays.npz", allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, msgspec.MsgspecError) as error:
        raise BundleError(
            f"The saved {cls.algorithm.name} cannot be read: {error}", where=folder.name, mend="Train or copy the model again."
        ) from error
    if state.algorithm != cls.algorithm.name:
        raise BundleError(
            f"The folder holds {state.algorithm!r}, not {cls.algorithm.name!r}.",
            where=folder.name,
            mend="Load it with the algorithm that saved it.",
        )
    learner = cls(state.params, task=state.task, n_classes=state.n_classes, seed=state.seed)
    return learner, arrays, state.facts


def prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays under names that start with ``prefix``, to keep two sources apart in one file."""
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def unprefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose names start with ``prefix``, under their names without it."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
