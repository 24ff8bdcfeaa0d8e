"""Score, time of one row and size side by side: marks, the chart, and every place that shows the leaderboard."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from modelwright.artifacts.measure import Measured
from modelwright.cli.render import print_summary, result_json
from modelwright.learners.readable import Readable, Term
from modelwright.metrics.estimate import Interval
from modelwright.reports.format import percent
from modelwright.reports.front import front_figure
from modelwright.reports.leaderboard import front_sentence, leaderboard, rate
from modelwright.reports.report import render
from modelwright.runs.run import Run
from modelwright.training.figures import CandidateFigures, DeliveredFigures, Figures
from modelwright.training.front import DELIVERED, on_front, points
from modelwright.training.record import RunRecord

MEASURED = Measured(180e-6, 240e-6, 123_456.0, 50_000, 300, 1_300_000)


def measured(record: RunRecord, **more: object) -> RunRecord:
    """Trials 2 (lightgbm), 3 (catboost) and 4 (extra_trees, slow and large) measured, and a delivered ensemble."""
    scores = {trial.number: trial.score for trial in record.trials}
    best = scores[3]
    assert best is not None
    interval = Interval(best, best - 0.02, best + 0.02)
    figures = Figures(
        delivered=DeliveredFigures(MEASURED, best + 0.001, [best, best + 0.002], interval, 12.0, 310.0),
        candidates=[
            CandidateFigures(1, None, 15e-6, 400_000.0, 30_000),
            CandidateFigures(2, Interval(0.84, 0.82, 0.86), 60e-6, 200_000.0, 412_000),
            CandidateFigures(3, None, 140e-6, 150_000.0, 900_000),
            CandidateFigures(4, None, 4e-3, 9_000.0, 48_000_000),
        ],
    )  # fmt: skip
    return msgspec.structs.replace(record, figures=msgspec.structs.replace(figures, **more))


@pytest.fixture
def record(records: dict[str, RunRecord]) -> RunRecord:
    return measured(records["binary"])


def test_marks_are_of_what_no_other_model_beats_in_score_time_and_size(record: RunRecord) -> None:
    # The forest is slower, larger and worse; baselines do not take part.
    assert on_front(record) == {DELIVERED, 2, 3}
    assert {point.trial for point in points(record)} == {DELIVERED, 2, 3, 4}


def test_a_model_of_one_member_and_its_candidate_are_one_point(record: RunRecord) -> None:
    plan = msgspec.structs.replace(record.plan, members=record.plan.members[:1])
    alone = msgspec.structs.replace(record, plan=plan)
    number = plan.members[0].trial
    assert number not in {point.trial for point in points(alone)}
    assert {DELIVERED, number} <= on_front(alone)


def test_the_delivered_model_is_the_first_line_with_its_measured_figures(record: RunRecord) -> None:
    board = leaderboard(record)
    line = board.delivered
    assert line is not None
    assert (line.rank, line.algorithm, line.row, line.batch, line.size) == (
        "",
        "delivered model",
        "180 µs",
        "120,000",
        "1.3 MB",
    )
    assert (line.fit, line.memory, line.front) == ("12.0 s", "310.0 MB", True)
    lines = {line.number: line for line in board.lines}
    assert (lines[2].row, lines[2].batch, lines[2].size, lines[2].interval) == (
        "60.0 µs",
        "200,000",
        "412.0 kB",
        "0.8200 to 0.8600",
    )
    assert [number for number, line in lines.items() if line.front] == [3, 2]


def test_the_page_has_the_chart_the_marks_and_the_columns(record: RunRecord) -> None:
    page = render(record)
    assert 'id="figure-front"' in page
    assert "Score against the time of one row" in page
    assert page.count('<span class="chip better">front</span>') == 3
    for head in ("One row", "Rows a second"):
        assert f'<th scope="col" class="n">{head}</th>' in page
    assert "takes 180 µs for one row (95 % of calls within 240 µs)" in page


def test_the_chart_names_the_front_and_leaves_far_off_models_out(record: RunRecord) -> None:
    figure = front_figure(record)
    assert figure is not None
    spec = figure.chart.to_dict()
    names = {row["who"] for layer in spec["layer"] for row in layer["data"]["values"] if "who" in row}
    assert "delivered" in names
    assert any(name.startswith("catboost") for name in names)
    assert "time of one row and size: delivered" in figure.alternative
    steps = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")["data"]["values"]
    assert [row["row_us"] for row in steps] == sorted(row["row_us"] for row in steps)
    assert len(steps) == 4  # lightgbm, catboost, the delivered model, and on to the edge


def test_losses_are_drawn_with_the_better_end_up(records: dict[str, RunRecord]) -> None:
    record = measured(records["regression"])
    figure = front_figure(record)
    assert figure is not None
    y = next(layer["encoding"]["y"] for layer in figure.chart.to_dict()["layer"])
    assert y["scale"]["reverse"] is True
    assert "lower is better" in y["title"]


def test_limits_that_are_kept_and_broken_are_said(record: RunRecord) -> None:
    kept = measured(record, max_latency_s=1e-3)
    assert front_sentence(kept).endswith("It keeps to the limit asked for (1.0 ms a row).")
    broken = measured(record, max_latency_s=1e-4, broken=["latency"])
    assert "It breaks the limit asked for (100 µs a row)" in front_sentence(broken)
    assert broken.figures is not None
    assert broken.figures.barriers() == ["The model takes 0.18 ms for one row, 0.1 ms were asked for."]
    assert kept.figures is not None
    assert kept.figures.barriers() == []


def test_terminal_machine_and_notebook_show_the_same(record: RunRecord, tmp_path: Path) -> None:
    stream = io.StringIO()
    print_summary(Console(width=140, file=stream), record, tmp_path)
    text = stream.getvalue()
    assert re.search(r"delivered model .* 180 µs +120,000 +1\.3 MB +front", text)
    assert "front: no other model is better, faster and smaller at once." in text

    rows = result_json(record, tmp_path)["leaderboard"]
    assert (rows[0]["algorithm"], rows[0]["trial"], rows[0]["single_row_s"]) == ("delivered model", None, 180e-6)
    assert {row["trial"] for row in rows if row["front"]} == {None, 2, 3}
    msgspec.json.encode(rows)

    board = Run(tmp_path, record).leaderboard
    assert board["algorithm"][0] == "delivered model"
    assert board.height == len(record.trials) + 1
    assert board.filter("front")["single_row_s"].to_list() == [180e-6, 140e-6, 60e-6]
    assert board["rows_per_s"][0] == pytest.approx(123_456.0)
    assert "<table>" in Run(tmp_path, record)._repr_html_()


def test_a_trial_fitted_with_several_seeds_has_one_weight(records: dict[str, RunRecord], tmp_path: Path) -> None:
    record = records["binary"]
    heaviest, *others = record.plan.members
    twice = [msgspec.structs.replace(heaviest, weight=heaviest.weight / 2, seed=seed) for seed in (0, 1000)]
    again = msgspec.structs.replace(record, plan=msgspec.structs.replace(record.plan, members=[*twice, *others]))

    assert again.plan.weights == pytest.approx(record.plan.weights)
    assert Run(tmp_path, again).leaderboard["weight"].to_list() == Run(tmp_path, record).leaderboard["weight"].to_list()
    assert result_json(again, tmp_path)["leaderboard"] == result_json(record, tmp_path)["leaderboard"]
    page = render(again)
    assert "2 learners in 3 fits, whose predictions are averaged" in page
    assert page.count(f"<li>{percent(heaviest.weight / 2)}: ") == 2
    for each in (record, again):
        stream = io.StringIO()
        print_summary(Console(width=140, file=stream), each, tmp_path)
        assert re.search(rf"{heaviest.algorithm} .* {heaviest.weight:.2f}", stream.getvalue())


def test_records_without_figures_show_what_they_have(records: dict[str, RunRecord], tmp_path: Path) -> None:
    for name in ("old", "binary", "clustering"):
        record = records[name]
        page = render(record)
        assert 'id="figure-front"' not in page
        assert ">One row<" not in page
        assert leaderboard(record).delivered is None
        assert Run(tmp_path, record).leaderboard.height == len(record.trials)
        # What is read back is what older records hold: no such keys at all.
        plain = msgspec.to_builtins(record)
        del plain["figures"], plain["readable"]
        assert msgspec.convert(plain, RunRecord).figures is None


def test_the_report_shows_a_linear_model_itself(records: dict[str, RunRecord]) -> None:
    hostile = "<b>tenure</b>"
    terms = [Term(hostile, "per 1", [-0.0563], 1.2), Term("Contract", "if 'Two year'", [-0.68], 0.68)]
    model = Readable("linear", "The sum is the log odds.", ["Yes"], [-1.2], terms, n_left_out=3)
    page = render(msgspec.structs.replace(records["binary"], readable=model))
    assert "The model itself" in page
    assert hostile not in page
    assert "&lt;b&gt;tenure" in page
    assert ">−0.056<" in page
    assert ">0.507<" in page  # the odds of a two-year contract
    assert "3 coefficients are zero or too small" in page


def test_the_report_shows_the_rules_of_a_tree(records: dict[str, RunRecord]) -> None:
    rules = ["if tenure ≤ 12:", "    Yes 48.0 %", "if tenure > 12 or is missing:", "    Yes 17.0 %"]
    page = render(msgspec.structs.replace(records["binary"], readable=Readable("tree", "Follow.", ["No", "Yes"], rules=rules)))
    assert "if tenure ≤ 12:\n    Yes 48.0 %\n" in page


def test_rates_have_two_digits() -> None:
    assert [rate(v) for v in (3.4, 42.4, 123_456.0, float("nan"))] == ["3", "42", "120,000", "–"]
