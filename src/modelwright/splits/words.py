"""Words and values that the rules of sealing share."""

from __future__ import annotations

from collections.abc import Sequence

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
