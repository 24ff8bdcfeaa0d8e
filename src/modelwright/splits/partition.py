"""The partition: which rows train, which validate, which are sealed, which take no part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Rule = Literal["random", "stratified", "group", "time", "group_time", "external", "none"]


def _no_rows() -> np.ndarray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Split:
    """Sealed split of a table.

    Parameters
    ----------
    rule : {"random", "stratified", "group", "time", "group_time", "external", "none"}
        With "time" every evaluation row is later than every training row; with "group" no entity is on both sides;
        with "group_time" both hold.
    training, evaluation : ndarray of int64
        Row positions, ascending; disjoint. ``evaluation`` is empty for "none" and "external".
    sentence : str
        What was done, in words and numbers, for the user.
    reserve : ndarray of int64
        Rows sealed besides the evaluation rows by the same rule; in time they are the latest of all.
    left_out : ndarray of int64
        Rows that neither train nor evaluate: those in the gap before the cut, and those that would tie training to
        evaluation rows. The four parts hold every row once.
    """

    rule: Rule
    training: np.ndarray
    evaluation: np.ndarray
    sentence: str
    reserve: np.ndarray = field(default_factory=_no_rows)
    left_out: np.ndarray = field(default_factory=_no_rows)

    def digest(self, data_fingerprint: str, part: Literal["evaluation", "reserve"] = "evaluation") -> str:
        """What makes these sealed rows the same in a later run: the data and the positions of the rows.

        Parameters
        ----------
        data_fingerprint : str
            Fingerprint of the table that the positions refer to.
        part : {"evaluation", "reserve"}, default="evaluation"

        Returns
        -------
        str
            64 hexadecimal digits, equal on every machine.

        Examples
        --------
        >>> split = Split("random", np.array([0, 2]), np.array([1]), "")
        >>> split.digest("abc") == Split("time", np.array([0]), np.array([1]), "").digest("abc")
        True
        """
        rows = self.evaluation if part == "evaluation" else self.reserve
        digest = hashlib.sha256(b"modelwright sealed rows 1\n" + data_fingerprint.encode() + b"\n")
        digest.update(np.ascontiguousarray(rows, dtype="<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Fold:
    """One validation fold inside the training rows; positions refer to the training table."""

    training: np.ndarray
    validation: np.ndarray
