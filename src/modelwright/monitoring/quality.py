"""Is a window of rows whole? Columns that are gone, empty, frozen, unreadable, out of range or full of new labels.

These come before drift: a sensor that broke is no change of the world, and nothing should be trained on its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
import polars as pl
from scipy import special

from modelwright.monitoring.drift import holm
from modelwright.tables.profile import ColumnProfile, Labels, Numbers

Fault = Literal["absent", "empty", "missing", "unreadable", "frozen", "unseen", "range"]

_MENDS: dict[Fault, str] = {
    "absent": "Look at what fills the column; rows without it get a default answer or none.",
    "empty": "Look at what fills the column.",
    "missing": "Look at what fills the column.",
    "unreadable": "Look for a changed format, unit or decimal sign.",
    "frozen": "Look for a sensor, a join or a default that stands still.",
    "unseen": "Train again when enough of the new labels have their truth.",
    "range": "Look for a changed unit; train again if the values are right.",
}


class QualityRule(msgspec.Struct, frozen=True):
    """When a share of cells has become too large.

    Parameters
    ----------
    p : float
        Largest p-value, after Holm's correction for all shares of the window.
    rise : float
        Least rise of the share, from that of the reference.
    min_rows : int
        Rows below which shares are not judged; absent, empty and frozen columns are noticed from ``few`` rows on.
    few : int
    """

    p: float = 0.001
    rise: float = 0.02
    min_rows: int = 50
    few: int = 20


class QualityAlarm(msgspec.Struct, frozen=True):
    """One thing that is wrong with a column of a window; ``share`` and ``was`` are shares of its rows, where they apply."""

    name: str
    fault: Fault
    message: str
    mend: str
    share: float = 1.0
    was: float = 0.0


class _Share(msgspec.Struct, frozen=True):
    """A share of the window's cells and of the reference's, to be judged together with the others."""

    name: str
    fault: Fault
    count: int
    n: int
    was: int
    of: int
    what: str


def quality_of(
    references: Sequence[ColumnProfile],
    cells: Mapping[str, pl.Series],
    *,
    unreadable: Mapping[str, int] | None = None,
    rule: QualityRule | None = None,
) -> list[QualityAlarm]:
    """Look a window over.

    Parameters
    ----------
    references : sequence of Numbers or Labels
        Columns of the profile.
    cells : mapping of str to Series of n cells
        As `profile.comparable` gives them; a name that is not there is a column that is gone.
    unreadable : mapping of str to int, optional
        Filled cells that could not be read as their type and are now missing.
    rule : QualityRule, optional

    Returns
    -------
    list of QualityAlarm
    """
    rule = rule or QualityRule()
    found: list[QualityAlarm] = []
    shares: list[_Share] = []
    for reference in references:
        column = cells.get(reference.name)
        if column is None:
            found.append(_alarm(reference.name, "absent", "The column is not there any more."))
            continue
        n = len(column)
        filled = column.drop_nulls().drop_nans() if column.dtype == pl.Float64 else column.drop_nulls()
        bad = min((unreadable or {}).get(reference.name, 0), n - len(filled))
        if n >= rule.few and not len(filled) and not bad and reference.n:
            found.append(_alarm(reference.name, "empty", "All cells are empty.", was=reference.missing / _rows(reference)))
            continue
        if n >= rule.few and _frozen(reference, filled):
            value = filled[0] if isinstance(filled[0], str) else f"{filled[0]:.6g}"
            found.append(_alarm(reference.name, "frozen", f"All {len(filled)} filled cells hold {value!r}."))
            continue
        if n >= rule.min_rows:
            missing = n - len(filled) - bad
            shares.append(_Share(reference.name, "missing", missing, n, reference.missing, _rows(reference), "empty"))
            shares.append(_Share(reference.name, "unreadable", bad, n, 0, _rows(reference), "unreadable"))
            shares += _strange(reference, filled)
    for share, p in zip(shares, holm([_p_of_rise(share) for share in shares]), strict=True):
        now, was = share.count / max(share.n, 1), share.was / max(share.of, 1)
        if p < rule.p and now - was >= rule.rise:
            message = f"{now:.1%} of the cells are {share.what}; in training it was {was:.1%}."
            found.append(_alarm(share.name, share.fault, message, share=now, was=was))
    return found


def _strange(reference: ColumnProfile, filled: pl.Series) -> list[_Share]:
    """Labels that training had not seen, numbers beyond those it had."""
    if not len(filled) or not reference.n:
        return []
    if isinstance(reference, Labels):
        if reference.rest:
            return []  # not all labels of training are known here
        count = int((~filled.is_in(reference.levels)).sum())
        return [
            _Share(reference.name, "unseen", count, len(filled), _singletons(reference), reference.n, "labels not seen before")
        ]
    low, high = reference.values[0], reference.values[-1]
    if len(reference.values) < 2:
        return []
    # One range beyond on either side: extremes of training are no limits of what may come.
    reach = high - low
    values = filled.to_numpy()
    count = int(((values < low - reach) | (values > high + reach)).sum())
    return [_Share(reference.name, "range", count, len(filled), 0, reference.n, "far outside the range of training")]


def _singletons(reference: Labels) -> int:
    """Cells whose label occurs once: as many are to be expected with a label never seen (Good and Turing)."""
    return sum(count == 1 for count in reference.counts)


def _frozen(reference: ColumnProfile, filled: pl.Series) -> bool:
    """Whether all cells are equal, where that is next to impossible by chance."""
    if len(filled) < 2 or reference.n < 2 or filled.n_unique() > 1:
        return False
    most = reference.n_most if isinstance(reference, Numbers) else max([*reference.counts, 0])
    # One cell more than were seen: the share of the most frequent value is not known exactly.
    share = min((most + 1) / (reference.n + 1), 1.0)
    return most < reference.n and share ** len(filled) < 1e-6


def _p_of_rise(share: _Share) -> float:
    """One-sided chance of so many cells if both shares were equal: Fisher's exact test by the hypergeometric tail."""
    if share.count * max(share.of, 1) <= share.was * max(share.n, 1):
        return 1.0
    total, hits = share.n + share.of, share.count + share.was
    most = min(hits, share.n)
    k = np.arange(share.count, most + 1)
    log = special.gammaln
    chance = (
        log(hits + 1) - log(k + 1) - log(hits - k + 1)
        + log(total - hits + 1) - log(share.n - k + 1) - log(total - hits - share.n + k + 1)
        - (log(total + 1) - log(share.n + 1) - log(total - share.n + 1))
    )  # fmt: skip
    return float(min(np.exp(special.logsumexp(chance)), 1.0))


def _rows(reference: ColumnProfile) -> int:
    return reference.n + reference.missing


def _alarm(name: str, fault: Fault, message: str, *, share: float = 1.0, was: float = 0.0) -> QualityAlarm:
    return QualityAlarm(name, fault, message, _MENDS[fault], share, was)
