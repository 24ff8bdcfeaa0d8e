"""The search: probe a portfolio on a data subset, tune the best families there, validate the best on all rows.

Notation: a *candidate* is one algorithm with one set of hyperparameters. It is *probed* on one view (a subset of
the training rows of fold 0, scored on validation rows of fold 0) and, if good, *validated* on every fold of the
complete training rows. Baselines are validated always. On small tables the probe is fold 0 itself and its result
is kept.

Work proceeds in generations with a barrier between them, so that without a clock (``trials``) the outcome does
not depend on how many workers there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.events import Emit, TrialFinished
from modelwright.learners import registry
from modelwright.metrics.metric import Metric
from modelwright.search import budget as shares
from modelwright.search.budget import Budget, until
from modelwright.search.executor import Executor
from modelwright.search.jobs import Done, Fit
from modelwright.search.tuning import Tuner
from modelwright.search.views import Views
from modelwright.splits.partition import Fold
from modelwright.tables.schema import Task

#: Candidates validated on all folds, and of these at most so many of one algorithm.
MAX_VALIDATED = 8
MAX_OF_ONE_ALGORITHM = 3
#: Up to this many training rows a single fold says too little, and fits are cheap: nearly all go on to all folds.
FEW_ROWS = 2_500
MAX_VALIDATED_OF_FEW = 20
MAX_OF_ONE_OF_FEW = 6
#: Rows to the number of configurations worth proposing: more would only fit the noise of the validation rows.
#: After AutoGluon 1.5, which caps the number of models at 4 to 100 in the same way.
TUNE_CAPS = ((100, 4), (500, 8), (2_500, 24), (10_000, 60))
MAX_TUNED = 150
#: Proposals asked at once; fixed, so that the trial list does not depend on the number of workers.
TUNE_BATCH = 4


@dataclass(frozen=True)
class Problem:
    """What is searched for."""

    task: Task
    n_classes: int
    metric: Metric
    folds: Sequence[Fold]
    probe: Fold
    seed: int
    trials: int | None
    #: True when the probe is fold 0 itself.
    probe_is_fold: bool


@dataclass
class Candidate:
    """One algorithm with one set of hyperparameters, and the answers to its jobs."""

    number: int
    algorithm: str
    params: dict[str, Any]
    stage: str
    baseline: bool = False
    unavailable: str = ""
    proposed: bool = False
    probe: Done | None = None
    folds: dict[int, Done] = field(default_factory=dict)

    def answers(self) -> list[Done]:
        return [*([self.probe] if self.probe and 0 not in self.folds else []), *self.folds.values()]

    @property
    def fold_scores(self) -> list[float]:
        return [done.score for _, done in sorted(self.folds.items()) if done.score is not None]

    def complete(self, n_folds: int) -> bool:
        return len(self.fold_scores) == n_folds

    @property
    def score(self) -> float | None:
        """Mean over the validated folds, else the probe's score."""
        if self.fold_scores:
            return float(np.mean(self.fold_scores))
        return self.probe.score if self.probe else None

    @property
    def n_iterations(self) -> int | None:
        """Mean best iteration count of the folds, else of the probe."""
        counts = [d.n_iterations for d in self.folds.values() if d.n_iterations] or [
            d.n_iterations for d in self.answers() if d.n_iterations
        ]
        return max(1, round(float(np.mean(counts)))) if counts else None


class Search:
    """Runs the generations; every candidate ends in ``candidates``."""

    def __init__(self, problem: Problem, executor: Executor, views: Views, work: Path, budget: Budget, emit: Emit) -> None:
        self.problem = problem
        self.executor = executor
        self.views = views
        self.work = work
        self.budget = budget
        self.emit = emit
        self.candidates: list[Candidate] = []

    # -- generations ---------------------------------------------------------------------------------------

    def add(self, algorithm: str, params: dict[str, Any], stage: str) -> Candidate:
        """Enter a candidate; an algorithm whose extra is missing is listed with the install command."""
        candidate = Candidate(
            number=len(self.candidates),
            algorithm=algorithm,
            params=dict(params),
            stage=stage,
            baseline=registry.get(algorithm).algorithm.baseline,
            unavailable=registry.available(algorithm),
        )
        self.candidates.append(candidate)
        return candidate

    def baselines(self, names: Sequence[str]) -> None:
        """Probe and validate the baselines."""
        chosen = [self.add(name, {}, "baseline") for name in names]
        self._probe(chosen, shares.after(shares.PROBE_SHARE, self.search_deadline()))

    def probe(self, portfolio: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Try every entry of the portfolio on the probe view."""
        limit = self.problem.trials if self.problem.trials is not None else len(portfolio)
        chosen = [self.add(name, params, "probe") for name, params in portfolio[: max(1, limit)]]
        self._probe([c for c in chosen if not c.unavailable], shares.after(shares.PROBE_SHARE, self.search_deadline()))

    def tune(self) -> None:
        """Propose configurations of the best families, batch by batch, on the probe view."""
        deadline = shares.after(shares.TUNE_SHARE, self.search_deadline())
        room = self._room()
        families = self._best_families(3)
        tuners: dict[str, Tuner] = {}
        proposed = 0
        while room > 0 and families and not self.executor.stop.is_set():
            # A family whose fits are dear would use up the time of the others.
            affordable = [f for f in families if self._median_probe_s(f) < until(deadline) / 4]
            if not affordable:
                return
            batch: list[Candidate] = []
            for _ in range(min(TUNE_BATCH, room)):
                family = affordable[proposed % len(affordable)]
                tuner = tuners.get(family) or tuners.setdefault(family, self._tuner(family))
                if not tuner.tunable:
                    families = [f for f in families if f != family]
                    break
                candidate = self.add(family, {}, "tune")
                candidate.proposed = True
                candidate.params = tuner.ask(candidate.number)
                batch.append(candidate)
                proposed += 1
            self._probe(batch, deadline)
            for candidate in batch:
                tuners[candidate.algorithm].tell(candidate.number, self._utility(candidate))
            room -= len(batch)

    def validate(self) -> None:
        """Fit the best candidates on every fold of the complete training rows, best first, while time lasts."""
        while not self.executor.stop.is_set():
            deadline = self.search_deadline()
            chosen: list[Candidate] = []
            spent = 0.0
            for candidate in self._promising():
                missing = [fold for fold in range(len(self.problem.folds)) if fold not in candidate.folds]
                cost = sum(self._predicted_s(candidate, fold) for fold in missing)
                first = not chosen and not self.validated()
                if missing and (first or spent + cost < until(deadline) * self.executor.n_workers * 0.9):
                    chosen.append(candidate)
                    spent += cost
            if not chosen:
                return
            # In time for a second look: what the first ones really cost decides how many follow.
            self._validate(chosen if deadline is None else chosen[: max(2, self.executor.n_workers)], deadline)

    def validate_baselines(self) -> None:
        """Baselines are cheap and always scored like the candidates they are compared with."""
        self._validate([c for c in self.candidates if c.baseline and c.score is not None], self.search_deadline())

    # -- what came out -------------------------------------------------------------------------------------

    def validated(self, *, baseline: bool = False) -> list[Candidate]:
        """Candidates with a score on every fold, best first."""
        done = [c for c in self.candidates if c.baseline == baseline and c.complete(len(self.problem.folds))]
        return sorted(done, key=lambda c: -self.problem.metric.utility(float(np.mean(c.fold_scores))))

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

    def prediction(self, candidate: Candidate, fold: int | None) -> np.ndarray:
        """Predictions of the validation rows of a fold, or of the probe for None."""
        return np.load(self.folder(candidate, fold) / "valid_pred.npy")

    def folder(self, candidate: Candidate, fold: int | None) -> Path:
        """Where a job of a candidate left its model and predictions."""
        if fold == 0 and self.problem.probe_is_fold:
            fold = None
        return self.work / "fits" / f"{candidate.number}-{'probe' if fold is None else fold}"

    def view_of(self, fold: int | None) -> str:
        """Name of the view of a fold, or of the probe for None."""
        return "probe" if fold is None or (fold == 0 and self.problem.probe_is_fold) else f"fold{fold}"

    def search_deadline(self) -> float | None:
        """When the search must end, leaving room for fitting the likely members on all rows."""
        likely = (self.validated() or self.probed())[:4]
        refit_s = 1.5 * sum(self._predicted_s(c, 0) for c in likely) / self.executor.n_workers
        return self.budget.search_deadline(refit_s)

    # -- inside --------------------------------------------------------------------------------------------

    def _probe(self, candidates: Sequence[Candidate], deadline: float | None) -> None:
        def keep(candidate: Candidate, done: Done) -> None:
            candidate.probe = done
            if self.problem.probe_is_fold:
                candidate.folds[0] = done

        # A single probe may not eat the time of the others.
        limit = None if deadline is None else max(1.0, 0.6 * until(deadline))
        self._run([(c, None) for c in candidates], deadline, limit, lambda c, _, done: keep(c, done))

    def _validate(self, candidates: Sequence[Candidate], deadline: float | None) -> None:
        def keep(candidate: Candidate, fold: int | None, done: Done) -> None:
            assert fold is not None
            candidate.folds[fold] = done

        missing = [(c, fold) for c in candidates for fold in range(len(self.problem.folds)) if fold not in c.folds]
        for candidate, _ in missing:
            candidate.stage = "baseline" if candidate.baseline else "validate"
        limit = None if deadline is None else max(1.0, 0.8 * until(deadline))
        self._run(missing, deadline, limit, keep)

    def _run(
        self,
        work: Sequence[tuple[Candidate, int | None]],
        deadline: float | None,
        limit: float | None,
        keep: Callable[[Candidate, int | None, Done], None],
    ) -> None:
        jobs = [
            Fit(
                view=str(self.views.path(self.view_of(fold))),
                out=str(self.folder(candidate, fold)),
                algorithm=candidate.algorithm,
                params=candidate.params,
                task=self.problem.task,
                n_classes=self.problem.n_classes,
                metric=self.problem.metric.name,
                seed=self.problem.seed,
                time_limit_s=limit,
            )
            for candidate, fold in work
        ]
        for position, done in self.executor.run(jobs, deadline=deadline):
            candidate, fold = work[position]
            keep(candidate, fold, done)
            self.emit(
                TrialFinished(
                    elapsed_s=self.budget.elapsed(),
                    number=candidate.number,
                    algorithm=candidate.algorithm,
                    state="stopped" if done.ended in ("deadline", "stop") else "failed" if done.error else "complete",
                    score=done.score,
                    best=self._best_score(),
                    metric=self.problem.metric.name,
                    fit_s=done.seconds,
                    stage=candidate.stage + (f" fold {fold + 1}/{len(self.problem.folds)}" if fold is not None else ""),
                    error=done.error,
                    time_left_s=None if self.budget.total_s is None else max(0.0, self.budget.left()),
                )
            )

    def _best_score(self) -> float | None:
        """Of the validated candidates if there are any; a probe score and a mean over folds are not comparable."""
        for candidate in self.validated():
            return candidate.score
        for candidate in self.probed():
            return candidate.probe.score if candidate.probe else None
        return None

    def _utility(self, candidate: Candidate) -> float | None:
        """Utility on the probe, where all candidates are compared."""
        score = candidate.probe.score if candidate.probe else None
        return None if score is None else self.problem.metric.utility(score)

    def _promising(self) -> list[Candidate]:
        """Candidates in the order of their probe score, not too many of one algorithm."""
        few = self._n_rows() <= FEW_ROWS
        most, of_one = (MAX_VALIDATED_OF_FEW, MAX_OF_ONE_OF_FEW) if few else (MAX_VALIDATED, MAX_OF_ONE_ALGORITHM)
        chosen: list[Candidate] = []
        for candidate in self.probed():
            if sum(c.algorithm == candidate.algorithm for c in chosen) < of_one:
                chosen.append(candidate)
        return chosen[:most]

    def _n_rows(self) -> int:
        fold = self.problem.folds[0]
        return len(fold.training) + len(fold.validation)

    def _room(self) -> int:
        """How many configurations may still be proposed."""
        if self.problem.trials is not None:
            return self.problem.trials - sum(not c.baseline for c in self.candidates)
        cap = next((cap for rows, cap in TUNE_CAPS if self._n_rows() <= rows), MAX_TUNED)
        return cap - sum(c.proposed for c in self.candidates)

    def _best_families(self, n: int) -> list[str]:
        return list(dict.fromkeys(c.algorithm for c in self.probed()))[:n]

    def _median_probe_s(self, algorithm: str) -> float:
        times = [c.probe.seconds for c in self.candidates if c.algorithm == algorithm and c.probe and c.probe.score is not None]
        return float(np.median(times)) if times else math.inf

    def _tuner(self, family: str) -> Tuner:
        tuner = Tuner(family, self.problem.task, seed=self.problem.seed)
        for candidate in self.candidates:
            utility = self._utility(candidate)
            if candidate.algorithm == family and utility is not None and tuner.tunable:
                tuner.tell_known(candidate.params, utility)
        return tuner

    def _predicted_s(self, candidate: Candidate, fold: int) -> float:
        """Seconds that a fit on the training rows of a fold will take, from the other folds or else from the probe."""
        measured = [done.seconds for done in candidate.folds.values() if not done.error]
        if measured:
            return float(np.mean(measured)) + 0.1
        if candidate.probe is None:
            return 0.0
        ratio = len(self.problem.folds[fold].training) / max(1, len(self.problem.probe.training))
        return candidate.probe.seconds * ratio * (1.0 if ratio <= 1 else 1.2) + 0.1
