"""What a list of runs knows of each: one flat value, whatever kind of run it is.

The index holds these values; the run folders are the truth, and the index can be made again from them.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal["training", "job", "tuning"]
#: "killed": it began, nobody works on it any more, and it said no last word.
State = Literal["running", "finished", "failed", "interrupted", "killed"]


class RunEntry(msgspec.Struct, frozen=True):
    """One run in a list.

    Times are ISO 8601 with zone. ``metrics`` are the run's figures by name, of a training the sealed ones, with their 95 %
    ``intervals`` where there are any; ``metric`` names the one that decides. ``data`` is the fingerprint of the table.
    ``group`` is the same for runs that differ in nothing asked but the seed.

    Of a training: ``validation`` is the score on validation rows, ``better`` whether it was shown to beat the baseline,
    ``findings`` how many there are of each severity that nobody waived. A model that was not shown to be better than the best
    on its sealed rows has no ``metrics``: its own numbers stay in the ledger (``withheld`` says so).
    """

    id: str
    name: str
    kind: Kind
    state: State
    created: str
    ended: str | None = None
    wall_s: float | None = None
    parent: str = ""
    user: str = ""
    task: str = ""
    target: str = ""
    metric: str = ""
    greater_is_better: bool | None = None
    params: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    tags: dict[str, str] = {}
    note: str = ""
    data: str = ""
    source: str = ""
    commit: str = ""
    dirty: bool = False
    seed: int | None = None
    group: str = ""
    peak_memory_mb: float | None = None
    error: str = ""
    validation: float | None = None
    better: bool | None = None
    findings: dict[str, int] = {}
    withheld: str = ""
