"""A real tracking server on a free loopback port, one for all tests here, and a home with two small trainings and a job."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import polars as pl
import pytest

import modelwright
from modelwright.tables.read import read

ROOT = Path(__file__).parents[2]
TELCO = ROOT / "examples" / "data" / "telco_churn.csv"
COLUMNS = ("tenure", "Contract", "MonthlyCharges", "TotalCharges", "InternetService", "PaymentMethod")
#: A loaded machine imports MLflow slowly.
START_LIMIT_S = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers; its log is shown if it never does."""
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} never answered:\n{log.read_text(errors='replace')[-3000:]}")


def ended(process: subprocess.Popen[bytes]) -> None:
    """End the server with the processes that it started: it has a group of its own."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@contextmanager
def running(command: list[str], answers: str, log: Path, **environment: str) -> Iterator[None]:
    """A server for as long as the block lasts."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=log.parent, env=os.environ | environment, start_new_session=True
        )
    try:
        wait_for(answers, process, log)
        yield
    finally:
        ended(process)


@pytest.fixture(scope="session")
def run_server() -> Callable[..., AbstractContextManager[None]]:
    return running


@pytest.fixture
def port() -> int:
    """A free one."""
    return free_port()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a tracking server with a SQLite store."""
    place = tmp_path_factory.mktemp("server")
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{place / 'mlflow.db'}", "--artifacts-destination", str(place / "artifacts"),
    ]  # fmt: skip
    with running(command, f"http://127.0.0.1:{port}/health", place / "log"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a training that has curves, and a job with stepped metrics and a file."""
    home = tmp_path_factory.mktemp("trained") / "home"
    rows = read(TELCO).frame.head(1500).select(*COLUMNS, "Churn")
    modelwright.train(
        rows, target="Churn", trials=3, algorithms=["linear", "lightgbm"], home=home, name="churn", tags={"team": "risk"}
    )
    with modelwright.start_run("own", params={"lr": 0.1, "nested": {"a": [1, 2]}}, home=home, seed=3) as run:
        for epoch in range(4):
            run.log_metric("loss", 1 / (1 + epoch), step=epoch)
        run.log_table("scores", {"a": [1, 2]})
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy of that home that a test may change."""
    shutil.copytree(trained, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def rows() -> pl.DataFrame:
    """Rows that the training did not see."""
    return read(TELCO).frame.select(*COLUMNS).slice(1500, 50)


@pytest.fixture(autouse=True)
def no_server_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user of this machine set for MLflow is not spoken to."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
