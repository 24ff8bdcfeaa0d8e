"""The default policy against never and against the calendar, on tables whose rows stand in time.

    python benchmarks/loop/tables.py FOLDER [--only NAME,NAME] [--rows 20000] [--windows 48] [--every 3,6]
        [--out results.jsonl]

``FOLDER`` holds the tables and their ``manifest.json``. Larger tables are thinned to every k-th row. The policy looks at
each window, the calendars train at every third and sixth. A line for each table and contestant: mean score over the
windows, retrainings, how many went live, seconds of training; then for each table what the default policy gains over every
other contestant, with 95 % intervals, and the means over all tables.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import polars as pl

import modelwright
from modelwright.tables.read import read

TABLES = (
    "electricity_nsw", "bike_sharing_hourly", "beijing_air_quality", "hotel_bookings", "bank_marketing", "us_births_daily",
    "work_disability_outcome",
)  # fmt: skip
DEFAULT = "default policy"


def history_of(folder: Path, entry: dict[str, Any], most: int) -> tuple[pl.DataFrame, str | None]:
    """The rows in the order of time, without the columns that the manifest drops, and the column of time."""
    frame = read(folder / entry["file"]).frame
    time = entry.get("time_column")
    dropped = [each["column"] for each in entry.get("drop_columns") or [] if each["column"] != time]
    frame = frame.drop(dropped).filter(pl.col(entry["target"]).is_not_null())
    if time is not None:
        frame = frame.sort(time, maintain_order=True)
    return frame.gather_every(max(1, -(-frame.height // most))), time


def main() -> None:
    """Rehearse every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", help="names of tables, comma separated")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--every", default="3,6", help="windows between trainings by the calendar, comma separated")
    parser.add_argument("--windows", type=int, default=48)
    parser.add_argument("--out", type=Path, help="file to which a line of JSON is added for each table")
    asked = parser.parse_args()
    known = {entry["name"]: entry for entry in json.loads((asked.data / "manifest.json").read_text())}
    lines = []
    for name in asked.only.split(",") if asked.only else TABLES:
        entry = known[name]
        frame, time = history_of(asked.data, entry, asked.rows)
        found = modelwright.rehearse(
            frame, target=entry["target"], time=time, metric=entry["metric"], windows=asked.windows, task=entry["task"],
            every=[int(each) for each in asked.every.split(",")], step="30m" if name == "electricity_nsw" else None,
        )  # fmt: skip
        default = next(life for life in found.lives if life.name == DEFAULT)
        others = [life for life in found.lives if life is not default]
        sign = 1.0 if found.greater_is_better else -1.0
        gains = {life.name: found.gain(default, life) for life in others}
        line = {
            "table": name, "rows": frame.height, "metric": found.metric,
            "lives": {
                life.name: {"score": life.score, "trained": life.n_trained, "live": life.promoted, "seconds": life.seconds}
                for life in found.lives
            },
            "gain over": {label: [gain.value, gain.low, gain.high] for label, gain in gains.items()},
            "relative to": {life.name: sign * (default.score - life.score) / abs(life.score) for life in others},
        }  # fmt: skip
        lines.append(line)
        print(f"{name}, {frame.height:,} rows, {found.metric}")
        for life in found.lives:
            counts = f"{life.n_trained:>2} trained  {life.promoted:>2} live  {life.seconds:6.1f} s"
            print(f"    {life.name:<18} {life.score:10.4f}  {counts}")
        for label, gain in gains.items():
            print(f"    better than {label:<16} by {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]", flush=True)
        if asked.out is not None:
            with asked.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
    ours = sum(line["lives"][DEFAULT]["trained"] for line in lines)
    for label in lines[0]["relative to"]:
        theirs = sum(line["lives"][label]["trained"] for line in lines)
        mean = sum(line["relative to"][label] for line in lines) / len(lines)
        print(f"{ours} retrainings against {theirs} of {label!r}; on the average {100 * mean:+.2f} % of its score")


if __name__ == "__main__":
    main()
