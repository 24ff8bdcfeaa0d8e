"""Derived columns from the spec to the prediction: alike in training, on sealed rows, in the bundle, on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.artifacts.bundle import load_bundle
from modelwright.cli.main import main
from modelwright.errors import BundleError, SchemaError, SpecError
from modelwright.features.feature_set import feature_sets_differ
from modelwright.runs.run import Run
from modelwright.spec import resolve_spec
from modelwright.spec_template import write_template
from modelwright.splits.partition import Fold
from modelwright.training.auditing import audit_table
from modelwright.training.narrow import select_columns
from modelwright.training.prepare import divide, read_source, type_rows

EXPRESSIONS = {
    "each": '"TotalCharges" / tenure',
    "auto": "PaymentMethod LIKE '%automatic%'",
    "spent": "CASE WHEN auto THEN each END",
}
FUNCTION = """
import polars as pl

def add(frame):
    return frame.with_columns(each=pl.col("TotalCharges") / pl.col("tenure"))
"""


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.fixture(scope="module")
def derived_run(churn: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return modelwright.train(
        churn,
        target="Churn",
        trials=1,
        algorithms=["linear"],
        features={**EXPRESSIONS, "loud": pl.col("Contract").str.to_uppercase()},
        exclude=["tenure"],
        home=tmp_path_factory.mktemp("home"),
        name="derived",
    )


def test_model_learns_from_derived_columns_and_needs_those_of_the_table_only(derived_run: Run, churn: pl.DataFrame) -> None:
    model = derived_run.model
    assert {"each", "auto", "spent", "loud"} <= {column.name for column in model.schema.features}
    needed = set(model.feature_names_in_)
    assert "tenure" in needed  # excluded, but what others are derived from
    assert not needed & {"each", "auto", "spent", "loud"}
    whole = model.predict_proba(churn)
    assert np.array_equal(model.predict_proba(churn.select(sorted(needed))), whole)
    assert np.array_equal(model.predict_proba(churn[5:6].to_dicts()), whole[5:6])
    assert model.predict_one(churn.row(5, named=True)) == model.predict(churn)[5]
    with pytest.raises(SchemaError, match="'tenure'"):
        model.predict(churn.drop("tenure"))


def test_sealed_rows_are_kept_as_read_and_scored_with_the_derived_columns(derived_run: Run, churn: pl.DataFrame) -> None:
    from sklearn.metrics import roc_auc_score

    vault = pl.read_ipc(derived_run.folder / "vault" / "evaluation.arrow")
    assert vault.columns == churn.columns
    evaluation = derived_run.record.evaluation
    assert evaluation is not None
    proba = derived_run.model.predict_proba(vault)[:, 1]
    assert roc_auc_score(vault["Churn"] == "Yes", proba) == pytest.approx(evaluation.score.value, abs=1e-9)


def test_bundle_predicts_the_same_in_a_new_process(derived_run: Run, churn: pl.DataFrame, tmp_path: Path) -> None:
    churn.head(40).drop("Churn").write_csv(tmp_path / "rows.csv")
    script = "import sys, modelwright, numpy\nnumpy.save(sys.argv[3], modelwright.load(sys.argv[1]).predict_proba(sys.argv[2]))"
    words = [str(derived_run.folder), str(tmp_path / "rows.csv"), str(tmp_path / "proba.npy")]
    subprocess.run([sys.executable, "-c", script, *words], check=True, cwd=tmp_path, env=os.environ)
    assert np.array_equal(np.load(tmp_path / "proba.npy"), derived_run.model.predict_proba(churn.head(40)))


def test_record_remembers_the_feature_set(derived_run: Run, run: Run) -> None:
    found = derived_run.record.feature_set
    assert found is not None
    assert found.name.endswith(" columns and 4 derived")
    kinds = {column.name: column.kind for column in found.columns}
    assert (kinds["each"], kinds["gender"], kinds["tenure"]) == ("derived", "raw", "left out")
    assert json.loads((derived_run.folder / "run.json").read_bytes())["feature_set"]["digest"] == found.digest
    assert derived_run.record.spec["features"]["each"] == EXPRESSIONS["each"]
    plain = run.record.feature_set
    assert plain is not None
    assert any(sentence.startswith("Added: 'each'") for sentence in feature_sets_differ(plain, found))


def test_explanations_show_derived_columns(derived_run: Run, churn: pl.DataFrame) -> None:
    assert {"each", "loud"} <= set(derived_run.model.explain(churn.head(3)).columns)
    assert "derived as" in derived_run.record.plan.schema["each"].reason


def test_same_rows_are_sealed_whatever_is_derived(derived_run: Run, run: Run) -> None:
    one, other = (pl.read_parquet(each.folder / "partition.parquet")["part"].to_list() for each in (derived_run, run))
    assert one == other


def test_audit_looks_at_derived_columns(churn: pl.DataFrame) -> None:
    spec = resolve_spec(None, {"data": churn, "target": "Churn", "features": {"one": "tenure * 0 + 1", "twice": "tenure * 2"}})
    record = audit_table(spec, costs=False)
    assert record.schema["twice"].role == "feature"
    assert record.schema["one"].role == "ignored"


def test_options_may_name_derived_columns_and_wrong_names_are_told(churn: pl.DataFrame) -> None:
    def typed(**options: object) -> object:
        spec = resolve_spec(None, {"data": churn, "target": "Churn", "features": EXPRESSIONS, **options})
        source = read_source(spec)
        return type_rows(source, spec, divide(source, spec)).schema

    assert typed(exclude=["spent"], types={"auto": "category"})["auto"].type == "category"  # type: ignore[index]
    with pytest.raises(SpecError, match="'eech'") as error:
        typed(exclude=["eech"])
    assert "'each'" in error.value.mend
    with pytest.raises(SpecError, match="'eech'"):
        typed(types={"eech": "number"})


def test_function_runs_only_if_its_file_is_the_one_trained_with(
    churn: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.py"
    file.write_text(FUNCTION)
    run = modelwright.train(churn, target="Churn", trials=1, algorithms=["linear"], features="mine.py:add", home="home")
    model = load_bundle(run.folder / "model")
    assert not list(run.folder.rglob("*.py"))
    expected = model.predict_proba(churn)
    assert np.array_equal(run.model.predict_proba(churn.drop("Churn")), expected)
    moved = tmp_path / "code" / "mine.py"
    moved.parent.mkdir()
    file.rename(moved)
    with pytest.raises(BundleError, match="not there"):
        load_bundle(run.folder / "model")
    assert np.array_equal(load_bundle(run.folder / "model", features=moved).predict_proba(churn), expected)
    churn.head(5).write_csv("rows.csv")
    assert call("predict", str(run.folder), "rows.csv", "-o", "scored.csv") == 2
    assert call("predict", str(run.folder), "rows.csv", "-o", "scored.csv", "--features", str(moved)) == 0
    moved.write_text(FUNCTION.replace("tenure", "MonthlyCharges"))
    with pytest.raises(BundleError, match="was changed"):
        load_bundle(run.folder / "model", features=moved)


def test_selection_narrows_the_training_rows(churn: pl.DataFrame) -> None:
    rng = np.random.default_rng(0)
    rows = pl.concat([churn, churn]).with_columns(pl.Series(f"noise{k}", rng.random(2 * churn.height)) for k in range(6))
    spec = resolve_spec(None, {"data": rows, "target": "Churn", "features": {"late": "noise1 * 2"}})
    source = read_source(spec)
    training = type_rows(source, spec, divide(source, spec))
    order = rng.permutation(training.frame.height)
    fold = Fold(np.sort(order[:800]), np.sort(order[800:]))
    fewer, left_out, sentence = select_columns(training, source.facts(), fold)
    assert set(left_out) == {c.name for c in training.schema.features} - {c.name for c in fewer.schema.features}
    assert sentence
    assert (fewer.served is None) == ("late" in left_out)


def test_selected_columns_are_all_that_the_model_reads(churn: pl.DataFrame, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = churn.with_columns(pl.Series(f"noise{k}", [f"l{v}" for v in rng.integers(0, 50, churn.height)]) for k in range(5))
    run = modelwright.train(rows, target="Churn", trials=1, algorithms=["linear"], select_features=True, home=tmp_path)
    found = run.record.feature_set
    assert found is not None
    gone = [c.name for c in found.columns if "feature selection" in c.reason]
    assert any("left out" in note for note in run.record.notes)
    assert not set(gone) & set(run.model.feature_names_in_)
    assert len(run.model.predict(rows.drop(gone))) == rows.height


def test_command_line_and_file_ask_for_derived_columns(
    churn: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    churn.write_csv("rows.csv")

    common = ("--trials", "1", "-a", "linear", "--quiet")
    asked = ("--feature", "each=TotalCharges / tenure", "--feature", "old=SeniorCitizen = 1")
    assert call("train", "rows.csv", "-t", "Churn", "--name", "cli", *asked, *common) == 0
    found = modelwright.open_run("cli").record
    assert found.feature_set is not None
    assert [column.name for column in found.feature_set.columns if column.kind == "derived"] == ["each", "old"]
    assert call("predict", "cli", "rows.csv", "-o", "scored.csv", "--quiet") == 0
    assert pl.read_csv("scored.csv").height == churn.height
    assert call("explain", "cli", "rows.csv", "--rows", "0", "--top", "40") == 0
    assert "each" in capsys.readouterr().out
    file = Path("modelwright.toml")
    file.write_text('data = "rows.csv"\n\n[features]\neach = "TotalCharges / tenure"\nold = "SeniorCitizen = 1"\n')
    assert resolve_spec(file, {}).features == found.spec["features"]
    assert call("train", "-t", "Churn", "--feature", "x=MAX(tenure)", *common) == 2
    assert "many rows" in capsys.readouterr().err


def test_template_writes_derived_columns_as_a_table_that_reads_back(tmp_path: Path) -> None:
    asked = resolve_spec(None, {"features": {"each": "rooms / persons", "long name": "\"a b\" || 'é'"}, "types": {"a": "id"}})
    write_template(tmp_path / "modelwright.toml", asked)
    assert "[features]" in (tmp_path / "modelwright.toml").read_text()
    assert resolve_spec(tmp_path / "modelwright.toml", {}) == asked
    by_function = resolve_spec(None, {"features": "mine.py:add"})
    write_template(tmp_path / "modelwright.toml", by_function, force=True)
    assert resolve_spec(tmp_path / "modelwright.toml", {}) == by_function
