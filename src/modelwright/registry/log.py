"""What one transaction of the registry changes, each change with its line in the log of decisions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from modelwright.errors import StorageError
from modelwright.provenance.command import user
from modelwright.provenance.secrets import redacted
from modelwright.registry.decisions import Decision, Kind
from modelwright.registry.names import CHAMPION
from modelwright.registry.releases import Release, Stage
from modelwright.registry.rows import Rows, Version

#: Taken from a version that becomes champion.
CHALLENGER = "challenger"


class Log:
    """Changes of one transaction, each with its line."""

    def __init__(self, rows: Rows, clock: Callable[[], datetime]) -> None:
        self.rows, self._clock = rows, clock

    def add(
        self,
        kind: Kind,
        name: str,
        number: int,
        *,
        alias: str = "",
        was: int = 0,
        why: str = "",
        evidence: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> Decision:
        """Write a line."""
        try:
            told = json.dumps(evidence or {}, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StorageError(
                f"The evidence is not made of plain values: {error}.",
                where=f"{kind} {name}/{number}",
                mend="Give texts, finite numbers, lists and dicts.",
            ) from error
        count, head = self.rows.chain()
        decision = Decision(
            count=count + 1,
            at=self._clock().isoformat(timespec="milliseconds"),
            by_whom=user(),
            kind=kind,
            name=name,
            number=number,
            alias=alias,
            was=was,
            why=redacted(why.strip()),
            evidence=redacted(told),
            key=key,
            previous=head,
        )
        decision = msgspec.structs.replace(decision, hash=decision.digest())
        self.rows.append(decision)
        return decision

    def move(
        self,
        kind: Kind,
        version: Version,
        alias: str,
        *,
        why: str = "",
        evidence: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> None:
        """Let an alias point to a version; nothing is done where it does. A release that this overtakes ends."""
        was = self.rows.pointed(version.name, alias)
        if was != version.number:
            self.add(kind, version.name, version.number, alias=alias, was=was, why=why, evidence=evidence, key=key)
            self.rows.point(version.name, alias, version.number)
            release = self.rows.releases.in_flight(version.name) if alias == CHAMPION else None
            if release is not None and (evidence or {}).get("release") != release.id:
                back = release.stage == "watch" and version.number == release.was
                self.end(release, "rolled back" if back else "stopped", why or "the champion was moved by hand")

    def promote(
        self, version: Version, alias: str, *, why: str = "", evidence: Mapping[str, Any] | None = None, key: str = ""
    ) -> None:
        """Let an alias point to a version; a champion is no challenger any more."""
        self.move("promote", version, alias, why=why, evidence=evidence, key=key)
        if alias == CHAMPION and CHALLENGER in version.aliases:
            self.unalias(version, CHALLENGER, "it became champion")

    def end(self, release: Release, stage: Stage, why: str, *, key: str = "") -> None:
        """End a release, with its line."""
        at = self._clock().isoformat(timespec="milliseconds")
        self.rows.releases.update(msgspec.structs.replace(release, stage=stage, since=at, why=why))
        told = {"release": release.id, "stage": stage, "from": release.stage}
        self.add("release", release.name, release.number, was=release.was, why=why, evidence=told, key=key)

    def unalias(self, version: Version, alias: str, why: str) -> None:
        """Let an alias that points to a version point to nothing."""
        self.add("unalias", version.name, version.number, alias=alias, was=version.number, why=why)
        self.rows.point(version.name, alias, 0)

    def retag(self, version: Version, tags: dict[str, str], why: str) -> None:
        """Replace the tags of a version; nothing is done where they are these."""
        if tags != version.tags:
            self.add("tag", version.name, version.number, why=why, evidence={"tags": tags})
            self.rows.retag(version, tags)
