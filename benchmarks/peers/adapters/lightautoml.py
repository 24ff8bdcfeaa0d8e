"""LightAutoML's TabularAutoML preset."""

from __future__ import annotations

import numpy as np
from lightautoml.automl.presets.tabular_presets import TabularAutoML
from lightautoml.tasks import Task

DISTRIBUTION = "lightautoml"
TASKS = {"binary": "binary", "multiclass": "multiclass", "regression": "reg"}


def fit(train, job):
    automl = TabularAutoML(
        task=Task(TASKS[job["task"]]),
        timeout=job["budget_s"],
        cpu_limit=job["cores"],
        reader_params={"n_jobs": job["cores"], "random_state": job["seed"]},
    )
    automl.fit_predict(train, roles={"target": job["target"]}, verbose=0)
    return automl


def predict(automl, X, job):
    data = automl.predict(X).data
    if job["task"] == "regression":
        return data[:, 0], None
    numbers = automl.reader.class_mapping
    if job["task"] == "binary":
        data = np.c_[1 - data[:, 0], data[:, 0]]
    return data, sorted(numbers, key=numbers.get) if numbers else list(range(data.shape[1]))
