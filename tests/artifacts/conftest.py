"""One small trained bundle for the tests of what lies on the disk."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import modelwright

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear model on real rows; never written to."""
    rows = pl.read_csv(TELCO, infer_schema_length=None).head(400)
    run = modelwright.train(rows, target="Churn", trials=2, algorithms=["linear"], home=tmp_path_factory.mktemp("home"))
    return run.folder / "model"
