"""Golden rows travel with a bundle and are replayed to the bit."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.artifacts.bundle import load_bundle, manifest_digest, verify_bundle, write_bundle
from modelwright.artifacts.golden import GOLDEN_FILE, check_golden, chosen, golden_of, read_golden
from modelwright.ensembles.calibration import Calibration
from modelwright.errors import BundleError


def _table(n: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    x, plan = rng.normal(size=n), rng.choice(["basic", "plus", "pro"], n)
    return pl.DataFrame(
        {
            "amount": [None if k in (37, 201) else float(v) for k, v in enumerate(x)],
            "visits": rng.integers(0, 300, n),
            "plan": [None if k % 13 == 5 else each for k, each in enumerate(plan)],
            "member": rng.random(n) < 0.5,
            "since": [datetime(2023, 1, 1) + timedelta(hours=int(h)) for h in rng.integers(0, 9000, n)],
            "y": np.where(x + (plan == "pro") + 0.3 * rng.normal(size=n) > 0.3, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    run = modelwright.train(_table(), target="y", algorithms=["linear", "lightgbm"], trials=2, home=home)
    return run.folder / "model"


def test_a_trained_bundle_holds_twenty_rows_as_a_client_sends_them(bundle: Path) -> None:
    golden = read_golden(bundle)
    assert golden is not None
    assert len(golden.rows) == len(golden.raw) == len(golden.labels) == 20
    assert set(golden.rows[0]) == {"amount", "visits", "plan", "member", "since"}
    assert any(row["amount"] is None for row in golden.rows)
    assert any(row["plan"] is None for row in golden.rows)
    assert datetime.fromisoformat(golden.rows[0]["since"]).year in (2023, 2024)
    assert set(golden.labels) <= {"yes", "no"}


def test_stored_predictions_are_those_of_the_model_for_the_table(bundle: Path) -> None:
    golden = read_golden(bundle)
    assert golden is not None
    model = load_bundle(bundle)
    frame = pl.DataFrame(golden.rows, infer_schema_length=None).with_columns(pl.col("since").str.to_datetime())
    np.testing.assert_array_equal(model.predict_proba(frame), np.array(golden.raw))
    assert model.predict(frame).tolist() == golden.labels
    check_golden(model, bundle)


def test_the_choice_is_the_same_for_the_same_rows_and_spreads_over_them() -> None:
    frame = _table()
    found = chosen(frame, 20)
    assert found == chosen(frame, 20)
    assert len(found) == 20
    assert (found[0], found[-1]) == (0, 299)
    assert chosen(frame.head(7), 20) == list(range(7))


def test_one_bit_in_a_prediction_is_refused_without_telling_a_value(bundle: Path) -> None:
    model = load_bundle(bundle)
    model.calibration = Calibration("temperature", temperature=np.nextafter(model.calibration.temperature, 9) + 1e-9)
    with pytest.raises(BundleError, match="gets another prediction than at packaging") as caught:
        check_golden(model, bundle)
    golden = read_golden(bundle)
    assert golden is not None
    assert str(golden.rows[0]["amount"]) not in str(caught.value)
    assert "library versions" in caught.value.mend


def test_another_threshold_is_refused(bundle: Path) -> None:
    model = load_bundle(bundle)
    model.threshold = 0.0
    with pytest.raises(BundleError, match="other classes"):
        check_golden(model, bundle)


def test_a_row_that_the_model_cannot_read_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "model"))
    content = json.loads((copy / GOLDEN_FILE).read_text())
    content["rows"][3]["visits"] = "many"
    (copy / GOLDEN_FILE).write_text(json.dumps(content))
    with pytest.raises(BundleError, match="cannot be predicted"):
        check_golden(load_bundle(bundle), copy)
    (copy / GOLDEN_FILE).write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        check_golden(load_bundle(bundle), copy)


@pytest.mark.parametrize("task", ["regression", "clustering"])
def test_numbers_and_clusters_are_replayed_too(task: str, tmp_path: Path) -> None:
    table = _table(120).drop("y")
    target = {"target": "amount"} if task == "regression" else {"task": "clustering"}
    algorithms = ["linear"] if task == "regression" else ["kmeans"]
    run = modelwright.train(table.drop_nulls(), algorithms=algorithms, trials=1, home=tmp_path, **target)
    golden = read_golden(run.folder / "model")
    assert golden is not None
    assert golden.labels == []
    assert {len(raw) for raw in golden.raw} == {1}
    check_golden(run.model, run.folder / "model")


def test_the_manifest_says_where_the_model_comes_from_and_its_digest_names_the_bundle(bundle: Path, tmp_path: Path) -> None:
    manifest = verify_bundle(bundle)
    assert set(manifest.lineage) == {"run", "data", "code", "rows", "table_rows"}
    assert manifest.lineage["run"] == load_bundle(bundle).run
    assert GOLDEN_FILE in {entry.path for entry in manifest.files}
    copy = Path(shutil.copytree(bundle, tmp_path / "model"))
    assert manifest_digest(copy) == manifest_digest(bundle)
    assert len(manifest_digest(bundle)) == 64
    other = tmp_path / "other"
    write_bundle(load_bundle(bundle), other, libraries={}, lineage={})
    assert manifest_digest(other) != manifest_digest(bundle)
    with pytest.raises(BundleError, match="not a model folder"):
        manifest_digest(tmp_path)


def test_a_bundle_without_golden_rows_has_nothing_to_replay(bundle: Path, tmp_path: Path) -> None:
    model = load_bundle(bundle)
    write_bundle(model, tmp_path / "model", libraries={}, lineage={})
    assert read_golden(tmp_path / "model") is None
    check_golden(model, tmp_path / "model")


def test_rows_that_cannot_be_asked_alone_are_left_out(bundle: Path) -> None:
    model = load_bundle(bundle)
    rows = _table().drop("y").head(5).with_columns(pl.Series("visits", ["1", "2", "many", "4", "5"]))
    golden = golden_of(model, rows)
    assert [row["visits"] for row in golden.rows] == ["1", "2", "4", "5"]
    assert msgspec.json.decode(msgspec.json.encode(golden), type=type(golden)) == golden
