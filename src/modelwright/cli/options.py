"""How options of the command line are read, named in errors, and where output goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

#: Columns of output that goes to a file or a pipe.
_PIPE_WIDTH = 120
OPTIONS_OF_SPEC = {"missing_values": "--missing-value", "types": "--type", "data": "DATA", "hyperparams": "--param"}


def option_name(key: str) -> str:
    """How the command line spells a key of the spec."""
    return OPTIONS_OF_SPEC.get(key, "--" + key.replace("_", "-"))


def list_of_names(values: list[str] | None) -> list[str] | None:
    """Names given once with commas, or several times."""
    return [name.strip() for value in values for name in value.split(",") if name.strip()] if values else None


def types_of(values: list[str] | None) -> dict[str, str] | None:
    from modelwright.errors import SpecError

    pairs = {}
    for value in values or []:
        # The last "=": a column name may hold one, a type does not.
        column, equals, kind = value.rpartition("=")
        if not equals:
            raise SpecError(f"{value!r} is not COLUMN=TYPE.", where="--type", mend="Write it as zip=category.")
        pairs[column] = kind
    return pairs or None


def missing_values_of(values: list[str] | None) -> Any:
    """Values for all columns, or by column when each one names a column."""
    from modelwright.errors import SpecError

    if not values:
        return None
    by_column: dict[str, list[str | float]] = {}
    for value in values:
        column, _, cell = value.rpartition("=")
        by_column.setdefault(column, []).append(_cell(cell))
    if "" not in by_column:
        return by_column
    if len(by_column) > 1:
        raise SpecError(
            "Values for all columns and for single ones cannot be mixed.",
            where="--missing-value",
            mend="Name a column in each, or in none.",
        )
    return by_column[""]


def hyperparams_of(values: list[str] | None) -> dict[str, dict[str, list[Any]]] | None:
    """Values to try, from texts such as "lightgbm.num_leaves=15,63"."""
    from modelwright.errors import SpecError

    grid: dict[str, dict[str, list[Any]]] = {}
    for value in values or []:
        path, equals, listed = value.partition("=")
        algorithm, dot, name = path.strip().partition(".")
        if not (equals and dot and listed.strip()):
            raise SpecError(
                f"{value!r} is not ALGORITHM.NAME=VALUES.", where="--param", mend="Write lightgbm.num_leaves=15,63."
            )
        grid.setdefault(algorithm, {})[name] = [_value(text.strip()) for text in listed.split(",")]
    return grid or None


def features_of(expressions: list[str] | None, function: str | None) -> dict[str, str] | str | None:
    """Derived columns by name, or the function that derives them."""
    from modelwright.errors import SpecError

    if expressions and function:
        raise SpecError("Expressions and a function cannot be mixed.", where="--features", mend="Give one of the two.")
    derived = {}
    for expression in expressions or []:
        name, equals, text = expression.partition("=")
        if not (equals and name.strip() and text.strip()):
            raise SpecError(f"{expression!r} is not NAME=EXPRESSION.", where="--feature", mend="Write 'each=rooms/persons'.")
        derived[name.strip()] = text.strip()
    return derived or function


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        return _cell(text)


def _cell(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def program() -> str:
    """How this program was called, so that the commands we print work when pasted."""
    import shutil

    if shutil.which("modelwright"):
        return "modelwright"
    called = Path(sys.argv[0])
    if called.name != "modelwright":
        return "modelwright"
    absolute = called.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)
