"""mljar-supervised in the mode that competes for accuracy."""

from __future__ import annotations

from supervised import AutoML

DISTRIBUTION = "mljar-supervised"
METRICS = {"roc_auc": "auc", "log_loss": "logloss", "rmse": "rmse"}
TASKS = {"binary": "binary_classification", "multiclass": "multiclass_classification", "regression": "regression"}


def fit(train, job):
    automl = AutoML(
        results_path=job["out"] + "_models",
        mode=job["preset"],
        total_time_limit=job["budget_s"],
        ml_task=TASKS[job["task"]],
        eval_metric=METRICS[job["metric"]],
        n_jobs=job["cores"],
        verbose=0,
        random_state=job["seed"],
    )
    return automl.fit(train.drop(columns=[job["target"]]), train[job["target"]])


def predict(automl, X, job):
    if job["task"] == "regression":
        return automl.predict(X), None
    # Labels stand in the names of the columns alone; they do not change, and single rows are not charged for them.
    if "labels" not in job:
        named = [str(name) for name in automl.predict_all(X.head(1)).columns]
        job["labels"] = [name.removeprefix("prediction_") for name in named if name.startswith("prediction_")]
    return automl.predict_proba(X), job["labels"]
