"""A call from outside asks for a retraining: with the right to, once for a key, and only of what is registered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from modelwright.registry.registry import Registry
from modelwright.registry.source import source_of
from modelwright.retraining.processes import Processes
from modelwright.retraining.requests import Retrainings
from modelwright.store.database import Database


def token(home: Path, scope: str) -> str:
    words = ["token", "new", scope, "--scope", scope, "--home", str(home)]
    done = subprocess.run(
        [sys.executable, "-m", "modelwright.cli.main", *words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_a_call_asks_once_with_the_right_to_and_a_key_is_honoured_for_good(
    starting: Any, trained: Path, tmp_path_factory: Any
) -> None:
    home = tmp_path_factory.mktemp("home")
    registry = Registry(home)
    registry.register(source_of(trained, home), "churn", aliases=["champion"], force=True, why="a test")
    asking, predicting = token(home, "retrain"), token(home, "predict")
    server = starting("churn@champion", f"other={trained}", home=home)
    path = "/admin/retrain/churn"
    assert server.ask("POST", path, token=predicting).status == 403
    assert server.ask("POST", path, token="").status == 401
    first = server.ask("POST", path, {"why": "new prices"}, token=asking, Idempotency_Key="monday")
    assert (first.status, first.json()["new"]) == (202, True)
    again = server.ask("POST", path, token=asking, Idempotency_Key="monday")
    assert (again.status, again.json()["new"], again.json()["retraining"]) == (200, False, first.json()["retraining"])
    assert server.ask("POST", path, token=asking).json()["retraining"] == first.json()["retraining"]

    retrainings = Retrainings(home)
    one = retrainings.get(first.json()["retraining"])
    assert (one.trigger.cause, one.trigger.reason, one.by_whom, one.state) == ("webhook", "new prices", "retrain", "queued")
    retrainings.end(one.id, "rejected", "worse")
    assert server.ask("POST", path, token=asking, Idempotency_Key="monday").json()["outcome"] == "rejected"
    assert server.ask("POST", path, token=asking, Idempotency_Key="tuesday").status == 202

    assert server.ask("POST", "/admin/retrain/other", token=asking).status == 409
    assert server.ask("POST", "/admin/retrain/nothing", token=asking).status == 404
    assert server.ask("POST", path, {"when": "now"}, token=asking).status == 400
    assert server.ask("POST", path, token=asking, Idempotency_Key="k" * 201).status == 400

    (line,) = Processes(Database.of(home), retrainings.home).lines()
    assert (line.kind, line.pid, str(server.port) in line.told) == ("server", server.process.pid, True)
    assert server.end() == 0
    assert Processes(Database.of(home), retrainings.home).lines() == []


def test_the_brakes_of_the_policy_hold_for_calls(starting: Any, trained: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    Registry(home).register(source_of(trained, home), "churn", aliases=["champion"], force=True, why="a test")
    policy = 'target = "Churn"\ndata = "telco.csv"\n[policy]\nmodel = "churn"\nwebhook = true\ncool_down = "2h"\n'
    (tmp_path / "modelwright.toml").write_text(policy)
    asking = token(home, "retrain")
    server = starting("churn@champion", home=home, cwd=tmp_path)
    path = "/admin/retrain/churn"
    first = server.ask("POST", path, token=asking, Idempotency_Key="monday")
    assert first.status == 202, first.body
    assert server.ask("POST", path, token=asking).status == 200, "what is under way is told"
    Retrainings(home).end(first.json()["retraining"], "rejected", "worse")
    held = server.ask("POST", path, {"why": "new prices"}, token=asking)
    assert (held.status, held.json()["code"]) == (409, "retraining_held")
    assert "New prices. But the last retraining began" in held.json()["error"]
    assert server.ask("POST", path, token=asking, Idempotency_Key="monday").status == 200
