"""What a list knows of a training, read from its folder.

Only the fields that are needed are decoded, so that a record of an older or newer format can still be listed.
"""

from __future__ import annotations

import hashlib
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import BundleError
from modelwright.provenance.record import Provenance
from modelwright.runs.entry import RunEntry
from modelwright.runs.folder import RECORD
from modelwright.runs.labels import read_labels
from modelwright.spec import Spec

#: Options that say where a run lies or who asked, not what was asked; the seed tells runs of one group apart.
_NOT_ASKED = ("data", "evaluation", "home", "name", "store", "purpose", "seed", "target", "query", "strict")


class _Interval(msgspec.Struct, frozen=True):
    value: float | None = None
    low: float | None = None
    high: float | None = None


class _Look(msgspec.Struct, frozen=True):
    count: int = 1
    by: str = ""
    best_run: str = ""
    better_than_shown: bool | None = None
    beats_baseline: bool | None = None
    repeated: bool = False


class _Comparison(msgspec.Struct, frozen=True):
    better: bool


class _Evaluation(msgspec.Struct, frozen=True):
    score: _Interval
    others: dict[str, _Interval] = {}
    comparison: _Comparison | None = None
    look: _Look | None = None


class _Finding(msgspec.Struct, frozen=True):
    severity: str
    waiver: Any = None


class _Member(msgspec.Struct, frozen=True):
    algorithm: str


class _Plan(msgspec.Struct, frozen=True):
    members: list[_Member] = []


class _Record(msgspec.Struct, frozen=True):
    id: str
    name: str
    created: str
    task: str
    metric: str
    spec: dict[str, Any] = {}
    source: str = ""
    fingerprint: str = ""
    target: str | None = None
    greater_is_better: bool | None = None
    plan: _Plan = _Plan()
    evaluation: _Evaluation | None = None
    findings: list[_Finding] = []
    wall_s: float | None = None
    peak_memory_mb: float | None = None
    validation_score: float | None = None
    interrupted: bool = False
    environment: dict[str, Any] = {}
    provenance: Provenance | None = None


_DECODER = msgspec.json.Decoder(_Record)


def training_entry(folder: Path) -> RunEntry:
    """The entry of a published training.

    Parameters
    ----------
    folder : Path
        A run folder with a ``run.json``.

    Raises
    ------
    BundleError
        If the record cannot be read.
    """
    try:
        record = _DECODER.decode((folder / RECORD).read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise BundleError(
            f"The run record cannot be read: {error}.", where=str(folder / RECORD), mend="Copy the run folder again."
        ) from error
    labels = read_labels(folder)
    evaluation, origin = record.evaluation, record.provenance
    look = None if evaluation is None else evaluation.look
    withheld = look is not None and look.better_than_shown is False and not look.repeated
    scores: dict[str, _Interval] = {}
    if evaluation is not None and not withheld:
        scores = {**evaluation.others, record.metric: evaluation.score}
    code = None if origin is None else origin.code
    return RunEntry(
        # The folder's name is what the run is called by; a copy under another name is another run.
        id=folder.name,
        name=record.name,
        kind="training",
        state="interrupted" if record.interrupted else "finished",
        created=record.created,
        ended=_ended(record.created, record.wall_s),
        wall_s=record.wall_s,
        user=origin.user if origin is not None else look.by if look is not None else "",
        task=record.task,
        target=record.target or "",
        metric=record.metric,
        greater_is_better=record.greater_is_better,
        params=_params(record),
        metrics={name: i.value for name, i in scores.items() if i.value is not None and math.isfinite(i.value)},
        intervals={name: (i.low, i.high) for name, i in scores.items() if i.low is not None and i.high is not None},
        tags=labels.tags,
        note=labels.note,
        data=record.fingerprint,
        source=record.source,
        commit="" if code is None else code.commit,
        dirty=code is not None and code.dirty,
        seed=_integer(record.spec.get("seed")),
        group=_group(record),
        peak_memory_mb=record.peak_memory_mb,
        validation=record.validation_score,
        better=_better(evaluation, look),
        findings={
            severity: sum(f.severity == severity and f.waiver is None for f in record.findings)
            for severity in ("critical", "warning", "info")
        },
        withheld="" if not withheld or look is None else f"not shown to be better than {look.best_run} on the same sealed rows",
    )


def _better(evaluation: _Evaluation | None, look: _Look | None) -> bool | None:
    if evaluation is not None and evaluation.comparison is not None:
        return evaluation.comparison.better
    return None if look is None else look.beats_baseline


def _params(record: _Record) -> dict[str, Any]:
    """What was asked beyond the defaults, and which algorithms the model is made of."""
    asked = {key: value for key, value in _asked(record.spec).items() if not isinstance(value, dict)}
    for key, value in record.spec.items():
        if isinstance(value, dict) and key not in _NOT_ASKED:
            asked |= {f"{key}.{inner}": each for inner, each in value.items()}
    members = sorted({member.algorithm for member in record.plan.members})
    return {**asked, "members": ", ".join(members)} if members else asked


def _asked(spec: dict[str, Any]) -> dict[str, Any]:
    defaults = msgspec.to_builtins(Spec(), enc_hook=str)
    same = {key for key, value in spec.items() if key in defaults and _plain(value) == _plain(defaults[key])}
    return {key: value for key, value in spec.items() if value is not None and key not in _NOT_ASKED and key not in same}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def _group(record: _Record) -> str:
    wanted = {key: value for key, value in record.spec.items() if key not in ("seed", "home", "name", "store", "purpose")}
    # The fingerprint says which data it was, wherever they lay.
    wanted.pop("data", None)
    text = msgspec.json.encode([record.fingerprint, wanted], order="sorted")
    return hashlib.sha256(text).hexdigest()[:16]


def _ended(created: str, wall_s: float | None) -> str | None:
    try:
        return (
            None if wall_s is None else (datetime.fromisoformat(created) + timedelta(seconds=wall_s)).isoformat("T", "seconds")
        )
    except (ValueError, OverflowError):
        return None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
