"""AutoGluon's TabularPredictor with one of its presets.

The bagged presets (good, high, best) want ray. Without it 1.6.3 fails with "Learner is already fit" where the first quarter of
the budget, which goes into a trial of stacking, yields no model: that trial then runs in the same process as the real fit.
"""

from __future__ import annotations

from autogluon.tabular import TabularPredictor

DISTRIBUTION = "autogluon.tabular"
COMPANIONS = ("ray",)
METRICS = {"roc_auc": "roc_auc", "log_loss": "log_loss", "rmse": "root_mean_squared_error"}


def fit(train, job):
    predictor = TabularPredictor(
        label=job["target"],
        problem_type=job["task"],
        eval_metric=METRICS[job["metric"]],
        path=job["out"] + "_models",
        verbosity=0,
    )
    return predictor.fit(train, time_limit=job["budget_s"], presets=job["preset"], num_cpus=job["cores"])


def prepare(predictor):
    """Keep the models in memory, as its documents advise for serving; larger ones than memory allows stay on disk."""
    predictor.persist()


def predict(predictor, X, job):
    if job["task"] == "regression":
        return predictor.predict(X).to_numpy(), None
    proba = predictor.predict_proba(X)
    return proba.to_numpy(), list(proba.columns)
