"""Algorithms as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from modelwright.learners.base import Algorithm, Hyperparameter


def default_text(default: Any) -> str:
    """A default, by task where it differs.

    Examples
    --------
    >>> default_text(0.1), default_text({"binary": 1, "regression": 2})
    ('0.1', '1 (binary), 2 (regression)')
    """
    if isinstance(default, Mapping):
        return ", ".join(f"{value} ({task})" for task, value in default.items())
    return str(default)


def range_text(parameter: Hyperparameter) -> str:
    """Which values a hyperparameter may take."""
    if parameter.kind == "choice":
        return ", ".join(map(str, parameter.choices))
    low = "no limit" if parameter.low is None else f"{parameter.low:g}"
    high = "no limit" if parameter.high is None else f"{parameter.high:g}"
    return f"{low} to {high}" + (", log" if parameter.log else "")


def algorithm_list(algorithms: list[tuple[Algorithm, str]]) -> Table:
    """One line an algorithm; the second of each pair is the install command of what is missing, or ""."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("algorithm", no_wrap=True)
    table.add_column("what it is")
    table.add_column("tasks")
    table.add_column("here")
    for algorithm, missing in algorithms:
        table.add_row(
            Text(algorithm.name, style="bold"),
            algorithm.title + (" (baseline)" if algorithm.baseline else ""),
            ", ".join(algorithm.tasks),
            Text(missing or "ready", style="yellow" if missing else "green"),
        )
    return table


def algorithm_page(algorithm: Algorithm, missing: str) -> list[RenderableType]:
    """Everything about one algorithm."""
    from rich.table import Table
    from rich.text import Text

    facts = Table.grid(padding=(0, 2))
    rows = [
        ("tasks", ", ".join(algorithm.tasks)),
        ("minimises", algorithm.minimises),
        ("trains", algorithm.trains),
        ("use it", algorithm.when),
        ("rows", "" if algorithm.max_rows is None else f"left out of the search above {algorithm.max_rows:,} training rows"),
        ("reference", algorithm.reference),
        ("install", missing),
    ]
    for name, text in rows:
        if text:
            facts.add_row(Text(name, style="bold"), Text(text))
    table = Table(
        box=None, pad_edge=False, header_style="bold", title="Hyperparameters", title_justify="left", title_style="bold"
    )
    for name in ("name", "default", "range", "meaning"):
        table.add_column(name)
    for h in algorithm.hyperparameters:
        table.add_row(Text(h.name, style="bold"), default_text(h.default), range_text(h), h.meaning)
    parts: list[RenderableType] = [Text(f"{algorithm.name}: {algorithm.title}", style="bold cyan"), "", facts]
    return [*parts, "", table] if algorithm.hyperparameters else [*parts, "", "It has no hyperparameters."]
