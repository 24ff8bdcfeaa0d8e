"""The report as a document: complete, harmless, in reading order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from html.parser import HTMLParser

import msgspec
import pytest

from modelwright.reports.report import render
from modelwright.training.record import Interval, RunRecord

KINDS = ("binary", "old", "behind", "multiclass", "regression", "clustering", "unsealed", "hostile", "wide", "empty")
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Outline(HTMLParser):
    """Tags, attributes, texts and the nesting of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self.misnested: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag == "h2":
            self.headings.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.misnested.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        if self.open and self.open[-1] == "h2":
            self.headings[-1] += data
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="session")
def outlines(pages: dict[str, str]) -> dict[str, Outline]:
    return {name: Outline(page) for name, page in pages.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_page_is_well_formed(outlines: dict[str, Outline], kind: str) -> None:
    assert outlines[kind].misnested == []
    assert outlines[kind].open == []


@pytest.mark.parametrize("kind", KINDS)
def test_page_runs_no_script_and_refers_to_nothing_outside(
    pages: dict[str, str], outlines: dict[str, Outline], kind: str
) -> None:
    page = outlines[kind]
    assert "<script" not in pages[kind].lower()
    assert "http:" not in pages[kind]
    assert "https:" not in pages[kind]
    assert "@import" not in pages[kind]
    assert not {tag for tag, _ in page.tags} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "foreignobject",
        "base",
        "image",
    }
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#")
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)]*)", pages[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_unique_and_links_lead_somewhere(outlines: dict[str, Outline], kind: str) -> None:
    ids = [attributes["id"] for _, attributes in outlines[kind].tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"][1:] for tag, attributes in outlines[kind].tags if tag == "a"}
    assert targets <= set(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_every_chart_has_a_text_alternative(outlines: dict[str, Outline], kind: str) -> None:
    charts = [attributes for tag, attributes in outlines[kind].tags if tag == "svg"]
    assert all(chart["role"] == "img" and len(chart["aria-label"]) > 20 for chart in charts)
    assert len(charts) == sum(tag == "figcaption" for tag, _ in outlines[kind].tags)


def test_sections_stand_in_reading_order(outlines: dict[str, Outline]) -> None:
    assert outlines["binary"].headings == [
        "How far to trust the score",
        "Data and roles",
        "Findings",
        "Split",
        "Leaderboard",
        "What the model is made of",
        "Learning curves",
        "Sealed evaluation",
        "Can the probabilities be believed?",
        "What the threshold does",
        "Sets of classes",
        "Feature importance",
        "Where it is weak",
        "Time and environment",
        "Commands",
        "Reporting checklist",
    ]
    assert "Sealed evaluation" not in outlines["unsealed"].headings
    assert "Feature importance" not in outlines["clustering"].headings


def test_charts_follow_the_task(outlines: dict[str, Outline]) -> None:
    def charts(kind: str) -> set[str]:
        found = {attributes.get("id", "") for tag, attributes in outlines[kind].tags if tag == "figure"}
        return {name.removeprefix("figure-") for name in found}

    shared = {"against-baseline", "fold-scores"}
    drawn = shared | {"curve-0", "curve-1", "curve-2", "roc", "pr", "calibration", "confusion"}
    assert charts("old") == drawn
    assert charts("binary") == drawn | {"cost", "coverage"}
    assert charts("multiclass") == shared | {"curve-0", "calibration", "confusion", "coverage"}
    assert charts("regression") == shared | {"curve-0", "actual", "residuals", "coverage"}
    assert charts("clustering") == {"fold-scores", "clusters"}
    assert charts("empty") == set()


def test_headline_tells_verdict_score_interval_baseline_and_time(outlines: dict[str, Outline]) -> None:
    text = outlines["binary"].text
    for words in (
        "Better than the baseline",
        "0.8463",
        "95 % interval 0.8250 to 0.8676",
        "The model beats the linear baseline by 0.0121 ROC AUC",
        "Baseline (baseline_linear) 0.8342",
        "Time used 55.4 s of 1 min",
        "Rows 7,043",
    ):
        assert words in text


def test_a_model_that_is_not_better_says_so_before_its_score(outlines: dict[str, Outline]) -> None:
    text = outlines["regression"].text
    assert text.index("Not shown to be better than the baseline") < text.index("38,413")


def test_a_model_that_is_worse_is_called_worse(records: dict[str, RunRecord]) -> None:
    record = records["regression"]
    assert record.evaluation is not None
    assert record.evaluation.comparison is not None
    comparison = msgspec.structs.replace(record.evaluation.comparison, difference=Interval(-500.0, -900.0, -100.0))
    worse = msgspec.structs.replace(record, evaluation=msgspec.structs.replace(record.evaluation, comparison=comparison))
    assert "Worse than the baseline" in render(worse)


def test_critical_findings_stand_before_the_score(outlines: dict[str, Outline]) -> None:
    text = outlines["regression"].text
    assert text.index("gives the target away") < text.index("38,413")


def test_a_run_without_sealed_rows_shows_no_sealed_score(outlines: dict[str, Outline]) -> None:
    text = outlines["unsealed"].text
    assert "No sealed score" in text
    assert 'evaluation = "none"' in text
    assert "The validation score helped to choose the model" in text
    assert "95 % interval" not in text


def test_an_interrupted_run_says_so(outlines: dict[str, Outline]) -> None:
    assert "This run was interrupted" in outlines["empty"].text
    assert "No trial was completed." in outlines["empty"].text


def test_repeated_opening_of_the_sealed_rows_is_told(outlines: dict[str, Outline]) -> None:
    assert "3 of 10 openings used" in outlines["regression"].text
    assert "This is opening 3 of the evaluation rows." in outlines["regression"].text
    assert "This is the first opening of the evaluation rows." in outlines["binary"].text
    assert "The sealed rows were opened once." in outlines["old"].text


def test_trials_without_a_score_give_their_reason(outlines: dict[str, Outline]) -> None:
    text = outlines["binary"].text
    assert "pip install 'modelwright[network]'" in text
    assert "ValueError: kernel matrix holds infinities at row 12" in text


def test_every_column_is_listed(outlines: dict[str, Outline], records: dict[str, RunRecord]) -> None:
    text = outlines["wide"].text
    assert all(column.name in text for column in records["wide"].plan.schema.columns)


def test_hostile_names_are_shown_as_they_are(outlines: dict[str, Outline]) -> None:
    assert '<script>alert("x")</script>' in outlines["hostile"].text
    assert "\x00" not in outlines["hostile"].text
    assert "\u202e" not in outlines["hostile"].text


def test_commands_are_quoted_for_the_shell(outlines: dict[str, Outline], pages: dict[str, str]) -> None:
    assert (
        "modelwright train examples/data/telco_churn.csv --target Churn --task binary --metric roc_auc --seed 0 --budget 60s"
        in outlines["binary"].text
    )
    assert (
        "modelwright predict .modelwright/runs/20250311-142501-churn-7f3a/model new.csv -o scored.csv"
        in outlines["binary"].text
    )
    lines = [w for w in outlines["hostile"].words if w.startswith("modelwright train")]
    assert shlex.split(lines[0])[2] == "/data/a b'; rm -rf <x>.csv"
    assert "modelwright train" not in outlines["empty"].text


def test_the_same_record_gives_the_same_page(pages: dict[str, str], records: dict[str, RunRecord]) -> None:
    assert render(records["binary"]) == pages["binary"]


def test_a_typical_page_is_quick_and_small(records: dict[str, RunRecord], pages: dict[str, str]) -> None:
    started = time.process_time()
    render(records["binary"])
    assert time.process_time() - started < 15  # 1.5 s on a quiet machine; this only catches another order
    assert len(pages["binary"]) < 400_000


def test_rendering_needs_neither_pandas_nor_pyarrow() -> None:
    code = (
        "import sys; sys.modules['pandas'] = sys.modules['pyarrow'] = None\n"
        "import altair as alt\n"
        "from modelwright.reports.charts import inline, finish\n"
        "from modelwright.reports.svg import to_svg\n"
        "chart = finish(alt.Chart(inline([{'a': 1, 'b': 2}, {'a': 2, 'b': 3}])).mark_line().encode(x='a:Q', y='b:Q'))\n"
        "assert to_svg(chart, 'a <line>', 'p').startswith('<svg role=\"img\" aria-label=\"a &lt;line&gt;\"')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
