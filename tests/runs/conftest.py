"""A home with a few real trainings, stores of both kinds, and entries as jobs would give them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import modelwright
from modelwright.tables.read import read

ROOT = Path(__file__).parents[2]
TELCO = ROOT / "examples" / "data" / "telco_churn.csv"
FORMATS = Path(__file__).parent / "formats"

_SPEC = importlib.util.spec_from_file_location("stores", Path(__file__).parents[1] / "store" / "conftest.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_stores = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_stores)
postgres_url = _stores.postgres_url
fresh_postgres = _stores.fresh_postgres
store_url = _stores.store_url


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with four trainings of the same rows: "first", "better", "same" as the first, and "seeded" with another seed."""
    home = tmp_path_factory.mktemp("trained") / "home"
    rows = read(TELCO).frame.head(2000)
    both = ["lightgbm", "linear"]
    for name, algorithms, trials, seed in (
        ("first", ["linear"], 2, 0), ("better", both, 8, 0), ("same", ["linear"], 2, 0), ("seeded", ["linear"], 2, 1),
    ):  # fmt: skip
        modelwright.train(rows, target="Churn", trials=trials, algorithms=algorithms, home=home, name=name, seed=seed)
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy of that home that a test may change."""
    place = tmp_path / "home"
    shutil.copytree(trained, place)
    return place


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs the command line in a process of its own, in an empty folder."""

    def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "modelwright.cli.main", *map(str, arguments)]
        return subprocess.run(
            program, capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ | environment, timeout=120
        )

    return run
