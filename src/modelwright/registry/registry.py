"""The registry: versions, aliases and decisions of the models of one home.

Every change is one transaction with its lines of the log, so a process that is killed leaves either all of it or nothing.
The folder of a new version is renamed into place before its line is committed; what a killed process left there is
replaced by the next version of that number.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelwright.artifacts.manifest import manifest_digest
from modelwright.errors import BundleError, InvalidInputError
from modelwright.registry.decisions import Decision, champion_before, faults
from modelwright.registry.files import copied, placed
from modelwright.registry.log import CHALLENGER as CHALLENGER
from modelwright.registry.log import Log
from modelwright.registry.names import CHAMPION, Reference, checked_name, read_reference
from modelwright.registry.releases import Release
from modelwright.registry.rows import Rows, Version
from modelwright.registry.source import Source
from modelwright.store.database import Database, key_of

_RESTORE = "Restore it from a backup, or promote another version."


class Registry:
    """The models of a home.

    Parameters
    ----------
    home : Path
        Folder that holds runs and models.
    store : str, optional
        URL of the database; None is SQLite in ``home``.
    clock : callable, optional
        Gives the moment that is logged.
    """

    def __init__(
        self, home: Path, store: str | None = None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.home = home
        self.database = Database.of(home, store)
        self._clock = clock
        self._key = key_of(home, store)

    # -- looking -------------------------------------------------------------------------------------------

    def resolve(self, reference: str | Reference) -> Version:
        """The version that a reference means at this moment; its manifest has the digest that was registered.

        Raises
        ------
        InvalidInputError
            If there is none; those that exist are named.
        BundleError
            If its folder is gone or was changed.
        """
        version = self.look_up(read_reference(reference) if isinstance(reference, str) else reference)
        where = str(version.folder)
        try:
            there = manifest_digest(version.folder)
        except (OSError, BundleError) as error:
            raise BundleError(f"The folder of {version} is gone, or cannot be read.", where=where, mend=_RESTORE) from error
        if there != version.digest:
            raise BundleError(f"The manifest of {version} is not the one that was registered.", where=where, mend=_RESTORE)
        return version

    def look_up(self, wanted: Reference) -> Version:
        """The version that a reference means, without a look at its folder; otherwise as `resolve`."""
        with self._reading() as rows:
            return rows.version(wanted)

    def models(self) -> list[str]:
        """Names of all models, sorted."""
        with self._reading() as rows:
            return rows.models()

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, the newest first; none of a model that does not exist."""
        with self._reading() as rows:
            return rows.versions(name)[::-1]

    def decisions(self, name: str | None = None) -> list[Decision]:
        """The log, oldest first, of one model or of all."""
        with self._reading() as rows:
            found = rows.decisions()
        return found if name is None else [decision for decision in found if decision.name == name]

    def sequence(self) -> int:
        """How many decisions were made; a server that keeps this number knows whether anything changed."""
        with self._reading() as rows:
            return rows.chain()[0]

    def verify(self) -> list[str]:
        """What is wrong with the log, the entries and the folders; empty if nothing is."""
        with self._reading() as rows:
            decisions, chain = rows.decisions(), rows.chain()
            versions = [version for name in rows.models() for version in rows.versions(name)]
        return faults(decisions, *chain) + _against_log(versions, decisions) + _of_folders(versions)

    def releases(self, name: str) -> list[Release]:
        """Releases of a model, the newest first."""
        with self._reading() as rows:
            return rows.releases.of(name)

    def release(self, release: str) -> Release | None:
        """The release of an identifier."""
        with self._reading() as rows:
            return rows.releases.one(release)

    def in_flight(self, name: str) -> Release | None:
        """The release of a model that has not ended."""
        with self._reading() as rows:
            return rows.releases.in_flight(name)

    # -- changing ------------------------------------------------------------------------------------------

    def register(
        self,
        source: Source,
        name: str,
        *,
        aliases: Iterable[str] = (),
        tags: Mapping[str, str] | None = None,
        force: bool = False,
        why: str = "",
    ) -> Version:
        """Make a bundle the next version of a model; the same bytes twice are one version.

        Parameters
        ----------
        source : Source
            From `source.source_of`.
        name : str
        aliases : iterable of str
            That point to it from now on.
        tags : mapping of str to str, optional
        force : bool, default=False
            Register in spite of barriers; then ``why`` is needed.
        why : str

        Raises
        ------
        InvalidInputError
            If there are barriers, or a name is none.
        BundleError, StorageError
            If the bundle is damaged, or cannot be copied.
        """
        checked_name(name, "model")
        wanted = [checked_name(alias, "alias") for alias in aliases]
        if source.barriers and not (force and why.strip()):
            raise InvalidInputError(
                f"The model should not be registered: {' '.join(source.barriers)}",
                where=source.run or str(source.bundle),
                mend="Mend it, waive the finding with a reason, or give --force and --why.",
            )
        copy = copied(source.bundle, self.home, name)
        try:
            digest = manifest_digest(copy)
            with self.deciding() as log:
                versions = log.rows.versions(name)
                version = next((each for each in versions if each.digest == digest), None)
                if version is None:
                    number = versions[-1].number + 1 if versions else 1
                    evidence = {"digest": digest, "run": source.run, "data": source.data, "barriers": source.barriers}
                    decision = log.add("register", name, number, why=why, evidence=evidence)
                    version = Version(
                        name, number, digest, placed(copy, number), source.run, source.data, decision.at, decision.by_whom,
                        (), dict(tags or {}),
                    )  # fmt: skip
                    log.rows.insert(version)
                elif tags:
                    log.retag(version, {**version.tags, **tags}, why)
                for alias in wanted:
                    log.move("alias", version, alias, why=why)
                return log.rows.version(Reference(name, number=version.number))
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def promote(
        self,
        name: str,
        number: int,
        *,
        alias: str = CHAMPION,
        why: str = "",
        evidence: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> Version:
        """Make a version the champion, in one step; one that is it already stays it, and nothing is logged.

        Parameters
        ----------
        name : str
        number : int
        alias : str, default="champion"
        why : str
        evidence : mapping, optional
            What the decision rests on; plain values.
        key : str
            Names the step that asks: a step that was killed and asks again decides nothing new.
        """
        checked_name(alias, "alias")
        with self.deciding() as log:
            if not log.rows.decided(key):
                log.promote(log.rows.version(Reference(name, number=number)), alias, why=why, evidence=evidence, key=key)
            return log.rows.version(Reference(name, number=number))

    def rollback(self, name: str, *, alias: str = CHAMPION, why: str = "", key: str = "") -> Version:
        """Return the alias to the version that it pointed to before, in one step; no training data is needed.

        Where a challenger is on its way to the champion (a shadow, a canary), that release is what is taken back: it ends,
        and the champion stays.

        Raises
        ------
        InvalidInputError
            If there is no version before.
        """
        with self.deciding() as log:
            now = log.rows.version(Reference(name, alias=alias))
            if log.rows.decided(key):
                return now
            release = log.rows.releases.in_flight(name) if alias == CHAMPION else None
            if release is not None and release.stage != "watch":
                log.end(release, "stopped", why or "rolled back by hand", key=key)
                return now
            before = champion_before([d for d in log.rows.decisions() if d.name == name], alias)
            if before is None:
                raise InvalidInputError(
                    f"{name}@{alias} pointed to no version before {now}.",
                    where=name,
                    mend=f"Promote another: there are {log.rows.listed(name)}.",
                )
            log.move("rollback", log.rows.version(Reference(name, number=before)), alias, why=why, key=key)
            return log.rows.version(Reference(name, number=before))

    def verdict(
        self,
        name: str,
        number: int,
        *,
        against: int,
        judge: Callable[[int], tuple[str, Mapping[str, Any]]],
        key: str = "",
    ) -> Decision:
        """Judge a version and log what was found; the line is what a promotion refers to.

        Parameters
        ----------
        name : str
        number : int
            The challenger.
        against : int
            The champion.
        judge : callable
            From the number of the attempt at this champion to a reason and evidence, which says under "tested" whether this
            was an attempt. It is called while others wait, so that two who ask at once are not both the first.
        key : str
            Names the step that asks: one that asks again gets the line that is there.
        """
        with self.deciding() as log:
            for version in (number, against):
                log.rows.version(Reference(name, number=version))
            before = [each for each in log.rows.decisions() if each.kind == "verdict" and each.name == name]
            for each in before:
                if key and each.key == key:
                    return each
            tested = [each for each in before if each.was == against and json.loads(each.evidence).get("tested")]
            why, evidence = judge(len(tested) + 1)
            return log.add("verdict", name, number, was=against, why=why, evidence=evidence, key=key)

    def referred(self, count: int, version: Version) -> dict[str, Any]:
        """The evidence of a promotion that rests on a verdict: its number in the log, and its hash.

        Raises
        ------
        InvalidInputError
            If that line is no verdict on this version.
        """
        for each in self.decisions(version.name):
            if each.count == count and each.kind == "verdict" and each.number == version.number:
                return {"verdict": each.count, "verdict_hash": each.hash}
        raise InvalidInputError(
            f"Decision {count} is no verdict on {version}.", where="--verdict", mend="See modelwright decisions."
        )

    def set_alias(self, name: str, alias: str, number: int, *, why: str = "") -> Version:
        """Let an alias point to a version."""
        checked_name(alias, "alias")
        with self.deciding() as log:
            log.move("alias", log.rows.version(Reference(name, number=number)), alias, why=why)
            return log.rows.version(Reference(name, number=number))

    def remove_alias(self, name: str, alias: str, *, why: str = "") -> None:
        """Let an alias point to nothing.

        Raises
        ------
        InvalidInputError
            If there is no such alias.
        """
        with self.deciding() as log:
            log.unalias(log.rows.version(Reference(name, alias=alias)), alias, why)

    def tag(self, name: str, number: int, tags: Mapping[str, str], *, why: str = "") -> Version:
        """Set tags of a version; an empty text takes one away."""
        with self.deciding() as log:
            version = log.rows.version(Reference(name, number=number))
            log.retag(version, {key: value for key, value in {**version.tags, **tags}.items() if value != ""}, why)
            return log.rows.version(Reference(name, number=number))

    @contextmanager
    def _reading(self) -> Iterator[Rows]:
        with self.database.reading() as connection:
            yield Rows(connection, self.home, self._key)

    @contextmanager
    def deciding(self) -> Iterator[Log]:
        """A transaction in which something is decided: whoever decides meanwhile waits."""
        with self.database.writing() as connection:
            rows = Rows(connection, self.home, self._key)
            rows.hold()
            yield Log(rows, self._clock)


def _against_log(versions: list[Version], decisions: list[Decision]) -> list[str]:
    """Entries that are not as the log decided."""
    registered = {(d.name, d.number): json.loads(d.evidence).get("digest") for d in decisions if d.kind == "register"}
    pointing = {(d.name, d.alias): 0 if d.kind == "unalias" else d.number for d in decisions if d.alias}
    found = []
    for version in versions:
        if registered.pop((version.name, version.number), None) != version.digest:
            found.append(f"The entry of {version} is not the one that was decided on.")
        for alias in version.aliases:
            if pointing.pop((version.name, alias), 0) != version.number:
                found.append(f"{version.name}@{alias} points to {version}, and nobody decided so.")
    found += [f"The entry of {name}/{number} is gone." for name, number in registered]
    return found + [f"{name}@{alias} should point to {name}/{number}." for (name, alias), number in pointing.items() if number]


def _of_folders(versions: list[Version]) -> list[str]:
    """Folders that are gone or were changed."""
    found = []
    for version in versions:
        try:
            if manifest_digest(version.folder) != version.digest:
                found.append(f"The manifest of {version} was changed.")
        except (OSError, BundleError):
            found.append(f"The folder of {version} is gone.")
    return found
