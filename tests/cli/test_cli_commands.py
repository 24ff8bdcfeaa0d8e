"""The commands from end to end, as a user types them."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from modelwright.cli.main import main
from modelwright.spec import FILE_NAME

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"
RUN_LIMIT_S = 120


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def modelwright(*arguments: object, cwd: Path) -> Done:
    """Run the command line in this process: imports are paid once. Warnings are errors here as everywhere."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as left:
            code = left.code
    assert isinstance(code, int)
    return Done(code, stdout.getvalue(), stderr.getvalue())


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("churn")
    lines = TELCO.read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "churn.csv").write_text("".join(lines[:301]), encoding="utf-8")
    (folder / "new.csv").write_text("".join([lines[0], *lines[301:321]]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(churn: Path) -> Done:
    done = modelwright(
        "train",
        "churn.csv",
        "--target",
        "Churn",
        "--trials",
        2,
        "--algorithms",
        "linear,lightgbm",
        "--name",
        "first",
        cwd=churn,
    )
    assert done.returncode == 0, done.stderr
    return done


def the_run(folder: Path) -> Path:
    (run,) = (folder / ".modelwright" / "runs").glob("first-*")
    return run


def test_training_prints_the_result_on_stdout_and_progress_on_stderr(churn: Path, trained: Done) -> None:
    for heading in ("Leaderboard", "Score", "Where it is", "Next"):
        assert heading in trained.stdout
    assert "95 % interval" in trained.stdout
    assert "baseline" in trained.stdout
    assert "trial" in trained.stderr
    assert "Leaderboard" not in trained.stderr


def test_training_publishes_report_record_and_model(churn: Path, trained: Done) -> None:
    run = the_run(churn)
    assert (run / "report.html").is_file()
    assert json.loads((run / "run.json").read_text())["target"] == "Churn"
    assert (run / "model" / "manifest.json").is_file()
    assert not list((churn / ".modelwright" / "tmp").glob("*"))


def test_the_next_commands_work_as_they_stand(churn: Path, trained: Done) -> None:
    lines = trained.stdout.partition("\nNext\n")[2].splitlines()
    commands = [line.strip() for line in lines if re.match(r"\S*modelwright ", line.strip())]
    assert [command.split()[1] for command in commands] == ["predict", "explain", "card", "show"]
    for command in commands:
        done = modelwright(*shlex.split(command)[1:], cwd=churn)
        assert done.returncode == 0, done.stderr
    (churn / "CARD.md").unlink()


@pytest.mark.parametrize("reference", ["first", "id", "run", "model"])
def test_predict_finds_a_model_by_name_run_or_folder(churn: Path, trained: Done, reference: str) -> None:
    run = the_run(churn)
    model = {"first": "first", "id": run.name, "run": run, "model": run / "model"}[reference]
    done = modelwright("predict", model, "new.csv", "-o", f"{reference}.csv", cwd=churn)
    assert done.returncode == 0, done.stderr
    scored = pl.read_csv(churn / f"{reference}.csv")
    assert scored.columns == ["prediction", "proba_No", "proba_Yes"]
    assert scored.height == 20
    assert (scored["proba_No"] + scored["proba_Yes"] - 1).abs().max() < 1e-9


def test_predict_writes_the_same_rows_in_every_format(churn: Path, trained: Done) -> None:
    readers = {"parquet": pl.read_parquet, "jsonl": pl.read_ndjson, "arrow": pl.read_ipc, "csv": pl.read_csv}
    frames = []
    for ending, reader in readers.items():
        assert modelwright("predict", "first", "new.csv", "-o", f"all.{ending}", cwd=churn).returncode == 0
        frames.append(reader(churn / f"all.{ending}"))
    assert all(frame.equals(frames[0]) for frame in frames[1:])


def test_predict_names_the_missing_column_and_writes_nothing(churn: Path, trained: Done) -> None:
    pl.read_csv(churn / "new.csv").drop("tenure").write_csv(churn / "short.csv")
    done = modelwright("predict", "first", "short.csv", "-o", "short.parquet", cwd=churn)
    assert done.returncode == 2
    assert "tenure" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(churn.glob("*short.parquet*"))


def test_show_prints_the_summary_again(churn: Path, trained: Done) -> None:
    done = modelwright("show", "first", cwd=churn)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(trained.stdout)
    assert done.stdout.removeprefix(trained.stdout).startswith("\nWhere it comes from\n  Command  ")


def test_show_of_an_unknown_run_names_the_existing_ones(churn: Path, trained: Done) -> None:
    done = modelwright("show", "second", cwd=churn)
    assert done.returncode == 2
    assert the_run(churn).name in done.stderr


def test_json_output_is_one_object_a_line_and_ends_with_the_result(churn: Path, tmp_path: Path) -> None:
    arguments = ("--target", "Churn", "--trials", 1, "--algorithms", "linear", "--json")
    done = modelwright("train", churn / "churn.csv", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["type"] for event in events} >= {"StepStarted", "TrialFinished", "Finished", "Result"}
    assert events[-1]["type"] == "Result"
    assert Path(events[-1]["report"]).is_file()


def test_settings_file_trains_and_options_win_over_it(churn: Path, tmp_path: Path) -> None:
    assert modelwright("init", churn / "churn.csv", "--target", "Churn", cwd=tmp_path).returncode == 0
    file = tmp_path / FILE_NAME
    file.write_text(file.read_text() + "\n".join(["", "# end"]))
    text = file.read_text().replace("# trials = 50", "trials = 1").replace("# seed = 0", "seed = 5")
    file.write_text(text.replace('# algorithms = ["lightgbm"]', 'algorithms = ["linear"]'))
    done = modelwright("train", "--evaluation", "none", "--quiet", "--name", "second", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("There is no sealed score")
    (run,) = (tmp_path / ".modelwright" / "runs").glob("second-*")
    record = json.loads((run / "run.json").read_text())
    assert (record["spec"]["seed"], record["spec"]["trials"], record["evaluation"]) == (5, 1, None)


def test_init_never_overwrites(churn: Path, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("mine")
    done = modelwright("init", churn / "churn.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert (tmp_path / FILE_NAME).read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "absent.csv", "--target", "Churn"], "absent.csv"),
        (["train", "churn.csv", "--target", "Chrn"], "Did you mean 'Churn'?"),
        (["train", "churn.csv", "--taget", "Churn"], "Did you mean '--target'?"),
        (["train", "churn.csv", "--target", "Churn", "--algorithms", "lightbm"], "Did you mean 'lightgbm'?"),
        (["train", "churn.csv", "--target", "Churn", "--metric", "roc_aux"], "roc_auc"),
        (["train", "churn.csv", "--target", "Churn", "--budget", "soon"], "--budget"),
        (["train", "churn.csv", "--target", "Churn", "--task", "classification"], "binary"),
        (["train", "churn.csv", "--target", "Churn", "--type", "tenure"], "zip=category"),
        (["train"], "There is no table"),
        (["train", "empty.csv", "--target", "y"], "empty.csv"),
        (["train", "header.csv", "--target", "y"], "header.csv"),
        (["train", "constant.csv", "--target", "y"], "y"),
        (["train", "one.csv", "--target", "y"], "row"),
        (["train", "three.csv", "--target", "y"], "row"),
        (["predict", "absent", "churn.csv", "-o", "x.csv"], "absent"),
        (["predict", "absent", "churn.csv", "-o", "x.doc"], ".doc"),
        (["predict", "absent", "churn.csv", "-o", "nowhere/x.csv"], "nowhere"),
        (["algorithms", "lightbm"], "Did you mean 'lightgbm'?"),
        (["trian"], "train"),
    ],
)
def test_bad_input_is_one_clear_error_with_exit_code_2_and_nothing_written(
    churn: Path, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    (tmp_path / "churn.csv").write_bytes((churn / "churn.csv").read_bytes())
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_text("x,y\n")
    (tmp_path / "constant.csv").write_text("x,y\n" + "".join(f"{i},1\n" for i in range(50)))
    (tmp_path / "one.csv").write_text("x,y\n1,2\n")
    (tmp_path / "three.csv").write_text("x,y\n1,2\n2,3\n3,4\n")
    done = modelwright(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(re.findall("^error: ", done.stderr, re.MULTILINE)) == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    left = [path for path in (tmp_path / ".modelwright").rglob("*") if path.is_file()]
    assert left == []


def test_error_in_json_mode_is_a_json_line_too(tmp_path: Path) -> None:
    done = modelwright("train", "absent.csv", "--target", "y", "--json", cwd=tmp_path)
    error = json.loads(done.stdout.splitlines()[-1])
    assert (error["type"], error["exit_code"]) == ("Error", 2)


def test_unknown_key_of_the_settings_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('traget = "y"\n')
    done = modelwright("train", "a.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'target'?" in done.stderr


def test_debug_variable_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWRIGHT_DEBUG", "1")
    done = modelwright("train", "absent.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_algorithms_lists_and_describes(tmp_path: Path) -> None:
    listed = modelwright("algorithms", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "lightgbm" in listed.stdout
    described = modelwright("algorithms", "lightgbm", cwd=tmp_path)
    for word in ("minimises", "trains", "use it", "Hyperparameters", "default", "range"):
        assert word in described.stdout


def test_ctrl_c_once_finishes_with_what_is_there(churn: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "modelwright.cli.main",
            "train",
            str(churn / "churn.csv"),
            "--target",
            "Churn",
            "--budget",
            "10m",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        # Three trials: the baselines and a first model.
        trials = (line for line in process.stderr if "  trial " in line)
        for _ in range(3):
            next(trials)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=RUN_LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    assert time.monotonic() - begun < RUN_LIMIT_S / 2
    assert "stopped early" in stdout
    assert len(list((tmp_path / ".modelwright" / "runs").glob("*/report.html"))) == 1
