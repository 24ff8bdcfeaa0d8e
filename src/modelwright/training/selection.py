"""From validated candidates to members, weights, calibration, threshold and conformal scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from modelwright.ensembles.calibration import NONE, Calibration, calibrate
from modelwright.ensembles.conformal import Conformal
from modelwright.ensembles.decisions import decide
from modelwright.ensembles.greedy import select
from modelwright.ensembles.threshold import ThresholdChoice
from modelwright.errors import TrainingError
from modelwright.metrics import registry as metrics
from modelwright.search.candidate import Candidate
from modelwright.search.search import Search

#: Six members lost 0.2 % less than four on average over 11 tables, eight no less than six (docs/benchmarks.md).
MAX_MEMBERS = 6
#: From candidates to which of them, by position, may be members together.
Allowed = Callable[[Sequence[Candidate]], Callable[[Collection[int]], bool] | None]


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of training rows by models that did not train on them; k rows in the order of their folds."""

    rows: np.ndarray
    fold: np.ndarray
    #: Of the weighed members, calibrated.
    prediction: np.ndarray
    #: Of each validated candidate, by its number.
    candidates: dict[int, np.ndarray]


@dataclass(frozen=True)
class Selection:
    """What the delivered model will consist of."""

    members: list[tuple[Candidate, float]]
    calibration: Calibration
    #: None unless the task is binary.
    choice: ThresholdChoice | None
    conformal: Conformal | None
    validation_score: float | None
    #: Fold whose models stand in for members that cannot be fitted on all rows; None is the probe.
    fallback_fold: int | None
    notes: list[str]
    out_of_fold: OutOfFold | None = None

    @property
    def temperature(self) -> float:
        """1 where the calibration is none or another one."""
        return self.calibration.temperature

    @property
    def threshold(self) -> float | None:
        """Probability from which class 1 is predicted; None leaves it to the more probable class."""
        return None if self.choice is None else self.choice.threshold


def choose_members(
    search: Search,
    y: np.ndarray | None,
    weight: np.ndarray | None,
    *,
    groups: np.ndarray | None = None,
    when: np.ndarray | None = None,
    cost: dict[str, float] | None = None,
    floor: dict[str, float] | None = None,
    allowed: Allowed | None = None,
    max_members: int = MAX_MEMBERS,
) -> Selection:
    """Weights by greedy selection on out-of-fold predictions; calibration, threshold and scores on the same rows.

    Falls back, in this order, to candidates scored on the probe only, then to the baselines.

    Parameters
    ----------
    search : Search
    y, weight : ndarray of shape (n,) or None
        Of the training rows.
    groups, when : ndarray of shape (n,), optional
        Entity and moment of each training row.
    cost, floor : dict, optional
        As in the spec.

    Raises
    ------
    TrainingError
        If not even a baseline could be fitted.
    SpecError
        If no threshold holds the floor.
    """
    problem, notes = search.problem, []
    candidates, folds = search.validated(), list(range(len(problem.folds)))
    if not candidates:
        candidates = search.probed()
        if candidates:
            notes.append("Time did not suffice to validate on all folds; members were chosen on one.")
        else:
            candidates = sorted(
                (c for c in search.candidates if c.baseline and c.score is not None),
                key=lambda c: -problem.metric.utility(c.score if c.score is not None else 0.0),
            )[:1]
            notes.append("No candidate finished; the best baseline is delivered.")
        if not candidates:
            answers = [d for c in search.candidates for d in c.answers()]
            if all(d.ended == "deadline" for d in answers):
                raise TrainingError(
                    f"The budget of {search.budget.total_s:g} s ended before any algorithm was fitted; "
                    f"reading, splitting and encoding took {search.budget.elapsed():.0f} s.",
                    mend="Give more time with --budget.",
                )
            errors = {f"{c.algorithm}: {d.error}" for c in search.candidates for d in c.answers() if d.error}
            raise TrainingError(
                f"No algorithm could be trained. {'; '.join(sorted(errors))[:800]}",
                mend="Give more time with --budget, or see the errors above.",
            )
        folds = [-1]
    fallback = 0 if folds[0] >= 0 else None
    if problem.task == "clustering" or y is None:
        fits = None if allowed is None else allowed(candidates)
        first = next((c for i, c in enumerate(candidates) if fits is None or fits((i,))), candidates[0])
        return Selection([(first, 1.0)], NONE, None, None, first.score, fallback, notes)
    rows, fold, predictions = _out_of_fold(search, candidates, folds)
    y_true, w = y[rows], None if weight is None else weight[rows]
    # Weighed on every division of the rows, judged on the first one.
    weighed, on, seen = candidates, rows, predictions
    further = list(range(len(folds), len(folds) + search.n_further))
    if again := _compared_again(candidates, further, allowed):
        weighed, (on, _, seen) = again, _out_of_fold(search, again, [*folds, *further])
    shares = select(
        seen,
        y[on],
        problem.metric,
        None if weight is None else weight[on],
        max_members=max_members,
        allowed=None if allowed is None else allowed(weighed),
    )
    share_of = {c.number: share for c, share in zip(weighed, shares, strict=True)}
    weights = [share_of.get(c.number, 0.0) for c in candidates]
    blend = sum(p * share for p, share in zip(predictions, weights, strict=True) if share > 0)
    assert isinstance(blend, np.ndarray)
    decided = decide(
        problem.task,
        blend,
        y_true,
        problem.metric,
        weight=w,
        groups=None if groups is None else groups[rows],
        when=None if when is None else when[rows],
        # In time the first fold is the latest window; windows are told by numbers that rise.
        fold=fold if when is None else -fold,
        cost=cost,
        floor=floor,
        seed=problem.seed,
    )
    threshold = None if decided.threshold is None else decided.threshold.threshold
    if problem.task != "regression":
        blend = calibrate(blend, decided.calibration)
    score = metrics.score(problem.metric, y_true, blend, w, threshold=threshold)
    chosen = [(c, float(share)) for c, share in zip(candidates, weights, strict=True) if share > 0]
    chosen.sort(key=lambda pair: -pair[1])
    numbered = {c.number: p for c, p in zip(candidates, predictions, strict=True)}
    return Selection(
        chosen,
        decided.calibration,
        decided.threshold,
        decided.conformal,
        float(score),
        fallback,
        notes,
        OutOfFold(rows, fold, blend, numbered),
    )


def _compared_again(candidates: list[Candidate], further: list[int], allowed: Allowed | None) -> list[Candidate]:
    """Those that were compared on folds of further divisions; none where there are no such folds, or the limits allow none."""
    if not further:
        return []
    again = [c for c in candidates if c.compared_on(further)]
    fits = None if allowed is None else allowed(again)
    return again if fits is None or any(fits((i,)) for i in range(len(again))) else []


def _out_of_fold(
    search: Search, candidates: list[Candidate], folds: list[int]
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Rows with a validation prediction, the fold of each, and the predictions of each candidate for them."""
    if folds == [-1]:
        rows = search.problem.probe.validation
        return rows, np.zeros(len(rows), dtype=np.int64), [search.prediction(c, None) for c in candidates]
    number = np.repeat(folds, [len(search.part(fold).validation) for fold in folds])
    rows = np.concatenate([search.part(fold).validation for fold in folds])
    return rows, number, [np.concatenate([search.prediction(c, fold) for fold in folds]) for c in candidates]
