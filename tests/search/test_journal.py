"""What the workers finished is not done again, and what is not whole is done once more."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from modelwright.metrics import registry as metrics
from modelwright.search.board import Problem
from modelwright.search.budget import Budget
from modelwright.search.executor import Executor
from modelwright.search.jobs import Done, Fit, Job
from modelwright.search.journal import Answered, Journal, finished_trials, read_lines
from modelwright.search.portfolio import Entry
from modelwright.search.search import Search
from modelwright.search.views import Views
from modelwright.splits.partition import Fold
from modelwright.tables.schema import Column, Schema

N = 600
RNG = np.random.default_rng(0)
TABLE = pl.DataFrame({f"x{j}": RNG.normal(size=N) for j in range(4)})
Y = (TABLE["x0"].to_numpy() + RNG.normal(size=N) > 0).astype(np.int64)
SCHEMA = Schema(tuple(Column(name, "number", "feature") for name in TABLE.columns))


class Process:
    """What one process of a run has: its journal, workers and views; ``sent`` counts what the workers were given."""

    def __init__(self, folder: Path, versions: str = "1") -> None:
        file, self.work = folder / "journal.jsonl", folder / "work"
        self.work.mkdir(exist_ok=True)
        self.journal = Journal(file, self.work, lambda: 0.0, lines=read_lines(file), versions=versions)
        self.executor = Executor(1, self.work / "workers.log", threading.Event(), journal=self.journal)
        self.views = Views(self.work / "views", TABLE, SCHEMA, Y, None, seed=0)
        self.sent: list[Job] = []
        begin = self.journal.begin

        def counted(job: Job) -> Job:
            self.sent.append(job)
            return begin(job)

        self.journal.begin = counted  # type: ignore[method-assign]

    def do(self, *jobs: Job) -> list[Done]:
        answers = dict(self.executor.run(jobs))
        return [answers[k] for k in range(len(jobs))]

    def view(self, n_rows: int = 400) -> Job:
        return self.views.job("probe", np.arange(n_rows), np.arange(400, N))

    def fit(self, name: str, algorithm: str = "linear", **params: object) -> Fit:
        return Fit(str(self.views.path("probe")), str(self.work / "fits" / name), algorithm, params, "binary", 2, "roc_auc", 0)

    def end(self) -> None:
        self.executor.__exit__(None, None, None)
        self.journal.close()


def test_a_later_process_does_only_what_is_missing_wherever_its_outputs_go(tmp_path: Path) -> None:
    first = Process(tmp_path)
    _, linear, constant, bad = first.do(
        first.view(), first.fit("0-probe"), first.fit("1-probe", "constant"), first.fit("2-probe", alpha=-1.0)
    )
    prediction = np.load(first.work / "fits" / "0-probe" / "valid_pred.npy")
    first.end()
    (first.work / "fits" / "3-probe").mkdir()  # what a kill left under way

    second = Process(tmp_path)
    answers = second.do(second.view(), second.fit("7-probe"), second.fit("8-probe", alpha=-1.0))
    assert second.sent == []
    assert answers[1:] == [linear, bad]
    assert "alpha" in bad.error
    np.testing.assert_array_equal(np.load(second.work / "fits" / "7-probe" / "valid_pred.npy"), prediction)
    assert sorted(path.name for path in (second.work / "fits").iterdir()) == ["7-probe"]
    assert [(job.algorithm, job.validate) for job in second.executor.unused()] == [("constant", True)]
    # Other rows, another seed or other values are another job.
    second.do(second.view(n_rows=300), second.fit("9-probe"), second.fit("1-probe", "constant"))
    assert [getattr(job, "algorithm", "view") for job in second.sent] == ["view", "linear", "constant"]
    assert second.do(second.fit("10-probe"))[0].score is not None
    assert len(second.sent) == 3, "the same job twice is done once"
    second.end()
    assert constant.score == 0.5
    assert finished_trials(read_lines(tmp_path / "journal.jsonl")) == 3


@pytest.mark.parametrize("damage", ["changed", "missing", "torn line", "other version"])
def test_what_is_not_whole_is_done_again(tmp_path: Path, damage: str) -> None:
    first = Process(tmp_path)
    _, before = first.do(first.view(), first.fit("0-probe"))
    first.end()
    file = tmp_path / "journal.jsonl"
    line = next(line for line in read_lines(file) if isinstance(line, Answered) and isinstance(line.job, Fit))
    kept = first.work / "done" / line.place / "valid_pred.npy"
    if damage == "changed":
        kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    elif damage == "missing":
        kept.unlink()
    elif damage == "torn line":
        file.write_bytes(file.read_bytes()[:-40])

    second = Process(tmp_path, versions="2" if damage == "other version" else "1")
    _, again = second.do(second.view(), second.fit("0-probe"))
    second.end()
    assert [type(job).__name__ for job in second.sent] == (["Prepare"] if damage == "other version" else []) + ["Fit"]
    assert again.score == before.score
    assert len(read_lines(file)) == len(file.read_bytes().splitlines()), "no line is glued to a torn one"
    third = Process(tmp_path, versions="2" if damage == "other version" else "1")
    assert third.do(third.view(), third.fit("0-probe"))[1] == again
    third.end()
    assert third.sent == []


def test_errors_of_the_moment_are_no_answers(tmp_path: Path) -> None:
    process = Process(tmp_path)
    job = process.fit("0-probe")
    process.do(process.view())
    for done in (
        Done(error="ended by the stop", ended="stop"),
        Done(error="the worker process died", ended="died"),
        Done(error="OSError: 12 requested and 0 written"),
        Done(error="out of memory"),
    ):
        process.journal.end(job, process.journal.begin(job), done)
        assert process.journal.answer(job) is None
    process.end()


def test_with_a_clock_finished_trials_count_although_the_search_goes_another_way(tmp_path: Path) -> None:
    rows = np.arange(N)
    folds = [Fold(rows[rows % 3 != k], rows[rows % 3 == k]) for k in range(3)]
    problem = Problem("binary", 2, metrics.get("roc_auc", "binary"), folds, folds[0], 0, True, y=Y)

    def search(process: Process, budget_s: float) -> Search:
        budget = Budget(budget_s, time.monotonic())
        return Search(problem, process.executor, process.views, process.work, budget, lambda event: None)

    first = Process(tmp_path)
    one = search(first, 1000.0)
    one.probe(["constant"], [Entry("linear", {}), Entry("linear", {"alpha": 2.0})])
    tuned = [one.add("linear", {"alpha": 3.0 + k}, "tune") for k in range(2)]
    one.run([(c, None) for c in tuned], None)
    one.run([(tuned[0], 1)], None)
    first.end()

    second = Process(tmp_path)
    two = search(second, 0.0)  # nothing can be begun any more
    two.probe(["constant"], [Entry("linear", {}), Entry("linear", {"alpha": 2.0})])
    two.recall()
    second.end()
    assert second.sent == []
    found = {str(c.params): c.fold_scores for c in two.candidates if not c.baseline}
    assert found == {str(c.params): c.fold_scores for c in one.candidates if not c.baseline}
    assert len(found["{'alpha': 3.0}"]) == 2
    assert second.executor.unused() == []
