"""The sealed evaluation: open the vault once, score model and baseline on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from modelwright.artifacts.model import Model
from modelwright.evaluation.sealed import diagnostics
from modelwright.metrics import registry as metrics
from modelwright.metrics.estimate import Interval
from modelwright.metrics.intervals import Estimate, bounds, interval
from modelwright.metrics.metric import Metric
from modelwright.metrics.paired import compare
from modelwright.spec import Spec
from modelwright.splits.order import time_values
from modelwright.splits.units import group_units
from modelwright.tables.conform import conform
from modelwright.tables.roles import encode_target
from modelwright.training.naive import labels
from modelwright.training.prepare import Facts, Training, declared_missing
from modelwright.training.record import Comparison, Evaluation


@dataclass(frozen=True)
class Sealed:
    """Evaluation rows, opened and typed."""

    frame: pl.DataFrame
    y: np.ndarray | None
    weight: np.ndarray | None
    groups: np.ndarray | None
    time: np.ndarray | None
    group_labels: np.ndarray | None
    sensitive: list[pl.Series]
    notes: list[str]


def typed(raw: pl.DataFrame, training: Training, table: Facts, spec: Spec, model: Model) -> Sealed:
    """Sealed rows as read, with the derived columns, typed like the training rows."""
    raw = training.with_derived(raw)
    frame, notes = conform(raw, training.schema, columns=model.columns_read(raw))
    y = None
    if spec.target is not None:
        y, _ = encode_target(
            raw[spec.target], table.task, classes=table.classes or None, missing_values=declared_missing(spec, spec.target)
        )
    time = time_values(raw[spec.time]) if training.split.rule in ("time", "group_time") and spec.time in raw.columns else None
    groups = group_units(raw[spec.group]) if spec.group in raw.columns else None
    group_labels = labels(raw[spec.group]) if spec.group in raw.columns else None
    weight = raw[spec.weight].cast(pl.Float64).to_numpy() if spec.weight and spec.weight in raw.columns else None
    sensitive = [raw[name] for name in spec.sensitive if name in raw.columns]
    return Sealed(frame, y, weight, groups, time, group_labels, sensitive, notes)


#: A baseline's name, and what it predicts for conformed rows.
Baseline = tuple[str, Callable[[pl.DataFrame], np.ndarray]]


def judge(
    sealed: Sealed,
    model: Model,
    prediction: np.ndarray,
    metric: Metric,
    baselines: Sequence[Baseline],
    *,
    seed: int,
) -> Evaluation:
    """Score with intervals, and compare with each baseline by a paired test; the first is the one that counts."""
    y = sealed.y
    assert y is not None, "clusters are judged by judge_clusters"
    estimate = partial(interval, weight=sealed.weight, groups=sealed.groups, blocks=sealed.time, seed=seed)
    others = {}
    for name in metrics.companions(model.task):
        if name != metric.name:
            other = metrics.get(name, model.task)
            found = estimate(other, y, prediction, threshold=model.threshold)
            if np.isfinite(found.value):  # some metrics are undefined on some rows, such as R squared of equal targets
                others[name] = _interval(found, other)
    comparisons = []
    for name, predict in baselines:
        base = predict(sealed.frame)
        paired = compare(
            metric,
            y,
            prediction,
            base,
            weight=sealed.weight,
            groups=sealed.groups,
            blocks=sealed.time,
            seed=seed,
            threshold=model.threshold,
        )
        comparisons.append(
            _comparison(
                name,
                metric,
                _interval(estimate(metric, y, base), metric),
                _difference(paired.difference, metric),
                paired.p_value,
                paired.better,
                len(y),
                relative=paired.relative,
                rows_needed=paired.rows_needed,
            )
        )
    return Evaluation(
        metric=metric.name,
        n_rows=len(y),
        score=_interval(estimate(metric, y, prediction, threshold=model.threshold), metric),
        others=others,
        comparison=comparisons[0] if comparisons else None,
        comparisons=comparisons,
        plots=diagnostics(model.task, y, prediction, model.classes_.tolist(), threshold=model.threshold),
    )


def judge_clusters(
    sealed: Sealed,
    model: Model,
    metric: Metric,
    clusters: np.ndarray,
    baseline: Baseline | None,
) -> tuple[Evaluation, np.ndarray]:
    """Silhouette of each row (a sample of at most 3,000, for the cost is quadratic), and the evaluation of its mean."""
    from modelwright.learners.kmeans import cluster_space

    member = model.members[0]
    space = cluster_space(member.learner, model.encoders[member.encoder].transform(sealed.frame))
    rows = np.random.default_rng(0).permutation(len(space))[:3000]
    of_model = _silhouettes(space[rows], clusters[rows])
    comparison = None
    if baseline is not None:
        name, predict = baseline
        of_base = _silhouettes(space[rows], predict(sealed.frame)[rows])
        gain = _mean_interval(of_model - of_base)
        p_value = _p_of_mean(of_model - of_base)
        comparison = _comparison(name, metric, _mean_interval(of_base), gain, p_value, gain.low > 0, len(rows))
    found = Evaluation(
        metric="silhouette",
        n_rows=len(rows),
        score=_mean_interval(of_model),
        others={},
        comparison=comparison,
        plots=diagnostics("clustering", space[rows], clusters[rows], []),
    )
    return found, of_model


def _silhouettes(space: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    from sklearn.metrics import silhouette_samples

    if not 1 < len(np.unique(clusters)) < len(clusters):
        return np.zeros(len(clusters))  # one cluster says nothing
    return np.asarray(silhouette_samples(space, clusters))


def _mean_interval(values: np.ndarray) -> Interval:
    mean, half = float(values.mean()), 1.96 * float(values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def _p_of_mean(values: np.ndarray) -> float:
    from scipy.stats import norm

    spread = float(values.std(ddof=1)) / np.sqrt(len(values))
    return float(2 * norm.sf(abs(values.mean()) / spread)) if spread > 0 else 1.0


def _comparison(
    name: str,
    metric: Metric,
    base: Interval,
    difference: Interval,
    p_value: float,
    better: bool,
    n_rows: int,
    *,
    relative: float | None = None,
    rows_needed: int | None = None,
) -> Comparison:
    title = metric.title if metric.title.isupper() or " AUC" in metric.title else metric.title.lower()
    share = f"{100 * abs(relative):.2g} % of its score; " if relative is not None and np.isfinite(relative) else ""
    p = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
    spread = f"95 % interval {_figure(difference.low)} to {_figure(difference.high)}, {n_rows:,} rows, {p}"
    if better:
        sentence = f"Better than the {name} baseline by {_figure(difference.value)} {title} ({share}{spread})."
    elif difference.high < 0:
        sentence = f"Worse than the {name} baseline by {_figure(-difference.value)} {title} ({share}{spread})."
    else:
        seen = f"difference {_figure(difference.value)} {title} ({spread})"
        sentence = f"Not shown to be better than the {name} baseline: {seen}."
        if rows_needed is not None:
            sentence += f" About {rows_needed:,} evaluation rows would tell."
    kept = relative if relative is not None and np.isfinite(relative) else None
    return Comparison(name, base, difference, p_value, better, sentence, kept, rows_needed)


def _figure(value: float) -> str:
    """Four digits, and never a power of ten for what people read as a plain number."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def _interval(estimate: Estimate, metric: Metric) -> Interval:
    """An interval that JSON can hold: where too few rows say nothing, it is all that the metric can be."""
    low, high = bounds(metric)
    return _held(estimate, low, high)


def _difference(estimate: Estimate, metric: Metric) -> Interval:
    """Like `_interval`, for a difference of two values of the metric."""
    low, high = bounds(metric)
    return _held(estimate, low - high, high - low)


def _held(estimate: Estimate, low: float, high: float) -> Interval:
    wide = [value if np.isfinite(value) else bound for value, bound in ((estimate.low, low), (estimate.high, high))]
    least, most = np.nan_to_num(wide)  # JSON has no infinity
    return Interval(float(estimate.value), float(least), float(most))
