"""XGBoost: second-order boosting on histograms."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from modelwright.errors import MissingExtraError
from modelwright.features.matrix import Matrix
from modelwright.learners.base import Algorithm, Hyperparameter
from modelwright.learners.boosting import BoostedTrees, Watch, joined
from modelwright.learners.lean_import import library
from modelwright.learners.rowwise import sigmoid
from modelwright.learners.target import LOG_TARGET, SUPERVISED, TEMPERATURE, Rows, by_task
from modelwright.learners.xgboost_row import KINDS, Kind, RowCall


def _library() -> Any:
    try:
        return library("xgboost")
    except ImportError as error:
        raise MissingExtraError("xgboost", "boost") from error


class XGBoost(BoostedTrees):
    """Gradient-boosted trees with native categories and missing values.

    Defaults are the tuned defaults of pytabkit [1]_.

    References
    ----------
    .. [1] Holzmueller, Grinsztajn, Steinwart, "Better by Default", NeurIPS 2024.
    """

    model_file = "model.ubj"
    algorithm: ClassVar[Algorithm] = Algorithm(
        name="xgboost",
        title="Gradient-boosted trees (XGBoost)",
        tasks=SUPERVISED,
        minimises="log-loss (classification) or squared error (regression), with L1 and L2 penalties on leaf values",
        trains="split columns, thresholds and leaf values of an additive sequence of trees",
        when="Beside LightGBM and CatBoost in an ensemble: its trees are grown level by level and err elsewhere.",
        hyperparameters=(
            Hyperparameter(
                "n_estimators", "int", 1000, "boosting rounds; the cap where validation rows stop earlier", 1, 10_000, True
            ),
            Hyperparameter("learning_rate", "float", by_task(0.08, 0.05), "share of each tree that is added", 0.005, 0.2, True),
            Hyperparameter("max_depth", "int", by_task(6, 9), "depth of a tree", 3, 12),
            Hyperparameter(
                "min_child_weight", "float", by_task(5e-6, 2.0), "sum of second derivatives a leaf must hold", 1e-6, 20.0, True
            ),
            Hyperparameter("subsample", "float", by_task(0.65, 0.7), "share of the rows drawn for each tree", 0.4, 1.0),
            Hyperparameter(
                "colsample_bylevel", "float", by_task(0.9, 1.0), "share of the columns drawn for each level", 0.4, 1.0
            ),
            Hyperparameter("colsample_bynode", "float", 1.0, "share of the columns drawn for each split", 0.4, 1.0),
            Hyperparameter("reg_alpha", "float", 0.0, "L1 penalty on leaf values", 0.0, 5.0),
            Hyperparameter("reg_lambda", "float", 0.0, "L2 penalty on leaf values", 0.0, 5.0),
            Hyperparameter(
                "grow_policy", "choice", "depthwise", "which leaf is split next", choices=("depthwise", "lossguide")
            ),
            Hyperparameter("max_leaves", "int", 256, "leaves of a tree grown by lossguide", 8, 1024, True),
            Hyperparameter("max_cat_to_onehot", "int", 8, "levels up to which one is split from the rest", 2, 100, True),
            LOG_TARGET,
            TEMPERATURE,
        ),
        iterations="n_estimators",
        extra="boost",
        requires="xgboost",
        reference="Chen, Guestrin, XGBoost: A Scalable Tree Boosting System, KDD 2016",
    )

    def _settings(self) -> dict[str, Any]:
        settings = self._library_params()
        if settings["grow_policy"] == "depthwise":
            settings["max_leaves"] = 0
        if self.task == "regression":
            settings |= {"objective": "reg:squarederror", "eval_metric": "rmse"}
        elif self._coding.n_present == 2:
            settings |= {"objective": "binary:logistic", "eval_metric": "logloss"}
        else:
            settings |= {"objective": "multi:softprob", "eval_metric": "mlogloss", "num_class": self._coding.n_present}
        return settings | {"tree_method": "hist", "max_bin": 256, "seed": self.seed, "nthread": 1, "verbosity": 0}

    def _train(self, rows: Rows, watched: Rows | None, watch: Watch) -> None:
        xgboost = _library()
        p, q = self._shape
        types = ["q"] * p + ["c"] * q

        def data(some: Rows) -> Any:
            return xgboost.DMatrix(
                joined(some.X), label=some.target, weight=some.weight, feature_types=types, enable_categorical=True, nthread=1
            )

        training = data(rows)
        validation = None if watched is None else data(watched)
        booster = xgboost.Booster(self._settings(), [training] if validation is None else [training, validation])
        for n_done in range(1, self.params["n_estimators"] + 1):
            booster.update(training, n_done - 1)
            loss = _loss(booster, training) if watch.records(n_done) else None
            watched_loss = None if validation is None else _loss(booster, validation)
            refined = None
            if watched is not None and watch.looks(n_done, watched_loss):
                refined = watch.refined(booster.predict(validation, output_margin=True), watched)
            if watch.stop(n_done, loss, watched_loss, refined):
                break
        self._use(bytes(booster[: max(1, watch.best)].save_raw("ubj")))

    def _use(self, content: bytes) -> None:
        """Predict from the written form, so that a loaded model and a fresh one are the same thing."""
        self._content = content
        self._booster = _library().Booster({"nthread": 1})
        self._booster.load_model(bytearray(content))
        self._rows = {kind: RowCall(self._booster, sum(self._shape), kind) for kind in KINDS}

    def _predict_raw(self, X: Matrix) -> np.ndarray:
        # As a float32 a chance near 1 is 1, and no temperature would make it less sure.
        odds = self._coding.n_present == 2 and self._coding.temperature != 1.0
        kind: Kind = "margin" if odds else "value"
        if X.n_rows == 1:
            raw = self._rows[kind](joined(X)[0])
        else:
            raw = np.asarray(self._booster.inplace_predict(joined(X), predict_type=kind))
        return sigmoid(raw.astype(np.float64)) if odds else raw

    def margin_contributions(self, X: Matrix) -> np.ndarray:
        p, q = self._shape
        types = ["q"] * p + ["c"] * q
        data = _library().DMatrix(joined(X), feature_types=types, enable_categorical=True, nthread=1)
        return np.asarray(self._booster.predict(data, pred_contribs=True))

    def _dump(self) -> bytes:
        return self._content

    def _restore(self, content: bytes) -> None:
        self._use(content)

    def _gain(self) -> np.ndarray:
        gain = np.zeros(sum(self._shape))
        for name, value in self._booster.get_score(importance_type="total_gain").items():
            gain[int(name[1:])] = value
        return gain


def _loss(booster: Any, data: Any) -> float:
    """The evaluation metric, which the library hands out as text: "[0]	eval-rmse:0.123"."""
    return float(booster.eval(data).rpartition(":")[2])
