"""CatBoost: symmetric trees and ordered statistics of categories."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from modelwright.errors import MissingExtraError
from modelwright.features.matrix import Matrix
from modelwright.learners.base import Algorithm, Hyperparameter
from modelwright.learners.boosting import BoostedTrees, Watch
from modelwright.learners.target import LOG_TARGET, SUPERVISED, TEMPERATURE, Rows, by_task


def _library() -> Any:
    try:
        import catboost
    except ImportError as error:
        raise MissingExtraError("catboost", "boost") from error
    return catboost


class CatBoost(BoostedTrees):
    """Gradient-boosted symmetric trees; levels of a category are replaced by statistics of the rows before.

    Defaults are the tuned defaults of pytabkit [1]_, but for the Newton steps per leaf in regression (1, not 20):
    the first step already reaches the minimum of a squared error.

    References
    ----------
    .. [1] Holzmueller, Grinsztajn, Steinwart, "Better by Default", NeurIPS 2024.
    """

    model_file = "model.cbm"
    algorithm: ClassVar[Algorithm] = Algorithm(
        name="catboost",
        title="Gradient-boosted symmetric trees (CatBoost)",
        tasks=SUPERVISED,
        minimises="log-loss (classification) or squared error (regression), with an L2 penalty on leaf values",
        trains="split columns, thresholds and leaf values of an additive sequence of symmetric trees",
        when="The best single default on most tables, above all with categories of many levels; predicts fastest.",
        hyperparameters=(
            Hyperparameter(
                "n_estimators", "int", 1000, "boosting rounds; the cap where validation rows stop earlier", 1, 10_000, True
            ),
            Hyperparameter("learning_rate", "float", by_task(0.08, 0.09), "share of each tree that is added", 0.005, 0.3, True),
            Hyperparameter("depth", "int", by_task(7, 9), "depth of a tree (2**depth leaves)", 2, 10),
            Hyperparameter("subsample", "float", 0.9, "share of the rows drawn for each tree", 0.4, 1.0),
            Hyperparameter("colsample_bylevel", "float", 1.0, "share of the columns drawn for each level", 0.3, 1.0),
            Hyperparameter("l2_leaf_reg", "float", 1e-5, "L2 penalty on leaf values", 1e-5, 10.0, True),
            Hyperparameter("random_strength", "float", by_task(0.8, 0.0), "noise added to the scores of splits", 0.0, 2.0),
            Hyperparameter("leaf_estimation_iterations", "int", 1, "Newton steps per leaf", 1, 20, True),
            Hyperparameter(
                "one_hot_max_size", "int", by_task(15, 20), "levels up to which one is split from the rest", 2, 100, True
            ),
            Hyperparameter("max_ctr_complexity", "int", 4, "categories combined in one statistic", 1, 5),
            Hyperparameter("model_size_reg", "float", 0.5, "penalty on statistics that need large tables", 0.1, 1.5, True),
            LOG_TARGET,
            TEMPERATURE,
        ),
        iterations="n_estimators",
        extra="boost",
        requires="catboost",
        reference="Prokhorenkova et al., CatBoost: unbiased boosting with categorical features, NeurIPS 2018",
    )

    def _settings(self) -> dict[str, Any]:
        classification = "Logloss" if self._coding.n_present == 2 else "MultiClass"
        settings = self._library_params()
        return settings | {
            "iterations": self.params["n_estimators"],
            "loss_function": "RMSE" if self.task == "regression" else classification,
            "boosting_type": "Plain",
            "bootstrap_type": "Bernoulli",
            "border_count": 254,
            "random_seed": self.seed,
            "thread_count": 1,
            "allow_writing_files": False,
            "logging_level": "Silent",
        }

    def _train(self, rows: Rows, watched: Rows | None, watch: Watch) -> None:
        catboost = _library()
        training = catboost.Pool(_columns(rows.X), rows.target, weight=rows.weight, thread_count=1)
        validation = None
        if watched is not None:
            validation = catboost.Pool(_columns(watched.X), watched.target, weight=watched.weight, thread_count=1)
        model = catboost.CatBoost(self._settings() | {"use_best_model": False})
        model.fit(training, eval_set=validation, callbacks=[_Follow(watch)])
        # The library can shorten symmetric trees only, which is why the shape of the trees is no hyperparameter.
        if model.tree_count_ > max(1, watch.best):
            model.shrink(max(1, watch.best))
        # Clock, identity and history of the fit would make two equal models differ.
        metadata = model.get_metadata()
        for key, neutral in (("train_finish_time", ""), ("model_guid", ""), ("training", "{}")):
            metadata[key] = neutral
        # The library writes to paths only.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.model_file
            model.save_model(str(path))
            self._use(path.read_bytes())

    def _use(self, content: bytes) -> None:
        """Predict from the written form, so that a loaded model and a fresh one are the same thing."""
        self._content = content
        self._model = _library().CatBoost()
        self._model.load_model(blob=content)

    def _predict_raw(self, X: Matrix) -> np.ndarray:
        kind = "RawFormulaVal" if self.task == "regression" else "Probability"
        raw = np.asarray(self._model.predict(_columns(X), prediction_type=kind, thread_count=1))
        return raw[:, 1] if self.task != "regression" and self._coding.n_present == 2 else raw

    def margin_contributions(self, X: Matrix) -> np.ndarray:
        pool = _library().Pool(_columns(X))
        return np.asarray(self._model.get_feature_importance(pool, type="ShapValues", thread_count=1))

    def _dump(self) -> bytes:
        return self._content

    def _restore(self, content: bytes) -> None:
        self._use(content)

    def _gain(self) -> np.ndarray:
        return np.asarray(self._model.get_feature_importance(thread_count=1))


class _Follow:
    """Shows each round to a `Watch`, in the form in which CatBoost calls back."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def after_iteration(self, info: Any) -> bool:
        losses = {part: next(iter(history.values()))[-1] for part, history in (info.metrics or {}).items() if history}
        return not self._watch.stop(info.iteration, losses.get("learn"), losses.get("validation"))


def _columns(X: Matrix) -> Any:
    """Numbers as they are; codes as short byte strings drawn from one table.

    Measured on 100,000 rows of 15 + 8 columns: 0.08 s, against 0.28 s for an array of objects; one row takes
    54 us, against 320 us for a data frame. All ways give the same levels.
    """
    names = np.array([str(code).encode() for code in range(-1, int(X.codes.max(initial=0)) + 1)], dtype=object)
    return _library().FeaturesData(
        num_feature_data=np.ascontiguousarray(X.numeric, dtype=np.float32) if X.numeric.shape[1] else None,
        cat_feature_data=names[X.codes + 1] if X.codes.shape[1] else None,
    )
