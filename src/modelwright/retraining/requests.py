"""Retrainings that were asked for: one line each in the store, and at most one for a model that has not ended.

The line is the truth. Whoever asks (a person, a schedule, a webhook) writes it and is done; a worker finds it and does the
work (`worker`), and what a step made is kept beside it, so that no step is done twice whoever takes over.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.retraining.rules import Trigger
from modelwright.store.database import Database, key_of

if TYPE_CHECKING:
    import sqlalchemy as sa

#: "retrain" goes the whole way; "judge" asks the gate again about a challenger for which labels were missing.
Kind = Literal["retrain", "judge"]
State = Literal["queued", "running", "waiting", "ended"]
#: How a retraining ended.
Outcome = Literal["promoted", "rejected", "undecided", "refused", "declined", "rolled back", "unchanged", "stopped", "failed"]


class Retraining(msgspec.Struct, frozen=True):
    """One retraining, as it stands.

    Parameters
    ----------
    id : str
    model : str
    kind : {"retrain", "judge"}
    trigger : Trigger
    options : dict
        What was asked besides: of a judgement, the version.
    at, by_whom : str
        When and by whom it was asked for.
    state : {"queued", "running", "waiting", "ended"}
        Waiting is for a person.
    step, since, worker : str
        What is done, since when, and by whom.
    version : int
        The challenger; 0 before there is one.
    approval, approved_by : str
        "yes" or "no" once a person decided.
    outcome, told : str
        How it ended, and why in sentences.
    ended : str or None
    """

    id: str
    model: str
    kind: Kind
    trigger: Trigger
    options: dict[str, Any]
    at: str
    by_whom: str
    state: State
    step: str
    since: str
    worker: str
    version: int
    approval: str
    approved_by: str
    outcome: str
    told: str
    ended: str | None


class StepLine(NamedTuple):
    """A step of a retraining: when it began first, how often it was begun, when it ended, and what it made."""

    step: str
    began: str
    attempts: int
    ended: str | None
    made: dict[str, Any] | None


class Asked(NamedTuple):
    """The retraining that an asker gets, and whether it is a new one."""

    retraining: Retraining
    new: bool


_COLUMNS = (
    "id, model, kind, cause, reason, asked, at, by_whom, state, step, since, worker, version, approval, approved_by, outcome,"
    " told, ended"
)


class Retrainings:
    """The retrainings of one home.

    Parameters
    ----------
    home : Path
    store : str, optional
        URL of the database; None is SQLite in ``home``.
    key : str, optional
        What the database calls the home; a worker on another machine gives that of the home it works for.
    clock : callable, optional
        Gives the moment that is written.
    """

    def __init__(
        self,
        home: Path,
        store: str | None = None,
        *,
        key: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.database = Database.of(home, store)
        self.home = key_of(home, store) if key is None else key
        self._clock = clock

    # -- asking --------------------------------------------------------------------------------------------

    def ask(
        self,
        model: str,
        trigger: Trigger,
        *,
        kind: Kind = "retrain",
        key: str | None = None,
        by_whom: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> Asked:
        """Ask for a retraining. One that is under way, or that was asked for with the same key, is returned instead.

        Parameters
        ----------
        model : str
        trigger : Trigger
        kind : {"retrain", "judge"}, default="retrain"
        key : str, optional
            Names the asking: asked again with it, nothing new happens, however long ago that was.
        by_whom : str
        options : mapping, optional
            Plain values.
        """
        now = self._now()
        new = f"{model}-{uuid.uuid4().hex[:10]}"
        asked = json.dumps({"trigger": msgspec.to_builtins(trigger), "options": dict(options or {})}, sort_keys=True)
        with self.database.writing() as connection:
            for _ in range(2):
                if key is not None and (found := self._one(connection, "model = :model AND key = :key", model=model, key=key)):
                    return Asked(found, False)
                if found := self._one(connection, "model = :model AND ended IS NULL", model=model):
                    return Asked(found, False)
                done = self._do(
                    connection,
                    "INSERT INTO retrainings (id, home, model, kind, cause, reason, asked, key, at, by_whom, state, step,"
                    " since, worker, version, approval, approved_by, outcome, told) VALUES (:id, :home, :model, :kind, :cause,"
                    " :reason, :asked, :key, :at, :by_whom, 'queued', '', :at, '', 0, '', '', '', '') ON CONFLICT DO NOTHING",
                    id=new, model=model, kind=kind, cause=trigger.cause, reason=trigger.reason, asked=asked, key=key, at=now,
                    by_whom=by_whom,
                )  # fmt: skip
                if done:
                    break
                # On Postgres another asker was faster, and has committed by now: the next look finds its line.
            made = self._one(connection, "id = :id", id=new)
        assert made is not None
        return Asked(made, True)

    def approve(self, model: str, *, approve: bool, by_whom: str) -> Retraining:
        """Let a challenger that waits for a person be released, or not.

        Raises
        ------
        InvalidInputError
            If none waits.
        """
        with self.database.writing() as connection:
            found = self._one(connection, "model = :model AND ended IS NULL", model=model)
            if found is None or found.state != "waiting" or found.approval:
                what = "Its retraining is at another step." if found else "It is not being retrained."
                if found is not None and found.approval:
                    what = f"{found.approved_by or 'Somebody'} has decided already."
                raise InvalidInputError(
                    f"No challenger of {model!r} waits for approval. {what}", where=model, mend="See modelwright status."
                )
            self._do(
                connection,
                "UPDATE retrainings SET approval = :word, approved_by = :by_whom WHERE id = :id AND approval = ''",
                id=found.id, word="yes" if approve else "no", by_whom=by_whom,
            )  # fmt: skip
            now = self._one(connection, "id = :id", id=found.id)
        assert now is not None
        return now

    def has(self, model: str, key: str | None) -> bool:
        """Whether a retraining was asked for with this key."""
        if key is None:
            return False
        with self.database.reading() as connection:
            return self._one(connection, "model = :model AND key = :key", model=model, key=key) is not None

    # -- looking -------------------------------------------------------------------------------------------

    def get(self, retraining: str) -> Retraining:
        """One retraining.

        Raises
        ------
        InvalidInputError
            If there is none of this name.
        """
        with self.database.reading() as connection:
            found = self._one(connection, "id = :id", id=retraining)
        if found is None:
            raise InvalidInputError(f"There is no retraining {retraining!r}.", mend="See modelwright status.")
        return found

    def open(self) -> list[Retraining]:
        """Those that have not ended, oldest first."""
        with self.database.reading() as connection:
            return self._many(connection, "ended IS NULL ORDER BY at, id")

    def latest(self, model: str | None = None, limit: int = 20) -> list[Retraining]:
        """Those that ended, the last first."""
        where = "ended IS NOT NULL" + (" AND model = :model" if model else "") + " ORDER BY ended DESC, id LIMIT :limit"
        with self.database.reading() as connection:
            return self._many(connection, where, model=model or "", limit=limit)

    def steps(self, retraining: str) -> list[StepLine]:
        """The steps of a retraining in their order."""
        import sqlalchemy as sa

        wanted = "SELECT step, began, attempts, ended, made FROM retraining_steps WHERE retraining = :id ORDER BY began, step"
        with self.database.reading() as connection:
            rows = connection.execute(sa.text(wanted), {"id": retraining}).fetchall()
        return [StepLine(row[0], row[1], row[2], row[3], json.loads(row[4]) if row[4] else None) for row in rows]

    # -- working -------------------------------------------------------------------------------------------

    def begin(self, retraining: str, step: str, worker: str) -> dict[str, Any] | None:
        """Say that a step is begun, and count it; what it made, if it was finished before. In one that was closed it stops.

        Parameters
        ----------
        retraining, step, worker : str
        """
        import sqlalchemy as sa

        now = self._now()
        values = {"id": retraining, "step": step, "now": now, "worker": worker}
        with self.database.writing() as connection:
            made = connection.execute(
                sa.text("SELECT made FROM retraining_steps WHERE retraining = :id AND step = :step AND ended IS NOT NULL"),
                values,
            ).scalar()
            if made is not None:
                return dict(json.loads(made))
            closed = self._one(connection, "id = :id AND ended IS NOT NULL", id=retraining)
            if closed is not None:
                return {"stop": closed.outcome, "told": closed.told}
            connection.execute(
                sa.text(
                    "INSERT INTO retraining_steps (retraining, step, began, attempts) VALUES (:id, :step, :now, 1)"
                    " ON CONFLICT (retraining, step) DO UPDATE SET attempts = retraining_steps.attempts + 1"
                ),
                values,
            )
            connection.execute(
                sa.text(
                    "UPDATE retrainings SET state = 'running', worker = :worker,"
                    " since = CASE WHEN step = :step THEN since ELSE :now END, step = :step"
                    " WHERE id = :id AND ended IS NULL"
                ),
                values,
            )
        return None

    def wait(self, retraining: str) -> Retraining:
        """Say that it waits for a person, unless one has decided; how it stands."""
        with self.database.writing() as connection:
            self._do(
                connection,
                "UPDATE retrainings SET state = 'waiting' WHERE id = :id AND ended IS NULL AND approval = ''",
                id=retraining,
            )
            now = self._one(connection, "id = :id", id=retraining)
        assert now is not None
        return now

    def finish(self, retraining: str, step: str, made: Mapping[str, Any], *, version: int = 0) -> dict[str, Any]:
        """Keep what a step made. Of two that finish it at once the first one counts; what counts is returned."""
        import sqlalchemy as sa

        values = {"id": retraining, "step": step, "now": self._now(), "version": version}
        values["made"] = json.dumps(dict(made), sort_keys=True, allow_nan=False)
        with self.database.writing() as connection:
            connection.execute(
                sa.text(
                    "UPDATE retraining_steps SET ended = :now, made = :made"
                    " WHERE retraining = :id AND step = :step AND ended IS NULL"
                ),
                values,
            )
            if version:
                connection.execute(sa.text("UPDATE retrainings SET version = :version WHERE id = :id"), values)
            held = connection.execute(
                sa.text("SELECT made FROM retraining_steps WHERE retraining = :id AND step = :step"), values
            ).scalar_one()
        return dict(json.loads(held))

    def end(self, retraining: str, outcome: Outcome, told: str) -> Retraining:
        """Close a retraining, so that the model may be trained again; one that is closed stays as it is."""
        with self.database.writing() as connection:
            self._do(
                connection,
                "UPDATE retrainings SET state = 'ended', outcome = :outcome, told = :told, ended = :now"
                " WHERE id = :id AND ended IS NULL",
                id=retraining, outcome=outcome, told=told, now=self._now(),
            )  # fmt: skip
            now = self._one(connection, "id = :id", id=retraining)
        assert now is not None
        return now

    def _now(self) -> str:
        return self._clock().isoformat(timespec="milliseconds")

    def _one(self, connection: sa.Connection, where: str, **values: Any) -> Retraining | None:
        found = self._many(connection, where, **values)
        return found[0] if found else None

    def _many(self, connection: sa.Connection, where: str, **values: Any) -> list[Retraining]:
        import sqlalchemy as sa

        wanted = sa.text(f"SELECT {_COLUMNS} FROM retrainings WHERE home = :home AND {where}")
        return [_retraining(row) for row in connection.execute(wanted, {"home": self.home, **values})]

    def _do(self, connection: sa.Connection, sql: str, **values: Any) -> int:
        import sqlalchemy as sa

        return int(connection.execute(sa.text(sql), {"home": self.home, **values}).rowcount)


def _retraining(row: Any) -> Retraining:
    asked = json.loads(row[5])
    trigger = msgspec.convert(asked["trigger"], Trigger)
    return Retraining(row[0], row[1], row[2], trigger, asked["options"], *row[6:])
