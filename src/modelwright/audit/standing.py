"""Where each column, and each pattern of gaps, stands: its effect on the target, its ties, and its lead over the rest.

Strength alone convicts nobody: easy tables have honest columns that tell nearly everything. Three things together do:
the effect, the lead over the best column that is known to be honest, and whether the column has anything to do with
the others once the target is known (see `ties`). A column that does is held against a model of all others as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from modelwright.audit.association import log_odds
from modelwright.audit.finding import Severity
from modelwright.audit.rest import rest_effect
from modelwright.audit.ties import MIN_OTHERS, UNKNOWN, Tie

if TYPE_CHECKING:
    from modelwright.audit.context import Context

#: Effects below are no evidence of a leak, whatever else is true.
LEAST = 0.4
#: Bars for a column without ties to others: what a column made from the target alone reaches.
_UNTIED_CRITICAL, _UNTIED_CRITICAL_LED, _UNTIED_CRITICAL_LEAD = 0.97, 0.6, 1.2
_UNTIED_WARNING, _UNTIED_WARNING_LED, _UNTIED_LEAD = 0.9, 0.45, 0.9
#: Bars for all other columns, measured as quiet on easy tables (breast cancer, iris, wine: honest effects to 0.97).
_CRITICAL, _CRITICAL_LEAD = 0.985, 1.0
#: With this lead it does not matter that all others together may know the target as well, as on easy tables; no honest
#: column of 37 tables comes near. On few rows cross-fitting makes a perfect column look like one of 0.96.
_FAR_AHEAD = 2.0
_WARNING, _WARNING_LED, _WARNING_LEAD = 0.96, 0.6, 1.2
#: What the column must be better by than a model of all others, in log odds; the second for effects below `_WARNING`.
_REST_LEAD, _REST_LEAD_LED = 1.0, 1.15
#: Copies of the target may come in twos and threes: the lead is that of the best few over the rest.
_MAX_TOGETHER = 3
#: Models of the other columns that are fitted at most.
_MAX_REST = 3
#: So many strong columns that go together are a family of measurements, not copies.
_LARGE_CLUSTER = 3
_MIN_ROWS = 30


@dataclass(frozen=True)
class Standing:
    """One column (``gaps`` False), or one pattern of gaps that the named columns share.

    ``lead`` is the log odds of the effect less those of the best column beside it, ``rest`` the effect of a model of
    all others (None where it was not asked).
    """

    names: tuple[str, ...]
    gaps: bool
    effect: float
    tie: Tie = UNKNOWN
    lead: float = 0.0
    rest: float | None = None
    severity: Severity | None = None


def standings(context: Context) -> list[Standing]:
    """All columns and patterns of gaps, the strongest first, with a verdict on those that stand out."""
    if context.y is None or context.n_rows < _MIN_ROWS or not context.compared.cells:
        return []
    found = _effects(context)
    found.sort(key=lambda item: -item.effect)
    strong = [place for place, item in enumerate(found) if _is_candidate(context, item, len(found))]
    found = _tied(context, found, strong)
    return _judged(context, found, strong)


def _effects(context: Context) -> list[Standing]:
    compared = context.compared
    found = []
    hidden = set()
    for names, mask in compared.gaps.items():
        effect = compared.effect_of(mask.astype(np.float64))
        found.append(Standing(names, True, effect))
        # Where the gaps tell as much as the values do, they are what tells.
        hidden |= {name for name in names if effect >= LEAST and log_odds(effect) >= log_odds(compared.effects[name]) - 0.2}
    # Keys have a check of their own.
    hidden |= {name for name, cells in compared.cells.items() if cells.column.role == "id" and cells.near_unique}
    found += [Standing((name,), False, effect) for name, effect in compared.effects.items() if name not in hidden]
    return found


def _is_candidate(context: Context, item: Standing, n_tests: int) -> bool:
    if item.effect < LEAST:
        return False
    compared = context.compared
    views = [compared.gaps[item.names].astype(np.float64)] if item.gaps else compared.views(item.names[0])
    return compared.beyond_chance(views, item.effect, n_tests)


def _tied(context: Context, found: list[Standing], strong: Sequence[int]) -> list[Standing]:
    """Ties of the strong ones.

    Two copies of the target are tied to each other by the noise they share, and that must not clear them. So strong
    columns that are tied form a cluster; a cluster is honest if one of it is tied to a column that is not strong, or
    if it is larger than copies come.
    """
    cells = context.compared.cells
    owner = {name: place for place in strong for name in found[place].names}
    cluster = {place: place for place in strong}

    def root(place: int) -> int:
        while cluster[place] != place:
            place = cluster[place]
        return place

    ties: dict[int, Tie] = {}
    for place in strong:
        item = found[place]
        codes = context.compared.gaps[item.names].astype(np.int64) if item.gaps else context.ties.codes_of(item.names[0])
        others = [name for name in cells if name not in item.names]
        shares = context.ties.shares(codes, others)
        outside = {name: share for name, share in shares.items() if name not in owner}
        ties[place] = context.ties.of_codes(codes, [name for name in others if name not in shares])
        if outside or shares:
            name = max(outside or shares, key=lambda other: shares[other])
            ties[place] = Tie(shares[name], name, judged=True)
        for name in shares.keys() & owner.keys():
            cluster[root(place)] = root(owner[name])
    result = list(found)
    for place in strong:
        members = [other for other in strong if root(other) == root(place)]
        cleared = [ties[other] for other in members if ties[other].other and ties[other].other not in owner]
        tie = ties[place]
        if cleared and not (tie.other and tie.other not in owner):
            tie = cleared[0]
        elif not cleared and tie.other and len(members) < _LARGE_CLUSTER:
            inside = {name for other in members for name in found[other].names}
            tie = Tie(0.0, "", judged=len(cells) - len(inside) >= MIN_OTHERS)
        result[place] = replace(found[place], tie=tie)
    return result


def _judged(context: Context, found: list[Standing], strong: Sequence[int]) -> list[Standing]:
    """Verdicts on the strong ones, first on those with a tie: what is found guilty is no measure for the others."""
    result = list(found)
    untied = [place for place in strong if found[place].tie.missing]
    clean = [place for place in range(len(found)) if place not in untied]
    together = _together([found[place].effect for place in clean])
    without = {name for place in untied for name in found[place].names}
    rests = 0
    for rank, place in enumerate(clean):
        item = found[place]
        if place not in strong:
            continue
        following = _best(found, clean[max(together, rank + 1) :], item)
        lead = log_odds(item.effect) - log_odds(following) if following else 0.0
        first = rank < max(together, 1)
        outstanding = first and item.effect >= _WARNING_LED and lead >= _WARNING_LEAD
        rest, severity = None, None
        if (item.effect >= _WARNING or outstanding) and rests < _MAX_REST:
            rests += 1
            rest = rest_effect(context, without | set(item.names))
            severity = _tied_verdict(item.effect, lead if first else 0.0, rest)
        result[place] = replace(item, lead=lead, rest=rest, severity=severity)
    honest = [place for place in clean if not result[place].severity]
    for place in untied:
        item = found[place]
        lead = log_odds(item.effect) - log_odds(_best(found, honest, item) or LEAST / 2)
        result[place] = replace(item, lead=lead, severity=_untied_verdict(item.effect, lead))
    return result


def _best(found: list[Standing], places: Sequence[int], item: Standing) -> float:
    """Largest effect among others; what shares a column with the item is no other."""
    return max((found[place].effect for place in places if not set(found[place].names) & set(item.names)), default=0.0)


def _tied_verdict(effect: float, lead: float, rest: float) -> Severity | None:
    if effect >= _WARNING and lead >= _FAR_AHEAD:
        return "critical"
    if log_odds(effect) - log_odds(rest) < (_REST_LEAD if effect >= _WARNING else _REST_LEAD_LED):
        return None
    return "critical" if effect >= _CRITICAL and lead >= _CRITICAL_LEAD else "warning"


def _untied_verdict(effect: float, lead: float) -> Severity | None:
    if effect >= _UNTIED_CRITICAL or (effect >= _UNTIED_CRITICAL_LED and lead >= _UNTIED_CRITICAL_LEAD):
        return "critical"
    if effect >= _UNTIED_WARNING or (effect >= _UNTIED_WARNING_LED and lead >= _UNTIED_LEAD):
        return "warning"
    return None


def _together(effects: Sequence[float]) -> int:
    """How many effects at the top are all critical and lead the rest together; 0 if none."""
    for count in range(1, min(_MAX_TOGETHER, len(effects) - 1) + 1):
        last, following = effects[count - 1], effects[count]
        if last < _CRITICAL:
            return 0
        if log_odds(last) - log_odds(following) >= _CRITICAL_LEAD:
            return count
    return 0
