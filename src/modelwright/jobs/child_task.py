"""What a child process is told to do: one line of JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from modelwright.jobs.targets import Target


class ChildTask(msgspec.Struct, frozen=True):
    """One run of a target.

    ``arguments`` are for a script; ``params`` for a function, as plain values when ``typed``, else as texts of the command
    line that its annotations give a type. ``secrets`` must not be written; the task itself is in no file.
    """

    target: Target
    arguments: list[str]
    params: dict[str, Any]
    typed: bool
    seed: int | None = None
    autolog: bool = False
    secrets: list[str] = []
