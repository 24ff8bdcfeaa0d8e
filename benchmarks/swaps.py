"""Swaps of the live version under load: every answer must be whole, of one version, and that version's own bits.

usage::

    python benchmarks/swaps.py [--swaps 50] [--every 2.0] [--clients 8] [--workers 1]

Two models of one table are registered; the alias that is served goes from one to the other and back while clients ask for
single rows and for forty rows in turn. Counts answers, failed requests, and answers whose numbers are not those of the
version that they name. A version counts as swapped in when an answer names it.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import modelwright
from modelwright.registry.registry import Registry
from modelwright.registry.source import source_of
from serving import N_COLUMNS, free_port, process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--every", type=float, default=2.0, help="Seconds between two swaps.")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured(Path(folder), args)


def measured(place: Path, args: argparse.Namespace) -> None:
    home = place / "home"
    registry = Registry(home)
    frame = table()
    for algorithm in ("lightgbm", "linear"):
        run = modelwright.train(frame, target="y", algorithms=[algorithm], trials=2, home=home, evaluation="none")
        registry.register(source_of(run.folder, home), "model", force=True, why="a benchmark")
    registry.set_alias("model", "champion", 1)
    rows = frame.drop("y")[:40].to_dicts()
    expected = {}
    for number in (1, 2):
        model = modelwright.load(registry.resolve(f"model/{number}").folder).compile()
        expected[str(number)] = [model.predict_proba(row).tolist() for row in rows]
    port = free_port()
    words = [sys.executable, "-m", "modelwright.cli.main", "serve", "model@champion", "--home", str(home), "--port", str(port)]
    words += ["--no-auth", "--workers", str(args.workers)]
    with process(words, "/v2/health/live", cwd=place, port=port):
        clients = [Client(port, rows, expected) for _ in range(args.clients)]
        threads = [threading.Thread(target=client.ask, daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        took = []
        for number in range(args.swaps):
            wanted = 2 - number % 2
            begun = time.perf_counter()
            registry.set_alias("model", "champion", wanted)
            while any(client.latest != str(wanted) for client in clients):
                if time.perf_counter() - begun > 60:
                    raise SystemExit(f"Version {wanted} was not swapped in within 60 s.")
                time.sleep(0.01)
            took.append(time.perf_counter() - begun)
            time.sleep(args.every)
        for client in clients:
            client.ending = True
        for thread in threads:
            thread.join()
    answers = sum(client.answers for client in clients)
    took.sort()
    print(
        f"{args.swaps} swaps, {args.clients} clients, {args.workers} workers: {answers:,} answers, "
        f"{sum(client.failed for client in clients)} failed, {sum(client.mixed for client in clients)} with other numbers than "
        f"their version's; from the alias to the last client's first answer median {took[len(took) // 2]:.2f} s, "
        f"longest {took[-1]:.2f} s"
    )


def table() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, N_COLUMNS))
    y = np.where(X[:, 0] + X[:, 1] * X[:, 2] + 0.5 * rng.normal(size=3000) > 0, "yes", "no")
    return pl.DataFrame({f"x{k}": X[:, k] for k in range(N_COLUMNS)}).with_columns(pl.Series("y", y))


class Client:
    """Asks one row and forty in turn over a kept connection, and compares every number."""

    def __init__(self, port: int, rows: list[dict[str, float]], expected: dict[str, list[list[float]]]) -> None:
        self.port, self.rows, self.expected = port, rows, expected
        self.answers = self.failed = self.mixed = 0
        self.latest = ""
        self.ending = False

    def ask(self) -> None:
        stream = None
        while not self.ending:
            one = self.answers % 2 == 0
            asked = self.rows[self.answers % len(self.rows)] if one else self.rows
            self.answers += 1
            try:
                if stream is None:
                    stream = socket.create_connection(("127.0.0.1", self.port), timeout=30).makefile("rwb")
                status, said = exchange(stream, json.dumps(asked).encode())
            except OSError:
                stream, status, said = None, 0, {}
            if status != 200:
                self.failed += 1
                continue
            told = [said] if one else said["predictions"]
            wanted = self.expected[said["version"]]
            wanted = [wanted[(self.answers - 1) % len(self.rows)]] if one else wanted
            self.mixed += [list(each["probabilities"].values()) for each in told] != wanted
            self.latest = said["version"]


def exchange(stream: Any, body: bytes) -> tuple[int, dict[str, Any]]:
    head = f"POST /predict/model HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    stream.write(head.encode() + b"\r\n\r\n" + body)
    stream.flush()
    status, length = int(stream.readline()[9:12] or 0), 0
    while (line := stream.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, json.loads(stream.read(length))


if __name__ == "__main__":
    main()
