"""One quickly trained model, and servers of it on free loopback ports that end with the tests."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import modelwright
from modelwright.artifacts.model import Model

TABLE = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """A server process and how it is asked."""

    process: subprocess.Popen[bytes]
    port: int
    token: str
    log: Path

    def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        secret = self.token if token is None else token
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if secret:
            sent.setdefault("Authorization", f"Bearer {secret}")
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        with contextlib.closing(connection):
            connection.request(method, path, body=data, headers={k: v for k, v in sent.items() if v})
            with connection.getresponse() as reply:
                return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())

    def lines(self) -> list[dict[str, Any]]:
        text = self.log.read_text(errors="replace")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines() if line.startswith("{")]

    def wait_for(self, event: str, *, n: int = 1) -> list[dict[str, Any]]:
        """Lines of the log of one kind, once there are as many."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = [line for line in self.lines() if line["event"] == event]
            if len(found) >= n:
                return found
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"no {event} in {self.log.read_text()}")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


Start = Callable[..., Running]


@pytest.fixture(scope="module")
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts servers; all end with the module."""
    running: list[Running] = []

    def start(*words: str, home: Path, cwd: Path | None = None) -> Running:
        log = tmp_path_factory.mktemp("log") / "log"
        command = [sys.executable, "-m", "modelwright.cli.main", "serve", *words, "--home", str(home), "--port", "0"]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stderr=stream, stdout=subprocess.DEVNULL, cwd=cwd)
        one = Running(process, 0, "", log)
        running.append(one)
        one.port = one.wait_for("ready")[0]["port"]
        token = re.search(r"mw_[\w-]+", log.read_text())
        one.token = token[0] if token else ""
        return one

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder."""
    home = tmp_path_factory.mktemp("trained")
    run = modelwright.train(TABLE, target="Churn", trials=2, algorithms=["lightgbm"], home=home, evaluation="none")
    return run.folder / "model"


@pytest.fixture(scope="session")
def model(trained: Path) -> Model:
    return modelwright.load(trained)


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    """Rows as a client has them: with missing cells, and dates of no column."""
    found = pl.read_csv(TABLE).drop("Churn").head(40).to_dicts()
    found[3]["tenure"] = None
    found[4]["MonthlyCharges"] = None
    found[5]["Contract"] = None
    return found


@pytest.fixture(scope="module")
def server(starting: Start, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Running:
    return starting(f"churn={trained}", home=tmp_path_factory.mktemp("home"))
