"""How much the seed alone moves a score."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from modelwright.errors import InvalidInputError


class SeedSpread(msgspec.Struct, frozen=True):
    """Scores of the same training with different seeds; ``low`` and ``high`` are the smallest and largest of them.

    ``sd`` has n - 1 in its denominator, NaN for a single score.
    """

    values: list[float]
    mean: float
    sd: float
    low: float
    high: float
    sentence: str


def seed_spread(scores: Sequence[float]) -> SeedSpread:
    """Mean and spread of scores that differ in the seed only.

    Parameters
    ----------
    scores : sequence of float
        One score a seed, in the metric's units, in the order of the seeds. Scores on the same evaluation rows: the spread
        holds the chance of training, not that of the rows.

    Raises
    ------
    InvalidInputError
        Without scores, or if one of them is not finite.
    """
    values = [float(s) for s in scores]
    if not values:
        raise InvalidInputError("There are no scores.", where="the repeats", mend="Repeat the training at least once.")
    bad = [k for k, v in enumerate(values) if not np.isfinite(v)]
    if bad:
        raise InvalidInputError(
            f"The score of repeat {bad[0] + 1} is {values[bad[0]]}.",
            where="the repeats",
            mend="Leave failed repeats out.",
        )
    mean, low, high = float(np.mean(values)), min(values), max(values)
    if len(values) == 1:
        return SeedSpread(values, mean, float("nan"), low, high, "One seed; how much the seed moves the score is not known.")
    sd = float(np.std(values, ddof=1))
    if low == high:
        sentence = f"{len(values)} seeds give the same score, {mean:.4g}."
    else:
        shown = f"{len(values)} seeds score {mean:.4g} on average, from {low:.4g} to {high:.4g}"
        sentence = f"{shown}; the seed alone moves the score by {sd:.2g} (sd)."
    return SeedSpread(values, mean, sd, low, high, sentence)
