"""From validated candidates to members, weights, calibration and threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwright.ensembles.calibration import apply_temperature, fit_temperature
from modelwright.ensembles.greedy import select
from modelwright.ensembles.threshold import choose_threshold
from modelwright.errors import TrainingError
from modelwright.metrics import registry as metrics
from modelwright.search.search import Candidate, Search

#: An ensemble of more members would cost prediction time for little.
MAX_MEMBERS = 4


@dataclass(frozen=True)
class Selection:
    """What the delivered model will consist of."""

    members: list[tuple[Candidate, float]]
    temperature: float
    threshold: float | None
    validation_score: float | None
    #: Folds whose models stand in for members that cannot be fitted on all rows; None is the probe.
    fallback_fold: int | None
    notes: list[str]


def choose_members(search: Search, y: np.ndarray | None, weight: np.ndarray | None) -> Selection:
    """Weights by greedy selection on out-of-fold predictions; calibration and threshold on the same rows.

    Falls back, in this order, to candidates scored on the probe only, then to the baselines.

    Raises
    ------
    TrainingError
        If not even a baseline could be fitted.
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
        return Selection([(candidates[0], 1.0)], 1.0, None, candidates[0].score, fallback, notes)
    rows, predictions = _out_of_fold(search, candidates, folds)
    y_true, w = y[rows], None if weight is None else weight[rows]
    weights = select(predictions, y_true, problem.metric, w, max_members=MAX_MEMBERS)
    blend = sum(p * share for p, share in zip(predictions, weights, strict=True) if share > 0)
    assert isinstance(blend, np.ndarray)
    temperature, threshold = 1.0, None
    if problem.task != "regression":
        temperature = fit_temperature(blend, y_true, w)
        blend = apply_temperature(blend, temperature)
        if problem.task == "binary":
            threshold = choose_threshold(blend, y_true, problem.metric)
    score = metrics.score(problem.metric, y_true, blend, w, threshold=threshold)
    chosen = [(c, float(share)) for c, share in zip(candidates, weights, strict=True) if share > 0]
    chosen.sort(key=lambda pair: -pair[1])
    return Selection(chosen, temperature, threshold, float(score), fallback, notes)


def _out_of_fold(search: Search, candidates: list[Candidate], folds: list[int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Rows with a validation prediction, and the predictions of each candidate for them."""
    if folds == [-1]:
        return search.problem.probe.validation, [search.prediction(c, None) for c in candidates]
    rows = np.concatenate([search.problem.folds[fold].validation for fold in folds])
    return rows, [np.concatenate([search.prediction(c, fold) for fold in folds]) for c in candidates]
