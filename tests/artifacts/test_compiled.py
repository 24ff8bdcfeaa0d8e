"""A row alone, as a dict or a table of one row, gets the bits that it gets in a batch."""

from __future__ import annotations

import copy
import pickle
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from modelwright.artifacts.model import Member, Model
from modelwright.ensembles.calibration import Calibration
from modelwright.errors import InvalidInputError, SchemaError
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.tables.conform import conform
from modelwright.tables.schema import Column, Schema, Task

SCHEMA = Schema(
    (
        Column("amount", "number", "feature"),
        Column("stamp", "number", "feature"),
        Column("count", "number", "feature", missing_values=(-1.0,)),
        Column("plan", "category", "feature", missing_values=("?",)),
        Column("town", "category", "feature"),
        Column("member", "boolean", "feature", true_values=("yes",), false_values=("no",)),
        Column("since", "datetime", "feature", formats=("%d/%m/%Y", "%Y-%m-%d")),
        Column("seen", "datetime", "feature"),
        Column("note", "text", "text"),
        Column("recorded", "datetime", "time"),
        Column("y", "category", "target"),
    )
)
WORDS = ["late", "broken", "fine", "thanks", "never", "again", "refund", "quick!"]
PARAMS: dict[str, dict[str, Any]] = {
    "network": {"n_epochs": 2, "width": 32},
    "lightgbm": {"n_estimators": 130, "num_leaves": 8},
    "xgboost": {"n_estimators": 20},
    "catboost": {"n_estimators": 20},
    "random_forest": {"n_estimators": 20},
    "extra_trees": {"n_estimators": 20},
}


def table(n: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    start = datetime(2023, 1, 1)
    since = [start + timedelta(days=int(d)) for d in rng.integers(0, 900, n)]
    return pl.DataFrame(
        {
            "amount": [None if k % 7 == 0 else float(v) ** 3 for k, v in enumerate(rng.normal(size=n))],
            "stamp": 1.7e9 + rng.integers(0, 1000, n),
            "count": rng.integers(-1, 40, n),
            "plan": rng.choice(["basic", "plus", "pro", "?"], n),
            "town": [None if k == 3 else f"town {k}" for k in rng.integers(0, 60, n)],
            "member": rng.choice(["yes", "no"], n),
            "since": [f"{s:%d/%m/%Y}" if k % 3 else f"{s:%Y-%m-%d}" for k, s in enumerate(since)],
            "seen": [None if k % 9 == 0 else s + timedelta(seconds=k) for k, s in enumerate(since)],
            "note": [None if k % 10 == 0 else " ".join(rng.choice(WORDS, 9)) for k in range(n)],
            "recorded": [start + timedelta(hours=7 * k) for k in range(n)],
        }
    )


@pytest.fixture(scope="module")
def encoders() -> list[Encoder]:
    conformed, _ = conform(table(300), SCHEMA, columns=SCHEMA.features + SCHEMA.with_role("time"))
    without_text = Schema(tuple(column for column in SCHEMA.columns if column.name != "note"))
    return [Encoder.fit(conformed, SCHEMA), Encoder.fit(conformed, without_text)]


def model(names: list[str], task: Task, encoders: list[Encoder], calibration: Calibration | None = None) -> Model:
    frame, _ = conform(table(300), SCHEMA, columns=SCHEMA.features + SCHEMA.with_role("time"))
    n_classes = {"binary": 2, "multiclass": 4}.get(task, 0)
    rng = np.random.default_rng(1)
    signal = frame["amount"].fill_null(0).to_numpy() + (frame["plan"].fill_null("") == "pro").to_numpy() + rng.normal(size=300)
    y = (
        signal
        if task == "regression"
        else np.digitize(signal, np.quantile(signal, np.arange(1, n_classes) / max(n_classes, 1)))
    )
    members = []
    for number, name in enumerate(names):
        params = PARAMS.get(name, {})
        learner = registry.get(name)(params, task=task, n_classes=n_classes, seed=number)
        learner.fit(encoders[number % 2].transform(frame), None if task == "clustering" else y)
        members.append(Member(learner, (number + 1) / sum(range(1, len(names) + 1)), number % 2))
    return Model(
        task=task,
        target="y",
        classes=["a", "b", "c", "d"][:n_classes],
        schema=SCHEMA,
        encoders=encoders,
        members=members,
        calibration=calibration,
        threshold=0.4 if task == "binary" else None,
    )


def unlike() -> pl.DataFrame:
    """Rows that training has not seen the like of: other towns, empty cells, a number out of range."""
    rows = table(60, seed=5)
    return rows.with_columns(
        pl.when(pl.int_range(60) % 5 == 0).then(pl.lit("nowhere")).otherwise(pl.col("town")).alias("town"),
        pl.when(pl.int_range(60) % 13 == 0).then(1e300).otherwise(pl.col("amount")).alias("amount"),
        pl.when(pl.int_range(60) % 11 == 0).then(pl.lit("")).otherwise(pl.col("note")).alias("note"),
        pl.when(pl.int_range(60) % 6 == 0).then(None).otherwise(pl.col("member")).alias("member"),
    )


CASES = [(name, task) for name in registry.names() for task in registry.get(name).algorithm.tasks]


@pytest.mark.parametrize(("name", "task"), CASES)
def test_every_learner_answers_a_row_alone_with_the_bits_of_the_batch(name: str, task: Task, encoders: list[Encoder]) -> None:
    made = model([name], task, encoders)
    rows = unlike()
    expected = made.raw(rows)
    score = made.compile()
    np.testing.assert_array_equal(np.array([score.raw(row) for row in rows.iter_rows(named=True)]), expected)
    np.testing.assert_array_equal(np.concatenate([made.raw(rows[k : k + 1]) for k in range(20)]), expected[:20])
    np.testing.assert_array_equal(np.concatenate([made.raw(rows[k : k + 7]) for k in range(0, 21, 7)]), expected[:21])
    # Whoever sends the model to a pool of processes, or copies it, gets the same one: with all that was made for single rows.
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        np.testing.assert_array_equal(again.raw(rows), expected)
        np.testing.assert_array_equal(again.compile().raw(rows.row(0, named=True)), expected[0])


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_ensemble_with_calibration_answers_alike_as_dict_list_pandas_and_polars(task: Task, encoders: list[Encoder]) -> None:
    calibration = None if task == "regression" else Calibration("temperature", temperature=1.7)
    made = model(["lightgbm", "linear", "extra_trees", "catboost"], task, encoders, calibration)
    rows = unlike()
    labels, expected = made.predict(rows), made.raw(rows)
    pandas = rows.to_pandas()
    for k, row in enumerate(rows.to_dicts()):
        assert made.predict_one(row) == labels[k]
        np.testing.assert_array_equal(made.raw(pandas[k : k + 1])[0], expected[k])
        np.testing.assert_array_equal(made.raw([row])[0], expected[k])
    for few in (rows[:1], rows[:16], pandas[:1], rows[:1].to_dicts()):
        assert made.compile().few(few) is not None, "read as a table"
    named = rows.drop("recorded").row(0)
    without_time = dict(zip(made.feature_names_in_, named, strict=True))
    np.testing.assert_array_equal(made.compile().raw(list(named)), made.compile().raw(without_time))
    np.testing.assert_array_equal(made.raw(pandas[:9]), expected[:9])


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "clustering"])
def test_rows_read_column_by_column_get_the_bits_of_the_table(task: Task, encoders: list[Encoder]) -> None:
    names = ["kmeans"] if task == "clustering" else ["lightgbm", "linear", "catboost"]
    made = model(names, task, [encoders[1]] * 2)
    rows = unlike()
    score = made.compile()
    columns = score.reader.columns(rows.to_dicts())
    assert columns is not None
    np.testing.assert_array_equal(score.score_columns(columns), made.raw(rows))
    assert score.reader.table(columns).equals(conform(rows, SCHEMA, columns=SCHEMA.features + SCHEMA.with_role("time"))[0])
    assert model(["kmeans"], "clustering", encoders).compile().score_columns(columns) is None, "texts are read as a table"


#: Ways to write a cell that mean the same.
SPELLINGS: dict[str, tuple[Any, list[Any]]] = {
    "amount": (2.5, [np.float32(2.5), "2.5", " 2.5 ", "$2.50", "2.5e0"]),
    "count": (None, [-1, -1.0, "-1", "-1.0", float("nan"), "", "n/a", pd.NA]),
    "plan": ("pro", [" pro", "pro "]),
    "town": (None, ["", "  ", float("nan"), pd.NA]),
    "member": (True, [1, 1.0, "yes", " YES ", "true", np.bool_(True)]),
    "since": (
        datetime(2024, 5, 3),
        ["2024-05-03", "03/05/2024", "2024-05-03T00:00:00Z", date(2024, 5, 3), pd.Timestamp("2024-05-03")],
    ),
    "seen": (
        datetime(2024, 5, 3, 12),
        ["2024-05-03 12:00", "2024-05-03T14:00:00+02:00", datetime(2024, 5, 3, 12, tzinfo=UTC), "2024-05-03T12:00:00.000"],
    ),
}


@pytest.mark.parametrize("column", SPELLINGS)
def test_a_cell_means_the_same_however_it_is_written(column: str, encoders: list[Encoder]) -> None:
    score = model(["lightgbm"], "regression", encoders).compile()
    row = table(1, seed=9).to_dicts()[0] | {"count": 3}
    value, spellings = SPELLINGS[column]
    plain = score.reader.mapping(row | {column: value})
    assert plain is not None
    for spelling in spellings:
        read = score.reader.mapping(row | {column: spelling})
        assert read is not None, spelling
        np.testing.assert_equal(read, plain)


@pytest.mark.parametrize(
    "change",
    [{"amount": "a lot"}, {"member": -1}, {"since": "soon"}, {"seen": 12.5}, {"amount": datetime(2024, 1, 1)}],
    ids=lambda change: next(iter(change)),
)
def test_what_cannot_be_read_is_refused_in_the_words_of_a_table(change: dict[str, Any], encoders: list[Encoder]) -> None:
    made = model(["linear"], "regression", encoders)
    row = table(1).to_dicts()[0] | change
    with pytest.raises(SchemaError) as alone:
        made.predict_one(row)
    with pytest.raises(SchemaError) as in_table:
        conform(made.rows([row]), SCHEMA)
    assert str(alone.value) == str(in_table.value)
    assert f"column {next(iter(change))!r}" in str(alone.value)


def test_a_missing_column_and_a_short_list_are_named(encoders: list[Encoder]) -> None:
    made = model(["linear"], "binary", encoders)
    row = table(1).to_dicts()[0]
    del row["town"]
    with pytest.raises(SchemaError, match="'town'"):
        made.predict_one(row)
    with pytest.raises(InvalidInputError, match="9 columns, but the row is 2 values"):
        made.predict_one([1.0, 2.0])
    with pytest.raises(InvalidInputError, match="Call predict instead"):
        model(["linear"], "regression", encoders).compile().predict_proba(row)


def test_threads_share_a_compiled_model(encoders: list[Encoder]) -> None:
    made = model(["lightgbm", "extra_trees"], "multiclass", encoders)
    rows = unlike()
    expected = made.raw(rows)
    score = made.compile()
    wrong: list[int] = []

    def answer() -> None:
        for k, row in enumerate(rows.iter_rows(named=True)):
            if not np.array_equal(score.raw(row), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=answer) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_number_that_the_user_calls_text_is_read_as_a_table_reads_it() -> None:
    schema = Schema((Column("code", "number", "text"), Column("x", "number", "feature"), Column("y", "number", "target")))
    frame = pl.DataFrame({"code": [10.0, 20.0, 10.0, 30.0] * 20, "x": [0.5, 1.0, 2.0, 4.0] * 20})
    encoder = Encoder.fit(frame, schema)
    learner = registry.get("linear")({}, task="regression")
    learner.fit(encoder.transform(frame), frame["x"].to_numpy())
    made = Model(
        task="regression", target="y", classes=[], schema=schema, encoders=[encoder], members=[Member(learner, 1.0, 0)]
    )
    assert [made.predict_one(row) for row in frame[:4].to_dicts()] == made.predict(frame)[:4].tolist()
