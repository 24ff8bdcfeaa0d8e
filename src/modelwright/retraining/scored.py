"""What the gate is asked with: rows with their truth, and what two models say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from modelwright.tables.schema import Task


@dataclass(frozen=True)
class Scored:
    """One of the two models, and its answers to the rows.

    Attributes
    ----------
    name : str
        Such as ``churn/3``.
    prediction : ndarray of shape (n,) or (n, K)
        Numbers, or probabilities in the order of ``classes``.
    task : {"binary", "multiclass", "regression"}
    classes : tuple
        Labels by number; empty for regression.
    columns : dict of str to str
        Type of each column that the model needs.
    threshold : float or None
        Probability from which class 1 is predicted.
    until : float or None
        Time of the last row that it was trained on, in the unit of `Labelled.when`; None where that is not known.
    latency_s : float or None
        Seconds that one row takes.
    size_bytes : int or None
        Bytes of the bundle.
    faults : tuple of str
        Why it cannot be used: what its test load said.
    """

    name: str
    prediction: np.ndarray
    task: Task
    classes: tuple[Any, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None
    until: float | None = None
    latency_s: float | None = None
    size_bytes: int | None = None
    faults: tuple[str, ...] = ()


class Earlier(NamedTuple):
    """Labelled rows that the policy keeps from the challenger because they are old, and its answers to them.

    Attributes
    ----------
    y : ndarray of shape (n,)
        Numbers, or class numbers.
    answers : ndarray of shape (n,) or (n, K)
    """

    y: np.ndarray
    answers: np.ndarray


@dataclass(frozen=True)
class Labelled:
    """Rows that neither model was trained on, with their truth.

    Attributes
    ----------
    y : ndarray of shape (n,)
        Numbers, or class numbers.
    when : ndarray of shape (n,) or None
        Time of each row as a number; rows are then read as a series that may remember.
    weight, group : ndarray of shape (n,) or None
        Weight and entity of each row.
    slices : dict of str to ndarray of shape (n,), bool
        Named parts of the rows, none of which may become much worse.
    follows : str
        Why these rows follow both models' training, where no time tells; empty otherwise.
    left_out : dict of str to int
        Why rows are not here, with their number.
    sent : frozenset of str
        Columns that these rows carry, whether the champion reads them or not: clients do send them.
    earlier : Earlier or None
        Older rows, which the challenger has not learned from and must not have lost.
    """

    y: np.ndarray
    when: np.ndarray | None = None
    weight: np.ndarray | None = None
    group: np.ndarray | None = None
    slices: Mapping[str, np.ndarray] = field(default_factory=dict)
    follows: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    sent: frozenset[str] = frozenset()
    earlier: Earlier | None = None
