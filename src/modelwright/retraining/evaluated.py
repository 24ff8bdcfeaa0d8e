"""Rows that neither of two models was trained on, with what both say of them: from a table, or from the prediction log.

Rows without a label, without a time, inside the training of either, or younger than the delay of labels are left out and
counted: young rows have the labels that came early, which are not like the others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from modelwright.artifacts.bundle import load_bundle
from modelwright.artifacts.golden import check_golden
from modelwright.artifacts.measure import folder_bytes, single_row_seconds
from modelwright.artifacts.period import Period, moment_of, moments, read_period
from modelwright.artifacts.tried import probe_once
from modelwright.errors import DataError, InvalidInputError, ModelwrightError
from modelwright.metrics import registry as metrics
from modelwright.metrics.metric import Metric
from modelwright.monitoring.labels import read_labels
from modelwright.monitoring.performance import truth_of
from modelwright.monitoring.prediction_log import read_predictions
from modelwright.retraining.guards import FEWEST_ROWS
from modelwright.retraining.scored import Earlier, Labelled, Scored
from modelwright.tables.cells import label_of
from modelwright.tables.conform import conform
from modelwright.tables.fingerprint import fingerprint
from modelwright.tables.read import read
from modelwright.tables.roles import encode_target, labelled_rows

if TYPE_CHECKING:
    from modelwright.artifacts.model import Model
    from modelwright.store.database import Database

#: A column of more labels makes no slices, and so many are looked at in all.
_MOST_LEVELS, _MOST_SLICES = 8, 40
#: Rows that the time of a row is measured with.
_TIMED_ROWS = 200
#: Share of the rows that carry a column which clients evidently send.
_SENT = 0.9


class Evaluated(NamedTuple):
    """What `gate.judge` is asked with."""

    champion: Scored
    challenger: Scored
    rows: Labelled
    metric: Metric


class Contender(NamedTuple):
    """One of two bundles: what it is called, where it lies, and the home that remembers what was loaded before."""

    name: str
    folder: Path
    home: Path | None = None


def from_table(
    champion: Contender,
    challenger: Contender,
    data: Any,
    *,
    query: str | None = None,
    metric: str | None = None,
    label_delay_s: float = 0.0,
    now: float | None = None,
    vouched: str = "",
    features: str | Path | None = None,
) -> Evaluated:
    """Rows of a table.

    Parameters
    ----------
    champion, challenger : Contender
    data : path, table, …
        What `tables.read` reads, with the target; the time column of the training, where there was one.
    query : str, optional
        For databases.
    metric : str, optional
        By default that of the challenger's training.
    label_delay_s : float, default=0.0
        Age below which labels are not mature, where times are dates.
    now : float, optional
        Seconds since 1970 in UTC; needed for a delay.
    vouched : str
        Why all rows follow both trainings, if somebody says so.
    features : str or Path, optional
        The file of a function that derives columns.

    Raises
    ------
    InvalidInputError, DataError
        If the table cannot be read or has no target.
    """
    frame = read(data, query=query).frame
    models = _opened(champion, challenger, features)
    target = models[0].model.target if models[0].model else None
    if target is not None and target not in frame.columns:
        raise InvalidInputError(
            f"The table has no column {target!r}, so it does not say what turned out.",
            where="--data",
            mend="Give rows with their labels.",
        )
    labels = frame[target] if target is not None else pl.Series([None] * frame.height)
    period = next((each.period for each in models if each.period.time), Period())
    times = frame[period.time] if period.time in frame.columns else None
    return _evaluated(models, frame, labels, times, metric, label_delay_s, now, vouched, by_order=True)


def from_log(
    database: Database,
    model: str,
    champion: Contender,
    challenger: Contender,
    *,
    since: str = "",
    until: str = "~",
    metric: str | None = None,
    label_delay_s: float = 0.0,
    now: float | None = None,
    created: tuple[str, str] = ("", ""),
    features: str | Path | None = None,
    older: pl.DataFrame | None = None,
) -> Evaluated:
    """Rows that were served, with the labels that came since; both models are asked anew.

    Parameters
    ----------
    database : Database
    model : str
        Served name.
    champion, challenger : Contender
    since, until : str
        Of the predictions, ISO 8601 in UTC.
    metric, label_delay_s, now, features
        As for `from_table`.
    created : tuple of two str
        Moments after which no logged row was among those that champion and challenger learned from. What is dated in a
        row may lie before the moment at which it was asked for, so the later of this and the last date holds.
    older : DataFrame, optional
        Rows with the target that the challenger was kept from because they are old.
    """
    models = [
        each._replace(period=_later(each.period, when))
        for each, when in zip(_opened(champion, challenger, features), created, strict=True)
    ]
    # What was asked for before either training ended is not even read.
    since = max([since, *(each.period.last for each in models if each.period.dated)])
    labels = {each.prediction: each.value for each in read_labels(database, model)}
    rows, cells, at = [], [], []
    for part in ("live", "canary"):
        for each in read_predictions(database, model, since=since, until=until, part=part):
            rows.append(each.features)
            cells.append(labels.get(each.id))
            at.append(each.at)
    frame = read(rows).frame if rows else pl.DataFrame()
    regression = models[0].model is not None and models[0].model.task == "regression"
    told = [None if cell is None else float(cell) if regression else label_of(cell) for cell in cells]
    target = pl.Series("label", told, dtype=pl.Float64 if regression else pl.String)
    times = pl.Series("at", at, dtype=pl.String).str.to_datetime(time_zone="UTC")
    found = _evaluated(models, frame, target, times, metric, label_delay_s, now, "", by_order=False)
    earlier = None if older is None else _earlier(models[1].model, older)
    return found if earlier is None else found._replace(rows=replace(found.rows, earlier=earlier))


def _earlier(challenger: Model | None, older: pl.DataFrame) -> Earlier | None:
    """Older rows whose label the challenger can answer, with its answers."""
    if challenger is None or challenger.target not in older.columns:
        return None
    y = truth_of(older[challenger.target].to_list(), challenger.task, challenger.classes_.tolist())
    known = np.isfinite(y)
    if not known.any():
        return None
    answers = np.asarray(challenger.raw(older.filter(known)))
    return Earlier(y[known] if challenger.task == "regression" else y[known].astype(np.int64), answers)


class _Opened(NamedTuple):
    contender: Contender
    period: Period
    model: Model | None
    fault: str


def _opened(champion: Contender, challenger: Contender, features: str | Path | None) -> list[_Opened]:
    """Both bundles, first loaded in a child process; one that cannot be loaded says why."""
    found = []
    for each in (champion, challenger):
        try:
            probe_once(each.folder, each.home, features=features)
            model = load_bundle(each.folder, features=features)
            check_golden(model, each.folder)
            found.append(_Opened(each, read_period(each.folder), model, ""))
        except ModelwrightError as error:
            found.append(_Opened(each, Period(), None, error.what))
    return found


def _later(period: Period, when: str) -> Period:
    if not when or (period.dated and moment_of(period.last) >= moment_of(when)):
        return period
    return Period(last=when)


def _evaluated(
    models: list[_Opened],
    frame: pl.DataFrame,
    labels: pl.Series,
    times: pl.Series | None,
    metric: str | None,
    label_delay_s: float,
    now: float | None,
    vouched: str,
    *,
    by_order: bool,
) -> Evaluated:
    known = [each.model for each in models if each.model is not None]
    if len(known) < 2 or not frame.height:
        chosen = metrics.get(metric or known[0].metric, known[0].task) if known else metrics.METRICS["accuracy"]
        empty = np.empty(0)
        scored = [_scored(each, empty, None) for each in models]
        return Evaluated(scored[0], scored[1], Labelled(empty, follows=vouched or "no row was looked at"), chosen)
    first = known[0]
    if first.task == "clustering":
        raise InvalidInputError("Clusters have no truth to be compared with.", where=models[0].contender.name)
    chosen = metrics.get(metric or known[1].metric or first.metric, first.task)
    kept, when, follows, left_out = _which(models, frame, labels, times, label_delay_s, now, vouched, by_order=by_order)
    frame, labels = frame[kept], labels[kept]
    y = np.empty(0)
    if len(kept):
        y, _ = encode_target(labels, first.task, classes=first.classes_.tolist() or None)
    scored = [_answering(each, frame) for each in models]
    weight = next((c.name for c in first.schema.with_role("weight") if c.name in frame.columns), None)
    group = next((c.name for c in first.schema.with_role("group") if c.name in frame.columns), None)
    rows = Labelled(
        y, when, None if weight is None else frame[weight].cast(pl.Float64).to_numpy(),
        None if group is None else frame[group].to_numpy(), _slices(first, frame), follows, left_out, _sent(frame),
    )  # fmt: skip
    return Evaluated(scored[0], scored[1], rows, chosen)


def _sent(frame: pl.DataFrame) -> frozenset[str]:
    """Columns that nearly every row carries."""
    return frozenset(name for name in frame.columns if frame[name].null_count() <= (1 - _SENT) * frame.height)


def _which(
    models: list[_Opened],
    frame: pl.DataFrame,
    labels: pl.Series,
    times: pl.Series | None,
    label_delay_s: float,
    now: float | None,
    vouched: str,
    *,
    by_order: bool,
) -> tuple[np.ndarray, np.ndarray | None, str, dict[str, int]]:
    """Positions of the rows that count, their times, why they follow both trainings, and what was left out."""
    left_out: dict[str, int] = {}
    keep = np.zeros(frame.height, dtype=bool)
    if labels.null_count() < len(labels):
        keep[labelled_rows(labels)] = True
    left_out["without a label"] = int((~keep).sum())

    def leave(mask: np.ndarray, why: str) -> None:
        left_out[why] = int((keep & mask).sum())
        keep[mask] = False

    when, dated = moments(times) if times is not None else (None, False)
    if when is not None:
        leave(np.isnan(when), "without a time")
        if label_delay_s and dated and now is not None:
            leave(when > now - label_delay_s, "younger than the delay of labels")
    untils = [each.period.until for each in models]
    follows = vouched
    if when is not None and None not in untils and not vouched:
        for each in models:
            assert each.period.until is not None
            leave(when <= each.period.until, f"not after the training of {each.contender.name}")
    elif by_order and not vouched:
        first, follows = _after_tables(models, frame)
        if follows:
            leave(np.arange(frame.height) < first, "of the tables that were trained on")
    kept = np.flatnonzero(keep)
    return kept, None if when is None else when[kept], follows, {why: n for why, n in left_out.items() if n}


def _after_tables(models: list[_Opened], frame: pl.DataFrame) -> tuple[int, str]:
    """Where the table begins with the very tables that both were trained on, what comes after them is new."""
    sizes = []
    for each in models:
        n = each.period.n_data
        if not (0 < n <= frame.height and fingerprint(frame[:n]) == each.period.data):
            return 0, ""
        sizes.append(n)
    return max(sizes), f"rows after the first {max(sizes):,}, which are those that the models were trained on"


def _answering(opened: _Opened, frame: pl.DataFrame) -> Scored:
    model = opened.model
    assert model is not None
    try:
        prediction = model.raw(frame) if frame.height else np.empty(0)
        seconds = single_row_seconds(model, frame[:_TIMED_ROWS]) if frame.height else None
    except (ModelwrightError, DataError) as error:
        return _scored(opened._replace(fault=error.what), np.empty(0), None)
    return _scored(opened, prediction, seconds)


def _scored(opened: _Opened, prediction: np.ndarray, seconds: float | None) -> Scored:
    model, fault = opened.model, opened.fault
    faults = (fault,) if fault else ()
    if model is None:
        return Scored(opened.contender.name, prediction, "binary", faults=faults)
    return Scored(
        opened.contender.name, prediction, model.task, tuple(model.classes_.tolist()),
        {column.name: column.type for column in model.schema.features if column.name in set(model.feature_names_in_)},
        model.threshold, opened.period.until, seconds, folder_bytes(opened.contender.folder), faults,
    )  # fmt: skip


def _slices(model: Model, frame: pl.DataFrame) -> Mapping[str, np.ndarray]:
    """Rows of each level of columns of few labels."""
    found: dict[str, np.ndarray] = {}
    columns = [c for c in model.schema.features if c.type in ("category", "boolean") and c.name in frame.columns]
    if not columns or not frame.height:
        return found
    typed, _ = conform(frame, model.schema, columns=tuple(columns))
    for column in columns:
        counts = typed[column.name].cast(pl.String).drop_nulls().value_counts(sort=True)
        if not 2 <= counts.height <= _MOST_LEVELS:
            continue
        for level, count in counts.iter_rows():
            if count >= FEWEST_ROWS and len(found) < _MOST_SLICES:
                found[f"{column.name} is {level}"] = (typed[column.name].cast(pl.String) == level).fill_null(False).to_numpy()
    return found


def utc_now() -> float:
    """Seconds since 1970."""
    return dt.datetime.now(dt.UTC).timestamp()
