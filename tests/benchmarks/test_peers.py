"""The comparison with other systems: same rows for all, each job once, limits that hold, figures that add up."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from peers import results
from peers.run import environment, repeats, run_job
from peers.scores import scores
from peers.split import divide
from peers.summary import board, deciding, markdown, mean_ranks, result, win_rate
from peers.systems import SYSTEMS, System, chosen, interpreter
from peers.watch import PROC, watch

ROOT = Path(__file__).resolve().parents[2]
needs_proc = pytest.mark.skipif(not PROC.exists(), reason="memory and descendants are read from /proc")
ENTRY = {"name": "small", "file": "small.csv", "task": "binary", "metric": "roc_auc", "target": "y", "drop_columns": []}


def small(n_rows: int = 400) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    x = generator.normal(size=n_rows)
    town = generator.choice(["Bern", "Basel", "Chur"], size=n_rows)
    y = np.where(x + (town == "Chur") + generator.normal(scale=0.5, size=n_rows) > 0.3, "yes", "no")
    return pd.DataFrame({"x": x, "town": town, "noise": generator.normal(size=n_rows), "y": y})


def benchmark(*words: str) -> Any:
    """``main`` of benchmarks/peers.py, whose name the package beside it has taken."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("peers_program", ROOT / "benchmarks" / "peers.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(list(words))


def test_two_systems_are_compared_and_finished_jobs_are_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small().to_csv(tmp_path / "small.csv", index=False)
    unfit = {"name": "clusters", "file": "none.csv", "task": "clustering", "metric": "silhouette", "target": None}
    (tmp_path / "manifest.json").write_text(json.dumps([ENTRY, unfit]))
    file = tmp_path / "folder" / "results.jsonl"
    words = [str(tmp_path), "--systems", "ours,hgb", "--budget", "8", "--results", str(file)]
    benchmark(*words)
    if any("error" in row for row in results.load(file).values()):
        # Eight seconds are few on a machine that does other things; a fault of ours would come twice.
        file.unlink()
        capsys.readouterr()
        benchmark(*words)
    rows = results.load(file)
    assert list(rows) == [("small", "ours", 8.0, 0), ("small", "hgb", 8.0, 0)]
    for row in rows.values():
        assert "error" not in row, row
        assert (row["train_rows"], row["test_rows"]) == (300, 100)
        assert row["roc_auc"] > 0.8
        assert 0 < row["fit_s"] < row["ready_s"] < row["wall_s"] < 32
        assert row["single_ms_median"] > 0
        assert row["batch_us_per_row"] > 0
        assert row["peak_process_mb"] is None or row["peak_process_mb"] > 50
    assert rows["small", "ours", 8.0, 0]["dict_ms_median"] > 0
    shown = capsys.readouterr().out
    assert "| system | win rate of ours (95 %) | tables | mean rank (1 tables) |" in shown
    assert "\nsmall hgb 8 s: roc_auc" in shown

    benchmark(*words)
    again = capsys.readouterr().out
    assert len(file.read_text().splitlines()) == 2
    assert "small hgb 8 s" not in again
    assert again in shown

    benchmark(*words, "--fresh", "hgb")
    assert [json.loads(line)["system"] for line in file.read_text().splitlines()] == ["ours", "hgb", "hgb"]
    assert len(results.load(file)) == 2


@needs_proc
def test_a_program_over_its_limit_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    code = f"""
        import subprocess, sys, time
        held = bytearray(80 * 2**20)
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        child = subprocess.Popen(sleep, start_new_session=True)
        open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
        time.sleep(600)
    """
    begun = time.monotonic()
    seen = watch([sys.executable, "-c", textwrap.dedent(code)], limit_s=3, cwd=tmp_path, log=tmp_path / "log")
    assert seen.killed
    assert 3 <= seen.wall_s <= time.monotonic() - begun < 30
    assert seen.peak_rss_mb is not None
    assert seen.peak_rss_mb > 80
    assert gone(int((tmp_path / "pid").read_text()))


@needs_proc
def test_a_server_that_outlives_its_program_is_ended(tmp_path: Path) -> None:
    code = f"""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
        time.sleep(1)
    """
    seen = watch([sys.executable, "-c", textwrap.dedent(code)], limit_s=60, cwd=tmp_path, log=tmp_path / "log")
    assert seen.exit == 0
    assert gone(int((tmp_path / "pid").read_text()))


def gone(pid: int) -> bool:
    """Not running; a zombie that nobody collects counts as gone."""
    for _ in range(50):
        try:
            state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def adapted(tmp_path: Path, code: str, kill_s: float) -> dict[str, Any]:
    """The line of a job of a system that is this code."""
    (tmp_path / "odd.py").write_text(textwrap.dedent(code))
    (tmp_path / "job").mkdir()
    system = System("odd", str(tmp_path / "odd"))
    parts = divide(small(), ENTRY, 0)
    return run_job(system, sys.executable, ENTRY, parts, tmp_path / "job", budget_s=1, seed=0, kill=kill_s)


def test_a_system_that_does_not_end_is_killed_and_has_failed(tmp_path: Path) -> None:
    row = adapted(tmp_path, "import time\ndef fit(train, job):\n    time.sleep(600)", 3)
    assert row["killed"] == "training"
    assert row["error"] == "killed in training after 3 s"
    assert "roc_auc" not in row
    assert deciding(row) is None


def test_a_system_that_fails_is_a_line_without_paths_of_the_machine(tmp_path: Path) -> None:
    row = adapted(tmp_path, "def fit(train, job):\n    raise OSError('no room in ' + job['out'])", 60)
    assert row["error"] == "OSError: no room in (path)"


def test_who_dies_after_predicting_keeps_the_score(tmp_path: Path) -> None:
    code = """
        import os
        DISTRIBUTION = "numpy"
        def fit(train, job):
            return None
        def predict(model, X, job):
            if len(X) == 1:
                os._exit(3)
            return [[0.5 - x / 1000, 0.5 + x / 1000] for x in X["x"]], ["no", "yes"]
    """
    row = adapted(tmp_path, code, 60)
    assert row["roc_auc"] > 0.8
    assert row["failed_later"]
    assert "single_ms_median" not in row


def test_the_past_is_trained_on_and_groups_stay_whole() -> None:
    days = [f"{day:02}.{month:02}.2024" for month in (3, 1, 2, 4) for day in range(1, 26)]
    frame = pd.DataFrame({"day": days, "who": np.arange(100) // 7, "y": np.arange(100) % 2})
    train, test = divide(frame, {**ENTRY, "time_column": "day", "drop_columns": [{"column": "who"}]}, 0)
    assert list(train.columns) == ["day", "y"]
    assert set(test["day"].str[3:5]) == {"04"}
    train, test = divide(frame, {**ENTRY, "group_column": "who", "drop_columns": [{"column": "who"}]}, 0)
    assert set(train.index // 7).isdisjoint(test.index // 7)
    assert list(train.columns) == ["day", "y"]
    first, again, other = (divide(frame, ENTRY, seed)[1].index.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_copies_of_training_rows_are_told_from_fresh_rows() -> None:
    train = pd.DataFrame({"size": [1.0, np.nan, 3.0], "kind": ["a", "b", "c"]})
    test = pd.DataFrame({"size": [1.0, 1.0, np.nan], "kind": ["a", "b", "b"]})

    assert repeats(train, test).tolist() == [True, False, True]


def test_scores_have_known_values() -> None:
    numbers = scores("regression", [0.0], [1.0, 3.0], np.array([2.0, 2.0]), None)
    assert numbers == {"rmse": 1.0, "r2": 0.0}
    # Columns come in the system's order, and 1.0 is the label 1.
    two = scores("binary", [0, 1], [0, 1, 1], np.array([[0.2, 0.8], [0.9, 0.1], [0.6, 0.4]]), ["1.0", "0.0"])
    assert two["roc_auc"] == 1.0
    assert two["accuracy"] == 1.0
    assert two["log_loss"] == pytest.approx(-np.mean(np.log([0.8, 0.9, 0.6])))
    # c never occurred in training: no system could know it. b did, but this system left it out.
    three = scores("multiclass", ["a", "b"], ["a", "b", "c"], np.array([[1.0], [1.0], [1.0]]), ["a"])
    assert three["log_loss"] == pytest.approx(-np.log(1e-15) / 2, rel=1e-3)
    assert three["accuracy"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("predicted", [np.array([1.0]), np.array([1.0, np.nan])])
def test_predictions_of_another_length_or_without_a_number_are_refused(predicted: np.ndarray) -> None:
    with pytest.raises(ValueError, match="shape"):
        scores("regression", [0.0], [1.0, 3.0], predicted, None)


def line(table: str, system: str, rmse: float | None, **more: Any) -> dict[str, Any]:
    score = {"error": "broke"} if rmse is None else {"rmse": rmse}
    return {"table": table, "task": "regression", "system": system, "budget_s": 60.0, "seed": 0, **score, **more}


def test_ties_are_half_and_failures_lose() -> None:
    assert [result(line("t", "a", a), line("t", "b", b)) for a, b in [(1, 2), (2, 1), (1.0009, 1), (1.0011, 1)]] == [
        1,
        0,
        0.5,
        0,
    ]
    assert result(line("t", "a", None), line("t", "b", 9)) == 0
    assert result(line("t", "a", 9), line("t", "b", None)) == 1
    assert result(line("t", "a", None), line("t", "b", None)) == 0.5
    assert deciding({"task": "binary", "roc_auc": 0.9}) == -0.9


def test_win_rate_and_mean_ranks_count_tables() -> None:
    rows = [line(t, "ours", 1.0) for t in "abcd"] + [line(t, "peer", s) for t, s in zip("abc", (2.0, 1.0, 0.5), strict=True)]
    games = board(rows, ["ours", "peer"], 60)
    rate = win_rate(games, "ours", "peer")
    assert rate is not None
    share, low, high, n = rate
    assert (share, n) == (0.5, 3)
    assert 0 <= low < share < high <= 1
    assert mean_ranks(games, ["ours", "peer"]) == ({"ours": 1.5, "peer": 1.5}, 3)
    assert win_rate(games, "ours", "nobody") is None


def test_the_summary_shows_failures_late_jobs_and_ratios() -> None:
    ours = line("a", "ours", 1.0, ready_s=60.0, wall_s=62.0, single_ms_median=2.0, batch_us_per_row=3.0)
    late = line("a", "flaml", 2.0, ready_s=66.0, wall_s=90.0, single_ms_median=20.0, batch_us_per_row=9.0)
    text = markdown([ours, late, line("b", "ours", 1.0), line("b", "flaml", None)], list(SYSTEMS), 60)
    assert "| a | rmse | **1** | 2 |" in text
    assert "| b | rmse | **1** | failed |" in text
    assert "| flaml | 1.00 (1.00 to 1.00) | 2 | 2.00 |" in text
    assert "| flaml | 1 | 1.10, 1.10 | 1 | 1.50, 1.50 | 20 (10) |  | 9 (3) |" in text
    assert "- flaml on b: broke" in text
    assert markdown([ours], ["ours"], 300) == "No results at 300 s."


def test_the_shipped_results_are_whole() -> None:
    file = ROOT / "benchmarks" / "results" / "peers.jsonl"
    lines = file.read_text().splitlines()
    rows = results.load(file)
    assert len(lines) >= len(rows) >= 32
    assert {row["system"] for row in rows.values()} <= set(SYSTEMS)
    assert all(json.loads(each) for each in lines)
    assert rows["telco_churn", "autogluon-medium", 60.0, 0]["measured_by"] == "earlier trial"


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    results.append(file, line("a", "ours", 1.0))
    with file.open("a") as stream:
        stream.write('{"table": "b", "sys')
    results.append(file, line("c", "ours", 1.0))
    assert [key[0] for key in results.load(file)] == ["a", "c"]


def test_a_missing_environment_is_named_before_anything_runs() -> None:
    with pytest.raises(SystemExit, match="MODELWRIGHT_PEER_FLAML is not set"):
        interpreter(SYSTEMS["flaml-ensemble"], {})
    with pytest.raises(SystemExit, match="no program"):
        interpreter(SYSTEMS["flaml"], {"MODELWRIGHT_PEER_FLAML": "nowhere/python"})
    with pytest.raises(SystemExit, match=r"autogloun.*Known are ours, hgb"):
        chosen("ours,autogloun")
    assert interpreter(SYSTEMS["ours"], {}) == sys.executable
    caller = {"OMP_NUM_THREADS": "1", "PATH": "p", "PYTHONPATH": "q"}
    assert environment("flaml", caller) == {"PATH": "p"}
    assert environment("ours", caller) == {"PATH": "p", "PYTHONPATH": str(ROOT / "src")}
