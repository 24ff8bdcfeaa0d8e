"""Real rows for end-to-end trainings, and one finished run that many tests look at."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import modelwright
from modelwright.runs.run import Run

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="session")
def churn() -> pl.DataFrame:
    """The first 800 rows of the churn table, as read."""
    from modelwright.tables.read import read

    return read(TELCO).frame.head(800)


@pytest.fixture(scope="session")
def run(churn: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small finished run: two algorithms, four trials."""
    home = tmp_path_factory.mktemp("home")
    return modelwright.train(churn, target="Churn", trials=4, algorithms=["linear", "lightgbm"], home=home, name="churn")
