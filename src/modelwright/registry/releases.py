"""Releases: a challenger on its way to become champion, one at a time for each model.

The row says which stage it is at; it changes in the transaction that moves the alias, so that no process that dies between
leaves a challenger half released. `retraining.release` decides when a stage ends.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

Stage = Literal["shadow", "canary", "watch", "kept", "rolled back", "stopped"]
#: Stages of a release that has not ended.
IN_FLIGHT: tuple[Stage, ...] = ("shadow", "canary", "watch")

_COLUMNS = "id, name, was, number, stage, begun, since, share, rules, verdict, why, evidence"


class Release(msgspec.Struct, frozen=True):
    """One release.

    ``was`` is the champion that it began with, ``number`` the challenger. ``since`` is when the stage began, ``share`` that
    of a canary, ``rules`` the JSON of its `ReleaseRules`, ``verdict`` the decision that it rests on (0: none), ``why`` what
    led to this stage, ``evidence`` the figures at the end of each stage before.
    """

    id: str
    name: str
    was: int
    number: int
    stage: Stage
    begun: str
    since: str
    share: float
    rules: str
    verdict: int
    why: str
    evidence: dict[str, Any]

    @property
    def in_flight(self) -> bool:
        """Whether it has not ended."""
        return self.stage in IN_FLIGHT


class ReleaseRows:
    """The releases of one home as a transaction sees them.

    Parameters
    ----------
    connection : Connection
    key : str
        Names the home where several share the database.
    """

    def __init__(self, connection: Any, key: str) -> None:
        self._connection, self._key = connection, key

    def one(self, release: str) -> Release | None:
        """The release of an identifier."""
        return next(iter(self._select("id = :id", id=release)), None)

    def of(self, name: str) -> list[Release]:
        """All of a model, the newest first."""
        return self._select("name = :name ORDER BY begun DESC, id DESC", name=name)

    def in_flight(self, name: str) -> Release | None:
        """The one of a model that has not ended."""
        return next(iter(self._select("name = :name AND stage IN ('shadow', 'canary', 'watch')", name=name)), None)

    def insert(self, release: Release) -> None:
        """Enter a release; the database refuses a second one in flight."""
        fields = _plain(release)
        values = ", ".join(f":{name}" for name in fields)
        self._do(f"INSERT INTO releases (home, {', '.join(fields)}) VALUES (:home, {values})", **fields)

    def update(self, release: Release) -> None:
        """Write stage, since, why and evidence."""
        sql = "UPDATE releases SET stage = :stage, since = :since, why = :why, evidence = :evidence"
        held = _plain(release)
        fields = {name: held[name] for name in ("id", "stage", "since", "why", "evidence")}
        self._do(f"{sql} WHERE home = :home AND id = :id", **fields)

    def _select(self, condition: str, **values: Any) -> list[Release]:
        import sqlalchemy as sa

        sql = sa.text(f"SELECT {_COLUMNS} FROM releases WHERE home = :home AND {condition}")
        lines = [list(line) for line in self._connection.execute(sql, {"home": self._key, **values})]
        names = _COLUMNS.split(", ")
        return [Release(**{**dict(zip(names, line, strict=True)), "evidence": json.loads(line[-1])}) for line in lines]

    def _do(self, sql: str, **values: Any) -> None:
        import sqlalchemy as sa

        self._connection.execute(sa.text(sql), {"home": self._key, **values})


def _plain(release: Release) -> dict[str, Any]:
    return msgspec.structs.asdict(release) | {"evidence": json.dumps(release.evidence, sort_keys=True, allow_nan=False)}
