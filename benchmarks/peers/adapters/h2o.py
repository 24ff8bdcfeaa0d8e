"""H2O AutoML with a server of its own; the leader predicts."""

from __future__ import annotations

import socket

import h2o
from h2o.automl import H2OAutoML

DISTRIBUTION = "h2o"
METRICS = {"roc_auc": "AUC", "log_loss": "logloss", "rmse": "RMSE"}


def fit(train, job):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    h2o.init(port=port, nthreads=job["cores"], max_mem_size="8g", verbose=False, bind_to_localhost=True)
    h2o.no_progress()
    frame = h2o.H2OFrame(train)
    if job["task"] != "regression":
        frame[job["target"]] = frame[job["target"]].asfactor()
    automl = H2OAutoML(max_runtime_secs=job["budget_s"], seed=job["seed"], sort_metric=METRICS[job["metric"]])
    automl.train(y=job["target"], training_frame=frame)
    if automl.leader is None:
        raise RuntimeError("H2O AutoML fitted no model within the budget")
    return automl.leader


def predict(model, X, job):
    predicted = model.predict(h2o.H2OFrame(X)).as_data_frame()
    if job["task"] == "regression":
        return predicted["predict"].to_numpy(), None
    # Columns are named after mangled labels; the labels themselves are the last domain, in the same order.
    return predicted.drop(columns="predict").to_numpy(), model._model_json["output"]["domains"][-1]


def close(model):
    h2o.cluster().shutdown()
