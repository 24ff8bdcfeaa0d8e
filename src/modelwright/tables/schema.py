"""Columns: what type they are, what they are for, and how their cells are read.

A schema is learned once from training rows (`tables.types`, `tables.roles`), travels with the model, and is
applied unchanged to every later row (`tables.conform`). It holds plain values only.
"""

from __future__ import annotations

from typing import Literal

import msgspec

LogicalType = Literal["number", "boolean", "category", "datetime", "text", "id", "constant", "empty", "other"]
Role = Literal["target", "feature", "time", "group", "weight", "id", "text", "ignored"]
Task = Literal["binary", "multiclass", "regression", "clustering"]


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column of the input.

    ``reason`` says in words how type and role were found ("integers with 7 distinct values", "set in the spec").
    The remaining fields are the reading instructions that `tables.conform` follows.
    """

    name: str
    type: LogicalType
    role: Role
    reason: str = ""
    #: Polars type of the column as it was read, for messages only.
    physical: str = ""
    #: strptime formats of a datetime kept as text, tried in order; empty for native datetimes.
    formats: tuple[str, ...] = ()
    #: Decimal and thousands sign of a number kept as text.
    decimal: str = "."
    thousands: str = ""
    #: Spellings of a boolean kept as text, lower case and stripped.
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()
    #: Cell values (after stripping) that the user declared to mean "missing".
    missing_values: tuple[str | float, ...] = ()
    #: A group whose entities go on in the rows to predict, so that it is learned from as well.
    known: bool = False


class Schema(msgspec.Struct, frozen=True):
    """All columns of the table in their original order."""

    columns: tuple[Column, ...]

    def with_role(self, *roles: Role) -> tuple[Column, ...]:
        """Columns having one of the roles, in table order."""
        return tuple(column for column in self.columns if column.role in roles)

    @property
    def features(self) -> tuple[Column, ...]:
        """Columns that the model needs; calendar parts of a time column are read besides when it is there."""
        return tuple(c for c in self.columns if c.role in ("feature", "text") or c.known)

    def knowing(self, name: str) -> Schema:
        """The schema with a group of labels that is learned from; unchanged where its cells are no labels."""
        why = "its entities go on in the rows to predict, so they are learned from too"
        columns = [
            msgspec.structs.replace(c, known=True, reason=f"{c.reason}; {why}")
            if c.name == name and c.role == "group" and c.type in ("category", "boolean")
            else c
            for c in self.columns
        ]
        return Schema(tuple(columns))

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
