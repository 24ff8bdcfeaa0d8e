"""Labels: what turned out, told by the id of the prediction. Committed before anybody is told that they were accepted.

The same label again changes nothing. Another one for the same prediction is a correction: the last one holds, and the
earlier ones stay as its history. A label may come before its prediction was written, or for one that never was logged.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from modelwright.store.database import Database


class Label(NamedTuple):
    """What turned out: ``value`` for the prediction ``id``; ``at`` is when, as ISO 8601 in UTC, if known."""

    id: str
    value: Any
    at: str | None = None


class Accepted(NamedTuple):
    """How many labels were new, known already, and corrections of earlier ones."""

    new: int
    unchanged: int
    corrected: int


class StoredLabel(msgspec.Struct, frozen=True):
    """A label as it is read back; ``revision`` counts from 1."""

    prediction: str
    revision: int
    value: Any
    at: str | None
    received: str
    by_whom: str


def add_labels(database: Database, model: str, labels: Sequence[Label], by_whom: str = "") -> Accepted:
    """Write labels in one transaction; when this returns, they are committed.

    Parameters
    ----------
    database : Database
    model : str
    labels : sequence of Label
        In their order: of two for the same prediction the later one holds.
    by_whom : str, default=""
        Who told.

    Raises
    ------
    StorageError
        If the store refuses; then none of them is written.
    """
    import sqlalchemy as sa

    received = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
    counted = {"new": 0, "unchanged": 0, "corrected": 0}
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            # Two corrections of one label at once must not both become the same revision.
            connection.exec_driver_sql("LOCK TABLE labels IN SHARE ROW EXCLUSIVE MODE")
        known = _latest(connection, [label.id for label in labels])
        lines = []
        for label in labels:
            value = msgspec.json.encode(label.value).decode()
            revision, held = known.get(label.id, (0, None))
            if held == value:
                counted["unchanged"] += 1
                continue
            counted["corrected" if revision else "new"] += 1
            known[label.id] = (revision + 1, value)
            lines.append(
                {
                    "home": database.home, "prediction": label.id, "revision": revision + 1, "model": model, "value": value,
                    "at": label.at, "received": received, "by_whom": by_whom,
                }
            )  # fmt: skip
        if lines:
            connection.execute(
                sa.text(
                    "INSERT INTO labels (home, prediction, revision, model, value, at, received, by_whom)"
                    " VALUES (:home, :prediction, :revision, :model, :value, :at, :received, :by_whom)"
                ),
                lines,
            )
    return Accepted(**counted)


def _latest(connection: Any, ids: list[str]) -> dict[str, tuple[int, str | None]]:
    """The newest revision of each of these labels, as far as there is one."""
    import sqlalchemy as sa

    wanted = sa.text(
        "SELECT prediction, revision, value FROM labels WHERE prediction IN :ids ORDER BY prediction, revision"
    ).bindparams(sa.bindparam("ids", expanding=True))
    found: dict[str, tuple[int, str | None]] = {}
    for start in range(0, len(ids), 1000):
        for prediction, revision, value in connection.execute(wanted, {"ids": ids[start : start + 1000]}):
            found[prediction] = (revision, value)
    return found


def read_labels(database: Database, model: str, *, history: bool = False) -> list[StoredLabel]:
    """The labels of a model, by prediction.

    Parameters
    ----------
    database : Database
    model : str
    history : bool, default=False
        Also those that were corrected later.
    """
    import sqlalchemy as sa

    wanted = sa.text(
        "SELECT prediction, revision, value, at, received, by_whom FROM labels WHERE home = :home AND model = :model"
        " ORDER BY prediction, revision"
    )
    with database.reading() as connection:
        rows = connection.execute(wanted, {"home": database.home, "model": model}).fetchall()
    labels = [StoredLabel(row[0], row[1], msgspec.json.decode(row[2]), *row[3:]) for row in rows]
    return labels if history else list({label.prediction: label for label in labels}.values())


def labels_of(database: Database, ids: Sequence[str]) -> dict[str, Any]:
    """The value that holds for each of these predictions, as far as one has come: that of the highest revision."""
    with database.reading() as connection:
        found = _latest(connection, list(ids))
    return {prediction: msgspec.json.decode(value) for prediction, (_, value) in found.items() if value is not None}


def labelled_since(database: Database, model: str, moment: str) -> dict[str, str]:
    """When labels came last, or were corrected, by the id of the prediction; those from a moment (ISO 8601, UTC) on."""
    import sqlalchemy as sa

    wanted = sa.text(
        "SELECT prediction, MAX(received) FROM labels WHERE home = :home AND model = :model AND received >= :moment"
        " GROUP BY prediction"
    )
    given = {"home": database.home, "model": model, "moment": moment}
    with database.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(wanted, given)}
