"""Stores for the tests of the ledger: SQLite in a folder, and a real Postgres with a fresh database for each test."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

_SPEC = importlib.util.spec_from_file_location("postgres_server", Path(__file__).parents[1] / "tables" / "conftest.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_server = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_server)
#: The server that the tests of reading start.
postgres_url = _server.postgres_url


@pytest.fixture
def fresh_postgres(postgres_url: str) -> Iterator[str]:
    """URL of a database that no test used before."""
    name = f"store_{uuid.uuid4().hex}"
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield postgres_url.rsplit("/", 1)[0] + f"/{name}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store, once for each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("fresh_postgres")
    return url
