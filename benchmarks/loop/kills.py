"""Kill the loop of retraining, again and again, and look whether anything was lost, done twice or left half done.

    python benchmarks/loop/kills.py                     # 60 kills at random moments, and one at every step boundary
    python benchmarks/loop/kills.py --kills 300 --seed 1

A loop is a retraining of a small table with labelled predictions in the log, from the asking to the verdict. The worker (one
kill in four: the whole of ``modelwright up``) is killed with SIGKILL, one time in three with all its children, and started
again, until the retraining has ended. After each kill: the registry is sound, its log unbroken, the champion a verified
version; every label that the server has acknowledged is there. At the end: one run and one version of
each training, at most one promotion, every step with one result, and the verdict of a loop that nobody killed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
MODEL = "tiny"
POLICY = """
data = "tiny.csv"
target = "y"
trials = 1
algorithms = ["lightgbm"]
home = "home"

[policy]
model = "tiny"

[policy.gate]
min_labels = 100
max_latency = "1s"

[policy.release]
watch = "1s"
"""
#: Places of a step at which a worker can die.
MOMENTS = ("before", "begun", "worked", "after")
_READY = '"event":"worker ready"'


@dataclass
class Seen:
    """What was seen of all kills."""

    kills: int = 0
    boundaries: int = 0
    loops: int = 0
    acknowledged: int = 0
    #: Seconds from a start until it takes work, of workers and of whole groups.
    ready_s: dict[str, list[float]] = field(default_factory=lambda: {"worker": [], "up": []})
    wrong: list[str] = field(default_factory=list)


def rows(n: int, seed: int, noise: float = 0.05) -> pl.DataFrame:
    """Rows whose answer depends on two columns together."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(size=n)
    return pl.DataFrame({"x": x, "z": z, "y": np.where((x * z > 0) ^ (rng.random(n) < noise), "yes", "no")})


def prepare(folder: Path) -> None:
    """A home whose champion learned from few and noisy rows, and labelled predictions of it."""
    import modelwright
    from modelwright.monitoring.labels import Label, add_labels
    from modelwright.monitoring.prediction_log import write_predictions
    from modelwright.registry.registry import Registry
    from modelwright.registry.source import source_of
    from modelwright.store.database import Database

    folder.mkdir(parents=True)
    home = folder / "home"
    (folder / "modelwright.toml").write_text(POLICY)
    rows(400, 0, 0.25).write_csv(folder / "tiny.csv")
    spec = {"target": "y", "trials": 1, "algorithms": ["lightgbm"], "home": home, "name": MODEL}
    modelwright.train(folder / "tiny.csv", **spec)
    Registry(home).register(source_of(MODEL, home), MODEL, aliases=["champion"], force=True, why="to begin with")
    model = modelwright.load(f"{MODEL}@champion", home=home)
    came = rows(2000, 1)
    proba = model.predict_proba(came.drop("y"))
    lines, labels = [], []
    # Between the champion's registration and now.
    began = dt.datetime.fromisoformat(Registry(home).resolve(f"{MODEL}@champion").created) + dt.timedelta(milliseconds=100)
    time.sleep(3)
    for number, row in enumerate(came.iter_rows(named=True)):
        at = (began + dt.timedelta(milliseconds=number)).isoformat(timespec="microseconds")
        shares = [float(share) for share in proba[number]]
        answer = ["no", "yes"][int(shares[1] > 0.5)]
        features = json.dumps([{"x": row["x"], "z": row["z"]}]).encode()
        answered = (json.dumps([answer]), json.dumps([shares]), 1.0, None)
        lines.append((f"p{number}", 1, MODEL, "1", "live", at, None, features, *answered))
        labels.append(Label(f"p{number}-0", row["y"], at))
    database = Database.of(home)
    write_predictions(database, lines)
    add_labels(database, MODEL, labels)


def ask(folder: Path) -> str:
    """Ask for a retraining; its name."""
    done = run(folder, "retrain", MODEL)
    return done.stdout.strip()


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the program."""
    command = [sys.executable, "-m", "modelwright.cli.main", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=300)


class Running:
    """A worker or a whole group, and when it was ready."""

    def __init__(self, folder: Path, *, dies: str = "", group: bool = False) -> None:
        self.folder, self.group, self.log = folder, group, folder / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if group:
            command = [sys.executable, "-m", "modelwright.cli.main", "up", "--no-auth", "--port", str(self.port)]
        else:
            command = [sys.executable, str(Path(__file__)), "--worker", dies or "@"]
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        self.began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)

    def said(self) -> str:
        with open(self.log, "rb") as log:
            log.seek(self._offset)
            return log.read().decode(errors="replace")

    def ready(self, timeout_s: float = 120.0) -> float:
        """Seconds from the start until it takes work (and answers, if it is a group)."""
        while time.monotonic() - self.began < timeout_s:
            said = self.said()
            if _READY in said and (not self.group or '"event":"ready"' in said):
                return time.monotonic() - self.began
            if self.process.poll() is not None:
                raise AssertionError(said[-2000:])
            time.sleep(0.01)
        raise AssertionError(f"not ready: {self.said()[-2000:]}")

    def kill(self, *, tree: bool) -> None:
        for pid in descendants(self.process.pid) if tree else ():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.kill()
        self.process.wait()


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that they have."""
    done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    children = [int(word) for word in done.stdout.split()]
    return [each for child in children for each in (*descendants(child), child)]


class Teller:
    """Tells the server labels, and remembers those that were acknowledged."""

    def __init__(self, port: int, tag: str) -> None:
        self.acknowledged: list[str] = []
        self._port, self._tag, self._ending = port, tag, threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def end(self) -> list[str]:
        self._ending.set()
        self._thread.join(10)
        return self.acknowledged

    def _work(self) -> None:
        number = 0
        while not self._ending.wait(0.02):
            name = f"{self._tag}-{number}"
            body = json.dumps({"id": name, "label": "yes"}).encode()
            asked = urllib.request.Request(
                f"http://127.0.0.1:{self._port}/labels/{MODEL}", body, {"content-type": "application/json"}, method="POST"
            )
            try:
                with urllib.request.urlopen(asked, timeout=5) as answer:
                    if answer.status == 200:
                        self.acknowledged.append(name)
            except (urllib.error.URLError, OSError):
                continue
            number += 1


def broken(folder: Path, acknowledged: list[str]) -> list[str]:
    """What is wrong after a kill."""
    from modelwright.artifacts.manifest import verify_bundle
    from modelwright.registry.registry import Registry

    home, wrong = folder / "home", []
    for name in ("store.db", "workflows.db"):
        if (home / name).exists():
            connection = sqlite3.connect(home / name)
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
            wrong += [] if said == "ok" else [f"{name}: {said}"]
            if name == "store.db" and acknowledged:
                held = {row[0] for row in connection.execute("SELECT prediction FROM labels")}
                lost = [label for label in acknowledged if label not in held]
                wrong += [f"acknowledged labels are lost: {lost[:3]} of {len(lost)}"] if lost else []
            connection.close()
    registry = Registry(home)
    wrong += registry.verify()
    verify_bundle(registry.resolve(f"{MODEL}@champion").folder)
    return wrong


def at_the_end(folder: Path, retraining: str, outcome: str) -> list[str]:
    """What is wrong after a loop."""
    from modelwright.registry.registry import Registry
    from modelwright.retraining.requests import Retrainings
    from modelwright.store.folders import unfinished

    home, wrong = folder / "home", []
    one = Retrainings(home).get(retraining)
    if one.outcome != outcome:
        wrong.append(f"ended {one.outcome}, not {outcome}: {one.told}")
    runs = [path.name for path in (home / "runs").iterdir() if path.name.startswith(retraining)]
    versions = [version for version in Registry(home).versions(MODEL) if version.tags.get("retraining") == retraining]
    promotions = [each for each in Registry(home).decisions(MODEL) if each.kind == "promote"]
    # What passed the gate is trained once more, as a version of its own.
    expected = 1 + any((line.made or {}).get("run") for line in Retrainings(home).steps(retraining) if line.step == "refit")
    if (len(runs), len(versions)) != (expected, expected):
        wrong.append(f"{len(runs)} runs and {len(versions)} versions")
    if len(promotions) != (outcome in ("promoted", "rolled back")):
        wrong.append(f"{len(promotions)} promotions")
    steps = Retrainings(home).steps(retraining)
    wrong += [f"step {line.step} has not ended" for line in steps if line.ended is None]
    wrong += [f"{each.run} is left unfinished" for each in unfinished(home) if each.run.startswith(retraining)]
    aliases = {alias for version in Registry(home).versions(MODEL) for alias in version.aliases}
    wrong += [] if "champion" in aliases else ["no champion"]
    return wrong


def has_ended(folder: Path, retraining: str) -> bool:
    """Whether a retraining is closed."""
    from modelwright.retraining.requests import Retrainings

    return Retrainings(folder / "home").get(retraining).ended is not None


def go_on(folder: Path, retraining: str, seen: Seen) -> None:
    """Let a worker finish a retraining, and end in order."""
    running = Running(folder)
    seen.ready_s["worker"].append(running.ready())
    deadline = time.monotonic() + 300
    while not has_ended(folder, retraining):
        assert time.monotonic() < deadline, running.said()[-2000:]
        time.sleep(0.1)
    running.process.terminate()
    assert running.process.wait(30) == 0, running.said()[-2000:]


def at_boundaries(folder: Path, retraining: str, steps: list[str], seen: Seen) -> None:
    """One loop that is killed at every boundary of every step."""
    for step in steps:
        for moment in MOMENTS:
            running = Running(folder, dies=f"{step}@{moment}")
            code = running.process.wait(300)
            if code != -signal.SIGKILL:
                seen.wrong.append(f"{step}@{moment}: was not killed ({code}) {running.said()[-300:]}")
                return
            seen.boundaries += 1
            seen.wrong += [f"{step}@{moment}: {what}" for what in broken(folder, [])]
    go_on(folder, retraining, seen)


def at_random(folder: Path, retraining: str, draw: random.Random, duration_s: float, most: int, seen: Seen) -> int:
    """One loop with kills at random moments until it has ended; how many."""
    kills, acknowledged = 0, list[str]()
    while kills < most and not has_ended(folder, retraining):
        group = draw.random() < 0.25
        running = Running(folder, group=group)
        seen.ready_s["up" if group else "worker"].append(running.ready())
        teller = Teller(running.port, f"k{seen.kills}") if group else None
        deadline = time.monotonic() + draw.expovariate(10 / duration_s)
        while time.monotonic() < deadline and not has_ended(folder, retraining):
            time.sleep(0.05)
        tree = draw.random() < 1 / 3
        running.kill(tree=tree)
        if teller is not None:
            acknowledged += teller.end()
        kills += 1
        wrong = broken(folder, acknowledged)
        seen.wrong += [f"kill {seen.kills + kills}: {what}" for what in wrong]
        how = f"{'up' if group else 'worker':<6} {'tree' if tree else '':<4}"
        print(f"kill {seen.kills + kills:>3} {how} {'; '.join(wrong) or 'ok'}", flush=True)
    seen.acknowledged += len(acknowledged)
    if not has_ended(folder, retraining):
        go_on(folder, retraining, seen)
    return kills


def as_worker(dies: str) -> None:
    """A worker that kills itself at a boundary of a step."""
    from modelwright.retraining import worker
    from modelwright.retraining.steps import Room
    from modelwright.serving.logs import Log

    place, _, moment = dies.partition("@")

    def dying(function: Any, first: str, second: str) -> Any:
        def wrapped(self: Any, retraining: str, step: str, *rest: Any, **options: Any) -> Any:
            if (step, first) == (place, moment):
                os.kill(os.getpid(), signal.SIGKILL)
            made = function(self, retraining, step, *rest, **options)
            if (step, second) == (place, moment):
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        return wrapped

    of: Any = worker.Retrainings
    of.begin, of.finish = dying(of.begin, "before", "begun"), dying(of.finish, "worked", "after")
    worker.run_worker(Room(Path("home"), None, None), Log())


def main() -> None:
    """Run loops until there were as many kills as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="at random moments")
    parser.add_argument("--no-boundaries", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--in-folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker is not None:
        as_worker(asked.worker)
        return
    draw, seen = random.Random(asked.seed), Seen()
    place = asked.in_folder or Path(tempfile.mkdtemp(prefix="loop-kills-"))
    if not (place / "base").exists():
        prepare(place / "base")

    def fresh(name: str) -> tuple[Path, str]:
        folder = Path(shutil.copytree(place / "base", place / name))
        seen.loops += 1
        return folder, ask(folder)

    from modelwright.retraining.requests import Retrainings

    folder, retraining = fresh("whole")
    began = time.monotonic()
    go_on(folder, retraining, seen)
    duration = time.monotonic() - began
    whole = Retrainings(folder / "home").get(retraining)
    steps = [line.step for line in Retrainings(folder / "home").steps(retraining)]
    print(f"uninterrupted: {duration:.1f} s, {whole.outcome} after {', '.join(steps)}: {whole.told}", flush=True)
    seen.wrong += at_the_end(folder, retraining, whole.outcome)
    if not asked.no_boundaries:
        folder, retraining = fresh("boundaries")
        at_boundaries(folder, retraining, steps, seen)
        seen.wrong += [f"boundaries: {what}" for what in at_the_end(folder, retraining, whole.outcome)]
        print(f"{seen.boundaries} kills at boundaries: {'; '.join(seen.wrong) or 'ok'}", flush=True)
    while seen.kills < asked.kills:
        folder, retraining = fresh(f"loop{seen.loops}")
        seen.kills += at_random(folder, retraining, draw, duration, min(12, asked.kills - seen.kills), seen)
        wrong = at_the_end(folder, retraining, whole.outcome)
        seen.wrong += [f"{folder.name}: {what}" for what in wrong]
        print(f"{folder.name} ended: {'; '.join(wrong) or 'ok'}", flush=True)
        if not wrong:
            shutil.rmtree(folder)
    ready = "; ".join(
        f"{kind} median {sorted(times)[len(times) // 2]:.1f} s, longest {max(times):.1f} s of {len(times)}"
        for kind, times in seen.ready_s.items()
        if times
    )
    print(
        f"{seen.kills} kills at random, {seen.boundaries} at boundaries, {seen.loops} loops, {seen.acknowledged} labels"
        f" acknowledged; restart to ready: {ready}; {len(seen.wrong)} faults {seen.wrong[:5]}"
    )
    sys.exit(bool(seen.wrong))


if __name__ == "__main__":
    main()
