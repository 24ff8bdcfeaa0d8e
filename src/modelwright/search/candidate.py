"""A candidate: one algorithm with one set of hyperparameters, and the answers to its fits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelwright.learners import registry
from modelwright.search.jobs import Done


@dataclass
class Candidate:
    """One algorithm with one set of hyperparameters, on one set of features.

    ``probe`` is its fit on the data subset; ``folds`` its fits on the complete training rows. Where the subset is
    the whole first fold, the two hold the same answer.
    """

    number: int
    algorithm: str
    params: dict[str, Any]
    stage: str
    baseline: bool = False
    unavailable: str = ""
    proposed: bool = False
    #: Reads the generated features too.
    generated: bool = False
    probe: Done | None = None
    folds: dict[int, Done] = field(default_factory=dict)
    #: Its fits on folds of further divisions of the rows, under their numbers.
    further: dict[int, Done] = field(default_factory=dict)

    def answers(self) -> list[Done]:
        """Every fit, each once."""
        return [*([self.probe] if self.probe and 0 not in self.folds else []), *self._on_all_rows()]

    @property
    def fold_scores(self) -> list[float]:
        return [done.score for _, done in sorted(self.folds.items()) if done.score is not None]

    def compared_on(self, folds: Iterable[int]) -> bool:
        """Whether each of these folds of further divisions has a score."""
        return all(fold in self.further and self.further[fold].score is not None for fold in folds)

    def complete(self, n_folds: int) -> bool:
        """Whether the first ``n_folds`` folds have a score."""
        return all(fold in self.folds and self.folds[fold].score is not None for fold in range(n_folds))

    def _on_all_rows(self) -> list[Done]:
        """Fits on folds of the complete rows, of every division."""
        return [*self.folds.values(), *self.further.values()]

    def mean_score(self, n_folds: int) -> float:
        """Mean score of the first ``n_folds`` folds."""
        scores = [self.folds[fold].score for fold in range(n_folds)]
        return float(np.mean([score for score in scores if score is not None]))

    @property
    def score(self) -> float | None:
        """Mean over the validated folds, else the probe's score."""
        if self.fold_scores:
            return float(np.mean(self.fold_scores))
        return self.probe.score if self.probe else None

    @property
    def failed(self) -> bool:
        """Whether a fit ended in an error of its own, not by the clock."""
        return any(done.error and done.ended not in ("deadline", "stop") for done in self.answers())

    @property
    def n_iterations(self) -> int | None:
        """Mean best iteration count of the folds, else of the probe."""
        counts = [d.n_iterations for d in self._on_all_rows() if d.n_iterations] or [
            d.n_iterations for d in self.answers() if d.n_iterations
        ]
        return max(1, round(float(np.mean(counts)))) if counts else None

    @property
    def final_params(self) -> dict[str, Any]:
        """Hyperparameters of the fit on all rows: iterations and what else validation rows settled, as found there."""
        answers = self._on_all_rows() or self.answers()
        learned = {name for done in answers for name in done.learned}
        settled = {name: float(np.mean([d.learned[name] for d in answers if name in d.learned])) for name in sorted(learned)}
        iterations = registry.get(self.algorithm).algorithm.iterations
        if iterations and self.n_iterations:
            settled[iterations] = self.n_iterations
        return self.params | settled
