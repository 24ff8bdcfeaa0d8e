"""Where a table differs from one of which only the `traces` are left, named as exactly as they allow.

A changed cell is told by row and column; rows that were dropped, added or put in another order, and columns that were
dropped, added, renamed, moved or read as another type are told as such. Rows and columns are counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl

from modelwright.tables.fingerprint import fingerprint
from modelwright.tables.traces import ROWS, Column, Tracer, Traces

_MOST_NAMED = 5
_KINDS = {"number": "numbers", "text": "text", "datetime": "datetimes"}


class Difference(msgspec.Struct, frozen=True):
    """What differs.

    ``sentence`` says it all. ``columns`` are those concerned; ``row`` is the first row that differs, by its number in the
    table of the traces where it is gone; ``rows`` the first and last row of the block where no single row can be named.
    """

    sentence: str
    columns: list[str] = []
    row: int | None = None
    rows: tuple[int, int] | None = None


def traced(frame: pl.DataFrame) -> tuple[str, Traces]:
    """Fingerprint and traces of a table."""
    tracer = Tracer(frame.height)
    return fingerprint(frame, tracer), tracer.finish()


def difference(before: Traces, frame: pl.DataFrame) -> Difference | None:
    """Where a table differs from the one of the traces.

    Parameters
    ----------
    before : Traces
    frame : DataFrame
        As `tables.read` gives it.

    Returns
    -------
    Difference or None
        None where the two have the same fingerprint.
    """
    now = traced(frame)[1]
    found = _of_columns(before.columns, now.columns)
    old, lost = [column.name for column in before.columns], [*found.dropped]
    aligned = frame.rename({new: name for name, new in found.renamed.items()})
    if not lost:
        aligned = aligned.select(old)
        if aligned.columns != frame.columns:
            now = traced(aligned)[1]
    kept = {column.name: column for column in now.columns}
    changed = [c.name for c in before.columns if c.name in kept and kept[c.name].digest != c.digest]
    said = list(found.sentences)
    retyped = [c for c in before.columns if c.name in changed and _retyped(c, kept[c.name])]
    for column in retyped[:_MOST_NAMED]:
        said.append(f"column {column.name!r} holds {_kind(kept[column.name].tag)}, not {_kind(column.tag)}")
    first = [*found.columns, *(column.name for column in retyped)]
    if said and (lost or retyped):
        # Row hashes run over all columns: with one gone or read otherwise they say nothing.
        others = [name for name in changed if name not in first]
        if before.n_rows != now.n_rows:
            said.append(f"there are {now.n_rows:,} rows, not {before.n_rows:,}")
        elif others:
            said.append(f"other cells differ too, in {_names(others)}")
        return Difference(_sentence(said), first)
    of_rows = _of_rows(before, now, changed) if changed or before.n_rows != now.n_rows else None
    if of_rows is None:
        return Difference(_sentence(said), first) if said else None
    said.append(of_rows.sentence)
    return Difference(_sentence(said), first or of_rows.columns, of_rows.row, of_rows.rows)


@dataclass(frozen=True)
class _Columns:
    """How the columns differ: sentences, the columns concerned, those that are gone, and new names by old ones."""

    sentences: list[str]
    columns: list[str]
    dropped: list[str]
    renamed: dict[str, str]


def _of_columns(before: list[Column], now: list[Column]) -> _Columns:
    old, new = [column.name for column in before], [column.name for column in now]
    dropped = [column for column in before if column.name not in new]
    added = [column for column in now if column.name not in old]
    renamed: dict[str, str] = {}
    for column in list(dropped):
        same = next((c for c in added if (c.tag, c.digest) == (column.tag, column.digest)), None)
        if same is not None:
            renamed[column.name] = same.name
            dropped.remove(column)
            added.remove(same)
    said = [f"column {name!r} is called {other!r}" for name, other in list(renamed.items())[:_MOST_NAMED]]
    gone, come = [column.name for column in dropped], [column.name for column in added]
    said += [f"{_names(gone)} {'is' if len(gone) == 1 else 'are'} missing"] if gone else []
    said += [f"{_names(come)} {'is' if len(come) == 1 else 'are'} new"] if come else []
    order = [renamed.get(name, name) for name in old if name not in gone]
    there = [name for name in new if name not in come]
    moved = [name for name, other in zip(there, order, strict=True) if name != other]
    if moved:
        said.append(f"the columns are in another order, from {moved[0]!r} on")
    return _Columns(said, [*renamed, *gone, *come, *moved], gone, renamed)


def _retyped(before: Column, now: Column) -> bool:
    """Whether cells are of another kind; a column that lost or got its only values is not."""
    return before.tag != now.tag and "empty" not in (before.tag, now.tag)


def _of_rows(before: Traces, now: Traces, changed: list[str]) -> Difference:
    """What differs where the columns are the same by name and type."""
    texts = any(column.tag not in ("number", "datetime", "duration", "empty") for column in before.columns)
    comparable = before.texts_comparable or not texts
    a, b = before.rows, now.rows
    if not comparable or not len(a) or not len(b):
        return _in_blocks(before, now, changed, comparable)
    if a.dtype != b.dtype:  # shortened otherwise: the tables differ in size; the high bits are the same
        a, b = _equally_short(a, b)
    n = min(len(a), len(b))
    unequal = np.flatnonzero(a[:n] != b[:n])
    if not len(unequal) and len(a) == len(b):
        return _in_blocks(before, now, changed, comparable)
    first = int(unequal[0]) if len(unequal) else n
    _, number = np.unique(np.concatenate([a, b]), return_inverse=True)
    in_a, in_b = number[: len(a)], number[len(a) :]
    surplus = np.bincount(in_a, minlength=number.max() + 1) - np.bincount(in_b, minlength=number.max() + 1)
    n_gone, n_come = int(surplus.clip(min=0).sum()), int((-surplus).clip(min=0).sum())
    if len(a) == len(b) and len(unequal) <= max(n_gone, n_come):
        return _in_place(before, now, unequal, changed)
    if not n_gone and not n_come:
        return Difference(f"the rows are in another order, from row {first:,} on", row=first)
    said = []
    row = first
    if n_come:
        row = _place(surplus[in_b] < 0, first)
        said.append(f"{_rows(n_come)} new, the first is row {row:,}" if n_come > 1 else f"row {row:,} is new")
    if n_gone:
        row = _place(surplus[in_a] > 0, first)
        said.insert(0, f"{_rows(n_gone)} missing, the first was row {row:,}" if n_gone > 1 else f"row {row:,} is missing")
    return Difference(" and ".join(said), row=row)


def _in_place(before: Traces, now: Traces, rows: np.ndarray, changed: list[str]) -> Difference:
    """Cells that differ while every row stands where it stood."""
    row = int(rows[0])
    names = [column.name for column in before.columns]
    block = row // ROWS
    here = [name for name in changed if before.blocks[names.index(name), block] != now.blocks[names.index(name), block]]
    here = here or changed
    alone = len(rows) == 1 or int(rows[1]) // ROWS > block
    where = f"row {row:,}, {_names(here)}"
    if len(rows) == 1:
        cells = "1 cell differs" if len(here) == 1 else f"{len(here)} cells differ"
        return Difference(f"{cells}: {where}", here, row)
    if len(changed) == 1:
        return Difference(f"{len(rows):,} cells differ, the first: {where}", here, row)
    if alone or len(here) == 1:
        return Difference(f"cells differ in {len(rows):,} rows and in {_names(changed)}, the first: {where}", here, row)
    within = f"within rows {block * ROWS:,} to {min(before.n_rows, (block + 1) * ROWS) - 1:,} {_names(here)} differ"
    return Difference(f"cells differ in {len(rows):,} rows, the first: row {row:,}; {within}", here, row)


def _in_blocks(before: Traces, now: Traces, changed: list[str], comparable: bool) -> Difference:
    """The first block of a column that differs, where rows cannot be compared."""
    if before.n_rows == now.n_rows and before.total == now.total and comparable:
        return Difference("the rows are in another order")
    names = [column.name for column in before.columns]
    said = [] if before.n_rows == now.n_rows else [f"there are {now.n_rows:,} rows, not {before.n_rows:,}"]
    n = min(before.blocks.shape[1], now.blocks.shape[1])
    found: list[tuple[int, str]] = []
    for name in changed:
        k = names.index(name)
        numeric = before.columns[k].tag in ("number", "datetime", "duration")
        unequal = np.flatnonzero(before.blocks[k, :n] != now.blocks[k, :n])
        if len(unequal) and (numeric or before.texts_comparable):
            found.append((int(unequal[0]), name))
    if not found:
        said.append(f"cells differ in {_names(changed)}")
        return Difference("; ".join(said), changed)
    block, name = min(found)
    rows = (block * ROWS, min(max(before.n_rows, now.n_rows), (block + 1) * ROWS) - 1)
    more = f"; cells differ in {_names(changed)}" if len(changed) > 1 and not said else ""
    said.append(f"the first difference lies within rows {rows[0]:,} to {rows[1]:,}, column {name!r}{more}")
    return Difference("; ".join(said), [name], rows=rows)


def _equally_short(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = min(a.dtype.itemsize, b.dtype.itemsize)
    short = [(part >> part.dtype.type(8 * (part.dtype.itemsize - size))).astype(f"u{size}") for part in (a, b)]
    return short[0], short[1]


def _place(candidates: np.ndarray, first: int) -> int:
    """The first candidate that is not before the first difference: of equal rows those before it are there in both."""
    places = np.flatnonzero(candidates)
    later = places[places >= first]
    return int(later[0] if len(later) else places[0])


def _rows(count: int) -> str:
    return f"{count:,} rows are"


def _names(names: list[str]) -> str:
    """Columns in words.

    Examples
    --------
    >>> _names(["a"]), _names(["a", "b"]), _names(list("abcdefgh"))
    ("column 'a'", "columns 'a', 'b'", "columns 'a', 'b', 'c', 'd', 'e' and 3 more")
    """
    shown = ", ".join(map(repr, names[:_MOST_NAMED]))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"column{'s' if len(names) > 1 else ''} {shown}{more}"


def _kind(tag: str) -> str:
    return _KINDS.get(tag, f"values of type {tag}")


def _sentence(said: list[str]) -> str:
    whole = "; ".join(said)
    return f"{whole[:1].upper()}{whole[1:]}."
