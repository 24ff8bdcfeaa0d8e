"""What is running, what waits for whom, and what was decided last: plainly, for people and for monitors."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from modelwright.registry.decisions import Decision
from modelwright.registry.names import CHAMPION
from modelwright.registry.registry import CHALLENGER
from modelwright.retraining import heartbeat
from modelwright.retraining.by_hand import policy_here
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
    """The state of a home.

    ``policy`` says who watches the policy of the working folder, empty without one; ``attention`` has what asks for a person,
    in sentences, and is empty if nothing does.
    """

    policy: str
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
    now, policy = dt.datetime.now(dt.UTC), policy_here()
    watching, attention = "", _attention(processes, models, under_way)
    if policy is not None:
        by = heartbeat.alive(retrainings.database, retrainings.home, now, model=policy.model)
        watching = f"{policy.model}: watched by {', '.join(map(str, by)) or 'nobody'}"
        attention += [] if by else [unwatched_here(room) or ""]
    return Status(watching, processes, models, under_way, decisions, [each for each in attention if each])


def unwatched_here(room: Room) -> str | None:
    """What to say where the policy of the working folder acts and no scheduler watches it; None otherwise.

    Parameters
    ----------
    room : Room
    """
    from modelwright.retraining.policy_check import policy_acts

    policy = policy_here()
    if policy is None or not policy_acts(policy):
        return None
    retrainings = Retrainings(room.home, room.store)
    return heartbeat.unwatched(retrainings.database, retrainings.home, policy.model, dt.datetime.now(dt.UTC))


def _attention(processes: list[tuple[ProcessLine, bool]], models: list[ModelLine], under_way: list[Retraining]) -> list[str]:
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
