"""How often a model of random labels is declared better than the baseline.

Usage: ``python benchmarks/random_labels.py [--runs 200] [--rows 600] [--data FOLDER --tables a,b] [--quick]``

The whole training runs each time: split, search, refit, sealed evaluation, paired test. Features are real (tables of a
folder, or those that scikit-learn brings), labels are shuffled anew for each run, so that nothing can be learned. The
declared level of the test is 5 %, two-sided.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

import modelwright
from modelwright.tables.read import read


def built_in() -> list[tuple[str, pl.DataFrame, str]]:
    """Tables that scikit-learn brings."""
    from sklearn import datasets

    tables = []
    for name, load in (
        ("breast_cancer", datasets.load_breast_cancer),
        ("wine", datasets.load_wine),
        ("diabetes", datasets.load_diabetes),
    ):
        data = load()
        frame = pl.DataFrame(data.data, schema=[str(c) for c in data.feature_names]).with_columns(target=pl.Series(data.target))
        tables.append((name, frame, "target"))
    return tables


def from_folder(folder: Path, names: list[str]) -> list[tuple[str, pl.DataFrame, str]]:
    """Tables of a folder with a ``manifest.json``."""
    entries = {entry["name"]: entry for entry in json.loads((folder / "manifest.json").read_text())}
    tables = []
    for name in names:
        path = next(folder.glob(f"{name}.*"))
        tables.append((name, read(str(path)).frame, entries[name]["target"]))
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tables", default="adult_income,wine_quality,car_insurance_fraud,diamonds")
    parser.add_argument("--quick", action="store_true", help="12 runs")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    tables = from_folder(arguments.data, arguments.tables.split(",")) if arguments.data else built_in()
    runs = 12 if arguments.quick else arguments.runs
    found: Counter[str] = Counter()
    for run in range(runs):
        name, frame, target = tables[run % len(tables)]
        rng = np.random.default_rng([7, run])
        sample = frame[rng.permutation(frame.height)[: arguments.rows]]
        shuffled = sample.with_columns(sample[target].gather(rng.permutation(sample.height)).alias(target))
        with tempfile.TemporaryDirectory() as home:
            result = modelwright.train(
                shuffled, target=target, trials=3, algorithms=["lightgbm", "linear"], seed=run, home=home
            )
        comparison = result.record.evaluation.comparison
        verdict = "better" if comparison.better else "worse" if comparison.difference.high < 0 else "not shown"
        found[verdict] += 1
        line = {"run": run, "table": name, "verdict": verdict, "p": comparison.p_value, "baseline": comparison.baseline}
        if arguments.out:
            with arguments.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
    share = found["better"] / runs
    rest = f"worse {found['worse']}, not shown {found['not shown']}"
    print(f"{runs} runs with shuffled labels: better {found['better']} ({share:.1%}), {rest}")


if __name__ == "__main__":
    main()
