"""Tables, figures, models and files of a run are read back equal, and nothing half-written is seen."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import modelwright
from modelwright.errors import BundleError, InvalidInputError, MissingExtraError, StorageError
from modelwright.jobs.active import ActiveRun
from modelwright.jobs.opened import JobRun

SVG = '<svg xmlns="http://www.w3.org/2000/svg"></svg>'
PNG = b"\x89PNG\r\n\x1a\n rest"


@pytest.fixture
def run(tmp_path: Path) -> Any:
    with modelwright.start_run("fit", home=tmp_path / "home") as started:
        yield started


def opened(run: ActiveRun) -> JobRun:
    found = modelwright.open_run(run.folder)
    assert isinstance(found, JobRun)
    return found


def rows() -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(200, 3))
    return X, (X[:, 0] > 0).astype(int)


def test_a_polars_table_is_read_back_with_its_types(run: ActiveRun) -> None:
    frame = pl.DataFrame({
        "n": [1, None], "x": [0.5, float("nan")], "t": ["ä", None], "d": [dt.date(2026, 1, 1), None],
        "c": pl.Series(["a", "b"], dtype=pl.Categorical), "l": [[1, 2], []],
    })  # fmt: skip
    run.log_table("rows/sub table.v1", frame)
    assert_frame_equal(opened(run).table("rows/sub table.v1"), frame)


def test_pandas_and_arrow_tables_are_kept_too(run: ActiveRun) -> None:
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    run.log_table("pandas", pandas.DataFrame({"a": [1, 2], "b": ["x", None]}))
    run.log_table("arrow", pyarrow.table({"a": [1, 2], "b": ["x", None]}))
    expected = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    for name in ("pandas", "arrow"):
        assert_frame_equal(opened(run).table(name), expected)


def test_a_table_of_the_same_name_is_replaced_and_drafts_are_gone(run: ActiveRun) -> None:
    for value in (1, 2):
        run.log_table("t", {"a": [value]})
    assert opened(run).table("t")["a"].to_list() == [2]
    assert [path.name for path in (run.folder / "artifacts").iterdir()] == ["t.parquet"]


@pytest.mark.parametrize(("given", "kept", "name"), [(SVG, SVG.encode(), "a.svg"), (PNG, PNG, "a.png")])
def test_bytes_and_text_of_a_picture_are_kept_as_they_are(run: ActiveRun, given: Any, kept: bytes, name: str) -> None:
    made = run.log_figure("a", given)
    assert opened(run).figure("a") == kept
    assert made.file == name


def test_matplotlib_and_altair_figures_become_pictures(run: ActiveRun) -> None:
    altair, matplotlib = pytest.importorskip("altair"), pytest.importorskip("matplotlib.figure")
    drawn = matplotlib.Figure()
    drawn.add_subplot().plot([1, 2])
    chart = altair.Chart(altair.InlineData([{"x": 1}])).mark_point().encode(x="x:Q")
    run.log_figure("line", drawn)
    run.log_figure("line.svg", drawn)
    run.log_figure("chart", chart)
    found = opened(run)
    assert found.figure("line").startswith(b"\x89PNG")
    assert b"<svg" in found.figure("line.svg")
    assert found.figure("chart").startswith(b"<svg")
    assert found.file("chart (spec)").read_text() == chart.to_json()


def test_files_and_folders_are_copied_under_their_own_name(run: ActiveRun, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.bin").write_bytes(b"\0")
    run.log_file(tmp_path / "notes.txt")
    run.log_file(tmp_path / "folder", "deep/folder")
    run.log_file(tmp_path / "folder", "deep/folder")
    found = opened(run)
    assert found.file("notes.txt").read_text() == "hello"
    assert (found.file("deep/folder") / "a.bin").read_bytes() == b"\0"


@pytest.mark.parametrize(
    "name", ["../../escape", "/etc/x", "a b", "ü", ".hidden", "..", "x" * 300, "a\nb", "stdout.log", "CON/"]
)
def test_no_name_leads_out_of_the_folder(run: ActiveRun, name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    run.log_file(tmp_path / "file", name)
    found = opened(run).file(name)
    assert found.read_text() == "text"
    assert found.resolve().is_relative_to((run.folder / "artifacts").resolve())
    assert found.name != "stdout.log"


def test_two_names_never_share_a_file(run: ActiveRun) -> None:
    for number, name in enumerate(("a b", "a-b", "a/b", "a?b", "A b")):
        run.log_table(name, {"n": [number]})
    assert [opened(run).table(name)["n"].item() for name in ("a b", "a-b", "a/b", "a?b", "A b")] == [0, 1, 2, 3, 4]


def test_a_lightgbm_model_predicts_the_same_when_read_back(run: ActiveRun) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X, y = rows()
    model = lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1).fit(X, y)
    run.log_model("m", model)
    assert np.array_equal(opened(run).model("m").predict(X), model.predict_proba(X)[:, 1])


def test_xgboost_and_catboost_models_come_back_as_their_own_class(run: ActiveRun) -> None:
    xgboost, catboost = pytest.importorskip("xgboost"), pytest.importorskip("catboost")
    X, y = rows()
    models = {
        "xgb": xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(X, y),
        "cat": catboost.CatBoostClassifier(iterations=5, thread_count=1, verbose=0, allow_writing_files=False).fit(X, y),
    }
    for name, model in models.items():
        run.log_model(name, model)
        read = opened(run).model(name)
        assert type(read) is type(model)
        assert np.array_equal(read.predict_proba(X), model.predict_proba(X))


def test_a_torch_module_is_kept_as_tensors_tied_ones_too(run: ActiveRun) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    module[1].weight = module[0].weight
    run.log_model("m", module)
    state = opened(run).model("m")
    assert set(state) == set(module.state_dict())
    assert all(torch.equal(state[name], tensor) for name, tensor in module.state_dict().items())


def test_a_scikit_learn_estimator_is_kept_by_skops_or_the_missing_package_is_named(run: ActiveRun) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    X, y = rows()
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)).fit(X, y)
    try:
        import skops.io  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"modelwright\[skops\]"):
            run.log_model("m", model)
        return
    run.log_model("m", model)
    assert np.array_equal(opened(run).model("m").predict_proba(X), model.predict_proba(X))
    run.log_model("function", FunctionTransformer(rows))
    with pytest.raises(BundleError, match=r"nobody vouches for: .*rows"):
        opened(run).model("function")


def test_a_changed_model_file_is_refused_before_anything_parses_it(run: ActiveRun) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X, y = rows()
    run.log_model("m", lightgbm.LGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1).fit(X, y))
    path = opened(run).file("m")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BundleError, match="differs"):
        opened(run).model("m")


def test_an_unfitted_model_and_an_unknown_artifact_are_refused(run: ActiveRun) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    with pytest.raises(InvalidInputError, match="Fit it first"):
        run.log_model("m", lightgbm.LGBMClassifier())
    run.log_figure("a", PNG)
    with pytest.raises(InvalidInputError, match="Artifacts: 'a'"):
        opened(run).file("b")
    with pytest.raises(InvalidInputError, match="is a figure, not a table"):
        opened(run).table("a")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is write-protected from root")
def test_a_folder_that_refuses_writes_is_a_clear_error(run: ActiveRun) -> None:
    (run.folder / "artifacts").chmod(0o500)
    with pytest.raises(StorageError, match="could not be kept"):
        run.log_figure("a", PNG)
