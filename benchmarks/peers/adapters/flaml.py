"""FLAML's AutoML, alone or with the stacked ensemble of its best learners."""

from __future__ import annotations

from flaml import AutoML

DISTRIBUTION = "flaml"


def fit(train, job):
    automl = AutoML()
    automl.fit(
        train.drop(columns=[job["target"]]),
        train[job["target"]],
        task="regression" if job["task"] == "regression" else "classification",
        metric=job["metric"],
        time_budget=job["budget_s"],
        n_jobs=job["cores"],
        verbose=0,
        seed=job["seed"],
        ensemble=job["preset"] == "ensemble",
    )
    return automl


def predict(automl, X, job):
    if job["task"] == "regression":
        return automl.predict(X), None
    return automl.predict_proba(X), list(automl.classes_)
