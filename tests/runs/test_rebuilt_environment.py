"""The environment of a run rebuilt: a real virtual environment, real pip, and a package index in a folder."""

from __future__ import annotations

import platform
import subprocess
import zipfile
from pathlib import Path

import msgspec
import polars as pl
import pytest

import modelwright
from modelwright.errors import InvalidInputError
from modelwright.provenance.record import Hardware, Provenance
from modelwright.runs.reproducing.environment import Wanted, rebuild, reproduce_in_environment, variables, wanted
from modelwright.runs.run import Run
from modelwright.version import __version__

SOURCE = Path(__file__).parents[2] / "src"
TELCO = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


def wheel(folder: Path, name: str, version: str) -> None:
    """A package of one module that says its version."""
    stem = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{stem}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{stem}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{stem}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in [*files.items(), (f"{stem}/RECORD", record)]:
            archive.writestr(path, text)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place that pip installs from; there is no uv."""
    folder = tmp_path / "index"
    folder.mkdir()
    for version in ("1.2.3", "1.3.0"):
        wheel(folder, "tinyleaf", version)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return folder


def asked(version: str = "1.2.3", python: str = platform.python_version()) -> Wanted:
    return Wanted(python, {"tinyleaf": version}, complete=True, source=SOURCE, modelwright=__version__)


def says(python: Path, code: str) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, env=variables())
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    rows = pl.read_csv(TELCO).head(200)
    home = tmp_path_factory.mktemp("home")
    return modelwright.train(rows, target="Churn", trials=1, algorithms=["linear"], home=home, evaluation="none")


def test_it_holds_the_recorded_packages_alone_and_is_kept_for_the_next_time(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    heard: list[str] = []
    python, notes = rebuild(asked(), home, heard.append)

    assert says(python, "import tinyleaf; print(tinyleaf.version)") == "1.2.3"
    assert "No module named 'polars'" in says(python, "import polars")
    assert says(python, "import modelwright; print(modelwright.__file__)") == str(SOURCE / "modelwright" / "__init__.py")
    assert "source tree" in notes[1]
    assert len(heard) == 2

    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    assert rebuild(asked(), home, heard.append)[0] == python
    assert len(heard) == 2
    assert [path.name for path in (home / "tmp").iterdir()] == [f"environment-{asked().digest}"]
    assert asked("1.3.0").digest != asked().digest


def test_what_cannot_be_had_is_named_and_nothing_is_left_behind(index: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"tinyleaf==9\.9\.9"):
        rebuild(asked("9.9.9"), tmp_path / "home")
    with pytest.raises(InvalidInputError, match=r"Python 3\.7\.1, .* Install Python 3\.7 "):
        rebuild(asked(python="3.7.1"), tmp_path / "home")
    assert list((tmp_path / "home" / "tmp").iterdir()) == []


def test_the_recorded_packages_are_pinned_exactly(run: Run) -> None:
    record = msgspec.structs.replace(run.record, provenance=None)
    old = wanted(record)
    assert old.packages == {name: v for name, v in record.environment["packages"].items() if name != "modelwright"}
    assert not old.complete
    assert f"numpy=={old.packages['numpy']}" in old.requirements
    assert any(line.startswith("narwhals") for line in old.requirements)  # what the packages of old records need besides

    everything = Provenance(
        [], "", old.python, "", {"modelwright": __version__, "tinyleaf": "1.2.3"}, Hardware(platform.machine())
    )
    record = msgspec.structs.replace(record, provenance=everything)
    assert wanted(record).requirements == ["tinyleaf==1.2.3"]

    released = wanted(msgspec.structs.replace(record, modelwright="0.0.1"))
    assert released.requirements == ["tinyleaf==1.2.3", "modelwright==0.0.1"]


def test_where_nothing_differs_nothing_is_rebuilt(run: Run, tmp_path: Path) -> None:
    home = run.folder.parents[1]
    found = reproduce_in_environment(run.folder, pl.read_csv(TELCO).head(200), home=home)
    assert found.equal
    assert "nothing was rebuilt" in found.notes[0]
    assert not list((home / "tmp").glob("environment-*"))
