"""Swaps, shadows, canaries, the log, labels and ends: what operators fear."""

from __future__ import annotations

import json
import os
import shutil
import threading
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

import modelwright
from modelwright.artifacts.manifest import write_manifest
from modelwright.artifacts.model import Model
from modelwright.monitoring.labels import read_labels
from modelwright.monitoring.prediction_log import read_predictions
from modelwright.serving.deployments import stable_share
from modelwright.store.database import Database


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same table."""
    table = Path(__file__).parents[2] / "examples" / "data" / "telco_churn.csv"
    home = tmp_path_factory.mktemp("other")
    run = modelwright.train(table, target="Churn", trials=1, algorithms=["linear"], home=home, evaluation="none")
    return run.folder / "model"


def _point(link: Path, folder: Path) -> None:
    """Let a link lead elsewhere, in one step."""
    draft = link.with_suffix(".new")
    draft.symlink_to(folder)
    os.replace(draft, link)


def _score(model: Model, row: dict[str, Any]) -> float:
    return float(model.compile().predict_proba(row)[1])


def test_a_swap_under_load_fails_no_request_and_mixes_no_answer(
    starting: Any, trained: Path, other: Path, model: Model, rows: Any, tmp_path: Path
) -> None:
    link = tmp_path / "live"
    _point(link, trained)
    server = starting(f"churn={link}", home=tmp_path)
    before = server.ask("GET", "/v2/models/churn").json()["versions"][0]
    second = modelwright.load(other)
    told = {True: [_score(model, row) for row in rows], False: [_score(second, row) for row in rows]}
    answers: list[Any] = []
    ending = threading.Event()

    def ask() -> None:
        while not ending.is_set():
            answers.append(server.ask("POST", "/predict/churn", rows))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    _point(link, other)
    swapped = server.wait_for("swap")[0]
    for _ in range(3):
        answers.append(server.ask("POST", "/predict/churn", rows))
    ending.set()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {200}
    seen = set()
    for answer in answers:
        said = answer.json()
        seen.add(said["version"])
        assert [each["probabilities"]["Yes"] for each in said["predictions"]] == told[said["version"] == before]
    assert seen == {before, swapped["version"]}

    # A version whose golden rows get another answer, or that is damaged, does not go live; the one before goes on.
    changed = tmp_path / "changed"
    shutil.copytree(trained, changed)
    golden = json.loads((changed / "golden.json").read_text())
    golden["raw"][0] = golden["raw"][0][::-1]
    (changed / "golden.json").write_text(json.dumps(golden))
    (changed / "manifest.json").unlink()
    write_manifest(changed, libraries={}, lineage={})
    _point(link, changed)
    assert "Golden row" in server.wait_for("swap refused")[0]["reason"]
    shutil.copytree(other, tmp_path / "torn")
    member = next((tmp_path / "torn" / "members" / "0").iterdir())
    member.write_bytes(member.read_bytes()[: member.stat().st_size // 2])
    (tmp_path / "torn" / "manifest.json").write_bytes((trained / "manifest.json").read_bytes())
    _point(link, tmp_path / "torn")
    server.wait_for("swap refused", n=2)
    answer = server.ask("POST", "/predict/churn", rows[0])
    assert (answer.status, answer.json()["version"]) == (200, swapped["version"])


def test_shadow_and_canary_answer_their_part_and_the_log_has_it_all(
    starting: Any, trained: Path, other: Path, model: Model, rows: Any, tmp_path: Path
) -> None:
    words = ["--canary", f"churn={other}:50%", "--shadow", f"churn={other}", "--redact", "gender"]
    server = starting(f"churn={trained}", *words, home=tmp_path)
    second = modelwright.load(other)
    ids = [f"customer {k}" for k in range(12)]
    answers = [
        server.ask("POST", "/predict/churn", {"rows": [row], "ids": [entity]}).json()
        for row, entity in zip(rows, ids, strict=False)
    ]
    canary = [stable_share(entity) < 0.5 for entity in ids]
    assert set(canary) == {True, False}
    for answer, row, is_canary in zip(answers, rows, canary, strict=False):
        expected = _score(second if is_canary else model, row)
        assert answer["predictions"][0]["probabilities"]["Yes"] == expected
    assert server.end() == 0

    database = Database.of(tmp_path)
    live, chosen, shadow = (list(read_predictions(database, "churn", part=part)) for part in ("live", "canary", "shadow"))
    assert {each.id: each.score for each in [*live, *chosen]} == {
        answer["predictions"][0]["id"]: answer["predictions"][0]["probabilities"]["Yes"] for answer in answers
    }
    assert [each.entity for each in chosen] == [entity for entity, is_canary in zip(ids, canary, strict=True) if is_canary]
    assert sorted(each.score for each in shadow) == sorted(_score(second, row) for row in rows[:12])
    assert {each.features["gender"] for each in live} == {"[redacted]"}
    assert live[0].features["tenure"] == rows[ids.index(live[0].entity)]["tenure"]
    assert all(each.latency_ms > 0 and each.prediction in ("Yes", "No") for each in live)


def test_an_acknowledged_label_outlives_kill_9_and_a_correction_keeps_its_history(
    starting: Any, trained: Path, tmp_path: Path
) -> None:
    server = starting(f"churn={trained}", "--workers", "2", home=tmp_path)
    acknowledged: list[str] = []

    def tell(thread: int) -> None:
        for number in range(10_000):
            try:
                answer = server.ask("POST", "/labels/churn", {"id": f"a{thread}-{number}", "label": "Yes"})
            except (OSError, HTTPException):  # killed before or in the middle of its answer
                return
            if answer.status == 200:
                acknowledged.append(f"a{thread}-{number}")

    corrected = [{"id": "b-0", "label": value} for value in ("Yes", "No", "No")]
    said = server.ask("POST", "/labels/churn", [*corrected, {"id": "b-1", "label": "Perhaps"}]).json()
    assert (said["new"], said["corrected"], said["unchanged"]) == (1, 1, 1)
    assert [each["row"] for each in said["refused"]] == [3]
    threads = [threading.Thread(target=tell, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    while len(acknowledged) < 30:
        assert any(thread.is_alive() for thread in threads)
    for pid in _children(server.process.pid):
        os.kill(pid, 9)
    server.process.kill()
    for thread in threads:
        thread.join()
    database = Database.of(tmp_path)
    kept = {label.prediction: label for label in read_labels(database, "churn")}
    assert set(acknowledged) <= set(kept)
    assert (kept["b-0"].value, kept["b-0"].revision) == ("No", 2)
    assert [each.value for each in read_labels(database, "churn", history=True) if each.prediction == "b-0"] == ["Yes", "No"]


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_all_workers_count_together_and_a_dead_one_is_replaced(starting: Any, trained: Path, rows: Any, tmp_path: Path) -> None:
    server = starting(f"churn={trained}", "--workers", "2", home=tmp_path)
    server.wait_for("ready", n=2)
    for _ in range(20):
        assert server.ask("POST", "/predict/churn", rows[0]).status == 200
    os.kill(_children(server.process.pid)[0], 9)
    server.wait_for("ready", n=3)
    assert server.ask("POST", "/predict/churn", rows[0]).status == 200
    text = server.ask("GET", "/metrics").body.decode()
    assert 'modelwright_model_info{model="churn"' in text
    assert server.end() == 0
