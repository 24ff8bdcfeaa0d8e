"""What `modelwright policy check` finds: the policy in sentences, what it says at this moment, and what it would have done."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from modelwright.errors import InvalidInputError, SpecError
from modelwright.monitoring.checked import Checked
from modelwright.monitoring.drift import Rule
from modelwright.monitoring.kept import latest_windows
from modelwright.registry.names import CHAMPION
from modelwright.retraining.explained import gate_sentences, release_sentences, slots_told, when_sentences
from modelwright.retraining.heartbeat import Scheduler, alive, unwatched
from modelwright.retraining.known import observed
from modelwright.retraining.policy import Policy
from modelwright.retraining.requests import Retrainings
from modelwright.retraining.rules import Trigger
from modelwright.retraining.schedule import next_slots
from modelwright.retraining.simulation import Simulated, arrivals_of, arrivals_of_windows, simulate
from modelwright.retraining.steps import Room
from modelwright.retraining.triggers import Held, Observed, due
from modelwright.spec import Spec, describe_source
from modelwright.spec_sections import length_of
from modelwright.store.database import Database, key_of
from modelwright.tables.dates import find_formats, parse_dates
from modelwright.tables.read import read

_WINDOWS = 2_000
#: Days without a full window, after which windows by count are too large for the traffic.
_SLOW_D = 7.0
_SLOTS = 3


class PolicyCheck(msgspec.Struct, frozen=True):
    """What is to be said of a policy.

    Parameters
    ----------
    model : str
    retraining, gate, release : list of str
        Sentences: what trains the model again, what a challenger must prove, how it goes live.
    next_slots : list of str
        Of the schedule: moments in UTC, ISO 8601.
    next_slots_told : list of str
        The same in the policy's zone.
    now : Trigger or Held
        What the policy says at this moment, but for its schedule.
    watched_by : list of Scheduler
    warnings : list of str
    simulated : Simulated or None
        What it would have done; None where there is no history.
    simulated_on : str
        Which history, or why there is none.
    """

    model: str
    retraining: list[str]
    gate: list[str]
    release: list[str]
    next_slots: list[str]
    next_slots_told: list[str]
    now: Trigger | Held
    watched_by: list[Scheduler]
    warnings: list[str]
    simulated: Simulated | None
    simulated_on: str


def check_policy(
    policy: Policy,
    spec: Spec,
    home: Path,
    store: str | None,
    now: dt.datetime,
    *,
    data: Any = None,
    time: str | None = None,
    alerts: bool = True,
) -> PolicyCheck:
    """Look a policy over.

    Parameters
    ----------
    policy : Policy
    spec : Spec
        What the rest of the file asks for.
    home : Path
    store : str or None
    now : datetime
    data : table, optional
        History to replay it on; by default the windows of the log.
    time : str, optional
        Its column of time; by default that of the spec.
    alerts : bool, default=True
        Whether somebody is told of alarms.

    Raises
    ------
    InvalidInputError
        If the history cannot be read.
    """
    database, key = Database.of(home, store), key_of(home, store)
    # Without its schedule, which would begin by being looked at.
    unscheduled = msgspec.structs.replace(policy, schedule=None)
    known = observed(Room(home, store, None), Retrainings(home, store), unscheduled, now)
    slots = [] if policy.schedule is None else next_slots(policy.schedule, policy.time_zone, now, _SLOTS)
    if data is not None:
        history: tuple[Simulated | None, str] = _on_table(
            policy, spec, home, store, data, time or spec.time, champion=known.trained_at is not None
        )
    else:
        history = _on_windows(policy, database)
    warnings: list[str | None] = [unwatched(database, key, policy.model, now)] if policy_acts(policy) else []
    if known.trained_at is None:
        warnings.append(
            f"{policy.model} has no champion yet; register one: modelwright register RUN --name {policy.model} --alias champion"
        )
    if not describe_source(spec.data):
        warnings.append("The file does not say what to train on; write data = and, for labels, target =.")
    if policy.window.rows is not None and policy.window.rows < Rule().min_rows:
        warnings.append(f"In windows of {policy.window.rows} rows drift is never judged; it needs {Rule().min_rows}.")
    warnings.append(_slow(policy, known))
    if len(slots) > 1 and (gap := (slots[1] - slots[0]).total_seconds()) < policy.cool_down_s:
        warnings.append(
            f"Slots come every {length_of(gap)}, and the rest after a retraining is {length_of(policy.cool_down_s)}."
        )
    if not alerts:
        warnings.append("Nobody is told of alarms: the file has no [[alert]].")
    return PolicyCheck(
        policy.model, when_sentences(policy), gate_sentences(policy.gate, refit=policy.refit),
        release_sentences(policy.release),
        [slot.isoformat() for slot in slots], slots_told(policy, now, _SLOTS), due(unscheduled, known),
        alive(database, key, now, model=policy.model), [warning for warning in warnings if warning is not None], *history,
    )  # fmt: skip


def policy_acts(policy: Policy) -> bool:
    """Whether anything but a person asks for a retraining."""
    asks = (policy.schedule, policy.new_rows, policy.new_labels, policy.max_age_s)
    return bool(policy.on or policy.new_data or policy.webhook or any(each is not None for each in asks))


def _slow(policy: Policy, known: Observed) -> str | None:
    """That a window by count does not fill at this traffic, so that nothing is checked."""
    if policy.window.rows is None or known.trained_at is None:
        return None
    since = max([known.swapped_at or known.trained_at, *(dt.datetime.fromisoformat(each.end) for each in known.windows[-1:])])
    if (days := (known.now - since).total_seconds() / 86_400) < _SLOW_D:
        return None
    return (
        f"No window of {policy.window.rows:,} rows has filled for {days:.0f} days, and until one does nothing is checked; "
        'take a length of time, such as window = "7d".'
    )


def _on_windows(policy: Policy, database: Database) -> tuple[Simulated | None, str]:
    """The policy on what monitoring has kept of the log."""
    windows = latest_windows(database, policy.model, span=policy.window.text, n=_WINDOWS)
    if not windows:
        return None, (
            f"There is no history: monitoring has kept no windows of {policy.window.text} yet. Give a table with --data."
        )
    began, ended = dt.datetime.fromisoformat(windows[0].start), dt.datetime.fromisoformat(windows[-1].end)
    done = simulate(policy, began=began, ended=ended, windows=windows, arrived=arrivals_of_windows(windows))
    return done, f"the windows of the log of {policy.model}"


def _on_table(
    policy: Policy, spec: Spec, home: Path, store: str | None, data: Any, time: str | None, *, champion: bool
) -> tuple[Simulated, str]:
    """The policy on the rows of a table, as if they had come one after the other."""
    table = read(data)
    times = _times(table.frame, time, table.source)
    frame = table.frame.with_columns(times.alias("modelwright:time")).drop_nulls("modelwright:time")
    frame = frame.sort("modelwright:time", maintain_order=True)
    moments = [moment.replace(tzinfo=dt.UTC) for moment in frame["modelwright:time"].to_list()]
    frame = frame.drop("modelwright:time")
    labelled = [True] * len(moments)
    if spec.target is not None and spec.target in frame.columns:
        labelled = frame[spec.target].is_not_null().to_list()
    windows: list[Checked] = []
    source = table.source
    if champion:
        from modelwright.monitoring.monitor import monitor_table, watch

        watched = watch(f"{policy.model}@{CHAMPION}", home=home, store=store)
        found = monitor_table(watched, frame, window=policy.window.text).windows
        windows = [_placed(window, moments) for window in found]
        source = f"{source}, compared with {watched.name}/{watched.version} throughout"
    else:
        source = f"{source}, without monitoring, for there is no champion"
    arrived = arrivals_of(moments, labelled, policy.label_delay_s)
    done = simulate(policy, began=moments[0], ended=moments[-1], windows=windows, arrived=arrived)
    return done, source


def _times(frame: pl.DataFrame, time: str | None, source: str) -> pl.Series:
    """The column of time as moments."""
    if time is None:
        raise SpecError("It is not said when the rows came.", where="--time", mend="Name the column of time with --time.")
    if time not in frame.columns:
        near = ", ".join(frame.columns[:8])
        raise InvalidInputError(f"There is no column {time!r}.", where=source, mend=f"Columns: {near}.")
    cells = frame[time]
    if cells.dtype == pl.String:
        reading = find_formats(cells.str.strip_chars())
        if reading is not None:
            cells = parse_dates(cells.str.strip_chars(), reading.formats)
    if cells.dtype not in (pl.Date, pl.Datetime) or cells.null_count() == len(cells):
        raise InvalidInputError(
            f"Column {time!r} holds no dates, so days and weeks cannot be counted in it.",
            where=source,
            mend="Give a column of dates.",
        )
    return cells.cast(pl.Datetime("us"))


def _placed(window: Checked, moments: list[dt.datetime]) -> Checked:
    """A window with moments, where it has places of rows."""
    if not window.start.isdigit():
        return window
    first, last = int(window.start), int(window.end)
    start, end = moments[first], moments[last - 1] + dt.timedelta(microseconds=1)
    return msgspec.structs.replace(window, start=start.isoformat(), end=end.isoformat())
