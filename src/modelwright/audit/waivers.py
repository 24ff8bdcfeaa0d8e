"""Findings that somebody accepted by name, with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import msgspec

from modelwright.audit.finding import Finding, Waiver
from modelwright.errors import SpecError


def waived(findings: Sequence[Finding], waivers: Sequence[Mapping[str, str]], *, by: str, at: str) -> list[Finding]:
    """The findings, those that are accepted with who, when and why.

    Parameters
    ----------
    findings : sequence of Finding
    waivers : sequence of mapping
        As in the spec: "finding" (a name such as ``target_proxy:duration``), "reason", optionally "by".
    by, at : str
        Who runs this, where a waiver names nobody, and when (ISO 8601).

    Raises
    ------
    SpecError
        If a waiver names a finding that was not made.
    """
    result = list(findings)
    for waiver in waivers:
        places = [place for place, finding in enumerate(result) if _is_named(finding, waiver["finding"])]
        if not places:
            names = [finding.name for finding in findings if finding.severity != "info"]
            near = get_close_matches(waiver["finding"], names, n=1, cutoff=0.5)
            listed = f"The findings are: {', '.join(names[:8])}." if names else "The audit found nothing to waive."
            raise SpecError(
                f"There is no finding {waiver['finding']!r} to waive.",
                where="waive",
                mend=f"Did you mean {near[0]!r}?" if near else f"Take the waiver out. {listed}",
            )
        for place in places:
            accepted = Waiver(reason=waiver["reason"], by=waiver.get("by") or by, at=at)
            result[place] = msgspec.structs.replace(result[place], waiver=accepted)
    return result


def _is_named(finding: Finding, name: str) -> bool:
    """Whether a waiver means this finding; the order of its columns does not matter."""
    if finding.name == name:
        return True
    check, _, columns = name.partition(":")
    return finding.check == check and sorted(columns.split(",")) == sorted(finding.columns)
