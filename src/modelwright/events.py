"""What a training tells while it runs.

The flow calls one function, ``emit``, with these values. The command line draws progress from them, the run
record keeps the messages, tests read them. Nothing here does any work.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Event(msgspec.Struct, frozen=True, tag=True):
    """Base of all events; ``elapsed_s`` counts from the start of the run."""

    elapsed_s: float


class StepStarted(Event, frozen=True, tag=True):
    """A step of the flow began: read, split, audit, baseline, search, fit, evaluate, package."""

    step: str
    message: str = ""


class Noted(Event, frozen=True, tag=True):
    """Something was inferred or decided that the user should know."""

    message: str


class TrialFinished(Event, frozen=True, tag=True):
    """A trial ended, well or not.

    ``score`` is in the units of the metric (None if it failed), ``best`` the best score so far.
    """

    number: int
    algorithm: str
    state: str
    score: float | None
    best: float | None
    metric: str
    fit_s: float
    stage: str = ""
    error: str = ""
    time_left_s: float | None = None


class Finished(Event, frozen=True, tag=True):
    """The run is complete and published."""

    run: str
    folder: str


Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An ``emit`` that drops everything."""
