"""The rows of the registry within one transaction: versions, aliases, decisions and the head of their chain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.registry.decisions import START, Decision
from modelwright.registry.files import version_folder
from modelwright.registry.names import Reference
from modelwright.registry.releases import ReleaseRows

if TYPE_CHECKING:
    import sqlalchemy as sa


class Version(msgspec.Struct, frozen=True):
    """One version of a model: exactly these bytes, for good.

    ``digest`` is the SHA-256 of its manifest, ``folder`` its bundle, ``data`` the fingerprint of the rows that it learned
    from. Aliases and tags are those of the moment.
    """

    name: str
    number: int
    digest: str
    folder: Path
    run: str = ""
    data: str = ""
    created: str = ""
    by: str = ""
    aliases: tuple[str, ...] = ()
    tags: dict[str, str] = {}

    def __str__(self) -> str:
        return f"{self.name}/{self.number}"


class Rows:
    """The registry of one home as a transaction sees it.

    Parameters
    ----------
    connection : Connection
    home : Path
        Folder that holds the models.
    key : str
        Names the home where several share the database.
    """

    def __init__(self, connection: sa.Connection, home: Path, key: str) -> None:
        self._connection, self._home, self._key = connection, home, key
        self.releases = ReleaseRows(connection, key)

    def models(self) -> list[str]:
        """Names of all models, sorted."""
        return [row[0] for row in self._select("SELECT DISTINCT name FROM versions WHERE home = :home ORDER BY name")]

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, the oldest first."""
        pointing: dict[int, list[str]] = {}
        found = self._select("SELECT alias, number FROM aliases WHERE home = :home AND name = :name ORDER BY alias", name=name)
        for alias, number in found:
            pointing.setdefault(int(number), []).append(alias)
        columns = "number, digest, run, data, created, by_whom, tags"
        rows = self._select(f"SELECT {columns} FROM versions WHERE home = :home AND name = :name ORDER BY number", name=name)
        return [
            Version(
                name, int(number), digest, version_folder(self._home, name, int(number)), run, data, created, by_whom,
                tuple(pointing.get(int(number), ())), json.loads(tags),
            )
            for number, digest, run, data, created, by_whom, tags in rows
        ]  # fmt: skip

    def version(self, wanted: Reference) -> Version:
        """The version that is meant.

        Raises
        ------
        InvalidInputError
            If there is none; those that exist are named.
        """
        versions = self.versions(wanted.name)
        for version in versions:
            if version.number == wanted.number or (wanted.alias is not None and wanted.alias in version.aliases):
                return version
        if not versions:
            known = ", ".join(self.models()) or "none yet; modelwright register makes one"
            raise InvalidInputError(f"There is no model {wanted.name!r}.", where=str(wanted), mend=f"Models: {known}.")
        raise InvalidInputError(
            f"There is no version {wanted}.", where=str(wanted), mend=f"There are {self.listed(wanted.name)}."
        )

    def listed(self, name: str) -> str:
        """The latest versions of a model with their aliases, for messages."""
        return ", ".join(
            f"{version.number}" + (f" (@{', @'.join(version.aliases)})" if version.aliases else "")
            for version in self.versions(name)[-8:]
        )

    def pointed(self, name: str, alias: str) -> int:
        """The number that an alias points to; 0 for none."""
        sql = "SELECT number FROM aliases WHERE home = :home AND name = :name AND alias = :alias"
        found = self._select(sql, name=name, alias=alias)
        return int(found[0][0]) if found else 0

    def point(self, name: str, alias: str, number: int) -> None:
        """Let an alias point to a version; to none for 0."""
        self._do("DELETE FROM aliases WHERE home = :home AND name = :name AND alias = :alias", name=name, alias=alias)
        if number:
            sql = "INSERT INTO aliases (home, name, alias, number) VALUES (:home, :name, :alias, :number)"
            self._do(sql, name=name, alias=alias, number=number)

    def insert(self, version: Version) -> None:
        """Enter a version, and keep its run as long as it is there."""
        fields = {
            "name": version.name, "number": version.number, "digest": version.digest, "run": version.run,
            "data": version.data, "created": version.created, "by_whom": version.by, "tags": _plain(version.tags),
        }  # fmt: skip
        values = ", ".join(f":{name}" for name in fields)
        self._do(f"INSERT INTO versions (home, {', '.join(fields)}) VALUES (:home, {values})", **fields)
        if version.run:
            sql = "INSERT INTO pins (home, run, holder, why) VALUES (:home, :run, :holder, '')"
            self._do(sql, run=version.run, holder=f"model {version.name}, version {version.number}")

    def retag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Replace the tags of a version."""
        sql = "UPDATE versions SET tags = :tags WHERE home = :home AND name = :name AND number = :number"
        self._do(sql, name=version.name, number=version.number, tags=_plain(tags))

    def decisions(self) -> list[Decision]:
        """The log, oldest first."""
        columns = ", ".join(Decision.__struct_fields__)
        return [Decision(*row) for row in self._select(f"SELECT {columns} FROM decisions WHERE home = :home ORDER BY count")]

    def decided(self, key: str) -> bool:
        """Whether the step of this name has decided already."""
        return bool(key) and bool(self._select("SELECT 1 FROM decisions WHERE home = :home AND key = :key", key=key))

    def chain(self) -> tuple[int, str]:
        """How many decisions were made, and the hash of the last."""
        found = self._select("SELECT count, head FROM decision_chains WHERE home = :home")
        return (int(found[0][0]), str(found[0][1])) if found else (0, START)

    def hold(self) -> None:
        """Wait until nobody else decides, and let others wait from now on."""
        sql = "INSERT INTO decision_chains (home, count, head) VALUES (:home, 0, :head) ON CONFLICT (home) DO NOTHING"
        self._do(sql, head=START)
        # On SQLite nobody else writes anyway; on Postgres this row is what others wait for.
        self._do("UPDATE decision_chains SET count = count WHERE home = :home")

    def append(self, decision: Decision) -> None:
        """Write a line, and make it the head of the chain."""
        fields = msgspec.structs.asdict(decision)
        values = ", ".join(f":{name}" for name in fields)
        self._do(f"INSERT INTO decisions (home, {', '.join(fields)}) VALUES (:home, {values})", **fields)
        sql = "UPDATE decision_chains SET count = :count, head = :head WHERE home = :home"
        self._do(sql, count=decision.count, head=decision.hash)

    def _select(self, sql: str, **values: Any) -> list[Any]:
        import sqlalchemy as sa

        return list(self._connection.execute(sa.text(sql), {"home": self._key, **values}))

    def _do(self, sql: str, **values: Any) -> None:
        import sqlalchemy as sa

        self._connection.execute(sa.text(sql), {"home": self._key, **values})


def _plain(tags: Mapping[str, str]) -> str:
    return json.dumps(dict(tags), sort_keys=True)
