"""One seed drives everything: no draw of a training, in any of its processes, comes from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parents[1] / "faults" / "unseeded"
TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


def python(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "seen").mkdir(exist_ok=True)
    variables = {**os.environ, "PYTHONPATH": str(FAULTS), "UNSEEDED_SEEN": str(tmp_path / "seen")}
    return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True)


def test_a_training_with_every_learner_draws_by_its_seed_alone(tmp_path: Path) -> None:
    code = f"""
import modelwright, polars as pl
rows = pl.read_csv({str(TELCO)!r}).head(300)
learners = ["linear", "svm", "random_forest", "extra_trees", "lightgbm", "catboost", "xgboost", "network"]
run = modelwright.train(rows, target="Churn", trials=20, algorithms=learners, select_features=True, repeats=2)
states = {{(trial.algorithm, trial.error) for trial in run.record.trials if trial.state == "failed"}}
assert not states, states
tried = {{trial.algorithm for trial in run.record.trials if trial.state == "complete"}}
assert tried >= set(learners), tried
modelwright.train(rows.drop("Churn"), trials=3, name="groups")
"""
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list((tmp_path / "seen").iterdir())) >= 3  # this process and its workers


@pytest.mark.parametrize(
    "draw",
    [
        "random.random()",
        "np.random.rand(3)",
        "np.random.default_rng()",
        "sklearn.utils.check_random_state(None).uniform()",
        "sklearn.ensemble.RandomForestClassifier(n_estimators=1).fit([[0], [1]], [0, 1])",
    ],
)
def test_the_guard_sees_draws_without_a_seed(draw: str, tmp_path: Path) -> None:
    done = python(f"import random, sklearn.ensemble, sklearn.utils, numpy as np\n{draw}\n", tmp_path)
    assert done.returncode == 1
    # Some of scikit-learn refuses the generator that refuses.
    assert "RuntimeError: unseeded draw" in done.stderr or "_Refusing object" in done.stderr
