"""A run again by its plan, step by step, and who is suspected where it differs."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

import modelwright
from modelwright.cli.main import main
from modelwright.errors import BundleError, DataError, InvalidInputError
from modelwright.provenance.record import Code, Hardware, Provenance
from modelwright.runs.reproducing.flow import reproduce
from modelwright.runs.reproducing.suspects import UNKNOWN, suspects
from modelwright.runs.reproducing.values import Reproduction
from modelwright.runs.run import Run
from modelwright.search import search
from modelwright.splits.vault import Vault
from modelwright.store.database import Database
from modelwright.store.ledger import Ledger
from modelwright.training import final, searching
from modelwright.training.record import RunRecord

TABLE = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("home")
    pl.read_csv(TABLE).head(1500).write_parquet(home / "rows.parquet")
    return modelwright.train(
        home / "rows.parquet",
        target="Churn",
        trials=4,
        hyperparams={"lightgbm": {"n_estimators": 30, "num_leaves": [5, 9]}, "catboost": {"n_estimators": 30}, "linear": {}},
        algorithms=["lightgbm", "catboost", "linear"],
        home=home / "runs",
    )


def states(found: Reproduction) -> dict[str, str]:
    return {step.name: step.state for step in found.steps}


def detail(found: Reproduction, name: str) -> str:
    return next(step.detail for step in found.steps if step.name == name)


def rows_of(run: Run) -> pl.DataFrame:
    return pl.read_parquet(run.record.spec["data"])


def copy_of(run: Run, home: Path, record: RunRecord | None = None, *, without: tuple[str, ...] = ()) -> Path:
    """The run in another home, with another record; without its ledger unless it is copied too."""
    folder = home / "runs" / run.folder.name
    shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns(*without))
    (folder / "run.json").write_bytes(msgspec.json.encode(record or run.record))
    return folder


def with_other_seed(run: Run, **changes: Any) -> RunRecord:
    """The record with another seed of the members that draw rows."""
    members = [m if m.algorithm == "linear" else msgspec.structs.replace(m, seed=m.seed + 1) for m in run.record.plan.members]
    plan = msgspec.structs.replace(run.record.plan, members=members)
    return msgspec.structs.replace(run.record, plan=plan, **changes)


def looks(run: Run) -> int:
    ledger = Ledger(Database.of(run.folder.parents[1]))
    return len(ledger.lines(Vault.of(run.folder / "vault").about.identity))


def test_every_step_of_a_second_run_is_equal_and_no_look_is_counted(run: Run) -> None:
    found = reproduce(run.folder)

    assert found.equal
    assert not found.suspects
    assert not found.packages
    members = [f"member {k} {member.algorithm}" for k, member in enumerate(run.record.plan.members)]
    equal = ["data", "partition", "columns", "encoders", *members, "predictions of the sealed rows", "metrics"]
    assert [name for name, state in states(found).items() if state == "equal"] == equal
    assert states(found)["weights, calibration, threshold"] == "not compared"
    assert looks(run) == 1


def test_from_python_it_takes_place_in_a_process_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise AssertionError("this process must have no part in it")

    monkeypatch.setattr("modelwright.runs.reproducing.flow.reproduce", broken)
    assert run.reproduce(rows_of(run)).equal
    with pytest.raises(InvalidInputError, match="nowhere"):
        run.reproduce("nowhere.csv")


def test_other_members_are_told_by_their_files_and_suspects_in_order(run: Run, tmp_path: Path) -> None:
    then = run.record.environment
    packages = {**then["packages"], "numpy": "1.0.0", "lightgbm": "3.0.0"}
    environment = {**then, "packages": packages, "python": "3.10.1", "machine": "sparc", "code": "0" * 64}
    assert run.record.provenance is not None
    origin = msgspec.structs.replace(run.record.provenance, packages=packages, code=None)

    found = reproduce(copy_of(run, tmp_path, with_other_seed(run, environment=environment, provenance=origin)))

    assert not found.equal
    members = [step for step in found.steps if step.name.startswith("member")]
    assert {step.state for step in members if not step.name.endswith("linear")} == {"different"}
    assert {step.state for step in members if step.name.endswith("linear")} <= {"equal"}
    assert members[0].detail.startswith("differs in ") or members[1].detail.startswith("differs in ")
    assert states(found)["predictions of the sealed rows"] == "different"
    assert states(found)["metrics"] == "not compared"
    assert "further look" in detail(found, "metrics")
    assert found.packages["numpy"][0] == "1.0.0"
    assert [suspect.split(":")[0] for suspect in found.suspects] == ["packages", "machine", "Python", "code"]
    assert found.culprit.startswith("packages: numpy ")


def test_a_changed_cell_is_the_first_culprit(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = rows_of(run)["tenure"].to_list()
    cells[1234] += 1
    rows_of(run).with_columns(tenure=pl.Series(cells)).write_parquet(tmp_path / "rows.parquet")

    with pytest.raises(SystemExit) as left:
        main(["reproduce", str(run.folder), "--data", str(tmp_path / "rows.parquet"), "--json"])

    assert left.value.code == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["difference"]["row"] == 1234
    assert answer["difference"]["columns"] == ["tenure"]
    assert answer["culprit"].startswith("data: 1 cell differs: row 1,234, column 'tenure'.")
    assert {step["state"] for step in answer["steps"][1:]} == {"not compared"}
    assert answer["equal"] is False


def test_a_table_that_training_would_refuse_is_still_told_apart(run: Run) -> None:
    found = reproduce(run.folder, rows_of(run).rename({"Churn": "churned"}))
    assert found.culprit.startswith("data: Column 'Churn' is called 'churned'.")


def test_threads_processor_and_the_users_own_code_are_suspected_in_order(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Provenance(
        [], "", "", "", {}, Hardware(platform.machine(), cpu="another"), {"OMP_NUM_THREADS": "64"}, Code("0" * 40)
    )
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.chdir(tmp_path)

    threads, machine, code = suspects(msgspec.structs.replace(run.record, provenance=origin), run.folder, {})

    assert "OMP_NUM_THREADS not set here, 64 in the run" in threads
    assert machine.startswith("machine: processor ")
    assert code == "your code: no repository here, commit 000000000000 in the run"


def test_a_run_of_before_hashes_were_kept_is_compared_as_far_as_it_goes(run: Run, tmp_path: Path) -> None:
    assert run.record.evaluation is not None
    evaluation = msgspec.structs.replace(run.record.evaluation, predictions="")
    environment = {**run.record.environment, "packages": {"numpy": "1.0.0"}}
    record = msgspec.structs.replace(run.record, evaluation=evaluation, environment=environment, provenance=None)
    folder = copy_of(run, tmp_path, record, without=("cells.npz",))

    found = reproduce(folder)
    assert found.equal
    assert not found.suspects
    assert set(found.packages) == {"numpy"}
    assert "those of the stored model" in detail(found, "predictions of the sealed rows")
    # The copy lies in a home without a ledger, and the spec names one that is there.
    assert states(found)["metrics"] == "equal"

    changed = reproduce(folder, rows_of(run).with_columns(pl.col("tenure") + 1))
    assert "cannot be said" in changed.culprit


def test_without_the_ledger_nothing_is_scored(run: Run, tmp_path: Path) -> None:
    spec = {**run.record.spec, "home": str(tmp_path / "gone")}
    found = reproduce(copy_of(run, tmp_path, msgspec.structs.replace(run.record, spec=spec)))
    assert found.equal
    assert states(found)["metrics"] == "not compared"
    assert not (tmp_path / "store.db").exists()


def test_a_changed_line_of_the_ledger_shows_in_the_metrics(run: Run, tmp_path: Path) -> None:
    import sqlite3

    folder = copy_of(run, tmp_path)
    with sqlite3.connect(run.folder.parents[1] / "store.db") as source, sqlite3.connect(tmp_path / "store.db") as copy:
        source.backup(copy)
        for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            copy.execute(f"DROP TRIGGER {name}")
        copy.execute("UPDATE openings SET score = score + 0.01")
    copy.close()
    source.close()

    found = reproduce(folder)
    assert not found.equal
    assert states(found)["predictions of the sealed rows"] == "equal"
    assert states(found)["metrics"] == "different"
    assert found.suspects == [UNKNOWN]


def test_wrong_input_is_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BundleError):
        reproduce(run.folder.parent)
    spec = {**run.record.spec, "data": "moved.csv"}
    with pytest.raises(DataError, match="--data"):
        reproduce(copy_of(run, tmp_path, msgspec.structs.replace(run.record, spec=spec)))
    for words in (["reproduce", "unknown", "--home", str(tmp_path)], ["reproduce", str(run.folder), "--data", "none.csv"]):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 2
        assert "mend:" in capsys.readouterr().err


def test_time_left_goes_into_further_seeds_that_share_a_members_weight(tmp_path: Path) -> None:
    run = modelwright.train(
        pl.read_csv(TABLE).head(600),
        target="Churn",
        budget="25s",
        algorithms=["lightgbm"],
        hyperparams={"lightgbm": {"n_estimators": 10, "num_leaves": 5}},
        home=tmp_path,
    )
    members = run.record.plan.members
    assert sum(member.weight for member in members) == pytest.approx(1.0)
    assert len({(member.trial, member.seed) for member in members}) == len(members) == 3
    assert len({member.weight for member in members}) == 1
    assert reproduce(run.folder, pl.read_csv(TABLE).head(600)).equal


def test_members_delivered_as_the_clock_left_them_are_equal_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No fit on all rows is predicted to end in time, so all members are those of validation.
    monkeypatch.setattr(final, "SURE", 0.0)
    rows = pl.read_csv(TABLE).head(3000)
    run = modelwright.train(
        rows,
        target="Churn",
        budget="25s",  # the one set of hyperparameters is tried long before
        max_trial_time="0.4s",
        algorithms=["lightgbm"],
        hyperparams={"lightgbm": {"n_estimators": 10_000, "learning_rate": 0.005, "num_leaves": 63}},
        home=tmp_path,
    )
    members = run.record.plan.members
    n_folds = run.record.plan.n_folds
    assert n_folds > 1
    assert [(member.algorithm, member.refit, member.fold) for member in members] == [
        ("lightgbm", False, fold) for fold in range(n_folds)
    ]
    assert [member.weight for member in members] == pytest.approx([1 / n_folds] * n_folds)
    assert any(member.clock.get("rounds", 10_000) < 10_000 for member in members)

    found = reproduce(run.folder, rows)

    assert found.equal, found.steps
    assert all("as fitted for validation" in detail(found, f"member {k} lightgbm") for k in range(n_folds))

    # A record of before the fold was kept says so instead.
    old = [msgspec.structs.replace(member, fold=None) for member in members]
    plan = msgspec.structs.replace(run.record.plan, members=old)
    unknown = reproduce(copy_of(run, tmp_path / "old", msgspec.structs.replace(run.record, plan=plan)), rows)
    assert not unknown.equal
    assert states(unknown)["member 0 lightgbm"] == "not compared"


def test_members_of_fewer_rows_than_there_were_are_equal_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a table so large that no good algorithm could have all its rows in time.
    monkeypatch.setattr(final, "SURE", 0.0)
    monkeypatch.setattr(searching, "probe_rows", lambda *about: 300)
    monkeypatch.setattr(search, "rows_in_time", lambda *about: 900)
    rows = pl.read_csv(TABLE).head(3000)
    run = modelwright.train(
        rows,
        target="Churn",
        budget="20s",
        algorithms=["lightgbm"],
        hyperparams={"lightgbm": {"n_estimators": 20}},
        home=tmp_path,
    )
    members = run.record.plan.members
    folds = range(run.record.plan.n_folds)
    assert [(member.refit, member.fold, member.n_rows) for member in members] == [(False, fold, 900) for fold in folds]
    assert any("no time to fit the best algorithms on" in note for note in run.record.notes)
    assert reproduce(run.folder, rows).equal
