"""A run on a real tracking server: complete, once, servable; and what is there comes in, once."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.cli.main import main
from modelwright.errors import InvalidInputError, StorageError
from modelwright.mirroring.importing import import_runs
from modelwright.mirroring.mirror import Mirrored, mirror_run
from modelwright.runs.entries import entry_of, find_folder
from modelwright.tables.read import read

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"
pytestmark = [pytest.mark.xdist_group("mlflow"), pytest.mark.filterwarnings("ignore::Warning")]


@pytest.fixture(scope="module")
def mirrored(trained: Path, server: str) -> Mirrored:
    return mirror_run(find_folder("churn", trained), server, name="churn", aliases=["champion"], because="a test")


def children(server: str, done: Mirrored) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(server)
    place = client.get_experiment_by_name(done.experiment).experiment_id
    return list(client.search_runs([place], f"tags.`mlflow.parentRunId` = '{done.mlflow_run}'"))


def test_a_training_is_told_with_scores_trials_data_and_files(trained: Path, server: str, mirrored: Mirrored) -> None:
    run = modelwright.open_run("churn", home=trained)
    entry = entry_of(run.folder)
    there = mlflow.MlflowClient(server).get_run(mirrored.mlflow_run)
    assert there.info.status == "FINISHED"
    for name, value in entry.metrics.items():
        assert there.data.metrics[name] == value
    low, high = entry.intervals[entry.metric]
    assert (there.data.metrics[f"{entry.metric}_low"], there.data.metrics[f"{entry.metric}_high"]) == (low, high)
    assert there.data.tags["team"] == "risk"
    (data,) = there.inputs.dataset_inputs
    assert data.dataset.digest == run.record.fingerprint.rpartition(":")[2][:36]
    trials = {int(child.data.tags["modelwright.trial"]): child for child in children(server, mirrored)}
    assert sorted(trials) == sorted(trial.number for trial in run.record.trials)
    for trial in run.record.trials:
        assert trials[trial.number].data.metrics.get(entry.metric) == trial.score
    files = {each.path for each in mlflow.MlflowClient(server).list_artifacts(mirrored.mlflow_run)}
    assert {"report.html", "run.json", "model"} <= files


def test_mirroring_again_makes_nothing_twice_and_repairs(trained: Path, server: str, mirrored: Mirrored) -> None:
    folder = find_folder("churn", trained)
    again = mirror_run(folder, server, name="churn", because="a test")
    assert (again.new, again.changed, again.mlflow_run) == (False, False, mirrored.mlflow_run)
    assert again.registered is not None
    assert not again.registered.new
    client = mlflow.MlflowClient(server)
    lost = children(server, mirrored)[0]
    client.delete_run(lost.info.run_id)
    client.delete_tag(mirrored.mlflow_run, "modelwright.mirrored")
    repaired = mirror_run(folder, server)
    assert (repaired.new, repaired.changed) == (False, True)
    numbers = [child.data.tags["modelwright.trial"] for child in children(server, mirrored)]
    assert sorted(numbers) == sorted({*numbers, lost.data.tags["modelwright.trial"]})
    assert len(numbers) == repaired.n_children


def test_the_registered_model_predicts_as_ours(
    trained: Path, server: str, mirrored: Mirrored, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    loaded = mlflow.pyfunc.load_model("models:/churn@champion")
    assert loaded.metadata.signature is not None
    assert loaded.input_example is not None
    ours = modelwright.load("churn", home=trained)
    answer = loaded.predict(rows.to_pandas())
    assert answer["prediction"].tolist() == ours.predict(rows).tolist()
    assert np.array_equal(answer[[f"proba_{name}" for name in ours.classes_]].to_numpy(), ours.predict_proba(rows))


def test_mlflow_serves_the_same_numbers(
    trained: Path,
    server: str,
    mirrored: Mirrored,
    rows: pl.DataFrame,
    port: int,
    tmp_path: Path,
    run_server: Callable[..., AbstractContextManager[None]],
) -> None:
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", "models:/churn@champion",
               "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    # MLflow starts uvicorn by its name.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with run_server(command, f"{address}/ping", tmp_path / "log", MLFLOW_TRACKING_URI=server, PATH=path):
        body = json.dumps({"dataframe_records": rows.to_dicts()}).encode()
        request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.load(reply)["predictions"]
    ours = modelwright.load("churn", home=trained)
    assert [row["prediction"] for row in answer] == ours.predict(rows).tolist()
    told = np.array([[row[f"proba_{name}"] for name in ours.classes_] for row in answer])
    np.testing.assert_allclose(told, ours.predict_proba(rows), rtol=1e-12)


def test_every_step_of_a_job_comes_back_from_the_server_once(trained: Path, server: str, tmp_path: Path) -> None:
    done = mirror_run(find_folder("own", trained), server, experiment="own jobs")
    assert [p.value for p in mlflow.MlflowClient(server).get_metric_history(done.mlflow_run, "loss")] == [
        1,
        1 / 2,
        1 / 3,
        1 / 4,
    ]
    other = tmp_path / "other"
    found = import_runs(server, other, experiments=["own jobs"])
    (identifier,) = found.runs
    here, there = modelwright.open_run("own", home=trained), modelwright.open_run(identifier, home=other)
    assert there.series.select("metric", "step", "value").equals(here.series.select("metric", "step", "value"))
    assert there.params["lr"] == 0.1
    assert (there.state, there.record.seed) == ("finished", 3)
    assert there.file("artifacts/scores.parquet").read_bytes() == here.file("scores").read_bytes()
    again = import_runs(server, other, experiments=["own jobs"])
    assert (again.runs, again.n_known) == ([], 1)
    own = import_runs(server, trained, experiments=["own jobs"])
    assert (own.runs, own.n_own) == ([], 1)


def test_runs_and_searches_of_own_code_are_told_when_they_end(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fit.py").write_text("def fit(lr=0.1):\n    return {'loss': (lr - 0.3) ** 2}\n")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "told at the end")

    def ok(*words: str) -> tuple[str, str]:
        with pytest.raises(SystemExit) as left:
            main([words[0], "--home", str(tmp_path / "home"), *words[1:]])
        said = capfd.readouterr()
        assert left.value.code == 0, said.err
        return said.out, said.err

    job = f"{tmp_path / 'fit.py'}:fit"
    out, err = ok("run", "--mlflow", job, "--lr", "0.5")
    assert ("mirrored at" in err, "mirrored at" in out) == (True, False)
    out, _ = ok("tune", job, "--param", "lr=0.1,0.3,0.4", "--select", "min:loss", "--strategy", "grid", "--mlflow")
    assert "3 child runs" in out
    client = mlflow.MlflowClient(server)
    runs = client.search_runs([client.get_experiment_by_name("told at the end").experiment_id])
    parents = [run.data.tags.get("mlflow.parentRunId") for run in runs]
    (search,) = {each for each in parents if each}
    assert len(runs) == 5
    assert parents.count(search) == 3
    assert sorted(run.data.metrics["loss"] for run in runs if run.data.tags.get("mlflow.parentRunId")) == pytest.approx(
        [0.0, 0.01, 0.04]
    )


def test_imported_runs_are_listed_with_their_parents_and_without_what_is_too_large(server: str, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(server)
    place = client.create_experiment("theirs")
    parent = client.create_run(place, run_name="search", tags={"team": "a"})
    child = client.create_run(place, run_name="trial", tags={"mlflow.parentRunId": parent.info.run_id})
    client.log_metric(child.info.run_id, "auc", 0.75, step=7)
    client.log_param(child.info.run_id, "db_password", "geheim-4711")
    client.log_text(child.info.run_id, "x" * 5000, "large.txt")
    client.log_text(child.info.run_id, "small", "notes/small.txt")
    client.set_terminated(child.info.run_id)
    client.set_terminated(parent.info.run_id, "FAILED")
    client.create_run(place, run_name="going on")
    home = tmp_path / "home"
    found = import_runs(server, home, experiments=["theirs"], max_file_bytes=1000)
    assert (len(found.runs), found.n_running) == (2, 1)
    entries = {entry.name: entry for entry in modelwright.list_runs(home=home)}
    assert (entries["search"].state, entries["search"].tags) == ("failed", {"team": "a"})
    assert entries["trial"].parent == entries["search"].id
    assert entries["trial"].metrics == {"auc": 0.75}
    assert list(modelwright.open_run("trial", home=home).artifacts) == ["notes/small.txt"]
    assert any("large.txt" in note for note in found.notes)
    assert not any(b"geheim-4711" in path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_a_mirrored_training_comes_in_elsewhere_with_all_its_trials(
    trained: Path, server: str, mirrored: Mirrored, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    found = import_runs(server, home, experiments=[mirrored.experiment], max_file_bytes=0)
    assert (len(found.runs), found.n_own) == (1 + mirrored.n_children, 0)
    (top,) = [entry for entry in modelwright.list_runs(home=home) if not entry.parent]
    assert top.tags == {"team": "risk"}
    ours = entry_of(find_folder("churn", trained))
    assert {name: top.metrics[name] for name in ours.metrics} == ours.metrics


def test_a_server_that_is_down_loses_no_training(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"http://127.0.0.1:{port}"
    rows = tmp_path / "rows.csv"
    read(TELCO).frame.head(400).write_csv(rows)
    home = tmp_path / "home"
    arguments = ["train", "--mlflow", uri, str(rows), "--target", "Churn", "--trials", "1", "-a", "linear", "-q"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--name", "kept", "--home", str(home)])
    assert left.value.code == 0
    said = capsys.readouterr().err
    assert "not mirrored" in said
    assert f"--to {uri}" in said
    assert modelwright.open_run("kept", home=home).record.name == "kept"


def test_no_server_and_no_barrier_without_a_reason_are_refused_before_anything_is_sent(home: Path, port: int) -> None:
    folder = find_folder("churn", home)
    with pytest.raises(StorageError, match="does not answer"):
        mirror_run(folder, f"http://127.0.0.1:{port}")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"barriers": ["Not shown to be better than the baseline."]}))
    with pytest.raises(InvalidInputError, match="Not shown to be better"):
        mirror_run(folder, f"http://127.0.0.1:{port}", name="churn")
    shutil.rmtree(folder / "model")
    with pytest.raises(InvalidInputError, match="no model"):
        mirror_run(folder, "sqlite://", name="churn")
