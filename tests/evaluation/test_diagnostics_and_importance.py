"""Plots hold few, plain and true points; importance finds what the model reads."""

from __future__ import annotations

import json
import time

import numpy as np
import polars as pl
import pytest

from modelwright.evaluation.importance import correlated, permutation_importance
from modelwright.evaluation.sealed import diagnostics
from modelwright.metrics.registry import METRICS


def test_two_classes_give_four_plots_of_plain_numbers():
    rng = np.random.default_rng(0)
    p = rng.random(5000)
    y = (rng.random(5000) < p).astype(np.int64)
    plots = diagnostics("binary", y, np.column_stack([1 - p, p]), ["no", "yes"])
    assert {key: set(value) for key, value in plots.items()} == {
        "roc": {"fpr", "tpr"},
        "pr": {"recall", "precision"},
        "calibration": {"predicted", "observed", "count"},
        "confusion": {"labels", "counts"},
    }
    json.dumps(plots)
    assert len(plots["roc"]["fpr"]) <= 200
    assert len(plots["pr"]["recall"]) <= 200
    area = np.trapezoid(plots["roc"]["tpr"], plots["roc"]["fpr"])
    assert area == pytest.approx(METRICS["roc_auc"].score(y, p, None), abs=0.001)
    assert np.allclose(plots["calibration"]["predicted"], plots["calibration"]["observed"], atol=0.06)
    assert sum(plots["calibration"]["count"]) == 5000


def test_curve_and_confusion_by_hand():
    y = np.array([0, 1, 0, 1])
    p = np.array([0.1, 0.4, 0.35, 0.8])
    plots = diagnostics("binary", y, np.column_stack([1 - p, p]), ["a", "b"])
    assert plots["roc"] == {"fpr": [0, 0, 0, 0.5, 1], "tpr": [0, 0.5, 1, 1, 1]}
    assert plots["pr"]["precision"] == [1, 1, 1, 0.666667, 0.5]
    assert plots["confusion"] == {"labels": ["a", "b"], "counts": [[2, 0], [1, 1]]}
    assert diagnostics("binary", y, np.column_stack([1 - p, p]), ["a", "b"], threshold=0.3)["confusion"]["counts"] == [
        [1, 1],
        [0, 2],
    ]


def test_many_classes_show_the_frequent_ones_and_the_rest_together():
    rng = np.random.default_rng(1)
    y = np.minimum(rng.geometric(0.15, 3000) - 1, 19)
    proba = rng.dirichlet(np.ones(20), 3000)
    plot = diagnostics("multiclass", y, proba, list(range(20)))["confusion"]
    assert plot["labels"] == [*(str(k) for k in np.sort(np.argsort(-np.bincount(y), kind="stable")[:12])), "other"]
    assert np.sum(plot["counts"]) == 3000
    assert np.shape(plot["counts"]) == (13, 13)


def test_one_class_in_the_rows_leaves_out_the_curves():
    plots = diagnostics("binary", np.zeros(20, dtype=np.int64), np.full((20, 2), 0.5), ["a", "b"])
    assert set(plots) == {"calibration", "confusion"}


def test_numbers_and_clusters_are_thinned():
    rng = np.random.default_rng(2)
    y = rng.normal(size=4000)
    plot = diagnostics("regression", y, y * 0.9, [])["residuals"]
    assert len(plot["predicted"]) == len(plot["actual"]) == 200
    assert np.allclose(np.array(plot["actual"]) * 0.9, plot["predicted"], atol=1e-4)
    X = rng.normal(size=(1000, 5)) * [1, 1, 9, 1, 1]
    clusters = (X[:, 2] > 0).astype(np.int64)
    plot = diagnostics("clustering", X, clusters, [])["clusters"]
    assert set(plot) == {"x", "y", "cluster"}
    assert len(plot["x"]) == 200
    assert abs(np.corrcoef(plot["x"], plot["cluster"])[0, 1]) > 0.7


def test_importance_ranks_columns_by_what_they_do():
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"strong": rng.normal(size=3000), "weak": rng.normal(size=3000), "unread": rng.normal(size=3000)})

    def predict(rows: pl.DataFrame) -> np.ndarray:
        return (3 * rows["strong"] + rows["weak"]).to_numpy()

    found = permutation_importance(predict, frame, predict(frame), METRICS["rmse"], frame.columns, seed=0)
    assert [entry.name for entry in found] == ["strong", "weak", "unread"]
    assert sum(entry.share for entry in found) == pytest.approx(1)
    # Root mean squared errors of 3 * sqrt(2) and sqrt(2).
    assert found[0].share == pytest.approx(0.75, abs=0.03)
    assert found[0].low < 3 * 2**0.5 < found[0].high
    assert found[0].dominant
    assert found[2].share == 0
    again = permutation_importance(predict, frame, predict(frame), METRICS["rmse"], frame.columns, seed=0)
    assert found == again


def test_importance_stops_in_time_and_keeps_what_it_has():
    frame = pl.DataFrame({f"c{i}": np.random.default_rng(i).normal(size=100) for i in range(50)})

    def predict(rows: pl.DataFrame) -> np.ndarray:
        time.sleep(0.02)
        return rows["c0"].to_numpy()

    started = time.monotonic()
    found = permutation_importance(predict, frame, np.arange(100.0), METRICS["mae"], frame.columns, seed=0, time_limit_s=0.2)
    assert time.monotonic() - started < 0.02 * 50 * 5  # five times what all columns would take: a busy machine may fail nobody
    assert 0 < len(found) < 50


def test_importance_of_a_model_that_reads_nothing_is_zero():
    frame = pl.DataFrame({"a": np.arange(20.0)})
    proba = np.full((20, 2), 0.5)
    found = permutation_importance(lambda _: proba, frame, np.arange(20) % 2, METRICS["log_loss"], ["a"], seed=0)
    assert [(entry.name, entry.share) for entry in found] == [("a", 0.0)]
    assert permutation_importance(lambda _: proba, frame, np.zeros(20, dtype=int), METRICS["roc_auc"], ["a"], seed=0) == []


def test_columns_that_tell_the_same_are_shuffled_together():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=1000), rng.normal(size=1000)
    code = rng.integers(0, 4, 1000)
    frame = pl.DataFrame({"a": a, "b": b, "a_again": -np.exp(a), "word": code, "code": code}).with_columns(
        pl.col("word").replace_strict({0: "n", 1: "e", 2: "s", 3: "w"}),
        pl.col("code").replace_strict({0: "0", 1: "1", 2: "2", 3: "3"}),
    )
    assert correlated(frame, frame.columns) == [("a", "a_again"), ("b",), ("word", "code")]

    def predict(rows: pl.DataFrame) -> np.ndarray:
        # Half of what the model knows of a comes by way of its copy.
        return (rows["a"] + np.log(-rows["a_again"].to_numpy()) + rows["b"]).to_numpy()

    found = permutation_importance(predict, frame, predict(frame), METRICS["rmse"], frame.columns, seed=0)
    assert found[0].columns == ("a", "a_again")
    assert found[0].drop == pytest.approx(2 * 2**0.5, rel=0.1)
