"""What is running, what waits for whom, and what was decided last: plainly, for people and for monitors."""

from __future__ import annotations

from typing import NamedTuple

from modelwright.registry.decisions import Decision
from modelwright.registry.names import CHAMPION
from modelwright.registry.registry import CHALLENGER
from modelwright.retraining.processes import Processes, ProcessLine
from modelwright.retraining.requests import Retraining, Retrainings
from modelwright.retraining.steps import Room

#: Seconds after which a process that was not seen is gone.
LEASE_S = 60.0
_DECISIONS = 5


class ModelLine(NamedTuple):
    """A registered model: numbers of champion and challenger, 0 for none, and the retraining that ended last."""

    name: str
    champion: int
    challenger: int
    last: Retraining | None


class Status(NamedTuple):
    """The state of a home. ``attention`` has what asks for a person, in sentences; empty if nothing does."""

    processes: list[tuple[ProcessLine, bool]]
    models: list[ModelLine]
    open: list[Retraining]
    decisions: list[Decision]
    attention: list[str]


def status_of(room: Room) -> Status:
    """How a home stands.

    Parameters
    ----------
    room : Room
    """
    retrainings = Retrainings(room.home, room.store)
    table = Processes(retrainings.database, retrainings.home)
    processes = [(line, table.lives(line, LEASE_S)) for line in table.lines()]
    registry = room.registry()
    models = []
    for name in registry.models():
        pointing = {alias: version.number for version in registry.versions(name) for alias in version.aliases}
        last = next(iter(retrainings.latest(name, 1)), None)
        models.append(ModelLine(name, pointing.get(CHAMPION, 0), pointing.get(CHALLENGER, 0), last))
    under_way = retrainings.open()
    decisions = registry.decisions()[-_DECISIONS:][::-1]
    return Status(processes, models, under_way, decisions, _attention(room, processes, models, under_way))


def _attention(
    room: Room, processes: list[tuple[ProcessLine, bool]], models: list[ModelLine], under_way: list[Retraining]
) -> list[str]:
    found = [
        f"The {line.kind} {line.host} (process {line.pid}) was seen last at {line.seen[:19]}, and is gone."
        for line, lives in processes
        if not lives
    ]
    working = any(line.kind == "worker" and lives for line, lives in processes)
    for each in under_way:
        if each.state == "waiting":
            found.append(f"{each.model}/{each.version} waits for approval: modelwright approve {each.model}")
        elif not working:
            found.append(f"{each.model} is to be retrained ({each.id}), and no worker runs: modelwright worker")
    for model in models:
        if model.last is not None and model.last.outcome == "failed":
            found.append(f"The last retraining of {model.name} failed. {model.last.told}")
    return found
