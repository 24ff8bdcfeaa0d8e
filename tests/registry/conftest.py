"""Three trained models in one home; each test gets a home of its own with their runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import modelwright


def table(n: int, seed: int) -> pl.DataFrame:
    """Rows whose answer depends on two columns together, which no baseline sees."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(size=n)
    city = rng.choice(["Bonn", "Köln", "Ulm"], n)
    return pl.DataFrame({"x": x, "z": z, "city": city, "y": np.where((x * z > 0) ^ (rng.random(n) < 0.05), "yes", "no")})


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the runs one, two and three, of which the last learned from labels without meaning."""
    home = tmp_path_factory.mktemp("trained")
    for seed, name in enumerate(("one", "two")):
        modelwright.train(table(900, 0), target="y", trials=1, algorithms=["lightgbm"], home=home, name=name, seed=seed)
    noise = table(300, 1).with_columns(pl.col("y").shuffle(seed=1))
    modelwright.train(noise, target="y", trials=1, algorithms=["linear"], home=home, name="three")
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "home"))
