"""The index is safe for several writers, and is what the folders say it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

import modelwright
from modelwright.runs.entry import RunEntry
from modelwright.runs.index import Indexed, Pin, RunIndex
from modelwright.runs.listing import list_runs
from modelwright.store.database import Database
from modelwright.store.locks import FolderLock


def entry(k: int, **more) -> RunEntry:
    return RunEntry(f"run-{k:04}", f"name {k % 7}", "job", "finished", f"2026-01-01T00:{k % 60:02}:00+00:00", **more)


def test_entries_come_back_as_they_were_newest_first(store_url: str) -> None:
    index = RunIndex(Database(store_url))
    whole = entry(
        1, metrics={"a": 0.1}, intervals={"a": (0.0, 1.0)}, params={"x": [1, "two", None]}, tags={"ü": "\"'--"}, seed=0
    )
    index.put_all([Indexed(whole, "s1"), Indexed(entry(2), "s2")])
    assert index.entries() == [entry(2), whole]
    index.put(entry(1, note="again"), "s3")
    assert index.lines()[1] == Indexed(entry(1, note="again"), "s3")
    index.remove(["run-0002", "never there"])
    assert [each.id for each in index.entries()] == ["run-0001"]
    index.replace_all([Indexed(entry(k), "s") for k in range(1500)])
    assert len(index.entries()) == 1500


def test_homes_that_share_a_store_do_not_see_each_other(store_url: str) -> None:
    one, two = RunIndex(Database(store_url), "host:/one"), RunIndex(Database(store_url), "host:/two")
    one.put(entry(1), "s")
    two.put(entry(2), "s")
    two.pin("run-0001", "model")
    two.replace_all([])
    assert [each.id for each in one.entries()] == ["run-0001"]
    assert (two.entries(), one.pins()) == ([], [])


def test_writers_at_the_same_moment_lose_nothing(store_url: str) -> None:
    RunIndex(Database(store_url)).entries()
    failures: list[BaseException] = []

    def write(part: int) -> None:
        try:
            index = RunIndex(Database(store_url))
            for k in range(15):
                index.put(entry(100 * part + k), "s")
                index.put(entry(9999, note=str(part)), "s")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(RunIndex(Database(store_url)).entries()) == 4 * 15 + 1


def test_two_processes_may_make_the_tables_and_write_at_once(store_url: str) -> None:
    code = (
        "import sys\nfrom modelwright.runs.index import RunIndex\nfrom modelwright.runs.entry import RunEntry\n"
        "from modelwright.store.database import Database\n"
        "index = RunIndex(Database(sys.argv[1]))\n"
        "for k in range(10):\n"
        "    index.put(RunEntry(f'{sys.argv[2]}-{k}', 'n', 'job', 'finished', '2026-01-01'), 's')\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, store_url, name]) for name in "ab"]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    assert len(RunIndex(Database(store_url)).entries()) == 20


def test_pins_are_kept_by_holder(store_url: str) -> None:
    index = RunIndex(Database(store_url))
    index.pin("run-0001", "model churn 3", "in production")
    index.pin("run-0001", "model churn 4")
    index.pin("run-0001", "model churn 4", "candidate")
    assert index.pins() == [Pin("run-0001", "model churn 3", "in production"), Pin("run-0001", "model churn 4", "candidate")]
    index.unpin("run-0001", "model churn 3")
    assert [pin.holder for pin in index.pins()] == ["model churn 4"]


def names(home: Path) -> list[str]:
    return [each.name for each in list_runs(home).entries]


def test_a_training_is_in_the_index_when_it_ends(home: Path) -> None:
    assert [each.name for each in RunIndex.of(home).entries()] == ["same", "better", "first"]


def test_the_list_notices_folders_that_come_go_and_change(home: Path) -> None:
    assert names(home) == ["seeded", "same", "better", "first"]
    runs = home / "runs"
    (first,) = runs.glob("first-*")
    shutil.copytree(first, runs / "copied-20260101-000000")
    shutil.rmtree(next(runs.glob("same-*")))
    (runs / "somebody's folder").mkdir()
    (runs / "note.txt").write_text("x")
    (next(runs.glob("seeded-*")) / "labels.json").write_text('{"tags": {"by": "hand"}}')
    listing = list_runs(home)
    assert [each.id.split("-")[0] for each in listing.entries] == ["seeded", "better", "first", "copied"]
    assert listing.entries[0].tags == {"by": "hand"}
    assert listing.notes == []
    assert {each.id for each in RunIndex.of(home).entries()} == {each.id for each in listing.entries}


def test_a_damaged_run_is_told_and_hides_no_other(home: Path) -> None:
    (first,) = (home / "runs").glob("first-*")
    (first / "run.json").write_text('{"id": ')
    os.utime(first)
    listing = list_runs(home)
    assert [each.name for each in listing.entries] == ["seeded", "same", "better"]
    (note,) = listing.notes
    assert first.name in note


def test_without_a_store_the_folders_are_listed(home: Path) -> None:
    (home / "store.db").write_text("something else entirely, long enough to be read as a header of a database" * 20)
    listing = list_runs(home)
    assert len(listing.entries) == 4
    assert "folders were read instead" in listing.notes[0]


def test_a_store_that_is_deleted_costs_no_run(home: Path) -> None:
    before = list_runs(home).entries
    for path in home.glob("store.db*"):
        path.unlink()
    assert list_runs(home).entries == before


def test_a_store_in_postgres_lists_the_home_too(home: Path, fresh_postgres: str) -> None:
    assert len(list_runs(home, fresh_postgres).entries) == 4
    assert list_runs(home, fresh_postgres).entries == list_runs(home).entries


def test_a_training_whose_store_fails_at_the_end_is_not_lost(home: Path) -> None:
    index = RunIndex.of(home)
    index.remove([each.id for each in index.entries()])
    assert len(list_runs(home).entries) == 4


def unfinished(home: Path, name: str) -> Path:
    """What a training that is not published has in its place."""
    folder = home / "tmp" / name
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(f'{{"run": "{name}", "created": "2027-01-01T00:00:00+00:00"}}')
    return folder


def test_trainings_under_way_and_killed_ones_are_listed(home: Path, command) -> None:
    unfinished(home, "dead-20270101-000000")
    lock = FolderLock.take(unfinished(home, "alive-20270101-000000"))
    assert lock is not None
    found = {each.name: each.state for each in list_runs(home).entries if each.state != "finished"}
    assert found == {"dead": "killed", "alive": "running"}
    assert "resume dead-20270101-000000" in command("show", "dead", "--home", home).stdout
    told = command("delete", "dead-20270101-000000", "alive-20270101-000000", "--yes", "--home", home).stdout
    assert "deleted: dead-" in told
    assert "stays: alive-20270101-000000 (somebody works on it)" in told
    assert [path.name for path in (home / "tmp").iterdir()] == ["alive-20270101-000000"]
    lock.release()


def test_jobs_are_listed_beside_trainings(home: Path, command) -> None:
    for seed in (0, 1):
        with modelwright.start_run("mine", home=home, seed=seed, tags={"team": "x"}) as run:
            run.log(params={"rate": 0.1}, metrics={"loss": 0.5 - 0.1 * seed, "broken": float("nan")})
            newest, *_ = [each for each in list_runs(home).entries if each.name == "mine"]
            assert newest.state == "running"
    found = [each for each in list_runs(home).entries if each.kind == "job"]
    assert [(each.state, each.metrics, each.tags) for each in found] == [
        ("finished", {"loss": 0.4}, {"team": "x"}), ("finished", {"loss": 0.5}, {"team": "x"}),
    ]  # fmt: skip
    assert found[0].group == found[1].group
    assert {each.id: each for each in RunIndex.of(home).entries()}[found[0].id] == found[0]
    only = command("runs", "--filter", 'kind == "job" and metrics.loss < 0.45 and params.rate == 0.1', "--home", home)
    assert "1 of 6 runs." in only.stdout
    both = command("compare", found[0].id, found[1].id, "--home", home).stdout
    assert "mean ± standard deviation" in both
    assert "loss" in command("show", found[0].id, "--home", home).stdout


def test_an_entry_of_a_later_version_is_read_from_its_folder(home: Path) -> None:
    index = RunIndex.of(home)
    with index.database.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET entry = 'not what we write'")
    assert len(list_runs(home).entries) == 4
    assert len(index.entries()) == 4


@pytest.mark.parametrize("name", ["first", "better"])
def test_an_entry_says_what_its_record_says(home: Path, name: str) -> None:
    (folder,) = (home / "runs").glob(f"{name}-*")
    record = msgspec.json.decode((folder / "run.json").read_bytes())
    (found,) = [each for each in list_runs(home).entries if each.name == name]
    assert found.metrics["roc_auc"] == record["evaluation"]["score"]["value"]
    assert found.validation == record["validation_score"]
    assert found.params["trials"] == record["spec"]["trials"]
    assert (found.task, found.target, found.seed) == ("binary", "Churn", 0)
    assert found.better is record["evaluation"]["comparison"]["better"]


def test_a_model_no_better_than_the_best_has_no_score_of_its_own(home: Path) -> None:
    (same,) = [each for each in list_runs(home).entries if each.name == "same"]
    assert same.metrics == {}
    assert "not shown to be better than better-" in same.withheld
    assert same.validation is not None


def test_runs_that_differ_in_the_seed_alone_are_a_group(home: Path) -> None:
    groups = {each.name: each.group for each in list_runs(home).entries}
    assert groups["first"] == groups["seeded"] == groups["same"]
    assert groups["first"] != groups["better"]
