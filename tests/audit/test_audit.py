"""Each check speaks where it should and is silent where it should be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_iris

from modelwright.audit.checks import audit
from modelwright.audit.finding import Finding
from modelwright.tables.roles import encode_target
from modelwright.tables.types import infer_schema

TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


def findings(frame: pl.DataFrame, target: str | None = "y", task: Any = "binary", **options: Any) -> dict[str, list[Finding]]:
    schema = infer_schema(frame, target=target, task=task, **options)
    y, classes = (None, []) if target is None else encode_target(frame[target], task)
    found: dict[str, list[Finding]] = {}
    for finding in audit(frame, schema, y, task, classes=classes):
        found.setdefault(finding.check, []).append(finding)
    return found


def table(n: int = 400, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    y = (x.sum(axis=1) + rng.normal(size=n) > 0).astype(int)
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y})


def test_an_honest_table_raises_nothing() -> None:
    assert findings(table()) == {}


def test_telco_is_told_of_repeated_rows_and_its_identifier_and_no_leak() -> None:
    found = findings(pl.read_csv(TELCO, infer_schema_length=None), "Churn")

    assert set(found) == {"duplicate_rows", "conflicting_labels", "identifier"}
    assert found["duplicate_rows"][0].evidence["count"] == 22


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_easy_tables_are_not_called_leaky(load: Any) -> None:
    data = load()
    frame = pl.DataFrame(data.data, schema=[str(name) for name in data.feature_names]).with_columns(y=pl.Series(data.target))

    found = findings(frame, task="binary" if len(data.target_names) == 2 else "multiclass")

    assert not any(finding.severity == "critical" for finding in found.get("target_proxy", []))


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_noisy_copy_of_the_target_is_critical(task: str) -> None:
    rng = np.random.default_rng(1)
    frame = table(1000).with_columns(y=pl.Series(rng.normal(size=1000))) if task == "regression" else table(1000)
    copy = frame["y"].to_numpy() * 10 + rng.normal(scale=0.5, size=1000)

    found = findings(frame.with_columns(copy=pl.Series(copy)), task=task)

    assert [(f.severity, f.columns) for f in found["target_proxy"]] == [("critical", ("copy",))]


def test_a_relabelled_copy_and_its_twin_are_both_critical() -> None:
    frame = table(1000).with_columns(
        reason=pl.when(pl.col("y") == 1).then(pl.lit("left")).otherwise(pl.lit("stayed")), twin=pl.col("y") * 3.5
    )

    found = findings(frame)

    assert {f.columns[0] for f in found["target_proxy"] if f.severity == "critical"} == {"reason", "twin"}


def test_gaps_that_tell_the_target_are_reported_once_for_columns_filled_together() -> None:
    frame = table(1000).with_columns(
        d=pl.when(pl.col("y") == 1).then(pl.col("b")), e=pl.when(pl.col("y") == 1).then(pl.col("c"))
    )

    found = findings(frame)

    assert [f.columns for f in found["missingness_tells_target"]] == [("d", "e")]
    assert found["missingness_tells_target"][0].severity == "critical"


def test_gaps_by_chance_are_not_reported() -> None:
    rng = np.random.default_rng(3)
    frame = table(1000).with_columns(b=pl.when(pl.Series(rng.random(1000) > 0.3)).then(pl.col("b")))

    assert findings(frame) == {}


def test_sentinels_are_reported_and_named() -> None:
    rng = np.random.default_rng(2)
    spoiled = np.where(rng.random(400) < 0.05, -999.0, rng.normal(size=400))
    frame = table().with_columns(b=pl.Series(spoiled), job=pl.Series(rng.choice(["x", "z", "?"], size=400)))

    found = findings(frame)

    assert found["sentinel_value"][0].columns == ("b",)
    assert "-999" in found["sentinel_value"][0].mend
    assert found["missing_mark"][0].columns == ("job",)


def test_skewed_counts_and_shares_hold_no_sentinels() -> None:
    rng = np.random.default_rng(2)
    frame = table(2000).with_columns(
        b=pl.Series(rng.poisson(0.7, size=2000)),
        c=pl.Series(np.where(rng.random(2000) < 0.2, 1.0, rng.random(2000) * 0.01)),
        d=pl.Series(np.exp(2 * rng.normal(size=2000))),
    )

    assert "sentinel_value" not in findings(frame)


def test_duplicates_and_conflicting_labels_are_counted_with_their_rows() -> None:
    frame = table(200)
    twice = pl.concat([frame, frame.head(5), frame.slice(5, 3).with_columns(y=1 - pl.col("y"))])

    found = findings(twice)

    assert found["duplicate_rows"][0].rows == (200, 201, 202, 203, 204)
    assert found["conflicting_labels"][0].rows == (5, 6, 7, 205, 206, 207)


def test_equal_measurements_of_two_groups_are_no_duplicates() -> None:
    frame = table(200)
    both = pl.concat([frame.with_columns(who=pl.lit("p")), frame.with_columns(who=pl.lit("q"))])

    assert "duplicate_rows" not in findings(both, group="who")


def test_row_numbers_are_those_of_the_table_as_read() -> None:
    frame = table(200)
    twice = pl.concat([frame, frame.head(1)])
    schema = infer_schema(twice, target="y")

    found = audit(twice, schema, twice["y"].to_numpy(), "binary", rows=np.arange(201) * 10)

    assert found[0].rows == (2000,)


def test_rare_and_small_classes_are_reported() -> None:
    frame = table(1000).with_columns(y=pl.Series([1] * 8 + [0] * 992))

    found = findings(frame)

    assert found["class_imbalance"][0].evidence["rows"] == 8
    assert found["small_class"][0].evidence["classes"] == {"1": 8}


def test_few_rows_empty_columns_identifiers_and_rare_levels_are_reported() -> None:
    frame = table(80).with_columns(
        constant=pl.lit(1),
        empty=pl.lit(None, dtype=pl.Float64),
        sparse=pl.when(pl.int_range(80) < 2).then(pl.int_range(80) * 0.5),
        key=pl.Series([f"K{i}" for i in range(80)]),
        rare=pl.Series([f"level{i % 60}" for i in range(80)]),
    )

    found = findings(frame)

    assert {"few_rows", "constant_column", "empty_column", "nearly_empty_column", "identifier", "high_cardinality"} <= set(
        found
    )
    assert found["identifier"][0].columns == ("key",)


def test_mixed_cells_and_undecided_dates_are_reported() -> None:
    frame = table(300).with_columns(
        diag=pl.Series([str(i % 40) if i % 5 else "unclear" + "ab"[i % 2] for i in range(300)]),
        when=pl.Series([f"0{1 + i % 9}/0{1 + (i * 7) % 9}/2020" for i in range(300)]),
    )

    found = findings(frame)

    assert found["mixed_types"][0].columns == ("diag",)
    assert found["date_order"][0].columns == ("when",)


def test_clustering_and_tables_without_features_are_audited() -> None:
    assert findings(table().drop("y"), None, "clustering") == {}
    assert "constant_column" in findings(pl.DataFrame({"x": [1] * 200, "y": [0, 1] * 100}))


def test_fifty_thousand_rows_of_thirty_columns_are_audited_quickly() -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{i}": rng.normal(size=50_000) for i in range(20)}).with_columns(
        **{f"c{i}": pl.Series(rng.integers(0, 40, size=50_000).astype(str)) + "k" for i in range(10)},
        y=pl.Series(rng.integers(0, 2, size=50_000)),
    )
    schema = infer_schema(frame, target="y")
    start = time.perf_counter()

    audit(frame, schema, frame["y"].to_numpy(), "binary")

    # Measured at 0.3 s; the promise is 2 s on an idle machine.
    assert time.perf_counter() - start < 30


def test_without_time_only_the_long_checks_are_left_out_and_named() -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"x": rng.normal(size=300), "empty": [None] * 300, "y": rng.choice(["a", "b"], 300)})
    schema = infer_schema(
        frame, target="y", task="binary", time=None, group=None, weight=None, exclude=(), types={}, missing_values=()
    )
    y = (frame["y"] == "b").to_numpy().astype(np.int64)
    found = {f.check: f for f in audit(frame, schema, y, "binary", time_left=lambda: 0.0)}
    assert "empty_column" in found
    assert "adversarial" in found["checks_skipped"].evidence["checks"]
    assert "checks_skipped" not in {f.check for f in audit(frame, schema, y, "binary", time_left=lambda: 60.0)}
