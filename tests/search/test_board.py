"""What a candidate becomes when it is entered."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modelwright.learners.memory import fit_memory_bytes
from modelwright.metrics import registry as metrics
from modelwright.search.board import TREES_BYTES, Board, Problem
from modelwright.search.grids import Grids
from modelwright.splits.partition import Fold
from modelwright.tables.schema import Task

WIDE = {"learning_rate": 0.03, "n_estimators": 10_000, "num_leaves": 30}


def board(folder: Path, n_classes: int, grids: Grids | None = None) -> Board:
    fold = Fold(np.arange(60), np.arange(60, 90))
    task: Task = "multiclass" if n_classes > 2 else "binary"
    return Board(Problem(task, n_classes, metrics.get("log_loss", task), [fold], fold, 0, True, grids=grids or {}), folder, 1)


def test_trees_of_many_classes_have_room_for_fewer_rounds(tmp_path: Path) -> None:
    few, many = (board(tmp_path, n).add("lightgbm", WIDE, "probe") for n in (2, 20))
    assert few.params["n_estimators"] > 2 * many.params["n_estimators"]
    assert many.params["n_estimators"] > 1_000
    trees = fit_memory_bytes("lightgbm", many.params, 90, 4, 0, 20) - fit_memory_bytes(
        "lightgbm", many.params | {"n_estimators": 0}, 90, 4, 0, 20
    )
    assert 0.9 * TREES_BYTES < trees <= TREES_BYTES
    assert WIDE["n_estimators"] == 10_000, "what was proposed is not changed in place"


def test_rounds_of_the_user_are_the_users(tmp_path: Path) -> None:
    given = {"lightgbm": {"n_estimators": (10_000,)}}
    assert board(tmp_path, 20, given).add("lightgbm", WIDE, "probe").params == WIDE


def test_what_does_not_boost_is_taken_as_it_is(tmp_path: Path) -> None:
    for algorithm, params in (("extra_trees", {"n_estimators": 5_000}), ("linear", {}), ("lightgbm", {"num_leaves": 4})):
        assert board(tmp_path, 20).add(algorithm, params, "probe").params == params
