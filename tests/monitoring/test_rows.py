"""Rows as they were sent: read as the model reads them, and whatever is wrong with them is kept as a fact."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from modelwright.artifacts.model import Model
from modelwright.monitoring.prediction_log import REDACTED
from modelwright.monitoring.rows import rows_of_log, rows_of_table


def sent(model: Model, churn: pl.DataFrame, n: int = 60) -> list[dict[str, Any]]:
    return churn[3000 : 3000 + n].select(model.feature_names_in_.tolist()).to_dicts()


def test_cells_of_json_are_read_as_those_of_a_table(model: Model, churn: pl.DataFrame) -> None:
    rows = sent(model, churn)
    answers = model.predict_proba(churn[3000:3060])
    logged, table = rows_of_log(model, rows, answers), rows_of_table(model, churn[3000:3060])
    assert logged.cells.keys() == table.cells.keys()
    assert all(logged.cells[name].equals(table.cells[name]) for name in table.cells)
    assert table.answers is not None
    assert np.array_equal(table.answers, answers)
    # Numbers sent as text mean the same.
    texts = [{name: str(value) if isinstance(value, float | int) else value for name, value in row.items()} for row in rows]
    assert all(rows_of_log(model, texts, answers).cells[name].equals(table.cells[name]) for name in table.cells)


def test_what_is_not_kept_is_not_judged(model: Model, churn: pl.DataFrame) -> None:
    rows = [row | {"gender": REDACTED} for row in sent(model, churn)]
    found = rows_of_log(model, rows, np.zeros((60, 2)))
    assert found.unseen == ("gender",)
    assert "gender" not in found.cells
    assert found.notes == ("Not kept in the log, and not judged: 'gender'.",)


def test_cells_that_cannot_be_read_are_counted_and_a_column_that_is_gone_is_not_there(
    model: Model, churn: pl.DataFrame
) -> None:
    frame = (
        churn[3000:3060]
        .with_columns(tenure=pl.Series(["twelve"] * 20 + ["3"] * 40), MonthlyCharges=pl.lit(pl.Series([[1.0]] * 60)))
        .drop("Contract")
    )
    found = rows_of_table(model, frame)
    assert found.unreadable["tenure"] == 20
    assert found.unreadable["MonthlyCharges"] == 60
    assert found.cells["MonthlyCharges"].null_count() == 60
    assert "Contract" not in found.cells
    assert found.answers is None
    assert any("Contract" in note for note in found.notes)
