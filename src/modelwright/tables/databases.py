"""Rows of a database query, through SQLAlchemy, in a connection that is asked not to write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from modelwright.errors import DataError, MissingExtraError
from modelwright.provenance.secrets import expanded
from modelwright.tables.locations import without_credentials
from modelwright.tables.memory import column_from_values
from modelwright.tables.normalise import clean_names

_FETCH_ROWS = 20_000
_BARE_NAME = re.compile(r"[^\s;()'\"]+")


def read_database(url: str, query: str | None) -> tuple[pl.DataFrame, str]:
    """Read a query's rows, or a whole table if the query is a bare table name.

    A database promises no order of rows without ORDER BY, and the order is part of the fingerprint.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; ``postgres://`` and ``postgresql://`` use psycopg. References to secrets (``${NAME}``) are followed
        here, in the query too.
    query : str or None
        SQL that returns rows, or the name of a table, with its schema if need be (``sales.orders``).

    Raises
    ------
    DataError
        Without a query, or if the database refuses the connection or the query.
    MissingExtraError
        If the driver is not installed.
    """
    with _query(url, query) as (source, parts):
        columns: list[list[Any]] = []
        names: list[str] = []
        for names, rows in parts:
            columns = columns or [[] for _ in names]
            for cells, fetched in zip(columns, zip(*rows, strict=True), strict=False):
                cells.extend(fetched)
    return pl.DataFrame([column_from_values(name, cells) for name, cells in zip(names, columns, strict=True)]), source


@contextmanager
def database_frames(url: str, query: str | None) -> Iterator[tuple[str, Iterator[pl.DataFrame]]]:
    """A query's rows in parts, for results larger than memory.

    Parameters
    ----------
    url : str
    query : str or None
        Both as for `read_database`.

    Yields
    ------
    source : str
        Where the rows come from, in words.
    frames : iterator of DataFrame
        The first has the columns, even where there are no rows. A column may have another type in each, since the
        values of a part decide.

    Raises
    ------
    DataError, MissingExtraError
        As `read_database` raises them.
    """
    with _query(url, query) as (source, parts):
        yield source, (_frame(names, rows) for names, rows in parts)


def _frame(names: list[str], rows: list[Any]) -> pl.DataFrame:
    cells = zip(*rows, strict=True) if rows else ([] for _ in names)
    return pl.DataFrame([column_from_values(name, list(fetched)) for name, fetched in zip(names, cells, strict=True)])


@contextmanager
def _query(url: str, query: str | None) -> Iterator[tuple[str, Iterator[tuple[list[str], list[Any]]]]]:
    """Where rows come from, and names with rows, part after part; refusals of the database told as errors in the data."""
    shown = without_credentials(url)
    if query is None or not query.strip():
        raise DataError(
            "A database needs a query.",
            where=shown,
            mend='Give query="SELECT … FROM … ORDER BY …" or query="table_name".',
        )
    query = query.strip()
    source = f"{query if _BARE_NAME.fullmatch(query) else 'query'} on {shown}"
    engine = engine_of(expanded(url, where=shown), shown)
    try:
        yield source, _fetch(engine, expanded(query, where=shown), source)
    except database_errors() as error:
        raise DataError(
            f"The database refused: {first_lines(error, engine.url.password)}",
            where=source,
            mend="Check the address, the rights of the user, and the names in the query.",
        ) from None  # The cause carries the connection's parameters.
    finally:
        engine.dispose()


def engine_of(url: str, shown: str, *, new: bool = False) -> Any:
    """The engine of an address.

    Parameters
    ----------
    url : str
        References to secrets already followed.
    shown : str
        The address without secrets.
    new : bool, default=False
        Whether SQLite may make the file.

    Raises
    ------
    DataError, MissingExtraError
        As `read_database` raises them.
    """
    import sqlalchemy as sa

    url = re.sub(r"^postgres(?:ql)?://", "postgresql+psycopg://", url)
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise DataError(
            "The database URL cannot be understood.",
            where=shown,
            mend="Write it as dialect://user:password@host:port/database, with special signs in the password percent-encoded.",
        ) from None
    if parsed.get_backend_name() == "sqlite" and not new:
        _check_sqlite_file(parsed.database, shown)
    try:
        return sa.create_engine(parsed, poolclass=sa.pool.NullPool)
    except ImportError as error:
        if parsed.get_backend_name() == "postgresql" and parsed.get_driver_name() == "psycopg":
            raise MissingExtraError("psycopg", "postgres") from error
        raise DataError(
            f"The database driver {error.name} is not installed.", where=shown, mend=f"pip install {error.name}"
        ) from error
    except sa.exc.NoSuchModuleError as error:
        raise DataError(
            "No driver for this kind of database is installed.", where=shown, mend="Install its SQLAlchemy dialect."
        ) from error


def _check_sqlite_file(database: str | None, shown: str) -> None:
    """SQLite would create a missing file, and call a file of another kind broken only at the first query."""
    if database is None or database in ("", ":memory:") or database.startswith("file:"):
        return
    if not Path(database).is_file():
        raise DataError(
            "There is no such database file.",
            where=shown,
            mend="Three slashes start a relative path (sqlite:///data.db), four an absolute one (sqlite:////srv/data.db).",
        )


def _fetch(engine: Any, query: str, source: str) -> Iterator[tuple[list[str], list[Any]]]:
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(postgresql_readonly=True, stream_results=True)
        elif engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
        if _BARE_NAME.fullmatch(query):
            query = f"SELECT * FROM {quoted(engine, query)}"
        # Without parameters, so that a percent sign or a colon in the query is left alone.
        result = connection.execution_options(no_parameters=True).exec_driver_sql(query)
        names = clean_names(list(map(str, result.keys())) if result.returns_rows else [], source=source)
        yield names, []
        while names and (rows := result.fetchmany(_FETCH_ROWS)):
            yield names, list(rows)


def quoted(engine: Any, table: str) -> str:
    """The name of a table, perhaps with its schema, as the database's SQL writes it."""
    quote = engine.dialect.identifier_preparer.quote
    return ".".join(quote(part) for part in table.split("."))


def database_errors() -> type[Exception]:
    """What SQLAlchemy raises."""
    import sqlalchemy as sa

    return sa.exc.SQLAlchemyError


def first_lines(error: Exception, password: Any) -> str:
    """What the driver said, without the password."""
    text = " ".join(str(getattr(error, "orig", None) or error).split())[:500]
    return text.replace(str(password), "***") if password else text
