"""The partition: which rows train, which validate, which are sealed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Rule = Literal["random", "stratified", "group", "time", "external", "none"]


@dataclass(frozen=True)
class Split:
    """Sealed split of a table.

    Parameters
    ----------
    rule : {"random", "stratified", "group", "time", "external", "none"}
    training, evaluation : ndarray of int64
        Row positions, ascending; disjoint. ``evaluation`` is empty for "none" and "external".
    sentence : str
        The rule in words, for the user.
    """

    rule: Rule
    training: np.ndarray
    evaluation: np.ndarray
    sentence: str


@dataclass(frozen=True)
class Fold:
    """One validation fold inside the training rows; positions refer to the training table."""

    training: np.ndarray
    validation: np.ndarray
