"""Every algorithm of the registry keeps the contract of `learners.base`."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwright.learners import registry
from modelwright.testing.learners import CHECKS, LearnerCheck, check_learner, check_registry


@pytest.mark.parametrize("check", check_registry(), ids=str)
def test_learner_keeps_the_contract(check: LearnerCheck, tmp_path: Path) -> None:
    check(tmp_path)


def test_contract_covers_every_task_of_a_learner() -> None:
    checks = check_learner("linear")

    assert len(checks) == 3 * len(CHECKS)
    assert {check.case.task for check in checks} == set(registry.get("linear").algorithm.tasks)
