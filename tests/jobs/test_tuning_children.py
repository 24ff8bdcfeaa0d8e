"""Searches over jobs in real processes: what is kept, whatever happens to a trial or to the search itself."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import modelwright
from modelwright.errors import InvalidInputError, SpecError, TrainingError
from modelwright.events import Event, TrialFinished
from modelwright.jobs.opened import JobRun
from modelwright.jobs.tuning.record import TRIALS
from modelwright.jobs.tuning.result import Tuning

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"

JOB = """
import os, pathlib, signal, time
import modelwright

def train(x, kind="a", pause=0.0, bad=""):
    run = modelwright.start_run()
    if bad == "raise" and x == 2:
        raise ValueError("x is two")
    if bad == "kill" and x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if bad == "hang" and x == 2:
        time.sleep(60)
    time.sleep(pause)
    pathlib.Path("model.txt").write_text(f"model of {x}")
    run.log_file("model.txt")
    print("threads", os.environ["OMP_NUM_THREADS"])
    return {"loss": (x - 3) ** 2 + (kind != "b"), "auc": 0.5}

def stepwise(x, pause=0.01):
    run = modelwright.start_run()
    for step in range(1, 10):
        run.log_metric("loss", (x - 3) ** 2 + 9 / step, step=step)
        time.sleep(pause)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "job.py").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(found: Tuning) -> list[tuple[Any, ...]]:
    return [(t.number, json.dumps(t.params), t.state, t.value, t.step) for t in found.counted]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "modelwright.cli.main", "tune", *words]


def wait_for(condition: Any, what: str) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, f"no {what}"
        time.sleep(0.02)


def the_search(home: Path) -> Path:
    (found,) = (home / "runs").glob("tune-*")
    return found


def test_every_trial_is_a_run_and_the_best_has_its_artifacts(place: Path) -> None:
    heard: list[Event] = []
    found = modelwright.tune(
        "job.py:train", {"x": "int(0,20)", "kind": ["a", "b"], "pause": 0}, select="min:loss", trials=8, workers=2, seed=3,
        on_event=heard.append,
    )  # fmt: skip

    best = found.best
    assert best is not None
    assert best.value == min(t.value for t in found.counted if t.value is not None)
    assert found.best_run is not None
    assert found.best_run.file("model.txt").read_text() == f"model of {best.params['x']}"
    assert found.best_run.output().strip() == "threads 1"
    assert found.best_run.record.parent == found.id
    assert found.best_run.params == {"bad": ""} | best.params
    assert [found.state, found.metrics, found.entry.kind] == ["finished", {"loss": best.value}, "tuning"]
    assert len({JobRun(place / ".modelwright/runs" / t.run).id for t in found.counted}) == 8
    assert found.trials["params.x"].dtype == pl.Int64
    assert found.trials.filter(pl.col("number") == best.number)["value"].to_list() == [best.value]
    assert sum(isinstance(event, TrialFinished) for event in heard) == 8
    again = modelwright.open_run(found.id)
    assert isinstance(again, Tuning)
    assert listed(again) == listed(found)
    page = found.report.read_text()
    assert "<script" not in page
    assert best.run in page
    assert page.count("<svg") >= 3, "best so far, and parallel coordinates lying and upright"


@pytest.mark.parametrize(("bad", "state", "said"), [("raise", "failed", "x is two"), ("kill", "killed", "signal 9")])
def test_a_trial_that_goes_wrong_loses_nothing(place: Path, bad: str, state: str, said: str) -> None:
    found = modelwright.tune("job.py:train", {"x": [1, 2, 3], "bad": bad}, select="min:loss", strategy="grid", workers=2)

    assert [t.state for t in found.counted] == ["complete", state, "complete"]
    assert said in found.counted[1].error
    assert found.best is not None
    assert found.best.params["x"] == 3
    assert found.best_run is not None
    assert found.best_run.file("model.txt").read_text() == "model of 3"
    assert found.ended is not None
    assert found.ended.kind == "exhausted"


def test_a_trial_that_hangs_is_ended_by_its_limit(place: Path) -> None:
    begun = time.monotonic()
    found = modelwright.tune(
        "job.py:train", {"x": [1, 2, 3], "bad": "hang"}, select="min:loss", strategy="grid", max_trial_time=2, workers=3
    )
    assert [t.state for t in found.counted] == ["complete", "limit", "complete"]
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("options", [{"strategy": "tpe", "ahead": 3}, {"strategy": "random", "halving": "1..9", "ahead": 2}])
def test_one_process_and_many_give_the_same_trials(place: Path, options: dict[str, Any]) -> None:
    job = "job.py:stepwise" if "halving" in options else "job.py:train"
    alone, many = (
        modelwright.tune(job, {"x": "uniform(0,9)"}, select="min:loss", trials=6, workers=n, **options) for n in (1, 4)
    )
    assert listed(alone) == listed(many)
    if "halving" in options:
        cut = [t for t in many.counted if t.state == "cut"]
        assert cut
        assert JobRun(place / ".modelwright/runs" / cut[0].run).state in ("interrupted", "finished")


def test_killed_search_goes_on_from_its_finished_trials(place: Path) -> None:
    words = ["job.py:train", "-p", "x=uniform(0,9)", "-p", "pause=0.15", "-s", "min:loss", "--trials", "9", "-w", "2", "-q"]
    whole = modelwright.tune("job.py:train", {"x": "uniform(0,9)", "pause": 0.15}, select="min:loss", trials=9, home="whole")
    process = subprocess.Popen(command(*words))
    wait_for(lambda: [*place.glob(f".modelwright/runs/tune-*/{TRIALS}")], "search")
    file = the_search(place / ".modelwright") / TRIALS
    wait_for(lambda: file.read_bytes().count(b"\n") >= 4, "four trials")
    process.send_signal(signal.SIGKILL)
    process.wait()
    # As if the kill had come a moment earlier: the last trial had ended, its line is torn.
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    finished = {json.loads(line)["run"] for line in lines}

    resumed = modelwright.tune(resume=file.parent.name, workers=2)

    assert listed(resumed) == listed(whole)
    assert finished <= {t.run for t in resumed.counted}, "none was done twice"
    of_search = [p for p in (place / ".modelwright/runs").glob("train-*") if JobRun(p).state == "finished"]
    assert len(of_search) == 9
    ran_again = modelwright.tune(resume=file.parent.name)
    assert listed(ran_again) == listed(whole)
    assert len([*(place / ".modelwright/runs").glob("train-*")]) <= 9 + 2, "of those that the kill ended"


def test_ctrl_c_ends_the_search_cleanly_and_a_second_start_goes_on(place: Path) -> None:
    words = ["job.py:train", "-p", "x=1,2,3,4,5,6", "-p", "pause=0.4", "-s", "min:loss", "--strategy", "grid", "-w", "1", "-q"]
    process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, text=True)
    wait_for(lambda: [*place.glob(f".modelwright/runs/tune-*/{TRIALS}")], "search")
    file = the_search(place / ".modelwright") / TRIALS
    wait_for(lambda: file.read_bytes().count(b"\n") >= 1, "trial")
    with pytest.raises(InvalidInputError, match="still running"):
        modelwright.tune(resume=file.parent.name)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert out.startswith("loss ")
    stopped = Tuning(file.parent)
    assert (stopped.state, stopped.ended and stopped.ended.kind) == ("interrupted", "interrupt")
    n_before = sum(t.state == "complete" for t in stopped.counted)
    assert 1 <= n_before < 6
    resumed = modelwright.tune(resume=file.parent.name, workers=2)
    assert [t.params["x"] for t in resumed.counted] == [1, 2, 3, 4, 5, 6]
    assert {t.run for t in stopped.counted if t.state == "complete"} <= {t.run for t in resumed.counted}
    assert resumed.state == "finished"


def test_a_resumed_search_may_get_more_trials_but_no_other_space(place: Path) -> None:
    first = modelwright.tune("job.py:train", {"x": "uniform(0,9)"}, select="min:loss", trials=2, workers=2)
    more = modelwright.tune(resume=first.id, trials=4, workers=2)

    assert listed(more)[:2] == listed(first)
    assert len(more.counted) == 4
    assert more.notes == ["resumed with tuning.trials 4"]
    for other in ({"space": {"x": "1"}}, {"seed": 1}, {"select": "max:auc"}):
        with pytest.raises(SpecError, match="keeps what it was begun with"):
            modelwright.tune(resume=first.id, **other)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="no search"):
        modelwright.tune(resume=more.counted[0].run)


def test_a_secret_parameter_reaches_the_job_and_no_file(place: Path) -> None:
    (place / "job.py").write_text("def train(x, api_key):\n    return {'loss': x + len(api_key)}\n")
    found = modelwright.tune("job.py:train", {"x": "1,2", "api_key": "gartenzwerg17"}, select="min:loss", workers=2)

    assert [t.value for t in sorted(found.counted, key=lambda t: t.params["x"])] == [14, 15]
    everything = [path.read_bytes() for path in (place / ".modelwright").rglob("*") if path.is_file()]
    assert len(everything) > 8
    assert not any(b"gartenzwerg17" in data for data in everything)
    with pytest.raises(InvalidInputError, match="secret"):
        modelwright.tune(resume=found.id)


def test_rounds_resume_with_the_same_whole_budgets(place: Path) -> None:
    (place / "job.py").write_text(
        "def train(x, epochs):\n    assert type(epochs) is int\n    return {'loss': x + 1 / epochs}\n"
    )
    space = {"x": "uniform(0,1)"}
    first = modelwright.tune(
        "job.py:train", space, select="min:loss", halving="epochs=1..9", trials=5, workers=2, max_failures=1
    )
    file = first.folder / TRIALS
    kept = [line for line in file.read_text().splitlines() if json.loads(line)["number"] != 4]
    file.write_text("\n".join(kept))
    (first.folder.parent / first.counted[4].run).rename(place / "gone")

    again = modelwright.tune(resume=first.id)
    assert [t.params["epochs"] for t in again.counted] == [1, 1, 1, 3, 9]
    assert listed(again) == listed(first)
    with pytest.raises(InvalidInputError, match="rounds of halving"):
        modelwright.tune(resume=first.id, trials=40)


def test_a_metric_that_the_job_does_not_log_is_told_after_the_first_trial(place: Path) -> None:
    with pytest.raises(SpecError, match=r"no 'rmse'; trial 0 logged auc, loss"):
        modelwright.tune("job.py:train", {"x": "int(0,50)"}, select="min:rmse", workers=1)
    search = Tuning(the_search(place / ".modelwright"))
    assert search.state == "failed"
    assert "rmse" in search.error
    assert len(search.counted) == 1


def test_without_a_word_the_only_metric_of_the_job_decides(place: Path) -> None:
    (place / "job.py").write_text(
        "def one(x):\n    return {'roc_auc': x / 10}\ndef two(x):\n    return {'roc_auc': 0.5, 'loss': 1}\n"
    )
    space = {"x": "int(1,9)"}
    found = modelwright.tune("job.py:one", space, trials=4, workers=2)
    told = modelwright.tune("job.py:one", space, trials=4, workers=2, select="max:roc_auc", home="told")

    assert listed(found) == listed(told)
    assert len([*(place / ".modelwright/runs").glob("one-*")]) == 4, "the first trial was not run twice"
    assert listed(modelwright.tune(resume=found.id)) == listed(told)
    with pytest.raises(SpecError, match=r"several: loss, roc_auc.*min:loss, max:roc_auc"):
        modelwright.tune("job.py:two", space)


def test_a_search_in_which_no_trial_comes_through_says_why(place: Path) -> None:
    with pytest.raises(TrainingError, match="x is two"):
        modelwright.tune("job.py:train", {"x": 2, "bad": "raise"}, select="min:loss")


def test_a_function_that_is_missing_or_takes_other_parameters_is_refused_before_anything_runs(place: Path) -> None:
    for job, space, said in (
        ("job.py:trian", {"x": "1"}, r"Did you mean job.py:train\?"),
        ("job.py:train", {"x": "1", "depth": "1,2"}, r"takes no 'depth'.*x, kind, pause, bad"),
        ("job.py:train", {"kind": "a,b"}, "needs 'x'"),
        ("jobs.py:train", {"x": "1"}, "no file"),
        (None, {"x": "1"}, "no job"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            modelwright.tune(job, space, select="min:loss")
    assert not (place / ".modelwright").exists()


def test_a_function_is_run_where_another_process_can_find_it(place: Path) -> None:
    (place / "own.py").write_text(
        "import modelwright\n"
        "def train(x):\n    return float(x)\n"
        "if __name__ == '__main__':\n"
        "    print(modelwright.tune(train, {'x': [5, 4]}, select='min:score', strategy='grid').best.params)\n"
    )
    done = subprocess.run([sys.executable, "own.py"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'x': 4}"
    train = runpy.run_path("job.py")["train"]
    for job, said in ((lambda x: x, "lambda"), (train, "cannot be found"), (3, "no job")):
        with pytest.raises(InvalidInputError, match=said) as refused:
            modelwright.tune(job, {"x": "1"}, select="min:score")
        assert "job.py:train" in refused.value.mend


def test_a_call_that_trials_would_repeat_is_told(place: Path) -> None:
    (place / "own.py").write_text(
        "import modelwright\ndef train(x):\n    return float(x)\nmodelwright.tune(train, {'x': [5, 4]}, select='min:score')\n"
    )
    done = subprocess.run([sys.executable, "own.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr


def test_a_script_gets_its_parameters_as_options(place: Path) -> None:
    (place / "fit.py").write_text(
        "import argparse, modelwright\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float)\nparser.add_argument('--fast', action='store_true')\n"
        "given = parser.parse_args()\n"
        "modelwright.start_run().log_metric('loss', given.lr - given.fast)\n"
    )
    done = subprocess.run(
        command("fit.py", "-p", "lr=0.5", "-p", "fast=true,false", "-s", "min:loss", "--strategy", "grid", "--json"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["best"]["params"] == {"lr": 0.5, "fast": True}
    assert [t["value"] for t in told["trials"]] == [-0.5, 0.5]


def test_a_model_is_tuned_on_a_real_table(place: Path) -> None:
    (place / "churn.py").write_text(f"""
import lightgbm, polars as pl
def train(leaves, rate):
    rows = pl.read_csv({str(TELCO)!r}).head(1500)
    X = rows.select(pl.col("tenure", "MonthlyCharges", "SeniorCitizen").cast(pl.Float64)).to_numpy()
    y = (rows["Churn"] == "Yes").to_numpy()
    settings = {{"objective": "binary", "num_leaves": leaves, "learning_rate": rate, "verbose": -1, "num_threads": 1}}
    model = lightgbm.train(settings, lightgbm.Dataset(X[:1000], y[:1000]), 20)
    p, n = (model.predict(X[1000:])[y[1000:] == wanted] for wanted in (True, False))
    return {{"roc_auc": float((p[:, None] > n).mean() + (p[:, None] == n).mean() / 2)}}
""")
    found = modelwright.tune(
        "churn.py:train", {"leaves": "int(2,31,log)", "rate": "log(0.01,0.3)"}, select="roc_auc", trials=2, workers=2
    )
    assert found.best is not None
    assert found.best.value is not None
    assert 0.7 < found.best.value < 0.95


def test_the_children_of_a_search_end_with_it(place: Path) -> None:
    (place / "job.py").write_text(
        "import os, pathlib, time\ndef train(x):\n    pathlib.Path(f'{os.getpid()}.pid').touch()\n    time.sleep(60)\n"
    )
    begun = time.monotonic()
    with pytest.raises(TrainingError, match="No trial came through"):
        modelwright.tune("job.py:train", {"x": "int(1,9)"}, select="min:loss", max_time=1.5, workers=2)
    assert time.monotonic() - begun < 20
    children = [int(path.stem) for path in place.glob("*.pid")]
    assert children
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
