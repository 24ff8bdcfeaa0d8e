"""The database of a home: SQLite in the home folder, or Postgres by URL.

The schema has a version. Steps that bring an older one forward stand in `MIGRATIONS` as SQL, and are never changed once
released; a database that is newer than this program is refused. Whoever comes first makes the tables, and others who come
at the same moment wait.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import MissingExtraError, StorageError
from modelwright.masking import masked
from modelwright.provenance.secrets import expanded, redacted
from modelwright.store import moves
from modelwright.store.migrations import MIGRATIONS, statements

if TYPE_CHECKING:
    import sqlalchemy as sa

FILE_NAME = "store.db"
#: Seconds to wait for another process that is writing.
WAIT_S = 120
#: Any number that only we use, for Postgres' advisory lock around migrations.
_LOCK = 6_021_969


def key_of(home: Path, store: str | None) -> str:
    """What the database calls a home.

    Parameters
    ----------
    home : Path
    store : str or None
        URL of the store; None is SQLite in the home.
    """
    # A home that is moved takes its own store along, so its place must not stand in there.
    return "" if store is None else f"{socket.gethostname()}:{home.resolve()}"


class Database:
    """A connection maker for one database; makes and migrates the tables on first use.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of SQLite or Postgres.
    wait_s : int, default=120
        Seconds to wait for another process that is writing.
    home : str, default=""
        Which of the homes that share the database is meant; see `key_of`.

    Raises
    ------
    StorageError
        On first use: if the database cannot be reached, written or understood.
    MissingExtraError
        If the Postgres driver is not installed.
    """

    def __init__(self, url: str, *, wait_s: int = WAIT_S, home: str = "") -> None:
        self.home = home
        self.url = re.sub(r"^postgres(?:ql)?://", "postgresql+psycopg://", url)
        self.shown = masked(url)
        self.wait_s = wait_s

    @classmethod
    def of(cls, home: Path, url: str | None = None) -> Database:
        """The database of a home: the one of the URL, or ``store.db`` in the folder, which is made if absent.

        Parameters
        ----------
        home : Path
        url : str or None
        """
        if url is not None:
            return cls(url, home=key_of(home, url))
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The folder of the store cannot be made: {error.strerror}.",
                where=str(home),
                mend="Give a writable folder with --home.",
            ) from error
        return cls(f"sqlite:///{home / FILE_NAME}")

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes; on SQLite nobody else writes meanwhile. Commits at the end, rolls back on error."""
        with self._translated(), self._engine.connect() as connection, connection.begin():
            moves.refuse_if_moved(connection, self.shown)
            yield connection

    @contextmanager
    def exclusively(self) -> Iterator[sa.Connection]:
        """Like `writing`, also in a store that was moved; on Postgres too nobody else writes meanwhile."""
        with self._translated(), self._engine.connect() as connection, connection.begin():
            moves.lock_out_writers(connection)
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that reads one state of the database and changes nothing."""
        with self._translated(), self._engine.connect() as connection:
            options = {"writes": False}
            if connection.dialect.name == "postgresql":
                options = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}  # type: ignore[dict-item]
            with connection.execution_options(**options).begin():
                yield connection

    @contextmanager
    def untouched(self) -> Iterator[sa.Connection]:
        """A transaction that reads, before tables are made or brought forward."""
        with (
            self._translated(),
            self._make_engine().connect() as connection,
            connection.execution_options(writes=False).begin(),
        ):
            yield connection

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep an SQLite file open. The last to close it copies what was written into its main part, which takes longer than
        a small write: who writes several times a second holds it meanwhile."""
        if self.file is None:
            yield
            return
        with self._translated(), self._engine.connect():
            yield

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database; None for others."""
        kind, _, name = self.url.partition("://")
        if kind.partition("+")[0] != "sqlite" or name.startswith("/file:") or len(name) < 2 or "${" in name:
            return None
        return Path(name[1:].partition("?")[0]).absolute()

    def close_file(self) -> None:
        """Bring everything of an SQLite database into its one file, so that it may be renamed.

        Raises
        ------
        StorageError
            If somebody uses it.
        """
        with self._translated(), self._engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            mode = raw.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
        del self.__dict__["_engine"]
        if busy or mode != "delete":
            raise StorageError("Somebody uses the database.", where=self.shown, mend="End the other programs, and try again.")

    @cached_property
    def _engine(self) -> sa.Engine:
        engine = self._make_engine()
        with self._translated():
            _migrate(engine, self.shown)
        return engine

    def _make_engine(self) -> sa.Engine:
        import sqlalchemy as sa

        try:
            # References are resolved here and nowhere else: what is kept and shown has them as they were written.
            parsed = sa.make_url(expanded(self.url, where="store"))
        except (sa.exc.ArgumentError, ValueError):
            raise StorageError(
                "The URL of the store cannot be understood.",
                where=self.shown,
                mend="Write it as postgresql://user:password@host:port/database, special signs percent-encoded.",
            ) from None
        kind = parsed.get_backend_name()
        if kind not in ("sqlite", "postgresql"):
            raise StorageError(
                f"The store is SQLite or Postgres, not {kind}.", where=self.shown, mend="Give a postgresql:// URL, or none."
            )
        waits = {"timeout": self.wait_s} if kind == "sqlite" else {"connect_timeout": 10}
        try:
            engine = sa.create_engine(parsed, poolclass=sa.pool.NullPool, connect_args=waits)
        except sa.exc.NoSuchModuleError:
            raise StorageError(
                f"There is no driver {parsed.drivername!r}.", where=self.shown, mend="Write postgresql:// or sqlite:///."
            ) from None
        except ImportError as error:
            raise MissingExtraError("psycopg", "postgres") from error
        sa.event.listen(engine, "begin", self._begin)
        if kind == "sqlite":
            sa.event.listen(engine, "connect", self._prepare_sqlite)
        return engine

    def _prepare_sqlite(self, connection: Any, _record: Any) -> None:
        # Python's own handling would begin a transaction only at the first write, and then as a reader.
        connection.isolation_level = None
        deadline = time.monotonic() + self.wait_s
        while True:
            try:
                # Readers and a writer side by side. Two first users at once: SQLite does not wait here by itself.
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
                # A line must outlast a power cut once its number was shown.
                connection.execute("PRAGMA synchronous = FULL").fetchall()
                return
            except connection.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _begin(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "sqlite":
            writes = connection.get_execution_options().get("writes", True)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
        else:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{self.wait_s}s'")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of the driver as ours, without the connection's password."""
        import sqlalchemy as sa

        try:
            yield
        except sa.exc.DBAPIError as error:
            raise self._error(str(error.orig)) from None
        except sa.exc.SQLAlchemyError as error:
            raise self._error(str(error)) from None
        except Exception as error:
            # Raised while connecting, before SQLAlchemy wraps errors.
            if type(error).__module__ == "sqlite3":
                raise self._error(str(error)) from None
            raise

    def _error(self, said: str) -> StorageError:
        said = redacted(" ".join(said.split()))[:400].rstrip(".")
        low = said.lower()
        for sign, mend in _MENDS.items():
            if sign in low:
                return StorageError(f"The store refused: {said}.", where=self.shown, mend=mend)
        mend = "Check that the server runs, the address, and the rights of the user."
        if self.url.startswith("sqlite"):
            mend = "Check the folder and the rights of the file."
        return StorageError(f"The store refused: {said}.", where=self.shown, mend=mend)


_RESTORE = "Restore it from a backup. If there is none, move it away: openings are then counted anew."
#: What a message of the driver contains -> what to do about it.
_MENDS = {
    "not a database": _RESTORE,
    "malformed": _RESTORE,
    "no such table": _RESTORE,
    "locked": "Another run is writing; try again when it has ended.",
    "lock timeout": "Another run is writing; try again when it has ended.",
    "readonly": "Make the folder and the file writable, or give another --home.",
    "read-only": "Make the folder and the file writable, or give another --home.",
    "permission denied": "Give the user the rights to create and write tables there.",
    "unable to open": "Make the folder writable, or give another --home.",
    "disk": "Free disk space, or give another --home.",
    "password": "Check user and password in the URL.",
}


def _migrate(engine: sa.Engine, shown: str) -> None:
    """Bring the tables to this version; one process at a time."""
    if _version(engine) == len(MIGRATIONS):
        return
    with engine.connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        # Plain "IF NOT EXISTS": on Postgres alone it would not be safe against a second process, the lock is.
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")
        version = connection.exec_driver_sql("SELECT max(version) FROM schema_version").scalar() or 0
        if version > len(MIGRATIONS):
            raise StorageError(
                f"The store has schema version {version}, and this program knows versions up to {len(MIGRATIONS)}.",
                where=shown,
                mend="Install the newer modelwright that wrote it, or give another store.",
            )
        for number in range(version + 1, len(MIGRATIONS) + 1):
            for statement in statements(MIGRATIONS[number - 1], connection.dialect.name):
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql(f"INSERT INTO schema_version (version) VALUES ({number})")


def _version(engine: sa.Engine) -> int:
    """The version of the schema, 0 without one; a look that takes no lock, for the usual case."""
    import sqlalchemy as sa

    with engine.connect() as connection, connection.execution_options(writes=False).begin():
        if not sa.inspect(connection).has_table("schema_version"):
            return 0
        return int(connection.exec_driver_sql("SELECT max(version) FROM schema_version").scalar() or 0)
