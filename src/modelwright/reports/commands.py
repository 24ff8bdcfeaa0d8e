"""The commands that repeat a run and use its model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from modelwright.training.record import RunRecord

#: Options of ``modelwright train`` that take the value of the spec as it is.
_PLAIN = ("trials", "time", "group", "weight", "positive", "name", "query")


def commands(record: RunRecord) -> list[tuple[str, str]]:
    """Pairs of purpose and command line, quoted for a POSIX shell.

    A table that was passed in memory has no path, so there is no command that trains on it again.
    """
    home = str(record.spec.get("home") or ".modelwright")
    lines = []
    data = str(record.spec.get("data") or record.source)
    if _has_place(data) and _has_place(str(record.spec.get("evaluation", ""))):
        lines.append(("Train again", _joined("modelwright", "train", data, *_options(record))))
    lines.append(
        ("Predict new rows", _joined("modelwright", "predict", f"{home}/runs/{record.id}/model", "new.csv", "-o", "scored.csv"))
    )
    lines.append(("Show the summary", _joined("modelwright", "show", f"{home}/runs/{record.id}")))
    return lines


def _has_place(source: str) -> bool:
    """Whether the description of a source is a path or URL (spec.describe_source says " in memory" otherwise)."""
    return " in memory" not in source and not source.startswith("<") and "***@" not in source


def _options(record: RunRecord) -> list[str]:
    """What the run was asked, the metric and task as they were settled."""
    spec: Mapping[str, Any] = record.spec
    options = ["--task", record.task, "--metric", record.metric, "--seed", str(record.plan.seed)]
    if record.target is not None:
        options = ["--target", record.target, *options]
    if record.budget_s is not None:
        options += ["--budget", f"{record.budget_s:g}s"]
    for key in _PLAIN:
        if spec.get(key) is not None:
            options += [f"--{key}", str(spec[key])]
    if spec.get("algorithms"):
        options += ["--algorithms", ",".join(spec["algorithms"])]
    for column in spec.get("exclude") or ():
        options += ["--exclude", column]
    if spec.get("evaluation") is not None:
        options += ["--evaluation", str(spec["evaluation"])]
    for column, kind in (spec.get("types") or {}).items():
        options += ["--type", f"{column}={kind}"]
    missing = spec.get("missing_values") or ()
    for column, values in missing.items() if isinstance(missing, Mapping) else [("", missing)]:
        for value in values:
            options += ["--missing-value", f"{column}={value}" if column else str(value)]
    if spec.get("home") not in (None, ".modelwright"):
        options += ["--home", str(spec["home"])]
    return options


def _joined(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)
