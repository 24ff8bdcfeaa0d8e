"""An ONNX file answers as the model does on real rows, or is refused with the reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from modelwright.artifacts.bundle import load_bundle, write_bundle
from modelwright.artifacts.golden import golden_of
from modelwright.artifacts.model import Member, Model
from modelwright.artifacts.onnx.export import Parity, convert, export_onnx, feeds
from modelwright.ensembles.calibration import Calibration
from modelwright.errors import BundleError, InvalidInputError
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.tables.conform import conform
from modelwright.tables.read import read
from modelwright.tables.types import infer_schema

onnxruntime = pytest.importorskip("onnxruntime")
TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Real rows, some cells of which are missing."""
    frame = read(TELCO).frame.drop("customerID")
    missing = pl.int_range(frame.height)
    return frame.with_columns(
        pl.when(missing % 7 == 3).then(None).otherwise("tenure").alias("tenure"),
        pl.when(missing % 11 == 5).then(None).otherwise("Contract").alias("Contract"),
    )


def _bundle(
    rows: pl.DataFrame, folder: Path, algorithms: list[str], target: str = "Churn", *, golden: bool = True, **given: Any
) -> Path:
    """A model of members with equal weights, as training packages it."""
    training = rows.head(1_200).drop_nulls(target)
    features, y = training.drop(target), training[target]
    schema = infer_schema(features, target=None)
    frame, _ = conform(features, schema, columns=schema.features)
    encoder = Encoder.fit(frame, schema)
    classes = [] if y.dtype.is_numeric() else sorted(y.unique().to_list())
    task = "regression" if not classes else "binary" if len(classes) == 2 else "multiclass"
    coded = y.to_numpy() if not classes else np.searchsorted(classes, y.to_numpy()).astype(np.int64)
    members = []
    for name in algorithms:
        params = {"n_estimators": 40} if name in ("lightgbm", "random_forest", "extra_trees") else {}
        params |= given.pop("params", {}) if name == "lightgbm" else {}
        learner = registry.create(name, params, task=task, n_classes=len(classes))
        learner.fit(encoder.transform(frame), coded, time_limit_s=5.0)
        members.append(Member(learner, 1 / len(algorithms), 0))
    model = Model(task=task, target=target, classes=classes, schema=schema, encoders=[encoder], members=members, **given)
    write_bundle(model, folder, libraries={}, lineage={}, golden=golden_of(model, features) if golden else None)
    return folder


def _exported(folder: Path, rows: pl.DataFrame) -> Parity:
    return export_onnx(folder, folder.with_suffix(".onnx"), rows=rows)


@pytest.mark.parametrize(
    ("algorithms", "target"),
    [
        (["lightgbm"], "Churn"),
        (["lightgbm"], "PaymentMethod"),
        (["lightgbm"], "MonthlyCharges"),
        (["random_forest"], "Churn"),
        (["extra_trees"], "PaymentMethod"),
        (["random_forest"], "MonthlyCharges"),
        (["lightgbm", "extra_trees"], "Churn"),
        (["lightgbm", "random_forest"], "MonthlyCharges"),
    ],
)
def test_every_real_row_gets_the_same_answer(algorithms: list[str], target: str, rows: pl.DataFrame, tmp_path: Path) -> None:
    found = _exported(_bundle(rows, tmp_path / "model", algorithms, target), rows)
    assert found.n_rows == rows.height + 20
    assert found.largest < 1e-12


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration("temperature", temperature=1.7),
        Calibration("platt", slopes=[0.8], intercepts=[0.3]),
        Calibration("isotonic", x=[-2.0, -0.5, 0.0, 1.5], y=[-3.0, -0.2, 0.1, 2.0]),
        Calibration("isotonic", x=[-2.0, 1.0], y=[-1.0, 3.0]),
    ],
)
def test_every_calibration_and_a_threshold_go_along(calibration: Calibration, rows: pl.DataFrame, tmp_path: Path) -> None:
    folder = _bundle(rows, tmp_path / "model", ["lightgbm"], calibration=calibration, threshold=0.3)
    assert _exported(folder, rows).largest < 1e-12


def test_calibration_of_several_classes_goes_along(rows: pl.DataFrame, tmp_path: Path) -> None:
    calibration = Calibration("platt", slopes=[0.8], intercepts=[0.3, 0.0, -0.1, 0.2])
    folder = _bundle(rows, tmp_path / "model", ["lightgbm"], "PaymentMethod", calibration=calibration)
    assert _exported(folder, rows).largest < 1e-12


def test_a_logarithm_of_the_target_goes_along(rows: pl.DataFrame, tmp_path: Path) -> None:
    folder = _bundle(rows, tmp_path / "model", ["lightgbm"], "MonthlyCharges", params={"log_target": 1.02})
    assert _exported(folder, rows).largest < 1e-12


@pytest.mark.parametrize("target", ["Churn", "PaymentMethod"])
def test_the_temperature_of_a_member_goes_along(target: str, rows: pl.DataFrame, tmp_path: Path) -> None:
    folder = _bundle(rows, tmp_path / "model", ["lightgbm"], target, params={"temperature": 1.7})
    assert _exported(folder, rows).largest < 1e-12


def test_the_file_is_used_without_this_package(rows: pl.DataFrame, tmp_path: Path) -> None:
    folder = _bundle(rows, tmp_path / "model", ["lightgbm"])
    export_onnx(folder, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["label", "probabilities"]
    types = {each.name: each.type for each in session.get_inputs()}
    assert (types["tenure"], types["Contract"]) == ("tensor(double)", "tensor(string)")
    model = load_bundle(folder)
    label, proba = session.run(None, feeds(model, rows.head(3), list(types)))
    np.testing.assert_allclose(proba, model.predict_proba(rows.head(3)), rtol=0, atol=1e-12)
    assert label.tolist() == model.predict(rows.head(3)).tolist()
    assert session.get_modelmeta().custom_metadata_map["task"] == "binary"


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        ("linear", "member 'linear'"),
        ("svm", "member 'svm'"),
        ("catboost", "member 'catboost'"),
        ("xgboost", "member 'xgboost'"),
    ],
)
def test_members_without_an_exact_form_are_refused_by_name(
    algorithm: str, reason: str, rows: pl.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=reason) as caught:
        _exported(_bundle(rows.head(300), tmp_path / "model", [algorithm]), rows)
    assert "--to mlflow" in caught.value.mend
    assert os.listdir(tmp_path) == ["model"]


def test_dates_and_texts_and_many_levels_are_refused_by_name(rows: pl.DataFrame, tmp_path: Path) -> None:
    few = rows.head(400)
    dated = few.with_columns(since=pl.datetime(2020, 1, 1) + pl.duration(hours=pl.int_range(few.height) * 7))
    with pytest.raises(InvalidInputError, match="'since' is a date"):
        _exported(_bundle(dated, tmp_path / "dated", ["lightgbm"]), dated)
    many = few.with_columns(town=pl.format("town {}", pl.int_range(few.height) % 30))
    with pytest.raises(InvalidInputError, match="target encodings"):
        _exported(_bundle(many, tmp_path / "many", ["random_forest"]), many)


def test_another_answer_is_refused_and_nothing_is_written(
    rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelwright.artifacts.onnx import export

    folder = _bundle(rows, tmp_path / "model", ["lightgbm"])

    def wrong(model: Model, place: Path) -> bytes:
        model = load_bundle(place)
        model.calibration = Calibration("temperature", temperature=1.0 + 1e-6)
        return convert(model, place)

    monkeypatch.setattr(export, "convert", wrong)
    with pytest.raises(BundleError, match="answers otherwise"):
        export.export_onnx(folder, tmp_path / "model.onnx", rows=rows)
    assert os.listdir(tmp_path) == ["model"]


def test_without_rows_to_compare_or_a_free_name_it_is_refused(rows: pl.DataFrame, tmp_path: Path) -> None:
    folder = _bundle(rows, tmp_path / "model", ["lightgbm"], golden=False)
    with pytest.raises(BundleError, match="no golden rows"):
        export_onnx(folder, tmp_path / "model.onnx")
    with pytest.raises(InvalidInputError, match=r"ends in \.onnx"):
        export_onnx(folder, tmp_path / "model.bin")
    (tmp_path / "there.onnx").touch()
    with pytest.raises(InvalidInputError, match="such a file already"):
        export_onnx(folder, tmp_path / "there.onnx")
