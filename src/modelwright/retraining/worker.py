"""The process that does retrainings: finds what was asked for, hands it to the engine, and takes over from the dead.

It may be killed at any moment, and ends so itself: whoever starts it again under the same place goes on at the step that
was reached. A place is a folder with a lock, so a new worker knows at once whose work is left; work of another machine is
taken over when its worker was not seen for `LEASE_S`.

::

    HOME/workers/N/lock    held by the worker in place N
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import msgspec

from modelwright.errors import InvalidInputError, ModelwrightError, StorageError
from modelwright.registry.decisions import champion_before
from modelwright.registry.names import CHAMPION
from modelwright.retraining.children import Work, allow, compute, forget
from modelwright.retraining.engine import Engine
from modelwright.retraining.processes import Presence, Processes
from modelwright.retraining.requests import Retraining, Retrainings
from modelwright.retraining.steps import Made, Room
from modelwright.retraining.workflow import Retrain, done
from modelwright.serving.logs import Log
from modelwright.store.locks import FolderLock, is_held

Trains = Literal["all", "only", "none"]
FOLDER = "workers"
#: Seconds between looks for what was asked.
_LOOK_S = 0.3
#: Seconds between looks for work that dead workers left.
_CARE_S = 5.0
#: Seconds after which a worker on another machine that was not seen is taken for dead.
LEASE_S = 60.0
_MOST_PLACES = 64
#: Retrainings of different models that one worker has under way, most of them waiting.
_MOST_UNDER_WAY = 64


class Place:
    """One worker's place in a home: its number is free again when its process ends."""

    def __init__(self, home: Path, number: int, lock: FolderLock) -> None:
        self.number, self.lock = number, lock
        self.name = _name(home, number)

    @classmethod
    def take(cls, home: Path) -> Place:
        """The first free place.

        Raises
        ------
        StorageError
            If there is none, or the home cannot be written.
        """
        for number in range(1, _MOST_PLACES + 1):
            folder = home / FOLDER / str(number)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock = FolderLock.take(folder)
            except OSError as error:
                raise StorageError(
                    f"A worker cannot take its place: {error.strerror}.", where=str(folder), mend="Make the home writable."
                ) from error
            if lock is not None:
                return cls(home, number, lock)
        raise StorageError(f"{_MOST_PLACES} workers are there already.", where=str(home), mend="End some of them.")


def abandoned(home: Path) -> list[str]:
    """Names of the places of a home that nobody holds."""
    folders = [path for path in (home / FOLDER).glob("*") if path.name.isdigit()]
    return [_name(home, int(path.name)) for path in folders if not is_held(path)]


def _name(home: Path, number: int) -> str:
    return f"{socket.gethostname()}:{home.resolve()}#{number}"


class Worker:
    """Does the retrainings of a home.

    Parameters
    ----------
    room : Room
    log : Log
    at_once : int, default=2
        Steps that compute side by side, of different models; those that wait, for a person or while a model is watched, are
        not counted.
    trains : {"all", "only", "none"}, default="all"
        Whether it also trains for homes on other machines, or only that, or never. Where runs are published at an address
        and the store is Postgres, any worker that has both may train.
    """

    def __init__(self, room: Room, log: Log, *, at_once: int = 2, trains: Trains = "all") -> None:
        self.room, self.log = room, log
        self.place = Place.take(room.home)
        self.retrainings = Retrainings(room.home, room.store)
        self.processes = Processes(self.retrainings.database, self.retrainings.home)
        self._engine = Engine(self.retrainings.database, room.home, self.retrainings.home, self.place.name, log)
        self.presence = Presence(self.processes, self.place.name, "worker", f"{at_once} at once")
        self._work = Retrain(room, self.retrainings, self.place.name, log, self._ended, self._waits)
        self._trains = trains
        allow(at_once)
        self._anywhere = room.artifacts is not None and self.retrainings.database.file is None
        if self._anywhere:
            self._work.train_anywhere = self._engine.train_anywhere
        elif trains != "all":
            raise InvalidInputError(
                "Trainings are shared out only where runs are published at an address, and the store is Postgres.",
                where=f"--trains {trains}", mend="Give --artifacts and --store, or leave it out.",
            )  # fmt: skip
        self._enqueued: set[str] = set()
        self._cared = 0.0

    def start(self) -> None:
        """Begin; what this place had begun before is gone on with at once."""
        began = time.monotonic()
        self.presence.tell()
        train = self._train if self._anywhere and self._trains != "none" else None
        self._engine.launch(None if self._trains == "only" else self._work, train, at_once=_MOST_UNDER_WAY)
        self.log.write("worker ready", worker=self.place.name, seconds=round(time.monotonic() - began, 2))

    def look(self) -> None:
        """Hand what was asked for to the engine, and take over what the dead have left."""
        self.presence.tell()
        under_way = self.retrainings.open() if self._trains != "only" else []
        for each in under_way:
            if each.id not in self._enqueued:
                self._engine.enqueue(each.id)
                self._enqueued.add(each.id)
        if time.monotonic() - self._cared > _CARE_S:
            self._cared = time.monotonic()
            dead = [*abandoned(self.room.home), *self.processes.lost("worker", LEASE_S)]
            if dead and (n := self._engine.take_over(dead)):
                self.log.write("taken over", workers=", ".join(dead), workflows=n)
            for each in under_way:
                # Its last step closes a retraining; one that is open without a workflow would block the model for ever.
                if self._engine.gave_up(each.id) and self.retrainings.get(each.id).ended is None:
                    self.retrainings.end(each.id, "failed", "Its workflow broke off; the log of the workers says why.")

    def run(self, ending: threading.Event) -> None:
        """Work until the event is set; a store that is away is told once, and waited for."""
        self.start()
        away = False
        while not ending.wait(_LOOK_S):
            try:
                self.look()
                away = False
            except ModelwrightError as error:
                if not away:
                    self.log.write("store not readable", error=type(error).__name__)
                away = True

    def _train(self, told: dict[str, Any]) -> Made:
        """Train for a home that may be on another machine; the finished run is published at the address of the artifacts."""
        asked = msgspec.convert(told, Work)
        work = msgspec.structs.replace(
            asked, home=str(self.room.home.absolute()), store=self.room.store, artifacts=self.room.artifacts
        )
        return done("train", lambda: compute(work), self.log)

    def _waits(self, waiting: Retraining) -> None:
        from modelwright.retraining.telling import tell

        tell(self.retrainings, waiting, self.log)

    def _ended(self, closed: Retraining) -> None:
        from modelwright.retraining.snapshot import sweep
        from modelwright.retraining.telling import tell

        tell(self.retrainings, closed, self.log)
        forget(self.room.home, closed.id)
        sweep(self.room.home, needed_snapshots(self.room, self.retrainings, closed.model), now=time.time())


def needed_snapshots(room: Room, retrainings: Retrainings, model: str) -> set[str]:
    """Rows that versions with an alias learned from, that the champion before did, and that are being learned from.

    Parameters
    ----------
    room : Room
    retrainings : Retrainings
    model : str
    """
    registry = room.registry()
    before = champion_before(registry.decisions(model), CHAMPION)
    needed = {
        version.data
        for name in registry.models()
        for version in registry.versions(name)
        if version.aliases or (name == model and version.number == before)
    }
    for each in retrainings.open():
        made = {line.step: line.made for line in retrainings.steps(each.id)}.get("snapshot")
        needed |= {made["fingerprint"]} if made else set()
    return needed


def run_worker(room: Room, log: Log, *, at_once: int = 2, trains: Trains = "all") -> None:
    """Work until a signal comes, then end at once: whatever is under way goes on at its step with the next worker.

    Parameters
    ----------
    room : Room
    log : Log
    at_once : int, default=2
    trains : {"all", "only", "none"}, default="all"
        As for `Worker`.
    """
    ending = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ending.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    worker = Worker(room, log, at_once=at_once, trains=trains)
    worker.run(ending)
    worker.presence.end()
    log.write("worker ended", worker=worker.place.name)
    # Not by way of the engine, which would wait for what it does; children see their input close, and end too.
    os._exit(0)
