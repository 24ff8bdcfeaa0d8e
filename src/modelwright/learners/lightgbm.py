"""LightGBM: trees grown leaf by leaf on histograms."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from modelwright.features.matrix import Matrix
from modelwright.learners.base import Algorithm, Hyperparameter
from modelwright.learners.boosting import BoostedTrees, Watch, joined, scores_of
from modelwright.learners.lean_import import library
from modelwright.learners.lightgbm_scores import Scores, trees_per_block
from modelwright.learners.rowwise import sigmoid, softmax
from modelwright.learners.target import LOG_TARGET, SUPERVISED, TEMPERATURE, Rows, by_task

#: Rounds in a row without a split that helps, after which no later round is expected to find one. One such round
#: proves nothing where rows and columns are drawn anew each time.
_BARREN_ROUNDS = 10


class LightGBM(BoostedTrees):
    """Gradient-boosted trees, leaf-wise, with native categories and missing values.

    Defaults are the tuned defaults of pytabkit [1]_. Up to 10 levels are split one from the rest, where LightGBM's own
    limit is 4: on 6,400 rows of diamonds (5 to 8 levels) the RMSE fell from 810 to 621, and nothing got worse elsewhere.

    References
    ----------
    .. [1] Holzmueller, Grinsztajn, Steinwart, "Better by Default", NeurIPS 2024.
    """

    model_file = "model.txt"
    algorithm: ClassVar[Algorithm] = Algorithm(
        name="lightgbm",
        title="Gradient-boosted trees (LightGBM)",
        tasks=SUPERVISED,
        minimises="log-loss (classification) or squared error (regression), with L1 and L2 penalties on leaf values",
        trains="split columns, thresholds and leaf values of an additive sequence of trees",
        when="The first choice for most tables: fast, accurate, reads missing values and categories as they are.",
        hyperparameters=(
            Hyperparameter(
                "n_estimators", "int", 1000, "boosting rounds; the cap where validation rows stop earlier", 1, 10_000, True
            ),
            Hyperparameter("learning_rate", "float", by_task(0.04, 0.05), "share of each tree that is added", 0.005, 0.2, True),
            Hyperparameter("num_leaves", "int", by_task(50, 100), "leaves of a tree", 2, 256, True),
            Hyperparameter(
                "min_data_in_leaf", "int", by_task(40, 3), "rows a leaf must hold (at most 5 % of the rows)", 1, 100, True
            ),
            Hyperparameter("bagging_fraction", "float", by_task(0.75, 0.7), "share of the rows drawn for each tree", 0.4, 1.0),
            Hyperparameter("feature_fraction", "float", 1.0, "share of the columns drawn for each tree", 0.2, 1.0),
            Hyperparameter("lambda_l1", "float", 0.0, "L1 penalty on leaf values", 0.0, 2.0),
            Hyperparameter("lambda_l2", "float", 0.0, "L2 penalty on leaf values", 0.0, 4.0),
            Hyperparameter(
                "extra_trees", "choice", False, "draw one threshold per column instead of the best", choices=(False, True)
            ),
            Hyperparameter("cat_smooth", "float", 10.0, "pull of rare levels towards the mean", 0.001, 100.0, True),
            Hyperparameter("cat_l2", "float", 10.0, "L2 penalty of splits on categories", 0.005, 20.0, True),
            Hyperparameter(
                "min_data_per_group", "int", 100, "rows a group of levels must hold (at most 5 % of the rows)", 2, 100, True
            ),
            Hyperparameter("max_cat_to_onehot", "int", 10, "levels up to which one is split from the rest", 2, 100, True),
            LOG_TARGET,
            TEMPERATURE,
        ),
        iterations="n_estimators",
        requires="lightgbm",
        reference="Ke et al., LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 2017",
    )

    def _settings(self, n_rows: int, n_columns: int) -> dict[str, Any]:
        """Parameters under LightGBM's names; leaf sizes shrink with the rows, or ten rows would never be split."""
        settings = self._library_params()
        largest_leaf = max(1, n_rows // 20)
        settings["min_data_in_leaf"] = min(settings["min_data_in_leaf"], largest_leaf)
        settings["min_data_per_group"] = max(2, min(settings["min_data_per_group"], largest_leaf))
        if self.task == "regression":
            settings |= {"objective": "regression", "metric": "rmse"}
        elif self._coding.n_present == 2:
            settings |= {"objective": "binary", "metric": "binary_logloss"}
        else:
            settings |= {"objective": "multiclass", "metric": "multi_logloss", "num_class": self._coding.n_present}
        # Row-wise histograms win on narrow tables; the two give the same trees only up to rounding, so the choice
        # must follow from the shape alone, not from LightGBM's timing of both.
        layout = {"force_row_wise": True} if n_columns <= 200 else {"force_col_wise": True}
        return (
            settings
            | layout
            | {
                "bagging_freq": 1,
                "min_sum_hessian_in_leaf": 1e-7,
                "seed": self.seed,
                "deterministic": True,
                "num_threads": 1,
                "feature_pre_filter": False,
                "verbose": -1,
            }
        )

    def _train(self, rows: Rows, watched: Rows | None, watch: Watch) -> None:
        lightgbm = library("lightgbm")
        p, q = self._shape
        settings = self._settings(rows.X.n_rows, p + q)
        training = lightgbm.Dataset(
            joined(rows.X), rows.target, weight=rows.weight, categorical_feature=list(range(p, p + q)), params=settings
        )
        booster = lightgbm.Booster(settings, training)
        if watched is not None:
            booster.add_valid(
                training.create_valid(joined(watched.X), watched.target, weight=watched.weight, params=settings), "validation"
            )
        barren = 0
        while booster.current_iteration() < self.params["n_estimators"] and barren < _BARREN_ROUNDS:
            # update() answers True where no split was found; the round is then taken back.
            barren = barren + 1 if booster.update() else 0
            n_done = booster.current_iteration()
            if barren or not n_done:
                continue
            loss = booster.eval_train()[0][2] if watch.records(n_done) else None
            validation, refined = None, None
            if watched is not None:
                validation = booster.eval_valid()[0][2]
                if watch.looks(n_done, validation):
                    seen: list[np.ndarray] = []
                    booster.eval_valid(_Keep(seen))
                    refined = watch.refined(scores_of(seen[0]), watched)
            if watch.stop(n_done, loss, validation, refined):
                break
        self._use(booster.model_to_string(num_iteration=max(1, watch.best)))

    def _use(self, text: str) -> None:
        """Predict from the written form, so that a loaded model and a fresh one are the same thing."""
        self._block_trees = trees_per_block(text)
        self._read(text)

    def _read(self, text: str) -> None:
        self._text = text
        self._booster = library("lightgbm").Booster(model_str=text)
        self._scores = Scores(self._booster, self._booster.num_feature(), block_trees=self._block_trees)

    def _predict_raw(self, X: Matrix) -> np.ndarray:
        return chances(self._scores.table(joined(X)), self._coding.n_present)

    def dumped(self) -> dict[str, Any]:
        """The trees as LightGBM describes them."""
        found: dict[str, Any] = self._booster.dump_model()
        return found

    def prepare_rows(self) -> None:
        if self._coding.constant is None:
            self._scores.prepare()

    def margin_contributions(self, X: Matrix) -> np.ndarray:
        return np.asarray(self._booster.predict(joined(X), pred_contrib=True, num_threads=1))

    def _dump(self) -> bytes:
        return self._text.encode()

    def _restore(self, content: bytes) -> None:
        self._read(content.decode())  # in the blocks that it was saved with

    def _gain(self) -> np.ndarray:
        return self._booster.feature_importance("gain")


class _Keep:
    """Called by LightGBM with what it predicts for the validation rows, keeps it."""

    def __init__(self, kept: list[np.ndarray]) -> None:
        self._kept = kept

    def __call__(self, output: np.ndarray, _: Any) -> tuple[str, float, bool]:
        self._kept.append(output)
        return "kept", 0.0, False


def chances(scores: np.ndarray, n_classes: int) -> np.ndarray:
    """What the objective makes of raw scores: nothing (regression), the chance of the second class, or of each class."""
    if not n_classes:
        return scores
    return sigmoid(scores) if n_classes == 2 else softmax(scores)
