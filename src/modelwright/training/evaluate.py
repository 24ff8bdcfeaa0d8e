"""Everything that is measured on the sealed rows, while the vault is open."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import polars as pl

from modelwright.artifacts.model import Member, Model
from modelwright.evaluation.calibration_report import report_calibration
from modelwright.evaluation.conformal_report import report_conformal
from modelwright.evaluation.multiple import Leaderboard, against_best
from modelwright.evaluation.repeats import SeedSpread, seed_spread
from modelwright.evaluation.sealed import diagnostics
from modelwright.evaluation.threshold_report import report_threshold
from modelwright.features.encoder import Encoder
from modelwright.metrics import registry as metrics
from modelwright.metrics.dependence import clusters_of
from modelwright.metrics.metric import Metric
from modelwright.spec import Spec
from modelwright.training import naive
from modelwright.training.final import FinalFit
from modelwright.training.judge import Baseline, Sealed, judge, judge_clusters
from modelwright.training.opening import Scored, predictions_digest
from modelwright.training.prepare import Training
from modelwright.training.record import Evaluation
from modelwright.training.selection import Selection
from modelwright.training.weakness import by_group, weak_slices

#: Rows on which candidates are compared with the best; more would only cost time.
_MOST_COMPARED = 50_000


def evaluate(
    spec: Spec,
    training: Training,
    sealed: Sealed,
    model: Model,
    metric: Metric,
    selection: Selection,
    final: FinalFit,
    ranked: list[str],
) -> Scored:
    """Judge the model on sealed rows.

    Parameters
    ----------
    spec : Spec
    training : Training
    sealed : Sealed
        Evaluation rows, opened and typed.
    model : Model
    metric : Metric
    selection : Selection
    final : FinalFit
        Fitted baselines, and repeats with other seeds.
    ranked : list of str
        Names of the baselines, the strongest on validation rows first.

    Returns
    -------
    Scored
        What was found, and what the ledger needs of it.
    """
    baselines = {name: _predictor(final.encoders[member.encoder], member) for name, member in final.baselines}
    if naive.NAME in ranked and spec.time in sealed.frame.columns:
        forecast = naive.NaiveForecast(training, spec.time, spec.group)
        everything = np.arange(training.frame.height)
        when = naive.as_numbers(sealed.frame[spec.time])
        baselines[naive.NAME] = lambda frame: forecast.predict(everything, when, sealed.group_labels)
    ordered: list[Baseline] = [(name, baselines[name]) for name in ranked if name in baselines]
    prediction = model.raw_conformed(sealed.frame)
    y = sealed.y
    if model.task == "clustering" or y is None:
        clusters_found, silhouettes = judge_clusters(sealed, model, metric, prediction, ordered[0] if ordered else None)
        clusters_found = msgspec.structs.replace(clusters_found, predictions=predictions_digest(prediction))
        return Scored(clusters_found, None, silhouettes)
    found = judge(sealed, model, prediction, metric, ordered, seed=spec.seed)
    found = _decisions(found, sealed, y, model, metric, selection, prediction)
    clusters = clusters_of(len(y), sealed.groups, sealed.time)
    oof = selection.out_of_fold
    if oof is not None and training.y is not None:
        slices = weak_slices(
            metric,
            model.task,
            training.schema,
            validation=(training.frame[oof.rows], training.y[oof.rows], oof.prediction),
            sealed=(sealed.frame, y, prediction),
            threshold=model.threshold,
            clusters=clusters,
            seed=spec.seed,
        )
        found = msgspec.structs.replace(found, slices=slices)
    groups = by_group(
        [cells for cells in sealed.sensitive if len(cells) == len(y)],
        metric,
        model.task,
        y,
        prediction,
        threshold=model.threshold,
        clusters=clusters,
    )
    repeats = _repeats(final, model, sealed.frame, y, metric, found.score.value)
    found = msgspec.structs.replace(found, groupwise=groups, repeats=repeats, predictions=predictions_digest(prediction))
    return Scored(found, y, prediction, model.threshold, sealed.weight, sealed.groups, sealed.time)


def with_validation_plots(found: Evaluation, training: Training, selection: Selection, model: Model) -> Evaluation:
    """Where the sealed numbers of a model stay in the ledger, its plots show out-of-fold predictions instead."""
    oof = selection.out_of_fold
    if found.look is None or found.look.reveals or oof is None or training.y is None:
        return found
    plots = diagnostics(model.task, training.y[oof.rows], oof.prediction, model.classes_.tolist(), threshold=model.threshold)
    return msgspec.structs.replace(found, plots=plots, plots_of="validation")


def _decisions(
    found: Evaluation, sealed: Sealed, y: np.ndarray, model: Model, metric: Metric, selection: Selection, after: np.ndarray
) -> Evaluation:
    """Calibration, threshold and conformal intervals as they came out."""
    labels = model.classes_.tolist()
    calibration = threshold = conformal = None
    if model.task != "regression":
        calibration = report_calibration(
            y,
            model.uncalibrated(sealed.frame),
            after,
            labels,
            model.calibration.method,
            weight=sealed.weight,
            groups=sealed.groups,
            when=sealed.time,
        )
    if model.task == "binary" and selection.choice is not None:
        threshold = report_threshold(
            y, after, selection.choice, metric, weight=sealed.weight, groups=sealed.groups, when=sealed.time
        )
    if model.conformal is not None:
        conformal = report_conformal(
            model.conformal,
            y,
            after,
            labels=labels,
            group_labels=sealed.group_labels,
            groups=sealed.groups,
            when=sealed.time,
        )
    return msgspec.structs.replace(found, calibration=calibration, threshold=threshold, conformal=conformal)


def _predictor(encoder: Encoder, member: Member) -> Callable[[pl.DataFrame], np.ndarray]:
    return lambda frame: member.learner.predict(encoder.transform(frame))


def _repeats(
    final: FinalFit, model: Model, frame: pl.DataFrame, y: np.ndarray, metric: Metric, score: float
) -> SeedSpread | None:
    """Scores of the same model with other seeds on the same sealed rows."""
    scores = [score]
    for members in final.repeats:
        other = Model(
            task=model.task,
            target=model.target,
            classes=model.classes_.tolist(),
            schema=model.schema,
            encoders=final.encoders,
            members=members,
            calibration=model.calibration,
        )
        scores.append(metrics.score(metric, y, other.raw_conformed(frame), threshold=model.threshold))
    usable = [value for value in scores if np.isfinite(value)]
    return seed_spread(usable) if len(usable) > 1 else None


def standings(
    training: Training, selection: Selection, metric: Metric, groups: np.ndarray | None, when: np.ndarray | None, seed: int
) -> Leaderboard | None:
    """Which validated candidates can be told from the best of them; None where nothing can be compared."""
    oof = selection.out_of_fold
    if oof is None or training.y is None or len(oof.candidates) < 2:
        return None
    part = np.arange(len(oof.rows))
    if len(part) > _MOST_COMPARED:
        part = np.sort(np.random.default_rng([seed, 61]).choice(part, _MOST_COMPARED, replace=False))
    rows = oof.rows[part]
    several = len(np.unique(oof.fold)) > 1
    return against_best(
        metric,
        training.y[rows],
        {str(number): prediction[part] for number, prediction in oof.candidates.items()},
        weight=None if training.weight is None else training.weight[rows],
        groups=None if groups is None else groups[rows],
        blocks=None if when is None else when[rows],
        folds=oof.fold[part] if several else None,
        seed=seed,
    )
