"""Does the 95 % interval of a sealed score cover the score on a large held-back remainder? On real tables.

usage: python benchmarks/coverage.py DATA_DIR [--tables a,b] [--repeats 200] [--out RESULTS.jsonl]

Each repeat fits one small boosted model on about 3,000 fresh training rows, computes the interval of every usual metric on
at most ``--rows`` evaluation rows, and looks whether it holds the value of the same model on the remainder, at least
15 times as many rows. The interval speaks of the population, the remainder is a sample of it, so the best possible
coverage is a little below 95 %.

- *independent*: training, evaluation and remainder are drawn at random by rows.
- *grouped*: entities are drawn; each part has entities of its own, and the evaluation at least 30.
- *time-ordered*: training rows are a stretch of time, and a period follows it. The period is cut into short runs of whole
  moments, of which some drawn at random make the evaluation and all others the remainder: both tell of the same
  period, as an interval cannot speak of drift to come. The evaluation is read as one series in time, as in a training.

Tables with large entities or crowded moments are thinned at random first (``thin``), so that the evaluation rows hold
enough of them. A line of JSON is written per repeat; repeats already in the file are not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from modelwright.metrics.intervals import interval
from modelwright.metrics.registry import METRICS, companions

TRAIN, REMAINDER = 3000, 30_000
#: Evaluation rows are at most this share of the rows left by training.
SHARE = 1 / 16
FEWEST_ENTITIES = 30


class Case(NamedTuple):
    """How a table is divided: by rows, by the entities of ``key``, or by the time in ``key``."""

    table: str
    kind: str
    key: str | None = None
    thin: int = 1


CASES = (
    Case("adult_income", "independent"),
    Case("credit_default", "independent"),
    Case("give_me_some_credit", "independent"),
    Case("bank_marketing", "independent"),
    Case("diamonds", "independent"),
    Case("protein_casp", "independent"),
    Case("diabetes_readmission", "grouped", "patient_nbr"),
    Case("car_crash_survival", "grouped", "caseid"),
    Case("movielens_100k_small", "grouped", "userId", 5),
    Case("movielens_100k_small", "grouped", "movieId"),
    Case("airline_tweets", "grouped", "name"),
    Case("kc_house_prices", "grouped", "id"),
    Case("houston_flight_delay", "grouped", "TailNum", 4),
    Case("electricity_nsw", "time-ordered", "observation"),
    Case("hotel_bookings", "time-ordered", "arrival_date", 4),
    Case("beijing_air_quality", "time-ordered", "datetime", 12),
    Case("kc_house_prices", "time-ordered", "date"),
    Case("houston_flight_delay", "time-ordered", "FlightDate", 8),
    Case("us_births_daily", "time-ordered", "date", 12),
    Case("work_disability_outcome", "time-ordered", "OccurDate", 12),
)


class Table(NamedTuple):
    """Encoded rows: X of shape (n, columns), y, the key of each row as numbers, and the numbers of categorical columns."""

    X: np.ndarray
    y: np.ndarray
    key: np.ndarray | None
    metric: str
    task: str
    categorical: list[int]


def read(case: Case, data: Path) -> Table:
    """Codes for text, seconds for dates; the target's rows only."""
    entry = {e["name"]: e for e in _entries(data)}[case.table]
    path = data / entry["file"]
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    target = entry["target"]
    frame = frame.filter(pl.col(target).is_not_null())
    if case.thin > 1:
        frame = frame.sample(frame.height // case.thin, seed=1)
    if case.kind == "time-ordered":
        frame = frame.sort(case.key or "", maintain_order=True)
    key = None if case.key is None else frame[case.key].rank("dense").fill_null(0).to_numpy().astype(np.int64)
    dropped = {target, case.key, *(c["column"] for c in entry.get("drop_columns") or []), *(entry.get("text_columns") or [])}
    columns, categorical = [], []
    for series in frame.drop([name for name in dropped if name in frame.columns]).iter_columns():
        if series.dtype == pl.String:
            if series.n_unique() > 500:
                continue
            categorical.append(len(columns))
            series = series.rank("dense")
        columns.append(series.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy())
    classes = entry["task"] in ("binary", "multiclass")
    y = frame[target].rank("dense").to_numpy().astype(np.int64) - 1 if classes else frame[target].cast(pl.Float64).to_numpy()
    return Table(np.column_stack(columns), y, key, entry["metric"], entry["task"], categorical)


def _entries(data: Path) -> list[dict[str, Any]]:
    found = json.loads((data / "manifest.json").read_text())
    return list(found if isinstance(found, list) else found["tables"])


def divide(case: Case, table: Table, seed: int, rows_judged: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of training, evaluation and remainder."""
    rng = np.random.default_rng([seed, 11])
    n = len(table.y)
    wanted = min(rows_judged, int((n - TRAIN) * SHARE))
    if case.kind == "independent":
        order = rng.permutation(n)
        return order[:TRAIN], order[TRAIN : TRAIN + wanted], order[TRAIN + wanted :][:REMAINDER]
    assert table.key is not None
    if case.kind == "grouped":
        _, unit = np.unique(table.key, return_inverse=True)
        entities = rng.permutation(int(unit.max()) + 1)
        size = n / len(entities)
        # Numbers of entities are fixed beforehand: stopping at a number of rows would favour large ones at the end.
        judged = max(round(wanted / size), FEWEST_ENTITIES)
        place = np.empty(len(entities), dtype=np.int64)
        place[entities] = np.arange(len(entities))
        at = place[unit]
        train = max(round(TRAIN / size), 30)
        held = np.flatnonzero((at >= judged) & (at < len(entities) - train))
        # Whole entities again, as many as the cap allows.
        most = np.quantile(at[held], min(1.0, REMAINDER / len(held)))
        return np.flatnonzero(at >= len(entities) - train), np.flatnonzero(at < judged), held[at[held] <= most]
    period = min(n - TRAIN, REMAINDER)
    start = int(rng.integers(0, n - TRAIN - period + 1))
    rows = np.arange(start + TRAIN, start + TRAIN + period)
    # Runs of whole moments, of 40 rows or one moment.
    moment = table.key[rows]
    first = np.flatnonzero(np.diff(moment, prepend=moment[0] - 1))
    run = np.repeat(np.unique(first // 40, return_inverse=True)[1], np.diff(np.append(first, len(rows))))
    n_runs = int(run.max()) + 1
    chosen = rng.permutation(n_runs)[: max(round(wanted / len(rows) * n_runs), 10)]
    judged_rows = np.isin(run, chosen)
    return np.arange(start, start + TRAIN), rows[judged_rows], rows[~judged_rows]


def repeat(case: Case, table: Table, seed: int, rows_judged: int) -> dict[str, Any]:
    """One model, its intervals on the evaluation rows, and its scores on the remainder."""
    import lightgbm

    train, judged, rest = divide(case, table, seed, rows_judged)
    n_classes = int(table.y.max()) + 1 if table.task != "regression" else 0
    options: dict[str, Any] = {"num_leaves": 15, "learning_rate": 0.12, "num_threads": 1, "verbose": -1, "seed": seed}
    options["objective"] = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}[table.task]
    if table.task == "multiclass":
        options["num_class"] = n_classes
    data = lightgbm.Dataset(table.X[train], table.y[train], categorical_feature=table.categorical, free_raw_data=True)
    model = lightgbm.train(options, data, num_boost_round=30)
    predicted = model.predict(table.X[np.concatenate([judged, rest])], num_threads=1)
    if table.task == "binary":
        predicted = np.column_stack([1 - predicted, predicted])
    here, there = predicted[: len(judged)], predicted[len(judged) :]
    given: dict[str, np.ndarray] = {}
    if table.key is not None:
        given = {"groups" if case.kind == "grouped" else "blocks": table.key[judged]}
    found = {}
    for name in companions(table.task):  # type: ignore[arg-type]
        metric = METRICS[name]
        bound = interval(metric, table.y[judged], here, **given)
        read_there = there.argmax(axis=1) if metric.reads == "label" else there
        found[name] = [bound.value, bound.low, bound.high, metric.score(table.y[rest], read_there, None)]
    return {"case": _title(case), "kind": case.kind, "metric": table.metric, "seed": seed, "rows": len(judged), "found": found}


def _title(case: Case) -> str:
    return case.table + (f" by {case.key}" if case.key else "")


def summary(lines: list[dict[str, Any]]) -> str:
    """Coverage of the table's own metric, by table and by kind, and of every metric by kind."""
    own: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    kinds: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for line in lines:
        for name, (_, low, high, truth) in line["found"].items():
            covered = low <= truth <= high
            kinds[line["kind"], name].append(covered)
            if name == line["metric"]:
                own[f"{line['kind']} | {line['case']} | {name}"].append((covered, line["rows"]))
                kinds[line["kind"], "own metric"].append(covered)
    text = ["| kind | table | metric | rows | repeats | covered, % |", "|---|---|---|---|---|---|"]
    for title, hits in own.items():
        share = 100 * np.mean([h for h, _ in hits])
        text.append(f"| {title} | {np.mean([r for _, r in hits]):,.0f} | {len(hits)} | {share:.1f} |")
    text += ["", "| kind | metric | intervals | covered, % |", "|---|---|---|---|"]
    for (kind, name), covers in sorted(kinds.items(), key=lambda item: (item[0][0], item[0][1] != "own metric")):
        text.append(f"| {kind} | {name} | {len(covers):,} | {100 * np.mean(covers):.1f} |")
    return "\n".join(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tables", default="", help="names, separated by commas")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--rows", type=int, default=2000, help="evaluation rows at most")
    parser.add_argument("--out", type=Path, default=Path("coverage.jsonl"))
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(line["case"], line["seed"]) for line in lines}
    wanted = {name for name in options.tables.split(",") if name}
    started = time.perf_counter()
    with options.out.open("a") as out:
        for case in CASES:
            missing = [s for s in range(options.repeats) if (_title(case), s) not in done]
            if (wanted and case.table not in wanted) or not missing:
                continue
            table = read(case, options.data)
            for seed in missing:
                line = repeat(case, table, seed, options.rows)
                lines.append(line)
                out.write(json.dumps(line) + "\n")
                out.flush()
            print(f"{_title(case)}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    print(summary(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
