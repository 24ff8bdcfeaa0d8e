"""Numbers, order and sums in the report."""

from __future__ import annotations

import math

import msgspec
import pytest

from modelwright.reports.charts import against_baseline, fold_scores, learning_curves, thinned
from modelwright.reports.commands import commands
from modelwright.reports.diagnostics import ConfusionTable, confusion_table, evaluation_figures
from modelwright.reports.format import (
    count,
    decimals_for,
    duration,
    fixed,
    metric_title,
    number,
    pairs,
    percent,
    quantity,
    size,
)
from modelwright.reports.leaderboard import MAX_OTHER_TRIALS, leaderboard
from modelwright.training.record import RunRecord, Trial


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.84561, "0.8456"),
        (0.5, "0.5000"),
        (-0.01234567, "−0.01235"),
        (12345.6, "12,346"),
        (99.999, "100.00"),
        (0.0, "0"),
        (7, "7"),
        (12000, "12,000"),
        (1.5e-7, "1.500e-07"),
        (-1.5e-7, "−1.500e-07"),
        (math.nan, "–"),
        (math.inf, "–"),
        (None, "–"),
    ],
)
def test_numbers_have_four_significant_digits(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (4.2e-7, "0.4 µs"),
        (0.00123, "1.2 ms"),
        (0.9994, "999 ms"),
        (0.9999, "1.0 s"),
        (59.97, "1 min"),
        (61, "1 min 01 s"),
        (3599.8, "1 h"),
        (5400, "1 h 30 min"),
        (90_000, "25 h"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_durations_take_the_unit_that_suits(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_percentages_and_counts() -> None:
    assert [size(n) for n in (0, 999, 1000, 999_949, 999_950, 2.5e9)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "999.9 kB",
        "1.0 MB",
        "2.5 GB",
    ]
    assert [percent(s) for s in (0, 0.004, 0.5, 1, None)] == ["0 %", "0.40 %", "50.0 %", "100 %", "–"]
    assert count(1234567) == "1,234,567"


def test_a_negative_that_rounds_to_zero_has_no_sign() -> None:
    assert fixed(-0.00001, 2) == "0.00"


def test_a_column_of_numbers_shares_its_decimals() -> None:
    decimals = decimals_for([0.8456, 0.0712, None, math.nan])
    assert [fixed(v, decimals) for v in (0.84561, 0.07123)] == ["0.8456", "0.0712"]
    assert decimals_for([]) == 4


def test_units_come_from_the_end_of_a_name() -> None:
    assert quantity("peak_memory_mb", 512.0) == "512.0 MB"
    assert quantity("predict_us_per_row", 30.0) == "30.0 µs per row"
    assert quantity("missing_share", 0.25) == "25.0 %"
    assert quantity("seed", 123456) == "123456"
    assert quantity("learning_rate", 0.05) == "0.05"
    assert quantity("early", True) == "yes"
    assert pairs({"a_s": 2.0, "cpu": {"n_cores": 2}}) == [("a", "2.0 s"), ("CPU / cores", "2")]


def test_metric_names_are_written_as_the_field_does() -> None:
    assert [metric_title(m) for m in ("roc_auc", "rmse", "log_loss", "r2")] == ["ROC AUC", "RMSE", "log loss", "R²"]


def test_leaderboard_ranks_full_validation_only(records: dict[str, RunRecord]) -> None:
    board = leaderboard(records["binary"])
    assert [(line.rank, line.algorithm) for line in board.lines] == [
        ("1", "catboost"),
        ("2", "lightgbm"),
        ("3", "extra_trees"),
        ("4", "baseline_linear"),
        ("5", "baseline_constant"),
        ("–", "xgboost"),
    ]
    assert [line.weight for line in board.lines[:3]] == ["weight 0.62", "weight 0.38", ""]
    assert [(line.algorithm, line.state) for line in board.failures] == [
        ("network", "unavailable"),
        ("svm", "failed"),
        ("knn", "abandoned"),
    ]


def test_leaderboard_puts_the_lowest_loss_first(records: dict[str, RunRecord]) -> None:
    scores = [trial.score for trial in leaderboard(records["regression"]).ranked]
    assert scores == sorted(scores)


def test_leaderboard_stays_readable_with_hundreds_of_trials(records: dict[str, RunRecord]) -> None:
    board = leaderboard(records["wide"])
    assert len(board.others) == MAX_OTHER_TRIALS
    assert len(board.others) + board.n_omitted == 201


def test_fold_spread_is_the_sample_deviation(records: dict[str, RunRecord]) -> None:
    trial = msgspec.structs.replace(records["binary"].trials[3], score=0.5, fold_scores=[0.4, 0.5, 0.6])
    board = leaderboard(msgspec.structs.replace(records["binary"], trials=[trial]))
    assert board.lines[0].spread == "± 0.1000"


def test_a_far_off_baseline_is_named_instead_of_drawn() -> None:
    def trial(number: int, score: float, baseline: bool = False) -> Trial:
        folds = [score - 0.002, score + 0.002]
        return Trial(number, f"a{number}", {}, "complete", "validate", score, folds, baseline=baseline)

    figure = fold_scores([trial(0, 0.85), trial(1, 0.848), trial(2, 0.5, baseline=True)], "roc_auc")
    assert figure is not None
    assert "Too far off to be drawn: a2 (0.5000)." in figure.caption
    assert "Best mean: 0.8500 by a0." in figure.caption


def test_learning_curves_show_one_trial_an_algorithm_and_name_the_lowest_point(records: dict[str, RunRecord]) -> None:
    figures = learning_curves(records["binary"])
    assert [figure.title for figure in figures] == ["catboost, trial 3", "lightgbm, trial 2", "xgboost, trial 6"]
    assert "Lowest validation loss 0.4260 at iteration 170 (2 folds); training loss there 0.3652." in figures[0].caption


def test_confusion_tables_give_recall_precision_and_mistakes() -> None:
    table = ConfusionTable(("a", "b", "c"), ((8, 2, 0), (1, 9, 0), (0, 0, 0)))
    assert table.classes() == [("a", 10, 0.8, 8 / 9), ("b", 10, 0.9, 9 / 11), ("c", 0, None, None)]
    assert table.confusions(5) == [("a", "b", 2, 0.2), ("b", "a", 1, 0.1)]


def test_classes_taken_together_get_neither_recall_nor_accuracy(records: dict[str, RunRecord]) -> None:
    record = records["multiclass"]
    assert record.evaluation is not None
    plots = {"confusion": {"labels": ["A", "B", "other"], "counts": [[8, 2, 0], [0, 9, 1], [0, 0, 900]]}}
    lumped = msgspec.structs.replace(record, evaluation=msgspec.structs.replace(record.evaluation, plots=plots))
    table = confusion_table(lumped)
    assert table is not None
    assert [label for label, *_ in table.classes()] == ["A", "B"]
    caption = evaluation_figures(lumped)[0].caption
    assert "The 2 most frequent of 26 classes; “other” is the rest. Of all rows, 97.1 % are right." in caption


def test_residuals_of_a_part_of_the_rows_are_told_of_that_part(records: dict[str, RunRecord]) -> None:
    record = records["regression"]
    assert record.evaluation is not None
    plots = {"residuals": {"predicted": [1.0, 2.0, 3.0, 4.0], "actual": [1.5, 2.0, 3.0, 6.0]}}
    part = msgspec.structs.replace(record, evaluation=msgspec.structs.replace(record.evaluation, plots=plots))
    caption = evaluation_figures(part)[0].caption
    assert "Half of the 4 rows looked at are off by at most 0.5000" in caption
    assert "4 of 1,800 rows are drawn." in caption
    assert "Half of the rows are off" in evaluation_figures(record)[0].caption


def test_every_chart_obeys_the_schema_of_vega_lite(records: dict[str, RunRecord]) -> None:
    for record in records.values():
        figures = [
            *learning_curves(record),
            *evaluation_figures(record),
            fold_scores(leaderboard(record).ranked[:5], record.metric),
        ]
        figures.append(against_baseline(record.evaluation) if record.evaluation is not None else None)
        for figure in figures:
            if figure is not None:
                figure.chart.to_dict(validate=True)


def test_thinning_keeps_the_ends() -> None:
    rows = thinned(list(range(1000)), 11)
    assert (rows[0], rows[-1], len(rows)) == (0, 999, 11)


def test_commands_repeat_every_option_of_the_spec(records: dict[str, RunRecord]) -> None:
    spec = {
        "data": "rows.csv",
        "target": "Churn",
        "budget_s": 60.0,
        "algorithms": ["lightgbm", "catboost"],
        "exclude": ["a b", "c"],
        "evaluation": 0.3,
        "types": {"zip code": "category"},
        "missing_values": {"age": [-1]},
        "time": None,
        "cost": {"fp": 1.0, "fn": 20.0},
        "repeats": 3,
        "strict": True,
        "home": "elsewhere",
    }
    lines = dict(commands(msgspec.structs.replace(records["binary"], spec=spec)))
    assert lines["Train again"] == (
        "modelwright train rows.csv --target Churn --task binary --metric roc_auc --seed 0 --budget 60s "
        "--algorithms lightgbm,catboost --exclude 'a b' --exclude c "
        "--type 'zip code=category' --missing-value age=-1 --evaluation 0.3 "
        "--cost fp=1,fn=20 --repeats 3 --strict --home elsewhere"
    )
    assert (
        lines["Predict new rows"] == "modelwright predict elsewhere/runs/20250311-142501-churn-7f3a/model new.csv -o scored.csv"
    )
