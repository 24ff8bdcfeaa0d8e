"""Fits within a run are logged with one call, the user's fit is never harmed, and all of it can be undone."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import modelwright
from modelwright.errors import InvalidInputError
from modelwright.jobs.autolog import fits

sklearn = pytest.importorskip("sklearn")


@pytest.fixture
def logging() -> Iterator[None]:
    modelwright.autolog()
    yield
    modelwright.autolog(False)


def rows(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    churn = pl.read_csv(Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv").head(n)
    return churn.select("tenure", "MonthlyCharges").to_numpy(), (churn["Churn"] == "Yes").cast(int).to_numpy()


def opened(run: Any) -> Any:
    return modelwright.open_run(run.folder)


@pytest.mark.usefixtures("logging")
def test_the_outermost_fit_of_scikit_learn_is_logged_and_transformers_are_not(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = rows()
    with modelwright.start_run("fit", home=tmp_path) as run:
        Z = StandardScaler().fit_transform(X)
        model = LogisticRegression(C=0.5).fit(Z, y)
        search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [1, 2]}).fit(
            X, y
        )
    found = opened(run)
    assert {name.partition(".")[0] for name in found.params} == {"LogisticRegression", "GridSearchCV"}
    assert (found.params["LogisticRegression.C"], found.params["LogisticRegression.n_samples"]) == (0.5, 300)
    assert found.params["LogisticRegression.n_features"] == 2
    assert found.metrics["LogisticRegression.training_score"] == model.score(Z, y)
    assert found.metrics["GridSearchCV.best_score"] == search.best_score_
    assert found.metrics["LogisticRegression.fit_s"] > 0
    assert found.notes == []


@pytest.mark.usefixtures("logging")
def test_a_second_fit_of_a_class_gets_a_number_and_classes_of_the_user_are_logged(tmp_path: Path) -> None:
    from sklearn.base import BaseEstimator
    from sklearn.linear_model import LogisticRegression

    class Mine(BaseEstimator):
        def __init__(self, a: int = 1) -> None:
            self.a = a

        def fit(self, X: Any, y: Any) -> Any:
            LogisticRegression().fit(X, y)
            return self

        def predict(self, X: Any) -> Any:
            return X

    X, y = rows()
    with modelwright.start_run("fit", home=tmp_path) as run:
        for c in (1.0, 2.0):
            LogisticRegression(C=c).fit(X, y)
        Mine(a=3).fit(X, y)
    params = opened(run).params
    assert (params["LogisticRegression.C"], params["LogisticRegression-2.C"], params["Mine.a"]) == (1.0, 2.0, 3)
    assert not [name for name in params if name.startswith("LogisticRegression-3")]


@pytest.mark.usefixtures("logging")
def test_lightgbm_is_logged_iteration_by_iteration_by_both_of_its_ways(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X, y = rows()
    settings = {"objective": "binary", "metric": "binary_logloss", "verbose": -1, "num_threads": 1}
    with modelwright.start_run("fit", home=tmp_path) as run:
        told: dict[str, Any] = {}
        data = lightgbm.Dataset(X, y)
        keep = lightgbm.record_evaluation(told)
        booster = lightgbm.train(settings, data, 4, valid_sets=[data], valid_names=["train"], callbacks=[keep])
        lightgbm.LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1).fit(X, y)
    found = opened(run)
    series = found.series.filter(pl.col("metric") == "lightgbm.train.binary_logloss")
    assert series["step"].to_list() == [0, 1, 2, 3]
    assert series["value"].to_list() == told["train"]["binary_logloss"]
    assert (found.params["lightgbm.objective"], found.params["lightgbm.n_samples"]) == ("binary", 300)
    assert found.table("lightgbm.importance")["gain"].to_list() == booster.feature_importance("gain").tolist()
    assert found.metrics["LGBMClassifier.n_iterations"] == 3
    assert found.params["LGBMClassifier.n_estimators"] == 3
    assert found.notes == []


@pytest.mark.usefixtures("logging")
def test_xgboost_and_catboost_are_logged_iteration_by_iteration(tmp_path: Path) -> None:
    xgboost, catboost = pytest.importorskip("xgboost"), pytest.importorskip("catboost")
    X, y = rows()
    with modelwright.start_run("fit", home=tmp_path) as run:
        boosted = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(X, y, eval_set=[(X, y)], verbose=False)
        data = xgboost.DMatrix(X, y)
        xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 2, evals=[(data, "train")], verbose_eval=False)
        cat = catboost.CatBoostClassifier(iterations=3, thread_count=1, verbose=0, allow_writing_files=False)
        cat.fit(X, y, eval_set=(X, y))
    found = opened(run)
    values = found.series.filter(pl.col("step").is_not_null()).group_by("metric", maintain_order=True).agg("value").rows()
    series = dict(values)
    assert series["XGBClassifier.validation_0.logloss"] == boosted.evals_result()["validation_0"]["logloss"]
    assert len(series["xgboost.train.logloss"]) == 2
    assert series["CatBoostClassifier.validation.Logloss"] == cat.get_evals_result()["validation"]["Logloss"]
    assert found.params["CatBoostClassifier.n_samples"] == 300
    assert set(found.artifacts) == {"XGBClassifier.importance", "xgboost.importance", "CatBoostClassifier.importance"}
    assert found.notes == []


@pytest.mark.usefixtures("logging")
def test_of_torch_the_settings_rate_and_steps_of_an_optimiser_are_logged(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(2, 1)
    with modelwright.start_run("fit", home=tmp_path) as run:
        optimizer = torch.optim.SGD(module.parameters(), lr=0.5, momentum=0.9)
        for step in range(4):
            module(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            if step == 1:
                optimizer.param_groups[0]["lr"] = 0.25
    found = opened(run)
    assert (found.params["SGD.lr"], found.params["SGD.momentum"], found.params["SGD.n_parameters"]) == (0.5, 0.9, 3)
    rates = found.series.filter(pl.col("metric") == "SGD.lr").select("step", "value").rows()
    assert rates == [(1, 0.5), (3, 0.25)]
    assert found.metrics["SGD.steps"] == 4


@pytest.mark.usefixtures("logging")
def test_an_error_of_the_logging_is_noted_and_the_fit_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    class Broken(LogisticRegression):
        def get_params(self, deep: bool = True) -> Any:
            if deep:
                raise RuntimeError("broken on purpose")
            return super().get_params(deep)

    monkeypatch.setattr(fits, "_warned", set())
    X, y = rows()
    with modelwright.start_run("fit", home=tmp_path) as run:
        with pytest.warns(UserWarning, match="broken on purpose"):
            Broken().fit(X, y)
        Broken().fit(X, y)  # warned of once
        run.log_metric("after", 1)
    found = opened(run)
    assert (found.state, found.metrics["after"]) == ("finished", 1.0)
    assert len(found.notes) == 2
    assert "broken on purpose" in found.notes[0]


def test_it_can_be_undone_and_outside_of_a_run_nothing_happens(tmp_path: Path) -> None:
    import lightgbm
    import sklearn.base
    from sklearn.linear_model import LogisticRegression

    before = (
        LogisticRegression.fit,
        lightgbm.train,
        lightgbm.sklearn.train,
        vars(sklearn.base.BaseEstimator).get("__init_subclass__"),
    )
    X, y = rows()
    for _ in range(2):
        modelwright.autolog()
    modelwright.autolog(True)
    assert LogisticRegression.fit is not before[0]
    LogisticRegression().fit(X, y)
    modelwright.autolog(False)
    modelwright.autolog(False)
    after = (
        LogisticRegression.fit,
        lightgbm.train,
        lightgbm.sklearn.train,
        vars(sklearn.base.BaseEstimator).get("__init_subclass__"),
    )
    assert after == before
    with modelwright.start_run("fit", home=tmp_path) as run:
        LogisticRegression().fit(X, y)
    assert opened(run).params == {}
    with pytest.raises(InvalidInputError, match="True or False"):
        modelwright.autolog("yes")  # type: ignore[arg-type]


def test_libraries_imported_later_are_logged_and_none_is_imported_for_it(tmp_path: Path) -> None:
    code = """
        import sys
        assert not {"sklearn", "lightgbm", "torch", "xgboost", "catboost"} & set(sys.modules)
        from sklearn.dummy import DummyClassifier
        DummyClassifier().fit([[1], [2]], [0, 1])
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(code))
    program = [sys.executable, "-m", "modelwright.cli.main", "run", "-q", "--autolog", "script.py"]
    subprocess.run(program, cwd=tmp_path, check=True)
    found: Any = modelwright.open_run("script", home=tmp_path / ".modelwright")
    assert found.params["DummyClassifier.strategy"] == "prior"
    assert found.metrics["DummyClassifier.training_score"] == 0.5


@pytest.mark.usefixtures("logging")
def test_fits_of_our_own_training_are_not_logged_and_its_model_can_be_kept(tmp_path: Path) -> None:
    X, y = rows(200)
    table = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": y})
    with modelwright.start_run("outer", home=tmp_path) as run:
        trained: Any = modelwright.train(
            table, target="y", trials=1, algorithms=["linear"], evaluation="none", home=tmp_path / "own"
        )
        run.log_model("churn", trained.model)
    found = opened(run)
    assert (found.params, found.metrics) == ({}, {})
    assert found.model("churn").predict_proba(table).tolist() == trained.model.predict_proba(table).tolist()
