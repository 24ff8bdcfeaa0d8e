"""The recorded environment rebuilt: a virtual environment with the packages of the run, at their exact versions.

It lies in ``HOME/tmp/environment-DIGEST`` and is kept for the next time; the digest is that of Python and packages. ``uv``
makes it where it is on the path, and ``pip`` what it does not find there; each uses the index that it is set up for.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.runs.reproducing.again import read_run
from modelwright.runs.reproducing.child import reproduce_in_child
from modelwright.runs.reproducing.flow import reproduce
from modelwright.runs.reproducing.suspects import other_packages, recorded_packages
from modelwright.runs.reproducing.values import Reproduction
from modelwright.training.record import RunRecord
from modelwright.version import __version__

#: Lines of a failed installation that are shown.
_MOST_LINES = 3


@dataclass(frozen=True)
class Wanted:
    """An environment.

    Parameters
    ----------
    python : str
        Version, such as "3.12.4".
    packages : dict of str to str
        Exact version of each package but modelwright.
    complete : bool
        Whether these are all packages; if not, what they need is installed too.
    source : Path or None
        Folder from which modelwright is imported; None installs ``modelwright`` of that version.
    modelwright : str
    """

    python: str
    packages: dict[str, str]
    complete: bool
    source: Path | None
    modelwright: str

    @property
    def requirements(self) -> list[str]:
        """Lines for the installer."""
        lines = [f"{name}=={version}" for name, version in sorted(self.packages.items())]
        if self.source is None:
            return [*lines, f"modelwright=={self.modelwright}"]
        return lines if self.complete else [*lines, *_needed(self.source)]

    @property
    def digest(self) -> str:
        """Names the environment."""
        told = json.dumps([self.python, self.complete, self.requirements, str(self.source or "")])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def wanted(record: RunRecord) -> Wanted:
    """The environment of a run.

    An unreleased modelwright is the source tree that runs now, if it has the recorded version.
    """
    packages = {name: version for name, version in recorded_packages(record).items() if name != "modelwright"}
    tree = _source_tree()
    return Wanted(
        python=str(record.environment.get("python", "")),
        packages=packages,
        complete=record.provenance is not None,
        source=tree if tree is not None and record.modelwright == __version__ else None,
        modelwright=record.modelwright,
    )


def reproduce_in_environment(
    folder: Path, data: Any = None, *, home: Path, tell: Callable[[str], None] = lambda sentence: None
) -> Reproduction:
    """Reproduce a run with its own Python and packages.

    Parameters
    ----------
    folder : Path
        A run folder.
    data : str, Path or table, optional
    home : Path
        Where the environment is kept.
    tell : callable
        Hears what is being done, which may take minutes.

    Raises
    ------
    InvalidInputError
        If the environment cannot be rebuilt.
    """
    record, _, _ = read_run(folder)
    asked = wanted(record)
    if not other_packages(record) and asked.python == platform.python_version() and record.modelwright == __version__:
        found = reproduce(folder, data)
        note = "Python and packages here are those of the run, so nothing was rebuilt."
        return msgspec.structs.replace(found, notes=[note, *found.notes])
    python, notes = rebuild(asked, home, tell)
    tell(f"Reproducing with {python} …")
    found = reproduce_in_child(folder, data, python=python, variables=variables())
    return msgspec.structs.replace(found, notes=[*notes, *found.notes])


def variables() -> dict[str, str]:
    """The environment of a process that must see the packages of its own interpreter only."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in hidden} | {"PYTHONNOUSERSITE": "1"}


def rebuild(asked: Wanted, home: Path, tell: Callable[[str], None] = lambda sentence: None) -> tuple[Path, list[str]]:
    """The interpreter of an environment, made unless it is there, and what is to be said of it.

    Raises
    ------
    InvalidInputError
        If there is no such Python, or a package cannot be installed.
    """
    place = home.resolve() / "tmp" / f"environment-{asked.digest}"
    notes = [f"In a rebuilt environment: Python {asked.python}, {len(asked.packages)} packages as recorded."]
    if asked.source is not None:
        notes.append(f"modelwright {asked.modelwright} is no release; it is the source tree that runs here.")
    if not place.is_dir():
        draft = place.with_name(f"{place.name}-{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        # As runs do: what a killed process leaves behind is swept by the next run.
        (draft / "pid").write_text(f"{os.getpid()} {socket.gethostname()}")
        try:
            _make(asked, draft / "made", draft / "requirements.txt", tell)
            if not place.is_dir():  # another process may have been quicker
                os.replace(draft / "made", place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    python = _interpreter_in(place)
    version = _version(str(python))
    if version != asked.python:
        notes.append(f"Python {asked.python} was not found; {version} stands in for it.")
    return python, notes


def _make(asked: Wanted, place: Path, requirements: Path, tell: Callable[[str], None]) -> None:
    requirements.write_text("\n".join(asked.requirements) + "\n")
    options = ["--no-deps"] if asked.complete else []
    uv = shutil.which("uv")
    if uv is not None:
        tell(f"Making an environment with Python {asked.python} …")
        _said([uv, "venv", "--quiet", "--seed", "--python", asked.python, str(place)], f"Python {asked.python} is needed.")
    else:
        found = _python(asked.python)
        tell(f"Making an environment with Python {asked.python} …")
        _said([found, "-m", "venv", str(place)], "Install the venv module of that Python.")
    pip = [str(_interpreter_in(place)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    ways = [] if uv is None else [[uv, "pip", "install", "--quiet", "--python", str(_interpreter_in(place))]]
    tell(f"Installing {len(asked.requirements)} packages …")
    # uv does not read what pip was set up with, such as a further index that has builds like torch 2.13.0+cpu.
    for install in [*ways, pip]:
        try:
            _said(
                [*install, *options, "-r", str(requirements)], "See that the package index has these versions for this machine."
            )
            break
        except InvalidInputError:
            if install is pip:
                raise
    if asked.source is not None:
        (_site_packages(place) / "modelwright-source.pth").write_text(f"{asked.source}\n")


def _python(version: str) -> str:
    """An interpreter of that version, or of its minor version."""
    minor = ".".join(version.split(".")[:2])
    known = [sys.executable, *filter(None, (shutil.which(name) for name in (f"python{minor}", "python3", "python")))]
    versions = {path: _version(path) for path in known}
    for path, found in versions.items():
        if found == version:
            return path
    for path, found in versions.items():
        if found.split(".")[:2] == version.split(".")[:2]:
            return path
    raise InvalidInputError(
        f"The run used Python {version}, which is not found here.",
        where="--environment",
        mend=f"Install Python {minor} so that python{minor} is on the path, or install uv, which fetches it.",
    )


def _version(python: str) -> str:
    code = "import platform; print(platform.python_version())"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _said(command: list[str], mend: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=variables())
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"(error|cause|×|╰)", line, re.IGNORECASE)] or lines
        said = " ".join(errors[-_MOST_LINES:])[:600] or f"exit code {done.returncode}"
        raise InvalidInputError(f"The environment cannot be rebuilt: {said}", where=Path(command[0]).name, mend=mend)


def _interpreter_in(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _site_packages(place: Path) -> Path:
    found = [*place.glob("lib/python3*/site-packages"), *place.glob("Lib/site-packages")]
    return found[0]


def _source_tree() -> Path | None:
    """The folder that holds nothing but the source of modelwright, where it runs from one."""
    folder = Path(__file__).resolve().parents[3]
    return folder if folder.name == "src" and (folder.parent / "pyproject.toml").is_file() else None


def _needed(source: Path) -> list[str]:
    """What the source tree needs besides; extras are among the recorded packages where they were installed."""
    try:
        lines = metadata.requires("modelwright") or []
    except metadata.PackageNotFoundError:
        lines = tomllib.loads((source.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return [line for line in lines if "extra ==" not in line]
