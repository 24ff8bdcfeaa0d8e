"""The commands over all runs: list, show, compare, label, delete, check, doctor."""

from __future__ import annotations

import csv
import io
import json
import shutil
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import modelwright
from modelwright.errors import InvalidInputError
from modelwright.runs.entries import find_folder
from modelwright.runs.entry import RunEntry
from modelwright.runs.index import Pin, RunIndex
from modelwright.runs.labels import read_labels, relabel
from modelwright.runs.listing import list_runs
from modelwright.runs.removal import best_of, delete_runs, reasons_to_stay


def test_runs_are_listed_filtered_and_sorted(home: Path, command) -> None:
    relabel(find_folder("first", home), {"team": "x"})
    everything = command("runs", "--home", home).stdout.splitlines()
    assert [line.split("-")[0] for line in everything[1:]] == ["seeded", "same", "better", "first"]
    assert "withheld" in everything[2]
    only = command("runs", "--filter", 'tags.team == "x" and roc_auc > 0.5', "--home", home).stdout
    assert "first-" in only
    assert "1 of 4 runs." in only
    rows = list(csv.DictReader(io.StringIO(command("runs", "--csv", "--sort", "-validation", "--home", home).stdout)))
    values = [float(row["validation"]) for row in rows]
    assert values == sorted(values, reverse=True)
    answer = json.loads(command("runs", "--json", "--limit", "1", "--home", home).stdout)
    assert (answer["matching"], [run["name"] for run in answer["runs"]]) == (4, ["seeded"])


def test_a_bad_filter_ends_with_code_2_and_a_place(home: Path, command) -> None:
    done = command("runs", "--filter", 'metrics.roc_auc > "x"', "--home", home)
    assert done.returncode == 2
    assert "position 19" in done.stderr
    assert "mend: " in done.stderr


def test_an_empty_home_has_no_runs(tmp_path: Path, command) -> None:
    done = command("runs", "--home", tmp_path / "nothing")
    assert (done.returncode, done.stdout.strip()) == (0, f"There are no runs in {tmp_path / 'nothing'} yet.")
    assert not (tmp_path / "nothing").exists()


def test_all_runs_are_a_frame_in_one_call(trained: Path) -> None:
    runs = modelwright.list_runs(sort="-metrics.roc_auc", home=trained)
    frame = runs.to_polars()
    assert frame.height == len(runs) == 4
    assert {"id", "metrics.roc_auc", "low.roc_auc", "params.trials", "findings.critical"} <= set(frame.columns)
    pandas = runs.to_pandas()
    assert pandas["metrics.roc_auc"].tolist()[:3] == frame["metrics.roc_auc"].to_list()[:3]
    assert len(modelwright.list_runs("roc_auc > 2", home=trained)) == 0
    assert modelwright.list_runs(limit=2, home=trained)[1].name == "same"


def test_tags_and_note_are_set_shown_and_removed(home: Path, command) -> None:
    assert command("tag", "first", "team=x", "stage=a=b", "--note", "a trial", "--home", home).returncode == 0
    folder = find_folder("first", home)
    assert read_labels(folder).tags == {"team": "x", "stage": "a=b"}
    assert "a trial" in command("show", "first", "--home", home).stdout
    command("tag", "first", "--remove", "stage", "--home", home)
    entries = {entry.name: entry for entry in RunIndex.of(home).entries()}
    assert (entries["first"].tags, entries["first"].note) == ({"team": "x"}, "a trial")
    refused = command("tag", "first", "--remove", "stage", "--home", home)
    assert (refused.returncode, "no tag 'stage'" in refused.stderr) == (2, True)
    assert command("tag", "first", "team", "--home", home).returncode == 2


def test_tags_given_at_the_same_moment_are_all_kept(home: Path) -> None:
    folder = find_folder("first", home)
    threads = [threading.Thread(target=relabel, args=(folder, {f"t{k}": str(k)})) for k in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_labels(folder).tags) == 24
    assert not list(folder.glob(".labels*"))


def test_deleting_says_what_went_and_what_stayed(home: Path, command) -> None:
    index = RunIndex.of(home)
    index.pin(find_folder("better", home).name, "model churn 1", "production")
    dry = command("delete", "--older-than", "0s", "--dry-run", "--home", home).stdout
    assert dry.count("would be deleted: ") == 2  # the one of the year 2099 is not older than now
    assert "stays: better-" in dry
    assert len(list_runs(home).entries) == 4
    done = command("delete", "first", "better", "--yes", "--home", home).stdout
    assert "deleted: first-" in done
    assert "needed by model churn 1 (production)" in done
    assert [entry.name for entry in list_runs(home).entries] == ["seeded", "same", "better"]
    assert list((home / "trash").iterdir()) == []


def test_nothing_is_deleted_without_a_yes_or_a_name(home: Path, command) -> None:
    assert command("delete", "first", "--home", home).returncode == 2
    assert command("delete", "--home", home).returncode == 2
    assert command("delete", "nobody", "--home", home).returncode == 2
    assert command("delete", "../home", "--yes", "--home", home).returncode == 2
    assert command("delete", "--older-than", "soon", "--home", home).returncode == 2
    assert command("delete", "--older-than", "30d", "--yes", "--home", home).stdout.strip() == "Nothing to delete."
    assert len(list_runs(home).entries) == 4


def job(name: str, **more) -> RunEntry:
    return RunEntry(
        name, "j", "job", more.pop("state", "finished"), "2026-01-01", metric="loss", greater_is_better=False, **more
    )


def test_the_best_of_each_question_are_kept() -> None:
    runs = [job(f"j{k}", metrics={"loss": float(k)}) for k in range(5)]
    assert best_of(runs, 2) == {"j0", "j1"}


def test_runs_that_are_needed_worked_on_or_have_children_stay() -> None:
    runs = [job("pinned"), job("works", state="running"), job("parent"), job("free"), job("child", parent="parent")]
    stay = reasons_to_stay(runs[:4], [Pin("pinned", "m")], runs)
    assert set(stay) == {"pinned", "works", "parent"}
    assert "parent" not in reasons_to_stay([runs[2], runs[4]], [], runs)


def test_a_pin_that_comes_late_still_holds(home: Path) -> None:
    listing = list_runs(home).entries
    index = RunIndex.of(home)
    index.pin(listing[0].id, "late")
    assert delete_runs(home, index, listing[:1], listing).gone == []
    assert (home / "runs" / listing[0].id).is_dir()


def test_a_run_is_never_deleted_outside_of_its_home(home: Path) -> None:
    outside = home.parent / "outside"
    outside.mkdir()
    with pytest.raises(Exception, match="no name of a run"):
        delete_runs(home, RunIndex.of(home), [job("../../outside")], [])
    assert outside.is_dir()


def test_gates_decide_the_exit_code(home: Path, command) -> None:
    passing = command("check", "first", "--fail-if", "roc_auc < 0.5", "--fail-if", "findings.critical > 0", "--home", home)
    assert (passing.returncode, passing.stdout.count("passes: ")) == (0, 2)
    failing = command("check", "first", "--fail-if", "roc_auc < 0.999", "--home", home)
    assert failing.returncode == 4
    assert failing.stdout.startswith("fails: roc_auc < 0.999 (roc_auc = 0.")


def test_a_gate_that_cannot_be_told_fails(home: Path, command) -> None:
    withheld = command("check", "same", "--fail-if", "roc_auc < 0.5", "--home", home)
    assert withheld.returncode == 4
    assert "cannot be told" in withheld.stdout
    assert "not shown to be better than better-" in withheld.stdout
    assert command("check", "first", "--fail-if", "metrics.nothing < 1", "--home", home).returncode == 4
    misspelt = command("check", "first", "--fail-if", "roc_auk < 1", "--home", home)
    assert (misspelt.returncode, "Did you mean roc_auc" in misspelt.stderr) == (2, True)


def test_pipelines_get_a_summary_and_junit(home: Path, command, tmp_path: Path) -> None:
    written = tmp_path / "summary.md"
    written.write_text("before\n")
    gates = ("--fail-if", "roc_auc < 0.999", "--fail-if", 'name == "a|b`c"')
    done = command(
        "check", "first", *gates, "--summary", "github", "--junit", "j.xml", "--home", home, GITHUB_STEP_SUMMARY=str(written)
    )
    assert done.returncode == 4
    text = written.read_text()
    assert text.startswith("before\n## Run first-")
    assert "1 of 2 gates failed" in text
    assert "**ROC AUC**" in text
    suite = ET.parse(tmp_path / "j.xml").getroot()[0]
    kinds = [case.get("classname") for case in suite]
    assert kinds[:2] == ["modelwright.gate", "modelwright.gate"]
    assert kinds[-1] == "modelwright.baseline"
    assert "modelwright.finding" in kinds
    assert int(suite.get("failures") or 0) == len(suite.findall("testcase/failure"))
    assert suite[0].find("failure") is not None


def test_training_can_be_a_gate_itself(home: Path, command, tmp_path: Path) -> None:
    rows = ["x,y,label"] + [f"{k % 17},{(k * 7) % 11},{'a' if (k % 17) > 8 else 'b'}" for k in range(300)]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    train = ("train", "rows.csv", "-t", "label", "--trials", "1", "-a", "linear", "--home", "h", "-q")
    refused = command(*train, "--fail-if", "nonsense <")
    assert refused.returncode == 2
    assert not (tmp_path / "h").exists()
    done = command(*train, "--fail-if", "roc_auc < 2", "--junit", "j.xml", "--summary", "s.md")
    assert done.returncode == 4
    assert "fails: roc_auc < 2" in done.stdout
    assert ET.parse(tmp_path / "j.xml").getroot().tag == "testsuites"
    assert (tmp_path / "s.md").read_text().startswith("## Run rows-")


def test_a_healthy_home_has_no_trouble(home: Path, command) -> None:
    list_runs(home)
    done = command("doctor", "--home", home)
    assert (done.returncode, done.stdout) == (0, "4 runs and 1 vault looked at, 0 troubles.\n")


def _spoil_model(home: Path) -> None:
    file = next((find_folder("first", home) / "model").rglob("*.npz"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")


def _spoil_vault(home: Path) -> None:
    (find_folder("first", home) / "vault" / "evaluation.arrow").write_bytes(b"other rows")


def _spoil_record(home: Path) -> None:
    (find_folder("first", home) / "run.json").write_text("{}")


def _lose_report(home: Path) -> None:
    (find_folder("first", home) / "report.html").unlink()


def _spoil_ledger(home: Path) -> None:
    with RunIndex.of(home).database.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER openings_not_changed")
        connection.exec_driver_sql("UPDATE openings SET score = 0.99 WHERE count = 1")


def _lose_store(home: Path) -> None:
    for path in home.glob("store.db*"):
        path.unlink()


def _spoil_index(home: Path) -> None:
    index = RunIndex.of(home)
    index.remove([find_folder("first", home).name])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_spoil_model, "differs from the manifest"),
        (_spoil_vault, "were changed since they were sealed"),
        (_spoil_record, "cannot be read"),
        (_lose_report, "missing: report.html"),
        (_spoil_ledger, "Opening 1 was changed"),
        (_lose_store, "are not in this store"),
        (_spoil_index, "Runs are not in it: first-"),
    ],
)
def test_the_doctor_finds_what_is_wrong_and_names_the_mend(home: Path, command, spoil, words: str) -> None:
    spoil(home)
    done = command("doctor", "--json", "--home", home)
    assert done.returncode == 1
    troubles = json.loads(done.stdout)["troubles"]
    assert any(words in trouble["what"] for trouble in troubles), troubles
    assert all(trouble["mend"] and trouble["where"] for trouble in troubles)


def test_the_index_is_made_anew_from_the_folders(home: Path, command) -> None:
    list_runs(home)
    index = RunIndex.of(home)
    before = index.lines()
    with index.database.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET entry = 'x', name = 'wrong', created = ''")
    shutil.rmtree(find_folder("same", home))
    assert command("doctor", "--rebuild", "--home", home).returncode == 0
    assert index.lines() == [line for line in before if line.entry.name != "same"]


def test_names_find_the_latest_run_and_no_way_out_of_the_home(home: Path) -> None:
    assert find_folder("first", home).name.startswith("first-")
    for name in ("", ".", "..", "../home/runs/x", "first-2", "*"):
        with pytest.raises(InvalidInputError, match="no run"):
            find_folder(name, home)
