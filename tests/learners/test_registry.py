"""The table of algorithms: late, complete, and helpful about what is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import ModuleSpec

import pytest

from modelwright.errors import SpecError
from modelwright.learners import registry


def test_every_name_leads_to_a_class_of_that_name() -> None:
    for name in registry.names():
        assert registry.get(name).algorithm.name == name


def test_names_are_filtered_by_task_and_baseline() -> None:
    assert registry.names("clustering") == ["median_split", "kmeans", "minibatch_kmeans"]
    assert registry.names("regression", baseline=True) == ["constant", "shallow_tree", "simple_linear"]
    assert "constant" not in registry.names("binary", baseline=False)


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="Did you mean 'random_forest'"):
        registry.get("random_forrest")


def test_name_like_nothing_is_answered_with_all_names() -> None:
    with pytest.raises(SpecError, match=r"Valid names: constant, .*kmeans"):
        registry.get("???")


def test_algorithm_of_another_task_is_refused_with_those_that_serve() -> None:
    with pytest.raises(SpecError, match=r"does not serve clustering\. Choose one of: median_split"):
        registry.create("linear", task="clustering")


def test_missing_extra_is_answered_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, package: str | None = None) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(registry, "find_spec", absent)

    assert registry.available("catboost") == "pip install 'modelwright[boost]'"
    assert registry.available("linear") == ""


def test_asking_for_every_description_loads_no_learning_library() -> None:
    program = (
        "import sys; from modelwright.learners import registry\n"
        "[registry.get(n).algorithm for n in registry.names()]\n"
        "print([m for m in ('sklearn', 'lightgbm', 'catboost', 'xgboost', 'torch') if m in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "[]"


def test_interpretable_algorithms_are_those_that_a_person_can_read() -> None:
    assert registry.interpretable("binary") == ["linear"]
    assert registry.interpretable("clustering") == ["kmeans", "minibatch_kmeans"]
    assert registry.interpretable("regression", ["shallow_tree", "linear"]) == ["shallow_tree", "linear"]
    with pytest.raises(SpecError, match="Nobody can read a model of 'lightgbm'"):
        registry.interpretable("binary", ["linear", "lightgbm"])


def test_libraries_come_in_the_order_in_which_they_load_best() -> None:
    assert registry.libraries()[:2] == ["lightgbm", "xgboost"]
    assert registry.libraries()[-1] == "torch"
    assert registry.libraries(["network", "lightgbm"]) == ["lightgbm", "torch"]
    assert registry.libraries(["kmeans", "minibatch_kmeans"]) == ["sklearn.cluster"]
