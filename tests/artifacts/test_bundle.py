"""A bundle is verified before it is read, and holds nothing that executes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from modelwright.artifacts.bundle import load_bundle, write_bundle
from modelwright.artifacts.model import Model
from modelwright.ensembles.calibration import Calibration
from modelwright.ensembles.conformal import fit_sets
from modelwright.errors import BundleError, InvalidInputError

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "model"))


def test_only_plain_formats_are_written(bundle: Path) -> None:
    assert {p.suffix for p in bundle.rglob("*") if p.is_file()} <= {".json", ".npz", ".txt", ".cbm", ".ubj", ".safetensors"}
    for path in bundle.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays)


def test_copied_folder_opens_elsewhere(copy: Path, bundle: Path) -> None:
    rows = pl.read_csv(TELCO, infer_schema_length=None).tail(50)
    np.testing.assert_array_equal(load_bundle(copy).predict_proba(rows), load_bundle(bundle).predict_proba(rows))


def test_changed_byte_is_refused_and_named(copy: Path) -> None:
    path = next(copy.glob("members/0/*.npz"))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(BundleError, match=path.name):
        load_bundle(copy)


def test_added_and_missing_files_are_refused(copy: Path) -> None:
    (copy / "extra.bin").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.bin"):
        load_bundle(copy)
    (copy / "extra.bin").unlink()
    (copy / "schema.json").unlink()
    with pytest.raises(BundleError, match=r"schema\.json"):
        load_bundle(copy)


def test_newer_format_is_refused_with_the_mend(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"format_version": 99, "modelwright": "9.0"}))
    with pytest.raises(BundleError, match=r"Install modelwright 9\.0"):
        load_bundle(copy)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_damaged_manifest_is_refused(copy: Path, content: str) -> None:
    (copy / "manifest.json").write_text(content)
    with pytest.raises(BundleError, match="manifest"):
        load_bundle(copy)


def test_other_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a model folder"):
        load_bundle(tmp_path)


def _decided(bundle: Path) -> Model:
    """The model of the bundle with every decision there is."""
    model = load_bundle(bundle)
    rng = np.random.default_rng(0)
    p = rng.random(500)
    model.calibration = Calibration("isotonic", x=[-2.0, 0.0, 1.0], y=[-1.0, 0.5, 3.0])
    model.conformal = fit_sets(np.column_stack([1 - p, p]), (rng.random(500) < p).astype(np.int64))
    return model


def test_calibration_and_scores_come_back_to_the_bit(bundle: Path, tmp_path: Path) -> None:
    rows = pl.read_csv(TELCO, infer_schema_length=None).tail(50)
    made = _decided(bundle)
    write_bundle(made, tmp_path / "model", libraries={}, lineage={})
    read = load_bundle(tmp_path / "model")
    assert read.calibration == made.calibration
    np.testing.assert_array_equal(read.predict_proba(rows), made.predict_proba(rows))
    np.testing.assert_array_equal(read.predict_set(rows, 0.8), made.predict_set(rows, 0.8))
    alone = [read.predict_proba(rows[i : i + 1]) for i in range(50)]
    np.testing.assert_array_equal(np.vstack(alone), made.predict_proba(rows))


def test_bundle_of_before_calibration_had_a_choice_is_read(bundle: Path, tmp_path: Path) -> None:
    made = load_bundle(bundle)
    made.calibration, made.conformal = Calibration("temperature", temperature=1.5), None
    write_bundle(made, tmp_path / "model", libraries={}, lineage={})
    path = tmp_path / "model" / "model.json"
    old = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("calibration", "conformal")}
    path.write_text(json.dumps(old))
    manifest = tmp_path / "model" / "manifest.json"
    entries = json.loads(manifest.read_text())
    for entry in entries["files"]:
        if entry["path"] == "model.json":
            entry |= {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    entries.pop("checksum")
    manifest.write_text(json.dumps(entries | {"format_version": 1}))
    rows = pl.read_csv(TELCO, infer_schema_length=None).tail(50)
    read = load_bundle(tmp_path / "model")
    np.testing.assert_array_equal(read.predict_proba(rows), made.predict_proba(rows))
    with pytest.raises(InvalidInputError, match="saved without the scores"):
        read.predict_set(rows)


def test_intervals_and_sets_are_refused_where_they_do_not_fit(bundle: Path) -> None:
    rows = pl.read_csv(TELCO, infer_schema_length=None).tail(5)
    with pytest.raises(InvalidInputError, match="Call predict_set instead"):
        _decided(bundle).predict_interval(rows)
    with pytest.raises(InvalidInputError, match="not a coverage"):
        _decided(bundle).predict_set(rows, 90)
