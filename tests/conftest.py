"""Servers and stores for the tests: a real Postgres and a file server on loopback, and a fresh database for each test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa


def _postgres_binaries() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of an empty database; the user's password is ``s3cret``."""
    binaries = _postgres_binaries()
    if binaries is None:
        if os.environ.get("CI"):  # .ci/run installs it: there, nothing is skipped in silence
            pytest.fail("Postgres is not installed, although this is CI")
        pytest.skip("Postgres is not installed on this machine")
    # Postgres refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="modelwright-postgres-"))
    if as_user:
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command: str) -> None:
        # Output to a file: the server inherits it, and a pipe would never close.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run([*as_user, *command], stdout=output, stderr=output, cwd="/", check=False, timeout=60)
            if done.returncode:
                output.seek(0)
                raise RuntimeError(output.read().decode(errors="replace"))

    password = folder / "password"
    password.write_text("s3cret")
    password.chmod(0o644)
    data = str(folder / "data")
    run(
        str(binaries / "initdb"),
        "-D",
        data,
        "-U",
        "reader",
        "-A",
        "scram-sha-256",
        "--pwfile",
        str(password),
        "-N",
        "-E",
        "UTF8",
    )
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='{folder}' -c fsync=off"
    run(str(binaries / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://reader:s3cret@127.0.0.1:{port}/postgres"
    finally:
        run(str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


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
