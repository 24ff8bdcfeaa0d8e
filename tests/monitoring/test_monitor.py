"""Monitoring of logged rows: what breaks is named, late labels change what was said, and the same look says the same."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import modelwright
from modelwright.artifacts.model import Model
from modelwright.artifacts.reference import packed, read_reference
from modelwright.errors import InvalidInputError
from modelwright.monitoring.checked import Checked
from modelwright.monitoring.kept import latest_windows
from modelwright.monitoring.labels import add_labels
from modelwright.monitoring.monitor import Monitored, Watched, monitor_log, watch
from modelwright.monitoring.prediction_log import write_predictions
from modelwright.store.database import Database

BEGUN = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
LATER = BEGUN + dt.timedelta(days=30)


@pytest.fixture(scope="module")
def watched(home: Path) -> Watched:
    return watch("churn@champion", home=home)


def seen(found: Monitored) -> list[tuple[str, int, int, str]]:
    return [(each.start, each.n_rows, each.n_labels, each.state) for each in found.windows]


def test_a_bundle_carries_a_reference_of_rows_that_the_members_had_not_seen(home: Path, model: Model) -> None:
    folder = modelwright.open_registry(home).resolve("churn@champion").folder
    reference = read_reference(folder)
    assert reference is not None
    assert reference.made_of == "2,400 training rows, answered by members that had not seen them"
    assert len(reference.held_out) == 2000
    assert len(reference.held_out.y) == 2000
    assert set(reference.held_out.columns) == set(model.feature_names_in_)
    assert reference.profile.importance["Contract"] > reference.profile.importance["PhoneService"]
    size = sum((folder / name).stat().st_size for name in ("reference.json", "reference.npz"))
    assert size < 60_000
    # Reading and writing again gives the same bytes.
    assert all((folder / name).read_bytes() == content for name, content in packed(reference).items())


def test_windows_of_the_log_are_checked_once_and_kept(
    watched: Watched, model: Model, log: Any, churn: pl.DataFrame, store_url: str
) -> None:
    database = Database(store_url)
    log(database, model, churn[3000:5500])
    first = monitor_log(watched, database, window="1000", now=LATER)
    assert [(n, state) for _, n, _, state in seen(first)] == [(1000, "ok"), (1000, "ok"), (500, "ok")]
    assert [each.complete for each in first.windows] == [True, True, False]
    assert latest_windows(database, "churn") == list(first.windows[:2])
    log(database, model, churn[5500:6500], begun=BEGUN + dt.timedelta(days=3))
    second = monitor_log(watched, database, now=LATER)
    assert second.windows[:2] == first.windows[:2]
    assert [each.n_rows for each in second.windows] == [1000, 1000, 1000, 500]
    assert second.fresh == 2
    assert monitor_log(watched, database, now=LATER).windows == second.windows


def test_rows_that_are_written_late_join_their_window(
    watched: Watched, model: Model, log: Any, churn: pl.DataFrame, tmp_path: Path
) -> None:
    database = Database.of(tmp_path)
    log(database, model, churn[3000:3600])
    first = monitor_log(watched, database, window="300", now=LATER)
    assert [each.n_rows for each in first.windows] == [300, 300]
    # One process could not reach the store for a while: its answers lie between those of the others.
    log(database, model, churn[3600:3650], begun=BEGUN + dt.timedelta(seconds=299 * 60 + 20), every_s=1.0)
    second = monitor_log(watched, database, now=LATER)
    assert [each.n_rows for each in second.windows] == [300, 350]
    assert [each.n_rows for each in latest_windows(database, "churn")] == [300, 350]
    assert second.fresh == 1


def test_labels_that_come_later_change_what_was_said_of_their_window(
    watched: Watched, model: Model, log: Any, churn: pl.DataFrame, store_url: str
) -> None:
    database = Database(store_url)
    rows = churn[3000:5000]
    ids = log(database, model, rows)
    monitor_log(watched, database, window="1000", now=LATER)
    add_labels(database, "churn", log.labels(ids, rows)[:1000])
    good = monitor_log(watched, database, now=LATER).windows
    assert [each.n_labels for each in good] == [1000, 0]
    assert good[0].realised is not None
    assert good[0].realised.state == "ok"
    assert good[0].realised.low < good[0].realised.reference < good[0].realised.high
    # They were wrong: corrected, they say that the model fails.
    add_labels(database, "churn", log.wrong(log.labels(ids, rows)[:1000], 0.5))
    bad = monitor_log(watched, database, now=LATER).windows
    assert [each.state for each in bad] == ["alarm", "ok"]
    assert {alarm.kind for alarm in bad[0].pages} == {"performance"}
    assert latest_windows(database, "churn")[0] == bad[0]


def test_windows_by_time_tell_of_rows_that_stay_away(
    watched: Watched, model: Model, log: Any, churn: pl.DataFrame, tmp_path: Path
) -> None:
    database = Database.of(tmp_path)
    for day in range(6):
        log(database, model, churn[3000 + 250 * day :][:250], begun=BEGUN + dt.timedelta(days=day))
    now = BEGUN + dt.timedelta(days=7, hours=1)
    found = monitor_log(watched, database, window="1d", now=now)
    assert [each.n_rows for each in found.windows] == [250] * 6 + [0]
    assert [alarm.kind for alarm in found.windows[-1].alarms] == ["volume"]
    assert monitor_log(watched, database, window="1d", now=now).windows == found.windows
    much_later = [monitor_log(watched, database, window="1d", now=LATER).windows for _ in range(2)]
    assert much_later[0] == much_later[1]
    assert [each.n_rows for each in much_later[0]][-3:] == [0, 0, 0]


def test_answers_that_failed_are_told_and_alarm_when_they_last(
    watched: Watched, model: Model, log: Any, churn: pl.DataFrame, store_url: str
) -> None:
    database = Database(store_url)
    for day, failed in enumerate((0, 1, 40, 45)):
        begun = BEGUN + dt.timedelta(days=day)
        log(database, model, churn[3000 + 250 * day :][:250], begun=begun)
        minute = (begun + dt.timedelta(hours=1)).isoformat()[:16]
        write_predictions(database, [], {("churn", "1", "live", minute): (250 + failed, failed)})
        write_predictions(database, [], {("churn", "2", "live", minute): (10, 10)})
    found = monitor_log(watched, database, window="1d", now=BEGUN + dt.timedelta(days=4, hours=1)).windows
    rates = [each.service.error_rate for each in found if each.service is not None]
    assert rates == pytest.approx([0, 1 / 251, 40 / 290, 45 / 295])
    assert [[alarm.message for alarm in each.pages] for each in found] == [[], [], [], ["15.3% of the answers failed."]]


def table_check(home: Path, rows: pl.DataFrame, window: str | None = None) -> Checked:
    found = modelwright.monitor("churn@champion", rows, window=window, home=home).latest
    assert found is not None
    return found


def test_broken_columns_are_named_and_page(home: Path, churn: pl.DataFrame) -> None:
    rows = churn[3000:4000]
    broken = rows.with_columns(
        pl.lit(None, dtype=pl.Float64).alias("MonthlyCharges"), pl.lit(7).alias("tenure"), pl.lit("?").alias("TotalCharges")
    ).drop("Contract")
    found = table_check(home, broken)
    assert found.state == "alarm"
    assert {(alarm.column, alarm.kind) for alarm in found.pages} == {
        (name, "quality") for name in ("MonthlyCharges", "tenure", "TotalCharges", "Contract")
    }
    assert any("Contract" in note for note in found.notes)


def test_a_shift_of_inputs_explains_and_moves_the_expected_error(home: Path, churn: pl.DataFrame) -> None:
    # Customers of the first year alone: they leave more often, and the model is wrong more often.
    rows = churn[3000:].filter(pl.col("tenure") <= 12).drop("Churn")
    found = table_check(home, rows)
    assert {"tenure"} < {alarm.column for alarm in found.of("drift")}
    tenure = next(column for column in found.columns if column.name == "tenure")
    assert tenure.moves is not None
    assert tenure.moves > 0.01
    assert found.columns[0].state == "alarm"
    assert found.multivariate is not None
    assert found.multivariate.auc > 0.8
    assert found.estimated is None or found.estimated.method == "weighted CBPE"


def test_a_window_with_few_rows_is_not_ok(home: Path, churn: pl.DataFrame) -> None:
    found = table_check(home, churn[3000:3060].drop("Churn"))
    assert found.state == "not enough data"
    assert not found.alarms


def test_an_old_bundle_opens_and_monitoring_says_how_to_get_a_reference(
    home: Path, churn: pl.DataFrame, tmp_path: Path, model: Model
) -> None:
    from modelwright.artifacts.bundle import write_bundle

    folder = tmp_path / "old"
    write_bundle(model, folder, libraries={}, lineage={})
    assert modelwright.load(folder).task == "binary"
    with pytest.raises(InvalidInputError, match="nothing to compare with") as error:
        modelwright.monitor(folder, churn[3000:4000])
    assert "--reference" in error.value.mend
    found = modelwright.monitor(folder, churn[5000:], reference=churn[3000:5000]).latest
    assert found is not None
    assert found.alarms == ()
    assert found.realised is not None
    assert found.estimated is not None
    shutil.rmtree(folder)
