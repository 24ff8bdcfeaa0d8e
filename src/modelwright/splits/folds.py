"""Validation folds inside the training rows, and the subsets on which candidates are first probed."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from modelwright.splits.cut import before, earlier_copies, entities_apart
from modelwright.splits.draw import draw_rows, position_in_stratum, rarest_rows, unit_strata
from modelwright.splits.partition import Fold
from modelwright.tables.schema import Task

#: Rows of each class that every subset begins with, so that a rare class can be learned at all.
_FIRST_OF_CLASS = 5
#: Share of a panel whose entities validate where entities must not be on both sides.
_DRAWN = 1 / 3


def n_folds_for(n_rows: int, time: bool) -> int:
    """Number of folds that could be of use: with many rows one fold says enough.

    The search decides how many of them it reaches.

    Parameters
    ----------
    n_rows : int
    time : bool
        Whether the rows are ordered in time.
    """
    if time:
        return 3 if n_rows <= 20_000 else 1
    return 5 if n_rows <= 50_000 else 1


def folds(
    n: int,
    *,
    y: np.ndarray | None,
    task: Task,
    units: np.ndarray | None,
    time_rank: np.ndarray | None,
    n_folds: int,
    seed: int,
    validation_share: float = 0.2,
    gap: float = 0.0,
    groups: np.ndarray | None = None,
) -> list[Fold]:
    """Divide training rows into folds.

    Parameters
    ----------
    n : int
        Number of training rows.
    y : ndarray of shape (n,), optional
    task : {"binary", "multiclass", "regression", "clustering"}
    units : ndarray of shape (n,), int, optional
        Rows of one unit stay together. With times these are copies: an earlier copy of nearly the same moment as a
        validation row does not train.
    time_rank : ndarray of shape (n,), optional
        Numbers that sort by time; rows with NaN always train.
    n_folds : int
        1 holds out ``validation_share`` once.
    seed : int
    validation_share : float, default=0.2
    gap : float, default=0
        With times: rows less than this before a window neither train nor validate there.
    groups : ndarray of shape (n,), int, optional
        With times: entities that must not both train and validate.

    Returns
    -------
    list of Fold
        At most ``n_folds``, at least one; positions ascend. Without time each row is validated at most once, and rows of
        a class that would be lost to training always train. With time each window is validated by what came before. Of two
        classes each fold validates both, where any division can.
    """
    codes = y if task in ("binary", "multiclass") else None
    if time_rank is not None:
        moment = np.asarray(time_rank, dtype=np.float64)
        windows = _windows(moment, codes, n_folds, validation_share, lambda *at: _window(moment, units, groups, gap, seed, *at))
        if windows:
            return _of_both_classes(windows, y, task)
    numbered = np.arange(n) if units is None else np.unique(units, return_inverse=True)[1]
    if int(numbered.max()) == 0:
        numbered = np.arange(n)
    if n_folds == 1:
        return [_holdout(n, codes, numbered, validation_share, seed)]
    if codes is not None and task == "binary":  # no more folds than the rarer class can have a unit in each
        n_folds = min(n_folds, max(2, min(len(np.unique(numbered[codes == k])) for k in np.unique(codes))))
    fold_of = _deal(codes, numbered, n_folds, seed)
    result = [Fold(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in range(n_folds)]
    result = [fold for fold in result if len(fold.validation) and len(fold.training)]
    return _of_both_classes(result, y, task) or [_holdout(n, codes, np.arange(n), validation_share, seed)]


def _of_both_classes(found: list[Fold], y: np.ndarray | None, task: Task) -> list[Fold]:
    """The folds that validate both of two classes, or all if none does: where one class is alone nothing can be ranked."""
    if task != "binary" or y is None:
        return found
    return [fold for fold in found if len(np.unique(y[fold.validation])) == 2] or found


def _holdout(n: int, codes: np.ndarray | None, units: np.ndarray, share: float, seed: int) -> Fold:
    held = draw_rows(codes, units, share, seed + 1)
    if not held.any():
        held = draw_rows(None, np.arange(n), share, seed + 1)
    if not held.any():
        held[int(np.random.default_rng(seed).integers(n))] = True
    return Fold(np.flatnonzero(~held), np.flatnonzero(held))


def _deal(codes: np.ndarray | None, units: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Fold of each row, -1 for rows that always train."""
    rng = np.random.default_rng([seed, 17])
    sizes = np.bincount(units)
    strata = None
    if codes is not None:
        strata = unit_strata(codes, units)
        # A unit counts by its rows of its rarest class: one large block of copies with a single positive among them
        # must not fill the share of the positives.
        sizes = np.bincount(units, weights=rarest_rows(codes, units, strata))
    place, total = position_in_stratum(sizes, strata, rng)
    fold = np.minimum((place * n_folds / total).astype(np.int64), n_folds - 1)
    if strata is not None:
        # Small classes fill few folds, always the same ones but for this turn of the wheel.
        fold = (fold + rng.integers(0, n_folds, int(strata.max()) + 1)[strata]) % n_folds
    fold_of = fold[units]
    if codes is not None:
        _keep_classes_in_training(fold_of, codes, units, n_folds)
    return fold_of


def _keep_classes_in_training(fold_of: np.ndarray, codes: np.ndarray, units: np.ndarray, n_folds: int) -> None:
    """Let one unit of a class always train, in place, where one fold would validate all rows of that class."""
    n_classes = int(codes.max()) + 1
    counts = np.bincount(codes, minlength=n_classes)
    dealt = fold_of >= 0
    by_fold = np.bincount(codes[dealt] * n_folds + fold_of[dealt], minlength=n_classes * n_folds).reshape(n_classes, n_folds)
    for k in np.flatnonzero((counts > 0) & (by_fold.max(axis=1) == counts)):
        fold_of[units == units[np.argmax(codes == k)]] = -1


def _windows(
    moment: np.ndarray,
    codes: np.ndarray | None,
    n_folds: int,
    share: float,
    window: Callable[[float, float], Fold],
) -> list[Fold]:
    """Expanding windows: the last ones are validated, each by the rows before it; empty if no cut is possible."""
    timed = np.flatnonzero(~np.isnan(moment))
    values, counts = np.unique(moment[timed], return_counts=True)
    if len(values) < 2:
        return []
    rows_before = np.cumsum(counts)[:-1]  # of each possible cut
    width = min(share, 1 / (n_folds + 1))
    wanted = len(timed) * (1 - width * np.arange(n_folds, 0, -1))
    cuts = np.unique([int(np.argmin(np.abs(rows_before - rows))) for rows in wanted]) + 1
    edges = np.append(values[cuts], np.inf)
    result = [window(float(low), float(high)) for low, high in itertools.pairwise(edges)]
    result = [fold for fold in result if len(fold.training) and len(fold.validation)]
    if codes is None or not result:
        return result
    n_classes = len(np.unique(codes))
    complete = [fold for fold in result if len(np.unique(codes[fold.training])) == n_classes]
    return complete or [_with_all_classes(result[-1], codes, moment)]


def _window(
    moment: np.ndarray,
    copies: np.ndarray | None,
    groups: np.ndarray | None,
    gap: float,
    seed: int,
    low: float,
    high: float,
) -> Fold:
    """Validation on the rows of one window, training on what may be known at its beginning."""
    # Comparisons with NaN are false: rows without a time are in no window and train.
    validation = (moment >= low) & (moment < high)
    training = before(moment, low, gap)
    if groups is not None:
        training, validation = entities_apart(training, validation, groups, drawn_share=_DRAWN, seed=seed)
    if copies is not None:
        training = training & ~earlier_copies(copies, moment, training, validation)
    return Fold(np.flatnonzero(training), np.flatnonzero(validation))


def _with_all_classes(fold: Fold, codes: np.ndarray, time_rank: np.ndarray) -> Fold:
    """Move the earliest row of each class that training lacks; without it no learner could name the class."""
    lacking = np.setdiff1d(codes[fold.validation], codes[fold.training])
    rows = fold.validation[np.argsort(time_rank[fold.validation], kind="stable")]
    moved = np.array([rows[np.argmax(codes[rows] == k)] for k in lacking], dtype=np.int64)
    kept = np.setdiff1d(fold.validation, moved)
    if not len(kept):
        return fold
    return Fold(np.sort(np.concatenate([fold.training, moved])), kept)


def subset(
    rows: np.ndarray,
    y: np.ndarray | None,
    task: Task,
    size: int,
    seed: int,
    time_rank: np.ndarray | None = None,
) -> np.ndarray:
    """Part of the rows on which candidates are compared cheaply.

    Subsets are nested: with the same seed a smaller one is contained in a larger one. Classes keep their shares,
    except that the first rows of each come first.

    Parameters
    ----------
    rows : ndarray of int
        Row positions to choose from.
    y, time_rank : ndarray of shape (n,), optional
        Targets and times of the whole table that ``rows`` refer to. With times the latest rows are taken.
    task : {"binary", "multiclass", "regression", "clustering"}
    size : int
    seed : int

    Returns
    -------
    ndarray of int64
        Positions *within* ``rows``, ascending; ``rows[subset(...)]`` are the rows.
    """
    n = len(rows)
    if size >= n:
        return np.arange(n, dtype=np.int64)
    order = np.random.default_rng([seed, 23]).permutation(n)
    codes = None if y is None or task not in ("binary", "multiclass") else y[rows]
    if time_rank is not None:
        # The latest first, ties in random order; rows without a time last.
        when = np.nan_to_num(np.asarray(time_rank, dtype=np.float64)[rows], nan=-np.inf)
        order = order[np.argsort(-when[order], kind="stable")]
    if codes is not None:
        order = _classes_first(order, codes, spread=time_rank is None)
    return np.sort(order[:size]).astype(np.int64)


def fewer(fold: Fold, n_rows: int, y: np.ndarray | None, task: Task, seed: int, time_rank: np.ndarray | None = None) -> Fold:
    """The fold with at most ``n_rows`` training rows, its `subset`; validation rows stay.

    Parameters
    ----------
    fold : Fold
    n_rows : int
    y, time_rank : ndarray of shape (n,), optional
    task : {"binary", "multiclass", "regression", "clustering"}
    seed : int
        As for `subset`.
    """
    return Fold(fold.training[subset(fold.training, y, task, n_rows, seed, time_rank)], fold.validation)


def _classes_first(order: np.ndarray, codes: np.ndarray, *, spread: bool) -> np.ndarray:
    """Reorder so that each class begins early and, if ``spread``, keeps its share in every prefix."""
    ordered = codes[order]
    counts = np.bincount(ordered)
    by_class = np.argsort(ordered, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    key = (place + 0.5) / counts[ordered] if spread else np.arange(len(order)) / len(order)
    first = np.where(place < _FIRST_OF_CLASS, place - _FIRST_OF_CLASS, 0)
    return order[np.lexsort((key, first))]
