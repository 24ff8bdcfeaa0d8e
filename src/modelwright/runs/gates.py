"""Gates of a run: conditions under which a pipeline must fail, in the language of filters."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from modelwright.runs.entry import RunEntry
from modelwright.runs.filter import Filter, parse_filter

#: Exit code of a command whose gate did not hold.
GATE_EXIT = 4


class Gate(msgspec.Struct, frozen=True):
    """One condition applied to a run: ``failed`` with the values it read, or why it could not be told."""

    condition: str
    failed: bool
    sentence: str


def parse_gates(conditions: Sequence[str]) -> list[Filter]:
    """Understand the conditions of ``--fail-if``, before anything costs time.

    Parameters
    ----------
    conditions : sequence of str
    """
    return [parse_filter(condition, where="--fail-if") for condition in conditions]


def apply_gates(conditions: Sequence[Filter], entry: RunEntry) -> list[Gate]:
    """Hold a run against conditions. A condition that cannot be told fails: a pipeline must not pass on what is not there.

    Parameters
    ----------
    conditions : sequence of Filter
    entry : RunEntry
    """
    return [_applied(condition, entry) for condition in conditions]


def _applied(condition: Filter, entry: RunEntry) -> Gate:
    values = {field.name: field.read(entry) for field in condition.fields}
    read = ", ".join(f"{name} = {_shown(value)}" for name, value in values.items())
    told = condition.test(entry)
    if told is None:
        missing = [name for name, value in values.items() if value is None]
        which = f"the run has no {', '.join(missing)}" if missing else f"the values are of other types ({read})"
        why = f" ({entry.withheld}, so its own numbers are not shown)" if entry.withheld and missing else ""
        return Gate(condition.text, True, f"cannot be told: {which}{why}")
    return Gate(condition.text, told, read)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
