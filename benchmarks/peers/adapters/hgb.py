"""scikit-learn's histogram boosting with its defaults: a reference, which minds no budget."""

from __future__ import annotations

import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

DISTRIBUTION = "scikit-learn"


def fit(train, job):
    X, y = _numbered(train.drop(columns=[job["target"]])), train[job["target"]]
    boosting = HistGradientBoostingRegressor if job["task"] == "regression" else HistGradientBoostingClassifier
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer(
        (codes, make_column_selector(dtype_exclude=["number", "bool"])),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return make_pipeline(columns, boosting(random_state=job["seed"])).fit(X, y)


def predict(model, X, job):
    X = _numbered(X)
    return (model.predict(X), None) if job["task"] == "regression" else (model.predict_proba(X), list(model.classes_))


def _numbered(X):
    """Moments as seconds; everything else as it is."""
    moments = X.select_dtypes(["datetime", "datetimetz"])
    return X.assign(**{name: (cells - pd.Timestamp(0, tz=cells.dt.tz)).dt.total_seconds() for name, cells in moments.items()})
