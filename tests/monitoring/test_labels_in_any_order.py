"""Late, double, corrected labels in any order give exactly what labels in order give."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.artifacts.model import Model
from modelwright.monitoring.checked import Checked
from modelwright.monitoring.labels import Label, add_labels
from modelwright.monitoring.monitor import Watched, monitor_log, watch
from modelwright.store.database import Database

N = 90
BEGUN = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
LATER = BEGUN + dt.timedelta(days=30)
_COUNT = itertools.count()


@pytest.fixture(scope="module")
def watched(home: Path) -> Watched:
    return watch("churn@champion", home=home)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return Database.of(tmp_path_factory.mktemp("labels"))


def named(watched: Watched, name: str) -> Watched:
    return replace(watched, name=name, judge=replace(watched.judge, model=name))


def told(windows: tuple[Checked, ...]) -> list[Checked]:
    return [msgspec.structs.replace(each, model="") for each in windows]


#: What is said of each row: values in the order in which they are decided, the last one right; none for some rows.
SAID = st.lists(st.lists(st.sampled_from(["Yes", "No"]), max_size=3), min_size=N, max_size=N)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=SAID, data=st.data())
def test_labels_in_any_order_give_what_labels_in_order_give(
    said: list[list[str]], data: Any, watched: Watched, database: Database, model: Model, churn: pl.DataFrame, log: Any
) -> None:
    rows = churn[3000 : 3000 + N]
    number = next(_COUNT)
    straight, crooked = named(watched, f"straight{number}"), named(watched, f"crooked{number}")
    ids = {each.name: log(database, model, rows, name=each.name) for each in (straight, crooked)}

    # In order: each row's last word, once.
    add_labels(database, straight.name, [Label(ids[straight.name][k], v[-1]) for k, v in enumerate(said) if v])
    # Out of order: everything that was said, rows mixed, some of it twice, in several batches with looks between.
    events = [(k, value) for k, values in enumerate(said) for value in values]
    order = data.draw(st.permutations(range(len(events))))
    mixed = [k for k, _ in (events[place] for place in order)]
    words = [iter(values) for values in said]
    stream = [Label(ids[crooked.name][k], next(words[k])) for k in mixed]
    twice = [label for label in stream for _ in range(data.draw(st.integers(1, 2)))]
    cut = data.draw(st.integers(0, len(twice)))
    add_labels(database, crooked.name, twice[:cut])
    monitor_log(crooked, database, window="30", now=LATER)
    add_labels(database, crooked.name, twice[cut:])

    found = monitor_log(crooked, database, window="30", now=LATER)
    expected = monitor_log(straight, database, window="30", now=LATER)
    assert told(found.windows) == told(expected.windows)
    assert sum(each.n_labels for each in found.windows) == sum(bool(values) for values in said)
