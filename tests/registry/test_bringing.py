"""A registered version whose folder is gone is made again from the published run, to the byte, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

import modelwright
from modelwright.artifacts.manifest import manifest_digest
from modelwright.errors import BundleError, InvalidInputError
from modelwright.registry.find import open_registry
from modelwright.registry.source import source_of
from modelwright.runs.remote import push

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the version churn/1 and its run, published beside it."""
    place = tmp_path_factory.mktemp("made")
    rows = pl.read_csv(TELCO, infer_schema_length=None).head(400)
    home = place / "home"
    run = modelwright.train(rows, target="Churn", trials=1, algorithms=["linear"], home=home, name="churn").folder
    open_registry(home).register(source_of(run, home), "churn", aliases=["champion"], force=True, why="a test")
    push(home, (place / "published").as_uri(), run.name)
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of both in which the home lost its folders, and kept its database."""
    shutil.copytree(made, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "home" / "models")
    shutil.rmtree(tmp_path / "copy" / "home" / "runs")
    return tmp_path / "copy"


def test_a_version_comes_back_from_the_run_that_was_published(made: Path, place: Path) -> None:
    home, url = place / "home", (place / "published").as_uri()
    with pytest.raises(BundleError, match="is gone"):
        modelwright.load("churn@champion", home=home)
    model = modelwright.load("churn@champion", home=home, artifacts=url)
    there = open_registry(home).resolve("churn/1").folder
    assert manifest_digest(there) == manifest_digest(made / "home" / "models" / "churn" / "1")
    rows = pl.read_csv(TELCO).tail(5)
    assert (
        model.predict_proba(rows).tobytes()
        == modelwright.load(made / "home" / "models" / "churn" / "1").predict_proba(rows).tobytes()
    )
    modelwright.load("churn/1", home=home)  # from now on without the address


def test_another_model_under_the_name_of_the_run_is_refused_and_nothing_is_kept(place: Path, tmp_path: Path) -> None:
    home, other = place / "home", tmp_path / "other"
    run = open_registry(home).versions("churn")[0].run
    rows = pl.read_csv(TELCO, infer_schema_length=None).tail(400)
    folder = modelwright.train(rows, target="Churn", trials=1, algorithms=["linear"], home=other, name="churn").folder
    shutil.copytree(folder, home / "runs" / run)
    with pytest.raises(BundleError, match="does not hold the model"):
        modelwright.load("churn/1", home=home, artifacts=(place / "published").as_uri())
    assert not list((home / "models" / "churn").iterdir())


def test_what_is_registered_nowhere_is_said_as_ever(place: Path) -> None:
    with pytest.raises(InvalidInputError):
        modelwright.load("churn/7", home=place / "home", artifacts=(place / "published").as_uri())
