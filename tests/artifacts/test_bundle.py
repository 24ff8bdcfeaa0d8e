"""A bundle is verified before it is read, and holds nothing that executes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.artifacts.bundle import load_bundle
from modelwright.errors import BundleError

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = pl.read_csv(TELCO, infer_schema_length=None).head(400)
    run = modelwright.train(rows, target="Churn", trials=2, algorithms=["linear"], home=tmp_path_factory.mktemp("home"))
    return run.folder / "model"


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
