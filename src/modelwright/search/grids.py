"""The user's own values of hyperparameters: fixed ones laid over the portfolio, listed ones tried."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelwright.errors import SpecError
from modelwright.learners import registry
from modelwright.learners.base import resolve_params
from modelwright.search.portfolio import Entry
from modelwright.tables.schema import Task

Grids = Mapping[str, Mapping[str, tuple[Any, ...]]]
#: Up to this many combinations a grid is tried whole, whatever the sampler.
WHOLE_GRID = 12
#: Values of each hyperparameter, and hyperparameters, of the grid that is laid where the user names none.
_STEPS = 3
_AXES = 3


def check_grids(grids: Grids, task: Task) -> None:
    """Refuse unknown algorithms, unknown hyperparameters and values outside their range before anything is fitted.

    Raises
    ------
    SpecError
        Naming the algorithm, the hyperparameter and the range.
    """
    for algorithm, grid in grids.items():
        described = registry.get(algorithm).algorithm
        if task not in described.tasks:
            raise SpecError(
                f"{algorithm!r} does not serve {task}.",
                where="hyperparams",
                mend=f"Choose one of: {', '.join(registry.names(task))}.",
            )
        for name, values in grid.items():
            for value in values:
                resolve_params(described, {name: value}, task)


def with_grids(entries: Sequence[Entry], grids: Grids) -> list[Entry]:
    """The portfolio with the user's values laid over it.

    A small grid takes the place of its algorithm's entries, cell by cell; of a large one the first values stand here,
    and the sampler proposes the others.
    """
    laid: list[Entry] = []
    done: set[str] = set()
    for entry in entries:
        grid = grids.get(entry.algorithm)
        if grid is None:
            laid.append(entry)
        elif entry.algorithm not in done:
            done.add(entry.algorithm)
            cells = combinations(grid) if n_combinations(grid) <= WHOLE_GRID else itertools.islice(combinations(grid), 1)
            laid += [entry._replace(params=entry.params | cell) for cell in cells]
    return laid


def n_combinations(grid: Mapping[str, tuple[Any, ...]]) -> int:
    """How many configurations a grid spans."""
    count = 1
    for values in grid.values():
        count *= len(values)
    return count


def combinations(grid: Mapping[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Every configuration of a grid, the last hyperparameter changing fastest."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def default_grid(algorithm: str, allowed: Mapping[str, tuple[Any, ...]] | None = None) -> dict[str, tuple[Any, ...]]:
    """Three values of the first three tunable hyperparameters, spread over their ranges; of choices those ``allowed``."""
    described = registry.get(algorithm).algorithm
    grid: dict[str, tuple[Any, ...]] = {}
    for h in described.hyperparameters:
        if h.name == described.iterations or not h.tuned or len(grid) == _AXES:
            continue
        if h.kind == "choice":
            grid[h.name] = (allowed or {}).get(h.name, h.choices)[:_STEPS]
            continue
        assert h.low is not None
        assert h.high is not None
        places = [(step + 0.5) / _STEPS for step in range(_STEPS)]
        if h.log:
            values = [h.low * (h.high / h.low) ** place for place in places]
        else:
            values = [h.low + (h.high - h.low) * place for place in places]
        grid[h.name] = tuple(dict.fromkeys(round(v) if h.kind == "int" else float(v) for v in values))
    return grid
