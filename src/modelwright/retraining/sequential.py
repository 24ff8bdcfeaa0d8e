"""Tests that may be looked at after every answer: however often one looks, they alarm falsely with the stated chance only.

Shares (of failed answers, of slow ones) are tested by a test martingale. Notation: k of n answers failed, p0 the share that
is allowed. The mean over a grid of p > p0 of the likelihood ratios of p against p0 has expectation 1 at p0, below 1 under
it, and by Ville's inequality reaches 1 / a with chance a at most, at any time [1]_.

Realised metrics are tested against the bound of an asymptotic confidence sequence, Robbins' normal mixture [2]_: the
difference of two models is worse beyond chance where it lies more than c(n) standard errors below zero, with
c(n) ** 2 = 2 (n r + 1) / (n r) log(1 + sqrt(n r + 1) / (2 a)). The standard error is that of the influences of the rows, read
as a series in time (`metrics.superiority`), so that it holds for every metric and for errors that last.

References
----------
.. [1] Robbins, "Statistical methods related to the law of the iterated logarithm", Ann. Math. Stat. 41 (1970); Ramdas,
   Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38 (2023).
.. [2] Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
   sequences", Annals of Statistics 52 (2024).
"""

from __future__ import annotations

import numpy as np
from scipy import special

#: Chance of one false alarm in a whole release. A third of it goes to the realised metric, whose labels add up over all
#: stages; failed and slow answers have a third each, divided among the three stages, which begin anew.
LEVEL = 0.05
OF_METRIC, OF_SHARE = LEVEL / 3, LEVEL / 9
#: Rows at which the bound for metrics is narrowest, and rows below which it is not used: it holds for many.
_NARROWEST = 300
FEWEST_LABELS = 50
_GRID = 40


def evidence_of_share(failed: int, n: int, allowed: float) -> float:
    """Logarithm of the evidence that more than the allowed share fails; alarm where it reaches log(1 / level).

    Parameters
    ----------
    failed, n : int
    allowed : float
        In [0, 1).

    Examples
    --------
    >>> evidence_of_share(0, 100, 0.01) < 0 < evidence_of_share(5, 50, 0.01)
    True
    """
    if n == 0:
        return 0.0
    if allowed <= 0:
        return float(np.inf) if failed else 0.0
    p = np.geomspace(min(1.2 * allowed, (1 + allowed) / 2), 0.999 + 0.001 * allowed, _GRID)
    ratios = failed * np.log(p / allowed) + (n - failed) * np.log((1 - p) / (1 - allowed))
    return float(special.logsumexp(ratios) - np.log(_GRID))


def share_exceeded(failed: int, n: int, allowed: float, level: float = OF_SHARE) -> bool:
    """Whether more than the allowed share fails, beyond chance, however often this is asked.

    Parameters
    ----------
    failed, n : int
    allowed : float
    level : float, optional
    """
    return failed > allowed * n and evidence_of_share(failed, n, allowed) >= -np.log(level)


def level_at(n: int, level: float = OF_METRIC) -> float:
    """The one-sided level that a test of n rows must reach so that looking after every row spends ``level`` in all.

    Parameters
    ----------
    n : int
    level : float, optional
    """
    if n < FEWEST_LABELS:
        return 0.0
    r = (-2 * np.log(level) + np.log(1 - 2 * np.log(level))) / _NARROWEST
    bound = np.sqrt(2 * (n * r + 1) / (n * r) * np.log1p(np.sqrt(n * r + 1) / (2 * level)))
    return float(special.ndtr(-bound))
