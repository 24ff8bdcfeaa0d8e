"""What a run was, as flat facts by section: what two runs are compared by."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from modelwright.runs.entry import RunEntry
from modelwright.runs.run import Run
from modelwright.training.record import RunRecord

#: Section -> name -> value; values are plain (texts, numbers, truths, lists).
Facts = dict[str, dict[str, Any]]
SECTIONS = (
    "asked", "data", "columns", "model", "hyperparameters", "findings", "code", "versions", "machine", "cost", "parameters",
    "labels",
)  # fmt: skip
#: Options that say where a run lies, not what was asked.
_PLACES = ("home", "store", "name", "data")


def facts_of(folder: Path, entry: RunEntry) -> Facts:
    """The facts of a run of any kind.

    Parameters
    ----------
    folder : Path
    entry : RunEntry
    """
    common: Facts = {
        "code": {"commit": entry.commit, "uncommitted changes": entry.dirty},
        "cost": {"wall_s": entry.wall_s, "peak_memory_mb": entry.peak_memory_mb},
        "labels": {**{f"tag {key}": value for key, value in entry.tags.items()}, "note": entry.note},
    }
    if entry.kind != "training":
        about = {"kind": entry.kind, "state": entry.state, "seed": entry.seed, "user": entry.user}
        data = {"fingerprint": entry.data, "source": entry.source}
        return {**common, "asked": about, "data": data, "parameters": flat(entry.params)}
    record = Run(folder).record
    cost = {**common["cost"], "model_size_bytes": record.model.get("size_bytes")}
    delivered = None if record.figures is None else record.figures.delivered
    if delivered is not None:
        cost["single_row_s"] = delivered.measured.single_row_s
    return {
        **common,
        "asked": flat({key: value for key, value in record.spec.items() if key not in _PLACES}),
        "data": _data(record),
        "columns": _columns(record),
        "model": _model(record),
        "hyperparameters": _hyperparameters(record),
        "findings": {finding.name: finding.severity + (", waived" if finding.waiver else "") for finding in record.findings},
        "versions": _versions(record),
        "machine": _machine(record),
        "cost": cost,
    }


def flat(mapping: dict[str, Any]) -> dict[str, Any]:
    """Nested mappings unfolded as "outer.inner"."""
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, dict) and value:
            found |= {f"{key}.{inner}": each for inner, each in flat(value).items()}
        else:
            found[str(key)] = list(value) if isinstance(value, tuple) else value
    return found


def _data(record: RunRecord) -> dict[str, Any]:
    look = None if record.evaluation is None else record.evaluation.look
    return {
        "fingerprint": record.fingerprint,
        "source": record.source,
        "rows": record.n_rows,
        "columns": record.n_columns,
        "training rows": record.n_training,
        "sealed rows": record.n_evaluation,
        "split": record.plan.split_rule,
        "validation folds": record.plan.n_folds,
        "vault": None if look is None else look.vault[:12],
    }


def _columns(record: RunRecord) -> dict[str, Any]:
    if record.feature_set is not None:
        return {
            column.name: " ".join(filter(None, [column.type, column.kind if column.kind != "raw" else "", column.definition]))
            for column in record.feature_set.columns
        }
    return {column.name: f"{column.type} {column.role}" for column in record.plan.schema.columns}


def _model(record: RunRecord) -> dict[str, Any]:
    total = sum(member.weight for member in record.plan.members) or 1.0
    weights: Counter[str] = Counter()
    for member in record.plan.members:
        weights[member.algorithm] += member.weight / total  # type: ignore[assignment]
    fits = Counter(member.algorithm for member in record.plan.members)
    return {
        "metric": record.metric,
        **{f"{name} weight": round(float(weight), 3) for name, weight in weights.items()},
        **{f"{name} fits": number for name, number in fits.items()},
        "calibration": record.plan.calibration.method,
        "threshold": record.plan.threshold,
        "trials": len(record.trials),
        "interrupted": record.interrupted,
    }


def _hyperparameters(record: RunRecord) -> dict[str, Any]:
    """Of the members, the heaviest of each algorithm; further seeds of the same settings are the same member."""
    found: dict[str, Any] = {}
    for member in sorted(record.plan.members, key=lambda m: -m.weight):
        settings = {**member.params, **({"iterations": member.n_iterations} if member.n_iterations else {})}
        for name, value in flat(settings).items():
            found.setdefault(f"{member.algorithm}.{name}", value)
    return found


def _versions(record: RunRecord) -> dict[str, Any]:
    packages = record.environment.get("packages")
    of_run = dict(packages) if isinstance(packages, dict) else {}
    origin = _origin(record)
    of_run |= origin.get("packages") or {}
    return {**of_run, "modelwright": record.modelwright, "python": record.environment.get("python")}


def _machine(record: RunRecord) -> dict[str, Any]:
    known = {key: record.environment.get(key) for key in ("system", "machine", "cpus", "workers", "threads_per_fit")}
    origin = _origin(record)
    hardware, threads = origin.get("hardware") or {}, origin.get("threads") or {}
    return {**known, **flat({key: value for key, value in hardware.items() if key != "machine"}), **threads}


def _origin(record: RunRecord) -> dict[str, Any]:
    """Where the run comes from; nothing in records of before it was kept."""
    return {} if record.provenance is None else dict(msgspec.to_builtins(record.provenance))
