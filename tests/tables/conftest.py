"""A real Postgres for the tests of reading: a cluster of its own in a temporary folder, stopped afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


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
