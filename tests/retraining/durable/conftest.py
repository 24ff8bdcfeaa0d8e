"""A small table with a champion, trained once; each test gets a home of its own with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.registry.registry import Registry
from modelwright.registry.source import source_of


def rows(n: int, seed: int) -> pl.DataFrame:
    """Rows whose answer depends on two columns together, which no baseline sees."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(size=n)
    city = rng.choice(["Bonn", "Köln", "Ulm"], n)
    return pl.DataFrame({"x": x, "z": z, "city": city, "y": np.where((x * z > 0) ^ (rng.random(n) < 0.05), "yes", "no")})


@pytest.fixture(scope="session")
def with_champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tiny.csv`` and a home whose model ``tiny`` has a champion that learned from it."""
    folder = tmp_path_factory.mktemp("champion")
    rows(900, 0).write_csv(folder / "tiny.csv")
    home = folder / "home"
    modelwright.train(folder / "tiny.csv", target="y", trials=1, algorithms=["linear"], home=home, name="tiny")
    Registry(home).register(source_of("tiny", home), "tiny", aliases=["champion"], force=True, why="to begin with")
    return folder


@pytest.fixture(scope="session")
def more_rows() -> pl.DataFrame:
    """Rows that came later."""
    return rows(900, 1)


@pytest.fixture
def folder(with_champion: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(with_champion, tmp_path / "work"))
