"""What a fit will cost: learned from the fits that this run has measured.

Notation: a fit on r rows took t seconds; on R rows the same configuration is expected to take

    t (R / r) ** e

with the exponent e of its algorithm: 1 until a configuration of that algorithm was measured at two sizes, afterwards the
median of the exponents seen. On four tables these were 0.3 to 1.4, median 0.75: a round has costs that rows do not add to,
and more rows find more rounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from modelwright.search.candidate import Candidate
from modelwright.search.jobs import Done

EXPONENT = 1.0
_EXPONENTS = (0.8, 2.0)
#: Reading a view, saving the model and predicting the validation rows, beside the fit itself.
_AROUND_S = 0.1
#: Two sizes this close say nothing about growth.
_APART = 1.5


class Costs:
    """Predicts seconds of fits from measured ones.

    Parameters
    ----------
    probe_rows : int
        Training rows of the probe.
    fold_rows : sequence of int
        Training rows of each fold.
    """

    def __init__(self, probe_rows: int, fold_rows: Sequence[int]) -> None:
        self._probe_rows = max(1, probe_rows)
        self._fold_rows = [max(1, rows) for rows in fold_rows]
        self._exponents: dict[str, float] = {}

    def learn(self, candidates: Iterable[Candidate]) -> None:
        """Find the growth of each algorithm from configurations measured at both sizes."""
        seen: dict[str, list[float]] = {}
        for candidate in candidates:
            small, large = candidate.probe, candidate.folds.get(0)
            ratio = self._fold_rows[0] / self._probe_rows
            if not _measured(small) or not _measured(large) or small is large or ratio < _APART:
                continue
            assert small is not None
            assert large is not None
            growth = math.log(max(large.seconds, 1e-3) / max(small.seconds, 1e-3)) / math.log(ratio)
            seen.setdefault(candidate.algorithm, []).append(growth)
        low, high = _EXPONENTS
        self._exponents = {name: float(np.clip(np.median(grown), low, high)) for name, grown in seen.items()}

    def exponent(self, algorithm: str) -> float:
        """How the cost of an algorithm grows with the rows."""
        return self._exponents.get(algorithm, EXPONENT)

    def seconds(self, candidate: Candidate, fold: int | None) -> float:
        """Seconds that a candidate will take on a fold, or on the probe for None; infinite where nothing is known."""
        rows = self._probe_rows if fold is None else self._fold_rows[fold]
        return self.seconds_on(candidate, rows)

    def seconds_on(self, candidate: Candidate, rows: int) -> float:
        """Seconds that a candidate will take on so many training rows."""
        measured = [(self._fold_rows[fold], done.seconds) for fold, done in candidate.folds.items() if _measured(done)]
        if not measured and candidate.probe is not None and _measured(candidate.probe):
            measured = [(self._probe_rows, candidate.probe.seconds)]
        if not measured:
            return math.inf
        e = self.exponent(candidate.algorithm)
        return float(np.mean([t * (rows / r) ** e for r, t in measured])) + _AROUND_S

    def refit_seconds(self, candidate: Candidate, rows: int) -> float:
        """Seconds of a fit on so many rows with the iterations that validation found best.

        A fit that is validated goes on for some rounds beyond its best one, and scores each; a final fit does neither.
        """
        shares = [
            min(1.0, done.n_iterations / done.curve_iterations[-1])
            for done in candidate.answers()
            if done.n_iterations and done.curve_iterations and not done.error
        ]
        return self.seconds_on(candidate, rows) * (float(np.mean(shares)) if shares else 1.0)

    def whole_seconds(self, candidate: Candidate, candidates: Iterable[Candidate], fold: int) -> float:
        """`seconds` on a fold; those of the algorithm's other fits where the clock cut the only one short.

        Such a fit says only what it takes at least.
        """
        seconds, done = self.seconds(candidate, fold), candidate.probe
        if candidate.folds or done is None or done.stopped != "time":
            return seconds
        whole = [c for c in candidates if c.probe is not None and c.probe.stopped != "time"]
        others = self.family_seconds(whole, candidate.algorithm, fold)
        return max(seconds, others) if math.isfinite(others) else seconds

    def family_seconds(self, candidates: Iterable[Candidate], algorithm: str, fold: int | None) -> float:
        """Median over the measured candidates of one algorithm; infinite where there is none."""
        known = [self.seconds(c, fold) for c in candidates if c.algorithm == algorithm]
        known = [seconds for seconds in known if math.isfinite(seconds)]
        return float(np.median(known)) if known else math.inf


def spread(seconds: Sequence[float], n_workers: int) -> float:
    """Seconds until the last of several one-thread fits is done, on so many workers."""
    return max(sum(seconds) / max(1, n_workers), max(seconds, default=0.0))


def _measured(done: Done | None) -> bool:
    return done is not None and not done.error
