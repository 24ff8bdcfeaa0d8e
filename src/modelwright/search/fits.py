"""Doing the fits of a search: jobs for the workers, answers for the candidates, and a word to the listener for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from modelwright.events import Emit, TrialFinished
from modelwright.search.board import Board, Problem
from modelwright.search.budget import Budget
from modelwright.search.candidate import Candidate
from modelwright.search.encoding import Encoding, View, Work
from modelwright.search.executor import Executor
from modelwright.search.jobs import Done, Fit, Job
from modelwright.search.views import Views


class Fits(Board):
    """A board whose candidates can be fitted.

    ``admits`` says why a fit on so many rows may not start, "" if it may: what the memory of the machine does not
    hold is refused before it takes the worker down.
    """

    def __init__(
        self,
        problem: Problem,
        executor: Executor,
        views: Views,
        work: Path,
        budget: Budget,
        emit: Emit,
        admits: Callable[[Candidate, int], str] = lambda candidate, n_rows: "",
    ) -> None:
        super().__init__(problem, work, executor.n_workers)
        self.executor = executor
        self.encoding = Encoding(views, self)
        self.budget = budget
        self.emit = emit
        self.admits = admits
        #: What is to be said of the search.
        self.notes: list[str] = []

    def run(
        self,
        work: Iterable[Work | View],
        deadline: float | None,
        limit: Callable[[Candidate], float | None] = lambda candidate: None,
    ) -> None:
        """Do the fits; answers go to their candidates, and every one is told to the listener.

        Views that the fits of a list read are written first; other work comes one by one, whenever a worker is free, and
        reads what is there. Views among the work are written beside the fits.
        """
        keep: list[Callable[[Done], None]] = []
        if isinstance(work, list):
            beside = {item.name for item in work if isinstance(item, View)}
            fits = [item for item in work if not isinstance(item, View)]
            self.write_views(
                [(c, fold) for c, fold in fits if self.view_of(fold, generated=c.generated) not in beside], deadline
            )

        awaited: set[int] = set()

        def jobs() -> Iterator[Job]:
            asked = itertools.chain(((item, True) for item in work), ((item, False) for item in self.meanwhile(awaited)))
            for item, ours in asked:
                if isinstance(item, View):
                    keep.append(partial(self.encoding.keep, item))
                    yield self.encoding.job(item)
                    continue
                candidate, fold = item
                most = min((s for s in (limit(candidate), self.problem.limits.trial_s) if s is not None), default=None)
                job = self._fit(candidate, fold, most)
                refused = self.admits(candidate, len(self.part(fold).training))
                if refused and not self.executor.knows(job):
                    self._keep(candidate, fold, Done(error=refused, ended="memory"))
                    continue
                if ours:
                    awaited.add(len(keep))
                keep.append(partial(self._keep, candidate, fold))
                yield job

        for position, done in self.executor.run(jobs(), deadline=deadline):
            awaited.discard(position)
            keep[position](done)

    def meanwhile(self, awaited: set[int]) -> Iterator[Work]:
        """What free workers do while others still do the fits of a list; ends when ``awaited`` is empty."""
        return iter(())

    def write_views(self, work: Iterable[Work], deadline: float | None) -> None:
        """Write the views that the work reads and that are not there yet."""
        views = self.encoding.missing(work)
        for position, done in self.executor.run([self.encoding.job(view) for view in views], deadline=deadline):
            self.encoding.keep(views[position], done)

    def _fit(self, candidate: Candidate, fold: int | None, limit: float | None) -> Fit:
        return Fit(
            view=str(self.encoding.views.path(self.view_of(fold, generated=candidate.generated))),
            out=str(self.folder(candidate, fold)),
            algorithm=candidate.algorithm,
            params=candidate.params,
            task=self.problem.task,
            n_classes=self.problem.n_classes,
            metric=self.problem.metric.name,
            seed=self.problem.seed,
            time_limit_s=limit,
        )

    def _keep(self, candidate: Candidate, fold: int | None, done: Done) -> None:
        if fold is None:
            candidate.probe = done
        n_folds = len(self.problem.folds)
        if fold is not None and fold >= n_folds:
            candidate.further[fold] = done
            n_folds += len(self.problem.further)
        elif fold is not None or self.problem.probe_is_fold:
            candidate.folds[fold or 0] = done
        self.emit(
            TrialFinished(
                elapsed_s=self.budget.elapsed(),
                number=candidate.number,
                algorithm=candidate.algorithm,
                state="stopped" if done.ended in ("deadline", "stop") else "failed" if done.error else "complete",
                score=done.score,
                best=self.best_score(),
                metric=self.problem.metric.name,
                fit_s=done.seconds,
                stage=candidate.stage + (f" fold {fold + 1}/{n_folds}" if fold is not None else ""),
                error=done.error,
                time_left_s=None if self.budget.total_s is None else max(0.0, self.budget.left()),
            )
        )
