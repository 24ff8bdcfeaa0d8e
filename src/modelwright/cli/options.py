"""How options of the command line are read, named in errors, and where output goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

#: Columns of output that goes to a file or a pipe.
_PIPE_WIDTH = 120
OPTIONS_OF_SPEC = {"missing_values": "--missing-value", "types": "--type", "data": "DATA", "open_reserve": "--open-reserve"}


def option_name(key: str) -> str:
    """How the command line spells a key of the spec."""
    return OPTIONS_OF_SPEC.get(key, f"--{key}")


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
