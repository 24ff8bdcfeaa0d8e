"""Spaces as they are read, and that every proposal lies within them, none twice."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import SpecError
from modelwright.jobs.tuning.halving import Halving, Rounds, cut_at, cutoffs, n_trials, read_halving
from modelwright.jobs.tuning.proposals import Strategy, Told, make_proposer
from modelwright.jobs.tuning.reading import read_points, read_space, read_values
from modelwright.jobs.tuning.selector import Selector, read_selector
from modelwright.jobs.tuning.space import Choice, Float, Int, Space, point_key
from modelwright.jobs.tuning.stopping import read_stop

finite = st.floats(-1e6, 1e6)


@st.composite
def ranges(draw: st.DrawFn) -> str:
    form = draw(st.sampled_from(["log", "uniform", "stepped", "int", "int log", "int step", "choice"]))
    if form == "choice":
        return ",".join(draw(st.lists(st.sampled_from(["1", "2.5", "adam", "true", "null", "1e-3"]), min_size=1)))
    if form.startswith("int"):
        low = draw(st.integers(1 if form == "int log" else -50, 50))
        high = draw(st.integers(low + 1, low + 200))
        last = {"int": "", "int log": ",log", "int step": f",{draw(st.integers(1, high - low))}"}[form]
        return f"int({low},{high}{last})"
    if form == "log":
        low = draw(st.floats(1e-9, 10))
        return f"log({low!r},{low * draw(st.floats(1.5, 1e6))!r})"
    low = draw(finite)
    high = low + draw(st.floats(1e-3, 1e3))
    step = f",{(high - low) * draw(st.floats(0.05, 1.0))!r}" if form == "stepped" else ""
    return f"uniform({low!r},{high!r}{step})"


spaces = st.dictionaries(st.sampled_from("abcd"), ranges(), min_size=1).map(read_space)


@settings(max_examples=60, deadline=None)
@given(spaces, st.integers(0, 2**31), st.sampled_from(["random", "tpe"]))
def test_every_proposal_lies_within_the_space_and_none_comes_twice(space: Space, seed: int, strategy: Strategy) -> None:
    def proposals() -> list[dict[str, Any]]:
        proposer = make_proposer(strategy, space, seed=seed, ahead=3)
        found: list[dict[str, Any]] = []
        while len(found) < 14:
            for number in range(proposer.needs(len(found)) - 1, proposer.needs(len(found))):
                if number >= 0:
                    # Every fifth trial fails.
                    proposer.tell(number, Told(None if number % 5 == 4 else float(len(str(found[number])))))
            point = proposer.ask()
            if point is None:
                assert proposer.ended
                break
            found.append(point)
        return found

    points = proposals()
    assert all(space.holds(point) for point in points)
    assert len({point_key(point) for point in points}) == len(points) == min(14, space.size or 14)
    assert points == proposals(), "the same seed and results give the same points"


@settings(max_examples=40, deadline=None)
@given(spaces)
def test_a_space_that_can_be_counted_has_as_many_different_cells(space: Space) -> None:
    if space.size is None or space.size > 3000:
        return
    cells = list(space.cells())
    assert len({point_key(cell) for cell in cells}) == space.size
    assert all(space.holds(cell) for cell in cells)
    listed = make_proposer("grid", space, seed=0, ahead=1)
    assert [listed.ask() for _ in cells] == cells
    assert listed.ask() is None


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("log(1e-4,1e-1)", Float(1e-4, 1e-1, log=True)),
        ("uniform( 0 , 1 )", Float(0.0, 1.0)),
        ("uniform(0,1,0.25)", Float(0.0, 1.0, step=0.25)),
        ("uniform(0,1,0.3)", Float(0.0, 1.0, step=0.3)),
        ("int(1,64)", Int(1, 64)),
        ("int(1,1024,log)", Int(1, 1024, log=True)),
        ("int(0,100,30)", Int(0, 90, step=30)),
        ("1,2,4", Choice((1, 2, 4))),
        ("1,1.0,true,null, adam ", Choice((1, 1.0, True, None, "adam"))),
        ('["1", "a,b", [64, 32], {"k": 1}]', Choice(("1", "a,b", [64, 32], {"k": 1}))),
        ("0.1,0.1", Choice((0.1,))),
        (0.5, Choice((0.5,))),
        (["relu(x)", None], Choice(("relu(x)", None))),
        (range(3), Choice((0, 1, 2))),
    ],
)
def test_values_are_read(text: Any, values: Any) -> None:
    read = read_values("p", text)
    assert read == values
    if isinstance(values, Choice) and isinstance(read, Choice):  # 1 == 1.0 == True to Python
        assert [type(value) for value in read.values] == [type(value) for value in values.values]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("log(0,1)", "above 0"),
        ("log(1e-1,1e-4)", "not below"),
        ("log(1e-4)", "1 parts"),
        ("log(1,2,3)", "3 parts"),
        ("logg(1,2)", r"Did you mean log\(1e-4,1e-1\)"),
        ("int(1,6.5)", "whole number"),
        ("int(1,nine)", "'nine'"),
        ("uniform(0,1,2)", "step"),
        ("uniform(0,inf)", "'inf'"),
        ("relu(x)", r'\["relu\(x\)"\]'),
        ("__import__('os').system('true')", "There is no range|neither a range"),
        ("1,,2", "empty value"),
        ("", "no value"),
        ("[1,", "JSON"),
        ("[]", "empty"),
        ([], "empty"),
        ([math.nan], "nan"),
        (object(), "object"),
        ("uniform(0,1", "neither"),
    ],
)
def test_what_cannot_be_read_is_refused_with_parameter_value_and_mend(text: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said) as refused:
        read_values("lr", text)
    assert refused.value.where == "param lr"
    assert refused.value.mend


def test_points_are_read_from_files(tmp_path: Path) -> None:
    points = [{"lr": 0.1, "depth": 3}, {"lr": 0.01, "depth": None}]
    (tmp_path / "a.json").write_text(json.dumps(points))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["lr", "depth"], [0.1, 3], [0.01, "null"], [0.1, 3], [0.5, ""]])

    assert read_points(tmp_path / "a.json") == read_points(str(tmp_path / "a.jsonl")) == points
    space = read_space({"data": "rows.csv"}, tmp_path / "a.csv")
    assert list(space.cells()) == [*({**point, "data": "rows.csv"} for point in points), {"lr": 0.5, "data": "rows.csv"}]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "lr,lr\n1,2\n", "once"),
        ("a.csv", "lr,depth\n1\n", "Line 2"),
        ("a.csv", "lr\n", "no point"),
        ("a.json", "[{]", "no JSON"),
        ("a.json", "[3]", "no point"),
        ("a.txt", "x", "not read"),
    ],
)
def test_points_that_cannot_be_read_are_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SpecError, match=said):
        read_points(tmp_path / name)
    with pytest.raises(SpecError, match="cannot be read"):
        read_points(tmp_path / "absent.csv")


def test_points_and_ranges_do_not_mix() -> None:
    with pytest.raises(SpecError, match="one value only"):
        read_space({"lr": "1,2"}, [{"depth": 3}])
    with pytest.raises(SpecError, match="in the points too"):
        read_space({"depth": "1"}, [{"depth": 3}])
    with pytest.raises(SpecError, match="no parameter"):
        read_space({})


def test_a_strategy_that_does_not_suit_the_space_is_refused() -> None:
    with pytest.raises(SpecError, match=r"lr has a range.*0.0001,0.000562,0.00316,0.0178,0.1"):
        make_proposer("grid", read_space({"lr": "log(1e-4,1e-1)"}), seed=0, ahead=1)
    with pytest.raises(SpecError, match="no points"):
        make_proposer("list", read_space({"lr": "1,2"}), seed=0, ahead=1)
    with pytest.raises(SpecError, match="points of its own"):
        make_proposer("tpe", read_space({}, [{"lr": 1}]), seed=0, ahead=1)
    with pytest.raises(SpecError, match="choices only"):
        make_proposer("cmaes", read_space({"kind": "a,b"}), seed=0, ahead=1)


def test_random_points_spread_over_the_scale() -> None:
    proposer = make_proposer("random", read_space({"lr": "log(1e-4,1)", "n": "int(1,1000,log)", "k": "a,b"}), seed=0, ahead=1)
    points = [point for _ in range(400) if (point := proposer.ask()) is not None]
    for name, middle in (("lr", 1e-2), ("n", 31), ("k", "a")):
        below = sum(point[name] <= middle for point in points)
        assert 160 <= below <= 240, name


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("max:roc_auc", Selector("roc_auc", True)),
        ("min:val loss:best", Selector("val loss", False, "best")),
        ("rmse", Selector("rmse", False)),
        ("val_loss:best", Selector("val_loss", False, "best")),
        (None, Selector("", True)),
    ],
)
def test_selectors_are_read(text: str | None, selector: Selector) -> None:
    assert read_selector(text) == selector


@pytest.mark.parametrize("text", ["", "gain", "mini:loss", "max:", "max:a:b"])
def test_selectors_that_say_too_little_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"min:loss|max:"):
        read_selector(text)


def test_last_or_best_of_the_steps_is_selected() -> None:
    reported = [(1, 0.5), (2, 0.3), (3, 0.4)]
    assert read_selector("min:loss").value({"loss": 0.4}, reported) == 0.4
    assert read_selector("min:loss:best").value({"loss": 0.4}, reported) == 0.3
    assert read_selector("max:loss:best").value({"loss": 0.4}, reported) == 0.5
    assert read_selector("min:loss:best").utilities(reported) == ((1, -0.5), (2, -0.3), (3, -0.3))


@pytest.mark.parametrize(
    "text", ["no improvement", "no improvement in 0", "loss", "loss < x", "loss == 1", "__import__('os') > 1", "a > 1 or b > 2"]
)
def test_rules_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SpecError):
        read_stop(text)


@pytest.mark.parametrize("text", ["epochs", "epochs=1", "epochs=1..2", "0..9", "a..b", "1..9..27x", "epochs=true..9"])
def test_budgets_that_cannot_be_halved_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"1\.\.27"):
        read_halving(text)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(5, 90), st.integers(0, 99))
def test_rounds_use_no_more_trials_than_given_and_each_follows_the_best_third(low: int, limit: int, seed: int) -> None:
    halving = Halving(low, low * 9, "epochs")
    rounds = Rounds(make_proposer("random", read_space({"x": "uniform(0,1)"}), seed=seed, ahead=1), halving, limit)
    asked: list[dict[str, Any]] = []
    while True:
        for number in range(len(asked)):
            if number >= rounds_told(rounds) and number < rounds.needs(len(asked)):
                rounds.tell(number, Told(asked[number]["x"]))
        point = rounds.ask()
        if point is None:
            break
        asked.append(point)
    assert len(asked) <= limit
    assert len(asked) >= min(limit, n_trials(9, 3)) - 3 or limit < 5
    assert len({point_key(point) for point in asked}) == len(asked)


def rounds_told(rounds: Rounds) -> int:
    return len(rounds._results)


def test_cutoffs_are_those_of_the_best_third_of_the_earlier_trials() -> None:
    earlier = [Told(0.0, at=((1, float(u)), (3, 10.0 * u))) for u in (1, 2, 3, 4, 5, 6)]
    reach = cutoffs(Halving(1, 9), earlier)

    assert reach == ((1, 5.0), (3, 50.0))
    assert cut_at(reach, [(1, 4.9)]) == 0
    assert cut_at(reach, [(1, 5.0), (2, 0.0), (3, 49.0)]) == 2
    assert cut_at(reach, [(1, 5.0), (2, 0.0)]) is None
    assert cut_at(reach, [(1, math.nan)]) == 0
    assert cutoffs(Halving(1, 9), earlier[:2]) == ()
