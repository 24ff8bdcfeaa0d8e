"""One thing that the audit noticed, what it costs, and what mends it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Severity = Literal["critical", "warning", "info"]


class Fix(msgspec.Struct, frozen=True, omit_defaults=True):
    """Keys of the spec that mend a finding; ``--fix`` writes them into modelwright.toml."""

    exclude: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    missing_values: dict[str, tuple[str | float, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self.exclude or self.group or self.time or self.missing_values)


class Cost(msgspec.Struct, frozen=True):
    """Score of a quick refit as the table stands, and with the mend; both cross-validated on training rows.

    A leak makes ``as_is`` look better than ``mended``; that gap is what the score would owe to the leak.
    """

    metric: str
    as_is: float
    mended: float
    sentence: str


class Waiver(msgspec.Struct, frozen=True):
    """Who accepted a finding, when, and why. A waiver never hides the finding."""

    reason: str
    by: str
    at: str


class Finding(msgspec.Struct, frozen=True):
    """Something noticed about the data, with its evidence and its mend.

    ``check`` is the name of the check ("constant_column"), ``message`` one plain sentence, ``columns`` and
    ``rows`` say where (row numbers of the table as read, at most ten), ``evidence`` holds the numbers.
    """

    check: str
    severity: Severity
    message: str
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    evidence: dict[str, Any] = {}
    mend: str = ""
    fix: Fix | None = None
    cost: Cost | None = None
    waiver: Waiver | None = None

    @property
    def name(self) -> str:
        """What ``[[waive]]`` calls the finding: the check, and the columns if there are any."""
        return f"{self.check}:{','.join(self.columns)}" if self.columns else self.check

    @property
    def bars_promotion(self) -> bool:
        """Whether a model trained in spite of it may not be registered or promoted."""
        return self.severity == "critical" and self.waiver is None
