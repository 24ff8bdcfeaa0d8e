"""What a search knows: its problem, its candidates, and where their fits lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.ensembles.greedy import select
from modelwright.learners import registry
from modelwright.learners.memory import most_rounds
from modelwright.metrics.metric import Metric
from modelwright.search.candidate import Candidate
from modelwright.search.climbing import diverse
from modelwright.search.costs import Costs, spread
from modelwright.search.grids import Grids
from modelwright.search.racing import BEHIND, behind
from modelwright.search.tuning import Sampler
from modelwright.splits.folds import fewer
from modelwright.splits.partition import Fold
from modelwright.tables.schema import Task

#: Candidates that go on from fold to fold.
MAX_RACING = 10
#: Standard errors behind the best from which an algorithm is worth neither tuning nor another fold.
FAR_BEHIND = 3.0
#: Bytes that the trees of one boosted fit may take: 19 classes had 8,000 rounds on 680 rows, and 450 MB of trees.
TREES_BYTES = 250e6
#: Fits that a model may consist of: each adds to the time of a prediction.
MOST_FITS = 8
#: Seeds of a network, which come before those of others: on 2,000 rows five of them were 26,900 to 32,200 RMSE apart.
NETWORK_SEEDS = 5
#: The interim choice of an ensemble: members it may have, and rows it reads.
_INTERIM_MEMBERS = 8
_INTERIM_ROWS = 5_000


@dataclass(frozen=True)
class Limits:
    """What the user allows: configurations, failed fits, seconds of one fit."""

    trials: int | None = None
    failures: int | None = None
    trial_s: float | None = None


@dataclass(frozen=True)
class Problem:
    """What is searched for.

    ``folds`` are as many as could be used; `Board.n_folds` says how many the search has reached. Where
    ``probe_is_fold``, the probe is fold 0 itself. ``further`` are the folds of other divisions of the same rows, numbered on
    from ``folds``; `Board.n_further` says how many were reached.
    """

    task: Task
    n_classes: int
    metric: Metric
    folds: Sequence[Fold]
    probe: Fold
    seed: int
    probe_is_fold: bool
    y: np.ndarray | None = None
    weight: np.ndarray | None = None
    #: Times of the rows as numbers.
    when: np.ndarray | None = None
    limits: Limits = field(default_factory=Limits)
    sampler: Sampler = "tpe"
    grids: Grids = field(default_factory=dict)
    #: Choices that may be proposed, by algorithm and hyperparameter; all where nothing is said.
    allowed: Mapping[str, Mapping[str, tuple[Any, ...]]] = field(default_factory=dict)
    further: Sequence[Fold] = ()
    #: Training rows of each fold where they were cut down because there was no time for all, and the rows of the first fold
    #: before that; 0 where they were not.
    n_fewer: int = 0
    n_before: int = 0
    #: Whether members may be fitted with several seeds.
    several_seeds: bool = True

    @property
    def n_rows(self) -> int:
        """Rows that train or validate in the first fold, or did before it was cut down."""
        return self.n_before or len(self.folds[0].training) + len(self.folds[0].validation)


class Board:
    """Candidates with their scores, and the questions that the search asks of them.

    Parameters
    ----------
    problem : Problem
    work : Path
        Working folder; fits lie in ``work/fits``.
    n_workers : int
    """

    def __init__(self, problem: Problem, work: Path, n_workers: int) -> None:
        self.problem = problem
        self.work = work
        self.n_workers = n_workers
        self.candidates: list[Candidate] = []
        self.costs = self._costs()
        #: Folds that the race has reached.
        self.n_folds = 1
        #: Folds of further divisions that the members were compared on.
        self.n_further = 0
        #: Members of the best ensemble when it was last looked for.
        self.likely: list[Candidate] = []

    def add(self, algorithm: str, params: dict[str, Any], stage: str, *, generated: bool = False) -> Candidate:
        """Enter a candidate; an algorithm whose extra is missing is listed with the install command."""
        candidate = Candidate(
            number=len(self.candidates),
            algorithm=algorithm,
            params=self._with_room(algorithm, params),
            stage=stage,
            baseline=registry.get(algorithm).algorithm.baseline,
            unavailable=registry.available(algorithm),
            generated=generated,
        )
        self.candidates.append(candidate)
        return candidate

    def _with_room(self, algorithm: str, params: dict[str, Any]) -> dict[str, Any]:
        """The hyperparameters, with as many rounds at most as there is room for; those that the user gave stay."""
        rounds = most_rounds(algorithm, params, self.problem.n_classes, TREES_BYTES)
        if rounds is None or "n_estimators" not in params or "n_estimators" in self.problem.grids.get(algorithm, {}):
            return dict(params)
        return params | {"n_estimators": min(params["n_estimators"], rounds)}

    def take_fewer(self, n_rows: int) -> None:
        """Cut the training rows of every fold down, before anything was fitted on them."""
        problem = self.problem
        folds = [fewer(fold, n_rows, problem.y, problem.task, problem.seed, problem.when) for fold in problem.folds]
        self.problem = replace(problem, folds=folds, further=(), n_fewer=n_rows, n_before=problem.n_rows)
        self.costs = self._costs()

    def _costs(self) -> Costs:
        folds = [*self.problem.folds, *self.problem.further]
        return Costs(len(self.problem.probe.training), [len(fold.training) for fold in folds])

    # -- rankings ------------------------------------------------------------------------------------------

    def validated(self, *, baseline: bool = False, n_folds: int | None = None) -> list[Candidate]:
        """Candidates with a score on every fold reached (or on the first ``n_folds``), best first."""
        level = self.n_folds if n_folds is None else n_folds
        done = [c for c in self.candidates if c.baseline == baseline and c.complete(level)]
        return sorted(done, key=lambda c: -self.problem.metric.utility(c.mean_score(level)))

    def probed(self) -> list[Candidate]:
        """Candidates by their probe, best first: the one score that is taken on the same rows for all of them."""
        done = [(c, c.probe.score) for c in self.candidates if not c.baseline and c.probe and c.probe.score is not None]
        return [c for c, _ in sorted(done, key=lambda pair: -self.problem.metric.utility(pair[1]))]

    def ranked_baselines(self) -> list[Candidate]:
        """Every baseline that was scored, the strongest first: by validation, or by the probe if that is all there is."""
        scored = [c for c in self.candidates if c.baseline and c.score is not None]
        probed = sorted(scored, key=lambda c: -self.problem.metric.utility(c.score if c.score is not None else 0.0))
        ranked: list[Candidate] = []
        for candidate in [*self.validated(baseline=True), *probed]:
            if candidate not in ranked:
                ranked.append(candidate)
        return ranked

    def utility(self, candidate: Candidate) -> float | None:
        """Utility on fold 0 of the complete rows, else on the probe."""
        done = candidate.folds.get(0) or candidate.probe
        return None if done is None or done.score is None else self.problem.metric.utility(done.score)

    def families(self) -> dict[str, Candidate]:
        """The best candidate of each algorithm that may still matter, best algorithm first.

        Algorithms are ordered by the probe, the one score that is taken on the same rows for all of them; the candidate is
        the best on the complete rows where one got there. One that is clearly behind on the probe is left out, unless
        the best ensemble so far has a place for it.
        """
        probed = self.probed()
        climbed = [c for c in self.validated(n_folds=1) if not c.baseline]
        best: dict[str, Candidate] = {}
        for candidate in climbed:
            best.setdefault(candidate.algorithm, candidate)
        order: dict[str, Candidate] = {}
        for candidate in probed:
            order.setdefault(candidate.algorithm, candidate)
        if self.problem.task == "clustering" or self.problem.y is None:
            return {name: best.get(name, candidate) for name, candidate in order.items()}
        rows = self.problem.probe.validation
        weight = None if self.problem.weight is None else self.problem.weight[rows]
        predictions = [self.prediction(candidate, None) for candidate in order.values()]
        distance = behind(self.problem.metric, self.problem.y[rows], predictions, weight, seed=self.problem.seed)
        wanted = {candidate.algorithm for candidate in self.likely}
        return {
            name: best.get(name, candidate)
            for (name, candidate), far in zip(order.items(), distance, strict=True)
            if far < FAR_BEHIND or name in wanted
        }

    def best_score(self) -> float | None:
        """Of the validated candidates if there are any; a probe score and a mean over folds are not comparable."""
        for candidate in self.validated():
            return candidate.mean_score(self.n_folds)
        for candidate in self.probed():
            return candidate.probe.score if candidate.probe else None
        return None

    def racing(self, n_folds: int) -> list[Candidate]:
        """Who goes on to the next fold, the most useful first.

        Members of the best ensemble so far, all that are not clearly behind the best one on the same rows, and the
        best of each algorithm that is not far behind; the algorithms take turns.
        """
        problem, validated = self.problem, self.validated(n_folds=n_folds)
        if len(validated) <= 2 or problem.task == "clustering" or problem.y is None:
            return validated[:MAX_RACING]
        folds = range(n_folds)
        rows = np.concatenate([problem.folds[fold].validation for fold in folds])
        predictions = [np.concatenate([self.prediction(c, fold) for fold in folds]) for c in validated]
        if len(rows) > _INTERIM_ROWS:
            kept = np.sort(np.random.default_rng(problem.seed).permutation(len(rows))[:_INTERIM_ROWS])
            rows, predictions = rows[kept], [p[kept] for p in predictions]
        y, weight = problem.y[rows], None if problem.weight is None else problem.weight[rows]
        shares = select(predictions, y, problem.metric, weight, max_members=_INTERIM_MEMBERS)
        distance = behind(problem.metric, y, predictions, weight, seed=problem.seed)
        self.likely = [c for c, share in zip(validated, shares, strict=True) if share > 0]
        best_of = {c.algorithm: c.number for c in reversed(validated)}
        order = sorted(range(len(validated)), key=lambda i: (shares[i] == 0, i))
        going = [
            i
            for i in order
            if shares[i] > 0 or distance[i] < (FAR_BEHIND if best_of[validated[i].algorithm] == validated[i].number else BEHIND)
        ]
        members = [validated[i] for i in going if shares[i] > 0]
        # Variants of one algorithm that are as good as each other would leave no place for the rest.
        return [*members, *diverse([validated[i] for i in going if shares[i] == 0])][:MAX_RACING]

    # -- costs ---------------------------------------------------------------------------------------------

    def refit_s(self, members: Sequence[Candidate]) -> float:
        """Seconds that fitting the members on all training rows will take."""
        seconds = [self.costs.refit_seconds(c, self.problem.n_rows) for c in members]
        return spread([s for s in seconds if math.isfinite(s)], self.n_workers)

    def fold_s(self, candidates: Sequence[Candidate], fold: int) -> float:
        """Seconds until all of them are fitted on a fold."""
        return spread([self.costs.seconds(c, fold) for c in candidates], self.n_workers)

    # -- files ---------------------------------------------------------------------------------------------

    def prediction(self, candidate: Candidate, fold: int | None) -> np.ndarray:
        """Predictions of the validation rows of a fold, or of the probe for None."""
        return np.load(self.folder(candidate, fold) / "valid_pred.npy")

    def folder(self, candidate: Candidate, fold: int | None) -> Path:
        """Where a job of a candidate left its model and predictions."""
        if fold == 0 and self.problem.probe_is_fold:
            fold = None
        return self.work / "fits" / f"{candidate.number}-{'probe' if fold is None else fold}"

    def view_of(self, fold: int | None, *, generated: bool = False) -> str:
        """Name of the view of a fold, or of the probe for None."""
        name = "probe" if fold is None or (fold == 0 and self.problem.probe_is_fold) else f"fold{fold}"
        if self.problem.n_fewer and name != "probe":
            name += f".{self.problem.n_fewer}"
        return name + ("-generated" if generated else "")

    def part(self, fold: int | None) -> Fold:
        """Rows of a fold, or of the probe for None."""
        if fold is None:
            return self.problem.probe
        n = len(self.problem.folds)
        return self.problem.folds[fold] if fold < n else self.problem.further[fold - n]
