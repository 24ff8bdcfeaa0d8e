"""What moved within a column, and by how much that alone changes the expected loss of a row."""

from __future__ import annotations

import numpy as np
import polars as pl

from modelwright.artifacts.reference import HeldOut, codes_of, label_of_code
from modelwright.monitoring.checked import Share
from modelwright.tables.profile import ColumnProfile, Labels

#: Rows of the mean loss that the loss of one interval or label is drawn with towards the mean of all.
_PRIOR = 20.0
#: Intervals or labels that are told apart.
_MOST = 8


def moves(held: HeldOut, loss: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    """By how much each column's new distribution alone changes the expected loss of a row.

    The mean loss of held-out rows in each interval or label times the change of its share, summed.

    Parameters
    ----------
    held : HeldOut
    loss : ndarray of shape (m,)
        Of the held-out rows: an error of the class, or the absolute error; empty where there is no truth.
    codes : ndarray of shape (n, n_coded)
        Of the window, in the order of ``held.columns``.
    """
    if not len(loss):
        return {}
    found = {}
    for k, name in enumerate(held.columns):
        then, now = _counts(held.codes[:, k]), _counts(codes[:, k])
        found[name] = float((now / now.sum() - then / then.sum()) @ _loss_of_codes(held.codes[:, k], loss))
    return found


def shares(column: ColumnProfile, held_codes: np.ndarray, loss: np.ndarray, cells: pl.Series) -> tuple[Share, ...]:
    """Shares of rows in a few intervals or labels, in the reference and in the window.

    Parameters
    ----------
    column : Numbers or Labels
    held_codes : ndarray of shape (m,)
        Of the held-out rows, see `artifacts.reference.codes_of`.
    loss : ndarray of shape (m,)
        As for `moves`.
    cells : Series of n cells
    """
    if not len(held_codes) or not len(cells):
        return ()
    then, now = _counts(held_codes), _counts(codes_of(column, cells))
    losses = None if not len(loss) else _loss_of_codes(held_codes, loss)
    found = []
    for group, label in _groups(column, then, now):
        was, is_now = then[group].sum(), now[group].sum()
        if was + is_now == 0:
            continue
        mean = None if losses is None or was < _PRIOR else float(losses[group] @ then[group] / was)
        found.append(Share(label, round(float(was / then.sum()), 4), round(float(is_now / now.sum()), 4), mean))
    return tuple(found)


def _counts(codes: np.ndarray) -> np.ndarray:
    return np.bincount(codes, minlength=256).astype(np.float64)


def _loss_of_codes(codes: np.ndarray, loss: np.ndarray) -> np.ndarray:
    sums = np.bincount(codes, weights=loss, minlength=256)
    return np.asarray((sums + _PRIOR * float(loss.mean())) / (_counts(codes) + _PRIOR))


def _groups(column: ColumnProfile, then: np.ndarray, now: np.ndarray) -> list[tuple[list[int], str]]:
    """Codes to be counted together, with their words: neighbouring intervals; the labels that matter, and the others."""
    missing = [([0], "missing")] if then[0] + now[0] else []
    used = [int(code) for code in np.flatnonzero(then + now) if code]
    if isinstance(column, Labels):
        ranked = sorted(used, key=lambda code: -max(then[code] / then.sum(), now[code] / now.sum()))
        rest = ranked[_MOST - 1 :] if len(ranked) > _MOST else []
        alone = [code for code in ranked if code not in rest]
        named = [([code], label_of_code(column, code)) for code in alone]
        return [*named, *([(sorted(rest), "other labels")] if rest else []), *missing]
    size = -(-len(used) // _MOST)
    parts = [used[start : start + size] for start in range(0, len(used), max(size, 1))]
    return [*((part, _between(column, part)) for part in parts), *missing]


def _between(column: ColumnProfile, part: list[int]) -> str:
    first, last = label_of_code(column, part[0]), label_of_code(column, part[-1])
    if part[0] == part[-1] or first == "any":
        return first
    low, high = first.partition(" to ")[0], last.rpartition(" to ")[2]
    if first.startswith("up to "):
        return "any" if last.startswith("above ") else f"up to {high}"
    return f"above {low}" if last.startswith("above ") else f"{low} to {high}"
