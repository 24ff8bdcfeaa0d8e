"""A folder that MLflow loads, written without MLflow; its own loader is called as MLflow calls it."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from modelwright.artifacts.bundle import load_bundle, write_bundle
from modelwright.artifacts.pyfunc import write_pyfunc
from modelwright.errors import BundleError, InvalidInputError

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.read_csv(TELCO, infer_schema_length=None).tail(60)


def test_the_folder_is_loaded_by_the_module_that_it_names_and_answers_the_same(
    bundle: Path, rows: pl.DataFrame, tmp_path: Path
) -> None:
    output = tmp_path / "mlflow"
    assert write_pyfunc(bundle, output, rows=rows) == 20 + 60
    described = json.loads((output / "MLmodel").read_text())
    flavor = described["flavors"]["python_function"]
    loaded = import_module(flavor["loader_module"])._load_pyfunc(str(output / flavor["data"]))
    model = load_bundle(bundle)
    answered = loaded.predict(rows.to_pandas(), {})
    assert answered["prediction"].tolist() == model.predict(rows).tolist()
    names = [f"proba_{name}" for name in model.classes_]
    np.testing.assert_array_equal(answered[names].to_numpy(), model.predict_proba(rows))
    inputs = {each["name"] for each in json.loads(described["signature"]["inputs"])}
    assert inputs == set(model.feature_names_in_.tolist())
    assert described["metadata"]["columns"]["tenure"] == "number"
    assert (output / flavor["env"]["virtualenv"]).is_file()
    assert "modelwright==" in (output / "requirements.txt").read_text()


def test_what_cannot_be_compared_or_is_damaged_is_refused(bundle: Path, tmp_path: Path) -> None:
    write_bundle(load_bundle(bundle), tmp_path / "bare", libraries={}, lineage={})
    with pytest.raises(BundleError, match="no golden rows"):
        write_pyfunc(tmp_path / "bare", tmp_path / "out")
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    (copy / "model.json").write_text("{}")
    with pytest.raises(BundleError, match="differs"):
        write_pyfunc(copy, tmp_path / "out")
    with pytest.raises(InvalidInputError, match="such a folder already"):
        write_pyfunc(bundle, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare", "copy"]
