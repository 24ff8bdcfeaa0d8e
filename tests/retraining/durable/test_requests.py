"""What was asked for stands in the store, once; what a step made stands beside it, once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from modelwright.errors import InvalidInputError
from modelwright.retraining.requests import Asked, Retrainings
from modelwright.retraining.rules import Trigger

BY_HAND = Trigger("hand", "because", "2026-01-01T00:00:00+00:00")


@pytest.fixture
def retrainings(store_url: str, tmp_path: Path) -> Retrainings:
    return Retrainings(tmp_path, store_url)


def test_of_many_who_ask_at_once_one_gets_a_new_retraining_and_all_the_same_one(retrainings: Retrainings) -> None:
    retrainings.open()  # the tables are there
    found: list[Asked] = []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        found.append(retrainings.ask("churn", BY_HAND))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(asked.new for asked in found) == [False] * 7 + [True]
    assert len({asked.retraining.id for asked in found}) == 1
    assert retrainings.ask("other", BY_HAND).new


def test_a_key_is_honoured_after_the_end_too(retrainings: Retrainings) -> None:
    first = retrainings.ask("churn", BY_HAND, key="slot 2026-01-01T03:00").retraining
    retrainings.end(first.id, "promoted", "better")
    again = retrainings.ask("churn", BY_HAND, key="slot 2026-01-01T03:00")
    assert (again.new, again.retraining.id, again.retraining.outcome) == (False, first.id, "promoted")
    assert retrainings.ask("churn", BY_HAND, key="slot 2026-01-02T03:00").new


def test_what_a_step_made_first_counts_and_answers_ever_after(retrainings: Retrainings) -> None:
    one = retrainings.ask("churn", BY_HAND).retraining
    assert retrainings.begin(one.id, "train", "a") is None
    assert retrainings.begin(one.id, "train", "b") is None
    assert retrainings.finish(one.id, "train", {"run": "a"}, version=3) == {"run": "a"}
    assert retrainings.finish(one.id, "train", {"run": "b"}) == {"run": "a"}
    assert retrainings.begin(one.id, "train", "c") == {"run": "a"}
    (line,) = retrainings.steps(one.id)
    assert (line.step, line.attempts, line.made) == ("train", 2, {"run": "a"})
    now = retrainings.get(one.id)
    assert (now.state, now.step, now.worker, now.version) == ("running", "train", "b", 3)


def test_the_first_end_holds(retrainings: Retrainings) -> None:
    one = retrainings.ask("churn", BY_HAND).retraining
    retrainings.end(one.id, "rejected", "worse")
    assert retrainings.end(one.id, "promoted", "better").outcome == "rejected"
    assert retrainings.begin(one.id, "release", "late") == {"stop": "rejected", "told": "worse"}
    assert retrainings.get(one.id).state == "ended"
    assert [each.id for each in retrainings.latest("churn")] == [one.id]


def test_a_person_decides_once_and_only_where_something_waits(retrainings: Retrainings) -> None:
    with pytest.raises(InvalidInputError, match="No challenger"):
        retrainings.approve("churn", approve=True, by_whom="ann")
    one = retrainings.ask("churn", BY_HAND).retraining
    retrainings.begin(one.id, "train", "a")
    with pytest.raises(InvalidInputError, match="another step"):
        retrainings.approve("churn", approve=True, by_whom="ann")
    retrainings.begin(one.id, "approve", "a")
    assert retrainings.wait(one.id).state == "waiting"
    assert retrainings.approve("churn", approve=False, by_whom="ann").approval == "no"
    with pytest.raises(InvalidInputError, match="ann has decided"):
        retrainings.approve("churn", approve=True, by_whom="bob")


def test_homes_in_one_database_do_not_see_each_other(store_url: str, tmp_path: Path) -> None:
    here, there = Retrainings(tmp_path / "a", store_url), Retrainings(tmp_path / "b", store_url)
    assert here.ask("churn", BY_HAND).new
    assert there.ask("churn", BY_HAND).new
    assert len(here.open()) == len(there.open()) == 1
