"""Asking the gate: two registered versions, rows, and a verdict that is a line of the log of decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from modelwright.registry.decisions import Decision
from modelwright.registry.registry import Registry
from modelwright.registry.rows import Version
from modelwright.retraining.evaluated import Contender, Evaluated
from modelwright.retraining.gate import judge
from modelwright.retraining.rules import GateRules, Trigger, Verdict


def contender(registry: Registry, version: Version) -> Contender:
    """A registered version as the gate takes it."""
    return Contender(str(version), version.folder, registry.home)


def ask(
    registry: Registry,
    champion: Version,
    challenger: Version,
    found: Evaluated,
    rules: GateRules,
    *,
    trigger: Trigger | None = None,
    alarms: Sequence[str] = (),
    key: str = "",
) -> tuple[Verdict, Decision]:
    """Judge a challenger and log the verdict.

    Parameters
    ----------
    registry : Registry
    champion, challenger : Version
        Of one model.
    found : Evaluated
        From `evaluated.from_table` or `evaluated.from_log`.
    rules : GateRules
    trigger : Trigger, optional
    alarms : sequence of str
        Open alarms of data quality.
    key : str
        Names the step that asks; one that asks again gets the verdict that stands, and spends nothing.

    Returns
    -------
    verdict : Verdict
    decision : Decision
        Its line; ``decision.count`` is what a promotion refers to (`Registry.referred`).
    """

    def judged(attempt: int) -> tuple[str, dict[str, Any]]:
        verdict = judge(
            found.champion, found.challenger, found.rows, rules, metric=found.metric, trigger=trigger, attempt=attempt,
            alarms=alarms,
        )  # fmt: skip
        return verdict.reasons[0], verdict.evidence | {"verdict": msgspec.to_builtins(verdict) | {"evidence": {}}}

    decision = registry.verdict(challenger.name, challenger.number, against=champion.number, judge=judged, key=key)
    return verdict_of(decision), decision


def verdict_of(decision: Decision) -> Verdict:
    """The verdict that a line of the log holds."""
    evidence = msgspec.json.decode(decision.evidence, type=dict[str, Any])
    return msgspec.convert(evidence.pop("verdict") | {"evidence": evidence}, Verdict)
