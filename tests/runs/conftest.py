"""A home with a few real trainings, stores of both kinds, and entries as jobs would give them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import modelwright
from modelwright.tables.read import read

ROOT = Path(__file__).parents[2]
TELCO = ROOT / "examples" / "data" / "telco_churn.csv"
COLUMNS = (
    "tenure", "Contract", "MonthlyCharges", "TotalCharges", "InternetService", "PaymentMethod", "OnlineSecurity", "TechSupport",
)  # fmt: skip
FORMATS = Path(__file__).parent / "formats"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with four trainings of the same rows: "first", "better", "same" as the first, and "seeded" with another seed."""
    home = tmp_path_factory.mktemp("trained") / "home"
    rows = read(TELCO).frame.head(1200).select(*COLUMNS, "Churn")
    for name, algorithm, trials in (("first", "linear", 1), ("better", "lightgbm", 3), ("same", "linear", 1)):
        modelwright.train(rows, target="Churn", trials=trials, algorithms=[algorithm], home=home, name=name)
    _with_another_seed(home)
    return home


def _with_another_seed(home: Path) -> None:
    """The first run as it would stand there if it had been asked with seed 1; a fourth training would cost 4 s."""
    (first,) = (home / "runs").glob("first-*")
    folder = home / "runs" / "seeded-20990101-000000"
    shutil.copytree(first, folder)
    record = json.loads((folder / "run.json").read_text())
    record |= {"id": folder.name, "name": "seeded", "created": "2099-01-01T00:00:00+00:00"}
    record["spec"]["seed"] = record["plan"]["seed"] = 1
    record["evaluation"]["score"]["value"] += 0.02
    record["evaluation"]["look"] = None
    (folder / "run.json").write_text(json.dumps(record))


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
