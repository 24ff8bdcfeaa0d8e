"""This project, called as a user would."""

from __future__ import annotations

import modelwright

DISTRIBUTION = "modelwright"


def fit(train, job):
    run = modelwright.train(
        train,
        target=job["target"],
        task=job["task"],
        metric=job["metric"],
        budget=f"{job['budget_s']:g}s",
        evaluation="none",
        time=job["time"],
        group=job["group"],
        seed=job["seed"],
        home=job["out"] + "_home",
    )
    return run.model


def predict(model, X, job):
    if job["task"] == "regression":
        return model.predict(X), None
    return model.predict_proba(X), list(model.classes_)


def predict_row(model, row, job):
    if "one" not in job:
        compiled = model.compile()
        job["one"] = compiled.predict if job["task"] == "regression" else compiled.predict_proba
    return job["one"](row)
