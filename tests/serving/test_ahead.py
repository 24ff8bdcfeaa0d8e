"""Models are tried by children before the server is imported: once, never instead of what loading checks, and none stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelwright.artifacts.tried import begin_once
from modelwright.errors import BundleError
from modelwright.serving.ahead import tried_ahead
from modelwright.serving.deployments import Target
from modelwright.serving.loading import Loader
from modelwright.serving.settings import Settings


@pytest.fixture
def bundle(trained: Path, tmp_path: Path) -> Path:
    """A copy of the model, which no child has tried."""
    return Path(shutil.copytree(trained, tmp_path / "model")).resolve()


def settings_of(bundle: Path, home: Path, *, workers: int = 1) -> Settings:
    return Settings(models=(f"churn={bundle}", "nothing=churn@champion"), home=str(home), workers=workers)


def test_a_model_is_tried_once_by_the_child_that_was_begun(bundle: Path, tmp_path: Path) -> None:
    home, target = tmp_path / "home", Target("churn", str(bundle))
    with tried_ahead(settings_of(bundle, home)) as ahead:
        assert list(ahead) == [bundle]  # what leads nowhere is told by the server
        child = ahead[bundle].probe.child
        loader = Loader(home, ahead=ahead)
        assert loader.load(target, loader.find(target)).name == "churn"
        assert child.returncode == 0
        assert not ahead
    with tried_ahead(settings_of(bundle, home)) as ahead:
        assert not ahead  # these very bytes are known
    assert begin_once(bundle, home) is None


def test_a_model_that_was_replaced_since_is_tried_anew(bundle: Path, tmp_path: Path) -> None:
    home, target = tmp_path / "home", Target("churn", str(bundle))
    with tried_ahead(settings_of(bundle, home)) as ahead:
        early = ahead[bundle]
        object.__setattr__(early, "digest", "0" * 64)  # as if another had lain there
        loader = Loader(home, ahead=ahead)
        loader.load(target, loader.find(target))
        assert early.probe.child.returncode is not None
    assert [path.name for path in (home / "tried").iterdir()] == [early.mark.name if early.mark else ""]


def test_a_child_that_finds_fault_refuses_and_nothing_is_remembered(bundle: Path, tmp_path: Path) -> None:
    home, target = tmp_path / "home", Target("churn", str(bundle))
    with tried_ahead(settings_of(bundle, home)) as ahead:
        ahead[bundle].probe.child.kill()
        loader = Loader(home, ahead=ahead)
        with pytest.raises(BundleError, match="was ended by SIGKILL"):
            loader.load(target, loader.find(target))
    assert not (home / "tried").exists()


def test_children_that_nobody_waited_for_are_ended_and_several_workers_begin_none(bundle: Path, tmp_path: Path) -> None:
    with tried_ahead(settings_of(bundle, tmp_path / "home")) as ahead:
        child = ahead[bundle].probe.child
    assert child.returncode is not None
    with tried_ahead(settings_of(bundle, tmp_path / "home", workers=2)) as ahead:
        assert not ahead
