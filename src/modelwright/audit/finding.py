"""One thing that the audit noticed."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Severity = Literal["critical", "warning", "info"]


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
