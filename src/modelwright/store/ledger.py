"""The ledger of openings: no look at sealed rows without a line, and no line that can be taken back unnoticed.

::

    with ledger.opening(vault.about, run=…, purpose=…, at=…, by=…, metric=…, kind=…) as opening:
        rows = vault.rows(opening)
        …score them…
        look = opening.enter(score, corrected=…, gain=…, against=opening.best, predictions=…)
    # Only now, committed, may `look` be shown.

The transaction begins before the rows can be read and commits after the line is entered. Whoever is killed or fails in
between leaves nothing behind, and whoever opens the same rows meanwhile waits.

A run that is resumed may have been killed after its line was committed. Its opening then stands where that line stands in
the chain (``again``), and the entry that the same model makes there is the same line, hash and all: it is counted already,
and not a second time. Any difference (another prediction, another score) makes another line, which is not written there;
the rows are then opened anew, and that is another look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from modelwright.errors import InvalidInputError, StorageError
from modelwright.metrics.estimate import Interval
from modelwright.splits.looks import BUDGET, Look, corrected_level, rounded, step_level
from modelwright.splits.vault import Permit, SealedRows
from modelwright.store.database import Database
from modelwright.store.lines import START, Best, Entry, Line, line_of, look_of, number, packed, plain_text, unpacked

if TYPE_CHECKING:
    import sqlalchemy as sa


@dataclass(frozen=True)
class _Chain:
    """Where the lines of a vault end: openings so far, last hash, whether the last line is there; looks at other vaults."""

    count: int
    head: str
    sound: bool
    elsewhere: int


class Opening(Permit):
    """Sealed rows being looked at; see the module for its life.

    Attributes
    ----------
    count : int
        The look this is, 1 for the first.
    level : float
        Level of the corrected interval.
    step_level : float
        Two-sided level of the paired interval of the gain that decides whether the model is a new best.
    best : Best or None
        The best shown so far in this metric, else the latest best in another one; None if there is none of this kind.
    counted : bool
        Whether the look that was entered is in the ledger, once the opening has ended.
    """

    def __init__(self, about: SealedRows, chain: _Chain, best: Best | None, fields: dict[str, str]) -> None:
        super().__init__(about.identity)
        self.count = chain.count + 1
        self.level = corrected_level(self.count)
        self.step_level = step_level(self.count)
        self.best = best
        self.counted = False
        self._about, self._chain, self._fields = about, chain, fields
        self._entered: tuple[Line, Entry] | None = None

    def enter(
        self,
        score: Interval,
        *,
        corrected: Interval,
        predictions: np.ndarray | None = None,
        gain: Interval | None = None,
        against: Best | None = None,
        threshold: float | None = None,
        beats_baseline: bool | None = None,
        bounded: bool = True,
    ) -> Look:
        """Enter the look; the line is there for good once the opening ends without error.

        Parameters
        ----------
        score, corrected : Interval
            The model's own score, with its intervals of 95 % and of ``level``.
        predictions : ndarray or None
            Of the sealed rows, in their order; kept if the model becomes the best shown. None for a look that is not at a
            score, such as an importance.
        gain : Interval or None
            How much better the model is than ``against`` on the same rows, in the metric's units, with its paired interval
            of ``step_level``; positive is better. None where nothing can be compared.
        against : Best or None
            The best so far, with score and intervals in the metric of this opening.
        threshold : float or None
            Probability from which class 1 is predicted.
        beats_baseline : bool or None
            Whether the model is better than the baseline by a paired test at ``level``.
        bounded : bool, default=True
            Whether the metric has a smallest and a largest value; if so, from the second look on a shown score is rounded
            to 1 / n_rows.

        Returns
        -------
        Look
            What may be shown, once the opening has ended.

        Raises
        ------
        StorageError
            If the opening has ended or was entered already.
        """
        if not self.valid or self._entered is not None:
            raise StorageError("An opening is entered once, while it lasts.", mend="Open the rows anew; that is another look.")
        better = None if gain is None or against is None else bool(gain.low > 0)
        bounded = bounded and self.count > 1
        entry = Entry(
            score=score,
            corrected=corrected,
            shown=rounded(score, self._about.n_rows, bounded=bounded),
            shown_corrected=rounded(corrected, self._about.n_rows, bounded=bounded),
            better=better,
            beats_baseline=beats_baseline,
            instead=against if better is False else None,
            repeated=better is False and against is not None and against.made(predictions, threshold, self._fields["metric"]),
            predictions=predictions,
            threshold=threshold,
        )
        line = line_of(self._about, self.count, self._chain.head, entry, self._fields)
        self._entered = (line, entry)
        return look_of(self._about, line, entry, self._chain.elsewhere, self._chain.sound)


class Ledger:
    """The ledger in a database.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def check(self, about: SealedRows | None = None) -> None:
        """Refuse early what would fail late: a store that cannot be written, a reserve that may not be opened yet.

        Parameters
        ----------
        about : SealedRows or None
            What will be opened.
        """
        with self.database.writing() as connection:
            # A transaction alone does not tell whether the file may be written.
            connection.exec_driver_sql("UPDATE vaults SET openings = openings WHERE 1 = 0")
            if about is not None:
                _check_reserve(connection, about)

    @contextmanager
    def opening(
        self, about: SealedRows, *, run: str, purpose: str, at: str, by: str, metric: str, kind: str, again: bool = False
    ) -> Iterator[Opening]:
        """Open sealed rows; the line is written in the same transaction, or the look did not happen.

        Parameters
        ----------
        about : SealedRows
        run, purpose, at, by : str
            Whose look, what for, when (ISO 8601) and by whom. A purpose is needed.
        metric : str
        kind : str
            What predictions must have in common to be compared: the task and the labels of the classes.
        again : bool, default=False
            Whether the run may have entered its look before it was killed. If there is a line of this run, the opening
            stands in its place; it is ``counted`` afterwards if what was entered is that very line.

        Raises
        ------
        InvalidInputError
            Without a purpose, or for a reserve before the evaluation rows are worn.
        StorageError
            If the store cannot be written, or the opening ends without an entry.
        """
        purpose = plain_text(purpose)
        if not purpose:
            raise InvalidInputError(
                "Sealed rows are opened for a reason.", where="purpose", mend="Say in a few words what for."
            )
        with self.database.writing() as connection:
            _check_reserve(connection, about)
            chain = _locked_chain(connection, about)
            fields = {
                "run": plain_text(run), "purpose": purpose, "at": plain_text(at), "by_whom": plain_text(by), "metric": metric,
            }  # fmt: skip
            lines = _lines(connection, about.identity) if again else []
            before = next((line for line in reversed(lines) if line.run == fields["run"]), None)
            if before is not None:
                chain = replace(chain, count=before.count - 1, head=before.previous)
                fields |= {"purpose": before.purpose, "at": before.at, "by_whom": before.by_whom}
            best = _best(connection, about.identity, metric, kind, below=chain.count + 1)
            opening = Opening(about, chain, best, fields)
            try:
                yield opening
            finally:
                opening.valid = False
            if opening._entered is None:
                raise StorageError(
                    "The opening ended without an entry.", where=fields["run"], mend="Nothing was counted; show nothing of it."
                )
            if before is None:
                _write(connection, *opening._entered, kind)
            opening.counted = before in (None, opening._entered[0])

    @contextmanager
    def again(self, about: SealedRows, run: str) -> Iterator[tuple[Permit, Line]]:
        """Read sealed rows once more for a look that was counted: to compute its score again from the same predictions.

        Nothing is counted, because the number is in the ledger already. It is for whoever asks to have made sure that the
        predictions are those of the look; other predictions would be another look.

        Parameters
        ----------
        about : SealedRows
        run : str
            Whose look.

        Raises
        ------
        InvalidInputError
            If the run has no line for these rows.
        """
        line = next((line for line in self.lines(about.identity) if line.run == plain_text(run)), None)
        if line is None:
            raise InvalidInputError("The ledger holds no look of this run at these rows.", where=run, mend="Give its store.")
        permit = Permit(about.identity)
        try:
            yield permit, line
        finally:
            permit.valid = False

    def lines(self, vault: str) -> list[Line]:
        """All lines of a vault, oldest first; reading them is no look, but they hold raw scores.

        Parameters
        ----------
        vault : str
            Identity of the sealed rows.
        """
        with self.database.reading() as connection:
            return _lines(connection, vault)

    def verify(self, vault: str, known: Iterable[Look] = ()) -> list[str]:
        """What is wrong with the lines of a vault; empty if nothing is.

        Parameters
        ----------
        vault : str
        known : iterable of Look
            Looks found in run records, against which the lines are held: they notice even a ledger that was rewritten from
            end to end.
        """
        import sqlalchemy as sa

        with self.database.reading() as connection:
            lines = _lines(connection, vault)
            head = connection.execute(_select("vaults", "openings", "head").where(sa.column("vault") == vault)).first()
            blobs = {
                count: hashlib.sha256(bytes(blob)).hexdigest()
                for count, blob in connection.execute(
                    _select("best", "count", "predictions").where(sa.column("vault") == vault)
                )
            }
        wrong, before, previous = [], 0, START
        for line in lines:
            if line.count != before + 1:
                wrong.append(f"Lines before opening {line.count} are missing.")
            elif line.previous != previous:
                wrong.append(f"Opening {line.count} does not follow the line before it.")
            if line.digest() != line.hash:
                wrong.append(f"Opening {line.count} was changed.")
            if line.predictions != blobs.get(line.count, ""):
                wrong.append(f"The predictions kept with opening {line.count} were changed.")
            before, previous = line.count, line.hash
        last = (lines[-1].count, lines[-1].hash) if lines else (0, START)
        if (0, START) if head is None else tuple(head) != last:
            wrong.append(
                f"The last line is missing: {0 if head is None else head[0]} openings were entered, {last[0]} are there."
            )
        hashes = {line.count: line.hash for line in lines}
        for look in known:
            if look.vault == vault and hashes.get(look.count) != look.hash:
                wrong.append(f"Opening {look.count} is not the one that run {look.run} recorded.")
        return wrong

    def elsewhere(self, about: SealedRows) -> int:
        """Openings of other sealed rows of the same table and target.

        Parameters
        ----------
        about : SealedRows
        """
        with self.database.reading() as connection:
            return _elsewhere(connection, about)


def _select(table: str, *columns: str) -> Any:
    import sqlalchemy as sa

    selected: Any = sa.select(*(sa.column(name) for name in columns)).select_from(sa.table(table))
    return selected


def _lines(connection: sa.Connection, vault: str) -> list[Line]:
    import sqlalchemy as sa

    names = Line.__struct_fields__
    found = connection.execute(_select("openings", *names).where(sa.column("vault") == vault).order_by(sa.column("count")))
    return [Line(*row) for row in found]


def _locked_chain(connection: sa.Connection, about: SealedRows) -> _Chain:
    """The end of the chain; others who open the vault wait from here on."""
    import sqlalchemy as sa

    connection.execute(
        sa.text(
            "INSERT INTO vaults (vault, data, target, part, n_rows, opens_after, openings, head)"
            " VALUES (:vault, :data, :target, :part, :n_rows, :opens_after, 0, :head) ON CONFLICT (vault) DO NOTHING"
        ),
        {
            "vault": about.identity,
            "data": about.data,
            "target": plain_text(about.target),
            "part": about.part,
            "n_rows": about.n_rows,
            "opens_after": about.before,
            "head": START,
        },
    )
    wanted = _select("vaults", "openings", "head").where(sa.column("vault") == about.identity)
    openings, head = connection.execute(wanted.with_for_update()).one()
    last = connection.execute(
        _select("openings", "count", "hash").where(sa.column("vault") == about.identity).order_by(sa.column("count").desc())
    ).first()
    count, found = (0, START) if last is None else last
    # A lost line leaves its number free: the gap is what tells of it.
    return _Chain(max(openings, count), head, (count, found) == (openings, head), _elsewhere(connection, about))


def _elsewhere(connection: sa.Connection, about: SealedRows) -> int:
    import sqlalchemy as sa

    total = connection.execute(
        sa.text(
            "SELECT sum(openings) FROM vaults WHERE data = :data AND target = :target"
            # Evaluation rows and their own reserve share no row.
            " AND vault NOT IN (:vault, :before) AND opens_after <> :vault"
        ),
        {"data": about.data, "target": plain_text(about.target), "vault": about.identity, "before": about.before},
    ).scalar()
    return int(total or 0)


def _check_reserve(connection: sa.Connection, about: SealedRows) -> None:
    import sqlalchemy as sa

    if about.part != "reserve":
        return
    used = (
        connection.execute(sa.text("SELECT openings FROM vaults WHERE vault = :vault"), {"vault": about.before}).scalar() or 0
    )
    if used < BUDGET:
        raise InvalidInputError(
            f"The reserve stays sealed: {used} of {BUDGET} openings are used.",
            where="open_reserve",
            mend="Evaluate on the evaluation rows until then.",
        )


def _best(connection: sa.Connection, vault: str, metric: str, kind: str, *, below: int) -> Best | None:
    """The latest best of this kind before a look, in this metric if there is one."""
    import sqlalchemy as sa

    columns = ("run", "count", "metric", "score", "low", "high", "corrected_low", "corrected_high", "shape", "predictions")
    wanted = _select("best", *columns, "threshold").where(
        sa.column("vault") == vault, sa.column("kind") == plain_text(kind), sa.column("count") < below
    )
    in_metric = sa.case((sa.column("metric") == metric, 0), else_=1)
    row = connection.execute(wanted.order_by(in_metric, sa.column("count").desc()).limit(1)).mappings().first()
    if row is None:
        return None
    score, low, high, corrected_low, corrected_high = (
        float("nan") if row[name] is None else row[name] for name in ("score", "low", "high", "corrected_low", "corrected_high")
    )
    return Best(
        run=row["run"],
        count=row["count"],
        metric=row["metric"],
        score=Interval(score, low, high),
        corrected=Interval(score, corrected_low, corrected_high),
        predictions=unpacked(bytes(row["predictions"]), row["shape"]),
        threshold=row["threshold"],
    )


def _write(connection: sa.Connection, line: Line, entry: Entry, kind: str) -> None:
    import sqlalchemy as sa

    _insert(connection, "openings", msgspec.structs.asdict(line))
    if entry.kept is not None:
        blob, form = packed(entry.kept)
        kept = {
            "vault": line.vault,
            "count": line.count,
            "kind": plain_text(kind),
            "metric": line.metric,
            "run": line.run,
            "score": number(entry.shown.value),
            "low": number(entry.shown.low),
            "high": number(entry.shown.high),
            "level_corrected": line.level_corrected,
            "corrected_low": number(entry.shown_corrected.low),
            "corrected_high": number(entry.shown_corrected.high),
            "threshold": None if entry.threshold is None else float(entry.threshold),
            "shape": form,
            "predictions": blob,
        }
        _insert(connection, "best", kept)
    connection.execute(
        sa.text("UPDATE vaults SET openings = :count, head = :hash WHERE vault = :vault"),
        {"count": line.count, "hash": line.hash, "vault": line.vault},
    )


def _insert(connection: sa.Connection, table: str, values: dict[str, Any]) -> None:
    import sqlalchemy as sa

    connection.execute(sa.insert(sa.table(table, *(sa.column(name) for name in values))).values(**values))
