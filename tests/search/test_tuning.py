"""Proposals of hyperparameters, and the user's own grids."""

import pytest

from modelwright.errors import SpecError
from modelwright.learners import registry
from modelwright.search.grids import check_grids, combinations, default_grid, n_combinations, with_grids
from modelwright.search.portfolio import Entry, portfolio
from modelwright.search.tuning import Tuner

CENTRE = {"num_leaves": 31, "learning_rate": 0.05, "extra_trees": True}


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "gp", "random"])
def test_proposals_stay_near_the_best_and_within_the_range(sampler):
    if sampler == "gp":
        pytest.importorskip("torch")
    tuner = Tuner("lightgbm", "binary", seed=0, centre=CENTRE, sampler=sampler)
    tuner.tell_known(CENTRE, 0.5)
    for number in range(8):
        params = tuner.ask(number)
        registry.create("lightgbm", params, task="binary", n_classes=2)
        assert 8 <= params["num_leaves"] <= 124
        assert 0.025 <= params["learning_rate"] <= 0.1
        tuner.tell(number, -abs(params["num_leaves"] - 60) / 100)


@pytest.mark.parametrize("algorithm", registry.names("binary", baseline=False))
def test_every_algorithm_can_be_tuned_around_its_portfolio_entry(algorithm):
    tuner = Tuner(algorithm, "binary", seed=0, centre={})
    assert tuner.tunable
    registry.create(algorithm, tuner.ask(0), task="binary", n_classes=2)
    tuner.tell(0, None)  # a failed fit
    registry.create(algorithm, tuner.ask(1), task="binary", n_classes=2)


def test_tpe_moves_towards_what_was_better():
    tuner = Tuner("lightgbm", "regression", seed=1, centre={"num_leaves": 32})
    asked = []
    for number in range(60):
        asked.append(tuner.ask(number)["num_leaves"])
        tuner.tell(number, -abs(asked[-1] - 100))
    assert sum(asked[-15:]) / 15 > sum(asked[:15]) / 15


def test_same_seed_proposes_the_same():
    def first(seed):
        tuner = Tuner("catboost", "binary", seed=seed, centre={})
        return [tuner.ask(k) for k in range(3)]

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_a_far_configuration_is_not_told():
    tuner = Tuner("lightgbm", "binary", seed=0, centre={"num_leaves": 8})
    tuner.tell_known({"num_leaves": 250}, 1.0)  # outside the part that is searched: ignored, not an error
    assert tuner.ask(0)["num_leaves"] <= 32


def test_grid_goes_through_every_cell_once():
    grid = {"num_leaves": tuple(range(2, 9)), "extra_trees": (False, True)}
    tuner = Tuner("lightgbm", "binary", seed=0, centre={}, sampler="grid", grid=grid)
    cells = [tuner.ask(number) for number in range(13)]

    seen = {(cell["num_leaves"], cell["extra_trees"]) for cell in cells}
    assert len(seen) == 13
    assert (2, False) not in seen, "the first cell stands in the portfolio"
    assert tuner.ask(13) is None


def test_only_the_users_values_are_proposed():
    grid = {"num_leaves": tuple(range(10, 40)), "learning_rate": (0.07,)}
    tuner = Tuner("lightgbm", "binary", seed=0, centre={"learning_rate": 0.07, "min_data_in_leaf": 5}, grid=grid)
    for number in range(5):
        params = tuner.ask(number)
        assert params["num_leaves"] in grid["num_leaves"]
        assert (params["learning_rate"], params["min_data_in_leaf"]) == (0.07, 5)
        tuner.tell(number, 0.0)


def test_small_grid_takes_the_place_of_the_portfolio_entries():
    entries = with_grids(portfolio("binary", 2_000, 10, 60.0), {"lightgbm": {"num_leaves": (7, 15), "learning_rate": (0.2,)}})
    ours = [e.params for e in entries if e.algorithm == "lightgbm"]

    assert [p["num_leaves"] for p in ours] == [7, 15]
    assert {p["learning_rate"] for p in ours} == {0.2}
    assert any(e.algorithm == "catboost" for e in entries)


def test_large_grid_leaves_one_entry_to_start_from():
    grid = {"num_leaves": tuple(range(2, 30))}
    assert n_combinations(grid) == 28
    assert with_grids([Entry("lightgbm", {}), Entry("lightgbm", {"extra_trees": True})], {"lightgbm": grid}) == [
        Entry("lightgbm", {"num_leaves": 2})
    ]


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_only_choices_that_are_allowed_are_proposed(sampler):
    allowed = {"skew": ("none", "log")}
    tuner = Tuner("linear", "regression", seed=0, centre={"skew": "none"}, sampler=sampler, allowed=allowed)
    asked = [tuner.ask(number) for number in range(9)]
    assert {params["skew"] for params in asked} == {"none", "log"}
    assert len({params["l1_ratio"] for params in asked}) > 1


def test_default_grid_lies_within_the_ranges():
    for algorithm in registry.names("regression", baseline=False):
        grid = default_grid(algorithm)
        for cell in combinations(grid):
            registry.create(algorithm, cell, task="regression")


@pytest.mark.parametrize(
    "grids",
    [{"lightgbm": {"leaves": (3,)}}, {"lightgbm": {"num_leaves": (3, 100_000)}}, {"lightgmb": {"num_leaves": (3,)}}],
)
def test_wrong_grid_is_refused(grids):
    with pytest.raises(SpecError):
        check_grids(grids, "binary")
    with pytest.raises(SpecError, match="does not serve"):
        check_grids({"kmeans": {"n_clusters": (3,)}}, "binary")
