"""Two runs can be asked what their columns have in common."""

from __future__ import annotations

import msgspec
import polars as pl

from modelwright.features.derived import learn_derived
from modelwright.features.feature_set import FeatureSet, feature_set, feature_sets_differ
from modelwright.tables.schema import Schema
from modelwright.tables.types import infer_schema

ROWS = pl.DataFrame({"rooms": [float(k % 7) + 0.5 for k in range(60)], "persons": [float(k % 11) + 0.25 for k in range(60)]})


def made(features: dict[str, str], exclude: tuple[str, ...] = (), types: dict[str, str] | None = None) -> FeatureSet:
    schema = infer_schema(ROWS, target=None, exclude=exclude, types=types)
    if not features:
        return feature_set(schema)
    derived = learn_derived(ROWS, schema, features)
    added = infer_schema(derived.apply(ROWS).select(derived.names), target=None)
    return feature_set(Schema((*schema.columns, *added.columns)), derived.about)


def test_same_columns_are_the_same_set_whatever_their_order() -> None:
    one = made({"each": "rooms / persons", "both": "rooms + persons"})
    other = made({"both": "rooms + persons", "each": "rooms / persons"})
    assert one.digest == other.digest
    assert one.name == "2 columns and 2 derived"
    assert feature_sets_differ(one, other) == []


def test_differences_are_said_column_by_column() -> None:
    before = made({"each": "rooms / persons", "both": "rooms + persons"}, types={"persons": "category"})
    now = made({"each": "rooms / (persons + 1)", "more": "rooms * 2"}, exclude=("rooms",))
    assert before.digest != now.digest
    assert feature_sets_differ(before, now) == [
        "'persons' is read as number, before as category.",
        "'each' is rooms / (persons + 1), before rooms / persons.",
        "Added: 'more' (rooms * 2).",
        "'rooms' is left out: numbers with decimals; excluded in the spec.",
        "Not there any more: 'both'.",
    ]


def test_set_is_plain_values_that_come_back_from_json() -> None:
    found = made({"each": "rooms / persons"}, exclude=("rooms",))
    assert msgspec.json.decode(msgspec.json.encode(found), type=FeatureSet) == found
    assert [(c.name, c.kind) for c in found.columns] == [("rooms", "left out"), ("persons", "raw"), ("each", "derived")]
    assert found.columns[2].definition == "rooms / persons"
