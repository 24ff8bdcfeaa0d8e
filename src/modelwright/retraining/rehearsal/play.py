"""History through the whole loop: answered, labelled late, monitored, retrained, judged by the gate, swapped.

Every contestant begins with the same model and sees the same windows. What production does with a store, a server and
processes is done here by the same functions on values: `monitoring.checks.check`, `triggers.due`, `gate.judge`. A model that
passes the gate answers from the next window on; stages of a release are not played.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from modelwright.artifacts.bundle import load_bundle
from modelwright.artifacts.model import Model
from modelwright.artifacts.reference import read_reference
from modelwright.errors import InvalidInputError
from modelwright.metrics.registry import METRICS
from modelwright.metrics.registry import score as score_of
from modelwright.monitoring.checked import Checked
from modelwright.monitoring.checks import Judge, Rules, Window, check, predicted
from modelwright.monitoring.performance import losses_of, truth_of
from modelwright.monitoring.rows import rows_of_table
from modelwright.retraining.gate import judge as judge_gate
from modelwright.retraining.policy import Policy
from modelwright.retraining.rehearsal.history import History
from modelwright.retraining.rehearsal.values import Contestant, Life, Point, Retrained
from modelwright.retraining.rules import Trigger, Verdict, n_kept_back
from modelwright.retraining.scored import Earlier, Labelled, Scored
from modelwright.retraining.triggers import Held, Observed, due

#: From rows to the folder of a bundle.
Train = Callable[[pl.DataFrame, str], Path]
#: Contestant, windows done, windows in all, what happened last.
Told = Callable[[str, int, int, str], None]
#: Earlier labelled rows that losses are watched with, as in production.
_LOSSES_BEFORE = 5_000


@dataclass(frozen=True)
class Trained:
    """A model, the rows it learned from, and what that took."""

    number: int
    model: Model
    judge: Judge
    rows: tuple[int, int]
    seconds: float
    #: Raw answers to rows of the history, by window; windows are answered once by each model.
    answers: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)


class Workshop:
    """Trains models, each at most once: contestants that want the same rows get the same model."""

    def __init__(self, history: History, train: Train, rules: Rules | None = None) -> None:
        self.history = history
        self._train, self._rules = train, rules or Rules()
        self._made: dict[tuple[int, int], Trained] = {}

    def model(self, start: int, stop: int) -> Trained:
        """The model of the rows from ``start`` up to ``stop``."""
        key = (start, stop)
        if key not in self._made:
            begun = time.perf_counter()
            folder = self._train(self.history.frame[start:stop], f"rows-{start}-{stop}")
            seconds = time.perf_counter() - begun
            model = load_bundle(folder)
            reference = read_reference(folder)
            if reference is None:
                raise InvalidInputError(
                    "The model carries nothing to compare windows with.", where=str(folder), mend="Train more rows."
                )
            number = len(self._made) + 1
            metric = METRICS.get(model.metric)
            judge = Judge(
                "rehearsal", str(number), model.task, reference, model.classes_.tolist(), metric, model.threshold, self._rules
            )
            self._made[key] = Trained(number, model, judge, key, seconds)
        return self._made[key]

    def answers(self, trained: Trained, start: int, stop: int) -> np.ndarray:
        """Raw answers to rows of the history."""
        key = (start, stop)
        if key not in trained.answers:
            trained.answers[key] = np.asarray(trained.model.raw(self.history.frame[start:stop]))
        return trained.answers[key]

    def truth(self, trained: Trained, start: int, stop: int) -> np.ndarray:
        """The target as the model's numbers; NaN for a class that it has never seen."""
        model = trained.model
        return truth_of(self.history.frame[self.history.target][start:stop].to_list(), model.task, model.classes_.tolist())


def play(contestant: Contestant, shop: Workshop, told: Told | None = None) -> Life:
    """What a contestant lives through.

    Parameters
    ----------
    contestant : Contestant
    shop : Workshop
    told : callable, optional
        Hears of each window.
    """
    history = shop.history
    live = shop.model(0, history.cuts[0])
    watch = None if contestant.policy is None else _Watch(contestant.policy, shop, live)
    points: list[Point] = []
    retrained: list[Retrained] = []
    for number in range(history.n_windows):
        start, stop = history.cuts[number], history.cuts[number + 1]
        points.append(_point(shop, live, number, start, stop))
        last = number == history.n_windows - 1
        events: list[Retrained] = []
        if contestant.every is not None and (number + 1) % contestant.every == 0 and not last:
            live, event = _periodic(shop, number, stop)
            events.append(event)
        elif watch is not None:
            watch.see(number)
            if not last:
                events += watch.act(number)
                live = watch.live
        retrained += events
        if told is not None:
            told(contestant.name, number + 1, history.n_windows, " ".join(f"{event.cause}: {event.told}" for event in events))
    return Life(contestant.name, tuple(points), tuple(retrained), () if watch is None else tuple(watch.held))


def _point(shop: Workshop, live: Trained, number: int, start: int, stop: int) -> Point:
    metric = live.judge.metric
    assert metric is not None
    y = shop.truth(live, start, stop)
    known = np.isfinite(y)
    answers = shop.answers(live, start, stop)
    value: float | None = None
    if known.any() and not (live.model.task == "binary" and len(np.unique(y[known])) < 2):
        value = score_of(metric, _as_truth(live.model, y[known]), answers[known], threshold=live.model.threshold)
        value = value if math.isfinite(value) else None
    moments = shop.history.moments
    return Point(number, _iso(moments[start]), _iso(moments[stop - 1]), stop - start, value, live.number)


def _periodic(shop: Workshop, number: int, stop: int) -> tuple[Trained, Retrained]:
    new = shop.model(0, stop)
    at = _iso(shop.history.moments[stop - 1])
    event = Retrained(number, at, "schedule", "It was time.", new.rows, new.seconds, True, told="It went live as it was.")
    return new, event


class _Watch:
    """A policy at work: what it has seen, and what it did."""

    def __init__(self, policy: Policy, shop: Workshop, live: Trained) -> None:
        self.policy, self.shop, self.live = policy, shop, live
        self.held: list[str] = []
        self._windows: dict[int, Checked] = {}
        self._of: dict[int, Trained] = {}
        self._losses: dict[int, np.ndarray] = {}
        began = shop.history.moments[live.rows[1] - 1]
        self._trained_at, self._swapped_at = began, began
        self._began_row = live.rows[1]
        self._retrainings: list[dt.datetime] = []
        self._fired: tuple[dt.datetime, ...] = (began,)
        self._rejections = self._needed = 0
        self._attempts = 1
        #: A challenger that labels were missing for, and why it was trained.
        self._waiting: tuple[Trained, Trigger] | None = None

    def see(self, number: int) -> None:
        """Check the window that has ended, and again those whose labels have come since."""
        self._of[number] = self.live
        history, now = self.shop.history, self.shop.history.ends(number)
        mature = history.mature(now, self.policy.label_delay_s)
        before = history.mature(history.ends(number - 1), self.policy.label_delay_s) if number else 0
        for each in range(number + 1):
            start, stop = history.cuts[each], history.cuts[each + 1]
            if self._of[each] is self.live and (each == number or (start < mature and before < stop)):
                self._check(each, mature)

    def _check(self, number: int, mature: int) -> None:
        history, live = self.shop.history, self.live
        start, stop = history.cuts[number], history.cuts[number + 1]
        y = self.shop.truth(live, start, stop)
        y[max(0, mature - start) :] = np.nan
        rows = rows_of_table(live.model, history.frame[start:stop], y)
        earlier = [each for each in range(number) if self._of[each] is live]
        losses = [self._losses[each] for each in earlier if each in self._losses]
        window = Window(
            _iso(history.moments[start]), _iso(history.moments[stop - 1] + dt.timedelta(microseconds=1)), rows,
            losses_before=np.concatenate(losses)[-_LOSSES_BEFORE:] if losses else np.zeros(0),
        )  # fmt: skip
        self._windows[number] = check(live.judge, window, [self._windows[each] for each in earlier])
        held = live.judge.reference.held_out
        if rows.answers is not None:
            self._losses[number] = losses_of(y, rows.answers, held.y, held.answers, predicted(live.judge, rows.answers))

    def act(self, number: int) -> list[Retrained]:
        """Judge again the challenger that labels were missing for, and train if it is due."""
        history, policy, now = self.shop.history, self.policy, self.shop.history.ends(number)
        mature = history.mature(now, policy.label_delay_s)
        answer, new = self._due(mature, now)
        fallen = isinstance(answer, Trigger) and answer.cause == "performance"
        done: list[Retrained] = []
        if self._waiting is not None and new >= self._needed and not fallen:
            challenger, trigger, self._waiting = *self._waiting, None
            verdict = self._decide(challenger, challenger.rows[1], mature, trigger, now)
            done.append(Retrained(
                number, _iso(now), trigger.cause, "Labels have come.", self._rows(challenger, verdict),
                self._seconds(challenger, verdict), verdict.promote, verdict.answer, _first(verdict), trained=False,
            ))  # fmt: skip
            if verdict.promote:
                return done
            answer, new = self._due(mature, now)
        if isinstance(answer, Held):
            self.held.append(answer.reason)
            return done
        if answer.cause == "schedule":
            self._fired = (*self._fired, dt.datetime.fromisoformat(answer.at))
        return [*done, self._retrain(number, answer, mature, now)]

    def _due(self, mature: int, now: dt.datetime) -> tuple[Trigger | Held, int]:
        """What the policy says, and how many labels are new since the last training began."""
        new = max(0, mature - self._began_row)
        observed = Observed(
            now=now, trained_at=self._trained_at, swapped_at=self._swapped_at, version=self.live.judge.version,
            windows=tuple(self._windows[each] for each in sorted(self._windows) if self._of[each] is self.live),
            new_rows=new, new_labels=new, labels_needed=self._needed, retrainings=tuple(self._retrainings),
            rejections=self._rejections, fired=self._fired,
        )  # fmt: skip
        return due(self.policy, observed), new

    def _retrain(self, number: int, trigger: Trigger, mature: int, now: dt.datetime) -> Retrained:
        history, policy = self.shop.history, self.policy
        n_logged = max(0, mature - history.cuts[0])
        kept = n_kept_back(n_logged, max(0, mature - self.live.rows[1]), policy.gate.min_labels)
        challenger = self.shop.model(*history.learned(mature - kept, policy.train_on))
        self._retrainings.append(now)
        self._began_row = mature
        verdict = self._decide(challenger, mature - kept, mature, trigger, now)
        self._waiting = (challenger, trigger) if verdict.answer == "undecided" else None
        seconds = challenger.seconds + self._seconds(challenger, verdict)
        return Retrained(
            number, _iso(now), trigger.cause, trigger.reason, self._rows(challenger, verdict), seconds, verdict.promote,
            verdict.answer, _first(verdict),
        )  # fmt: skip

    def _rows(self, challenger: Trained, verdict: Verdict) -> tuple[int, int]:
        """Rows that went live have learned from, or else the challenger."""
        return self.live.rows if verdict.promote else challenger.rows

    def _seconds(self, challenger: Trained, verdict: Verdict) -> float:
        """Seconds of training once more."""
        return self.live.seconds if verdict.promote and self.live is not challenger else 0.0

    def _decide(self, challenger: Trained, start: int, mature: int, trigger: Trigger, now: dt.datetime) -> Verdict:
        """Ask the gate, and do what it says."""
        verdict = self._judged(challenger, start, mature, trigger)
        self._needed = verdict.labels_awaited if verdict.answer == "undecided" else 0
        if verdict.promote:
            self.live, self._swapped_at = self._released(challenger, mature), now
            self._trained_at = self.shop.history.moments[self.live.rows[1] - 1]
            self._rejections, self._attempts = 0, 1
            self._began_row = self.live.rows[1]
        else:
            self._rejections += verdict.answer in ("worse", "refused")
            self._attempts += bool(verdict.evidence.get("tested"))
        return verdict

    def _released(self, challenger: Trained, mature: int) -> Trained:
        """What goes live: the challenger, trained once more on all labelled rows where the policy says so."""
        if not self.policy.refit:
            return challenger
        again = self.shop.model(*self.shop.history.learned(mature, self.policy.train_on))
        return again if again.model.classes_.tolist() == challenger.model.classes_.tolist() else challenger

    def _judged(self, challenger: Trained, start: int, stop: int, trigger: Trigger) -> Verdict:
        """The gate, on the labelled rows that neither model has learned from."""
        start = max(start, self.live.rows[1], challenger.rows[1])
        y = self.shop.truth(self.live, start, stop)
        known = np.isfinite(y)
        when = np.array([moment.timestamp() for moment in self.shop.history.moments[start:stop]])
        rows = Labelled(
            _as_truth(self.live.model, y[known]),
            when=when[known],
            follows="they came later",
            sent=frozenset(self.shop.history.frame.columns),
            earlier=self._earlier(challenger),
        )
        metric = self.live.judge.metric
        assert metric is not None
        return judge_gate(
            self._scored(self.live, start, stop, known), self._scored(challenger, start, stop, known), rows, self.policy.gate,
            metric=metric, trigger=trigger, attempt=self._attempts,
        )  # fmt: skip

    def _earlier(self, challenger: Trained) -> Earlier | None:
        """Rows before those that the challenger was trained on, where the policy leaves old ones out."""
        y = self.shop.truth(challenger, 0, challenger.rows[0])
        known = np.isfinite(y)
        if not known.any():
            return None
        answers = self.shop.answers(challenger, 0, challenger.rows[0])
        return Earlier(_as_truth(challenger.model, y[known]), answers[known])

    def _scored(self, trained: Trained, start: int, stop: int, known: np.ndarray) -> Scored:
        model = trained.model
        return Scored(
            f"model {trained.number}", self.shop.answers(trained, start, stop)[known], model.task,
            tuple(model.classes_.tolist()) if model.task != "regression" else (),
            {column.name: column.type for column in model.schema.features}, model.threshold,
        )  # fmt: skip


def _first(verdict: Verdict) -> str:
    return verdict.reasons[0] if verdict.reasons else ""


def _as_truth(model: Model, y: np.ndarray) -> np.ndarray:
    return y if model.task == "regression" else y.astype(np.int64)


def rehearse(contestants: Sequence[Contestant], shop: Workshop, told: Told | None = None) -> tuple[Life, ...]:
    """All contestants, one after the other.

    Parameters
    ----------
    contestants : sequence of Contestant
        The first is what the others are compared with.
    shop : Workshop
    told : callable, optional
    """
    return tuple(play(contestant, shop, told) for contestant in contestants)


def with_rest_of_a_window(policy: Policy, history: History) -> Policy:
    """The policy, resting for one window at most where the moments are made up: days mean nothing there."""
    if history.dated:
        return policy
    return msgspec.structs.replace(policy, cool_down_s=min(policy.cool_down_s, history.middle_window.total_seconds()))


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")
