"""How events are drawn."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from modelwright.cli.progress import JsonLines, Lines, Live, Silence, choose_progress, event_line
from modelwright.events import Finished, Noted, StepStarted, TrialFinished

TRIAL = TrialFinished(12.0, 7, "lightgbm", "complete", 0.84, 0.85, "roc_auc", 1.5, "probe", time_left_s=42.0)
FAILED = TrialFinished(13.0, 8, "svm", "failed", None, 0.85, "roc_auc", 0.1, error="ValueError: [no] luck\ntrace")


def test_trial_line_tells_score_best_and_time_left() -> None:
    assert event_line(TRIAL) == "   12.0 s  trial       7 lightgbm (probe) · ROC AUC 0.8400 · best 0.8500 · 42.0 s left"


def test_failed_trial_line_tells_the_reason_in_one_line() -> None:
    assert event_line(FAILED) == "   13.0 s  trial       8 svm · failed: ValueError: [no] luck · best 0.8500"


def test_notes_and_steps_have_a_line_and_the_end_has_none() -> None:
    assert event_line(StepStarted(0.5, "search")) == "    0.5 s  search    searching"
    assert event_line(Noted(0.5, "Task: binary.")).endswith("Task: binary.")
    assert event_line(Finished(60.0, "run", "folder")) == ""


def test_plain_lines_are_written_at_once() -> None:
    stream = io.StringIO()
    with Lines(stream) as progress:
        for event in (StepStarted(0.1, "read"), TRIAL, Finished(60.0, "run", "folder")):
            progress(event)
    assert len(stream.getvalue().splitlines()) == 2


def test_json_lines_hold_every_event_with_its_type() -> None:
    stream = io.StringIO()
    with JsonLines(stream) as progress:
        progress(StepStarted(0.1, "read"))
        progress(TRIAL)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["type"] for event in events] == ["StepStarted", "TrialFinished"]
    assert events[1]["time_left_s"] == 42.0


def test_live_display_shows_step_trial_best_and_time_left() -> None:
    now = [100.0]
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    live = Live(console, 60.0, clock=lambda: now[0])
    with live as progress:
        progress(StepStarted(2.0, "search", "looking [around]"))
        now[0] += 10.0
        progress(TRIAL)
        progress(FAILED)
        with console.capture() as capture:
            console.print(live.renderable())
    assert any("2.0 s  search    looking [around]" in line for line in stream.getvalue().splitlines())
    drawn = capture.get()
    assert "search" in drawn
    assert "47.0 s left" in drawn
    assert "1 complete, 1 failed" in drawn
    assert "svm · failed: ValueError: [no] luck" in drawn
    assert "best      ROC AUC 0.8500" in drawn


def test_live_display_without_a_budget_counts_up() -> None:
    console = Console(file=io.StringIO(), width=100)
    live = Live(console, None, clock=lambda: 5.0)
    with console.capture() as capture:
        console.print(live.renderable())
    assert "so far" in capture.get()


def test_drawing_follows_the_options_and_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(choose_progress(quiet=True, as_json=True, budget_s=None)) is JsonLines
    assert type(choose_progress(quiet=True, as_json=False, budget_s=None)) is Silence
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(choose_progress(quiet=False, as_json=False, budget_s=None)) is Lines
