"""`modelwright policy check` on a real model: its sentences, what it says now, who watches, and the replay."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

import modelwright as mw
from modelwright.cli.main import main
from modelwright.monitoring.checked import Alarm, Checked
from modelwright.monitoring.kept import keep_window
from modelwright.monitoring.labels import Label, add_labels
from modelwright.monitoring.prediction_log import write_predictions
from modelwright.registry.registry import Registry
from modelwright.registry.source import source_of
from modelwright.retraining.heartbeat import beat
from modelwright.retraining.observing import observe
from modelwright.retraining.policy import Policy, Span
from modelwright.retraining.policy_check import check_policy
from modelwright.retraining.requests import Retrainings
from modelwright.retraining.rules import Trigger
from modelwright.retraining.triggers import due
from modelwright.spec import FILE_NAME, Spec
from modelwright.store.database import Database, key_of

DAY = dt.timedelta(days=1)


def rows(n: int, *, first_day: int, turned: bool = False) -> pl.DataFrame:
    """Twenty rows a day, whose answer depends on one column, or on its opposite."""
    rng = np.random.default_rng(first_day)
    x = rng.normal(size=n)
    y = (x > 0) ^ (rng.random(n) < 0.1) ^ turned
    start = dt.datetime(2025, 1, 1) + first_day * DAY
    days = [(start + number // 20 * DAY).strftime("%d.%m.%Y") for number in range(n)]
    return pl.DataFrame({"day": days, "x": x, "z": rng.normal(size=n), "y": np.where(y, "yes", "no")})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a champion."""
    home = tmp_path_factory.mktemp("trained")
    mw.train(rows(1200, first_day=0), target="y", time="day", trials=1, algorithms=["linear"], home=home, name="one")
    Registry(home).register(source_of("one", home), "churn", aliases=["champion"], force=True, why="try")
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in the working folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, tmp_path / ".modelwright"))


def modelwright(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(list(words))
    assert isinstance(left.value.code, int)
    return left.value.code, out.getvalue(), err.getvalue()


def kept(database: Database, number: int, start: dt.datetime, end: dt.datetime, kind: str = "") -> None:
    alarms = (Alarm(kind, "", "ROC AUC fell to 0.71.", 0.1),) if kind else ()  # type: ignore[arg-type]
    state: Any = "alarm" if alarms else "ok"
    checked = Checked("churn", str(number), start.isoformat(), end.isoformat(), 1000, 500, state, alarms)
    keep_window(database, checked, span="1000", now=end)


def answered(database: Database, name: str, at: dt.datetime, n_rows: int = 1) -> None:
    line = (name, n_rows, "churn", "1", "live", at.isoformat(timespec="microseconds"), None, b"[]", "[]", None, 1.0, None)
    write_predictions(database, [line])


# -- what is read from the store ---------------------------------------------------------------------------


def test_the_champion_and_its_windows_are_observed(home: Path) -> None:
    registry = Registry(home)
    [version] = registry.versions("churn")
    born, now = dt.datetime.fromisoformat(version.created), dt.datetime.now(dt.UTC) + 30 * DAY
    kept(registry.database, 1, now - 3 * DAY, now - 2 * DAY)
    kept(registry.database, 1, now - 2 * DAY, now - DAY, "performance")
    kept(registry.database, 9, now - 2 * DAY, now - DAY, "performance")  # of another version
    seen = observe(home, None, Policy("churn"), now, in_flight=None)
    assert (seen.trained_at, seen.version, len(seen.windows)) == (born, "1", 2)
    assert seen.swapped_at is not None
    assert abs(seen.swapped_at - born) < dt.timedelta(seconds=5)
    answer = due(Policy("churn"), seen)
    assert isinstance(answer, Trigger)
    assert answer.cause == "performance"
    assert observe(home, None, Policy("other"), now).trained_at is None


def test_windows_from_before_the_alias_moved_are_dead(home: Path) -> None:
    clock = dt.datetime.now(dt.UTC).replace(microsecond=0) + 30 * DAY
    registry = Registry(home, clock=lambda: clock)
    kept(registry.database, 1, clock - 3 * DAY, clock - DAY, "performance")
    assert isinstance(due(Policy("churn"), observe(home, None, Policy("churn"), clock + DAY)), Trigger)
    registry.remove_alias("churn", "champion")
    assert observe(home, None, Policy("churn"), clock).trained_at is None
    registry.set_alias("churn", "champion", 1, why="back again")
    seen = observe(home, None, Policy("churn"), clock + DAY)
    assert (seen.version, seen.swapped_at, len(seen.windows)) == ("1", clock, 1)
    assert not isinstance(due(Policy("churn"), seen), Trigger)


def test_rows_and_labels_count_from_the_last_retraining_and_when_they_are_of_age(home: Path) -> None:
    database = Database.of(home)
    now = dt.datetime.now(dt.UTC)
    for number, ago in enumerate((40, 20, 10, 5, 1)):
        answered(database, f"a{number}", now - ago * DAY, n_rows=10)
    add_labels(database, "churn", [Label(f"a{number}-{row}", "yes") for number in range(5) for row in range(3)])
    add_labels(database, "churn", [Label("a0-0", "no"), Label("unknown-0", "yes")])
    later = now + DAY / 2

    def counted(delay: float, *began: dt.datetime) -> tuple[int, int]:
        seen = observe(home, None, Policy("churn", label_delay_s=delay * 86400.0), later, retrainings=began)
        return seen.new_rows, seen.new_labels

    trained = dt.datetime.fromisoformat(Registry(home).versions("churn")[0].created)
    assert trained <= now
    assert counted(0) == (0, 16)  # all rows are older than the champion, the labels are not; a correction is no new label
    assert counted(3) == (0, 13)  # those of yesterday are not of age
    answered(database, "b", now + DAY / 10, n_rows=7)
    assert counted(0) == (7, 16)
    assert counted(0, later) == (0, 0)
    # Those of yesterday come of age after the last retraining and are new then.
    seen = observe(home, None, Policy("churn", label_delay_s=3 * 86400.0), now + 3 * DAY, retrainings=[later])
    assert seen.new_labels == 3


def test_monitoring_says_which_fault_a_column_has(home: Path) -> None:
    """What `triggers` tells broken columns from new ones by."""
    coming = rows(400, first_day=100).with_columns(pl.lit(None, dtype=pl.Float64).alias("x"), pl.lit(0.25).alias("z"))
    found = mw.monitor("churn@champion", coming, window=400, home=home).windows
    assert {alarm.column: alarm.fault for alarm in found[0].of("quality")} == {"x": "empty", "z": "frozen"}


# -- the command -------------------------------------------------------------------------------------------


def test_a_policy_is_explained_and_what_is_missing_is_said(home: Path) -> None:
    (home.parent / FILE_NAME).write_text(
        'name = "churn"\ndata = "rows.csv"\n[policy]\nschedule = "0 3 * * *"\ntime_zone = "Europe/Berlin"\nwindow = 100\n'
        'cool_down = "2d"\n'
    )
    code, out, err = modelwright("policy", "check")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "churn is trained again at each slot of '0 3 * * *' (Europe/Berlin)."
    assert "once 200 labels are new" in out
    assert out.count("03:00 CE") == 3
    assert "At this moment it does not train. Nothing asks for a retraining." in out
    assert "monitoring has kept no windows of 100 yet" in out
    assert [line for line in lines if line.startswith("warning: ")] == [
        "warning: No scheduler watches the policy of churn; start `modelwright up`.",
        "warning: In windows of 100 rows drift is never judged; it needs 200.",
        "warning: Slots come every 1 day, and the rest after a retraining is 2 days.",
        "warning: Nobody is told of alarms: the file has no [[alert]].",
    ]


def test_windows_by_count_that_do_not_fill_are_told(home: Path) -> None:
    def warned(days: float, window: Span) -> list[str]:
        later = dt.datetime.now(dt.UTC) + days * DAY
        found = check_policy(Policy("churn", window=window), Spec(data="rows.csv"), home, None, later)
        return [each for each in found.warnings if "has filled" in each]

    assert warned(6, Span(rows=1000)) == warned(60, Span(seconds=86_400.0)) == []
    assert warned(30, Span(rows=1000)) == [
        "No window of 1,000 rows has filled for 30 days, and until one does nothing is checked; take a length of time, such as"
        ' window = "7d".'
    ]


def test_a_scheduler_that_lives_is_named(home: Path) -> None:
    (home.parent / FILE_NAME).write_text('name = "churn"\ndata = "rows.csv"\n[policy]\n[[alert]]\nlog = true\n')
    place = Path(".modelwright")
    beat(Database.of(place), key_of(place, None), ["churn"], dt.datetime.now(dt.UTC), host="here", pid=7)
    code, out, _ = modelwright("policy", "check", "--json")
    found = json.loads(out)
    assert code == 0
    assert [(each["host"], each["pid"]) for each in found["watched_by"]] == [("here", 7)]
    assert found["warnings"] == []
    assert found["now"]["cause"] is None
    assert found["next_slots"] == []


def test_what_is_under_way_is_said_and_looking_begins_no_schedule(home: Path) -> None:
    (home.parent / FILE_NAME).write_text('name = "churn"\n[policy]\nschedule = "0 3 * * 1"\n')
    place = Path(".modelwright")
    retrainings = Retrainings(place)
    one = retrainings.ask("churn", Trigger("hand", "Ann asks.", "2026-06-01T00:00:00+00:00")).retraining
    out = modelwright("policy", "check")[1]
    assert f"At this moment it does not train. A retraining is under way: {one.id}, queued" in out
    with retrainings.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT * FROM policies").fetchall() == []


def test_the_windows_that_monitoring_kept_are_replayed(home: Path) -> None:
    (home.parent / FILE_NAME).write_text('name = "churn"\ndata = "rows.csv"\n[policy]\n')
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for day in range(20):
        kept(Database.of(home), 1, start + day * DAY, start + (day + 1) * DAY, "performance" if day == 9 else "")
    out = modelwright("policy", "check")[1]
    assert (
        "On the windows of the log of churn (2026-01-01 to 2026-01-21, 20 days, 20 checked windows) it would have trained once."
        "\n2026-01-11 00:00  by a fallen score: ROC AUC fell to 0.71.\n"
    ) in out


def test_a_table_is_replayed_through_monitoring(home: Path) -> None:
    """The answer turns round on a day: the policy asks soon afterwards, and not before."""
    table = pl.concat([rows(1000, first_day=100), rows(1000, first_day=150, turned=True)])
    table.write_csv("coming.csv")
    text = 'name = "churn"\ndata = "rows.csv"\ntarget = "y"\ntime = "day"\n[policy]\nwindow = 200\n'
    Path(FILE_NAME).write_text(text)
    code, out, err = modelwright("policy", "check", "--data", "coming.csv", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)["simulated"]
    turned = dt.datetime(2025, 1, 1, tzinfo=dt.UTC) + 150 * DAY
    first, *_ = [msgspec.convert(each, Trigger) for each in found["triggers"]]
    assert first.cause == "performance"
    assert turned < dt.datetime.fromisoformat(first.at) <= turned + 31 * DAY
    assert found["n_windows"] == 10

    # Labels that come a month late are known a month late.
    Path(FILE_NAME).write_text(text + 'label_delay = "30d"\non = ["performance"]\n')
    late = json.loads(modelwright("policy", "check", "--data", "coming.csv", "--json")[1])["simulated"]
    assert dt.datetime.fromisoformat(late["triggers"][0]["at"]) >= turned + 30 * DAY


def test_without_a_champion_only_monitoring_is_missing(home: Path) -> None:
    rows(1000, first_day=100).write_csv("coming.csv")
    Path(FILE_NAME).write_text('name = "other"\ndata = "rows.csv"\n[policy]\nnew_rows = 300\n')
    code, out, _ = modelwright("policy", "check", "--data", "coming.csv", "--time", "day")
    assert code == 0
    assert (
        "without monitoring, for there is no champion (2025-04-11 to 2025-05-30, 49 days) it would have trained 3 times." in out
    )
    assert "warning: other has no champion yet" in out


def test_wrong_words_are_refused_with_a_mend(home: Path) -> None:
    assert "There is no policy." in modelwright("policy", "check")[2]
    Path(FILE_NAME).write_text('name = "churn"\n[policy]\n')
    rows(50, first_day=0).write_csv("coming.csv")
    for words, said in (
        ((), "Name the column of time with --time"),
        (("--time", "dya"), "There is no column 'dya'"),
        (("--time", "x"), "holds no dates"),
    ):
        code, _, err = modelwright("policy", "check", "--data", "coming.csv", *words)
        assert (code, said in err) == (2, True), err
