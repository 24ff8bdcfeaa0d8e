"""A decorated function stays what it was, and each call is a run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import modelwright
from modelwright.errors import InvalidInputError


def test_arguments_become_params_and_a_returned_dict_metrics(tmp_path: Path) -> None:
    @modelwright.job(home=tmp_path, tags={"team": "x"})
    def train(lr: float, *rest: int, epochs: int = 3, data: Any = None, **more: Any) -> dict[str, Any]:
        """Doc."""
        return {"loss": lr * epochs, "model": object(), 3: 4}

    returned = train(0.5, 1, 2, data=object(), extra="yes")

    run: Any = modelwright.open_run("train", home=tmp_path)
    assert returned["loss"] == 1.5
    assert (train.__name__, train.__doc__) == ("train", "Doc.")
    assert run.params == {"lr": 0.5, "rest": [1, 2], "epochs": 3, "data": "object", "extra": "yes"}
    assert (run.metrics, run.tags, run.state) == ({"loss": 1.5}, {"team": "x"}, "finished")


def test_a_returned_number_is_the_score_and_nothing_else_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    @modelwright.job
    def score() -> float:
        return 0.75

    @modelwright.job(name="other")
    def text() -> str:
        return "0.75"

    assert (score(), text()) == (0.75, "0.75")
    assert modelwright.open_run("score").metrics == {"score": 0.75}  # type: ignore[union-attr]
    assert modelwright.open_run("other").metrics == {}  # type: ignore[union-attr]


def test_a_call_within_a_run_is_its_child_and_an_error_is_passed_on(tmp_path: Path) -> None:
    @modelwright.job
    def fails() -> None:
        raise ValueError("no")

    with modelwright.start_run("outer", home=tmp_path) as outer, pytest.raises(ValueError, match="no"):
        fails()
    run: Any = modelwright.open_run("fails", home=tmp_path)
    assert (run.state, run.error, run.record.parent) == ("failed", "ValueError: no", outer.id)


def test_methods_and_async_functions_are_jobs_too(tmp_path: Path) -> None:
    class Trainer:
        @modelwright.job(home=tmp_path, name="method")
        def fit(self, lr: float) -> float:
            return lr

    @modelwright.job(home=tmp_path)
    async def slow(lr: float) -> float:
        await asyncio.sleep(0)
        return lr

    assert (Trainer().fit(0.1), asyncio.run(slow(0.2))) == (0.1, 0.2)
    for name, lr in (("method", 0.1), ("slow", 0.2)):
        run: Any = modelwright.open_run(name, home=tmp_path)
        assert (run.params, run.metrics) == ({"lr": lr}, {"score": lr})


def test_a_wrong_call_is_the_usual_error_and_makes_no_run(tmp_path: Path) -> None:
    @modelwright.job(home=tmp_path)
    def train(lr: float) -> None: ...

    with pytest.raises(TypeError, match="lr"):
        train()  # type: ignore[call-arg]
    assert not (tmp_path / "runs").exists()


def test_generators_and_classes_are_refused() -> None:
    def generator() -> Iterator[int]:
        yield 1

    with pytest.raises(InvalidInputError, match="generator"):
        modelwright.job(generator)
    with pytest.raises(InvalidInputError, match="function"):
        modelwright.job(dict)
