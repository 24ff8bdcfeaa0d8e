"""What a model was given to learn from: a value by which two runs can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from modelwright.features.derived import DerivedColumns
from modelwright.tables.schema import Schema

#: Names listed in one sentence.
_SHOWN = 8


class FeatureColumn(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column of the table or of the user, and what became of it.

    ``kind`` is "left out" for columns that the model does not read, with the ``reason``; ``definition`` says how a
    derived column is computed.
    """

    name: str
    kind: Literal["raw", "derived", "left out"]
    type: str
    reason: str = ""
    definition: str = ""


class FeatureSet(msgspec.Struct, frozen=True):
    """The columns of a run.

    ``digest`` is the SHA-256 of the definitions and of name and type of the columns that the model reads: equal for two
    runs that learned from the same columns. ``function`` is "file.py:function" where a function derives columns, and
    ``function_sha256`` the digest of its file.
    """

    name: str
    digest: str
    columns: tuple[FeatureColumn, ...]
    function: str = ""
    function_sha256: str = ""


def feature_set(schema: Schema, derived: DerivedColumns | None = None) -> FeatureSet:
    """The feature set of a schema.

    Parameters
    ----------
    schema : Schema
        Of all columns, derived ones among them.
    derived : DerivedColumns or None
        How these are computed.

    Returns
    -------
    FeatureSet

    Examples
    --------
    >>> from modelwright.tables.schema import Column
    >>> found = feature_set(Schema((Column("age", "number", "feature"), Column("id", "id", "id", "all differ"))))
    >>> found.name, [column.kind for column in found.columns]
    ('1 column', ['raw', 'left out'])
    """
    names = () if derived is None else derived.names
    used = {column.name for column in schema.features} | {column.name for column in schema.with_role("time")}
    columns = tuple(
        FeatureColumn(
            name=column.name,
            kind="left out" if column.name not in used else "derived" if column.name in names else "raw",
            type=column.type,
            reason=column.reason,
            definition=derived.text(column.name) if derived is not None and column.name in names else "",
        )
        for column in schema.columns
        if column.role not in ("target", "weight")
    )
    function = None if derived is None else derived.function
    read = sorted((c.name, c.type, c.definition) for c in columns if c.kind != "left out")
    # A column left out may still be what another is derived from.
    definitions = [] if derived is None else sorted((d.name, d.kind, d.content) for d in derived.definitions)
    state = (read, definitions, "" if function is None else function.sha256)
    counts = [sum(c.kind == kind for c in columns) for kind in ("raw", "derived")]
    name = f"{counts[0]} column{'s' * (counts[0] != 1)}" + (f" and {counts[1]} derived" if counts[1] else "")
    return FeatureSet(
        name=name,
        digest=hashlib.sha256(msgspec.json.encode(state)).hexdigest(),
        columns=columns,
        function="" if function is None else str(function),
        function_sha256="" if function is None else function.sha256,
    )


def feature_sets_differ(a: FeatureSet, b: FeatureSet) -> list[str]:
    """How the columns of a second run differ from those of a first.

    Parameters
    ----------
    a, b : FeatureSet

    Returns
    -------
    list of str
        One sentence a difference; empty where both learned from the same columns.

    Examples
    --------
    >>> one = FeatureSet("", "1", (FeatureColumn("age", "raw", "number"),))
    >>> old = FeatureColumn("old", "derived", "boolean", definition="age > 65")
    >>> feature_sets_differ(one, FeatureSet("", "2", (FeatureColumn("age", "raw", "category"), old)))
    ["'age' is read as category, before as number.", "Added: 'old' (age > 65)."]
    """
    first, second = ({c.name: c for c in each.columns} for each in (a, b))
    read = [{name for name, column in each.items() if column.kind != "left out"} for each in (first, second)]
    found = []
    for name in (name for name in first if name in read[0] & read[1]):
        before, now = first[name], second[name]
        if before.type != now.type:
            found.append(f"{name!r} is read as {now.type}, before as {before.type}.")
        if before.definition != now.definition:
            was, is_now = (column.definition or "a column of the table" for column in (before, now))
            found.append(f"{name!r} is {is_now}, before {was}.")
    added = [second[name] for name in second if name in read[1] - read[0]]
    if added:
        found.append(f"Added: {_listed([_with_definition(column) for column in added])}.")
    gone = [name for name in first if name in read[0] - read[1]]
    for name in gone:
        if name in second:
            found.append(f"{name!r} is left out: {second[name].reason or 'without a reason'}.")
    absent = [repr(name) for name in gone if name not in second]
    if absent:
        found.append(f"Not there any more: {_listed(absent)}.")
    if a.function_sha256 and b.function_sha256 and a.function_sha256 != b.function_sha256:
        found.append(f"The file of the function changed: {a.function} ({a.function_sha256[:12]}…) and {b.function}.")
    if not found and a.digest != b.digest:
        found.append("Columns that others are derived from are defined otherwise.")
    return found


def _with_definition(column: FeatureColumn) -> str:
    return f"{column.name!r} ({column.definition})" if column.definition else repr(column.name)


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest
