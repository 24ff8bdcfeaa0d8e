"""All rows of one store into another of either kind, and every one of them compared.

Tables are taken as they are found in the databases, so one that a later migration adds comes along by itself. Of the
tables of the source those go along that the schema of the target has too.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from modelwright.errors import StorageError
from modelwright.store import moves

if TYPE_CHECKING:
    import sqlalchemy as sa

#: Rows read and written at a time.
_BATCH = 1000
#: Tables that each store has for itself.
_OWN = frozenset({"schema_version", moves.TABLE})

Change = Callable[[dict[str, Any]], dict[str, Any]]


class Copied(NamedTuple):
    """One table: how many rows it has, and the digest over all of them, whatever their order."""

    table: str
    n_rows: int
    digest: str


def tables_of(connection: sa.Connection) -> list[sa.Table]:
    """The tables of a store but those it has for itself; those that others refer to come first."""
    import sqlalchemy as sa

    found = sa.MetaData()
    found.reflect(bind=connection)
    return [table for table in found.sorted_tables if table.name not in _OWN]


def count_rows(connection: sa.Connection) -> dict[str, int]:
    """Rows by table."""
    import sqlalchemy as sa

    counts = {}
    for table in sorted(tables_of(connection), key=lambda each: each.name):
        counts[table.name] = int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() or 0)
    return counts


def copy_rows(
    source: sa.Connection,
    target: sa.Connection,
    change: Change = dict,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[list[Copied], list[str]]:
    """Copy every table and read it back.

    Parameters
    ----------
    source, target : sqlalchemy.Connection
        The target in a transaction that writes, with tables that are empty.
    change : callable, optional
        From a row of the source to the row of the target.
    tell : callable, optional
        Is told the name of each table before it is copied.

    Returns
    -------
    tuple of list of Copied and list of str
        The tables copied, and those of the source that the target does not know.

    Raises
    ------
    StorageError
        If a row comes back otherwise than it was written.
    """
    there = {table.name: table for table in tables_of(source)}
    copied = []
    for table in tables_of(target):
        old = there.pop(table.name, None)
        if old is None:
            continue
        tell(table.name)
        columns = [column.name for column in table.columns if column.name in old.columns]
        lacking = sorted({column.name for column in old.columns} - set(columns))
        if lacking:
            raise StorageError(
                f"The table {table.name!r} of the target has no columns {', '.join(lacking)}.",
                where=table.name,
                mend="Move with the program that wrote the source.",
            )
        wrote = _insert(target, table, columns, _rows(source, old, columns, change))
        came = _digest(target, table, columns)
        if wrote != came:
            raise StorageError(
                f"The table {table.name!r} came back otherwise than it was written: {wrote.n_rows:,} rows went in,"
                f" {came.n_rows:,} came out.",
                where=table.name,
                mend="The target cannot hold these values; choose another one.",
            )
        _set_counters(target, table)
        copied.append(came)
    return copied, sorted(there)


def digests(source: sa.Connection, change: Change = dict) -> dict[str, Copied]:
    """The digest of every table of a store, with its rows changed as they would be copied."""
    found = {}
    for table in tables_of(source):
        columns = [column.name for column in table.columns]
        total = _Sum(columns)
        for row in _rows(source, table, columns, change):
            total.add(row)
        found[table.name] = total.of(table.name)
    return found


class _Sum:
    """A digest over rows in whatever order: the sum of their SHA-256, so that equal rows do not cancel out."""

    def __init__(self, columns: list[str]) -> None:
        self.columns = sorted(columns)
        self.n_rows = self.total = 0

    def add(self, row: dict[str, Any]) -> None:
        hasher = hashlib.sha256()
        for name in self.columns:
            word = _word(row[name], name)
            hasher.update(struct.pack("<Q", len(word)) + word)
        self.n_rows += 1
        self.total = (self.total + int.from_bytes(hasher.digest(), "big")) % (1 << 256)

    def of(self, table: str) -> Copied:
        return Copied(table, self.n_rows, f"{self.total:064x}")


def _word(value: Any, column: str) -> bytes:
    """A value as bytes that differ for values that differ; both kinds of database give the same."""
    if value is None:
        return b"n"
    if isinstance(value, float):
        return b"f" + struct.pack("<d", value)
    if isinstance(value, int):  # true and 1 are one value: SQLite has no other word for true
        return b"i%d" % value
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", errors="surrogatepass")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return b"b" + bytes(value)
    raise StorageError(
        f"The column {column!r} holds values of type {type(value).__name__}, which cannot be moved.",
        where=column,
        mend="Please report it.",
    )


def _rows(connection: sa.Connection, table: sa.Table, columns: list[str], change: Change) -> Iterator[dict[str, Any]]:
    import sqlalchemy as sa

    # Columns without a type: values as the driver gives them. In the order of the key, since rows may refer to earlier ones.
    wanted: Any = sa.select(*(sa.column(name) for name in columns)).select_from(sa.table(table.name))
    wanted = wanted.order_by(*(sa.column(column.name) for column in table.primary_key))
    found = connection.execute(wanted.execution_options(yield_per=_BATCH))
    for batch in found.partitions():
        for row in batch:
            yield change(dict(zip(columns, row, strict=True)))


def _insert(connection: sa.Connection, table: sa.Table, columns: list[str], rows: Iterator[dict[str, Any]]) -> Copied:
    import sqlalchemy as sa

    statement = sa.insert(sa.table(table.name, *(sa.column(name) for name in columns)))
    truths = [column.name for column in table.columns if isinstance(column.type, sa.Boolean)]
    total, batch = _Sum(columns), []
    for row in rows:
        total.add(row)
        batch.append(row | {name: None if row[name] is None else bool(row[name]) for name in truths if name in row})
        if len(batch) == _BATCH:
            connection.execute(statement, batch)
            batch = []
    if batch:
        connection.execute(statement, batch)
    return total.of(table.name)


def _digest(connection: sa.Connection, table: sa.Table, columns: list[str]) -> Copied:
    total = _Sum(columns)
    for row in _rows(connection, table, columns, dict):
        total.add(row)
    return total.of(table.name)


def _set_counters(connection: sa.Connection, table: sa.Table) -> None:
    """Let numbers that Postgres gives by itself go on after those that were copied."""
    import sqlalchemy as sa

    if connection.dialect.name != "postgresql":
        return
    for column in table.columns:
        if isinstance(column.type, sa.Integer):
            names = {"table": table.name, "column": column.name}
            counter = connection.execute(sa.text("SELECT pg_get_serial_sequence(:table, :column)"), names).scalar()
            if counter:
                most = connection.execute(sa.select(sa.func.max(column))).scalar()
                if most is not None:
                    connection.execute(
                        sa.text("SELECT setval(CAST(:name AS regclass), :most)"), {"name": counter, "most": most}
                    )
