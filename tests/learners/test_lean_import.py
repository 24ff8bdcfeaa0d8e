"""Boosters are imported without what they look for and we do not use, and only in processes that are ours."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from modelwright.learners.lean_import import _ANY_ORDER

_OURS = """
import sys
from modelwright.learners.lean_import import library, own_process
own_process()
booster = library({name!r}).Booster
assert not {{"sklearn", "pandas"}} & set(sys.modules), "imported"
import pandas
from sklearn.linear_model import LogisticRegression
assert library({name!r}).Booster is booster
"""
_THEIRS = """
from modelwright.learners.lean_import import library
library("lightgbm")
from lightgbm import LGBMClassifier
LGBMClassifier(n_estimators=1, verbose=-1).fit([[0.0], [1.0]], [0, 1])
"""


@pytest.mark.skipif(not _ANY_ORDER, reason="nothing is hidden where the order of imports matters")
@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_our_processes_do_without_scikit_learn_and_can_still_import_it(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    subprocess.run([sys.executable, "-c", _OURS.format(name=name)], check=True)


def test_in_a_process_of_the_user_nothing_is_hidden() -> None:
    subprocess.run([sys.executable, "-c", _THEIRS], check=True)
