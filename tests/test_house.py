"""Habits of the house that a machine can hold."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import modelwright

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "modelwright"
MODULES = sorted(
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if path.name != "__main__.py"
)
#: Libraries that help pages, and importing the package, must not load.
HEAVY = (
    "sklearn",
    "lightgbm",
    "polars",
    "altair",
    "scipy",
    "numpy",
    "optuna",
    "sqlalchemy",
    "torch",
    "catboost",
    "xgboost",
    "pandas",
    "mlflow",
)
#: Libraries that are optional; importing any of our modules must not load them.
OPTIONAL = (
    *("torch", "catboost", "xgboost", "safetensors", "pandas", "pyarrow", "psycopg"),
    *("cryptography", "onnx", "onnxruntime", "mlflow", "dbos", "croniter"),
)
#: Processor time of a help page over that of importing and drawing with typer and rich alone.
HELP_RATIO = 1.5
_SCREEN = "import typer, typer.testing; a = typer.Typer(rich_markup_mode='rich'); a.command()(lambda: None); a(['--help'])"
#: Lines; about 400 is where a second idea hides.
LONGEST_MODULE = 450


def loaded_after(code: str) -> set[str]:
    """Top-level names in sys.modules after running the code in a new interpreter."""
    script = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def documented_callables() -> list[tuple[str, Any]]:
    """Public functions and classes of every module, each once, with a Parameters section."""
    found: dict[str, Any] = {}
    for name in MODULES:
        module = import_module(name)
        for attribute, value in vars(module).items():
            if attribute.startswith("_") or getattr(value, "__module__", None) != name:
                continue
            if not (inspect.isfunction(value) or inspect.isclass(value)):
                continue
            found[f"{name}.{attribute}"] = value
            if inspect.isclass(value):
                for method, function in vars(value).items():
                    if not method.startswith("_") and inspect.isfunction(function):
                        found[f"{name}.{attribute}.{method}"] = function
    return [(name, value) for name, value in found.items() if "Parameters\n" in (value.__doc__ or "")]


def documented_defaults(doc: str) -> dict[str, str]:
    """Parameter -> the default that its line in the Parameters section states."""
    section = inspect.cleandoc(doc).partition("Parameters\n")[2]
    section = re.split(r"\n\n?\w[\w ]*\n-{3,}", section.partition("\n")[2])[0]
    defaults = {}
    for line in section.splitlines():
        match = re.match(r"^(\w[\w, ]*?) : .*default=(.+)$", line)
        if match:
            defaults |= {name.strip(): match[2].strip() for name in match[1].split(",")}
    return defaults


def test_documented_defaults_equal_signatures() -> None:
    wrong = []
    for name, value in documented_callables():
        parameters = inspect.signature(value).parameters
        for parameter, stated in documented_defaults(value.__doc__).items():
            if parameter not in parameters:
                wrong.append(f"{name}: documents {parameter!r}, which it does not take")
                continue
            actual = parameters[parameter].default
            try:
                same = ast.literal_eval(stated) == actual
            except (ValueError, SyntaxError):
                same = stated == str(actual)
            if not same:
                wrong.append(f"{name}: {parameter} is documented as {stated}, but is {actual!r}")
    assert wrong == []


def test_documented_parameters_are_those_of_the_signature() -> None:
    wrong = []
    for name, value in documented_callables():
        section = re.split(
            r"\n\n?\w[\w ]*\n-{3,}", inspect.cleandoc(value.__doc__).partition("Parameters\n")[2].partition("\n")[2]
        )[0]
        named = [each.strip(" *") for match in re.findall(r"^([\w*][\w*, ]*?) :", section, re.M) for each in match.split(",")]
        parameters = inspect.signature(value).parameters
        wrong += [f"{name}: documents {each!r}, which it does not take" for each in named if each not in parameters]
    assert wrong == []


def test_exported_names_exist_and_are_listed() -> None:
    assert modelwright.__all__ == sorted(modelwright.__all__)
    assert dir(modelwright) == sorted(modelwright.__all__)
    for name in modelwright.__all__:
        assert getattr(modelwright, name) is not None


def test_public_surface_is_small() -> None:
    values = ["Audit", "Model", "ModelwrightError", "Run", "RunList", "__version__"]
    calls = ["audit_table", "autolog", "job", "list_runs", "load", "monitor", "open_registry", "open_run", "rehearse"]
    calls += ["start_run", "train", "tune"]
    assert modelwright.__all__ == [*values, *calls]


def test_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="trian"):
        modelwright.trian  # noqa: B018


def test_help_and_import_load_no_heavy_library() -> None:
    help_page = "from modelwright.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    assert loaded_after(help_page).isdisjoint(HEAVY)
    assert loaded_after("import modelwright").isdisjoint(HEAVY)


def test_no_module_loads_an_optional_library_when_imported() -> None:
    code = "\n".join(f"import {name}" for name in MODULES if not name.startswith("modelwright.testing"))
    assert loaded_after(code).isdisjoint(OPTIONAL)


def test_help_costs_little_more_than_the_libraries_that_it_is_made_of() -> None:
    def processor_s(*words: str) -> float:
        before = os.times()
        subprocess.run([sys.executable, *words], capture_output=True, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    pairs = [(processor_s("-m", "modelwright.cli.main", "--help"), processor_s("-c", _SCREEN)) for _ in range(3)]
    assert min(ours for ours, _ in pairs) <= HELP_RATIO * min(theirs for _, theirs in pairs)


def test_importing_writes_nothing(tmp_path: Path) -> None:
    code = "\n".join(f"import {name}" for name in MODULES if not name.startswith("modelwright.testing"))
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=os.environ | {"HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


def test_every_module_says_what_it_is() -> None:
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in SOURCE.rglob("*.py")}
    silent = [name for name, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))]
    assert silent == []


def test_no_module_outgrows_its_one_idea() -> None:
    long = {
        str(p.relative_to(ROOT)): n for p in SOURCE.rglob("*.py") if (n := len(p.read_text().splitlines())) > LONGEST_MODULE
    }
    assert long == {}


def test_library_code_prints_nothing() -> None:
    printing = []
    for path in SOURCE.rglob("*.py"):
        if path.is_relative_to(SOURCE / "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                printing.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert printing == []


def test_nothing_is_pickled() -> None:
    """Also through the back doors: numpy's object arrays and pandas."""
    guilty = []
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        for pattern in (
            r"^\s*(import|from) (pickle|joblib|cloudpickle|dill|shelve|marshal)\b",
            r"allow_pickle=True",
            r"read_pickle",
        ):
            if re.search(pattern, text, re.M):
                guilty.append(f"{path.relative_to(ROOT)}: {pattern}")
    assert guilty == []


def test_every_command_stands_under_one_heading() -> None:
    from collections import Counter

    from typer.main import get_command

    from modelwright.cli.headings import HEADINGS
    from modelwright.cli.main import app

    placed = Counter(name for names in HEADINGS.values() for name in names)
    assert placed == Counter(list(get_command(app).commands))  # type: ignore[attr-defined]
