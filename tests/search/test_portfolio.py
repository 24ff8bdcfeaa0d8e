"""The portfolio: what is tried first at which size and budget."""

import pytest

from modelwright.learners import registry
from modelwright.search.portfolio import fit_seconds, learning_rate, portfolio

TASKS = ["binary", "multiclass", "regression", "clustering"]


def names(entries):
    return [entry.algorithm for entry in entries]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("n_rows", [10, 300, 5_000, 100_000, 5_000_000])
@pytest.mark.parametrize("budget_s", [10.0, 60.0, 300.0, 1800.0, None])
def test_every_entry_is_accepted_by_its_learner_and_occurs_once(task, n_rows, budget_s):
    entries = portfolio(task, n_rows, 20, budget_s)

    assert entries
    for entry in entries:
        registry.create(entry.algorithm, entry.params, task=task, n_classes=3 if task == "multiclass" else 2)
    assert all(entries.count(entry) == 1 for entry in entries)


def test_cheap_floor_comes_first_then_the_strongest_defaults():
    assert names(portfolio("binary", 5_000, 20, 300.0))[:3] == ["linear", "lightgbm", "catboost"]


def test_small_table_gets_every_family():
    families = {"linear", "lightgbm", "catboost", "network", "extra_trees", "random_forest", "xgboost", "svm"}

    assert set(names(portfolio("binary", 2_000, 20, 300.0))) == families


def test_dear_entries_wait_behind_cheap_ones():
    few, many = names(portfolio("regression", 2_000, 20, 300.0)), names(portfolio("regression", 15_000, 20, 60.0))

    assert few.index("network") < few.index("extra_trees")
    assert many.index("network") > many.index("extra_trees")


def test_hopeless_entries_are_left_out_of_a_short_budget():
    few = names(portfolio("multiclass", 500_000, 40, 60.0, n_classes=5))

    assert few
    assert not {"svm", "catboost", "network"} & set(few)


def test_without_a_budget_only_the_quadratic_algorithm_is_left_out():
    many = names(portfolio("binary", 500_000, 40, None))

    assert "svm" not in many
    assert {"catboost", "network"} <= set(many)


def test_step_of_boosting_falls_with_the_time_for_a_row():
    rates = [learning_rate("binary", 20_000, 20, budget) for budget in (10.0, 60.0, 1800.0)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1]
    assert learning_rate("binary", 1_000, 20, 60.0) < learning_rate("binary", 200_000, 20, 60.0)
    assert learning_rate("multiclass", 15_000, 16, 60.0, 26) >= learning_rate("multiclass", 15_000, 16, 60.0, 3)


def test_leaves_can_be_filled_by_the_rows():
    for n_rows in (40, 200, 1_000):
        for algorithm, params, *_ in portfolio("binary", n_rows, 10, 60.0):
            if algorithm == "lightgbm":
                assert params["num_leaves"] <= max(4, n_rows // (2 * params["min_data_in_leaf"]))


def test_entries_say_what_they_may_take_on_the_probe():
    on_all = {(e.algorithm, str(e.params)): e.seconds for e in portfolio("binary", 40_000, 10, 3600.0)}
    on_some = {(e.algorithm, str(e.params)): e.seconds for e in portfolio("binary", 40_000, 10, 3600.0, n_probe=5_000)}
    both = on_all.keys() & on_some.keys()
    assert len(both) >= 5
    assert all(0 < on_some[key] < on_all[key] for key in both)


def networks(n_rows, n_features):
    return [e for e in portfolio("multiclass", n_rows, n_features, 60.0, n_classes=10) if e.algorithm == "network"]


def test_wide_tables_get_a_network_that_reads_numbers_as_they_are():
    narrow, wide = networks(500, 60), networks(500, 800)

    assert [e.params.get("number_embedding") for e in narrow] == [None]
    assert [e.params.get("number_embedding") for e in wide] == ["none", None]
    assert wide[0].seconds < wide[1].seconds
    assert wide[0].params["n_epochs"] > wide[1].params["n_epochs"]
    # Where there is no time for the other, it is still tried.
    (only,) = networks(20_000, 800)
    assert only.params["number_embedding"] == "none"


def test_cost_grows_with_rows_and_columns():
    for algorithm in ("catboost", "network", "svm"):
        small = fit_seconds(algorithm, "binary", 1_000, 10)
        assert small < fit_seconds(algorithm, "binary", 10_000, 10) < fit_seconds(algorithm, "binary", 10_000, 100)


def test_cluster_numbers_leave_five_rows_a_cluster():
    entries = [(entry.algorithm, entry.params) for entry in portfolio("clustering", 22, 3, 60.0)]
    assert entries == [("kmeans", {"n_clusters": k}) for k in (2, 3, 4)]


def test_many_rows_are_clustered_in_mini_batches():
    assert set(names(portfolio("clustering", 100_000, 3, 60.0))) == {"minibatch_kmeans"}


@pytest.mark.parametrize("n_features", [20, 300])
def test_the_logarithm_of_a_skewed_target_is_tried_beside_the_target_as_it_is(n_features):
    plain, skewed = (portfolio("regression", 2_000, n_features, 300.0, skewed=skewed) for skewed in (False, True))

    logarithmic = [entry for entry in skewed if entry.params.get("log_target")]
    assert sorted(names(logarithmic)) == ["catboost", "lightgbm", "linear", "network"]
    assert [entry for entry in skewed if entry not in logarithmic] == plain
    for entry in logarithmic:
        as_it_is = entry._replace(params={name: value for name, value in entry.params.items() if name != "log_target"})
        assert as_it_is in plain


def test_linear_models_have_several_penalties_where_a_fit_is_not_dear():
    def penalties(task, n_rows, n_features, budget_s):
        entries = portfolio(task, n_rows, n_features, budget_s)
        return [entry.params["alpha"] for entry in entries if entry.algorithm == "linear" and "alpha" in entry.params]

    assert penalties("binary", 2_000, 20, 60.0) == [10.0, 100.0, 0.1, 0.01]
    assert penalties("regression", 2_000, 20, None) == [10.0, 100.0, 0.1, 0.01, 1e-5]
    assert not penalties("binary", 200_000, 100, 10.0)
