"""Runs side by side: what differs, how they scored, and whether the difference may be chance.

The paired test opens nothing. It reads what each run kept of its own look at the sealed rows, which is there only where that
look showed the run's score; of a model that was not shown to be better than the best, only that sentence is told
(decision 0012).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.metrics.estimate import Interval
from modelwright.runs.entry import RunEntry
from modelwright.runs.facts import SECTIONS, facts_of

#: Beyond this many runs each pair would be told, and nobody would read it; then only those against the first are.
_ALL_PAIRS = 4


class Difference(msgspec.Struct, frozen=True):
    """One fact with its value in each run, None where a run does not have it."""

    name: str
    values: list[Any]


class Section(msgspec.Struct, frozen=True):
    """Differing facts of one kind; ``n_same`` counts those in which all runs agree."""

    title: str
    differences: list[Difference]
    n_same: int = 0


class PairTest(msgspec.Struct, frozen=True):
    """One run against another on the same sealed rows.

    ``difference`` is in units of ``metric``, positive where ``run`` is better; None, with the reason in ``sentence``, where
    nothing may or can be tested.
    """

    run: str
    other: str
    sentence: str
    metric: str = ""
    difference: Interval | None = None
    p_value: float | None = None
    better: bool | None = None
    n_rows: int = 0


class Spread(msgspec.Struct, frozen=True):
    """Mean and spread of a figure over the seeds of a group."""

    mean: float
    sd: float
    low: float
    high: float
    n: int


class SeedGroup(msgspec.Struct, frozen=True):
    """Runs that differ in nothing but the seed."""

    name: str
    runs: list[str]
    seeds: list[int | None]
    metrics: dict[str, Spread]
    validation: Spread | None = None


class Compared(msgspec.Struct, frozen=True):
    """Runs side by side; lists by run are in the order of ``runs``."""

    runs: list[RunEntry]
    sections: list[Section]
    tests: list[PairTest]
    groups: list[SeedGroup]

    def scores(self) -> list[str]:
        """Names of all metrics, those that decide first."""
        deciding = list(dict.fromkeys(entry.metric for entry in self.runs if entry.metric))
        others = sorted({name for entry in self.runs for name in entry.metrics} - set(deciding))
        return [*deciding, *others]


def compare_runs(folders: Sequence[Path], entries: Sequence[RunEntry]) -> Compared:
    """Lay runs side by side.

    Parameters
    ----------
    folders : sequence of Path
    entries : sequence of RunEntry
        Of the same runs in the same order, two or more.

    Raises
    ------
    InvalidInputError
        If there are fewer than two different runs.
    BundleError
        If a record cannot be read.
    """
    if len({folder.resolve() for folder in folders}) < 2:
        raise InvalidInputError("There is nothing to compare.", where="RUN", mend="Name two or more different runs.")
    facts = [facts_of(folder, entry) for folder, entry in zip(folders, entries, strict=True)]
    sections = []
    for title in SECTIONS:
        of_title = [each.get(title, {}) for each in facts]
        names = list(dict.fromkeys(name for each in of_title for name in each))
        rows = [Difference(name, [each.get(name) for each in of_title]) for name in names]
        differing = [row for row in rows if any(_unlike(row.values[0], value) for value in row.values[1:])]
        sections.append(Section(title, differing, len(rows) - len(differing)))
    groups = seed_groups(entries)
    return Compared(list(entries), [s for s in sections if s.differences or s.n_same], _tests(folders, entries, groups), groups)


def seed_groups(entries: Sequence[RunEntry]) -> list[SeedGroup]:
    """Groups of two or more among the entries, with their figures averaged.

    Parameters
    ----------
    entries : sequence of RunEntry
    """
    by_group: dict[str, list[RunEntry]] = {}
    for entry in entries:
        if entry.group:
            by_group.setdefault(entry.group, []).append(entry)
    found = []
    for members in by_group.values():
        # The same seed again is the same run again, and no further draw.
        alike = list({entry.seed: entry for entry in reversed(members)}.values())[::-1]
        if len(alike) < 2:
            continue
        # The metric that decides comes first.
        deciding = [entry.metric for entry in alike if entry.metric in entry.metrics]
        names = dict.fromkeys([*deciding, *(name for entry in alike for name in entry.metrics)])
        metrics = {name: spread([e.metrics[name] for e in alike if name in e.metrics]) for name in names}
        validation = spread([entry.validation for entry in alike if entry.validation is not None])
        found.append(
            SeedGroup(
                alike[0].name, [e.id for e in alike], [e.seed for e in alike],
                {name: each for name, each in metrics.items() if each is not None}, validation,
            )
        )  # fmt: skip
    return found


def spread(values: Sequence[float]) -> Spread | None:
    """Mean, standard deviation (0 for one value) and ends; None for no values."""
    if not values:
        return None
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return Spread(statistics.fmean(values), sd, min(values), max(values), len(values))


def _unlike(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return False
    return bool(a != b) or isinstance(a, bool) is not isinstance(b, bool)


def _tests(folders: Sequence[Path], entries: Sequence[RunEntry], groups: Sequence[SeedGroup]) -> list[PairTest]:
    trainings = [(f, e) for f, e in zip(folders, entries, strict=True) if e.kind == "training" and e.target]
    if len(trainings) < 2:
        return []
    from modelwright.runs.paired import pair_test

    alike = [set(group.runs) for group in groups]
    pairs = combinations(trainings, 2) if len(trainings) <= _ALL_PAIRS else (((trainings[0]), other) for other in trainings[1:])
    # Runs of one seed group are draws of the same thing: their spread is told instead.
    return [
        pair_test(first, other, a, b) for (first, a), (other, b) in pairs if not any({a.id, b.id} <= runs for runs in alike)
    ]
