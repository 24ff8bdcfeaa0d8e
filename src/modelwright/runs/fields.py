"""The fields of a run that filters, sorting and gates speak of, with their types.

``metrics.X`` are numbers, ``tags.X`` texts, ``params.X`` whatever was given, ``findings.X`` counts. The name of a metric alone
means ``metrics.X``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from modelwright.runs.entry import RunEntry

Type = Literal["text", "number", "truth", "moment", "any"]

#: Field -> type. Texts that are empty count as missing.
FIELDS: dict[str, Type] = {
    "id": "text", "name": "text", "kind": "text", "state": "text", "created": "moment", "ended": "moment", "wall_s": "number",
    "parent": "text", "user": "text", "task": "text", "target": "text", "metric": "text", "seed": "number", "data": "text",
    "source": "text", "commit": "text", "dirty": "truth", "note": "text", "group": "text", "peak_memory_mb": "number",
    "error": "text", "validation": "number", "better": "truth", "score": "number",
}  # fmt: skip
FAMILIES: dict[str, Type] = {"metrics": "number", "params": "any", "tags": "text", "findings": "number"}
#: Names of metrics that need no "metrics." before them; a list of runs adds those that it has.
KNOWN_METRICS = (
    "accuracy", "adjusted_rand", "average_precision", "balanced_accuracy", "brier", "davies_bouldin", "f1", "f1_macro",
    "log_loss", "mae", "mape", "mcc", "median_ae", "precision", "r2", "recall", "rmse", "rmsle", "roc_auc", "roc_auc_ovr",
    "silhouette",
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A field by its name, with how it is read; ``read`` gives None where a run does not have it."""

    name: str
    type: Type
    read: Callable[[RunEntry], Any]


def field_of(path: tuple[str, ...], metrics: frozenset[str] = frozenset(KNOWN_METRICS)) -> Field | None:
    """The field of a name or a dotted name; None if there is none.

    Parameters
    ----------
    path : tuple of str
        ("name",) or ("metrics", "roc_auc"); further parts belong to the second.
    metrics : frozenset of str
        Names that mean a metric without saying so.
    """
    first, rest = path[0], ".".join(path[1:])
    name = ".".join(path)
    if rest:
        if first not in FAMILIES:
            return None
        return Field(name, FAMILIES[first], lambda entry: getattr(entry, first).get(rest))
    if first == "score":
        return Field(name, "number", lambda entry: entry.metrics.get(entry.metric))
    if first in FIELDS:
        if FIELDS[first] == "truth":
            return Field(name, "truth", lambda entry: getattr(entry, first))
        return Field(name, FIELDS[first], lambda entry: None if (found := getattr(entry, first)) == "" else found)
    if first in metrics:
        return Field(name, "number", lambda entry: entry.metrics.get(first))
    return None


def nearest_field(path: tuple[str, ...], metrics: frozenset[str] = frozenset(KNOWN_METRICS)) -> str:
    """What a user may have meant by a name that is no field."""
    name = ".".join(path)
    known = [*FIELDS, *(f"{family}.NAME" for family in FAMILIES), *sorted(metrics)]
    near = get_close_matches(name, known, n=2, cutoff=0.6)
    if len(path) > 1 and (family := get_close_matches(path[0], FAMILIES, n=1, cutoff=0.5)):
        near = [".".join([family[0], *path[1:]])]
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Fields: {', '.join(FIELDS)}, and {', '.join(f'{family}.NAME' for family in FAMILIES)}."
