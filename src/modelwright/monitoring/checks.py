"""One window checked, readable from top to bottom: a function of the reference, the rows, and the windows before.

::

    volume, service    as many rows as before? answered in time?
    quality            columns gone, empty, frozen, unreadable, out of range      pages at once
    drift              each column, the answers, and all columns together         two of three windows; inputs only explain
    realised score     rows whose labels have come; losses watched by ADWIN       pages at once
    estimated score    without labels, with its assumption                        two of three; silent where labels have come
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from modelwright.artifacts.reference import HeldOut, Reference, codes_of
from modelwright.metrics.metric import Metric
from modelwright.metrics.registry import score as score_of
from modelwright.monitoring import estimate
from modelwright.monitoring.checked import Alarm, Checked, ColumnCheck, Estimated, Losses, Method, Multivariate, Realised
from modelwright.monitoring.domain import Told, effective, told_apart
from modelwright.monitoring.drift import Drift, Rule, State, drift_of, judged
from modelwright.monitoring.moved import moves, shares
from modelwright.monitoring.performance import ScoreRule, losses_of, realised, watched
from modelwright.monitoring.quality import QualityRule, quality_of
from modelwright.monitoring.rows import WindowRows
from modelwright.monitoring.service import ServiceRule, service_of, service_trouble, volume_trouble
from modelwright.tables.profile import CONFIDENCE, PREDICTION, ColumnProfile, Numbers, answered
from modelwright.tables.schema import Task

#: Names by which `Checked.exceeded` keeps what concerns no column.
TOGETHER, ESTIMATE = "(columns together)", "(estimate)"
_ANSWERS = (PREDICTION, CONFIDENCE)
#: Probabilities, or standard deviations of predicted numbers, by which answers move without anything being told. Without
#: it a model that is nearly sure of every row alarms for ever (hotel_bookings with its leak: 7 of 8 windows).
_SLACK = 0.01


class Rules(msgspec.Struct, frozen=True):
    """The limits of all checks.

    Parameters
    ----------
    drift : Rule
    quality : QualityRule
    score : ScoreRule
    service : ServiceRule
    apart, apart_warning : float
        Area under the curve from which the classifier tells the rows apart.
    few_effective : int
        Effective held-out rows below which nothing is estimated.
    """

    drift: Rule = Rule()
    quality: QualityRule = QualityRule()
    score: ScoreRule = ScoreRule()
    service: ServiceRule = ServiceRule()
    apart: float = 0.6
    apart_warning: float = 0.55
    few_effective: int = 100


@dataclass(frozen=True)
class Judge:
    """What is known of the model that the rows went through.

    Attributes
    ----------
    model, version : str
    task : {"binary", "multiclass", "regression", "clustering"}
    classes : sequence
    metric : Metric or None
        None where none applies, as for clusters.
    threshold : float or None
    """

    model: str
    version: str
    task: Task
    reference: Reference
    classes: Sequence[Any] = ()
    metric: Metric | None = None
    threshold: float | None = None
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True)
class Window:
    """Rows from ``start`` up to but without ``end``, with what is known of how they were answered.

    ``latencies_ms`` has one number for each answer; ``losses_before`` are losses of earlier labelled rows, oldest first;
    ``timed`` says that windows have one length, so that their numbers of rows can be compared.
    """

    start: str
    end: str
    rows: WindowRows
    complete: bool = True
    timed: bool = False
    latencies_ms: np.ndarray = field(default_factory=lambda: np.zeros(0))
    error_rate: float | None = None
    losses_before: np.ndarray = field(default_factory=lambda: np.zeros(0))


def check(judge: Judge, window: Window, history: Sequence[Checked] = ()) -> Checked:
    """Check a window.

    Parameters
    ----------
    judge : Judge
    window : Window
    history : sequence of Checked
        Earlier windows of the same model and version, oldest first.

    Returns
    -------
    Checked
    """
    rows, rules = window.rows, judge.rules
    found = _Found(judge, history)
    notes = list(rows.notes)
    service = service_of(window.latencies_ms, window.error_rate)
    found.lasting(service_trouble(service, history, rules.service))
    if window.timed and window.complete:
        found.lasting(volume_trouble(rows.n_rows, history, rules.service), at_once=rows.n_rows == 0)
    cells = {**rows.cells, **rows.answered(judge.task, judge.classes)}
    expected = [column for column in judge.reference.profile.columns if column.name not in rows.unseen]
    if rows.answers is None:
        expected = [column for column in expected if column.name not in _ANSWERS]
    broken: set[str] = set()
    if rows.n_rows:
        for fault in quality_of(expected, cells, unreadable=rows.unreadable, rule=rules.quality):
            broken.add(fault.name)
            found.alarms.append(
                Alarm("quality", fault.name, fault.message, fault.share - fault.was, mend=fault.mend, fault=fault.fault)
            )
    present = [column for column in expected if column.name in cells]
    told, codes = _together(judge, cells, rows, notes)
    drifts, multivariate = _drifts(found, present, cells, told, broken)
    loss = _errors(judge, judge.reference.held_out)
    effects = {} if codes is None else moves(judge.reference.held_out, loss, codes)
    columns = [_column(judge, column, drifts[column.name], cells, broken, effects, loss) for column in present]
    score, losses = _realised(found, window, notes)
    estimated = _estimated(found, rows, codes, told, score, notes)
    order = {"alarm": 0, "warning": 1, "ok": 2, "not enough data": 3}
    columns.sort(key=lambda c: (order[c.state], -c.distance * c.importance, -c.distance))
    judged_anything = rows.n_rows >= rules.drift.min_rows or (score is not None and score.state != "not enough data")
    alarms = tuple(sorted(found.alarms, key=found.rank))
    return Checked(
        model=judge.model,
        version=judge.version,
        start=window.start,
        end=window.end,
        n_rows=rows.n_rows,
        n_labels=0 if rows.y is None else int(np.isfinite(rows.y).sum()),
        state=_state(alarms, found.warnings, judged_anything),
        alarms=alarms,
        warnings=tuple(sorted(found.warnings, key=found.rank)),
        columns=tuple(column for column in columns if column.name not in _ANSWERS),
        answers=tuple(column for column in columns if column.name in _ANSWERS),
        multivariate=multivariate,
        realised=score,
        estimated=estimated,
        service=service,
        losses=losses,
        notes=tuple(notes),
        exceeded=tuple(sorted(found.exceeded)),
        complete=window.complete,
    )


class _Found:
    """Alarms and warnings as they come in, and the windows before."""

    def __init__(self, judge: Judge, history: Sequence[Checked]) -> None:
        self.judge = judge
        self.alarms: list[Alarm] = []
        self.warnings: list[Alarm] = []
        self.exceeded: set[str] = set()
        few = judge.rules.drift.min_rows
        self.recent = [frozenset(each.exceeded) for each in history if each.n_rows >= few and each.complete]
        self.importance = judge.reference.profile.importance

    def lasts(self, name: str) -> bool:
        """Whether it was so in enough of the last windows, this one included."""
        needed, of = self.judge.rules.drift.persists
        return 1 + sum(name in names for names in self.recent[-(of - 1) :] if of > 1) >= needed

    def lasting(self, trouble: list[tuple[str, Alarm]], *, at_once: bool = False) -> None:
        """Alarms that must last; until they do they are warnings."""
        for name, alarm in trouble:
            self.exceeded.add(name)
            (self.alarms if at_once or self.lasts(name) else self.warnings).append(alarm)

    def add(self, state: State, alarm: Alarm) -> None:
        """An alarm that was judged already."""
        if state in ("alarm", "warning"):
            (self.alarms if state == "alarm" else self.warnings).append(alarm)

    def rank(self, alarm: Alarm) -> tuple[Any, ...]:
        """What pages first, then by the importance of the column times the effect."""
        kinds = ("performance", "quality", "prediction drift", "volume", "service", "estimated performance", "drift")
        return (kinds.index(alarm.kind), -self.importance.get(alarm.column, 0.0) * alarm.effect, -alarm.effect)


def _state(alarms: Sequence[Alarm], warnings: Sequence[Alarm], judged_anything: bool) -> State:
    if any(alarm.pages for alarm in alarms):
        return "alarm"
    if alarms or warnings:
        return "warning"
    return "ok" if judged_anything else "not enough data"


def _together(
    judge: Judge, cells: Mapping[str, Any], rows: WindowRows, notes: list[str]
) -> tuple[Told | None, np.ndarray | None]:
    """The window's codes, and what the classifier makes of them; None where columns are gone or rows are few."""
    held = judge.reference.held_out
    by_name: dict[str, ColumnProfile] = {column.name: column for column in judge.reference.profile.columns}
    gone = [name for name in held.columns if name not in cells]
    if rows.n_rows < judge.rules.drift.min_rows or not held.columns:
        return None, None
    if gone:
        notes.append(f"Columns together were not judged: {', '.join(map(repr, gone[:5]))} cannot be read.")
        return None, None
    codes = np.column_stack([codes_of(by_name[name], cells[name]) for name in held.columns])
    return told_apart(held.codes, codes), codes


def _drifts(
    found: _Found, present: list[ColumnProfile], cells: Mapping[str, Any], told: Told | None, broken: set[str]
) -> tuple[dict[str, Drift], Multivariate | None]:
    """Drift of each column, of the answers, and of all columns together, as one family of tests."""
    rules, held = found.judge.rules, found.judge.reference.held_out
    drifts = [drift_of(column, cells[column.name], slack=_slack(found.judge, column)) for column in present]
    if told is not None:
        distance = max(2 * told.auc - 1, 0.0)
        drifts.append(Drift(TOGETHER, "numbers", rules.drift.min_rows, distance, told.p))
    result = {each.name: each for each in judged(drifts, found.recent, importance=found.importance, rule=rules.drift)}
    multivariate = None
    if told is not None:
        p = result.pop(TOGETHER).p
        exceeds = p < rules.drift.p and told.auc >= rules.apart
        state: State = "ok"
        if exceeds or (p < rules.drift.p and told.auc >= rules.apart_warning):
            state = "alarm" if exceeds and found.lasts(TOGETHER) else "warning"
        used = tuple(held.columns[k] for k in told.used[:3]) if state != "ok" else ()
        multivariate = Multivariate(round(told.auc, 4), p, state, used)
        if exceeds:
            found.exceeded.add(TOGETHER)
        named = f", most by {', '.join(map(repr, used))}" if used else ""
        message = f"A classifier tells these rows from those of training (ROC AUC {told.auc:.2f}){named}."
        found.add(state, Alarm("drift", "", message, round(told.auc - 0.5, 4), p))
    for name, each in result.items():
        if name in broken:
            continue  # what is broken has not drifted
        if each.exceeds:
            found.exceeded.add(name)
        answers = name in _ANSWERS
        message = f"{each.moved}; up to {each.distance:.0%} of the rows lie elsewhere than in training."
        found.add(each.state, Alarm("prediction drift" if answers else "drift", name, message, each.distance, each.p))
    return result, multivariate


def _slack(judge: Judge, column: ColumnProfile) -> float:
    """By how much answers may move: the delivered model has seen more rows than those whose answers the reference has."""
    if column.name not in _ANSWERS or not isinstance(column, Numbers):
        return 0.0
    return _SLACK * (column.sd if judge.task == "regression" else 1.0)


def _column(
    judge: Judge,
    column: ColumnProfile,
    drift: Drift,
    cells: Mapping[str, Any],
    broken: set[str],
    effects: Mapping[str, float],
    loss: np.ndarray,
) -> ColumnCheck:
    series = cells[column.name]
    state: State = "alarm" if column.name in broken else drift.state
    missing = series.null_count() + (int(series.is_nan().sum()) if series.dtype.is_float() else 0)
    return ColumnCheck(
        name=column.name,
        kind=drift.kind,
        state=state,
        n=drift.n,
        missing=round(missing / max(len(series), 1), 6),
        was_missing=round(column.missing / max(column.n + column.missing, 1), 6),
        distance=round(drift.distance, 6),
        p=drift.p,
        moved=drift.moved,
        importance=judge.reference.profile.importance.get(column.name, 0.0),
        moves=effects.get(column.name),
        shares=shares(column, _held_codes(judge, column), loss, series) if state in ("alarm", "warning") else (),
    )


def _held_codes(judge: Judge, column: ColumnProfile) -> np.ndarray:
    """Codes of held-out rows in a column, or of their answers; none for columns that are not held."""
    held = judge.reference.held_out
    if column.name in held.columns:
        return held.codes[:, held.columns.index(column.name)]
    answers = answered(held.answers, judge.task, judge.classes) if column.name in _ANSWERS else {}
    return codes_of(column, answers[column.name]) if column.name in answers else np.zeros(0, dtype=np.uint8)


def _errors(judge: Judge, held: HeldOut) -> np.ndarray:
    """Loss of each held-out row: an error of the class, or the absolute error; empty where there is no truth."""
    if not len(held.y):
        return np.zeros(0)
    if held.answers.ndim == 2:
        return np.asarray((predicted(judge, held.answers) != held.y).astype(np.float64))
    return np.asarray(np.abs(held.y - held.answers))


def predicted(judge: Judge, answers: np.ndarray) -> np.ndarray:
    """Numbers of the predicted classes; numbers as they are."""
    if answers.ndim == 1:
        return answers
    if judge.threshold is not None and answers.shape[1] == 2:
        return np.asarray((answers[:, 1] >= judge.threshold).astype(np.int64))
    return np.asarray(answers.argmax(axis=1))


def _realised(found: _Found, window: Window, notes: list[str]) -> tuple[Realised | None, Losses | None]:
    """The score where labels have come, and whether losses rise."""
    judge, rows = found.judge, window.rows
    held = judge.reference.held_out
    if rows.y is None or rows.answers is None or judge.metric is None or not np.isfinite(rows.y).any():
        return None, None
    losses = losses_of(rows.y, rows.answers, held.y, held.answers, predicted(judge, rows.answers))
    change = watched(window.losses_before, losses)
    if change is not None and change.changed and change.before is not None and change.after is not None:
        message = f"The mean loss of labelled rows rose from {change.before:.3g} to {change.after:.3g} (ADWIN)."
        found.alarms.append(Alarm("performance", "", message, change.after - change.before, 0.002))
    if not len(held.y):
        return None, change
    score, p = realised(
        judge.metric, rows.y, rows.answers, held.y, held.answers, threshold=judge.threshold, rule=judge.rules.score
    )
    if score is None:
        notes.append(f"{judge.metric.title} cannot be computed from the labels that have come.")
        return None, change
    message = (
        f"{judge.metric.title} is {score.value:.4g} ({score.low:.4g} to {score.high:.4g}) on {score.n_labels:,} labelled rows; "
        f"at training it was {score.reference:.4g}."
    )
    found.add(score.state, Alarm("performance", "", message, abs(score.value - score.reference), p))
    if score.state == "not enough data":
        notes.append(f"{score.n_labels} labels have come; the score is judged from {judge.rules.score.min_labels} on.")
    return score, change


def _estimated(
    found: _Found, rows: WindowRows, codes: np.ndarray | None, told: Told | None, score: Realised | None, notes: list[str]
) -> Estimated | None:
    """The score to be expected, and an alarm where no labels say better."""
    judge, held, rules = found.judge, found.judge.reference.held_out, found.judge.rules
    metric, answers = judge.metric, rows.answers
    if metric is None or answers is None or codes is None or told is None or not len(held.y):
        return None
    if metric.reads == "value" and metric.row_loss is None:
        notes.append(f"{metric.title} cannot be estimated without labels.")
        return None
    shifted = told.p < rules.drift.p
    weight = told.weight if shifted else None
    if len(held) < rules.few_effective or (weight is not None and effective(weight) < rules.few_effective):
        notes.append("The rows are too unlike those of training for the score to be estimated without labels.")
        return None
    if answers.ndim == 2:
        held_y = held.y.astype(np.int64)
        band, _ = estimate.of_classes(metric, answers, held.answers, held_y, weight=weight, threshold=judge.threshold)
    else:
        band, _ = estimate.of_numbers(metric, answers, codes, held.answers, held.y, held.codes, weight=weight)
    then = score_of(metric, held.y.astype(np.int64) if answers.ndim == 2 else held.y, held.answers, None, judge.threshold)
    if not np.isfinite([*band, then]).all():
        notes.append(f"{metric.title} cannot be estimated from these answers.")
        return None
    value, low, high = band
    fall = metric.utility(then) - metric.utility(value)
    best = high if metric.greater_is_better else low
    beyond = metric.utility(best) < metric.utility(then) and fall >= rules.score.fall * metric.unit(then)
    if beyond:
        found.exceeded.add(ESTIMATE)
    state: State = ("alarm" if found.lasts(ESTIMATE) else "warning") if beyond else "ok"
    method: Method = "DLE" if answers.ndim == 1 else "weighted CBPE" if shifted else "CBPE"
    if score is None or score.state == "not enough data":
        message = (
            f"{metric.title} is estimated at {value:.4g} ({low:.4g} to {high:.4g}) without labels; at training it was "
            f"{then:.4g}. The estimate {estimate.ASSUMPTION}."
        )
        found.add(state, Alarm("estimated performance", "", message, abs(fall), 0.0027))
    return Estimated(metric.name, metric.greater_is_better, value, low, high, then, method, estimate.ASSUMPTION, state)
