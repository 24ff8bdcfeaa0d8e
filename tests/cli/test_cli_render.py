"""What a finished run looks like in a terminal, from a hand-built record."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from modelwright.audit.finding import Cost, Finding, Fix, Waiver
from modelwright.cli.render import finding_lines, next_commands, print_summary, quiet_lines, result_json, score_sentences
from modelwright.splits.looks import Look
from modelwright.tables.schema import Column, Schema
from modelwright.training.record import Comparison, Evaluation, Interval, MemberRecord, Plan, RunRecord, Trial

TRIALS = [
    Trial(0, "constant", {}, "complete", "validate", 0.5, [0.5, 0.5], 800, fit_s=0.01, baseline=True),
    Trial(1, "lightgbm", {}, "complete", "validate", 0.8471, [0.84, 0.85], 800, 120, 1.5, 12.0, 200_000, 150.0),
    Trial(2, "linear", {}, "complete", "probe", 0.81, [0.81], 200, fit_s=0.2),
    Trial(3, "svm", {}, "failed", "probe", error="ValueError: no convergence\nmore"),
    Trial(4, "svm", {}, "failed", "probe", error="ValueError: no convergence\nmore"),
    Trial(5, "network", {}, "unavailable", "", error="torch is not installed: pip install 'modelwright[network]'"),
]
COMPARISON = Comparison(
    "constant", Interval(0.5, 0.5, 0.5), Interval(0.34, 0.31, 0.37), 0.0001, True, "Better than the constant baseline by 0.34."
)
EVALUATION = Evaluation(
    "roc_auc",
    200,
    Interval(0.8402, 0.8112, 0.8691),
    {"log_loss": Interval(0.412, 0.39, 0.44)},
    COMPARISON,
    plots={"roc": {"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}},
)
RECORD = RunRecord(
    id="churn-20260102-030405",
    name="churn",
    created="2026-01-02T03:04:05+00:00",
    modelwright="0.1.0",
    spec={"data": "churn [1].csv"},
    source="churn [1].csv",
    fingerprint="abc",
    n_rows=1000,
    n_columns=21,
    task="binary",
    target="Churn",
    metric="roc_auc",
    greater_is_better=True,
    plan=Plan(
        schema=Schema((Column("Churn", "boolean", "target"),)),
        task="binary",
        metric="roc_auc",
        classes=["No", "Yes"],
        split_rule="stratified",
        split_sentence="200 of 1,000 rows are sealed, with the same share of each class.",
        n_folds=2,
        probe_rows=200,
        seed=0,
        members=[MemberRecord(1, "lightgbm", {}, 120, 1.0, 0, 800, True)],
    ),
    n_training=800,
    n_evaluation=200,
    findings=[
        Finding("few_rows", "info", "Only 1,000 rows."),
        Finding("missing", "warning", "Column 'a' is 90 % missing.", mend="Exclude it."),
        Finding("leak", "critical", "Column 'b' tells the target [almost] alone.", mend="Exclude b."),
    ],
    notes=["Task: binary."],
    trials=TRIALS,
    curves=[],
    validation_score=0.8471,
    evaluation=EVALUATION,
    importance=[("tenure", 0.4)],
    timings_s={"read": 0.1},
    wall_s=58.2,
    budget_s=60.0,
    peak_memory_mb=400.0,
    environment={},
    model={},
)


def printed(record: RunRecord, folder: Path, width: int = 120) -> str:
    stream = io.StringIO()
    print_summary(Console(width=width, file=stream), record, folder)
    return stream.getvalue()


def test_summary_tells_score_interval_comparison_findings_and_places(tmp_path: Path) -> None:
    text = printed(RECORD, tmp_path / "run")
    for expected in (
        "Run churn-20260102-030405",
        "predicts Churn (binary) from 1,000 rows, 21 columns; 6 trials in 58.2 s of 1 min.",
        "200 of 1,000 rows are sealed, with the same share of each class.",
        "ROC AUC 0.8402 (95 % interval 0.8112 to 0.8691) on 200 sealed rows, first opening of these rows.",
        "Better than the constant baseline by 0.34.",
        "Also: log loss 0.4120.",
        "Column 'b' tells the target [almost] alone. Exclude b.",
        "report.html",
        "modelwright show",
    ):
        assert expected in text, text


def test_leaderboard_ranks_whole_scores_and_tells_failures_once(tmp_path: Path) -> None:
    text = printed(RECORD, tmp_path)
    lines = [line.split() for line in text.splitlines() if line.strip()]
    ranks = {words[1]: words[0] for words in lines if len(words) > 2 and words[0] in ("1", "2", "–")}
    assert ranks == {"lightgbm": "1", "constant": "2", "linear": "–"}
    assert text.count("svm (2 configurations) failed: ValueError: no convergence") == 1
    assert "network not tried: torch is not installed: pip install 'modelwright[network]'" in text


def test_what_there_was_no_time_for_is_said_in_one_sentence(tmp_path: Path) -> None:
    late = "there was no time left"
    names = ("catboost", "lightgbm", "lightgbm", "extra_trees")
    more = [Trial(6 + k, name, {}, "unavailable", "probe", error=late) for k, name in enumerate(names)]
    text = " ".join(printed(msgspec.structs.replace(RECORD, trials=TRIALS + more), tmp_path).split())
    assert f"catboost, lightgbm (2 configurations), extra_trees not tried: {late}" in text


def test_leaderboard_shows_the_best_of_each_algorithm_and_every_member(tmp_path: Path) -> None:
    more = [Trial(number, "lightgbm", {}, "complete", "validate", 0.84 - number / 1000, n_rows=800) for number in (6, 7, 8)]
    members = [*RECORD.plan.members, MemberRecord(8, "lightgbm", {}, 90, 0.4, 0, 800, True)]
    plan = msgspec.structs.replace(RECORD.plan, members=members)
    text = printed(msgspec.structs.replace(RECORD, trials=TRIALS + more, plan=plan), tmp_path)
    assert [line.split()[0] for line in text.splitlines() if " lightgbm " in line] == ["1", "4"]
    assert "2 more trials in the report." in text


def test_piped_summary_has_no_trailing_blanks(tmp_path: Path) -> None:
    assert all(line == line.rstrip() for line in printed(RECORD, tmp_path).splitlines())


@pytest.mark.parametrize("width", [40, 80])
def test_summary_stays_within_a_narrow_terminal(tmp_path: Path, width: int) -> None:
    assert max(map(len, printed(RECORD, tmp_path, width).splitlines())) <= width


def test_critical_findings_come_first_and_remarks_are_counted() -> None:
    assert finding_lines(RECORD) == [
        ("critical", "Column 'b' tells the target [almost] alone. Exclude b."),
        ("warning", "Column 'a' is 90 % missing. Exclude it."),
        ("info", "1 more in the report."),
    ]


def test_without_sealed_rows_the_result_says_that_no_sealed_score_exists() -> None:
    plan = msgspec.structs.replace(RECORD.plan, split_rule="none")
    record = msgspec.structs.replace(RECORD, evaluation=None, plan=plan)
    first, second = score_sentences(record)
    assert first == "There is no sealed score: all rows were used for training, as asked (evaluation none)."
    assert "ROC AUC 0.8471" in second


def test_interrupted_run_says_so(tmp_path: Path) -> None:
    assert "stopped early" in printed(msgspec.structs.replace(RECORD, interrupted=True), tmp_path)


def test_next_commands_quote_names_and_use_the_data_that_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".modelwright" / "runs" / RECORD.id
    folder.mkdir(parents=True)
    commands = [command for command, _ in next_commands(RECORD, folder)]
    assert commands[0] == f"modelwright predict {RECORD.id} new.csv -o scored.csv"
    (tmp_path / "churn [1].csv").touch()
    commands = [command for command, _ in next_commands(RECORD, folder)]
    assert commands == [
        f"modelwright predict {RECORD.id} 'churn [1].csv' -o scored.csv",
        f"modelwright explain {RECORD.id} 'churn [1].csv'",
        f"modelwright card {RECORD.id} -o CARD.md",
        f"modelwright show {RECORD.id}",
    ]


def test_next_commands_outside_the_default_home_name_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "elsewhere" / "runs" / RECORD.id
    folder.mkdir(parents=True)
    assert next_commands(RECORD, folder)[-1][0] == f"modelwright show elsewhere/runs/{RECORD.id}"


def test_quiet_result_is_critical_findings_score_comparison_and_places(tmp_path: Path) -> None:
    lines = quiet_lines(RECORD, tmp_path)
    assert lines[0].startswith("critical: Column 'b'")
    assert lines[1].startswith("ROC AUC 0.8402")
    assert lines[2] == "Better than the constant baseline by 0.34."
    assert [line.split(":")[0] for line in lines[3:]] == ["report", "model"]


LOOK = Look(
    "9f9f", "evaluation", 3, RECORD.id, "why", "2026-01-02T03:04:05+00:00", "ada", "roc_auc", EVALUATION.score,
    Interval(0.8402, 0.801, 0.879), 1 - 0.05 / 12, True, RECORD.id, 3, hash="c0ffee",
)  # fmt: skip


def with_evaluation(**changes: Any) -> RunRecord:
    return msgspec.structs.replace(RECORD, evaluation=msgspec.structs.replace(EVALUATION, **changes))


def test_critical_findings_stand_before_the_leaderboard_and_not_below_again(tmp_path: Path) -> None:
    text = printed(RECORD, tmp_path)
    assert text.index("Column 'b' tells the target") < text.index("Leaderboard") < text.index("Column 'a' is 90 % missing")
    assert text.count("Column 'b' tells the target") == 1


def test_a_baseline_that_is_not_beaten_is_told_before_anything_is_scored(tmp_path: Path) -> None:
    sentence = "Not shown to be better than the constant baseline: difference 0.001 ROC AUC."
    comparison = msgspec.structs.replace(COMPARISON, better=False, sentence=sentence)
    record = msgspec.structs.replace(with_evaluation(comparison=comparison), barriers=[sentence])
    text = printed(record, tmp_path)
    assert (
        text.index("Column 'b' tells") < text.index(sentence) < text.index("not to be registered") < text.index("Leaderboard")
    )
    assert text.count(sentence) == 1
    assert quiet_lines(record, tmp_path)[1] == sentence


def test_a_later_opening_gives_its_number_and_the_corrected_interval() -> None:
    sentences = score_sentences(with_evaluation(look=LOOK, opened=3))
    assert sentences[0].endswith("on 200 sealed rows, opening 3 of these rows.")
    assert "Corrected for repeated openings, the interval is 0.8010 to 0.8790 (99.58 % level)." in sentences


def test_a_score_that_is_shown_instead_names_its_run() -> None:
    look = msgspec.structs.replace(LOOK, better_than_shown=False, best_run="old-run", best_count=1, beats_baseline=False)
    record = with_evaluation(look=look, opened=3, comparison=None, others={})
    sentences = score_sentences(record)
    assert "(95 % interval 0.8112 to 0.8691) of run old-run on 200 sealed rows" in sentences[0]
    assert sentences[1].startswith("The model is no better than the best shown so far, ROC AUC 0.8402 (run old-run, opening 1)")


def test_a_finding_tells_its_cost_its_mend_or_who_waived_it() -> None:
    cost = Cost("roc_auc", 0.99, 0.8, "ROC AUC 0.99 with it, 0.80 without.")
    found = Finding("leak", "critical", "Column 'b' leaks.", ("b",), mend="Exclude b.", fix=Fix(exclude=("b",)), cost=cost)
    waived = msgspec.structs.replace(found, waiver=Waiver("known at the counter", "ada", "2026-01-02T03:04:05+00:00"))
    lines = finding_lines(msgspec.structs.replace(RECORD, findings=[found, waived]))
    assert lines[0][1] == "Column 'b' leaks. ROC AUC 0.99 with it, 0.80 without. Exclude b."
    assert lines[1][1].endswith("0.80 without. Waived by ada on 2026-01-02: known at the counter")


def test_the_mend_of_a_critical_finding_is_the_first_command(tmp_path: Path) -> None:
    found = Finding("leak", "critical", "Column 'b' leaks.", ("b",), fix=Fix(exclude=("b",)))
    commands = [command for command, _ in next_commands(msgspec.structs.replace(RECORD, findings=[found]), tmp_path)]
    assert commands[0] == "modelwright audit 'churn [1].csv' --target Churn --task binary --fix"
    assert len(commands) == 4


def test_machine_result_is_json_without_plots(tmp_path: Path) -> None:
    result = msgspec.json.decode(msgspec.json.encode(result_json(RECORD, tmp_path)))
    assert result["type"] == "Result"
    assert result["evaluation"]["score"] == {"value": 0.8402, "low": 0.8112, "high": 0.8691}
    assert result["evaluation"]["plots"] == {}
    assert result["look"] is None
    assert result["barriers"] == []
    assert [c["baseline"] for c in result["comparisons"]] == ["constant"]
    assert [f["name"] for f in result["findings"]] == ["few_rows", "missing", "leak"]
    assert [row["algorithm"] for row in result["leaderboard"]][:2] == ["lightgbm", "constant"]
