"""Which views of the training rows a search has written, which it still needs, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from modelwright.errors import StorageError, TrainingError
from modelwright.search.board import Board
from modelwright.search.candidate import Candidate
from modelwright.search.jobs import Done, Prepare
from modelwright.search.views import Views

#: A candidate, and the fold to fit it on (None for the probe).
Work = tuple[Candidate, int | None]
#: Stands for the fold that has all training rows.
ALL_ROWS = -1


@dataclass(frozen=True)
class View:
    """Rows of a fold (None the probe, `ALL_ROWS` all of them), encoded with or without generated features."""

    name: str
    fold: int | None
    generated: bool


class Encoding:
    """Views of one search.

    Parameters
    ----------
    views : Views
        Where they are written.
    board : Board
        Knows the rows of the folds, and how the views are called.
    """

    def __init__(self, views: Views, board: Board) -> None:
        self.views = views
        self.n_generated = 0
        self._board = board
        self._written: set[str] = set()
        #: Seconds that encoding all training rows will take, without and with generated features.
        self._seconds = {False: 0.0, True: 0.0}

    def has(self, name: str) -> bool:
        """Whether a view has been written."""
        return name in self._written

    def missing(self, work: Iterable[Work]) -> list[View]:
        """Views that the work reads and that are not there yet."""
        wanted: dict[str, View] = {}
        for candidate, fold in work:
            name = self._board.view_of(fold, generated=candidate.generated)
            wanted[name] = View(name, fold, candidate.generated)
        return [view for name, view in wanted.items() if not self.has(name)]

    def full(self, generated: Iterable[bool], most_s: float = np.inf) -> list[View]:
        """Views of all training rows that are not there yet and that take no longer than ``most_s``."""
        views = [View("full-generated" if each else "full", ALL_ROWS, each) for each in sorted(set(generated))]
        return [view for view in views if not self.has(view.name) and self._seconds[view.generated] < most_s]

    def full_s(self, generated: Iterable[bool]) -> float:
        """Seconds until all training rows are encoded, as far as they are not yet."""
        return max((self._seconds[view.generated] for view in self.full(generated)), default=0.0)

    def job(self, view: View) -> Prepare:
        """The job that writes a view."""
        if view.fold == ALL_ROWS:
            return self.views.job(view.name, np.arange(self.views.n_rows), generated=view.generated)
        part = self._board.part(view.fold)
        return self.views.job(view.name, part.training, part.validation, generated=view.generated)

    def keep(self, view: View, done: Done) -> None:
        """Enter the answer to a view's job.

        Raises
        ------
        StorageError
            If the disk refused it.
        TrainingError
            If the rows cannot be encoded.
        """
        if done.error.startswith("OSError"):
            raise StorageError(done.error, where=str(self.views.folder), mend="Free space, or give another --home.")
        if done.error and not done.ended:
            raise TrainingError(f"The features could not be encoded: {done.error}.", where=f"view {view.name}")
        if done.error:
            return
        self._written.add(view.name)
        self.n_generated = max(self.n_generated, done.n_generated)
        if view.fold != ALL_ROWS:
            rows = self._board.part(view.fold)
            # Generated features are chosen on a sample, so that their cost hardly grows with the rows.
            share = 1.0 if view.generated else (len(rows.training) + len(rows.validation)) / self._board.problem.n_rows
            self._seconds[view.generated] = max(self._seconds[view.generated], done.seconds / max(share, 1e-9))
