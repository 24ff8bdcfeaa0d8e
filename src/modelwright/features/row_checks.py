"""Does a derived column look at its own row alone?

Rows are derived again in halves, one by one, and with cells emptied; whoever looks at other rows, at their order or at
chance gives himself away by other values. What is compared are training rows only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

#: Rows of the halves, rows looked at one by one, and rows in which cells are emptied.
_HALF, _SINGLE, _EMPTIED = 20_000, 12, 48
_SHARE_EMPTIED = 0.3
#: Vectorised functions may round the last digit otherwise in another place of an array.
_RELATIVE = 1e-9

Compute = Callable[[pl.DataFrame], pl.DataFrame]


def looks_at_other_rows(compute: Compute, rows: pl.DataFrame, derived: pl.DataFrame, seed: int = 0) -> str | None:
    """The first derived column whose value for a row depends on which rows come with it.

    Parameters
    ----------
    compute : callable
        From rows to the derived columns of these rows.
    rows : DataFrame of shape (n, m)
        Training rows, as ``compute`` reads them.
    derived : DataFrame of shape (n, k)
        What ``compute`` makes of all of them.
    seed : int, default=0

    Returns
    -------
    str or None
        Name of the column; None if every value stands by itself.
    """
    rng = np.random.default_rng([seed, 61])
    order = rng.permutation(rows.height)
    half = order[: max(1, min(_HALF, rows.height // 2))]
    singles = order[-min(_SINGLE, rows.height) :]
    found = _differs(compute(rows[half]), derived[half])
    if found is None:
        found = _differs(_one_by_one(compute, rows[singles]), derived[singles])
    if found is not None:
        return found
    emptied = _with_gaps(rows[order[:_EMPTIED]], rng)
    try:
        whole = compute(emptied)
    except Exception:
        # What cannot do with empty cells will say so when it meets one; here it is no evidence.
        return None
    some = rng.permutation(emptied.height)[: max(1, emptied.height // 2)]
    found = _differs(compute(emptied[some]), whole[some])
    return found or _differs(_one_by_one(compute, emptied[some[:_SINGLE]]), whole[some[:_SINGLE]])


def columns_read(compute: Compute, rows: pl.DataFrame, derived: pl.DataFrame) -> list[str]:
    """Columns without which the derived ones would be other, or could not be computed.

    Parameters
    ----------
    compute : callable
    rows : DataFrame of shape (n, m)
    derived : DataFrame of shape (n, k)

    Returns
    -------
    list of str
        In table order; every column where the smaller set does not give the same.
    """
    few = rows.head(200)
    expected = derived.head(200)

    def same_without(names: list[str]) -> bool:
        try:
            return _differs(compute(few.drop(names)), expected) is None
        except Exception:  # a function that misses a column fails in a way of its own
            return False

    def read_among(names: list[str]) -> list[str]:
        if same_without(names):
            return []
        if len(names) == 1:
            return names
        middle = len(names) // 2
        return read_among(names[:middle]) + read_among(names[middle:])

    found = read_among(rows.columns)
    try:
        enough = bool(found) and _differs(compute(rows.select(found)), derived) is None
    except Exception:
        enough = False
    return found if enough else list(rows.columns)


def _one_by_one(compute: Compute, rows: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([compute(rows[i : i + 1]) for i in range(rows.height)], how="vertical_relaxed")


def _with_gaps(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    kept = {name: rng.random(rows.height) >= _SHARE_EMPTIED for name in rows.columns}
    return rows.select(pl.when(pl.Series(kept[name])).then(pl.col(name)).alias(name) for name in rows.columns)


def _differs(found: pl.DataFrame, expected: pl.DataFrame) -> str | None:
    """The first column of ``expected`` that is absent or other in ``found``."""
    if found.height != expected.height or set(found.columns) != set(expected.columns):
        return next((name for name in expected.columns if name not in found.columns), expected.columns[0])
    return next((name for name in expected.columns if not _equal(found[name], expected[name])), None)


def _equal(a: pl.Series, b: pl.Series) -> bool:
    if pl.Null in (a.dtype, b.dtype):  # a column of empty cells has no type
        return a.null_count() == len(a) and b.null_count() == len(b)
    if a.dtype.is_numeric() and b.dtype.is_numeric():
        x, y = (s.cast(pl.Float64).fill_nan(None) for s in (a, b))
        if not x.is_null().equals(y.is_null()):
            return False
        return bool(np.allclose(x.drop_nulls().to_numpy(), y.drop_nulls().to_numpy(), rtol=_RELATIVE, atol=0.0))
    return bool(a.dtype == b.dtype and a.equals(b, null_equal=True, check_names=False))
