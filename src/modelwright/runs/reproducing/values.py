"""What comes out of reproducing a run, as plain values."""

from __future__ import annotations

from typing import Literal

import msgspec

from modelwright.tables.differences import Difference

State = Literal["equal", "different", "not compared"]


class Step(msgspec.Struct, frozen=True):
    """One step of the run; ``detail`` says what differs, or why nothing was compared."""

    name: str
    state: State
    detail: str = ""


class Reproduction(msgspec.Struct, frozen=True):
    """A run again.

    ``suspects`` is what could be behind a difference, the first culprit first: changed data, packages, threads, machine,
    Python, code. Empty where nothing differs. ``packages`` are those of another version here, (in the run, here), whether
    that shows or not. ``difference`` is where the table differs; ``notes`` say in what environment this was found.
    """

    run: str
    steps: list[Step]
    suspects: list[str] = []
    packages: dict[str, tuple[str, str]] = {}
    difference: Difference | None = None
    notes: list[str] = []

    @property
    def equal(self) -> bool:
        """Whether nothing differs and every member could be fitted again."""
        fits = [step for step in self.steps if step.name.split()[0] in ("encoders", "member")]
        return all(step.state != "different" for step in self.steps) and all(step.state == "equal" for step in fits)

    @property
    def culprit(self) -> str:
        """The first suspect; empty where nothing differs."""
        return self.suspects[0] if self.suspects else ""
