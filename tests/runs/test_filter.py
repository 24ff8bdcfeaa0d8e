"""Filters choose what they say, refuse what they cannot mean, and never become code."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import InvalidInputError
from modelwright.metrics.registry import METRICS
from modelwright.runs.entry import RunEntry
from modelwright.runs.fields import KNOWN_METRICS
from modelwright.runs.filter import LONGEST, parse_filter

ENTRY = RunEntry(
    id="churn-20261101-100000",
    name="churn",
    kind="training",
    state="finished",
    created="2026-11-01T10:00:00+00:00",
    wall_s=12.5,
    metrics={"roc_auc": 0.85, "my metric": 2.0},
    params={"lr": 0.1, "depth": 6, "mode": "auto", "deep": True},
    tags={"team": "x", "my team": "y"},
    findings={"critical": 0, "warning": 2},
    better=True,
    seed=3,
)


@pytest.mark.parametrize(
    "text",
    [
        "metrics.roc_auc > 0.8",
        "roc_auc >= 0.85 and wall_s < 13",
        "0.8 < roc_auc",
        'tags.team == "x" and not (state == "failed" or seed != 3)',
        "tags.\"my team\" == 'y'",
        'metrics."my metric" == 2',
        'name in ("a", "churn")',
        'name not in ["a", "b"]',
        "params.depth in (4, 6)",
        'id contains "20261101"',
        'name LIKE "ch%n" AND name like "_hurn"',
        'not name like "x%"',
        'created > "2026-11-01" and created < "2026-11-02T00:00:00+02:00"',
        'created == "2026-11-01"',
        "better",
        "not dirty",
        "better == true",
        "params.deep == true",
        "user is missing and name is not missing",
        "metrics.f1 is missing",
        "findings.critical == 0",
        "metrics.roc_auc > -1e3",
    ],
)
def test_filter_matches_what_it_says(text: str) -> None:
    assert parse_filter(text).matches(ENTRY)


@pytest.mark.parametrize(
    "text",
    [
        "metrics.f1 > 0", "metrics.f1 < 1", "metrics.f1 != 1", "not metrics.f1 > 0", 'tags.owner != "x"',
        'not tags.owner == "x"', 'tags.owner not in ("x")', 'user contains ""', 'not user like "%"',
        "params.mode > 3", 'params.lr == "0.1"', "params.deep == 1", "validation > 0 or validation <= 0",
    ],
)  # fmt: skip
def test_missing_values_and_values_of_other_types_match_nothing(text: str) -> None:
    assert not parse_filter(text).matches(ENTRY)


def test_a_missing_side_does_not_hide_the_other_side_of_or() -> None:
    assert parse_filter("metrics.f1 > 0 or roc_auc > 0.8").matches(ENTRY)
    assert not parse_filter("metrics.f1 > 0 and roc_auc > 0.8").matches(ENTRY)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ('metrics.roc_auc > "0.8"', 19, "is a number, but is compared with text"),
        ("name == 3", 9, "is text, but is compared with a number"),
        ("dirty == 1", 10, "is true or false"),
        ("dirty > true", 9, "no order"),
        ('created > "yesterday"', 11, "no date"),
        ("created > 2026", 11, "is a date"),
        ('nam == "x"', 1, "no field 'nam'"),
        ("metric.roc_auc > 1", 1, "no field 'metric.roc_auc'"),
        ('name = "x"', 6, "'=' is no comparison"),
        ("name == x", 9, "'x' is no value"),
        ("0.7 < roc_auc < 0.9", 15, "chained"),
        ('(name == "x"', 13, "parenthesis"),
        ('name == "x', 9, "does not end"),
        ('name == "x" name == "y"', 13, "not expected"),
        ("name", 5, "compared with nothing"),
        ("3 == 3", 6, "field was expected"),
        ('wall_s contains "1"', 8, "is a number, not text"),
        ("", 1, "too early"),
        ("(" * 200 + "dirty" + ")" * 200, 52, "nested"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_position_and_mend(text: str, position: int, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_filter(text)
    assert f"position {position} of" in caught.value.what
    assert words in caught.value.what
    assert caught.value.mend
    assert caught.value.where == "--filter"


def test_near_names_are_offered() -> None:
    with pytest.raises(InvalidInputError, match=r"Did you mean metrics\.roc_auc"):
        parse_filter("metric.roc_auc > 1")
    with pytest.raises(InvalidInputError, match="Did you mean created"):
        parse_filter('creatd > "2026-01-01"')


HOSTILE = [
    "__import__('os').system('touch {mark}')",
    "name == __import__('os').system('touch {mark}')",
    "(lambda: open('{mark}', 'w'))()",
    "[x for x in ().__class__.__base__.__subclasses__()]",
    "metrics.__class__.__init__ == 1 and open('{mark}','w')",
    "exec(\"open('{mark}', 'w')\")",
    "name.__class__ == 'x'",
    'name == f\'{{open("{mark}", "w")}}\'',
    "name == 'x'; import os",
    "name == 'x' or `touch {mark}`",
    "name == 'x' # ' or true",
    "name == 'x' or 1 == 1",
    "name := 'x'",
    "name == 'x' UNION SELECT * FROM runs",
    "'; DROP TABLE runs; --",
    "name == 'x') or (true",
    "tags.team == \"x\" and eval('1')",
    "metrics.roc_auc > 10**10**10",
    "9" * 5000 + " > metrics.roc_auc",
    "not " * 1500 + "dirty",
    "\x00name == 'x'",
]


def understood_or_refused(text: str) -> bool:
    """Whether a text was applied, or refused with words that help."""
    try:
        parse_filter(text).matches(ENTRY)
    except InvalidInputError as error:
        return bool(error.what and error.mend and error.where)
    return True


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_filters_do_nothing(text: str, tmp_path) -> None:
    mark = tmp_path / "mark"
    begun = time.perf_counter()
    assert understood_or_refused(text.replace("{mark}", str(mark)))
    assert time.perf_counter() - begun < 1
    assert list(tmp_path.iterdir()) == []


def test_names_that_look_like_code_are_only_names() -> None:
    entry = RunEntry("a", "a", "job", "finished", "2026-01-01", tags={"__class__": "x"}, params={"lambda": 1, "and": 2})
    assert parse_filter('tags.__class__ == "x" and params.lambda == 1 and params.and == 2').matches(entry)
    assert not parse_filter('params.__class__ == "x"').matches(ENTRY)


def test_a_pattern_of_many_wildcards_takes_no_time() -> None:
    entry = RunEntry("a", "a" * 3000, "job", "finished", "2026-01-01")
    begun = time.perf_counter()
    assert not parse_filter(f'name like "{"%a" * 800}%b"').matches(entry)
    assert time.perf_counter() - begun < 1


def test_filters_that_are_too_long_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="signs"):
        parse_filter("dirty or " * LONGEST + "dirty")


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused_with_a_mend(text: str) -> None:
    assert understood_or_refused(text)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_can_be_compared_with(name: str, other: str) -> None:
    quoted = '"' + other.replace("\\", "\\\\").replace('"', '\\"') + '"'
    entry = RunEntry("a", name or "x", "job", "finished", "2026-01-01")
    assert parse_filter(f"name == {quoted}").matches(entry) is (entry.name == other)


def test_every_metric_of_the_registry_may_be_named_alone() -> None:
    assert set(METRICS) <= set(KNOWN_METRICS)
