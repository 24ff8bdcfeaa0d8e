"""Other leak detectors behind the contract, each with its own defaults, each in an environment of its own.

========== ================================== ==============================================================
detector   install                            what is taken as a finding
========== ================================== ==============================================================
deepchecks deepchecks==0.19.1 "numpy<2"       conditions of six checks at their default levels
           "pandas<2.2" "scikit-learn<1.4"
           "pyarrow<17" "setuptools<80"
targetleak targetleak==0.3.2                  criticals and warnings of ``analyse``
leakcheck  leakcheck-ml==0.3.0                fail and warn of ``run_all``
cleanlab   "cleanlab[datalab]==2.9.0"         near_duplicate over 5 % of evaluation rows; non_iid p < 0.05
skore      skore==0.28.0                      checks SKD011 and SKD013 of a report with 40 boosting rounds
========== ================================== ==============================================================

Each also needs polars. A detector that knows one level of severity is taken to mean "critical" by it, except where its
documents call the finding a tip or a warning.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np
import polars as pl

Roles = dict[str, str | None]
Findings = list[dict[str, Any]]


def targetleak(frame: pl.DataFrame, target: str, task: str, roles: Roles, split: np.ndarray) -> Findings:
    import targetleak as peer

    table = as_pandas(frame)
    name = _free(frame, "is_test")
    table[name] = split
    kinds = {"train-test-contamination": "duplicate", "group-overlap": "entity", "temporal-column": "time"}
    quality = {"target-mostly-null", "dead-on-labelled-rows", "widespread-separability", "duplicate-rows"}
    return [
        _finding(f.severity, kinds.get(f.kind, "column"), f.kind, f.column)
        for f in peer.analyse(table, target, split=name, group=roles.get("group"))
        if f.severity != "info" and f.kind not in quality
    ]


def leakcheck(frame: pl.DataFrame, target: str, task: str, roles: Roles, split: np.ndarray) -> Findings:
    from leakcheck.checks import run_all

    table = as_pandas(frame)
    train, test = table[~split].reset_index(drop=True), table[split].reset_index(drop=True)
    kinds = {"duplicates": "duplicate", "near-duplicates": "duplicate", "group-leakage": "entity", "temporal": "time"}
    return [
        _finding(
            "critical" if f.status == "fail" else "warning", kinds.get(f.check, "column"), f.check, f.details.get("column")
        )
        for f in run_all(train, test, target, time_col=roles.get("time"), group_col=roles.get("group"))
        if f.status != "pass"
    ]


def deepchecks(frame: pl.DataFrame, target: str, task: str, roles: Roles, split: np.ndarray) -> Findings:
    from deepchecks.tabular import Dataset
    from deepchecks.tabular.checks import (
        DateTrainTestLeakageOverlap,
        FeatureLabelCorrelation,
        FeatureLabelCorrelationChange,
        IdentifierLabelCorrelation,
        IndexTrainTestLeakage,
        TrainTestSamplesMix,
    )

    table = as_pandas(frame)
    time, group = roles.get("time"), roles.get("group")

    def side(rows: np.ndarray, cat_features: list[str] | None) -> Any:
        part = table[rows].reset_index(drop=True)
        return Dataset(part, label=target, label_type=task, datetime_name=time, index_name=group, cat_features=cat_features)

    # Both sides must agree about categories; what deepchecks infers from the training rows serves for both.
    train = side(~split, None)
    test = side(split, list(train.cat_features))
    train = side(~split, list(train.cat_features))
    found = []
    for column, score in FeatureLabelCorrelation().run(train, with_display=False).value.items():
        if score >= 0.8:
            found.append(_finding("critical", "column", "FeatureLabelCorrelation", column))
    change = FeatureLabelCorrelationChange().run(train, test, with_display=False).value
    for column, score in change["train"].items():
        if score >= 0.7 or change["train-test difference"].get(column, 0) >= 0.2:
            found.append(_finding("critical", "column", "FeatureLabelCorrelationChange", column))
    if time or group:
        for column, score in IdentifierLabelCorrelation().run(train, with_display=False).value.items():
            if score > 0:
                found.append(_finding("critical", "column", "IdentifierLabelCorrelation", column))
    if TrainTestSamplesMix().run(train, test, with_display=False).value["ratio"] > 0.05:
        found.append(_finding("critical", "duplicate", "TrainTestSamplesMix", None))
    if time and DateTrainTestLeakageOverlap().run(train, test, with_display=False).value > 0:
        found.append(_finding("critical", "time", "DateTrainTestLeakageOverlap", time))
    if group and IndexTrainTestLeakage().run(train, test, with_display=False).value > 0:
        found.append(_finding("critical", "entity", "IndexTrainTestLeakage", group))
    return found


def cleanlab(frame: pl.DataFrame, target: str, task: str, roles: Roles, split: np.ndarray) -> Findings:
    from cleanlab import Datalab

    features = _standardised(frame.drop(target))
    lab = Datalab(data={"row": list(range(len(features)))}, verbosity=0)
    lab.find_issues(features=features, issue_types={"near_duplicate": {}, "non_iid": {}})
    found = []
    sets = lab.get_issues("near_duplicate")["near_duplicate_sets"]
    across = [bool(len(s)) and bool((~split[np.asarray(s, dtype=int)]).any()) for s in sets[split]]
    if np.mean(across) > 0.05:
        found.append(_finding("warning", "duplicate", "near_duplicate", None))
    if lab.get_info("non_iid")["p-value"] < 0.05:
        found.append(_finding("warning", "order", "non_iid", None))
    return found


def skore(frame: pl.DataFrame, target: str, task: str, roles: Roles, split: np.ndarray) -> Findings:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from skore import EstimatorReport
    from skore._checks.skd011_golden_feature import CheckGoldenFeature
    from skore._checks.skd013_train_test_time_overlap import CheckTrainTestTimeOverlap
    from skore._checks.utils import CheckNotApplicable
    from skrub import tabular_pipeline

    table = as_pandas(frame)
    boosting = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    X, y = table.drop(columns=[target]), table[target]
    report = EstimatorReport(
        tabular_pipeline(boosting(max_iter=40, random_state=0)),
        X_train=X[~split],
        y_train=y[~split],
        X_test=X[split],
        y_test=y[split],
    )
    found = []
    for check, kind in ((CheckGoldenFeature(), "column"), (CheckTrainTestTimeOverlap(), "time")):
        try:
            message = check.check_function(report) or ""
        except CheckNotApplicable:
            continue
        for listed in re.findall(r"\[[^\]]*\]", message):
            for name in ast.literal_eval(listed):
                # The pipeline names what it makes of a column after the column.
                whole = max((c for c in frame.columns if name.startswith(c)), key=len, default=name)
                found.append(_finding("warning", kind, check.code, whole))
    return found


def as_pandas(frame: pl.DataFrame) -> Any:
    """A pandas table without pyarrow: text as objects, numbers with gaps as floats."""
    import pandas as pd

    out = {}
    for series in frame.iter_columns():
        if series.dtype.is_temporal():
            cells = series.cast(pl.Datetime("us"))
            values = cells.to_physical().cast(pl.Float64).is_null().to_numpy()
            stamps = cells.to_physical().fill_null(0).to_numpy().astype("datetime64[us]")
            stamps[values] = np.datetime64("NaT")
            out[series.name] = stamps
        elif series.dtype.is_numeric() or series.dtype == pl.Boolean:
            gaps = series.null_count() > 0
            out[series.name] = (
                series.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy() if gaps else series.to_numpy().copy()
            )
        else:
            out[series.name] = np.array(series.cast(pl.String).to_list(), dtype=object)
    return pd.DataFrame(out)


def _standardised(frame: pl.DataFrame) -> np.ndarray:
    """Numbers of mean 0 and deviation 1; text by its place in the alphabet, gaps as the mean."""
    from leaks.effect import ordered

    columns = []
    for series in frame.iter_columns():
        values, _ = ordered(series)
        deviation = np.nanstd(values) if (~np.isnan(values)).any() else 0.0
        if deviation > 0:
            columns.append(np.nan_to_num((values - np.nanmean(values)) / deviation))
    return np.column_stack(columns)


def _free(frame: pl.DataFrame, name: str) -> str:
    while name in frame.columns:
        name += "_"
    return name


def _finding(severity: str, kind: str, check: str, column: str | None) -> dict[str, Any]:
    return {"severity": severity, "kind": kind, "columns": [] if column is None else [str(column)], "check": check}
