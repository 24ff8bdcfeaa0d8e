"""A table in, a published run out."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_diabetes, load_wine

import modelwright
from modelwright.artifacts.bundle import verify_bundle
from modelwright.errors import DataError, InvalidInputError, SpecError
from modelwright.events import Event, StepStarted, TrialFinished
from modelwright.runs.run import Run
from modelwright.store.folders import unfinished

FILES = {
    "run.json", "plan.json", "partition.parquet", "trials.parquet", "curves.parquet", "findings.json", "evaluation.json",
    "environment.json", "cells.npz", "report.html", "model", "vault",
}  # fmt: skip


def test_run_folder_holds_every_record(run: Run) -> None:
    assert {path.name for path in run.folder.iterdir()} - {"code.diff"} == FILES
    verify_bundle(run.folder / "model")
    assert not list((run.folder.parents[1] / "tmp").iterdir())


def test_sealed_score_has_an_interval_and_a_baseline(run: Run) -> None:
    evaluation = run.record.evaluation
    assert evaluation is not None
    assert evaluation.score.low < evaluation.score.value < evaluation.score.high
    assert 0.7 < evaluation.score.value < 0.95
    assert evaluation.comparison is not None
    assert evaluation.comparison.baseline in ("constant", "shallow_tree", "simple_linear")
    assert evaluation.n_rows == run.record.n_evaluation
    assert run.record.n_evaluation + run.record.n_training == 800


def test_sealed_score_can_be_recomputed_from_the_partition(run: Run, churn: pl.DataFrame) -> None:
    from sklearn.metrics import roc_auc_score

    parts = pl.read_parquet(run.folder / "partition.parquet")
    sealed = churn[parts.filter(pl.col("part") == "evaluation")["row"].to_numpy()]
    proba = run.model.predict_proba(sealed)
    assert run.record.evaluation is not None
    expected = roc_auc_score(sealed["Churn"].to_numpy() == "Yes", proba[:, 1])
    assert run.record.evaluation.score.value == pytest.approx(expected, abs=1e-9)


def test_leaderboard_lists_all_trials_and_marks_members(run: Run) -> None:
    board = run.leaderboard
    assert board.filter(pl.col("stage") != "delivered").height == len(run.record.trials)
    assert board["weight"].drop_nulls().sum() == pytest.approx(1.0)
    assert {"linear", "lightgbm", "constant"} <= set(board["algorithm"])


def test_model_follows_scikit_learn(run: Run, churn: pl.DataFrame) -> None:
    model = run.model
    assert list(model.classes_) == ["No", "Yes"]
    proba = model.predict_proba(churn.head(7))
    assert proba.shape == (7, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert set(model.predict(churn)) == {"No", "Yes"}


def test_columns_are_found_by_name(run: Run, churn: pl.DataFrame) -> None:
    shuffled = churn.select(reversed(churn.columns)).drop("Churn", "customerID").with_columns(extra=pl.lit("x"))
    np.testing.assert_array_equal(run.model.predict_proba(shuffled), run.model.predict_proba(churn))
    with pytest.raises(modelwright.ModelwrightError, match="tenure"):
        run.model.predict(churn.drop("tenure"))


def test_one_row_equals_its_batch(run: Run, churn: pl.DataFrame) -> None:
    batch = run.model.predict_proba(churn.head(40))
    alone = np.vstack([run.model.predict_proba(churn[k : k + 1]) for k in range(40)])
    np.testing.assert_array_equal(alone, batch)


def test_reloaded_model_predicts_the_same_in_a_fresh_process(run: Run, churn: pl.DataFrame, tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    churn.write_parquet(rows)
    code = (
        "import modelwright, numpy as np\n"
        f"np.save({str(tmp_path / 'p.npy')!r}, modelwright.load({str(run.folder)!r}).predict_proba({str(rows)!r}))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), run.model.predict_proba(churn))


def test_run_shows_itself(run: Run) -> None:
    assert "sealed roc_auc" in repr(run)
    assert "lightgbm" in run._repr_html_() or "linear" in run._repr_html_()
    assert "Churn" in repr(run.model)
    assert "<table>" in run.model._repr_html_()


def test_same_trials_and_seed_give_the_same_bytes(run: Run, churn: pl.DataFrame, tmp_path: Path) -> None:
    again = modelwright.train(churn, target="Churn", trials=4, algorithms=["linear", "lightgbm"], home=tmp_path, name="churn")
    assert _member_bytes(again) == _member_bytes(run)
    assert [t.params for t in again.record.trials] == [t.params for t in run.record.trials]
    assert again.record.fingerprint == run.record.fingerprint


def _member_bytes(run: Run) -> dict[str, str]:
    manifest = verify_bundle(run.folder / "model")
    return {entry.path: entry.sha256 for entry in manifest.files if not entry.path.startswith("model.json")}


def test_regression_with_weights(tmp_path: Path) -> None:
    data = load_diabetes(as_frame=True).frame.assign(w=1.0)
    run = modelwright.train(data, target="target", weight="w", trials=2, algorithms=["linear"], home=tmp_path)
    assert run.record.task == "regression"
    assert run.record.evaluation is not None
    assert 40 < run.record.evaluation.score.value < 75
    assert "w" not in run.model.feature_names_in_
    assert run.model.predict(data.head(3)).shape == (3,)


def test_multiclass_from_a_numpy_target(tmp_path: Path) -> None:
    run = modelwright.train(load_wine(as_frame=True).frame, target="target", trials=2, algorithms=["linear"], home=tmp_path)
    assert run.record.task == "multiclass"
    assert run.model.classes_.tolist() == [0, 1, 2]


def test_clustering_without_a_target(tmp_path: Path) -> None:
    run = modelwright.train(load_wine(as_frame=True).data, trials=4, home=tmp_path)
    assert run.record.task == "clustering"
    assert run.record.evaluation is not None
    assert run.record.evaluation.score.value > 0
    assert set(run.model.predict(load_wine(as_frame=True).data)) <= set(range(100))


def test_no_evaluation_is_said_and_all_rows_train(churn: pl.DataFrame, tmp_path: Path) -> None:
    run = modelwright.train(churn, target="Churn", trials=1, algorithms=["linear"], evaluation="none", home=tmp_path)
    assert run.record.evaluation is None
    assert run.record.n_training == 800
    assert "no sealed score" in repr(run)


def test_evaluation_table_of_its_own(churn: pl.DataFrame, tmp_path: Path) -> None:
    run = modelwright.train(
        churn.head(600), target="Churn", trials=1, algorithms=["linear"], evaluation=churn.tail(200), home=tmp_path
    )
    assert run.record.n_training == 600
    assert run.record.evaluation is not None
    assert run.record.evaluation.n_rows == 200


def test_time_column_seals_the_latest_rows(churn: pl.DataFrame, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    when = pl.datetime_range(pl.datetime(2024, 1, 1), interval="3h", eager=True, end=pl.datetime(2024, 6, 1)).head(800)
    table = churn.with_columns(when=when.gather(rng.permutation(800)))
    run = modelwright.train(table, target="MonthlyCharges", time="when", trials=1, algorithms=["linear"], home=tmp_path)
    parts = pl.read_parquet(run.folder / "partition.parquet")
    sealed = table[parts.filter(pl.col("part") == "evaluation")["row"].to_numpy()]["when"]
    trained = table[parts.filter(pl.col("part") == "training")["row"].to_numpy()]["when"]
    assert trained.max() < sealed.min()
    assert "seasonal_naive" in run.record.baseline_validation


def test_a_class_that_comes_up_after_the_cut_in_time_counts_against_the_model(churn: pl.DataFrame, tmp_path: Path) -> None:
    place = pl.int_range(churn.height)
    table = churn.with_columns(when=place).filter((pl.col("Contract") != "Two year") | (place >= 0.9 * churn.height))
    n_late = table.filter(pl.col("Contract") == "Two year").height
    run = modelwright.train(table, target="Contract", time="when", trials=1, algorithms=["linear"], home=tmp_path)

    said = f"No training row is of class 'Two year'; the {n_late} sealed rows that are cannot be got right yet."
    assert run.record.plan.split_sentence.endswith(said)
    assert "'Two year' (0)" in next(f.message for f in run.record.findings if f.check == "small_class")
    late = table.filter(pl.col("Contract") == "Two year").drop("Contract")
    assert run.model.predict_proba(late)[:, run.model.classes_.tolist().index("Two year")].max() < 0.02
    assert run.record.evaluation is not None
    accuracy = run.record.evaluation.others["accuracy"].value
    assert accuracy <= 1 - n_late / run.record.evaluation.n_rows


def test_group_column_keeps_groups_whole(churn: pl.DataFrame, tmp_path: Path) -> None:
    table = churn.with_columns(house=pl.Series(np.arange(800) // 4))
    run = modelwright.train(table, target="Churn", group="house", trials=1, algorithms=["linear"], home=tmp_path)
    parts = pl.read_parquet(run.folder / "partition.parquet").join(
        table.with_row_index("row").select(pl.col("row").cast(pl.Int64), "house"), on="row"
    )
    assert parts.group_by("house").agg(pl.col("part").n_unique()).get_column("part").max() == 1
    assert "house" not in run.model.feature_names_in_


def test_events_tell_steps_and_trials(churn: pl.DataFrame, tmp_path: Path) -> None:
    events: list[Event] = []
    modelwright.train(churn, target="Churn", trials=1, algorithms=["linear"], home=tmp_path, on_event=events.append)
    steps = list(dict.fromkeys(e.step for e in events if isinstance(e, StepStarted)))
    assert steps == ["read", "split", "audit", "search", "fit", "evaluate", "package"]
    assert any(isinstance(e, TrialFinished) and e.algorithm == "linear" and e.score is not None for e in events)


def test_an_audit_that_fails_ends_the_run_before_the_vault_is_opened(churn: pl.DataFrame, tmp_path: Path) -> None:
    events: list[Event] = []
    given = {"waive": [{"finding": "target_proxy:nothing", "reason": "known"}], "trials": 1, "algorithms": ["linear"]}
    with pytest.raises(SpecError, match="no finding 'target_proxy:nothing'"):
        modelwright.train(churn, target="Churn", home=tmp_path, on_event=events.append, **given)
    assert "evaluate" not in [e.step for e in events if isinstance(e, StepStarted)]
    assert not any((tmp_path / "runs").glob("*/run.json"))


def test_budget_ends_the_search_and_leaves_a_whole_run(churn: pl.DataFrame, tmp_path: Path) -> None:
    # How exactly it holds is measured on all tables by benchmarks/all_tables.py; a busy machine must not fail this.
    run = modelwright.train(churn, target="Churn", budget="12s", home=tmp_path)
    assert run.record.wall_s < 60
    assert run.record.budget_s == 12
    assert run.record.evaluation is not None
    assert run.report.is_file()
    assert all(trial.error for trial in run.record.trials if trial.score is None), "what has no score says why"


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"target": "Chrun"}, SpecError, "Churn"),
        ({"algorithms": ["ligthgbm"]}, SpecError, "lightgbm"),
        ({"metric": "rocauc_"}, SpecError, "roc_auc"),
        ({"exclude": ["nope"]}, SpecError, "nope"),
        ({"positive": "Maybe"}, DataError, "Maybe"),
        ({"evaluation": "missing.csv"}, DataError, "missing.csv"),
    ],
)
def test_wrong_option_is_refused_and_nothing_is_written(
    churn: pl.DataFrame, tmp_path: Path, change: dict[str, object], error: type[InvalidInputError], says: str
) -> None:
    options: dict[str, object] = {"target": "Churn", "trials": 1, "home": tmp_path} | change
    with pytest.raises(error, match=says):
        modelwright.train(churn, **options)  # type: ignore[arg-type]
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(("presses", "code"), [(1, 0), (2, 130)])
def test_interrupt_finishes_with_what_is_there_and_twice_leaves(tmp_path: Path, presses: int, code: int) -> None:
    table = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"
    words = ["train", str(table), "--target", "Churn", "--budget", "10m", "--home", str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-m", "modelwright.cli.main", *words], stderr=subprocess.PIPE, text=True)
    log = next(_wait_for(lambda: list(tmp_path.glob("tmp/*/work/fits/*-probe/valid_pred.npy"))))
    assert log
    for _ in range(presses):
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.2)
    _, said = process.communicate(timeout=90)
    assert process.returncode == code
    assert len(list(tmp_path.glob("runs/*/report.html"))) == (presses == 1)
    left = [each.run for each in unfinished(tmp_path)]
    assert len(left) == presses - 1
    assert all(f"modelwright resume {run}" in said for run in left)


def _wait_for(found, seconds: float = 60):  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = found()
        if result:
            yield result
        time.sleep(0.1)
    raise TimeoutError


def test_few_rows_give_a_wide_interval_and_a_record_that_reads_back(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": np.arange(12.0), "b": [3.0, 1.0, 2.0] * 4, "y": [0, 1] * 6})
    run = modelwright.train(table, target="y", trials=1, algorithms=["linear"], home=tmp_path)
    assert run.record.evaluation is not None
    assert (run.record.evaluation.score.low, run.record.evaluation.score.high) == (0.0, 1.0)
    assert Run(run.folder).record == run.record


def test_evaluation_table_of_one_class_is_refused_before_training(churn: pl.DataFrame, tmp_path: Path) -> None:
    outside = churn.filter(pl.col("Churn") == "No")
    with pytest.raises(DataError, match="'No'"):
        modelwright.train(churn, target="Churn", evaluation=outside, trials=1, home=tmp_path)


def test_killed_run_shows_nothing_and_waits_to_be_resumed(churn: pl.DataFrame, tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    churn.write_parquet(rows)
    words = ["train", str(rows), "--target", "Churn", "--budget", "10m", "--home", str(tmp_path / "home")]
    process = subprocess.Popen([sys.executable, "-m", "modelwright.cli.main", *words], stderr=subprocess.DEVNULL)
    assert next(_wait_for(lambda: list(tmp_path.glob("home/tmp/*/work/fits/*-probe/valid_pred.npy"))))
    process.kill()
    process.wait()
    assert not list(tmp_path.glob("home/runs/*"))
    run = modelwright.train(churn, target="Churn", trials=1, algorithms=["linear"], home=tmp_path / "home")
    assert list(tmp_path.glob("home/runs/*")) == [run.folder]
    [left] = unfinished(tmp_path / "home")
    assert not left.alive
    assert left.n_trials > 0


def test_stations_that_go_on_are_learned_from_and_patients_who_do_not_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 1_200
    station = np.arange(n) % 6
    level = np.array([0.0, 5.0, -3.0, 9.0, 2.0, -7.0])[station]
    panel = pl.DataFrame(
        {
            "day": np.arange(n) // 6,
            "station": [f"s{k}" for k in station],
            "x": rng.normal(size=n),
            "y": level + rng.normal(size=n) * 0.3,
        }
    )
    asked = {"target": "y", "algorithms": ["lightgbm"], "trials": 1, "home": tmp_path}
    run = modelwright.train(panel, time="day", group="station", **asked)
    assert run.record.plan.split_rule == "time"
    assert "station" in run.model.feature_names_in_
    assert run.record.evaluation is not None
    assert run.record.evaluation.score.value < 0.6
    apart = modelwright.train(panel.drop("day"), group="station", **asked)
    assert "station" not in apart.model.feature_names_in_


@pytest.mark.parametrize("mark", ["inf", math.inf])
def test_infinities_may_mean_missing(mark: str | float, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    rows = pl.DataFrame({"x": np.where(rng.random(300) < 0.1, math.inf, x), "y": x + rng.normal(size=300)})
    with pytest.raises(DataError, match="infinite values in 'x'"):
        modelwright.train(rows, target="y", trials=1, algorithms=["linear"], home=tmp_path)
    run = modelwright.train(rows, target="y", trials=1, algorithms=["linear"], home=tmp_path, missing_values={"x": [mark]})
    told = run.model.predict(pl.DataFrame({"x": [math.inf, None, 0.5]}))
    assert told[0] == told[1] != told[2]


def test_a_class_of_three_training_rows_is_validated(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.array(["b"] * 4 + ["a"] * 56)
    rows = pl.DataFrame({"x": rng.normal(size=60), "z": rng.normal(size=60), "y": y}).sample(fraction=1.0, shuffle=True, seed=1)
    run = modelwright.train(rows, target="y", trials=1, algorithms=["linear"], home=tmp_path)
    assert run.record.validation_score is not None


def test_a_class_that_cannot_be_validated_is_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame({"x": rng.normal(size=60), "z": rng.normal(size=60), "y": ["b"] * 3 + ["a"] * 57})
    rows = pl.concat([rows[1:2], rows[1:]])  # two of the three are one row twice, which is kept on one side
    with pytest.raises(DataError, match=r"class 'b' that train \(\d\) cannot be divided .* ROC AUC") as refused:
        modelwright.train(rows, target="y", trials=1, algorithms=["linear"], home=tmp_path)
    assert "log_loss" in str(refused.value)
    run = modelwright.train(rows, target="y", metric="log_loss", trials=1, algorithms=["linear"], home=tmp_path)
    assert run.record.validation_score is not None


def test_a_class_of_one_row_among_many_is_learned_and_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=120)
    y = np.digitize(x, [-0.5, 0.5]).astype(str)
    y[7] = "once"
    run = modelwright.train(pl.DataFrame({"x": x, "y": y}), target="y", trials=1, algorithms=["linear"], home=tmp_path)
    assert "once" in run.model.classes_
    assert run.record.evaluation is not None
    assert any("'once' (1)" in finding.message for finding in run.record.findings)
