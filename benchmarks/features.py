"""What generated columns are worth: test loss with and without them, by kind of column and by learner.

usage: python benchmarks/features.py DATA_DIR RESULTS.jsonl [--tables a,b] [--rows 15000] [--variants all,cross] [--learners ..]

Each table of the manifest is divided 60/20/20 into training, validation (early stopping) and test rows: by time or by
group where the manifest names such a column, at random otherwise. Training and validation are drawn down to ``--rows``
rows together, the test to 20,000. Columns are chosen and learned on the training rows. A variant is "all" kinds, one kind
alone ("cross"), all but one ("-cross"), several ("arithmetic+cross"), or "none", the loss that the others are compared
with. Every fit has one thread; costs are CPU seconds of the same process. A line of JSON is written per table, variant
and learner; what is in RESULTS is not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from modelwright.features.encoder import Encoder
from modelwright.features.generated_candidates import KINDS
from modelwright.features.generated_screen import generate
from modelwright.learners import registry
from modelwright.learners.base import Validation
from modelwright.tables.conform import conform
from modelwright.tables.read import read
from modelwright.tables.roles import encode_target, labelled_rows
from modelwright.tables.types import infer_schema

TABLES = (
    "adult_income,bank_marketing,credit_default,telco_churn,electricity_nsw,hotel_bookings,diamonds,kc_house_prices,"
    "ames_house_prices,bike_sharing_hourly,loan_interest_rate,protein_casp,wine_quality,letter_recognition,soybean_disease"
)
MOST_TEST_ROWS = 20_000
#: The settings of the portfolio at a middling budget.
LEARNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "lightgbm": ("lightgbm", {"learning_rate": 0.08, "n_estimators": 1200}),
    "extra": (
        "lightgbm",
        {"learning_rate": 0.08, "n_estimators": 1200, "extra_trees": True, "num_leaves": 39, "min_data_in_leaf": 3,
         "feature_fraction": 0.46, "bagging_fraction": 0.88, "lambda_l1": 0.24, "lambda_l2": 0.36, "cat_smooth": 15.0},
    ),
    "leaves7": (
        "lightgbm",
        {"learning_rate": 0.08, "n_estimators": 1200, "extra_trees": True, "num_leaves": 7, "min_data_in_leaf": 1,
         "feature_fraction": 0.99, "bagging_fraction": 0.96, "lambda_l1": 0.35, "lambda_l2": 1.96},
    ),
    "catboost": ("catboost", {"learning_rate": 0.1, "n_estimators": 1000, "depth": 6}),
    "linear": ("linear", {}),
}  # fmt: skip


def parts_of(entry: dict[str, Any], frame: pl.DataFrame, rows: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Row numbers of training, validation and test."""
    n = frame.height
    order = rng.permutation(n)
    if entry["time_column"]:
        stamps = frame[entry["time_column"]].rank("ordinal").to_numpy()
        order = order[np.argsort(stamps[order], kind="stable")]
    elif entry["group_column"]:
        groups = frame[entry["group_column"]].cast(pl.String).rank("dense").fill_null(0).to_numpy().astype(np.int64)
        place = rng.permutation(groups.max() + 1)
        order = np.argsort(place[groups], kind="stable")
    cuts = [0, int(0.6 * n), int(0.8 * n), n]
    parts = []
    for (start, end), most in zip(pairwise(cuts), (int(0.75 * rows), int(0.25 * rows), MOST_TEST_ROWS), strict=True):
        chosen = order[start:end]
        parts.append(np.sort(chosen if len(chosen) <= most else rng.choice(chosen, most, replace=False)))
    return parts


class Table:
    """One table, encoded, in three parts."""

    def __init__(self, entry: dict[str, Any], data: Path, rows: int, seed: int) -> None:
        frame = read(str(data / entry["file"])).frame
        frame = frame[labelled_rows(frame[entry["target"]], ())]
        rng = np.random.default_rng(seed)
        self.task = entry["task"]
        y, classes = encode_target(frame[entry["target"]], self.task, entry["positive"])
        self.n_classes = len(classes)
        parts = parts_of(entry, frame, rows, rng)
        dropped = {c["column"] for c in entry["drop_columns"]} - {entry["time_column"], entry["group_column"]}
        schema = infer_schema(
            frame[parts[0]], target=entry["target"], task=self.task, time=entry["time_column"], group=entry["group_column"],
            exclude=tuple(dropped),
        )  # fmt: skip
        cells = [conform(frame[p], schema, columns=schema.features + schema.with_role("time"))[0] for p in parts]
        encoder = Encoder.fit(cells[0], schema)
        self.X = [encoder.transform(part) for part in cells]
        self.y = [np.asarray(y)[part] for part in parts]

    def loss(self, prediction: np.ndarray) -> float:
        """RMSE or log-loss of the test rows."""
        y = self.y[2]
        if self.task == "regression":
            return float(np.sqrt(np.mean((prediction - y) ** 2)))
        return float(-np.log(np.clip(prediction[np.arange(len(y)), y.astype(int)], 1e-9, 1)).mean())


def kinds_of(variant: str) -> tuple[str, ...]:
    if variant == "all":
        return KINDS
    if variant.startswith("-"):
        return tuple(kind for kind in KINDS if kind != variant[1:])
    return tuple(variant.split("+"))


def run(table: Table, name: str, variant: str, learners: list[str], seed: int) -> list[dict[str, Any]]:
    """The lines of one table and variant."""
    fixed = {"task": table.task, "n_classes": table.n_classes, "seed": seed}
    started = time.process_time()
    X, names = table.X, ()
    if variant != "none":
        generator, training = generate(table.X[0], table.y[0], kinds=kinds_of(variant), **fixed)
        chosen_s = time.process_time() - started
        if generator is not None:
            names = generator.recipe.names
            X = [training, *(generator.transform(part) for part in table.X[1:])]
    else:
        chosen_s = 0.0
    lines = []
    for key in learners:
        algorithm, params = LEARNERS[key]
        line = {"table": name, "variant": variant, "learner": key, "seed": seed, "generated": list(names), "choice_s": chosen_s}
        if variant == "none" or names:
            learner = registry.create(algorithm, params, **fixed)
            started = time.process_time()
            learner.fit(X[0], table.y[0], validation=Validation(X[1], table.y[1], None))
            line |= {"fit_s": time.process_time() - started, "loss": table.loss(learner.predict(X[2]))}
        lines.append(line)
    return lines


def summary(lines: list[dict[str, Any]]) -> str:
    """Change of the test loss in per cent, a row per table and learner, and the means, as Markdown."""
    plain = {(line["table"], line["learner"], line["seed"]): line for line in lines if line["variant"] == "none"}
    variants = list(dict.fromkeys(line["variant"] for line in lines if line["variant"] != "none"))
    learners = list(dict.fromkeys(line["learner"] for line in lines))
    out = []
    for learner in learners:
        out += ["", f"{learner}: change of test loss in %", "", "| table | " + " | ".join(variants) + " |"]
        out += ["|---|" + "---:|" * len(variants)]
        tables = list(dict.fromkeys(line["table"] for line in lines))
        found: dict[str, list[float]] = {variant: [] for variant in variants}
        costs: dict[str, list[float]] = {variant: [] for variant in variants}
        for table in tables:
            cells = []
            for variant in variants:
                mine = [
                    line for line in lines if (line["table"], line["variant"], line["learner"]) == (table, variant, learner)
                ]
                mine = [line for line in mine if (table, learner, line["seed"]) in plain]
                if not mine:
                    cells.append("")
                    continue
                base = [plain[table, learner, line["seed"]] for line in mine]
                change = [100 * (line.get("loss", b["loss"]) / b["loss"] - 1) for line, b in zip(mine, base, strict=True)]
                found[variant].append(float(np.mean(change)))
                costs[variant] += [
                    (line.get("fit_s", b["fit_s"]) + line["choice_s"]) / b["fit_s"] for line, b in zip(mine, base, strict=True)
                ]
                cells.append(f"{np.mean(change):+.2f}" if any(line["generated"] for line in mine) else "none")
            out.append(f"| {table} | " + " | ".join(cells) + " |")
        means = [f"{np.mean(found[v]):+.2f}" if found[v] else "" for v in variants]
        ratios = [f"{np.median(costs[v]):.1f}" if costs[v] else "" for v in variants]
        out += ["| **mean** | " + " | ".join(means) + " |", "| CPU ratio, median | " + " | ".join(ratios) + " |"]
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--tables", default=TABLES)
    parser.add_argument("--rows", type=int, default=15_000)
    parser.add_argument("--variants", default=",".join(["all", *KINDS]))
    parser.add_argument("--learners", default="lightgbm,linear,catboost")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    manifest = json.loads((given.data / "manifest.json").read_text())
    entries = {entry["name"]: entry for entry in (manifest if isinstance(manifest, list) else manifest["tables"])}
    lines = [json.loads(line) for line in given.results.read_text().splitlines()] if given.results.exists() else []
    done = {(line["table"], line["variant"], line["learner"], line["seed"]) for line in lines}
    for name in given.tables.split(","):
        for seed in range(given.seeds):
            table = None
            for variant in ["none", *given.variants.split(",")]:
                learners = [key for key in given.learners.split(",") if (name, variant, key, seed) not in done]
                if not learners:
                    continue
                table = table or Table(entries[name], given.data, given.rows, seed)
                found = run(table, name, variant, learners, seed)
                lines += found
                with given.results.open("a") as file:
                    file.writelines(json.dumps(line) + "\n" for line in found)
    print(summary(lines))


if __name__ == "__main__":
    main()
