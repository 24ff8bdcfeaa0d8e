"""The model card: metadata a hub can read, every section, nothing from a table as markup."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from modelwright.audit.finding import Cost, Finding, Waiver
from modelwright.reports.card import card
from modelwright.reports.reforms import reforms
from modelwright.training.record import RunRecord
from modelwright.training.summary import DataSummary

KINDS = ("binary", "old", "behind", "multiclass", "regression", "clustering", "unsealed", "hostile", "wide", "empty")


def _metadata(text: str) -> list[str]:
    assert text.startswith("---\n")
    return text.split("---\n")[1].splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_has_a_card(records: dict[str, RunRecord], kind: str) -> None:
    text = card(records[kind])
    assert "## Evaluation" in text
    assert "## REFORMS checklist" in text
    for line in _metadata(text):
        # Every value of the metadata is JSON, which is YAML too.
        bare = line.strip().removeprefix("- ")
        value = bare if bare.startswith("{") else bare.partition(": ")[2]
        if value.startswith(("{", "[", '"')):
            json.loads(value)


def test_metadata_name_metric_value_and_data(records: dict[str, RunRecord]) -> None:
    record = records["binary"]
    metadata = "\n".join(_metadata(card(record)))
    assert record.evaluation is not None
    assert "pipeline_tag: tabular-classification" in metadata
    assert f'"value": {round(record.evaluation.score.value, 6)}' in metadata
    assert record.fingerprint in metadata


def test_cells_of_a_table_cannot_break_the_card(records: dict[str, RunRecord]) -> None:
    text = card(records["hostile"]).split("---\n", 2)[2]
    assert "<script" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in table]
    starts = [i for i, line in enumerate(table) if set(line) <= set("|-")]
    assert all(widths[i] == widths[i - 1] for i in starts)


def test_a_waived_finding_stands_with_who_when_and_why(records: dict[str, RunRecord]) -> None:
    finding = Finding(
        check="target_proxy",
        severity="critical",
        message="'x' alone predicts the target.",
        columns=("x",),
        cost=Cost("roc_auc", 0.99, 0.8, "ROC AUC 0.99 with it, 0.8 without."),
        waiver=Waiver("known at the counter", "ada", "2026-11-24T01:00:00+00:00"),
    )
    record = msgspec.structs.replace(records["binary"], findings=[finding], barriers=["Critical finding 'y'."])
    text = card(record)
    assert "Waived by ada on 2026-11-24: known at the counter" in text
    assert "0.8 without" in text
    assert "Not to be put into use as it is" in text


def test_a_full_record_fills_more_than_half_of_the_checklist(records: dict[str, RunRecord]) -> None:
    summary = DataSummary(4000, {"No": 3000.0, "Yes": 1000.0}, {"age": 0.1}, 1, {"No": 0.1, "Yes": 0.2})
    record = msgspec.structs.replace(records["binary"], summary=summary)
    items = reforms(record)
    assert [item.number for item in items] == sorted(item.number for item in items)
    assert len(items) == 32
    assert sum(bool(item.answer) for item in items) >= 18
