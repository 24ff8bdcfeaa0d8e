"""What the parts of the recipe are worth: one run a table, many models put together from its fits, scored on rows kept apart.

usage::

    python benchmarks/ablations.py DATA RESULTS.jsonl [--tables a,b] [--budget 60] [--seed 0]
    python benchmarks/ablations.py --summary RESULTS.jsonl

Tables are divided as in ``benchmarks/peers.py``. Each is trained once, as a user would; its candidates are then put together
otherwise: without an algorithm, with fewer or more members, with equal weights, not calibrated. Members are compared as fitted
in validation (predictions averaged over the folds), so that variants differ in one thing only. "fold models" and "one
seed" are compared with the delivered model. The clock stands still while predictions for the comparison are made.

A line of RESULTS holds every variant's figure on one table: 1 - AUC, log-loss or RMSE, less is better. The summary gives
for each variant the change of that figure against the reference: median and mean over tables, and on how many tables it
is worse and better by more than 0.1 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers.scores import DECIDES, scores
from peers.split import TASKS, divide, read_table, roles

import modelwright
from modelwright.ensembles.calibration import Calibration, calibrate
from modelwright.ensembles.greedy import select
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.search.candidate import Candidate
from modelwright.search.search import Search
from modelwright.tables.conform import conform
from modelwright.training import flow
from modelwright.training.selection import MAX_MEMBERS, Selection

#: Tables of all sizes and tasks.
TABLES = (
    "telco_churn,soybean_disease,ames_house_prices,adult_income,letter_recognition,bike_sharing_hourly,diamonds,"
    "bank_marketing,electricity_nsw,kc_house_prices,diabetes_readmission,meat_spectra_fat,wine_quality,mammography,"
    "product_backorders,loan_interest_rate"
)
REFERENCE, DELIVERED = "greedy, 6 members", "delivered"
TIE = 1e-3


class Look:
    """Candidates of a search with their predictions for the rows kept apart, by the models of their folds."""

    def __init__(self, test: pl.DataFrame) -> None:
        self._test = test
        self.candidates: list[Candidate] = []
        self.valid: list[np.ndarray] = []
        self.test: list[np.ndarray] = []
        self.y = np.empty(0)
        self.weight: np.ndarray | None = None
        self.metric: Any = None
        self.calibration: Calibration | None = None
        self.chosen: dict[int, float] = {}

    def take(self, search: Search, selection: Selection, schema: Any, y: np.ndarray, weight: np.ndarray | None) -> None:
        """Read every validated candidate's predictions."""
        problem = search.problem
        folds = range(len(problem.folds))
        rows = np.concatenate([problem.folds[fold].validation for fold in folds])
        conformed, _ = conform(self._test, schema)
        encoded: dict[str, Any] = {}
        self.y, self.weight, self.metric = y[rows], None if weight is None else weight[rows], problem.metric
        self.calibration = selection.calibration
        self.chosen = {candidate.number: share for candidate, share in selection.members}
        for candidate in search.validated():
            parts = []
            for fold in folds:
                view = search.view_of(fold, generated=candidate.generated)
                if view not in encoded:
                    encoded[view] = Encoder.load(search.encoding.views.path(view) / "encoder").transform(conformed)
                parts.append(
                    registry.load(candidate.algorithm, search.folder(candidate, fold) / "model").predict(encoded[view])
                )
            self.candidates.append(candidate)
            self.valid.append(np.concatenate([search.prediction(candidate, fold) for fold in folds]))
            self.test.append(np.mean(parts, axis=0))

    def blend(self, shares: Iterable[float]) -> np.ndarray:
        """Weighted mean of the candidates' predictions for the rows kept apart."""
        used = [(share, p) for share, p in zip(shares, self.test, strict=True) if share > 0]
        return np.asarray(sum(share * p for share, p in used))

    def greedy(
        self, keep: Callable[[Candidate], bool] = lambda candidate: True, members: int = MAX_MEMBERS
    ) -> np.ndarray | None:
        """The blend that greedy selection finds among some of the candidates; None if there is none."""
        places = [i for i, candidate in enumerate(self.candidates) if keep(candidate)]
        if not places:
            return None
        found = select([self.valid[i] for i in places], self.y, self.metric, self.weight, max_members=members)
        shares = np.zeros(len(self.candidates))
        shares[places] = found
        return self.blend(shares)

    def variants(self) -> dict[str, np.ndarray]:
        """Predictions for the rows kept apart by name of the variant."""
        found: dict[str, np.ndarray | None] = {REFERENCE: self.greedy()}
        for members in (1, 2, 3, 4, 10):
            found[f"greedy, {members} member{'s' if members > 1 else ''}"] = self.greedy(members=members)
        families = {candidate.algorithm for candidate in self.candidates}
        for family in sorted(families):
            found[f"without {family}"] = self.greedy(lambda c, family=family: c.algorithm != family)
        found["lightgbm only"] = self.greedy(lambda c: c.algorithm == "lightgbm")
        found["without trees of random thresholds"] = self.greedy(lambda c: not c.params.get("extra_trees"))
        found["without generated columns"] = self.greedy(lambda c: not c.generated)
        found["without proposals of the sampler"] = self.greedy(lambda c: not c.proposed)
        found["without the logarithm"] = self.greedy(lambda c: not c.params.get("log_target"))
        best = min(MAX_MEMBERS, len(self.candidates))
        found["equal weights, the 6 best"] = self.blend([1 / best] * best + [0.0] * (len(self.candidates) - best))
        return {name: prediction for name, prediction in found.items() if prediction is not None}


def figure(task: str, y_train: Any, y_test: Any, prediction: np.ndarray, classes: list[Any] | None) -> float:
    """Less is better."""
    if task != "regression":
        assert classes is not None
        prediction = np.asarray(prediction)
    name, greater = DECIDES[task]
    value = scores(task, y_train, y_test, prediction, classes)[name]
    return 1.0 - value if greater else value


def run_table(folder: Path, entry: dict[str, Any], budget: float, seed: int) -> dict[str, Any]:
    """Train one table and score every variant."""
    frame = read_table(folder, entry)
    train, test = divide(frame, entry, seed)
    time_column, group = roles(train, entry)
    target, task = entry["target"], entry["task"]
    look = Look(pl.from_pandas(test.drop(columns=[target])))
    real = flow.choose_members

    def choose(search: Search, y: Any, weight: Any, **options: Any) -> Selection:
        selection = real(search, y, weight, **options)
        if not look.candidates and selection.out_of_fold is not None:
            begun = time.monotonic()
            look.take(search, selection, schemas[-1], y, weight)
            # The clock stands still meanwhile.
            object.__setattr__(search.budget, "started", search.budget.started + time.monotonic() - begun)
        return selection

    schemas: list[Any] = []
    real_search = flow.search_models

    def searched(spec: Any, table: Any, training: Any, *rest: Any) -> Search:
        schemas.append(training.schema)
        return real_search(spec, table, training, *rest)

    flow.choose_members, flow.search_models = choose, searched
    try:
        with tempfile.TemporaryDirectory() as home:
            run = modelwright.train(
                train, target=target, task=task, metric=entry["metric"], budget=f"{budget:g}s", evaluation="none",
                time=time_column, group=group, seed=seed, home=home,
            )  # fmt: skip
            model = run.model
            X = test.drop(columns=[target])
            delivered = model.predict(X) if task == "regression" else model.predict_proba(X)
            trials = len(run.record.trials)
    finally:
        flow.choose_members, flow.search_models = real, real_search
    classes = None if task == "regression" else list(model.classes_)

    def of(prediction: np.ndarray) -> float:
        return figure(task, train[target], test[target], prediction, classes)

    found = {name: of(prediction) for name, prediction in look.variants().items()}
    found[DELIVERED] = of(delivered)
    as_validated = look.blend([look.chosen.get(candidate.number, 0.0) for candidate in look.candidates])
    found["fold models instead of a fit on all rows"] = of(
        as_validated if task == "regression" or look.calibration is None else calibrate(as_validated, look.calibration)
    )
    if task != "regression" and look.calibration is not None:
        found["not calibrated (fold models)"] = of(as_validated)
    alone = sorted(
        (
            (of(prediction), candidate.algorithm, candidate.stage, candidate.generated, look.chosen.get(candidate.number, 0.0))
            for candidate, prediction in zip(look.candidates, look.test, strict=True)
        ),
    )
    return {
        "table": entry["name"], "task": task, "rows": len(train), "budget_s": budget, "seed": seed, "trials": trials,
        "calibration": None if look.calibration is None else look.calibration.method,
        "variants": found, "alone": alone,
    }  # fmt: skip


def summary(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line a variant."""
    changes: dict[str, list[float]] = {}
    for row in rows:
        variants = row["variants"]
        for name, value in variants.items():
            base = variants[DELIVERED] if name.startswith("fold models") else variants[REFERENCE]
            if name.startswith("not calibrated"):
                base = variants["fold models instead of a fit on all rows"]
            if name not in (REFERENCE, DELIVERED):
                changes.setdefault(name, []).append(value / base - 1 if base > 0 else 0.0)
    lines = ["| variant | tables | median % | mean % | worse | better |", "|---|---:|---:|---:|---:|---:|"]
    for name, values in sorted(changes.items(), key=lambda pair: -np.mean(pair[1])):
        v = np.array(values)
        change = f"{100 * np.median(v):+.2f} | {100 * v.mean():+.2f}"
        lines.append(f"| {name} | {len(v)} | {change} | {(v > TIE).sum()} | {(v < -TIE).sum()} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("results", type=Path)
    parser.add_argument("--tables", default=TABLES)
    parser.add_argument("--budget", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--summary", action="store_true", help="print what the results hold, run nothing")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.results.read_text().splitlines()] if args.results.exists() else []
    if not args.summary:
        manifest = {entry["name"]: entry for entry in json.loads((args.data / "manifest.json").read_text())}
        done = {(row["table"], row["budget_s"], row["seed"]) for row in rows}
        for name in args.tables.split(","):
            if manifest[name]["task"] not in TASKS or (name, args.budget, args.seed) in done:
                continue
            row = run_table(args.data, manifest[name], args.budget, args.seed)
            rows.append(row)
            with args.results.open("a") as file:
                file.write(json.dumps(row, default=float) + "\n")
            print(name, f"{row['variants'][DELIVERED]:.5g}", flush=True)
    print(summary(rows))


if __name__ == "__main__":
    main()
