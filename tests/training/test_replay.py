"""A run fitted again by its plan."""

from __future__ import annotations

from pathlib import Path

import msgspec
import polars as pl
import pytest

import modelwright
from modelwright.cli.main import main
from modelwright.errors import BundleError, DataError
from modelwright.runs.run import Run
from modelwright.training.replay import replay

TABLE = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("home")
    table = pl.read_csv(TABLE).head(1500)
    table.write_parquet(home / "rows.parquet")
    return modelwright.train(
        home / "rows.parquet",
        target="Churn",
        trials=4,
        hyperparams={"lightgbm": {"n_estimators": 30, "num_leaves": [5, 9]}, "catboost": {"n_estimators": 30}, "linear": {}},
        algorithms=["lightgbm", "catboost", "linear"],
        home=home / "runs",
    )


def test_every_byte_is_the_same_in_a_second_fit(run: Run) -> None:
    replayed = run.replay()

    assert replayed.equal
    assert [m.algorithm for m in replayed.members] == [m.algorithm for m in run.record.plan.members]
    assert replayed.encoders_equal
    assert not replayed.versions


def test_another_plan_is_told_by_the_files_that_differ(run: Run, tmp_path: Path) -> None:
    first, *others = run.record.plan.members
    plan = msgspec.structs.replace(run.record.plan, members=[msgspec.structs.replace(first, seed=first.seed + 1), *others])
    copy = tmp_path / run.folder.name
    copy.mkdir()
    (copy / "run.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(run.record, plan=plan)))
    for name in ("partition.parquet", "model"):
        (copy / name).symlink_to(run.folder / name)

    replayed = replay(copy)
    assert not replayed.equal
    assert replayed.members[0].different
    assert all(member.equal for member in replayed.members[1:])


def test_another_table_is_refused(run: Run) -> None:
    changed = pl.read_parquet(run.record.spec["data"]).with_columns(pl.col("tenure") + 1)
    with pytest.raises(DataError, match="not the table of the run"):
        run.replay(changed)
    with pytest.raises(BundleError):
        replay(run.folder.parent)


def test_command_says_equal(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["replay", str(run.folder)])
    assert left.value.code in (0, None)
    assert capsys.readouterr().out.strip().endswith(": equal")


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
    assert run.replay(pl.read_csv(TABLE).head(600)).equal
