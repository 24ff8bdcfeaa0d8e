"""The log of predictions: each answered row, written in batches by a thread that no request waits for.

A request offers what it answered to a bounded queue; the writer empties it every `FLUSH_S` into the store. What was
answered since is lost if the process is killed; an orderly end writes everything. While the store refuses, the queue
fills, and what then happens is chosen: ``drop-and-count``, or ``block``, where requests wait.

An answer is one line in the store, whatever its number of rows: row k of the answer ``A`` has the id ``A-k``. Its features
are MessagePack, which takes a third of the place and time of JSON; JSON is read too, and written where a number is too long.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from modelwright.errors import StorageError
from modelwright.store.database import Database

Policy = Literal["drop-and-count", "block"]
#: Seconds between two batches: what a killed process may lose.
FLUSH_S = 0.2
#: Rows of one transaction.
_BATCH = 2_000
#: Seconds to wait after the store refused.
_PAUSE_S = 1.0
REDACTED = "[redacted]"


class Answered(NamedTuple):
    """The rows of one answer. ``id`` belongs to the answer; that of row k is ``id-k``."""

    id: str
    model: str
    version: str
    part: str
    at: float
    rows: Sequence[dict[str, Any]]
    entities: Sequence[str] | None
    values: Sequence[Any]
    proba: Sequence[Sequence[float]] | None
    latency_ms: float
    trace: str | None = None


class _Line(NamedTuple):
    """An answer as the store has it."""

    n_rows: int
    values: tuple[Any, ...]


class Counts(NamedTuple):
    """Rows written, dropped and waiting, and whether the store took the last batch."""

    written: int
    dropped: int
    waiting: int
    healthy: bool


class PredictionLog:
    """A bounded queue and the thread that writes it into the store.

    Parameters
    ----------
    database : Database
    capacity : int, default=20000
        Rows that may wait.
    sample : float, default=1.0
        Share of answers that are logged, in [0, 1]; chosen by the id, so that all rows of an answer go together.
    redact : iterable of str, default=()
        Columns whose values are not written.
    flush_s : float, default=0.2
        Seconds between batches.
    """

    def __init__(
        self,
        database: Database,
        *,
        capacity: int = 20000,
        sample: float = 1.0,
        redact: Iterable[str] = (),
        flush_s: float = FLUSH_S,
    ) -> None:
        self._database = database
        self._capacity, self._sample, self._flush_s = capacity, sample, flush_s
        self._redact = frozenset(redact)
        self._queue: deque[_Line] = deque()
        self._lock = threading.Lock()
        self._waiting = self._written = self._dropped = 0
        #: Requests answered and failed by model, version, part and minute, that wait to be added up in the store.
        self._tallied: dict[tuple[str, str, str, str], tuple[int, int]] = {}
        self._healthy, self._held = True, False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prediction log", daemon=True)

    def start(self) -> None:
        """Start the writer."""
        self._thread.start()

    def offer(self, answered: Answered) -> bool:
        """Queue an answer; False if the queue has no room for it. Never waits, and never counts a drop by itself."""
        if self._sample < 1.0 and _share(answered.id) >= self._sample:
            return True
        # Packed at once: rows that wait as objects push what predicts out of the processor's cache.
        n_rows, line = len(answered.rows), self._line(answered)
        with self._lock:
            # An answer of more rows than the queue holds is taken when nothing waits: it would never fit otherwise.
            if self._waiting + n_rows > self._capacity and self._waiting:
                return False
            self._waiting += n_rows
            self._queue.append(line)
        return True

    def tally(self, model: str, version: str, part: str, *, failed: bool) -> None:
        """Count a request that a version answered, or failed to answer; every one, whatever share of answers is logged."""
        key = (model, version, part, _minute(int(time.time() // 60)))
        with self._lock:
            n, n_failed = self._tallied.get(key, (0, 0))
            self._tallied[key] = (n + 1, n_failed + failed)

    def drop(self, n_rows: int) -> None:
        """Count rows that were given up."""
        with self._lock:
            self._dropped += n_rows

    def counts(self) -> Counts:
        """What became of the rows so far."""
        with self._lock:
            return Counts(self._written, self._dropped, self._waiting, self._healthy)

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits and end the thread; rows that the store refuses until then are counted as dropped."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        with self._lock:
            self._dropped += self._waiting
            self._waiting = 0
            self._queue.clear()

    def _work(self) -> None:
        with contextlib.ExitStack() as kept:
            while True:
                ending = self._ending.wait(self._flush_s)
                if not self._tallied and not self._queue:
                    kept.close()  # so that nobody waits for a server that has nothing to do
                while (batch := self._take()) or self._tallied:
                    if not self._write(batch, kept):
                        if ending:
                            return
                        break
                if ending:
                    return

    def _take(self) -> list[_Line]:
        """The oldest answers, as many as make a batch; they stay in the queue until they are written."""
        taken: list[_Line] = []
        n_rows = 0
        with self._lock:
            for line in self._queue:
                taken.append(line)
                n_rows += line.n_rows
                if n_rows >= _BATCH:
                    break
        return taken

    def _write(self, batch: list[_Line], kept: contextlib.ExitStack) -> bool:
        n_rows = sum(line.n_rows for line in batch)
        with self._lock:
            tallied, self._tallied = self._tallied, {}
        try:
            if not self._held:
                kept.enter_context(self._holding())
            write_predictions(self._database, [line.values for line in batch], tallied)
        except StorageError:
            with self._lock:
                for key, (n, n_failed) in tallied.items():
                    more, more_failed = self._tallied.get(key, (0, 0))
                    self._tallied[key] = (n + more, n_failed + more_failed)
            self._healthy = False
            self._ending.wait(_PAUSE_S)
            return False
        with self._lock:
            self._healthy = True
            self._written += n_rows
            self._waiting -= n_rows
            for _ in batch:
                self._queue.popleft()
        return True

    @contextlib.contextmanager
    def _holding(self) -> Iterator[None]:
        with self._database.held():
            self._held = True
            try:
                yield
            finally:
                self._held = False

    def _line(self, answered: Answered) -> _Line:
        rows, entities = answered.rows, answered.entities
        if self._redact:
            rows = [{name: REDACTED if name in self._redact else value for name, value in row.items()} for row in rows]
        return _Line(len(rows), (
            answered.id, len(rows), answered.model, answered.version, answered.part,
            dt.datetime.fromtimestamp(answered.at, dt.UTC).isoformat(timespec="microseconds"),
            None if entities is None else _json(entities), _packed(rows), _json(answered.values),
            None if answered.proba is None else _json(answered.proba), answered.latency_ms, answered.trace,
        ))  # fmt: skip


@lru_cache(maxsize=2)
def _minute(number: int) -> str:
    """A minute since 1970 as ISO 8601 in UTC."""
    return dt.datetime.fromtimestamp(number * 60, dt.UTC).isoformat(timespec="minutes")[:16]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _packed(rows: Sequence[dict[str, Any]]) -> bytes:
    try:
        return msgspec.msgpack.encode(rows)
    except OverflowError:  # an integer of more than 64 bits
        return msgspec.json.encode(rows)


def logged_rows(features: bytes) -> list[dict[str, Any]]:
    """The rows of an answer, as its column ``features`` holds them."""
    # No MessagePack of a list begins with a bracket.
    rows: list[dict[str, Any]] = (msgspec.json if features[:1] == b"[" else msgspec.msgpack).decode(features)
    return rows


_COLUMNS = (
    "home", "id", "n_rows", "model", "version", "part", "at", "entities", "features", "predictions", "proba",
    "latency_ms", "trace",
)  # fmt: skip


def write_predictions(
    database: Database,
    lines: list[tuple[Any, ...]],
    tallied: Mapping[tuple[str, str, str, str], tuple[int, int]] | None = None,
) -> None:
    """Write answers, and add up requests, in one transaction; an answer that is there already stays as it is."""
    with database.writing() as connection:
        # By the driver itself: the translation of named values costs more than the rest.
        sign = "?" if connection.dialect.name == "sqlite" else "%s"
        if lines:
            places = ", ".join([sign] * len(_COLUMNS))
            lines = [(database.home, *line) for line in lines]
            connection.exec_driver_sql(
                f"INSERT INTO predictions ({', '.join(_COLUMNS)}) VALUES ({places}) ON CONFLICT (id) DO NOTHING", lines
            )
        # Sorted, so that two workers that add to the same lines never wait for each other in a circle.
        for key, counts in sorted((tallied or {}).items()):
            connection.exec_driver_sql(
                f"INSERT INTO served (home, model, version, part, minute, answered, failed) VALUES ({', '.join([sign] * 7)})"
                " ON CONFLICT (home, model, version, part, minute) DO UPDATE"
                " SET answered = served.answered + excluded.answered, failed = served.failed + excluded.failed",
                (database.home, *key, *counts),
            )


class Prediction(msgspec.Struct, frozen=True):
    """One logged row, as it is read back.

    ``score`` is the number to watch: the probability of the positive class, of the predicted one where there are several,
    or the predicted number. ``id`` is what its label is told by.
    """

    id: str
    model: str
    version: str
    part: str
    at: str
    entity: str | None
    features: dict[str, Any]
    prediction: Any
    score: float
    proba: list[float] | None
    latency_ms: float
    trace: str | None


def read_predictions(
    database: Database, model: str, *, since: str = "", until: str = "~", part: str = "live", version: str | None = None
) -> Iterator[Prediction]:
    """Logged rows of a model, oldest first.

    Parameters
    ----------
    database : Database
    model : str
    since, until : str
        Moments as ISO 8601 in UTC; from, and up to but without.
    part : {"live", "canary", "shadow"}, default="live"
    version : str, optional
        Only rows that this version answered.
    """
    import sqlalchemy as sa

    of_version = "" if version is None else " AND version = :version"
    wanted = sa.text(
        f"SELECT {', '.join(_COLUMNS)} FROM predictions"
        f" WHERE home = :home AND model = :model AND at >= :since AND at < :until AND part = :part{of_version} ORDER BY at, id"
    )
    given = {"home": database.home, "model": model, "since": since, "until": until, "part": part}
    with database.reading() as connection:
        lines = connection.execute(wanted, given if version is None else given | {"version": version})
        for line in lines:
            yield from _predictions(line)


def count_predictions(database: Database, model: str, version: str, part: str, since: str, until: str) -> int:
    """Rows that the log holds of a version, from a moment up to another."""
    import sqlalchemy as sa

    wanted = sa.text(
        "SELECT SUM(n_rows) FROM predictions"
        " WHERE home = :home AND model = :model AND at >= :since AND at < :until AND part = :part AND version = :version"
    )
    given = {"home": database.home, "model": model, "version": version, "part": part, "since": since, "until": until}
    with database.reading() as connection:
        return int(connection.execute(wanted, given).scalar() or 0)


def failure_rate(database: Database, model: str, version: str, part: str, since: str, until: str) -> float | None:
    """Share of the requests of these moments that a version failed to answer, by whole minutes; None if none was counted."""
    import sqlalchemy as sa

    wanted = sa.text(
        "SELECT SUM(answered), SUM(failed) FROM served WHERE home = :home AND model = :model AND version = :version"
        " AND part = :part AND minute >= :since AND minute <= :until"
    )
    given = {"home": database.home, "model": model, "version": version, "part": part, "since": since[:16], "until": until[:16]}
    with database.reading() as connection:
        answered, failed = connection.execute(wanted, given).one()
    return int(failed) / int(answered) if answered else None


def moments_of(database: Database, ids: Iterable[str]) -> dict[str, str]:
    """When predictions were made, by their ids; those that the log does not hold are left out."""
    import sqlalchemy as sa

    rows: dict[str, list[str]] = {}
    for prediction in ids:
        rows.setdefault(prediction.rpartition("-")[0], []).append(prediction)
    wanted = sa.text("SELECT id, at FROM predictions WHERE id IN :ids").bindparams(sa.bindparam("ids", expanding=True))
    answers = list(rows)
    found: dict[str, str] = {}
    with database.reading() as connection:
        for start in range(0, len(answers), 1000):
            for answer, at in connection.execute(wanted, {"ids": answers[start : start + 1000]}):
                found |= dict.fromkeys(rows[answer], at)
    return found


def _predictions(line: Any) -> Iterator[Prediction]:
    """The rows of one answer."""
    held = dict(zip(_COLUMNS, line, strict=True))
    rows, values = logged_rows(bytes(held["features"])), msgspec.json.decode(held["predictions"])
    proba = [None] * len(rows) if held["proba"] is None else msgspec.json.decode(held["proba"])
    entities = [None] * len(rows) if held["entities"] is None else msgspec.json.decode(held["entities"])
    for number, (row, value, shares, entity) in enumerate(zip(rows, values, proba, entities, strict=True)):
        score = value if shares is None else shares[1] if len(shares) == 2 else max(shares)
        yield Prediction(
            f"{held['id']}-{number}", held["model"], held["version"], held["part"], held["at"], entity, row, value,
            math.nan if score is None else float(score), shares, held["latency_ms"], held["trace"],
        )  # fmt: skip


def _share(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64
