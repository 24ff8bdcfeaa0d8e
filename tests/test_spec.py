"""What a user may ask, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import msgspec
import polars as pl
import pytest

from modelwright.errors import SpecError
from modelwright.spec import FILE_NAME, KEYS, Spec, describe_source, parse_budget, resolve_spec
from modelwright.spec_template import write_template
from modelwright.spec_values import READERS, TASKS, TYPES
from modelwright.tables.schema import LogicalType, Task


def resolve(**given: Any) -> Spec:
    return resolve_spec(None, given)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("5m", 300), ("2h", 7200), ("90", 90), (90, 90), ("1.5h", 5400), ("1h30m", 5400), (" 5 M ", 300), (2.5, 2.5)],
)
def test_budget_reads_seconds_minutes_and_hours(text: object, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("wrong", ["", "soon", "5 days", "-5m", 0, -1, "0s", float("inf"), float("nan"), True, "m"])
def test_budget_that_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(SpecError):
        parse_budget(wrong)


def test_words_repeated_from_the_schema_are_equal_to_it() -> None:
    assert get_args(Task) == TASKS
    assert get_args(LogicalType) == TYPES


def test_every_key_has_a_reader() -> None:
    assert tuple(READERS) == KEYS


def test_nothing_given_takes_the_documented_defaults() -> None:
    spec = resolve(data="a.csv")
    assert (spec.budget_s, spec.evaluation, spec.seed, spec.home, spec.algorithms) == (300.0, 0.2, 0, ".modelwright", ())


def test_trials_alone_set_no_clock_and_both_hold_together() -> None:
    assert resolve(trials=3).budget_s is None
    assert resolve(trials=3, budget="1m").budget_s == 60.0


def test_none_and_unset_mean_not_given() -> None:
    assert resolve(seed=None, home=msgspec.UNSET) == Spec()


@pytest.mark.parametrize(
    ("given", "mend"),
    [
        ({"taget": "y"}, "Did you mean 'target'?"),
        ({"task": "binry"}, "Did you mean 'binary'?"),
        ({"task": "classification"}, "Use 'binary' or 'multiclass'"),
        ({"types": {"zip": "categry"}}, "Did you mean 'category'?"),
    ],
)
def test_unknown_word_names_the_nearest_valid_one(given: dict[str, Any], mend: str) -> None:
    with pytest.raises(SpecError) as caught:
        resolve(**given)
    assert mend in caught.value.mend


@pytest.mark.parametrize(
    "given",
    [
        {"target": 3},
        {"target": "  "},
        {"trials": 0},
        {"trials": 2.5},
        {"trials": True},
        {"seed": -1},
        {"evaluation": 0.0},
        {"evaluation": 0.95},
        {"evaluation": True},
        {"name": "../up"},
        {"algorithms": 3},
        {"types": ["zip"]},
        {"missing_values": {"a": [None]}},
        {"positive": [1]},
    ],
)
def test_value_of_the_wrong_kind_is_refused_and_placed(given: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as caught:
        resolve(**given)
    assert caught.value.where == f"argument {next(iter(given))!r}"
    assert caught.value.mend


@pytest.mark.parametrize(
    "given",
    [
        {"task": "binary"},
        {"task": "clustering", "target": "y"},
        {"positive": "Yes"},
        {"target": "y", "time": "y"},
        {"time": "t", "group": "t"},
        {"target": "y", "exclude": ["y"]},
    ],
)
def test_contradictions_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        resolve(**given)


def test_evaluation_is_a_share_a_table_or_none() -> None:
    frame = pl.DataFrame({"a": [1]})
    assert resolve(evaluation="0.25").evaluation == 0.25
    assert resolve(evaluation="25%").evaluation == 0.25
    assert resolve(evaluation="None").evaluation == "none"
    assert resolve(evaluation="test.csv").evaluation == "test.csv"
    assert resolve(evaluation=frame).evaluation is frame


def test_lists_are_read_from_text_and_from_lists() -> None:
    assert resolve(algorithms="lightgbm, ridge,").algorithms == ("lightgbm", "ridge")
    assert resolve(exclude=["a, b", " c"]).exclude == ("a, b", " c")
    assert resolve(exclude={"b", "a"}).exclude == ("a", "b")


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_text('target = "Churn"\nseed = 7\nbudget = 90\n[types]\nzip = "category"\n')
    spec = resolve_spec(file, {"seed": 3, "target": None})
    assert (spec.target, spec.seed, spec.budget_s, spec.types) == ("Churn", 3, 90.0, {"zip": "category"})


def test_paths_in_the_file_are_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_text('data = "churn.csv"\nevaluation = "none"\n')
    spec = resolve_spec(file, {})
    assert (spec.data, spec.evaluation) == (str(tmp_path / "churn.csv"), "none")
    file.write_text('data = "s3://bucket/churn.csv"\n')
    assert resolve_spec(file, {}).data == "s3://bucket/churn.csv"


def test_error_in_the_file_names_file_and_key(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_text('buget = "5m"\n')
    with pytest.raises(SpecError) as caught:
        resolve_spec(file, {})
    assert str(caught.value) == "modelwright.toml, key 'buget': There is no option 'buget'. Did you mean 'budget'?"


@pytest.mark.parametrize("text", ["target = \n", "\x00", 'target = "\xff"'])
def test_damaged_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / FILE_NAME
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SpecError, match="TOML"):
        resolve_spec(file, {})


def test_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        resolve_spec(tmp_path / "absent.toml", {})


def test_plain_form_hides_passwords_and_rows() -> None:
    spec = resolve(data="postgresql://ann:secret@host/db", query="SELECT 1", evaluation=pl.DataFrame({"a": [1, 2]}))
    plain = spec.to_dict()
    assert plain["data"] == "postgresql://ann:***@host/db"
    assert plain["evaluation"] == "polars.DataFrame in memory, 2 rows, 1 columns"
    assert msgspec.json.decode(msgspec.json.encode(plain)) == plain


def test_source_without_shape_is_described() -> None:
    assert describe_source({"a": [1]}) == "builtins.dict in memory"


def test_template_reads_back_as_what_was_asked(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    asked = resolve(
        data=str(tmp_path / 'a "b".csv'),
        target="Höhe [m]",
        budget="90s",
        exclude=["a, b"],
        types={"zip code": "category"},
        missing_values={"income": ["?", -999]},
        seed=4,
    )
    write_template(file, asked)
    assert resolve_spec(file, {}) == asked


def test_template_of_values_missing_everywhere_reads_back(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    asked = resolve(missing_values=["?", -1], types={"a": "id"})
    write_template(file, asked)
    assert resolve_spec(file, {}) == asked


def test_template_explains_every_key(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    write_template(file, Spec())
    text = file.read_text()
    assert all(f"# {key} = " in text or f"# [{key}]" in text or f"# [[{key}]]" in text for key in KEYS)
    assert resolve_spec(file, {}) == Spec()


def test_commented_lines_of_the_template_are_valid_when_uncommented(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    write_template(file, Spec())
    lines = file.read_text().splitlines()
    examples = [line[2:] for line in lines if line.startswith("# ") and (" = " in line or line.startswith("# ["))]
    file.write_text("\n".join(examples))
    assert resolve_spec(file, {}).target == "label"


def test_template_never_overwrites_unless_told(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_text("mine")
    with pytest.raises(SpecError, match="exists already"):
        write_template(file, Spec())
    assert file.read_text() == "mine"
    write_template(file, Spec(), force=True)
    assert "target" in file.read_text()
