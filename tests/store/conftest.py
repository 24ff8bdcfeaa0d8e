"""Stores for the tests of the ledger: SQLite in a folder, and a real Postgres with a fresh database for each test."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
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


_FTP_SERVER = """
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user("ann", sys.argv[2], sys.argv[1], perm="elradfmwMT")
server = ThreadedFTPServer(("127.0.0.1", 0), FTPHandler)
print(server.socket.getsockname()[1], flush=True)
server.serve_forever()
"""
#: The password of the file server; tests look for it in stored bytes.
FTP_PASSWORD = "geheim-Wort-7x"


@pytest.fixture(scope="session")
def ftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A file server on loopback: its folder and its port."""
    root = tmp_path_factory.mktemp("ftp")
    server = subprocess.Popen(
        [sys.executable, "-c", _FTP_SERVER, str(root), FTP_PASSWORD],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield root, int(server.stdout.readline())
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.fixture
def ftp_url(ftp_server: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of an empty folder of that server, with its password by reference."""
    monkeypatch.setenv("FTP_SECRET", FTP_PASSWORD)
    return f"ftp://ann:${{FTP_SECRET}}@127.0.0.1:{ftp_server[1]}/{uuid.uuid4().hex}"


@pytest.fixture(params=["file", "ftp"])
def artifacts_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty folder, once on the disk and once on a server."""
    if request.param == "file":
        return (tmp_path / "bucket").as_uri()
    url: str = request.getfixturevalue("ftp_url")
    return url
