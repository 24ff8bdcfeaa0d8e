"""The whole loop on a small table: killed in mid-training it resumes its run, and nothing of it is there twice."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from modelwright.alerting.outbox import last_alerts
from modelwright.errors import DataError
from modelwright.monitoring.labels import Label, add_labels
from modelwright.monitoring.prediction_log import write_predictions
from modelwright.registry.registry import Registry
from modelwright.retraining.asked import asked_of
from modelwright.retraining.judging import learned_until
from modelwright.retraining.policy_file import policy_of
from modelwright.retraining.requests import Retrainings
from modelwright.retraining.scheduler import Scheduler
from modelwright.retraining.snapshot import Stretch, snapshot_file, sweep, take_snapshot
from modelwright.retraining.steps import Room
from modelwright.serving.logs import Log
from modelwright.spec import Spec
from modelwright.store.database import Database
from modelwright.store.unfinished import unfinished
from modelwright.tables.fingerprint import fingerprint
from modelwright.tables.read import read

TOML = """
data = "tiny.csv"
target = "y"
trials = 1
algorithms = ["lightgbm"]
home = "home"

[policy]
model = "tiny"

[policy.gate]
require = "not worse"
margin = 0.2
approval = true
max_latency = "1s"

[policy.release]
watch = "0s"

[[alert]]
log = true
on = ["approval", "promoted"]
"""
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "modelwright.cli.main", *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


WORKERS: list[subprocess.Popen[bytes]] = []


def worker(folder: Path) -> subprocess.Popen[bytes]:
    with open(folder / "log", "ab") as log:
        line = [sys.executable, "-m", "modelwright.cli.main", "worker"]
        WORKERS.append(subprocess.Popen(line, cwd=folder, stdout=log, stderr=log))
    return WORKERS[-1]


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    yield
    for process in WORKERS:
        process.kill()
        process.wait()
    WORKERS.clear()


def answered(n: int, day: int = 1) -> list[tuple[object, ...]]:
    """Logged answers; every cell as clients send it."""
    return [
        (f"p{day}-{k}", 1, "tiny", "1", "live", f"2026-02-{day:02d}T00:00:{k:02d}.000000+00:00", None,
         f'[{{"x": {k / 7}, "z": "{k}"}}]'.encode(), '["yes"]', "[[0.4, 0.6]]", 1.0, None)
        for k in range(n)
    ]  # fmt: skip


def until(seen: object, said: str, timeout_s: float = 400.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not seen():  # type: ignore[operator]
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def test_killed_in_mid_training_a_retraining_resumes_and_nothing_of_it_is_there_twice(
    folder: Path, more_rows: pl.DataFrame
) -> None:
    (folder / "modelwright.toml").write_text(TOML)
    home = folder / "home"
    table = pl.read_csv(folder / "tiny.csv")
    pl.concat([table, more_rows]).write_csv(folder / "tiny.csv")
    database = Database.of(home)
    write_predictions(database, answered(40))
    add_labels(database, "tiny", [Label(f"p1-{k}-0", "yes") for k in range(40)])

    asked = command(folder, "retrain", "tiny")
    assert (asked.returncode, "No worker runs" in asked.stderr) == (0, True)
    retraining = asked.stdout.strip()
    assert "is the one" in command(folder, "retrain", "tiny").stderr
    status = command(folder, "status")
    assert (status.returncode, "no worker runs" in status.stdout, retraining in status.stdout) == (3, True, True)

    first = worker(folder)
    until(lambda: any(each.n_trials and each.run.startswith(retraining) for each in unfinished(home)), "no trial was finished")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    retrainings = Retrainings(home)
    assert retrainings.get(retraining).step == "train"
    second = worker(folder)
    until(lambda: retrainings.get(retraining).ended is not None, (folder / "log").read_text())
    status = command(folder, "status")
    assert "running    worker" in status.stdout
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0

    steps = {line.step: line for line in retrainings.steps(retraining)}
    assert steps["train"].attempts == 2
    assert steps["train"].made is not None
    assert steps["train"].made["resumed"] is True
    runs = [path.name for path in (home / "runs").iterdir() if path.name.startswith(retraining)]
    assert runs == [steps["train"].made["run"]]
    assert not unfinished(home)
    (version,) = [each for each in Registry(home).versions("tiny") if each.tags.get("retraining") == retraining]
    assert version.number == retrainings.get(retraining).version == 2
    snapshot = steps["snapshot"].made
    assert snapshot is not None
    # The champion was registered after these rows were answered: the gate could use none, so none is kept back.
    assert (snapshot["n_rows"], snapshot["n_logged"], snapshot["n_kept_back"]) == (1840, 40, 0)
    assert version.data == snapshot["fingerprint"]
    assert Registry(home).verify() == []
    assert not (home / "retraining" / retraining).exists()
    # Labels were missing, so the challenger keeps its name until they have come.
    assert (retrainings.get(retraining).outcome, version.aliases) == ("undecided", ("challenger",))
    _judged_again_approved_and_released(folder, retrainings, more_rows)


def _judged_again_approved_and_released(folder: Path, retrainings: Retrainings, rows: pl.DataFrame) -> None:
    home, database = folder / "home", retrainings.database
    rows = pl.concat([rows.head(400), rows.head(20).with_columns(pl.col("x") + 0.001)])
    began = dt.datetime.now(dt.UTC)
    lines = [
        (f"q{k}", 1, "tiny", "1", "live", (began + dt.timedelta(milliseconds=k)).isoformat(timespec="microseconds"), None,
         json.dumps([{"x": row["x"], "z": row["z"], "city": row["city"]}]).encode(), '["yes"]', "[[0.4, 0.6]]", 1.0, None)
        for k, row in enumerate(rows.iter_rows(named=True))
    ]  # fmt: skip
    write_predictions(database, lines)
    policy = policy_of({"model": "tiny"})
    scheduler = Scheduler(Room(home, None, None), Log(io.BytesIO()))
    assert scheduler.decide(policy, dt.datetime.now(dt.UTC)) is None
    add_labels(database, "tiny", [Label(f"q{k}-0", label) for k, label in enumerate(rows["y"])])
    asked = scheduler.decide(policy, dt.datetime.now(dt.UTC))
    assert asked is not None
    assert (asked.new, asked.retraining.kind) == (True, "judge")
    one = asked.retraining.id
    process = worker(folder)
    until(lambda: retrainings.get(one).state in ("waiting", "ended"), "it never waited")
    assert retrainings.get(one).state == "waiting", retrainings.get(one).told
    waiting = command(folder, "status")
    assert (waiting.returncode, "tiny/2 waits for approval" in waiting.stdout) == (3, True)
    assert "tiny/2 is approved" in command(folder, "approve", "tiny", "--by", "ann").stdout
    until(lambda: retrainings.get(one).ended is not None, "it never ended")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    now = retrainings.get(one)
    assert (now.outcome, now.version, now.approved_by) == ("promoted", 3, "ann")
    # What was judged was trained once more on all labelled rows, those it was judged on included.
    champion = Registry(home).resolve("tiny@champion")
    assert (champion.number, champion.tags["refit"], champion.run.startswith(f"{one}-refit-")) == (3, one, True)
    steps = {line.step: line.made or {} for line in retrainings.steps(one)}
    assert steps["collect"]["n_rows"] == 1840 + 20, "the 400 stand in the table"
    assert (champion.data, steps["refit"]["objection"]) == (steps["collect"]["fingerprint"], "")
    assert learned_until(champion, retrainings) == steps["collect"]["until"] == lines[-1][5]
    assert asked_of("tiny", home, None, file=folder / "none.toml").spec.data == str(folder / "tiny.csv")
    promotions = [each for each in Registry(home).decisions("tiny") if each.kind == "promote"]
    assert [("Approved by ann" in each.why, "verdict" in each.evidence) for each in promotions] == [(True, True)]
    assert Registry(home).verify() == []
    assert [alert.kind for alert in last_alerts(database, home=retrainings.home)][::-1] == ["approval", "promoted"]


def test_a_snapshot_is_one_file_however_often_it_is_taken_and_reads_back_as_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,z,when,y\n1,a,2026-01-01,no\n2,b,2026-01-15,yes\n3,c,2026-02-20,no\n")
    database = Database.of(tmp_path)
    spec = Spec(data=str(tmp_path / "t.csv"), target="y", time="when")
    write_predictions(database, answered(4))
    add_labels(database, "tiny", [Label(f"p1-{k}-0", "yes") for k in (0, 1, 3)])

    def take(**stretch: object) -> pl.DataFrame:
        taken = take_snapshot(spec, database, "tiny", tmp_path, Stretch(kept_rows=0, kept_share=0.0, **stretch), NOW)  # type: ignore[arg-type]
        rows = read(taken.path).frame
        assert fingerprint(rows) == taken.fingerprint == f"mw1:{Path(taken.path).stem}"
        older = read(taken.older).frame if taken.older else rows.clear()
        assert sorted(rows["z"].to_list() + older["z"].to_list())[-3:] == ["a", "b", "c"], "what is left out lies beside"
        return rows

    rows = take()
    assert rows.columns == ["x", "z", "when", "y"]
    assert rows["z"].to_list() == ["a", "b", "c", "0", "1", "3"]
    assert rows["when"].dt.day().to_list() == [1, 15, 20, 1, 1, 1]
    assert len(take()) == 6
    assert len(list((tmp_path / "snapshots").iterdir())) == 1
    assert take(since="2026-01-10")["z"].to_list() == ["b", "c", "0", "1", "3"]
    assert take(rows=2)["z"].to_list() == ["c", "3"]
    assert take(seconds=20 * 86_400.0)["z"].to_list() == ["c", "0", "1", "3"]
    left_out = take_snapshot(spec, database, "tiny", tmp_path, Stretch(kept_rows=0, kept_share=0.0, rows=2), NOW)
    assert read(left_out.older).frame["z"].to_list() == ["a", "b", "0", "1"]
    assert len(take(label_delay_s=40 * 86_400.0)) == 3
    kept = take_snapshot(spec, database, "tiny", tmp_path, Stretch(kept_rows=1), NOW)
    assert (kept.n_logged, kept.n_kept_back, kept.until) == (2, 1, "2026-02-01T00:00:01.000000+00:00")
    known = Stretch(kept_rows=3, learned_until="2026-02-01T00:00:00.000000+00:00")
    assert take_snapshot(spec, database, "tiny", tmp_path, known, NOW).n_kept_back == 1, "half of the two that are new"


def test_a_logged_row_that_the_table_has_already_is_not_learned_twice_nor_judged_on(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"x,z,more,y\n{1 / 7},1,a,yes\n{3 / 7},3,b,no\n{5 / 7},5,c,yes\n")
    database = Database.of(tmp_path)
    write_predictions(database, answered(7))
    add_labels(database, "tiny", [Label(f"p1-{k}-0", "yes") for k in range(7)])
    stretch = Stretch(kept_rows=2, kept_share=0.0)
    taken = take_snapshot(Spec(data=str(tmp_path / "t.csv"), target="y"), database, "tiny", tmp_path, stretch, NOW)
    # Rows 1 and 5 are in the table, with these labels; of 0, 2, 3, 4 and 6 the last two are kept back.
    assert read(taken.path).frame["z"].to_list() == [1, 3, 5, 0, 2, 3]
    assert (taken.n_logged, taken.n_kept_back, taken.until[17:19]) == (3, 2, "05")


def test_rows_that_a_client_redacted_or_that_do_not_fit_are_no_rows_to_learn_from(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,no\n2,yes\n")
    database = Database.of(tmp_path)
    lines = [(*line[:7], content, *line[8:]) for line, content in zip(
        answered(3), (b'[{"x": "[redacted]"}]', b'[{"x": "many"}]', b'[{"x": "7"}]'), strict=True)]  # fmt: skip
    write_predictions(database, lines)
    add_labels(database, "tiny", [Label(f"p1-{k}-0", "yes") for k in range(3)])
    stretch = Stretch(kept_rows=0, kept_share=0.0)
    taken = take_snapshot(Spec(data=str(tmp_path / "t.csv"), target="y"), database, "tiny", tmp_path, stretch, NOW)
    assert read(taken.path).frame["x"].to_list() == [1, 2, None, 7]
    with pytest.raises(DataError, match="No row is left"):
        take_snapshot(
            Spec(data=str(tmp_path / "t.csv"), target="y"), database, "none", tmp_path,
            Stretch(since="2026-01-01"), NOW,
        )  # fmt: skip


def test_snapshots_that_nobody_needs_go_when_they_are_old(tmp_path: Path) -> None:
    for name in ("needed", "recent", "old"):
        path = snapshot_file(tmp_path, f"mw1:{name}")
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (0, 0) if name != "recent" else None)
    assert sweep(tmp_path, {"mw1:needed"}, now=time.time()) == ["old"]
    assert sorted(path.stem for path in (tmp_path / "snapshots").iterdir()) == ["needed", "recent"]
