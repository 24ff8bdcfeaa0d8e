"""The commands that repeat a run and use its model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from modelwright.training.record import RunRecord

#: Options that the mends of an audit may set in modelwright.toml; on the command line they would win over the file.
_MENDED = ("time", "group", "exclude", "missing_values")


def commands(record: RunRecord) -> list[tuple[str, str]]:
    """Pairs of purpose and command line, quoted for a POSIX shell.

    A table that was passed in memory has no path, so there is no command that trains on it again.
    """
    home = str(record.spec.get("home") or ".modelwright")
    lines = []
    data = str(record.spec.get("data") or record.source)
    if _has_place(data) and _has_place(str(record.spec.get("evaluation", ""))):
        lines.append(("Train again", _joined("modelwright", "train", data, *_options(record, record.spec))))
    lines.append(
        ("Predict new rows", _joined("modelwright", "predict", f"{home}/runs/{record.id}/model", "new.csv", "-o", "scored.csv"))
    )
    if record.task != "clustering":
        explain = ("modelwright", "explain", f"{home}/runs/{record.id}/model", "new.csv", "--rows", "0,1,2")
        lines.append(("Explain single predictions", _joined(*explain)))
    lines.append(("Write the model card", _joined("modelwright", "card", f"{home}/runs/{record.id}", "-o", "CARD.md")))
    lines.append(("Show the summary", _joined("modelwright", "show", f"{home}/runs/{record.id}")))
    return lines


def audit_command(record: RunRecord) -> str:
    """The command that writes the mends of findings into modelwright.toml; empty for a table in memory."""
    data = str(record.spec.get("data") or record.source)
    if not _has_place(data):
        return ""
    target = ["--target", record.target] if record.target is not None else []
    spec = {key: value for key, value in record.spec.items() if key in (*_MENDED, "types", "known", "query")}
    return _joined("modelwright", "audit", data, *target, "--task", record.task, *_columns(spec), "--fix")


def mended_train_command(record: RunRecord) -> str:
    """The command that trains again once modelwright.toml holds the mends; empty for a table in memory."""
    data = str(record.spec.get("data") or record.source)
    if not (_has_place(data) and _has_place(str(record.spec.get("evaluation", "")))):
        return ""
    spec = {key: value for key, value in record.spec.items() if key not in _MENDED}
    return _joined("modelwright", "train", data, *_options(record, spec))


def interval_command(record: RunRecord) -> str:
    """The command that adds prediction intervals, or sets of classes."""
    home = str(record.spec.get("home") or ".modelwright")
    model = f"{home}/runs/{record.id}/model"
    return _joined("modelwright", "predict", model, "new.csv", "-o", "scored.csv", "--interval", "0.9")


def _has_place(source: str) -> bool:
    """Whether the description of a source is a path or URL (spec.describe_source says " in memory" otherwise)."""
    return " in memory" not in source and not source.startswith("<") and "***@" not in source


def _options(record: RunRecord, spec: Mapping[str, Any]) -> list[str]:
    """What the run was asked, the metric and task as they were settled."""
    options = ["--task", record.task, "--metric", record.metric, "--seed", str(record.plan.seed)]
    if record.target is not None:
        options = ["--target", record.target, *options]
    if record.budget_s is not None:
        options += ["--budget", f"{record.budget_s:g}s"]
    if spec.get("trials") is not None:
        options += ["--trials", str(spec["trials"])]
    if spec.get("algorithms"):
        options += ["--algorithms", ",".join(spec["algorithms"])]
    options += _columns(spec)
    for key in ("weight", "positive", "gap", "partition", "name"):
        if spec.get(key) is not None:
            options += [f"--{key}", str(spec[key])]
    for key in ("evaluation", "reserve"):
        if spec.get(key):
            options += [f"--{key}", str(spec[key])]
    for key in ("cost", "floor"):
        if spec.get(key):
            options += [f"--{key}", ",".join(f"{name}={value:g}" for name, value in spec[key].items())]
    for column in spec.get("sensitive") or ():
        options += ["--sensitive", column]
    if (spec.get("repeats") or 1) > 1:
        options += ["--repeats", str(spec["repeats"])]
    for key in ("sampler", "max_trial_time", "max_failures", "max_latency", "max_size", "max_fit_memory"):
        if spec.get(key) not in (None, "tpe"):
            options += ["--" + key.replace("_", "-"), f"{spec[key]:g}" if isinstance(spec[key], float) else str(spec[key])]
    for algorithm, grid in (spec.get("hyperparams") or {}).items():
        for name, values in grid.items():
            options += ["--param", f"{algorithm}.{name}=" + ",".join(map(str, values))]
    features = spec.get("features")
    if isinstance(features, str):
        options += ["--features", features]
    for name, expression in (features or {}).items() if isinstance(features, dict) else ():
        options += ["--feature", f"{name}={expression}"]
    for key in ("open_reserve", "strict", "interpretable", "select_features"):
        if spec.get(key):
            options.append("--" + key.replace("_", "-"))
    for name, text in (spec.get("tags") or {}).items():
        options += ["--tag", f"{name}={text}"]
    if spec.get("home") not in (None, ".modelwright"):
        options += ["--home", str(spec["home"])]
    return options


def _columns(spec: Mapping[str, Any]) -> list[str]:
    """Options about the table and its columns, which training and audit share."""
    options = []
    for key in ("time", "group", "query"):
        if spec.get(key) is not None:
            options += [f"--{key}", str(spec[key])]
    for key in ("exclude", "known"):
        for column in spec.get(key) or ():
            options += [f"--{key}", column]
    for column, kind in (spec.get("types") or {}).items():
        options += ["--type", f"{column}={kind}"]
    missing = spec.get("missing_values") or ()
    for column, values in missing.items() if isinstance(missing, Mapping) else [("", missing)]:
        for value in values:
            options += ["--missing-value", f"{column}={value}" if column else str(value)]
    return options


def _joined(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)
