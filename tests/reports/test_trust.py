"""What the report says of trust: openings, baselines, seeds, calibration, threshold, intervals, and what bars a model."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from modelwright.audit.finding import Fix, Waiver
from modelwright.evaluation.importance import Importance
from modelwright.evaluation.repeats import seed_spread
from modelwright.metrics.estimate import Interval
from modelwright.reports.card import card
from modelwright.reports.decisions import calibration_sentence, interval_sentence, threshold_sentences
from modelwright.reports.leaderboard import leaderboard, standing_sentence
from modelwright.reports.openings import opening_sentences, opening_words
from modelwright.reports.reforms import reforms
from modelwright.reports.reliability import calibration_figure
from modelwright.reports.report import render
from modelwright.reports.trust import barred, beaten, expectation, not_beaten, seed_sentence, trust
from modelwright.training.record import Evaluation, RunRecord


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page[page.index("<body>") :]).split())


def evaluation_of(record: RunRecord) -> Evaluation:
    assert record.evaluation is not None
    return record.evaluation


def with_evaluation(record: RunRecord, **changes: Any) -> RunRecord:
    return msgspec.structs.replace(record, evaluation=msgspec.structs.replace(evaluation_of(record), **changes))


def answers(record: RunRecord) -> dict[str, str]:
    return {item.number: item.answer for item in reforms(record)}


def test_a_first_opening_gives_the_plain_interval(records: dict[str, RunRecord]) -> None:
    assert expectation(records["binary"]) == "On new rows like these, expect ROC AUC between 0.8250 and 0.8676."
    assert opening_sentences(records["binary"]) == ["This is the first opening of the evaluation rows."]
    assert opening_words(records["binary"]) == "first opening of these rows"


def test_a_later_opening_gives_the_corrected_interval_and_other_openings(records: dict[str, RunRecord]) -> None:
    record = records["multiclass"]
    look = evaluation_of(record).look
    assert look is not None
    assert look.corrected is not None
    assert f"{look.corrected.high:.4f}" in expectation(record)
    said = opening_sentences(record)
    assert said[0] == "This is opening 4 of the evaluation rows."
    assert said[2].endswith("(99.75 % level).")
    assert said[3] == "This table has been opened 2 more times under other splits."


def test_a_model_that_is_no_better_shows_nothing_of_its_own(records: dict[str, RunRecord], pages: dict[str, str]) -> None:
    text = text_of(pages["behind"])
    assert "No better than the best model shown before" in text
    assert "sealed ROC AUC of run churn-20250301-101010" in text
    assert "The charts below are of validation rows" in text
    assert "12 of 10 openings used" in text
    assert "The budget of 10 openings is used up" in text
    assert "The ledger of these rows was altered" in text
    assert "Area under the curve: 0.7806" in text  # of the curve drawn, not the score of the other run
    assert "Sealed evaluation The model is no better" in text
    written = card(records["behind"])
    assert "model-index" not in written
    assert "of run churn-20250301-101010, not of this model" in answers(records["behind"])["7b"]


def test_a_run_without_a_ledger_still_tells_its_openings(records: dict[str, RunRecord]) -> None:
    assert opening_sentences(records["old"]) == ["The sealed rows were opened once."]
    assert "a little too kind" in opening_sentences(with_evaluation(records["old"], opened=3))[0]


def test_every_baseline_stands_in_the_table_with_its_verdict(records: dict[str, RunRecord]) -> None:
    found = trust(records["regression"])
    assert found is not None
    assert [(b["name"], b["verdict"]) for b in found["baselines"]] == [
        ("baseline_linear", "unclear"),
        ("shallow_tree", "unclear"),
    ]
    assert found["beaten"].startswith("The model is not shown to beat any baseline")
    won = trust(records["binary"])
    assert won is not None
    assert won["beaten"] == "The model beats all 3 baselines, by more than chance explains."


def test_a_baseline_that_beats_the_model_is_named_as_such(records: dict[str, RunRecord]) -> None:
    first, *others = evaluation_of(records["binary"]).comparisons
    worse = msgspec.structs.replace(first, better=False, difference=Interval(-0.02, -0.03, -0.01))
    assert beaten(worse) == "worse"
    found = trust(with_evaluation(records["binary"], comparison=worse, comparisons=[worse, *others]))
    assert found is not None
    assert found["beaten"] == "The model beats 2 of 3 baselines, and baseline_linear beats it."


def test_barriers_stand_at_the_top_with_the_commands_that_mend(records: dict[str, RunRecord], pages: dict[str, str]) -> None:
    found = barred(records["regression"])
    assert found is not None
    assert found["reasons"] == [not_beaten(records["regression"])]
    (_, commands), (_, toml) = found["steps"]
    audit, again = commands.splitlines()
    assert audit == "modelwright audit examples/data/telco_churn.csv --target price --task regression --fix"
    assert again.startswith("modelwright train examples/data/telco_churn.csv --target price")
    assert toml == '[[waive]]\nfinding = "target_leak:price_per_m2"\nreason = "…"'
    text = text_of(pages["regression"])
    assert text.index("Not to be registered or promoted") < text.index("gives the target away") < text.index("38,413")
    assert text.index("The model is not better than the linear baseline") < text.index("38,413")
    assert "Not to be registered" not in text_of(pages["binary"])


def test_commands_that_train_again_leave_mended_options_to_the_file(records: dict[str, RunRecord]) -> None:
    spec = {**records["regression"].spec, "exclude": ["a"], "time": "sold_at"}
    found = barred(msgspec.structs.replace(records["regression"], spec=spec))
    assert found is not None
    audit, again = found["steps"][0][1].splitlines()
    assert "--time sold_at --exclude a --fix" in audit
    assert "--time" not in again
    assert "--exclude" not in again


def test_a_finding_without_a_mend_offers_the_waiver_alone(records: dict[str, RunRecord]) -> None:
    findings = [msgspec.structs.replace(records["regression"].findings[0], fix=None)]
    found = barred(msgspec.structs.replace(records["regression"], findings=findings))
    assert found is not None
    assert len(found["steps"]) == 1


def test_what_a_seed_does_is_held_against_the_interval(records: dict[str, RunRecord]) -> None:
    assert "which rows were sealed matters more than the seed" in seed_sentence(evaluation_of(records["binary"]))
    same = with_evaluation(records["binary"], repeats=seed_spread([0.84630, 0.84632]))
    assert "the seed does not matter here" in seed_sentence(evaluation_of(same))
    wide = with_evaluation(records["binary"], repeats=seed_spread([0.83, 0.87]))
    assert "the seed matters about as much as the rows" in seed_sentence(evaluation_of(wide))


def test_candidates_that_cannot_be_told_from_the_first_are_marked(records: dict[str, RunRecord], pages: dict[str, str]) -> None:
    tied = {line.number: line.tied for line in leaderboard(records["binary"]).lines}
    assert [number for number, found in tied.items() if found] == [2]
    assert standing_sentence(records["binary"]).startswith("lightgbm cannot be told from catboost, the first")
    assert 'class="chip tied"' in pages["binary"]
    assert standing_sentence(records["old"]) == ""


@pytest.mark.parametrize(
    ("slope", "shift", "gap", "start"),
    [
        ((1.0, 0.9, 1.1), (0.0, -0.1, 0.1), 0.004, "Probabilities can be taken at their word"),
        ((0.6, 0.5, 0.7), (0.0, -0.1, 0.1), 0.06, "Probabilities are too sure"),
        ((1.6, 1.3, 1.9), (0.0, -0.1, 0.1), 0.06, "Probabilities are not sure enough"),
        ((1.0, 0.9, 1.1), (-0.4, -0.6, -0.2), 0.03, "Probabilities are too high as a whole"),
        ((1.0, 0.4, 1.6), (0.0, -0.5, 0.5), 0.004, "No fault of the probabilities is shown, though so few rows show little"),
    ],
)
def test_calibration_is_said_in_words(
    records: dict[str, RunRecord], slope: tuple[float, ...], shift: tuple[float, ...], gap: float, start: str
) -> None:
    report = evaluation_of(records["binary"]).calibration
    assert report is not None
    changed = msgspec.structs.replace(report, slope=Interval(*slope), intercept=Interval(*shift), ece_corrected=gap)
    assert calibration_sentence(changed).startswith(start)


def test_the_calibration_chart_counts_the_intervals_that_miss(records: dict[str, RunRecord]) -> None:
    report = evaluation_of(records["binary"]).calibration
    assert report is not None
    far = [msgspec.structs.replace(p, observed=Interval(1.0, 0.99, 1.0)) for p in report.curve[:2]]
    calibration = msgspec.structs.replace(report, curve=[*far, *report.curve[2:]])
    before, after = (
        calibration_figure(records["binary"]),
        calibration_figure(with_evaluation(records["binary"], calibration=calibration)),
    )
    assert before is not None
    assert after is not None
    missed = sum(not p.observed.low <= p.predicted <= p.observed.high for p in calibration.curve)
    assert f"{missed} of 10 intervals miss the dashed line" in after.caption
    assert before.caption != after.caption


def test_a_threshold_tells_what_it_saves_and_which_floors_it_misses(records: dict[str, RunRecord]) -> None:
    report = evaluation_of(records["binary"]).threshold
    assert report is not None
    said = threshold_sentences(report, "Yes")
    assert said[0] == "“Yes” is predicted from a probability of 0.3712 on: least cost on validation rows."
    assert said[1].startswith("That saves ")
    dear = msgspec.structs.replace(report, saved=Interval(-0.2, -0.3, -0.1), held={"recall": False})
    said = threshold_sentences(dear, "Yes")
    assert "dearer" in said[1]
    assert said[2] == "The floor of 80.0 % recall is NOT held on the sealed rows."


@pytest.mark.parametrize(
    ("coverage", "verdict"),
    [
        ((0.90, 0.88, 0.92), "as promised"),
        ((0.8, 0.78, 0.82), "fewer than promised"),
        ((0.97, 0.96, 0.98), "more than promised"),
    ],
)
def test_intervals_are_held_against_what_they_promise(
    records: dict[str, RunRecord], coverage: tuple[float, ...], verdict: str
) -> None:
    report = evaluation_of(records["regression"]).conformal
    assert report is not None
    changed = msgspec.structs.replace(report, coverage_dependent=Interval(*coverage), promised=(0.89, 0.91))
    assert verdict in interval_sentence(changed)


def test_importance_shows_its_interval_what_dominates_and_what_was_not_reached(records: dict[str, RunRecord]) -> None:
    found = [
        Importance(("tenure", "TotalCharges"), 0.7, 0.04, 0.03, 0.05, dominant=True),
        Importance(("Contract",), 0.3, 0.01, 0.002, 0.018),
    ]
    text = text_of(render(msgspec.structs.replace(records["binary"], importances=found)))
    assert "tenure + TotalCharges" in text
    assert "0.0400 (0.0300 to 0.0500)" in text
    assert "More than half of the importance is that of" in text
    assert "9 columns were not reached in the time there was" in text


def test_the_checklist_says_what_the_audit_did_not_check(records: dict[str, RunRecord]) -> None:
    said = answers(records["regression"])["6c"]
    assert "target_leak:price_per_m2 (critical, NOT resolved)" in said
    assert "Not checked, for a table does not tell" in said
    waived = msgspec.structs.replace(
        records["regression"].findings[0], waiver=Waiver("known before", "ada", "2025-03-11"), fix=Fix()
    )
    assert "waived by ada: known before" in answers(msgspec.structs.replace(records["regression"], findings=[waived]))["6c"]


def test_no_folder_of_the_machine_reaches_the_card(records: dict[str, RunRecord]) -> None:
    record = msgspec.structs.replace(
        records["binary"], source="/home/ada/secret/churn.csv", spec={"data": "/home/ada/secret/churn.csv"}
    )
    assert "churn.csv" in card(record)
    assert "secret" not in card(record)


def test_the_card_holds_openings_calibration_threshold_intervals_and_seeds(records: dict[str, RunRecord]) -> None:
    text = card(records["binary"])
    for part in (
        "This is the first opening of the evaluation rows.",
        "| constant |",
        "Calibrated by platt on validation rows",
        "is predicted from a probability of 0.3712 on",
        "Sets made to hold 90 % of new rows",
        "3 seeds score",
        "cannot be told from catboost, the first",
    ):
        assert part in text, part
