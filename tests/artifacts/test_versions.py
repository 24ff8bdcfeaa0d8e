"""A bundle whose files another major version of a library wrote is refused with the command that mends it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from modelwright.artifacts.manifest import Manifest
from modelwright.artifacts.versions import check_versions
from modelwright.errors import BundleError


def _manifest(**libraries: str) -> Manifest:
    return Manifest(2, "0.1.0", {name.replace("_", "-"): version for name, version in libraries.items()}, {}, [])


def _next_major(name: str) -> str:
    return f"{int(metadata.version(name).partition('.')[0]) + 1}.0.0"


def test_another_major_version_is_refused_with_the_command_that_mends_it() -> None:
    newer, here = _next_major("lightgbm"), metadata.version("lightgbm")
    with pytest.raises(BundleError, match=rf"trained with lightgbm {newer}, here is lightgbm {here}") as caught:
        check_versions(_manifest(lightgbm=newer), ["linear", "lightgbm"], Path("model"))
    assert f"pip install 'lightgbm=={newer}'" in caught.value.mend
    with pytest.raises(BundleError, match="lightgbm 3"):
        check_versions(_manifest(lightgbm="3.3.5"), ["lightgbm"], Path("model"))


def test_the_same_major_version_passes_in_both_directions() -> None:
    major = metadata.version("lightgbm").partition(".")[0]
    check_versions(_manifest(lightgbm=f"{major}.0.0"), ["lightgbm"], Path("model"))
    check_versions(_manifest(lightgbm=f"{major}.99.0"), ["lightgbm"], Path("model"))


def test_only_libraries_that_read_a_member_count() -> None:
    check_versions(_manifest(lightgbm="1.0", numpy="1.0", torch="0.4"), ["linear", "random_forest", "svm"], Path("model"))
    check_versions(_manifest(), ["lightgbm", "catboost", "xgboost", "network"], Path("model"))


def test_two_names_of_one_library_are_compared_with_each_other() -> None:
    here = metadata.version("xgboost-cpu")
    check_versions(_manifest(xgboost=here), ["xgboost"], Path("model"))
    with pytest.raises(BundleError, match="xgboost 1"):
        check_versions(_manifest(xgboost="1.7.0"), ["xgboost"], Path("model"))
