"""Pages of many runs: parallel coordinates, comparisons and curves, without scripts, on desktop and phone."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import re
from html import escape, unescape
from pathlib import Path

import pytest

from modelwright.reports.compare_page import render_comparison
from modelwright.reports.job_page import render_job
from modelwright.reports.parallel import MAX_LINES, Line, parallel_figures
from modelwright.reports.runs_page import render_runs
from modelwright.reports.svg import to_svg
from modelwright.runs.compare import Compared, Difference, PairTest, Section, seed_groups
from modelwright.runs.curves import Curve
from modelwright.runs.entry import RunEntry

_SPEC = importlib.util.spec_from_file_location("browser", Path(__file__).parent / "test_report_browser.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_browser = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_browser)
chromium = _browser.chromium

HOSTILE = '<script>alert("x")</script>'


def jobs(n: int = 60) -> list[RunEntry]:
    draw = random.Random(1)
    found = []
    for k in range(n):
        rate, depth = 10 ** draw.uniform(-4, -1), draw.randint(2, 10)
        score = 0.9 - 0.05 * abs(math.log10(rate) + 2.5) + draw.gauss(0, 0.005)
        params = {
            "learning_rate": rate,
            "depth": depth,
            "optimizer": draw.choice(["adam", "sgd"]),
            "constant": 1,
            HOSTILE: draw.random(),
        }
        if k % 9 == 0:
            del params["depth"]
        failed = k % 17 == 3
        found.append(
            RunEntry(
                f"tune-20261127-18{k // 60:02}{k % 60:02}", "tune", "job", "failed" if failed else "finished",
                f"2026-11-27T18:{k // 60:02}:{k % 60:02}+00:00", wall_s=1.5, parent="t", metric="accuracy",
                greater_is_better=True, params=params, metrics={} if failed else {"accuracy": score},
                tags={"team": HOSTILE} if k == 5 else {},
                error=HOSTILE if failed else "", seed=k, group="g" if k < 3 else "",
                intervals={"accuracy": (score - 0.01, score + 0.01)},
            )
        )  # fmt: skip
    return found


def comparison(runs: list[RunEntry]) -> Compared:
    rows = [
        Difference("learning_rate", [run.params["learning_rate"] for run in runs]),
        Difference(HOSTILE, [HOSTILE] * len(runs)),
    ]
    tests = [PairTest(runs[1].id, runs[0].id, f"Better by 0.01 {HOSTILE}.", "accuracy", better=True)]
    return Compared(runs, [Section("parameters", rows, 3), Section("data", [], 2)], tests, seed_groups(runs))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    runs = jobs()
    curve = [Curve("loss", [float(k) for k in range(90)], [math.exp(-k / 30) for k in range(90)])]
    tuning = RunEntry(
        "t", HOSTILE, "tuning", "finished", "2026-11-27T18:00:00+00:00", metric="accuracy", greater_is_better=True
    )
    return {
        "runs": render_runs(runs, f'name == "{HOSTILE}"', ".modelwright"),
        "none": render_runs([], "", ".modelwright"),
        "job": render_job(tuning, curve, runs, ".modelwright/runs/t"),
        "compare": render_comparison(comparison(runs[:4]), [curve] * 4),
        "many": render_comparison(comparison(runs[:9]), [[]] * 9),
    }


def test_pages_run_no_script_and_need_nothing_else(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        assert "<script" not in page, name
        assert not re.search(r"(?:src|href)=\"(?!#)", page), name
        assert "http" not in re.sub(r"xmlns(:\w+)?=\"[^\"]*\"", "", page), name


def test_pages_fit_desktop_and_phone(chromium: str, pages: dict[str, str], tmp_path: Path) -> None:
    frames = "".join(
        f'<iframe data-name="{name}" width="{width}" height="900" style="border:0" srcdoc="{escape(page)}"></iframe>'
        for name, page in pages.items()
        for width in (390, 1280)
    )
    (tmp_path / "all.html").write_text(f"<!doctype html><meta charset=utf-8>{_browser.MEASURE}<body>{frames}</body>", "utf-8")
    dom = _browser._browse(chromium, tmp_path, "--dump-dom", "--virtual-time-budget=20000", f"file://{tmp_path / 'all.html'}")
    match = re.search(r"FOUND(\[.*\])END", dom, flags=re.DOTALL)
    assert match is not None, dom[-500:]
    for frame in json.loads(unescape(match[1])):
        assert frame["needed"] <= frame["seen"] == int(frame["asked"]), frame
        assert frame["outside"] == [], frame
        page = pages[frame["name"]]
        # Of parallel coordinates one of the two drawings is seen.
        assert frame["charts"] == page.count("<svg") - page.count('class="plot upright"'), frame


def lines(n: int = 20) -> list[Line]:
    return [Line(f"run {k}", {"a": k, "rate": 10.0 ** -(k % 5), "kind": "xyz"[k % 3], "same": 1}, k / n) for k in range(n)]


def test_settings_that_differ_are_axes_and_the_score_is_the_last() -> None:
    figures = parallel_figures(lines(), "roc_auc", True, key="k", title="t", noun="runs")
    assert figures is not None
    for figure in figures:
        text = re.sub(r"<[^>]+>", " ", to_svg(figure.chart, figure.alternative, figure.key))
        assert re.search(r"\ba\b.*\brate\b.*\bkind\b.*ROC AUC", text, re.DOTALL)
        assert "same" not in text
    assert "Best: run 19 with 0.9500" in figures[0].caption
    small = parallel_figures(lines(), "rmse", False, key="k", title="t", noun="runs")
    assert small is not None
    assert "Best: run 0 with 0" in small[0].caption


def test_nothing_is_drawn_where_nothing_differs() -> None:
    assert parallel_figures([], "roc_auc", True, key="k", title="t", noun="runs") is None
    assert parallel_figures(lines(2), "roc_auc", True, key="k", title="t", noun="runs") is None
    same = [Line(str(k), {"a": 1}, 0.5) for k in range(9)]
    assert parallel_figures(same, "roc_auc", True, key="k", title="t", noun="runs") is None


def test_very_many_runs_are_thinned_and_said_so() -> None:
    figures = parallel_figures(lines(MAX_LINES + 700), "roc_auc", True, key="k", title="t", noun="runs")
    assert figures is not None
    assert "700 further runs are not drawn" in figures[0].caption


def test_report_of_a_training_shows_its_trials_as_parallel_coordinates() -> None:
    spec = importlib.util.spec_from_file_location("records_of_reports", Path(__file__).parent / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    records = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(records)
    from modelwright.reports.report import render

    record = records.wide_record()
    import msgspec

    trials = [
        msgspec.structs.replace(t, params={**t.params, "learning_rate": 10.0 ** -(1 + k % 4), "depth": k % 7})
        for k, t in enumerate(record.trials)
    ]
    page = render(msgspec.structs.replace(record, trials=trials))
    assert "Hyperparameters and scores" in page
    assert page.count('class="plot upright"') >= 1
