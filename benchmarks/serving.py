"""The server beside MLflow's and MLServer's, with the same trees, on the same machine, one after the other.

usage::

    python benchmarks/serving.py [--systems ours,mlflow,mlserver] [--seconds 5] [--results FILE]
    python benchmarks/serving.py --schemathesis [--examples 500]
    python benchmarks/serving.py --fuzz 100000

A LightGBM model of 20 numbers is trained by us; the others serve the very same trees: MLflow with a signature, MLServer with
its LightGBM runtime. Ours runs as users run it: one process, validation, token, prediction log and request log on. The load
comes from a process of its own over kept connections. MLflow and MLServer live in environments of their own, whose python is
named by MODELWRIGHT_PEER_MLFLOW (mlflow, lightgbm, pandas) and MODELWRIGHT_PEER_MLSERVER (mlserver, mlserver-lightgbm);
Schemathesis in that of MODELWRIGHT_PEER_SCHEMATHESIS. Measure alone: the load of the machine is printed beside the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

N_COLUMNS, WIDE = 20, 600
#: Rows of a request, and clients.
LOADS = ((1, 1), (1, 8), (100, 4))


def main() -> None:
    args = arguments()
    if args.load:
        print(json.dumps(load(**json.loads(sys.stdin.read()))))
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if args.fuzz or args.schemathesis:
            bundle = trained(place, N_COLUMNS, 300)
            with ours(place, bundle) as (port, head, _):
                fuzz(port, head, args.fuzz) if args.fuzz else schemathesis(port, head, args.examples)
            return
        bundle = trained(place, N_COLUMNS, 3000)
        lines = []
        for system in args.systems.split(","):
            for line in measured(system, place, bundle, args.seconds):
                lines.append(line)
                print(json.dumps(line), flush=True)
        if args.results:
            with args.results.open("a") as stream:
                stream.writelines(json.dumps(line) + "\n" for line in lines)
        print(table(lines))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default="ours")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--fuzz", type=int, default=0, metavar="REQUESTS")
    parser.add_argument("--schemathesis", action="store_true")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def trained(place: Path, n_columns: int, n_rows: int) -> Path:
    """The bundle of one LightGBM model over normal numbers."""
    import polars as pl

    import modelwright

    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_columns))
    signal_ = X[:, 0] + X[:, 1] * X[:, 2] + np.sin(3 * X[:, 3])
    frame = pl.DataFrame({f"x{k}": X[:, k] for k in range(n_columns)}).with_columns(
        pl.Series("y", np.where(signal_ + 0.5 * rng.normal(size=n_rows) > 0, "yes", "no"))
    )
    hyperparams = {"lightgbm": {"num_leaves": [31], "n_estimators": [200]}}
    run = modelwright.train(
        frame, target="y", algorithms=["lightgbm"], trials=3, home=place / f"home{n_columns}", hyperparams=hyperparams,
        evaluation="none",
    )  # fmt: skip
    return run.folder / "model"


def bodies(n_columns: int, system: str) -> dict[int, tuple[str, bytes]]:
    """Path and body of requests of 1 and 100 rows."""
    rng = np.random.default_rng(1)
    names = [f"x{k}" for k in range(n_columns)]
    made = {}
    for n in (1, 100):
        cells = rng.normal(size=(n, n_columns)).tolist()
        rows = [dict(zip(names, row, strict=True)) for row in cells]
        if system == "ours":
            path, body = "/predict/model", rows[0] if n == 1 else rows
        elif system == "ours, one tensor":
            tensor = {"name": "x", "shape": [n, n_columns], "datatype": "FP64", "data": [c for row in cells for c in row]}
            path, body = "/v2/models/model/infer", {"inputs": [tensor]}
        elif system == "mlflow":
            path, body = "/invocations", {"dataframe_split": {"columns": names, "data": cells}}
        else:
            tensor = {"name": "x", "shape": [n, n_columns], "datatype": "FP64", "data": [c for row in cells for c in row]}
            path, body = "/v2/models/model/infer", {"inputs": [tensor]}
        made[n] = (path, json.dumps(body).encode())
    return made


def measured(system: str, place: Path, bundle: Path, seconds: float) -> Iterator[dict[str, Any]]:
    serving: Callable[..., Any] = {"ours": ours, "mlflow": mlflow, "mlserver": mlserver}[system]
    with serving(place, bundle) as (port, head, ready_s):
        yield {"system": system, "what": "cold start", "seconds": round(ready_s, 2), "load": os.getloadavg()[0]}
        for rows, clients in LOADS:
            path, body = bodies(N_COLUMNS, system)[rows]
            yield {"system": system, "what": f"{rows} x {clients}"} | driven(port, head, path, body, clients, seconds)
        if system == "ours":
            path, body = bodies(N_COLUMNS, "ours, one tensor")[100]
            yield {"system": system, "what": "100 x 4, one tensor"} | driven(port, head, path, body, 4, seconds)
    if system == "ours":
        with ours(place, bundle) as (port, head, ready_s):
            yield {"system": system, "what": "start again", "seconds": round(ready_s, 2), "load": os.getloadavg()[0]}
        wide = trained(place, WIDE, 600)
        with ours(place, wide) as (port, head, _):
            path, body = bodies(WIDE, system)[1]
            yield {"system": system, "what": f"1 x 1, {WIDE} columns"} | driven(port, head, path, body, 1, seconds)


def driven(port: int, head: str, path: str, body: bytes, clients: int, seconds: float) -> dict[str, Any]:
    """Ask from a process of its own, after a warm-up."""
    asked = {"port": port, "head": head, "path": path, "body": body.decode(), "clients": clients}
    before = os.getloadavg()[0]
    for length in (min(1.0, seconds / 2), seconds):
        words = [sys.executable, __file__, "--load"]
        done = subprocess.run(words, input=json.dumps(asked | {"seconds": length}).encode(), capture_output=True, check=True)
    return json.loads(done.stdout) | {"load": before}


def load(port: int, head: str, path: str, body: str, clients: int, seconds: float) -> dict[str, Any]:
    """Requests one after the other from each client, over plain sockets: asyncio's streams took as long as the server."""
    data = body.encode()
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    request = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + data
    times: list[float] = []
    failed = 0
    with selectors.DefaultSelector() as ready:
        begun = time.perf_counter()
        for _ in range(clients):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting = Waiting(connection)
            ready.register(connection, selectors.EVENT_READ, waiting)
            waiting.ask(request)
        while ready.get_map():
            for key, _ in ready.select():
                waiting = key.data
                if not waiting.answered():
                    continue
                times.append(time.perf_counter() - waiting.asked)
                failed += waiting.answer[9:12] != b"200"
                if time.perf_counter() - begun < seconds:
                    waiting.ask(request)
                else:
                    ready.unregister(waiting.connection)
                    waiting.connection.close()
        took = time.perf_counter() - begun
    ranks = statistics.quantiles(times, n=100)
    return {
        "per_s": round(len(times) / took, 1), "p50_ms": round(ranks[49] * 1000, 3), "p99_ms": round(ranks[98] * 1000, 3),
        "failed": failed,
    }  # fmt: skip


class Waiting:
    """A client with a request under way."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.answer, self.asked = connection, b"", 0.0

    def ask(self, request: bytes) -> None:
        self.answer, self.asked = b"", time.perf_counter()
        self.connection.sendall(request)

    def answered(self) -> bool:
        """Read what has come; whether the answer is whole."""
        part = self.connection.recv(1 << 20)
        if not part:
            raise SystemExit("The server hung up.")
        self.answer += part
        head, end, body = self.answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower()) if end else None
        return bool(end) and len(body) >= int(length[1] if length else 0)


@contextmanager
def process(words: list[str], path: str, *, cwd: Path, environment: dict[str, str] | None = None, port: int) -> Iterator[float]:
    """A server that answers at a path; the seconds until it did."""
    log = (cwd / f"log-{port}").open("wb")
    begun = time.perf_counter()
    started = subprocess.Popen(
        words, cwd=cwd, env=os.environ | (environment or {}), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        while not answers(port, path):
            if started.poll() is not None or time.perf_counter() - begun > 120:
                raise SystemExit(f"{words} did not start:\n{(cwd / f'log-{port}').read_text()[-3000:]}")
            time.sleep(0.01)
        yield time.perf_counter() - begun
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait()
        log.close()


def answers(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(12).endswith(b"200")
    except OSError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def ours(place: Path, bundle: Path) -> Iterator[tuple[int, str, float]]:
    port = free_port()
    token = "mw_benchmark_benchmark_benchmark"
    home = place / "served"
    words = [sys.executable, "-m", "modelwright.cli.main", "serve", f"model={bundle}", "--port", str(port), "--home", str(home)]
    variables = {"MODELWRIGHT_SERVE_TOKEN": token}
    with process(words, "/v2/health/live", cwd=place, environment=variables, port=port) as ready_s:
        yield port, f"Authorization: Bearer {token}\r\n", ready_s


def booster(bundle: Path) -> Path:
    """The trees as LightGBM writes them."""
    return next(path for path in bundle.rglob("*.txt") if b"tree" in path.read_bytes()[:100])


def peer(name: str) -> str:
    python = os.environ.get(f"MODELWRIGHT_PEER_{name.upper()}")
    if not python or not shutil.which(python):
        raise SystemExit(f"MODELWRIGHT_PEER_{name.upper()} names no python; see the head of this file.")
    return python


_SAVE = """
import sys, lightgbm, numpy, pandas, mlflow
from mlflow.models import infer_signature
booster = lightgbm.Booster(model_file=sys.argv[1])
names = [f"x{k}" for k in range(int(sys.argv[3]))]
rows = pandas.DataFrame(numpy.random.default_rng(0).normal(size=(5, len(names))), columns=names)
signature = infer_signature(rows, booster.predict(rows.to_numpy()))
mlflow.lightgbm.save_model(booster, sys.argv[2], signature=signature)
"""


@contextmanager
def mlflow(place: Path, bundle: Path) -> Iterator[tuple[int, str, float]]:
    python, port, folder = peer("mlflow"), free_port(), place / "mlflow"
    subprocess.run([python, "-c", _SAVE, str(booster(bundle)), str(folder), str(N_COLUMNS)], check=True, cwd=place)
    words = [python, "-m", "mlflow", "models", "serve", "-m", str(folder), "-p", str(port), "--env-manager", "local"]
    variables = {"PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
    with process(words, "/ping", cwd=place, environment=variables, port=port) as ready_s:
        yield port, "", ready_s


@contextmanager
def mlserver(place: Path, bundle: Path) -> Iterator[tuple[int, str, float]]:
    python, port, folder = peer("mlserver"), free_port(), place / "mlserver"
    folder.mkdir()
    shutil.copy(booster(bundle), folder / "model.txt")
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    about = {"name": "model", "implementation": "mlserver_lightgbm.LightGBMModel", "parameters": {"uri": "./model.txt"}}
    (folder / "model-settings.json").write_text(json.dumps(about))
    words = [str(Path(python).parent / "mlserver"), "start", str(folder)]
    with process(words, "/v2/health/ready", cwd=folder, port=port) as ready_s:
        yield port, "", ready_s


def table(lines: list[dict[str, Any]]) -> str:
    """Figures side by side, and how many times more requests ours answers."""
    rate = {(line["system"], line["what"]): line.get("per_s") for line in lines}
    told = ["| system | load | requests/s | p50 ms | p99 ms | ours is | machine load |", "|---|---|---|---|---|---|---|"]
    for line in lines:
        mine = rate.get(("ours", line["what"]))
        ratio = f"{mine / line['per_s']:.1f} ×" if mine and line.get("per_s") and line["system"] != "ours" else ""
        shown = [str(line.get(key, "")) for key in ("per_s", "p50_ms", "p99_ms")]
        if "seconds" in line:
            shown = [f"{line['seconds']} s", "", ""]
        told.append(f"| {line['system']} | {line['what']} | {' | '.join(shown)} | {ratio} | {line['load']:.1f} |")
    return "\n".join(told)


def fuzz(port: int, head: str, n: int) -> None:
    """Mutations of good requests; counts statuses, and fails on any of 500 or more."""
    rng = random.Random(0)
    good = [(path, body) for path, body in bodies(N_COLUMNS, "ours").values()][:1]
    good += [bodies(N_COLUMNS, "mlflow")[1], ("/v2/models/model/infer", bodies(N_COLUMNS, "mlserver")[1][1])]
    good += [("/labels/model", b'{"id": "a-0", "label": "yes", "at": "2026-01-01"}')]
    words = [
        b"null",
        b"NaN",
        b"1e999",
        b"-0",
        b'"\\ud800"',
        b"[]",
        b"{}",
        b"[[[[",
        b"9" * 400,
        b'"x0":',
        b"\xff",
        b"\x00",
        b"true",
    ]
    counts: dict[int, int] = {}
    asked = 0
    while asked < n:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            stream = connection.makefile("rb")
            for _ in range(min(200, n - asked)):
                path, body = rng.choice(good)
                data = bytearray(body)
                for _ in range(rng.randint(0, 3)):
                    at = rng.randrange(len(data) + 1)
                    cut = rng.choice((0, 1, 5, len(data) // 2))
                    data[at : at + cut] = rng.choice((rng.choice(words), bytes([rng.randrange(256)]), b""))
                method = rng.choice(("POST", "POST", "POST", "PUT", "GET", "DELETE"))
                media = rng.choice(
                    ("application/json", "application/json", "text/csv", "text/plain", "application/json;charset=x")
                )
                words_of_head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}Content-Type: {media}\r\n"
                connection.sendall(f"{words_of_head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
                line = stream.readline()
                status = int(line[9:12] or 0)
                length = 0
                while (each := stream.readline()) not in (b"\r\n", b""):
                    if each.lower().startswith(b"content-length:"):
                        length = int(each.split(b":")[1])
                answer = stream.read(length)
                counts[status] = counts.get(status, 0) + 1
                asked += 1
                if status >= 500 or status == 0 or b"Traceback" in answer:
                    raise SystemExit(f"{status} for {method} {path} {media}: {bytes(data)!r}\n{answer!r}")
    print(json.dumps({"requests": asked, "statuses": dict(sorted(counts.items()))}))


def schemathesis(port: int, head: str, examples: int) -> None:
    """All checks of Schemathesis on our OpenAPI document."""
    secret = head.partition(": ")[2].strip()
    words = [peer("schemathesis"), "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/openapi.json"]
    words += ["--header", f"Authorization: {secret}", "--checks", "all", "--max-examples", str(examples), "--workers", "1"]
    sys.exit(subprocess.run(words, check=False).returncode)


if __name__ == "__main__":
    main()
