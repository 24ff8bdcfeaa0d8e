"""A home with a few real trainings, stores of both kinds, and entries as jobs would give them."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Runs the command line in an empty folder; in this process, since a new one would load everything anew."""
    from modelwright.cli.main import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path, **environment: str) -> Done:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([*map(str, arguments)])
        printed = capsys.readouterr()
        return Done(int(left.value.code or 0), printed.out, printed.err)

    return run
