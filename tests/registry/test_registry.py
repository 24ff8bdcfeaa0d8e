"""Versions never change, aliases move in one step, and the log of decisions cannot be changed unnoticed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

import modelwright
from modelwright.artifacts.manifest import manifest_digest
from modelwright.errors import BundleError, InvalidInputError, StorageError
from modelwright.registry.names import is_reference, read_reference
from modelwright.registry.registry import Registry
from modelwright.registry.source import source_of
from modelwright.runs.index import RunIndex


def registered(home: Path, *names: str, store: str | None = None) -> Registry:
    """A registry in which the runs are versions 1, 2, … of churn."""
    registry = Registry(home, store)
    for name in names:
        registry.register(source_of(name, home), "churn")
    return registry


def test_a_version_is_a_verified_copy_that_outlives_its_run(home: Path) -> None:
    registry = registered(home, "one", "two")
    first, second = registry.versions("churn")[::-1]
    assert (str(first), str(second), first.aliases) == ("churn/1", "churn/2", ())
    assert first.digest == manifest_digest(home / "runs" / first.run / "model") == manifest_digest(first.folder)
    assert first.data
    pins = {pin.run: pin.holder for pin in RunIndex.of(home).pins()}
    assert pins == {first.run: "model churn, version 1", second.run: "model churn, version 2"}
    rows = pl.DataFrame({"x": [0.5, -1.0, None], "z": [1.0, 2.0, 0.1], "city": ["Ulm", "Bonn", "Rom"]})
    run = modelwright.load("one", home=home)
    assert (modelwright.load("churn/1", home=home).predict_proba(rows) == run.predict_proba(rows)).all()


def test_the_same_bytes_are_one_version_and_take_further_aliases_and_tags(home: Path) -> None:
    registry = registered(home, "one")
    again = registry.register(source_of("one", home), "churn", aliases=["champion"], tags={"team": "risk"})
    assert (again.number, again.aliases, again.tags) == (1, ("champion",), {"team": "risk"})
    assert [decision.kind for decision in registry.decisions()] == ["register", "tag", "alias"]
    assert sorted(path.name for path in (home / "models" / "churn").iterdir()) == ["1"]


def test_barriers_refuse_unless_overruled_with_a_reason(home: Path) -> None:
    registry, source = Registry(home), source_of("three", home)
    assert source.barriers
    for given in ({}, {"force": True}, {"why": "so"}):
        with pytest.raises(InvalidInputError, match="should not be registered"):
            registry.register(source, "noise", **given)
    assert registry.register(source, "noise", force=True, why="a drill").number == 1
    (line,) = registry.decisions()
    assert (json.loads(line.evidence)["barriers"], line.why) == (source.barriers, "a drill")
    # A bundle by itself says nothing of how it was tested.
    alone = home.parent / "alone"
    (home / "runs" / source.run / "model").rename(alone)
    assert source_of(alone, home).barriers == ["There is no record of how this bundle was trained and tested."]


def test_promotion_and_rollback_move_the_champion_and_nothing_else(home: Path) -> None:
    registry = registered(home, "one", "two")
    assert registry.promote("churn", 1).aliases == ("champion",)
    registry.set_alias("churn", "challenger", 2)
    assert registry.promote("churn", 2, why="better by 0.02", evidence={"p": 0.01}).aliases == ("champion",)
    assert registry.resolve("churn@champion").number == registry.resolve("churn").number == 2
    n = registry.sequence()
    registry.promote("churn", 2)
    assert registry.sequence() == n  # it was champion already
    assert registry.rollback("churn", why="alarm").number == 1
    with pytest.raises(InvalidInputError, match="pointed to no version before churn/1"):
        registry.rollback("churn")
    registry.promote("churn", 2)
    assert registry.rollback("churn").number == 1
    assert [(d.kind, d.number, d.was) for d in registry.decisions("churn") if d.alias == "champion"] == [
        ("promote", 1, 0), ("promote", 2, 1), ("rollback", 1, 2), ("promote", 2, 1), ("rollback", 1, 2),
    ]  # fmt: skip
    assert registry.verify() == []


def test_a_step_that_asks_twice_decides_once(home: Path) -> None:
    registry = registered(home, "one", "two")
    registry.promote("churn", 1, key="run-1")
    registry.promote("churn", 2, key="run-2")
    for _ in range(2):
        assert registry.rollback("churn", key="watch-2").number == 1
    assert registry.promote("churn", 2, key="run-2").aliases == ()  # decided before, and taken back since
    assert registry.resolve("churn").number == 1


def test_what_does_not_exist_is_named_with_what_does(home: Path) -> None:
    registry = registered(home, "one")
    for reference, message in (
        ("charn", "There is no model 'charn'"), ("churn/2", "There is no version churn/2"), ("churn@champion", "no version"),
        ("churn/0", "no version of a model"), ("../x@champion", "is no name"), ("churn@", "is no name"), (".x", "is no name"),
    ):  # fmt: skip
        with pytest.raises(InvalidInputError, match=message) as error:
            registry.resolve(reference)
        assert error.value.mend
    with pytest.raises(InvalidInputError, match="is no name"):
        registry.register(source_of("one", home), "a/b")
    with pytest.raises(StorageError, match="not made of plain values"):
        registry.promote("churn", 1, evidence={"p": float("nan")})
    assert registry.resolve("churn/1").aliases == ()


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("churn@champion", True), ("a.b-c_d/12", True), ("churn", False), ("runs/one", False), ("../x@y", False), ("a/0", False)],
)
def test_references_are_told_from_paths(text: str, is_one: bool) -> None:
    assert is_reference(text) is is_one
    if is_one:
        assert str(read_reference(text)) == text


def test_a_changed_version_is_refused(home: Path) -> None:
    version = registered(home, "one").promote("churn", 1)
    manifest = version.folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"size"', b'"size" ', 1))
    with pytest.raises(BundleError, match="not the one that was registered"):
        modelwright.load("churn", home=home)
    assert "The manifest of churn/1 was changed." in Registry(home).verify()


CHANGES: dict[str, tuple[str, str]] = {
    "an edited reason": ("UPDATE decisions SET why = 'for fun' WHERE count = 2", "Decision 2 (promote churn/1) was changed."),
    "a removed line": ("DELETE FROM decisions WHERE count = 2", "Decisions before number 3 are missing."),
    "a removed last line": ("DELETE FROM decisions WHERE count = 3", "The last line is missing: 3 decisions were made, 2"),
    "a moved alias": ("UPDATE aliases SET number = 2", "churn@champion points to churn/2, and nobody decided so."),
    "another digest": ("UPDATE versions SET digest = run", "The entry of churn/1 is not the one that was decided on."),
    "two lines swapped": ("UPDATE decisions SET count = 5 - count WHERE count IN (2, 3)", "does not follow"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_log_that_was_changed_by_hand_is_found_out(home: Path, change: str) -> None:
    registry = registered(home, "one")
    registry.promote("churn", 1, why="first")
    registry.register(source_of("two", home), "churn")
    sql, said = CHANGES[change]
    connection = sqlite3.connect(home / "store.db")
    if "aliases" not in sql and "versions" not in sql:
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            connection.execute(sql)
    for name in ("decisions_not_changed", "decisions_not_deleted"):
        connection.execute(f"DROP TRIGGER {name}")
    if "5 - count" in sql:  # one after the other, since no two lines may have one number
        sql = ";".join(f"UPDATE decisions SET count = {to} WHERE count = {at}" for at, to in ((2, 99), (3, 2), (99, 3)))
    connection.executescript(sql)
    connection.commit()
    connection.close()
    assert any(said in sentence for sentence in registry.verify()), registry.verify()


def _promote(home: Path, store: str | None, numbers: list[int]) -> None:
    registry = Registry(home, store)
    for number in numbers:
        registry.promote("churn", number, why=f"process {os.getpid()}")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_promotions_from_many_processes_make_one_history(home: Path, kind: str, request: pytest.FixtureRequest) -> None:
    store = None if kind == "sqlite" else request.getfixturevalue("fresh_postgres")
    registry = registered(home, "one", "two", store=store)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_promote, args=(home, store, [1, 2] * 4)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert registry.verify() == []
    moves = [(d.was, d.number) for d in registry.decisions() if d.kind == "promote"]
    assert all(before[1] == after[0] for before, after in pairwise(moves))
    assert registry.resolve("churn").number == moves[-1][1]


@pytest.mark.parametrize("at", ["after the copy", "after the rename"])
def test_a_registration_that_is_killed_leaves_all_or_nothing(home: Path, at: str) -> None:
    registered(home, "one")
    hook = "copied" if at == "after the copy" else "placed"
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from modelwright.registry import registry as r\nfrom modelwright.registry.source import source_of\n"
        f"real = r.{hook}\n"
        f"def killed(*a):\n    real(*a)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"r.{hook} = killed\n"
        "home = Path(sys.argv[1])\nr.Registry(home).register(source_of('two', home), 'churn')\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(home)]).returncode == -signal.SIGKILL
    registry = Registry(home)
    assert [version.number for version in registry.versions("churn")] == [1]
    assert registry.verify() == []
    again = registry.register(source_of("two", home), "churn")
    assert (again.number, manifest_digest(again.folder)) == (2, again.digest)


def test_the_registry_works_on_postgres_with_triggers(home: Path, fresh_postgres: str) -> None:
    registry = registered(home, "one", "two", store=fresh_postgres)
    registry.promote("churn", 2)
    assert registry.resolve("churn").number == 2
    engine = sa.create_engine(fresh_postgres.replace("postgresql://", "postgresql+psycopg://"))
    for sql in ("UPDATE decisions SET why = ''", "DELETE FROM decisions", "TRUNCATE decisions", "DELETE FROM versions"):
        with pytest.raises(sa.exc.DBAPIError, match="never changed or deleted"), engine.begin() as connection:
            connection.execute(sa.text(sql))
    engine.dispose()
    assert registry.verify() == []
