"""A model that was trained once more takes the place of the one that was judged, unless its answers speak against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

import modelwright
from modelwright.monitoring.labels import Label, add_labels
from modelwright.monitoring.prediction_log import write_predictions
from modelwright.retraining import steps
from modelwright.retraining.children import Failure, StepError, Work
from modelwright.retraining.policy import Policy
from modelwright.retraining.policy_file import policy_of
from modelwright.retraining.refitting import collect_rows, objection, origin_of
from modelwright.retraining.requests import Retrainings
from modelwright.retraining.rules import Trigger
from modelwright.retraining.steps import Room
from modelwright.spec import Spec
from modelwright.store.database import Database

TRIGGER = Trigger("hand", "asked for", "2026-03-01T00:00:00+00:00")


@pytest.fixture
def judged(folder: Path, more_rows: pl.DataFrame) -> Work:
    """What a retraining knows after its gate; the rows of the gate are logged and labelled."""
    home = folder / "home"
    database = Database.of(home)
    rows = more_rows.head(300).to_dicts()
    write_predictions(database, [
        (f"p{k}", 1, "tiny", "1", "live", f"2026-02-01T00:{k // 60:02d}:{k % 60:02d}.000000+00:00", None,
         msgspec.json.encode([{name: row[name] for name in ("x", "z", "city")}]), '["yes"]', "[[0.4, 0.6]]", 1.0, None)
        for k, row in enumerate(rows)
    ])  # fmt: skip
    add_labels(database, "tiny", [Label(f"p{k}-0", row["y"]) for k, row in enumerate(rows)])
    spec = Spec(data=str(folder / "tiny.csv"), target="y", trials=1)
    snapshot = {"fingerprint": "", "until": "", "spec": spec.to_dict(), "policy": msgspec.to_builtins(Policy("tiny"))}
    given: dict[str, Any] = {"snapshot": snapshot, "register": {"version": 1}, "options": {}}
    return Work("refit", "r-1", "tiny", TRIGGER, str(home), None, None, given)


def bundle(home: Path, rows: pl.DataFrame, name: str) -> Path:
    run = modelwright.train(rows, target="y", trials=1, algorithms=["lightgbm"], home=home, name=name, evaluation="none")
    return run.folder / "model"


def test_rows_are_collected_once_and_only_where_there_are_newer_ones(judged: Work) -> None:
    made = collect_rows(judged)
    assert (made["n_rows"], made["n_logged"], made["n_kept_back"]) == (1200, 300, 0)
    assert made["until"] == "2026-02-01T00:04:59.000000+00:00"
    learned = {**judged.given["snapshot"], "fingerprint": made["fingerprint"]}
    assert collect_rows(msgspec.structs.replace(judged, given={**judged.given, "snapshot": learned})) == {}
    without = {**judged.given["snapshot"], "policy": msgspec.to_builtins(policy_of({"model": "tiny", "refit": False}))}
    assert collect_rows(msgspec.structs.replace(judged, given={**judged.given, "snapshot": without})) == {}


def test_what_answers_worse_or_another_question_does_not_take_the_place(
    judged: Work, folder: Path, more_rows: pl.DataFrame
) -> None:
    table = pl.read_csv(folder / "tiny.csv")
    flipped = table.with_columns(pl.col("y").replace({"yes": "no", "no": "yes"}))
    other = table.with_columns(y=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("maybe")).otherwise(pl.col("y")))
    home = folder / "home"
    assert objection(judged, bundle(home, pl.concat([table, more_rows]), "again")) == ""
    assert "is worse by" in objection(judged, bundle(home, flipped, "flipped"))
    assert "other classes" in objection(judged, bundle(home, other, "other"))


def test_where_training_once_more_fails_the_judged_model_goes_live(
    judged: Work, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(work: Work) -> dict[str, Any]:
        raise StepError(Failure("MemoryError", "The memory did not suffice.", work.step, "Train on fewer rows."))

    monkeypatch.setattr(steps, "compute", fails)
    room = Room(folder / "home", None, None)
    asked = Retrainings(folder / "home").ask("tiny", TRIGGER).retraining
    collected = steps.collect(room, asked, judged.given)
    assert "memory" in collected["objection"]
    assert steps.refit(room, asked, {**judged.given, "collect": collected})["version"] == 1
    made = steps.refit(room, asked, {**judged.given, "collect": {"path": "rows.parquet", "n_rows": 1200}})
    assert (made["version"], "memory" in made["objection"]) == (1, True)
    assert origin_of("r-2", {"origin": "r-1"}) == origin_of("r-1", {}) == "r-1"
