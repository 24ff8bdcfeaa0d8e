"""A release from shadow to champion and back: as values, in the store, and after a kill anywhere."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from modelwright.errors import InvalidInputError
from modelwright.monitoring.labels import Label, add_labels
from modelwright.monitoring.prediction_log import Answered, PredictionLog
from modelwright.registry.registry import Registry
from modelwright.registry.releases import Release
from modelwright.registry.source import source_of
from modelwright.retraining.figures import Figures, read_figures
from modelwright.retraining.release import begin, find, next_move, step
from modelwright.retraining.rules import ReleaseRules
from modelwright.retraining.sequential import OF_METRIC, evidence_of_share, level_at, share_exceeded

LATE = 1500
CANARY = ReleaseRules(mode="canary", shadow_rows=50, canary_rows=50, watch_s=60.0, max_stage_s=600.0)


def at_stage(stage: str, mode: str = "canary") -> tuple[Release, ReleaseRules]:
    rules = msgspec.structs.replace(CANARY, mode=mode)
    return Release("r", "churn", 1, 2, stage, "", "", 0.1, "", 0, "", {}), rules  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stage", "mode", "seen", "elapsed_s", "expected"),
    [
        ("shadow", "canary", Figures(1, rows=49), 10, None),
        ("shadow", "canary", Figures(1, rows=50), 10, ("canary", None)),
        ("shadow", "shadow", Figures(1, rows=50), 10, ("watch", 2)),
        ("shadow", "canary", Figures(1, rows=49), 600, ("stopped", None)),
        ("shadow", "canary", Figures(1, rows=60, answered=60, failed=9), 10, ("stopped", None)),
        ("canary", "canary", Figures(1, rows=50), 10, ("watch", 2)),
        ("canary", "canary", Figures(1, rows=50, timed=50, slow=20, limit_ms=3.0), 10, ("stopped", None)),
        ("canary", "canary", Figures(3, rows=50), 10, ("stopped", None)),
        ("watch", "canary", Figures(2, rows=500), 59, None),
        ("watch", "canary", Figures(2, rows=500), 60, ("kept", None)),
        ("watch", "canary", Figures(2, rows=500, answered=500, failed=30), 5, ("rolled back", 1)),
        ("watch", "canary", Figures(2, rows=500, timed=500, slow=40, limit_ms=3.0), 5, ("rolled back", 1)),
        (
            "watch",
            "canary",
            Figures(2, rows=500, labels=400, loss=0.08, p_worse=1e-6, metric="Accuracy"),
            5,
            ("rolled back", 1),
        ),
        ("watch", "canary", Figures(2, rows=500, labels=400, loss=0.08, p_worse=0.01, metric="Accuracy"), 5, None),
        ("watch", "canary", Figures(2, rows=500, labels=400, loss=0.01, p_worse=1e-9, metric="Accuracy"), 5, None),
        ("watch", "canary", Figures(2, refused=True), 40, ("rolled back", 1)),
        ("watch", "canary", Figures(1, rows=3), 5, ("stopped", None)),
    ],
)
def test_what_follows_from_the_figures(
    stage: str, mode: str, seen: Figures, elapsed_s: float, expected: tuple[str, int | None] | None
) -> None:
    move = next_move(*at_stage(stage, mode), seen, elapsed_s)
    assert (None if move is None else (move.stage, move.alias)) == expected
    assert move is None or move.why.endswith(".")


def test_looking_after_every_answer_alarms_falsely_as_seldom_as_promised() -> None:
    rng = np.random.default_rng(3)
    false = 0
    for _ in range(200):
        failed = np.cumsum(rng.random(2000) < 0.01)
        false += any(share_exceeded(int(failed[n - 1]), n, 0.01, 0.05) for n in range(20, 2001, 20))
    assert false <= 17  # 10 are allowed on the average
    assert evidence_of_share(0, 0, 0.01) == 0.0
    assert share_exceeded(2, 2, 0.01)
    assert share_exceeded(1, 10_000, 0.0)
    assert not share_exceeded(1, 20, 0.01)
    # Of metrics: a walk of independent steps, looked at after each.
    steps = rng.normal(size=(2000, 3000)).cumsum(axis=1) / np.sqrt(np.arange(1, 3001))
    bound = np.array([level_at(n, 0.05) for n in range(1, 3001)])
    from scipy import special

    assert (special.ndtr(-steps) <= bound).any(axis=1).mean() <= 0.05
    assert level_at(49) == 0.0
    assert level_at(300) < OF_METRIC


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, home: Path) -> Registry:
    """churn/1 the champion, churn/2 a challenger and churn/3 a bad one, in a store of either kind."""
    if request.param == "sqlite":
        return Registry(home)
    registry = Registry(home, request.getfixturevalue("fresh_postgres"))
    for number in (1, 2, 3):
        registry.register(source_of(f"run-{number}", home), "churn", force=True, why="a test")
    registry.promote("churn", 1)
    return registry


NOW = dt.datetime.now(dt.UTC)


def after(seconds: float) -> dt.datetime:
    return NOW + dt.timedelta(seconds=seconds)


def serve(
    registry: Registry,
    rows: list[dict[str, Any]],
    version: int,
    part: str,
    start: str,
    *,
    failed: int = 0,
    ms: float = 1.0,
    at: float = 1.0,
) -> None:
    """Write what a server would write."""
    log = PredictionLog(registry.database)
    log.start()
    for number, row in enumerate(rows):
        answered = Answered(
            f"{start}{number}", "churn", str(version), part, after(at).timestamp(), [row], None, ["No"], [[0.7, 0.3]], ms
        )
        assert log.offer(answered)
        log.tally("churn", str(version), part, failed=number < failed)
    log.close()


def plain(table: pl.DataFrame) -> list[dict[str, Any]]:
    return table.drop("Churn").with_columns(pl.col("seen").dt.to_string("iso")).to_dicts()


def test_a_release_goes_from_shadow_to_canary_to_champion_and_is_kept(registry: Registry, table: pl.DataFrame) -> None:
    rows = plain(table[LATE : LATE + 120])
    release = begin(registry, "churn", 2, CANARY, now=NOW, key="retraining 1", verdict=7, why="better")
    assert begin(registry, "churn", 2, CANARY, now=NOW, key="retraining 1") == release
    with pytest.raises(InvalidInputError, match="is being released"):
        begin(registry, "churn", 2, CANARY, now=NOW, key="retraining 2")
    database = registry.database

    def go(seconds: float) -> str:
        return step(database, registry, release.id, after(seconds))

    assert go(1) == go(2) == "shadow"
    serve(registry, rows[:60], 2, "shadow", "s")
    assert (go(3), registry.resolve("churn@champion").number) == ("canary", 1)
    assert go(3) == "canary"
    serve(registry, rows[:60], 2, "canary", "c", at=4.0)
    assert (go(5), registry.resolve("churn@champion").number) == ("watch", 2)
    assert go(5) == "watch"
    serve(registry, rows, 2, "live", "l", at=6.0)
    assert (go(64), go(66), go(67)) == ("watch", "kept", "kept")
    lines = [(each.kind, each.number, each.was) for each in registry.decisions("churn")][-4:]
    assert lines == [("release", 2, 1), ("release", 2, 1), ("promote", 2, 1), ("release", 2, 1)]
    evidence = find(registry, release.id).evidence
    assert [evidence[stage]["rows"] for stage in ("shadow", "canary", "watch")] == [60, 60, 120]
    assert registry.verify() == []
    assert registry.in_flight("churn") is None


def test_a_champion_that_is_wrong_on_realised_labels_goes_by_itself(registry: Registry, table: pl.DataFrame) -> None:
    rules = ReleaseRules(mode="swap", watch_s=60.0)
    release = begin(registry, "churn", 3, rules, now=NOW, key="r")
    assert registry.resolve("churn@champion").number == 3
    part = table[LATE : LATE + 300]
    serve(registry, plain(part), 3, "live", "l")
    labels = [Label(f"l{number}-0", value) for number, value in enumerate(part["Churn"].to_list())]
    add_labels(registry.database, "churn", labels[:49])
    assert step(registry.database, registry, "r", after(5)) == "watch"
    add_labels(registry.database, "churn", labels)
    seen = read_figures(registry.database, registry, release, rules)
    assert (seen.labels, seen.loss) == (300, pytest.approx(0.5, abs=0.2))
    assert step(registry.database, registry, "r", after(6)) == "rolled back"
    assert registry.resolve("churn@champion").number == 1
    last = registry.decisions("churn")[-1]
    assert (last.kind, last.number, last.was, last.alias) == ("rollback", 1, 3, "champion")
    assert last.why.startswith("Accuracy is worse by 0.")
    assert registry.verify() == []


def test_a_rollback_by_hand_ends_what_is_in_flight(registry: Registry) -> None:
    shadow = begin(registry, "churn", 2, CANARY, now=NOW, key="a")
    assert registry.rollback("churn", why="no").number == 1
    assert (find(registry, shadow.id).stage, registry.resolve("churn@champion").number) == ("stopped", 1)
    watched = begin(registry, "churn", 2, ReleaseRules(), now=NOW, key="b")
    assert registry.rollback("churn", why="complaints").number == 1
    assert find(registry, watched.id).stage == "rolled back"
    assert step(registry.database, registry, "b", after(5)) == "rolled back"
    overtaken = begin(registry, "churn", 2, CANARY, now=NOW, key="c")
    registry.promote("churn", 2, why="in a hurry")
    assert find(registry, overtaken.id).stage == "stopped"
    assert registry.verify() == []


def test_failed_and_slow_answers_stop_a_canary_and_roll_a_champion_back(registry: Registry, table: pl.DataFrame) -> None:
    rows = plain(table[LATE : LATE + 200])
    rules = ReleaseRules(mode="canary", shadow_rows=0, canary_rows=1000, watch_s=60.0)
    begin(registry, "churn", 2, rules, now=NOW, key="a")
    serve(registry, rows[:40], 2, "canary", "c", failed=6)
    assert step(registry.database, registry, "a", after(3)) == "stopped"
    serve(registry, rows, 1, "live", "before", at=-5.0)
    begin(registry, "churn", 2, ReleaseRules(), now=NOW, key="b")
    serve(registry, rows[:100], 2, "live", "slow", ms=3.5)
    assert step(registry.database, registry, "b", after(3)) == "rolled back"
    assert "100 of 100 answers took longer than 3 ms" in find(registry, "b").why
    assert registry.resolve("churn@champion").number == 1


def test_steps_of_several_workers_at_once_move_once(registry: Registry, table: pl.DataFrame) -> None:
    begin(registry, "churn", 2, msgspec.structs.replace(CANARY, mode="shadow"), now=NOW, key="r")
    serve(registry, plain(table[LATE : LATE + 60]), 2, "shadow", "s")
    stages: list[str] = []
    threads = [
        threading.Thread(target=lambda: stages.append(step(registry.database, registry, "r", after(3)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stages == ["watch"] * 4
    assert [each.kind for each in registry.decisions("churn")].count("promote") == 2  # of churn/1 before, and this one
    assert registry.verify() == []


_KILLED = """
import datetime as dt, os, sys
from pathlib import Path
from modelwright.registry.registry import Registry
from modelwright.retraining.release import step
import sqlalchemy as sa
home, number = Path(sys.argv[1]), int(sys.argv[2])
registry = Registry(home)
count = 0
def strike(*_):
    global count
    count += 1
    if count == number:
        os.kill(os.getpid(), 9)
sa.event.listen(registry.database._engine, "before_cursor_execute", strike)
sa.event.listen(registry.database._engine, "commit", strike)
print(step(registry.database, registry, "r", dt.datetime.fromisoformat(sys.argv[3])))
"""


def test_kill_9_at_any_statement_of_the_swap_leaves_the_alias_with_its_stage(home: Path, table: pl.DataFrame) -> None:
    registry = Registry(home)
    begin(registry, "churn", 2, msgspec.structs.replace(CANARY, mode="shadow"), now=NOW, key="r")
    serve(registry, plain(table[LATE : LATE + 60]), 2, "shadow", "s")
    number, killed = 4, 0
    while True:
        command = [sys.executable, "-c", _KILLED, str(home), str(number), after(3).isoformat()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
        stage, champion = find(registry, "r").stage, registry.resolve("churn@champion").number
        assert (stage, champion) in (("shadow", 1), ("watch", 2))
        assert registry.verify() == []
        if done.returncode == 0:
            assert done.stdout.strip() == "watch"
            break
        assert done.returncode == -9, done.stderr
        assert stage == "shadow"
        killed += 1
        number += 7
    assert killed >= 3
    assert step(registry.database, registry, "r", after(4)) == "watch"
    assert [each.kind for each in registry.decisions("churn")].count("promote") == 2
