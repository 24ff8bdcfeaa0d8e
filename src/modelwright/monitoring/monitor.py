"""From a reference and a log or a table to checked windows; the clock and the store are touched here and nowhere below.

A complete window of the log is checked once and kept. It is checked again when labels have come for its rows, and takes the
place of what was kept; windows that rows are still coming to are shown and not kept.
"""

from __future__ import annotations

import datetime as dt
import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from modelwright.artifacts.bundle import load_bundle
from modelwright.artifacts.manifest import manifest_digest
from modelwright.artifacts.model import Model
from modelwright.artifacts.reference import Reference, read_reference, reference_of
from modelwright.errors import InvalidInputError, ModelwrightError, SchemaError
from modelwright.metrics.registry import METRICS, default_metric
from modelwright.monitoring.checked import Checked
from modelwright.monitoring.checks import Judge, Rules, Window, check, predicted
from modelwright.monitoring.kept import keep_window, kept_windows, last_span
from modelwright.monitoring.labels import labelled_since, labels_of
from modelwright.monitoring.performance import losses_of, truth_of
from modelwright.monitoring.prediction_log import Prediction, count_predictions, failure_rate, moments_of, read_predictions
from modelwright.monitoring.rows import WindowRows, rows_of_log, rows_of_table
from modelwright.monitoring.windows import Slice, Span, of_log, of_table, read_span
from modelwright.registry.find import find_bundle
from modelwright.registry.names import is_reference
from modelwright.registry.registry import Registry
from modelwright.store.database import Database
from modelwright.tables.conform import cells_and_values
from modelwright.tables.profile import profile_of
from modelwright.tables.read import read

#: Rows of a window of the log, where nothing else is asked for.
DEFAULT_SPAN = "1000"
#: Rows of the last moments are left for the next time: several processes write the log, each in batches.
GRACE_S = 2.0
#: Earlier windows that are looked through for labels that came since; labels later than that are counted with no window.
LOOK_BACK = 100
#: The latest windows, for which rows may still be written: while a store is away, those who answer keep what they have.
LATE_WINDOWS = 5
#: Labels that came so shortly before a check may have been written after it looked.
MARGIN_S = 120.0
#: Earlier labelled rows that losses are watched with.
_LOSSES_BEFORE = 5_000


@dataclass(frozen=True)
class Monitored:
    """The windows of a model, and what they were compared with.

    Attributes
    ----------
    model, version : str
    windows : tuple of Checked
        The oldest first; the last may be one that rows are still coming to.
    judge : Judge
    source : str
        Where the rows come from.
    fresh : int
        How many of the windows were checked just now.
    """

    model: str
    version: str
    windows: tuple[Checked, ...]
    judge: Judge
    source: str
    fresh: int = 0

    @property
    def latest(self) -> Checked | None:
        """The last complete window, or the last one."""
        complete = [window for window in self.windows if window.complete] or list(self.windows)
        return complete[-1] if complete else None


@dataclass(frozen=True)
class Watched:
    """A model to be monitored: its name and version in the log, and its bundle."""

    name: str
    version: str
    folder: Path
    model: Model
    judge: Judge


def watch(
    reference: str | Path,
    *,
    home: Path,
    store: str | None = None,
    features: str | Path | None = None,
    rows: Any = None,
    rules: Rules | None = None,
) -> Watched:
    """Find and load a model, and what its rows are compared with.

    Parameters
    ----------
    reference : str or Path
        ``churn@champion``, ``churn/7``, a run, or a folder; ``NAME=`` before it where it is served under another name.
    home : Path
    store : str or None
    features : str, Path or None
        As for `modelwright.load`.
    rows : table, optional
        Rows that the model has not trained on, with the target where there is one; taken instead of what the bundle carries.
    rules : Rules, optional

    Raises
    ------
    InvalidInputError
        If the bundle carries no reference and no rows are given.
    """
    text = str(reference)
    name, equals, rest = text.partition("=")
    served, where = (name, rest) if equals and not Path(text).exists() else ("", text)
    if is_reference(where) and not Path(where).exists():
        version = Registry(home, store).resolve(where)
        found, number, folder = version.name, str(version.number), version.folder
    else:
        folder = find_bundle(where, home, store).resolve()
        found, number = _named(where, folder, home, store)
    model = load_bundle(folder, features=features)
    held = read_reference(folder) if rows is None else reference_from_rows(model, rows)
    if held is None:
        raise InvalidInputError(
            f"The bundle of {text} carries nothing to compare with: it was made before there was monitoring, or the reference "
            "was left out to keep to a size.",
            where=str(folder),
            mend="Train again, or give rows that the model has not trained on with --reference ROWS.",
        )
    metric = None if model.task == "clustering" else METRICS.get(model.metric, default_metric(model.task))
    judge = Judge(served or found, number, model.task, held, model.classes_.tolist(), metric, model.threshold, rules or Rules())
    return Watched(served or found, number, folder, model, judge)


def reference_from_rows(model: Model, rows: Any) -> Reference:
    """What windows are compared with, from rows that the model has not trained on."""
    table = read(rows)
    held = rows_of_table(model, table.frame, _truth(model, table.frame))
    if held.answers is None:
        raise InvalidInputError(" ".join(held.notes) or "The rows cannot be read.", where=table.source, mend="Give other rows.")
    frame = model.rows(table.frame)
    values = pl.DataFrame({column.name: cells_and_values(frame, column)[1] for column in model.schema.features})
    known = np.ones(held.n_rows, dtype=bool) if held.y is None else np.isfinite(held.y)
    profile = profile_of(values, model.schema.features, answers=held.answers, task=model.task, classes=model.classes_.tolist())
    cells = {name: cells.filter(pl.Series(known)) for name, cells in held.cells.items()}
    y = None if held.y is None else held.y[known]
    made_of = f"{held.n_rows:,} rows of {table.source}"
    return reference_of(profile, values.filter(pl.Series(known)), cells, held.answers[known], y, made_of)


def monitor_table(watched: Watched, data: Any, *, query: str | None = None, window: str | None = None) -> Monitored:
    """Check the rows of a table; nothing is kept."""
    table = read(data, query=query)
    model, frame = watched.model, table.frame
    moments = _moments(model, frame)
    span = None if window is None else read_span(window)
    slices = list(of_table(frame, span, moments))
    judge = watched.judge
    if len(slices) == 1:
        # Where there is but one window nothing can be awaited.
        once = msgspec.structs.replace(judge.rules.drift, persists=(1, 1))
        judge = replace(judge, rules=msgspec.structs.replace(judge.rules, drift=once))
    y = _truth(model, frame)
    history: list[Checked] = []
    losses = np.zeros(0)
    for part in slices:
        rows = rows_of_table(model, frame[part.rows.to_numpy()], None if y is None else y[part.rows.to_numpy()])
        timed = span is not None and span.seconds is not None
        history.append(check(judge, Window(part.start, part.end, rows, part.complete, timed, losses_before=losses), history))
        losses = np.concatenate([losses, _losses(watched, rows)])[-_LOSSES_BEFORE:]
    return Monitored(watched.name, watched.version, tuple(history), judge, table.source, len(history))


def monitor_log(
    watched: Watched,
    database: Database,
    *,
    window: str | None = None,
    part: str = "live",
    n: int = 20,
    now: dt.datetime | None = None,
) -> Monitored:
    """Check what the log holds since the last time, and earlier windows for whose rows labels have come since.

    Parameters
    ----------
    watched : Watched
    database : Database
    window : str, optional
        Rows or time of a window; by default as the last time, else 1,000 rows.
    part : {"live", "canary", "shadow"}, default="live"
    n : int, default=20
        Windows that are told at most, the latest ones.
    now : datetime, optional
    """
    now = now or dt.datetime.now(dt.UTC)
    settled = now - dt.timedelta(seconds=GRACE_S)
    span = read_span(window or last_span(database, watched.name, watched.version, part) or DEFAULT_SPAN)
    log = _Log(watched, database, span, part)
    kept = kept_windows(database, watched.name, version=watched.version, span=span.text, part=part, n=LOOK_BACK)
    due = _due(watched, database, kept) | _grown(watched, database, [each for each, _ in kept[-LATE_WINDOWS:]], part)
    fresh = 0
    for checked, _ in kept:
        if checked.start in due:
            checked = log.checked(Slice(checked.start, checked.end, log.rows(checked.start, checked.end)))
            keep_window(database, checked, span=span.text, part=part, now=now)
            fresh += 1
        log.history.append(checked)
    since = log.history[-1].end if log.history else ""
    n_empty = len(list(itertools.takewhile(lambda each: each.n_rows == 0, reversed(log.history))))
    for each in of_log(log.read(since, _iso(settled)), span, now=settled, since=since, n_empty=n_empty):
        checked = log.checked(each)
        if checked.complete:
            keep_window(database, checked, span=span.text, part=part, now=now)
        log.history.append(checked)
        fresh += 1
    source = f"log of {watched.name}, windows of {span.text}{' rows' if span.rows else ''}"
    return Monitored(watched.name, watched.version, tuple(log.history[-n:]), watched.judge, source, fresh)


class _Log:
    """The log of one version, window by window; knows the windows so far, and the losses of their rows."""

    def __init__(self, watched: Watched, database: Database, span: Span, part: str) -> None:
        self._watched, self._database, self._span, self._part = watched, database, span, part
        self.history: list[Checked] = []
        self._losses: dict[str, np.ndarray] = {}

    def read(self, since: str, until: str) -> Iterator[Prediction]:
        name, version = self._watched.name, self._watched.version
        return read_predictions(self._database, name, since=since, until=until, part=self._part, version=version)

    def rows(self, start: str, end: str) -> list[Prediction]:
        return list(self.read(start, end))

    def checked(self, part: Slice[list[Prediction]]) -> Checked:
        """Check a window that follows those in the history."""
        rows = self._window_rows(part.rows)
        self._losses[part.start] = _losses(self._watched, rows)
        latencies = {row.id.rpartition("-")[0]: row.latency_ms for row in part.rows}
        window = Window(
            part.start,
            part.end,
            rows,
            part.complete,
            self._span.seconds is not None,
            np.fromiter(latencies.values(), dtype=np.float64),
            failure_rate(self._database, self._watched.name, self._watched.version, self._part, part.start, part.end),
            losses_before=self._before() if len(self._losses[part.start]) else np.zeros(0),
        )
        return check(self._watched.judge, window, self.history)

    def _before(self) -> np.ndarray:
        """Losses of the labelled rows of earlier windows, as far back as they are watched."""
        found: list[np.ndarray] = []
        for earlier in reversed(self.history):
            if sum(map(len, found)) >= _LOSSES_BEFORE:
                break
            if earlier.n_labels and earlier.start not in self._losses:
                rows = self._window_rows(self.rows(earlier.start, earlier.end))
                self._losses[earlier.start] = _losses(self._watched, rows)
            found.append(self._losses.get(earlier.start, np.zeros(0)))
        return np.concatenate([np.zeros(0), *reversed(found)])[-_LOSSES_BEFORE:]

    def _window_rows(self, rows: list[Prediction]) -> WindowRows:
        model = self._watched.model
        if not rows:
            return WindowRows(0, {})
        answers: list[Any] = [row.prediction if row.proba is None else row.proba for row in rows]
        labels = labels_of(self._database, [row.id for row in rows])
        y = truth_of([labels.get(row.id) for row in rows], model.task, model.classes_.tolist()) if labels else None
        return rows_of_log(model, [row.features for row in rows], np.asarray(answers, dtype=np.float64), y)


def _due(watched: Watched, database: Database, kept: Sequence[tuple[Checked, str]]) -> set[str]:
    """Starts of windows for whose rows labels have come since they were checked."""
    if not kept:
        return set()
    margin = dt.timedelta(seconds=MARGIN_S)
    checked = [(each, _iso(dt.datetime.fromisoformat(at) - margin)) for each, at in kept]
    received = labelled_since(database, watched.name, min(at for _, at in checked))
    made = moments_of(database, received)
    came = sorted((made[prediction], at) for prediction, at in received.items() if prediction in made)
    found = set()
    for each, at in checked:
        first = bisect_left(came, (each.start, ""))
        within = came[first : bisect_left(came, (each.end, ""))]
        if any(moment >= at for _, moment in within):
            found.add(each.start)
    return found


def _grown(watched: Watched, database: Database, kept: Sequence[Checked], part: str) -> set[str]:
    """Starts of windows that the log holds other rows of than were checked: some were written late."""
    return {
        each.start
        for each in kept
        if count_predictions(database, watched.name, watched.version, part, each.start, each.end) != each.n_rows
    }


def _losses(watched: Watched, rows: WindowRows) -> np.ndarray:
    held, judge = watched.judge.reference.held_out, watched.judge
    if rows.y is None or rows.answers is None or judge.metric is None:
        return np.zeros(0)
    return losses_of(rows.y, rows.answers, held.y, held.answers, predicted(judge, rows.answers))


def _truth(model: Model, frame: pl.DataFrame) -> np.ndarray | None:
    if model.target is None or model.target not in frame.columns:
        return None
    return truth_of(frame[model.target].to_list(), model.task, model.classes_.tolist())


def _moments(model: Model, frame: pl.DataFrame) -> pl.Series | None:
    """The column of time, where the model knows one and it can be read."""
    for column in model.schema.with_role("time"):
        if column.name in frame.columns:
            try:
                moments = cells_and_values(frame, column)[1]
            except SchemaError:
                return None
            return moments if moments.dtype == pl.Datetime else None
    return None


def _named(text: str, folder: Path, home: Path, store: str | None) -> tuple[str, str]:
    """Name and version under which a model is served that was not named by version or alias."""
    place = Path(text)
    if not place.exists():
        with suppress(ModelwrightError):
            version = Registry(home, store).resolve(text)
            if version.folder.resolve() == folder:
                return version.name, str(version.number)
    else:
        place = place.resolve()
        place = place.parent if place.name == "model" else place
    return place.name, manifest_digest(folder)[:12]


def _iso(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="microseconds")
