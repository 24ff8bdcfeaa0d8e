"""One quickly trained model, and answers of it as the server logs them; stores on SQLite and Postgres."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.artifacts.golden import json_cell
from modelwright.artifacts.model import Model
from modelwright.monitoring.labels import Label
from modelwright.monitoring.prediction_log import write_predictions
from modelwright.registry.source import source_of
from modelwright.store.database import Database

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"
BEGUN = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def churn() -> pl.DataFrame:
    """All rows of the churn table, as read, in a seeded order."""
    from modelwright.tables.read import read

    return read(TELCO).frame.sample(fraction=1.0, shuffle=True, seed=5)


@pytest.fixture(scope="session")
def home(churn: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the model churn/1, trained on the first 3,000 rows."""
    home = tmp_path_factory.mktemp("home")
    run = modelwright.train(churn.head(3000), target="Churn", trials=1, algorithms=["linear"], home=home, name="churn")
    registry = modelwright.open_registry(home)
    registry.register(source_of(run.folder, home), "churn", aliases=["champion"], force=True, why="a simple model will do")
    return home


@pytest.fixture(scope="session")
def model(home: Path) -> Model:
    """That model."""
    return modelwright.load("churn@champion", home=home)


class Log:
    """Writes rows as the server logs them, and says what turned out."""

    begun = BEGUN

    def labels(self, ids: Sequence[str], rows: pl.DataFrame) -> list[Label]:
        """What turned out of each row."""
        values: list[Any] = rows["Churn"].to_list()
        return [Label(one, value) for one, value in zip(ids, values, strict=True)]

    def wrong(self, labels: Sequence[Label], share: float, seed: int = 0) -> list[Label]:
        """Labels of which a share is turned round."""
        turned = np.random.default_rng(seed).random(len(labels)) < share
        other = {"Yes": "No", "No": "Yes"}
        return [Label(each.id, other[each.value] if turn else each.value) for each, turn in zip(labels, turned, strict=True)]

    def __call__(self, *arguments: Any, **options: Any) -> list[str]:
        """Ids of the predictions written."""
        return _logged(*arguments, **options)


@pytest.fixture(scope="session")
def log() -> Log:
    """Writes into the log of predictions."""
    return Log()


def _logged(
    database: Database,
    model: Model,
    rows: pl.DataFrame,
    *,
    name: str = "churn",
    version: str = "1",
    begun: dt.datetime = BEGUN,
    every_s: float = 60.0,
    answer_rows: int = 1,
    latency_ms: float = 1.0,
) -> list[str]:
    """Write rows as the server logs them; the ids of the predictions."""
    import msgspec

    features = rows.select([name for name in rows.columns if name in set(model.feature_names_in_.tolist())])
    proba = model.predict_proba(features)
    labels = model.label(proba).tolist()
    sent = [{name: json_cell(value) for name, value in row.items()} for row in features.to_dicts()]
    lines, ids = [], []
    for k, start in enumerate(range(0, len(sent), answer_rows)):
        part = slice(start, start + answer_rows)
        at = begun + dt.timedelta(seconds=every_s * k)
        answer = f"{name}-{version}-{at.timestamp():.0f}-{k:06d}"
        given = sent[part]
        ids += [f"{answer}-{j}" for j in range(len(given))]
        lines.append(
            (answer, len(given), name, version, "live", at.isoformat(timespec="microseconds"), None, msgspec.json.encode(given),
             msgspec.json.encode(labels[part]).decode(), msgspec.json.encode(proba[part].tolist()).decode(), latency_ms, None)
        )  # fmt: skip
    for start in range(0, len(lines), 500):
        write_predictions(database, lines[start : start + 500])
    return ids
