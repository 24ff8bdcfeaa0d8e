"""``predict --interval`` adds what it says, and refuses where there is nothing to add."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_diabetes, load_iris

import modelwright
from modelwright.cli.main import main


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert isinstance(left.value.code, int)
    return left.value.code


def _trained(folder: Path, rows: pl.DataFrame, name: str, **options: object) -> Path:
    rows.write_csv(folder / f"{name}.csv")
    modelwright.train(rows, trials=1, algorithms=["linear"], home=folder / "home", name=name, **options)
    return folder / f"{name}.csv"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interval")
    numbers, flowers = load_diabetes(), load_iris()
    _trained(folder, pl.DataFrame(numbers.data).with_columns(y=numbers.target), "numbers", target="y")
    species = pl.Series("species", [str(flowers.target_names[k]) for k in flowers.target])
    _trained(folder, pl.DataFrame(flowers.data).with_columns(species), "flowers", target="species")
    return folder


def _predict(home: Path, name: str, *options: object) -> pl.DataFrame:
    out = home / f"{name}_out.csv"
    assert run("predict", name, home / f"{name}.csv", "-o", out, "--home", home / "home", *options) == 0
    return pl.read_csv(out)


def test_numbers_get_low_and_high_around_the_prediction(home: Path) -> None:
    plain, narrow, wide = (_predict(home, "numbers", *o) for o in ((), ("--interval", 0.5), ("--interval", "0.9")))
    assert plain.columns == ["prediction"]
    assert wide.columns == ["prediction", "low", "high"]
    assert wide["prediction"].to_list() == plain["prediction"].to_list()
    assert (wide["low"] < wide["prediction"]).all()
    assert ((wide["high"] - wide["low"]) > (narrow["high"] - narrow["low"])).all()
    y = load_diabetes().target
    assert np.mean((wide["low"].to_numpy() <= y) & (y <= wide["high"].to_numpy())) == pytest.approx(0.9, abs=0.05)


def test_classes_get_a_set_as_a_list_that_starts_with_the_most_probable(home: Path) -> None:
    scored = _predict(home, "flowers", "--interval", 0.9)
    sets = [json.loads(text) for text in scored["set"]]
    assert scored.columns[-1] == "set"
    assert [s[0] for s in sets] == scored["prediction"].to_list()
    truth = [str(load_iris().target_names[k]) for k in load_iris().target]
    assert np.mean([t in s for t, s in zip(truth, sets, strict=True)]) >= 0.9


@pytest.mark.parametrize("share", ["1.5", "0", "0.9999"])
def test_share_that_cannot_be_promised_is_refused_and_nothing_is_written(
    home: Path, share: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = home / "refused.csv"
    code = run("predict", "numbers", home / "numbers.csv", "-o", out, "--home", home / "home", "--interval", share)
    assert code == 2
    assert "coverage" in capsys.readouterr().err
    assert not out.exists()


def test_clusters_have_no_intervals(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pl.DataFrame(load_iris().data)
    path = _trained_clusters(home, rows)
    code = run("predict", "clusters", path, "-o", home / "c.csv", "--home", home / "home", "--interval", "0.9")
    assert code == 2
    assert "clustering model has no prediction intervals" in " ".join(capsys.readouterr().err.split())


def _trained_clusters(home: Path, rows: pl.DataFrame) -> Path:
    rows.write_csv(home / "clusters.csv")
    modelwright.train(rows, trials=1, home=home / "home", name="clusters")
    return home / "clusters.csv"
