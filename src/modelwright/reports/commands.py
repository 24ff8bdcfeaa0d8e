"""The commands that repeat a run and use its model."""

from __future__ import annotations

import shlex
from typing import Any

from modelwright.training.record import RunRecord


def commands(record: RunRecord) -> list[tuple[str, str]]:
    """Pairs of purpose and command line; only commands that this version has.

    A table that was passed in memory has no path, so there is no command that trains on it again.
    """
    folder = f".modelwright/runs/{record.id}"
    lines = []
    if _is_path(record.source):
        lines.append(("Train again", _joined("modelwright", "train", record.source, *_options(record))))
    lines.append(("Predict new rows", _joined("modelwright", "predict", f"{folder}/model", "new.csv", "-o", "scored.csv")))
    return lines


def _is_path(source: str) -> bool:
    return bool(source) and not source.startswith("<") and "\n" not in source


def _options(record: RunRecord) -> list[str]:
    spec: dict[str, Any] = record.spec
    options = ["--target", record.target] if record.target is not None else ["--task", record.task]
    options += ["--metric", record.metric]
    if spec.get("evaluation") == "none":
        options += ["--evaluation", "none"]
    return [*options, "--seed", str(record.plan.seed)]


def _joined(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)
