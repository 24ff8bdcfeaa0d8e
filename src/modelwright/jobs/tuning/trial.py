"""What a search knows of one trial, and what ended the search."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

#: "failed": the job raised or gave no number. "killed": its process died. "limit": it took longer than a trial may.
#: "cut": stopped early, being behind others. "interrupted": the search ended first; it is run again by a resumed one.
TrialState = Literal["complete", "failed", "killed", "limit", "cut", "interrupted"]
FAILURES: tuple[TrialState, ...] = ("failed", "killed", "limit")


class Trial(msgspec.Struct, frozen=True, omit_defaults=True):
    """One point with its result.

    ``value`` is that of the selected metric, of a cut trial the one at which it was cut, at ``step``. ``metrics`` are the
    last values of all that the job logged, ``reported`` the selected metric step by step, ``run`` is the job's own run.
    """

    number: int
    params: dict[str, Any]
    state: TrialState
    value: float | None = None
    seconds: float = 0.0
    run: str = ""
    error: str = ""
    metrics: dict[str, float] = {}
    reported: list[tuple[float, float]] = []
    step: float | None = None


class Ended(msgspec.Struct, frozen=True):
    """Why a search ended. ``kind`` is for programs, ``reason`` for people."""

    kind: Literal["trials", "exhausted", "time", "failures", "stop", "interrupt"]
    reason: str
