"""A table of a database, written from frames in one transaction: readers see all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from modelwright.errors import InvalidInputError, StorageError
from modelwright.provenance.secrets import expanded
from modelwright.tables.databases import database_errors, engine_of, first_lines
from modelwright.tables.locations import without_credentials

if TYPE_CHECKING:
    import polars as pl
    import sqlalchemy as sa

IfExists = Literal["fail", "replace", "append"]
_ROWS = 10_000


def check_table(url: str, table: str, if_exists: IfExists) -> None:
    """Refuse what could not be written, before any work is done.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; SQLite makes the file. References to secrets (``${NAME}``) are followed.
    table : str
        Name, with its schema if need be (``sales.scores``).
    if_exists : {"fail", "replace", "append"}

    Raises
    ------
    InvalidInputError
        If the table is there, and is not to be replaced or lengthened.
    StorageError
        If the database cannot be reached.
    """
    import sqlalchemy as sa

    with _writable(url, table) as engine:
        schema, name = _schema_and_name(table)
        if if_exists == "fail" and sa.inspect(engine).has_table(name, schema=schema):
            raise InvalidInputError(
                "The table is there already.",
                where=f"{table} on {without_credentials(url)}",
                mend="Name another, or say --if-exists replace or append.",
            )


def write_frames(url: str, table: str, frames: Iterable[pl.DataFrame], if_exists: IfExists = "fail") -> int:
    """Write frames of the same columns below one another, in one transaction.

    Parameters
    ----------
    url, table, if_exists
        As for `check_table`.
    frames : iterable of DataFrame
        Numbers, texts, truth values, dates and moments are written as such, everything else as text.

    Returns
    -------
    int
        Number of rows written.

    Raises
    ------
    InvalidInputError
        If the table is there, and is not to be replaced or lengthened.
    StorageError
        If the database refuses; then nothing is changed.
    """
    import sqlalchemy as sa

    check_table(url, table, if_exists)
    schema, name = _schema_and_name(table)
    n_rows = 0
    with _writable(url, table) as engine, engine.begin() as connection:
        made: sa.Table | None = None
        for frame in frames:
            frame = _plain(frame)
            if made is None:
                columns = [sa.Column(column, _type(dtype)) for column, dtype in frame.schema.items()]
                made = sa.Table(name, sa.MetaData(), *columns, schema=schema)
                if if_exists == "replace":
                    made.drop(connection, checkfirst=True)
                made.create(connection, checkfirst=if_exists == "append")
            for start in range(0, frame.height, _ROWS):
                connection.execute(sa.insert(made), frame[start : start + _ROWS].to_dicts())
            n_rows += frame.height
    return n_rows


@contextmanager
def _writable(url: str, table: str) -> Iterator[sa.Engine]:
    """An engine that writes; what the database refuses is told as an error of storage, without the password."""
    import sqlalchemy as sa

    shown = without_credentials(url)
    engine = engine_of(expanded(url, where=shown), shown, new=True)
    if engine.dialect.name == "sqlite":
        # Python's own handling would begin only at the first INSERT, behind the table that it is to fill.
        sa.event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    try:
        yield engine
    except database_errors() as error:
        raise StorageError(
            f"The database refused: {first_lines(error, engine.url.password)}",
            where=f"{table} on {shown}",
            mend="Check the address, the rights of the user, and that a table to append to has these columns.",
        ) from None  # The cause carries the connection's parameters.
    finally:
        engine.dispose()


def _schema_and_name(table: str) -> tuple[str | None, str]:
    schema, _, name = table.rpartition(".")
    return schema or None, name


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    others = [name for name, dtype in frame.schema.items() if _type(dtype) is None]
    if not others:
        return frame
    return frame.with_columns(pl.Series(name, [None if cell is None else str(cell) for cell in frame[name]]) for name in others)


def _type(dtype: pl.DataType) -> Any:
    import polars as pl
    import sqlalchemy as sa

    if dtype.is_integer():
        return sa.BigInteger()
    if dtype.is_float():
        return sa.Double()
    if dtype == pl.Boolean:
        return sa.Boolean()
    if dtype == pl.Date:
        return sa.Date()
    if isinstance(dtype, pl.Datetime):
        return sa.DateTime(timezone=dtype.time_zone is not None)
    return sa.Text() if dtype == pl.String else None
