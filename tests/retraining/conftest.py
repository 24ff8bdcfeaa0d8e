"""Stores of both kinds; a table in time, and an early and a late model of it; each test gets a home of its own."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import modelwright
from modelwright.registry.registry import Registry
from modelwright.registry.source import source_of

TABLE = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"
EARLY, LATE = 80, 1500
FIRST = datetime(2025, 1, 1)


def customers() -> pl.DataFrame:
    """Customers of a telephone company, one an hour."""
    columns = ["gender", "tenure", "InternetService", "Contract", "PaymentMethod", "MonthlyCharges", "Churn"]
    frame = pl.read_csv(TABLE).select(columns)[:5000]
    hours = [FIRST + timedelta(hours=k) for k in range(frame.height)]
    return frame.with_columns(pl.Series("seen", hours))


@pytest.fixture(scope="session")
def table() -> pl.DataFrame:
    return customers()


@pytest.fixture(scope="session")
def trained_in_time(tmp_path_factory: pytest.TempPathFactory, table: pl.DataFrame) -> Path:
    """A home with churn/1, of few rows and champion, churn/2, of many, and churn/3, of the opposite labels."""
    home = tmp_path_factory.getbasetemp() / "loop"
    if home.is_dir():  # the tests of serving have made it
        return home
    home.mkdir()
    for number, (n, algorithm) in enumerate(((EARLY, "lightgbm"), (LATE, "linear")), 1):
        modelwright.train(
            table[:n], target="Churn", time="seen", metric="accuracy", trials=1, algorithms=[algorithm], home=home,
            name=f"run-{number}", evaluation="none",
        )  # fmt: skip
    opposite = table[:300].with_columns(pl.col("Churn").replace({"Yes": "No", "No": "Yes"}))
    modelwright.train(
        opposite, target="Churn", time="seen", metric="accuracy", trials=1, algorithms=["linear"], home=home, name="run-3",
        evaluation="none",
    )  # fmt: skip
    registry = Registry(home)
    for number in (1, 2, 3):
        registry.register(source_of(f"run-{number}", home), "churn", force=True, why="a test")
    registry.promote("churn", 1, why="the first")
    return home


@pytest.fixture
def home(trained_in_time: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_in_time, tmp_path / "home"))
