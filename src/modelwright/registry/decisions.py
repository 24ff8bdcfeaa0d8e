"""The log of decisions: what became champion, when, by whom and why; each line holds the hash of the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Literal

import msgspec

#: What stands before the first line.
START = "0" * 64

Kind = Literal["register", "promote", "rollback", "alias", "unalias", "tag", "verdict", "release"]


class Decision(msgspec.Struct, frozen=True):
    """One line.

    ``number`` is the version that was decided on, ``was`` the one that the alias pointed to before (0: none). ``evidence``
    is JSON: scores, tests, barriers that were overruled. Of a verdict, ``was`` is the champion that
    it was judged against. ``key`` names the step that asked, so that asking twice decides once.
    """

    count: int
    at: str
    by_whom: str
    kind: Kind
    name: str
    number: int
    alias: str
    was: int
    why: str
    evidence: str
    key: str
    previous: str
    hash: str = ""

    def digest(self) -> str:
        """SHA-256 over every field but the hash itself."""
        fields = {name: value for name, value in msgspec.structs.asdict(self).items() if name != "hash"}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def faults(decisions: Sequence[Decision], count: int, head: str) -> list[str]:
    """What is wrong with a log; empty if nothing is.

    Parameters
    ----------
    decisions : sequence of Decision
        In their order.
    count : int
        How many were ever made.
    head : str
        Hash of the last one.
    """
    found, before, previous = [], 0, START
    for decision in decisions:
        if decision.count != before + 1:
            found.append(f"Decisions before number {decision.count} are missing.")
        elif decision.previous != previous:
            found.append(f"Decision {decision.count} does not follow the one before it.")
        if decision.digest() != decision.hash:
            found.append(f"Decision {decision.count} ({decision.kind} {decision.name}/{decision.number}) was changed.")
        before, previous = decision.count, decision.hash
    if (before, previous) != (count, head):
        found.append(f"The last line is missing: {count} decisions were made, {before} are there.")
    return found


def champion_before(decisions: Sequence[Decision], alias: str) -> int | None:
    """The version that a rollback of the alias returns to: the one before the latest move that was not taken back.

    Parameters
    ----------
    decisions : sequence of Decision
        Of one model, in their order.
    alias : str

    Returns
    -------
    int or None
        None where nothing came before.
    """
    moves: list[int] = []
    for decision in decisions:
        if decision.alias != alias:
            continue
        if decision.kind == "rollback" and moves:
            moves.pop()
        elif decision.kind == "unalias" or decision.number != decision.was:
            moves.append(decision.was)
    return moves[-1] if moves and moves[-1] else None
