"""Runs as a table: chosen by a filter, sorted, and handed out as Polars, pandas, rows or columns."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import msgspec

from modelwright.errors import InvalidInputError, ModelwrightError
from modelwright.runs.entry import RunEntry
from modelwright.runs.fields import FAMILIES, KNOWN_METRICS, field_of, nearest_field
from modelwright.runs.filter import parse_filter

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

#: Columns that are the same for every kind of run, in their order; those of metrics, params, tags and findings follow.
_PLAIN = tuple(name for name in RunEntry.__struct_fields__ if name not in (*FAMILIES, "intervals"))


class RunList(Sequence[RunEntry]):
    """Runs in an order; made by `modelwright.list_runs`.

    Parameters
    ----------
    entries : sequence of RunEntry
    notes : sequence of str
        What a user should know of how they came about.
    """

    def __init__(self, entries: Sequence[RunEntry], notes: Sequence[str] = ()) -> None:
        self.entries = list(entries)
        self.notes = list(notes)

    @overload
    def __getitem__(self, place: int) -> RunEntry: ...
    @overload
    def __getitem__(self, place: slice) -> RunList: ...
    def __getitem__(self, place: int | slice) -> RunEntry | RunList:
        return RunList(self.entries[place], self.notes) if isinstance(place, slice) else self.entries[place]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[RunEntry]:
        return iter(self.entries)

    def columns(self) -> dict[str, list[Any]]:
        """Column -> its values: the plain fields, then "metrics.X", "low.X" and "high.X", "params.X", "tags.X", "findings.X".

        A run that lacks a field has None there.
        """
        found: dict[str, list[Any]] = {name: [getattr(entry, name) for entry in self.entries] for name in _PLAIN}
        for family in FAMILIES:
            names = sorted({name for entry in self.entries for name in getattr(entry, family)})
            for name in names:
                found[f"{family}.{name}"] = [getattr(entry, family).get(name) for entry in self.entries]
                if family == "metrics" and any(name in entry.intervals for entry in self.entries):
                    ends = [entry.intervals.get(name, (None, None)) for entry in self.entries]
                    found[f"low.{name}"], found[f"high.{name}"] = [low for low, _ in ends], [high for _, high in ends]
        return found

    def to_polars(self) -> pl.DataFrame:
        """One row a run; parameters of mixed types become text."""
        import polars as pl

        return pl.DataFrame([pl.Series(name, _of_one_type(values)) for name, values in self.columns().items()])

    def to_pandas(self) -> pd.DataFrame:
        """The same for pandas, which must be installed."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ModelwrightError("pandas is not installed.", mend="Install it, or use to_polars().") from error
        return pd.DataFrame({name: _of_one_type(values) for name, values in self.columns().items()})

    def __repr__(self) -> str:
        names = ", ".join(entry.id for entry in self.entries[:3])
        more = ", …" if len(self) > 3 else ""
        return f"<modelwright.RunList of {len(self)}: {names}{more}>"

    def _repr_html_(self) -> str:
        head = ("run", "kind", "state", "created", "metric", "score")
        rows = [(e.id, e.kind, e.state, e.created, e.metric, _score(e)) for e in self.entries[:30]]
        body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
        return (
            f"<div><p>{len(self)} runs</p><table><thead><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr></thead>"
            f"<tbody>{body}</tbody></table></div>"
        )


def chosen(entries: Sequence[RunEntry], filter: str | None = None, sort: str | None = None) -> list[RunEntry]:
    """The entries that match, in the order asked for; a filter or key that is no good is refused.

    Parameters
    ----------
    entries : sequence of RunEntry
    filter : str or None
        See `modelwright.runs.filter`.
    sort : str or None
        A field; with "-" before it the largest come first. Runs without it come last.
    """
    metrics = metrics_of(entries)
    if filter is not None:
        wanted = parse_filter(filter, metrics=metrics)
        entries = [entry for entry in entries if wanted.matches(entry)]
    return list(entries) if sort is None else ordered(entries, sort, metrics)


def metrics_of(entries: Sequence[RunEntry]) -> frozenset[str]:
    """Names that mean a metric: the known ones and those of the runs."""
    return frozenset(KNOWN_METRICS).union(*(entry.metrics for entry in entries))


def ordered(entries: Sequence[RunEntry], sort: str, metrics: frozenset[str] = frozenset(KNOWN_METRICS)) -> list[RunEntry]:
    """The entries by a field."""
    falling, name = sort.startswith("-"), sort.removeprefix("-")
    path = tuple(part.strip("\"'") for part in name.split("."))
    field = field_of(path, metrics)
    if field is None:
        raise InvalidInputError(f"There is no field {name!r}.", where="--sort", mend=nearest_field(path, metrics))
    having: list[tuple[tuple[int, Any], RunEntry]] = []
    lacking = []
    for entry in entries:
        value = field.read(entry)
        if value is None or value != value:
            lacking.append(entry)
        elif isinstance(value, (int, float)):
            having.append(((0, value), entry))
        else:
            having.append(((1, str(value)), entry))
    return [entry for _, entry in sorted(having, key=lambda pair: pair[0], reverse=falling)] + lacking


def _score(entry: RunEntry) -> str:
    value = entry.metrics.get(entry.metric)
    return "" if value is None else f"{value:.4g}"


def _of_one_type(values: list[Any]) -> list[Any]:
    """As they are where all are numbers, texts or truths; otherwise as text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values] if float in kinds else values
    if len(kinds) == 1 and kinds <= {str, bool}:
        return values
    return [value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode() for value in values]
