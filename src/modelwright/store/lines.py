"""Lines of the ledger, and what a look at sealed rows may show of them; values only, no database."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass

import msgspec
import numpy as np

from modelwright.metrics.estimate import Interval
from modelwright.splits.looks import Look, corrected_level
from modelwright.splits.vault import SealedRows

#: What stands before the first line of a chain.
START = "0" * 64
_LEVEL = 1  # of zlib: predictions hardly shrink, whatever one spends on them


class Line(msgspec.Struct, frozen=True):
    """One line of the ledger, with the raw score; `looks.Look` is what may be shown of it."""

    vault: str
    count: int
    data: str
    part: str
    run: str
    purpose: str
    at: str
    by_whom: str
    metric: str
    score: float | None
    low: float | None
    high: float | None
    level_corrected: float
    corrected_low: float | None
    corrected_high: float | None
    shown: float | None
    better_than_shown: int | None
    beats_baseline: int | None
    best_run: str
    best_count: int
    #: SHA-256 of the predictions of a model that became the best shown; else empty.
    predictions: str
    previous: str
    hash: str = ""

    def digest(self) -> str:
        """Hash of the line and of the one before, over all fields but the hash itself."""
        fields = {name: value for name, value in msgspec.structs.asdict(self).items() if name != "hash"}
        return hashlib.sha256(json.dumps(fields, sort_keys=True, allow_nan=False).encode()).hexdigest()


@dataclass(frozen=True)
class Best:
    """The best model shown so far, to compare the next one with.

    ``predictions`` are as the model made them, float32 for probabilities. ``score`` and ``corrected`` belong to
    ``metric``, which may be another than that of the opening.
    """

    run: str
    count: int
    metric: str
    score: Interval
    corrected: Interval
    predictions: np.ndarray
    threshold: float | None

    def made(self, predictions: np.ndarray | None, threshold: float | None, metric: str) -> bool:
        """Whether the predictions are this model's own, in the metric that was shown."""
        if predictions is None or (metric, threshold) != (self.metric, self.threshold):
            return False
        return np.array_equal(as_kept(predictions), self.predictions)


@dataclass(frozen=True)
class Entry:
    """What is entered: the model's own numbers, those to be shown, and the best model where that is shown instead."""

    score: Interval
    corrected: Interval
    shown: Interval
    shown_corrected: Interval
    better: bool | None
    beats_baseline: bool | None
    instead: Best | None
    repeated: bool
    predictions: np.ndarray | None
    threshold: float | None

    @property
    def kept(self) -> np.ndarray | None:
        """Predictions of a new best."""
        return self.predictions if self.instead is None else None


def line_of(about: SealedRows, count: int, head: str, entry: Entry, fields: dict[str, str]) -> Line:
    shown = entry.shown if entry.instead is None else entry.instead.score
    line = Line(
        vault=about.identity,
        count=count,
        data=about.data,
        part=about.part,
        **fields,
        score=number(entry.score.value),
        low=number(entry.score.low),
        high=number(entry.score.high),
        level_corrected=corrected_level(count),
        corrected_low=number(entry.corrected.low),
        corrected_high=number(entry.corrected.high),
        shown=number(shown.value),
        better_than_shown=None if entry.better is None else int(entry.better),
        beats_baseline=None if entry.beats_baseline is None else int(entry.beats_baseline),
        best_run=fields["run"] if entry.instead is None else entry.instead.run,
        best_count=count if entry.instead is None else entry.instead.count,
        predictions="" if entry.kept is None else hashlib.sha256(packed(entry.kept)[0]).hexdigest(),
        previous=head,
    )
    return msgspec.structs.replace(line, hash=line.digest())


def look_of(about: SealedRows, line: Line, entry: Entry, elsewhere: int, sound: bool) -> Look:
    instead = entry.instead
    corrected = entry.shown_corrected if instead is None else instead.corrected
    return Look(
        vault=about.identity,
        part=about.part,
        count=line.count,
        run=line.run,
        purpose=line.purpose,
        at=line.at,
        by=line.by_whom,
        metric=line.metric,
        score=entry.shown if instead is None else instead.score,
        corrected=None if line.count == 1 else corrected,
        level=corrected_level(line.best_count),
        better_than_shown=entry.better,
        beats_baseline=entry.beats_baseline,
        repeated=entry.repeated,
        best_run=line.best_run,
        best_count=line.best_count,
        elsewhere=elsewhere,
        sound=sound,
        hash=line.hash,
    )


def plain_text(value: str) -> str:
    """Text that every database takes."""
    return value.replace("\0", "").encode("utf-8", "replace").decode().strip()


def number(value: float) -> float | None:
    """A float that JSON and every database give back as it was."""
    return float(value) if np.isfinite(value) else None


def packed(predictions: np.ndarray) -> tuple[bytes, str]:
    """Bytes and their form. In float32 small probabilities keep their digits, and large numbers would not."""
    plain = np.ascontiguousarray(predictions, dtype="<f4" if predictions.ndim == 2 else "<f8")
    return zlib.compress(plain.tobytes(), _LEVEL), f"{plain.dtype.str} {' '.join(map(str, plain.shape))}"


def as_kept(predictions: np.ndarray) -> np.ndarray:
    """Predictions as they come back from the ledger: rounding must not make a model differ from itself."""
    return unpacked(*packed(predictions))


def unpacked(blob: bytes, form: str) -> np.ndarray:
    dtype, *shape = form.split()
    return np.frombuffer(zlib.decompress(blob), dtype=dtype).reshape([int(n) for n in shape]).astype(np.float64)
