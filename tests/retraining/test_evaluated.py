"""Which rows the gate is asked with, what it logs, and the commands around it."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from modelwright.artifacts.manifest import write_manifest
from modelwright.artifacts.period import moment_of, read_period
from modelwright.cli.main import main
from modelwright.monitoring.labels import Label, add_labels
from modelwright.monitoring.prediction_log import Answered, PredictionLog
from modelwright.registry.registry import Registry
from modelwright.retraining.asking import ask, contender, verdict_of
from modelwright.retraining.evaluated import from_log, from_table
from modelwright.retraining.gate import judge
from modelwright.retraining.rules import GateRules

EARLY, LATE = 80, 1500
BETTER = GateRules(require="better")


def modelwright(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(list(words))
    assert isinstance(left.value.code, int)
    return left.value.code, out.getvalue(), err.getvalue()


def test_a_bundle_tells_the_period_of_its_training(home: Path, table: pl.DataFrame) -> None:
    period = read_period(Registry(home).resolve("churn/2").folder)
    assert (period.n_rows, period.n_data, period.time, period.dated) == (LATE, LATE, "seen", True)
    assert (period.first, period.last) == ("2025-01-01T00:00:00+00:00", "2025-03-04T11:00:00+00:00")
    assert period.until == moment_of("2025-03-04T11:00:00") == table["seen"][LATE - 1].replace(tzinfo=dt.UTC).timestamp()


def test_only_mature_labels_of_rows_after_both_trainings_count(home: Path, table: pl.DataFrame) -> None:
    registry = Registry(home)
    old, new = (contender(registry, registry.resolve(f"churn/{k}")) for k in (1, 2))
    rows = table.with_columns(
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise(pl.col("Churn")).alias("Churn"),
        pl.when(pl.int_range(pl.len()) == LATE + 1).then(None).otherwise(pl.col("seen")).alias("seen"),
    )
    now = moment_of("2025-08-01T00:00:00")
    found = from_table(old, new, rows, label_delay_s=10 * 86400.0, now=now)
    assert found.rows.left_out == {
        "without a label": 500, "without a time": 1, "younger than the delay of labels": 136,
        "not after the training of churn/1": 72, "not after the training of churn/2": 1278,
    }  # fmt: skip
    assert len(found.rows.y) == 5000 - sum(found.rows.left_out.values())
    assert found.metric.name == "accuracy"
    assert {"Contract is Month-to-month", "gender is Female"} <= set(found.rows.slices)
    assert found.champion.until == read_period(old.folder).until
    verdict = judge(found.champion, found.challenger, found.rows, BETTER, metric=found.metric)
    assert verdict.promote, verdict.reasons


def test_without_a_time_the_order_of_the_table_tells_or_somebody_vouches(home: Path, table: pl.DataFrame) -> None:
    registry = Registry(home)
    old, new = (contender(registry, registry.resolve(f"churn/{k}")) for k in (1, 2))
    untimed = [Path(shutil.copytree(each.folder, home / f"untimed {k}")) for k, each in enumerate((old, new))]
    for folder in untimed:
        held = json.loads((folder / "manifest.json").read_text())
        lineage = {name: text for name, text in held["lineage"].items() if name not in ("time", "first", "last")}
        (folder / "manifest.json").unlink()
        write_manifest(folder, libraries=held["libraries"], lineage=lineage)
    pair = [each._replace(folder=folder) for each, folder in zip((old, new), untimed, strict=True)]
    found = from_table(*pair, table)
    assert found.rows.left_out == {"of the tables that were trained on": LATE}
    assert judge(*found[:3], BETTER, metric=found.metric).promote
    shuffled = from_table(*pair, table.reverse())
    refused = judge(*shuffled[:3], BETTER, metric=shuffled.metric)
    assert refused.answer == "refused"
    assert "Nothing shows that the rows follow" in refused.reasons[0]
    vouched = from_table(*pair, table[LATE:].reverse(), vouched="customers of March to July")
    assert judge(*vouched[:3], BETTER, metric=vouched.metric).promote


def test_served_rows_are_judged_by_the_labels_that_came_since(home: Path, table: pl.DataFrame) -> None:
    registry = Registry(home)
    champion, challenger = registry.resolve("churn/1"), registry.resolve("churn/2")
    log = PredictionLog(registry.database)
    log.start()
    part = table[LATE : LATE + 800]
    served = moment_of("2025-07-01T00:00:00")
    for number, row in enumerate(part.drop("Churn").with_columns(pl.col("seen").dt.to_string("iso")).to_dicts()):
        answered = Answered(f"a{number}", "churn", "1", "live", served + number, [row], None, ["No"], [[0.7, 0.3]], 1.0)
        assert log.offer(answered)
    log.close()
    labels = [Label(f"a{number}-0", value) for number, value in enumerate(part["Churn"].to_list()) if number < 700]
    add_labels(registry.database, "churn", labels)
    found = from_log(
        registry.database,
        "churn",
        contender(registry, champion),
        contender(registry, challenger),
        label_delay_s=200.0,
        now=served + 800,
    )
    assert found.rows.left_out == {"without a label": 100, "younger than the delay of labels": 99}
    direct = from_table(contender(registry, champion), contender(registry, challenger), part[:601])
    assert found.challenger.prediction.tolist() == direct.challenger.prediction.tolist()
    assert found.rows.y.tolist() == direct.rows.y.tolist()
    registered = dt.datetime.fromtimestamp(served + 300, dt.UTC).isoformat()
    later = from_log(
        registry.database, "churn", contender(registry, champion), contender(registry, challenger), created=("", registered)
    )
    assert len(later.rows.y) == 700 - 301
    old = table[:500].with_columns(pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise("Churn").alias("Churn"))
    with_old = from_log(registry.database, "churn", contender(registry, champion), contender(registry, challenger), older=old)
    assert with_old.rows.earlier is not None
    assert len(with_old.rows.earlier.y) == 497
    assert 0.6 < ((with_old.rows.earlier.answers[:, 1] > 0.5) == with_old.rows.earlier.y).mean() < 1
    nothing = from_log(registry.database, "other", contender(registry, champion), contender(registry, challenger))
    assert judge(*nothing[:3], BETTER, metric=nothing.metric).labels_needed == 100


def test_a_verdict_is_a_line_that_a_promotion_refers_to_and_a_step_that_asks_again_spends_nothing(
    home: Path, table: pl.DataFrame
) -> None:
    registry = Registry(home)
    champion, challenger = registry.resolve("churn/1"), registry.resolve("churn/2")
    found = from_table(contender(registry, champion), contender(registry, challenger), table)
    first, line = ask(registry, champion, challenger, found, BETTER, key="gate of run 7")
    again, same = ask(registry, champion, challenger, found, BETTER, key="gate of run 7")
    assert (again, same) == (first, line)
    assert (line.kind, line.number, line.was, verdict_of(line)) == ("verdict", 2, 1, first)
    second, _ = ask(registry, champion, challenger, found, BETTER)
    assert (first.evidence["attempt"], second.evidence["attempt"]) == (1, 2)
    assert second.evidence["level_spent"] < first.evidence["level_spent"]
    registry.promote("churn", 2, evidence=registry.referred(line.count, challenger))
    assert json.loads(registry.decisions("churn")[-1].evidence) == {"verdict": line.count, "verdict_hash": line.hash}
    assert registry.verify() == []


def test_the_gate_by_hand_says_why_and_leaves_with_its_code(home: Path, table: pl.DataFrame, tmp_path: Path) -> None:
    place = ("--home", str(home))
    table.write_parquet(tmp_path / "rows.parquet")
    table[: LATE + 50].write_parquet(tmp_path / "few.parquet")
    code, out, _ = modelwright("gate", "churn/2", "--data", str(tmp_path / "few.parquet"), *place)
    assert (code, out.splitlines()[0]) == (3, "churn/2 against churn/1: undecided; do not promote it.")
    assert "50 mature labels, and 100 are the fewest that decide: 50 more." in out
    code, out, _ = modelwright("gate", "churn/2", "--against", "churn/1", "--data", str(tmp_path / "rows.parquet"), *place)
    assert code == 0
    assert out.splitlines()[0] == "churn/2 against churn/1: better; promote it."
    number = next(line.split()[1] for line in out.splitlines() if line.startswith("Decision"))
    told = json.loads(modelwright("gate", "churn/2", "--data", str(tmp_path / "few.parquet"), "--json", *place)[1])
    assert (told["answer"], told["labels_needed"]) == ("undecided", 50)
    assert modelwright("promote", "churn/2", "--verdict", "1", *place)[0] == 2
    code, out, _ = modelwright("promote", "churn/2", "--verdict", number, *place)
    assert (code, out) == (0, "churn@champion points to churn/2.\n")
    assert modelwright("gate", "churn/2", "--data", str(tmp_path / "rows.parquet"), *place)[0] == 2


def test_promote_replays_golden_rows_before_it_moves_the_alias(home: Path) -> None:
    registry = Registry(home)
    folder = registry.resolve("churn/2").folder
    golden = json.loads((folder / "golden.json").read_text())
    golden["raw"][0] = golden["raw"][0][::-1]
    changed = Path(shutil.copytree(folder, home / "changed"))
    (changed / "golden.json").write_text(json.dumps(golden))
    (changed / "manifest.json").unlink()
    write_manifest(changed, libraries={}, lineage={})
    place = ("--home", str(home))
    assert modelwright("register", str(changed), "--name", "churn", "--force", "--why", "a test", *place)[0] == 0
    code, _, err = modelwright("promote", "churn/4", *place)
    assert code == 2
    assert "Golden row 0" in err
    assert registry.resolve("churn@champion").number == 1
