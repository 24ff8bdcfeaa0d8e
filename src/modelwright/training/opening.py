"""Open the vault, score, enter the look, close: the one way from sealed rows to a number that may be shown.

What `evaluate_sealed` returns is committed in the ledger already, and holds nothing of a model that is no better than
the best shown so far but that sentence: its score, its curves and its slices would tell the next model what to fit.
"""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import polars as pl
from scipy import special

from modelwright.evaluation.influences import influences_of, save_influences
from modelwright.metrics.estimate import Interval
from modelwright.metrics.intervals import bounds, interval
from modelwright.metrics.metric import Metric
from modelwright.metrics.paired import compare
from modelwright.splits.looks import BUDGET, Look, corrected_level, step_level
from modelwright.splits.vault import Vault
from modelwright.store.ledger import Ledger, Opening
from modelwright.store.lines import Best, as_kept
from modelwright.training.record import Comparison, Evaluation


@dataclass(frozen=True)
class Scored:
    """A model's evaluation as it is, and what the rules of looks need of it.

    Parameters
    ----------
    evaluation : Evaluation
    y : ndarray of shape (n,) or None
        Targets as the metric reads them; None if ``prediction`` holds values of rows whose mean is the score.
    prediction : ndarray
        As learners return it; for clustering the silhouettes of the rows judged.
    threshold : float or None
    weight, groups, time : ndarray of shape (n,) or None
    """

    evaluation: Evaluation
    y: np.ndarray | None
    prediction: np.ndarray
    threshold: float | None = None
    weight: np.ndarray | None = None
    groups: np.ndarray | None = None
    time: np.ndarray | None = None


def evaluate_sealed(
    ledger: Ledger,
    vault: Vault,
    score: Callable[[pl.DataFrame], Scored],
    *,
    run: str,
    purpose: str,
    at: str,
    metric: Metric,
    task: str,
    classes: Sequence[Any],
    seed: int,
    again: bool = False,
) -> tuple[Evaluation, Look]:
    """Open sealed rows once, score a model on them, and return what may be shown.

    Parameters
    ----------
    ledger : Ledger
    vault : Vault
    score : callable
        From the sealed rows as read to what the model makes of them.
    run, purpose, at : str
        Whose look, what for, and when.
    metric : Metric
    task : str
    classes : sequence
        Labels of the classes by number.
    seed : int
    again : bool, default=False
        Whether the run was resumed. Killed before the line was committed, it has not looked; killed after that, the same
        model enters the same line once more, which is not counted again, and another one is another look.

    Returns
    -------
    tuple of Evaluation and Look
        What may be shown; the look is in the ledger when this returns.

    Raises
    ------
    StorageError
        If the look cannot be entered; then there is no number.
    InvalidInputError
        Without a purpose, or for a reserve before its time.
    """
    kind = hashlib.sha256(json.dumps([task, [str(label) for label in classes]]).encode()).hexdigest()
    fields = {"run": run, "purpose": purpose, "at": at, "by": _user(), "metric": metric.name, "kind": kind}
    while True:
        with ledger.opening(vault.about, **fields, again=again) as opening:
            scored = score(vault.rows(opening))
            look = _enter(opening, scored, metric, seed)
        if opening.counted:
            if look.reveals:
                _keep_influences(vault, scored, metric, look)
            return shown(scored.evaluation, look), look
        again = False  # the model is not the one that looked: an opening of its own


def _enter(opening: Opening, scored: Scored, metric: Metric, seed: int) -> Look:
    against = _against(opening, scored, metric, seed)
    score = scored.evaluation.score
    return opening.enter(
        score,
        corrected=_corrected(scored, score, scored.prediction, scored.threshold, metric, opening.level, seed),
        predictions=scored.prediction,
        gain=None if against is None else _gain(scored, against, metric, opening.count, seed),
        against=against,
        threshold=scored.threshold,
        beats_baseline=_beats(scored.evaluation.comparison, opening.level if opening.count > 1 else 0.95),
        bounded=bool(np.isfinite(bounds(metric)).all()),
    )


def _keep_influences(vault: Vault, scored: Scored, metric: Metric, look: Look) -> None:
    """For comparisons with other runs; a model whose own score stays in the ledger leaves nothing (decision 0012)."""
    if scored.y is None:
        return
    kept = influences_of(
        vault.about.identity, look.count, metric, scored.y, scored.prediction, threshold=scored.threshold,
        **_dependence(scored),
    )  # fmt: skip
    if kept is not None:
        save_influences(kept, vault.folder, vault.about.part)


def predictions_digest(prediction: np.ndarray) -> str:
    """SHA-256 over the form and the values of predictions."""
    plain = np.ascontiguousarray(prediction, dtype="<f8" if prediction.dtype.kind == "f" else "<i8")
    return hashlib.sha256(f"{plain.dtype.str} {plain.shape}\n".encode() + plain.tobytes()).hexdigest()


def shown(evaluation: Evaluation, look: Look) -> Evaluation:
    """What may be shown of an evaluation after a look.

    Parameters
    ----------
    evaluation : Evaluation
        The model's own.
    look : Look

    Returns
    -------
    Evaluation
        With the score of the look. Where the model is no better than the best shown, every other number is left out,
        those too that are yet to be thought of.
    """
    if not look.reveals:
        return Evaluation(
            metric=evaluation.metric,
            n_rows=evaluation.n_rows,
            score=look.score,
            others={},
            comparison=None,
            opened=look.count,
            predictions=evaluation.predictions,
        )
    comparisons = [_at_level(comparison, look) for comparison in evaluation.comparisons]
    comparison = None if evaluation.comparison is None else _at_level(evaluation.comparison, look)
    return msgspec.structs.replace(
        evaluation, score=look.score, comparison=comparison, comparisons=comparisons, opened=look.count
    )


def _at_level(comparison: Comparison, look: Look) -> Comparison:
    """From the second look on "better" is said at the corrected level."""
    if look.count == 1 or not comparison.better or _beats(comparison, corrected_level(look.count)):
        return comparison
    sentence = (
        f"Not shown to be better than the {comparison.baseline} baseline: these rows were opened {look.count} times, and"
        f" p = {comparison.p_value:.2g} is above {1 - corrected_level(look.count):.2g}."
    )
    return msgspec.structs.replace(comparison, better=False, sentence=sentence)


def _beats(comparison: Comparison | None, level: float) -> bool | None:
    return None if comparison is None else comparison.better and comparison.p_value < 1 - level


def _against(opening: Opening, scored: Scored, metric: Metric, seed: int) -> Best | None:
    """The best shown so far, in the metric of this opening; None if the predictions cannot be laid side by side."""
    best = opening.best
    if best is None or best.predictions.shape != scored.prediction.shape:
        return None
    if best.metric == metric.name or scored.y is None:
        return best
    found = interval(metric, scored.y, best.predictions, threshold=best.threshold, seed=seed, **_dependence(scored))
    score = Interval(found.value, found.low, found.high)
    corrected = _corrected(scored, score, best.predictions, best.threshold, metric, corrected_level(best.count), seed)
    return replace(best, metric=metric.name, score=score, corrected=corrected)


def _gain(scored: Scored, best: Best, metric: Metric, count: int, seed: int) -> Interval:
    """How much better than the best shown, with the paired interval whose lower end decides."""
    prediction = as_kept(scored.prediction)

    def at(level: float) -> Interval:
        if scored.y is None:
            return _mean(prediction - best.predictions, level)
        found = compare(
            metric,
            scored.y,
            prediction,
            best.predictions,
            threshold=scored.threshold,
            baseline_threshold=best.threshold,
            seed=seed,
            level=level,
            **_dependence(scored),
        ).difference
        return Interval(found.value, found.low, found.high)

    gain = at(step_level(count))
    if count > BUDGET:
        # Draws of a bootstrap do not reach that far out; the normal curve through one standard error does.
        gain = _wider(gain, _stretched(at(step_level(2)), step_level(2), step_level(count)))
    return gain


def _corrected(
    scored: Scored,
    score: Interval,
    prediction: np.ndarray,
    threshold: float | None,
    metric: Metric,
    level: float,
    seed: int,
) -> Interval:
    """The interval of a level, at least as wide as the one of 95 % stretched to it (see `_gain`)."""
    low, high = bounds(metric)
    stretched = _stretched(score, 0.95, level)
    wide = Interval(score.value, max(stretched.low, low), min(stretched.high, high))
    if scored.y is None:
        return wide
    found = interval(metric, scored.y, prediction, threshold=threshold, seed=seed, level=level, **_dependence(scored))
    return _wider(wide, Interval(found.value, found.low, found.high))


def _stretched(score: Interval, level: float, wanted: float) -> Interval:
    ratio = float(special.ndtri(0.5 + wanted / 2) / special.ndtri(0.5 + level / 2))
    return Interval(
        score.value, score.value - ratio * (score.value - score.low), score.value + ratio * (score.high - score.value)
    )


def _wider(a: Interval, b: Interval) -> Interval:
    return Interval(a.value, float(np.fmin(a.low, b.low)), float(np.fmax(a.high, b.high)))


def _mean(values: np.ndarray, level: float) -> Interval:
    centre = float(values.mean())
    half = float(special.stdtrit(len(values) - 1, 0.5 + level / 2) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(centre, centre - half, centre + half)


def _dependence(scored: Scored) -> dict[str, Any]:
    return {"weight": scored.weight, "groups": scored.groups, "blocks": scored.time}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without a name for its user
        return "unknown"
