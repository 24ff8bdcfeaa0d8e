"""Words and values that the rules of sealing share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from modelwright.splits.partition import Rule, Split


def make_split(
    rule: Rule, evaluation: np.ndarray, sentence: str, reserve: np.ndarray, training: np.ndarray | None = None
) -> Split:
    """A split from masks; what is in none of the parts is left out, and all others train if ``training`` is None."""
    sealed = evaluation | reserve
    if training is None:
        training = ~sealed
    return Split(
        rule,
        np.flatnonzero(training),
        np.flatnonzero(evaluation),
        sentence,
        np.flatnonzero(reserve),
        np.flatnonzero(~(training | sealed)),
    )


def portion(rows: np.ndarray) -> str:
    """Of a mask: how many of how many rows."""
    return f"{int(rows.sum()):,} of {len(rows):,} rows ({100 * rows.mean():.3g} %)"


def and_list(words: Sequence[str]) -> str:
    """Words joined as in a sentence."""
    return ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1]


def without_group(group: pl.Series) -> str:
    """How rows without a group were counted, if there are any."""
    missing = group.null_count()
    return f"; the {missing:,} rows without one count as entities of their own" if missing else ""


def class_label(k: int, classes: Sequence[Any] | None) -> str:
    """A class as the user knows it."""
    return repr(classes[k]) if classes is not None else f"number {k}"


def unknown_classes(training: np.ndarray, sealed: np.ndarray, classes: Sequence[Any] | None) -> str:
    """What is said of classes that have sealed rows only: a model cannot learn them, and their rows count all the same.

    Parameters
    ----------
    training, sealed : ndarray of int
        Class numbers of the rows of each part.
    classes : sequence, optional
    """
    unknown = sealed[~np.isin(sealed, training)]
    if not len(unknown):
        return ""
    shown = " or ".join(class_label(int(k), classes) for k in np.unique(unknown)[:5])
    more = f" or {len(np.unique(unknown)) - 5} more" if len(np.unique(unknown)) > 5 else ""
    return f" No training row is of class {shown}{more}; the {len(unknown):,} sealed rows that are cannot be got right yet."
