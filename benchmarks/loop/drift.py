"""How often does monitoring alarm on rows that are as in training, and does it find what changed?

usage: python benchmarks/loop/drift.py [DATA_DIR] [--checks 1000] [--parts unchanged,shift,…]

Each *check* looks at one window of 25 columns: normal, skewed, heavy-tailed, counts, and sparse labels. A check has a false
alarm if any of its columns has. Goals: at most 1 % of checks, and 0.1 % with persistence; a shift of 0.3 deviations in one
column at 1,000 rows found in 90 % within two windows; a frozen or emptied column, or a missing rate up by five points,
always and by name; a shift of 0.02 deviations at 100,000 rows in at most 1 %. ADWIN: at most 1 % of streams of 10,000
losses with a false alarm, and at most 350 labels until a rise of the error rate from 0.10 to 0.20 is noticed.

With DATA_DIR whole checks are done on real tables too: out-of-fold answers against those of the model on fresh rows. The
part "peers" has the same windows are judged by evidently and NannyML, whose interpreters MODELWRIGHT_PEER_EVIDENTLY and
MODELWRIGHT_PEER_NANNYML name; their packages cannot live beside ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from modelwright.artifacts.reference import Reference, reference_of
from modelwright.metrics.registry import METRICS
from modelwright.monitoring.adwin import Adwin
from modelwright.monitoring.checked import Checked
from modelwright.monitoring.checks import Judge, Window, check
from modelwright.monitoring.drift import drift_of, judged
from modelwright.monitoring.monitor import Monitored
from modelwright.monitoring.quality import quality_of
from modelwright.monitoring.rows import WindowRows
from modelwright.reports.monitoring_page import monitoring_page
from modelwright.tables.profile import comparable, profile_of
from modelwright.tables.schema import Column

REFERENCE_ROWS = 5000


def rows(rng: np.random.Generator, n: int, shift: float = 0.0) -> pl.DataFrame:
    """25 columns; the first is moved by ``shift`` deviations."""
    made = {f"normal{k}": rng.normal(size=n) + (shift if k == 0 else 0) for k in range(7)}
    made |= {f"skewed{k}": rng.lognormal(size=n) for k in range(5)}
    made |= {f"heavy{k}": rng.standard_t(2, size=n) for k in range(4)}
    made |= {f"count{k}": rng.poisson(0.3, size=n).astype(float) for k in range(3)}
    made |= {f"sparse{k}": rng.zipf(1.6, size=n).clip(1, 400 + k).astype(str) for k in range(6)}
    return pl.DataFrame(made)


NAMES = rows(np.random.default_rng(0), 2).columns
COLUMNS = [Column(name, "category" if name.startswith("sparse") else "number", "feature") for name in NAMES]


def cells_of(frame: pl.DataFrame) -> dict[str, pl.Series]:
    """Cells by column."""
    return {c.name: cells for c in COLUMNS if (cells := comparable(frame, c)) is not None}


def windows(rng: np.random.Generator, n: int, checks: int, shift: float = 0.0) -> Iterator[tuple[bool, bool, bool]]:
    """Of each check whether any column is beyond its limits, has lasted, or is an alarm of quality."""
    for k in range(checks):
        if k % 20 == 0:  # a new model now and then: references are chance as well
            profile, before = profile_of(rows(rng, REFERENCE_ROWS), COLUMNS), []
        cells = cells_of(rows(rng, n, shift))
        found = judged([drift_of(column, cells[column.name]) for column in profile.columns], before)
        before.append(frozenset(each.name for each in found if each.exceeds))
        faults = quality_of(profile.columns, cells)
        yield any(each.exceeds for each in found), any(each.state == "alarm" for each in found), bool(faults)


def false_alarms(checks: int) -> None:
    """Unchanged columns."""
    totals = np.zeros(4)
    for n in (50, 200, 500, 1000, 5000, 50_000):
        many = checks if n <= 5000 else max(checks // 10, 20)
        found = np.array(list(windows(np.random.default_rng(n), n, many)))
        totals += [len(found), *found.sum(axis=0)]
        once, lasting, quality = found.mean(axis=0)
        print(f"  {n:>6} rows, {many} checks: before persistence {once:.2%}, alarms {lasting:.2%}, quality {quality:.2%}")
    told("false drift alarms, checks before persistence", totals[1] / totals[0], 0.01)
    told("false drift alarms, checks with persistence", totals[2] / totals[0], 0.001)
    told("false quality alarms, checks", totals[3] / totals[0], 0.01)


def found_shift(repeats: int) -> None:
    """0.3 deviations in one of 25 columns, 1,000 rows, within two windows; and for several sizes of the reference."""
    for m in (1000, 2000, 5000, 20_000):
        rng, hits, others = np.random.default_rng(m), 0, 0
        for _ in range(repeats):
            profile, before = profile_of(rows(rng, m), COLUMNS), []
            for _ in range(2):
                cells = cells_of(rows(rng, 1000, 0.3))
                found = judged([drift_of(column, cells[column.name]) for column in profile.columns], before)
                before.append(frozenset(each.name for each in found if each.exceeds))
            alarmed = {each.name for each in found if each.state == "alarm"}
            hits += "normal0" in alarmed
            others += bool(alarmed - {"normal0"})
        if m == REFERENCE_ROWS:
            told(f"0.3 sd at 1,000 rows within two windows, reference of {m:,}", hits / repeats, 0.9, most=False)
        print(f"  reference of {m:,}: found in {hits / repeats:.0%}, other columns alarmed in {others} of {repeats}")


def harmless_shift(checks: int) -> None:
    """0.02 deviations at 100,000 rows."""
    found = np.array(list(windows(np.random.default_rng(8), 100_000, checks, 0.02)))
    told("0.02 sd at 100,000 rows, checks before persistence", float(found[:, 0].mean()), 0.01)


def broken_columns(repeats: int) -> None:
    """A frozen or emptied column, or five points more missing cells, are named; and nothing else is."""
    rng = np.random.default_rng(9)
    breaks: dict[str, Callable[[pl.DataFrame, str], pl.DataFrame]] = {
        "frozen": lambda frame, name: frame.with_columns(pl.lit(frame[name][0]).alias(name)),
        "emptied": lambda frame, name: frame.with_columns(pl.lit(None, dtype=frame[name].dtype).alias(name)),
        "missing 1 % to 6.5 %": lambda frame, name: with_missing(rng, frame, name, 0.065),
        "gone": lambda frame, name: frame.drop(name),
    }
    names = [name for name in NAMES if not name.startswith("count")]  # counts are 0 in three of four cells
    for what, broken in breaks.items():
        hits = others = 0
        for k in range(repeats):
            profile = profile_of(with_missing(rng, rows(rng, REFERENCE_ROWS), names[k % len(names)], 0.01), COLUMNS)
            name = names[k % len(names)]
            faults = {each.name for each in quality_of(profile.columns, cells_of(broken(rows(rng, 1000), name)))}
            hits += name in faults
            others += bool(faults - {name})
        told(f"column {what}, named as quality", hits / repeats, 1.0, most=False)
        if others:
            print(f"    others named in {others} of {repeats}")


def with_missing(rng: np.random.Generator, frame: pl.DataFrame, name: str, share: float) -> pl.DataFrame:
    """A column with a share of its cells emptied."""
    kept = pl.Series(rng.random(frame.height) >= share)
    return frame.with_columns(pl.when(kept).then(pl.col(name)).alias(name))


def adwin(streams: int) -> None:
    """False alarms on steady losses, and labels until a rise is noticed."""
    rng = np.random.default_rng(10)
    makers: tuple[Callable[[], np.ndarray], ...] = (
        lambda: (rng.random(10_000) < 0.1).astype(float),
        lambda: (rng.random(10_000) < 0.3).astype(float),
        lambda: rng.random(10_000),
        lambda: rng.beta(0.5, 3, 10_000),
    )
    wrong = sum(bool(Adwin().changes(makers[k % len(makers)]())) for k in range(streams))
    told("ADWIN, streams of 10,000 with a false alarm", wrong / streams, 0.01)
    delays = []
    for _ in range(streams):
        # As many losses before the rise as monitoring keeps.
        stream = np.concatenate([rng.random(5000) < 0.1, rng.random(4000) < 0.2]).astype(float)
        after = [at - 5000 for at in Adwin().changes(stream) if at >= 5000]
        delays.append(after[0] if after else 4000)
    told("ADWIN, labels until 0.10 to 0.20 is noticed, mean", float(np.mean(delays)), 350)


def whole_checks(checks: int) -> None:
    """Everything at once, with answers, classifier and estimate: false alarms that page, and seconds of a check."""
    rng = np.random.default_rng(11)
    pages = explains = 0
    seconds = []
    for k in range(checks):
        if k % 10 == 0:
            judge, history = Judge("m", "1", "binary", made_reference(rng), ("no", "yes"), METRICS["accuracy"], 0.5), []
        frame = rows(rng, 1000)
        proba, _ = answers(rng, frame)
        window = WindowRows(frame.height, cells_of(frame), answers=proba)
        begun = time.process_time()
        found: Checked = check(judge, Window(str(k), str(k + 1), window), history)
        monitoring_page(Monitored("m", "1", (found,), judge, "simulated rows"))
        seconds.append(time.process_time() - begun)
        history.append(found)
        pages += bool(found.pages)
        explains += bool(found.alarms)
    told("whole checks of unchanged rows that page", pages / checks, 0.01)
    told("whole checks of unchanged rows with any alarm", explains / checks, 0.01)
    told("processor seconds of a check and its report, 25 columns, 1,000 rows, median", float(np.median(seconds)), 0.3)


def answers(rng: np.random.Generator, frame: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of a model of two columns, and what turned out."""
    p = 1 / (1 + np.exp(-(frame["normal0"].to_numpy() + 0.5 * frame["normal1"].to_numpy() - 0.5)))
    return np.column_stack([1 - p, p]), (rng.random(len(p)) < p).astype(np.int64)


def made_reference(rng: np.random.Generator) -> Reference:
    """As a training makes it."""
    frame = rows(rng, REFERENCE_ROWS)
    proba, y = answers(rng, frame)
    profile = profile_of(frame, COLUMNS, answers=proba, task="binary", classes=("no", "yes"))
    return reference_of(profile, frame, cells_of(frame), proba, y, "simulated rows")


def real_rows(data: Path, windows: int) -> None:
    """Whole checks of fresh rows of real tables."""
    import estimate

    pages = explains = checks = 0
    for name in estimate.TABLES:
        case = estimate.of_table(data, name, estimate.TABLES[name])
        k = 0 if case.task == "regression" else case.reference.held_out.answers.shape[1]
        metric = METRICS["rmse" if case.task == "regression" else "accuracy"]
        threshold = 0.5 if case.task == "binary" else None
        judge = Judge(name, "1", case.task, case.reference, [str(c) for c in range(k)], metric, threshold)
        history: list[Checked] = []
        for number in range(windows):
            frame, y = case.draw(np.random.default_rng(number), 1000, 0.0)
            cells = estimate.cells_of(frame, case.columns)
            window = WindowRows(frame.height, cells, answers=case.answer(frame), y=y.astype(np.float64))
            history.append(check(judge, Window(str(number), str(number + 1), window), history))
        pages += sum(bool(each.pages) for each in history)
        explains += sum(bool(each.alarms) for each in history)
        checks += windows
        furthest = max(max(a.distance for a in each.answers) for each in history)
        print(f"  {name:<22} {sum(bool(e.alarms) for e in history)} of {windows} alarm, answers off by {furthest:.3f} at most")
    told("whole checks of fresh real rows that page", pages / checks, 0.01)
    told("whole checks of fresh real rows with any alarm", explains / checks, 0.01)


def peers(checks: int) -> None:
    """The same windows for evidently, NannyML and us: columns flagged where none has changed, and the shift that is found."""
    named = {peer: os.environ.get(f"MODELWRIGHT_PEER_{peer.upper()}") for peer in ("evidently", "nannyml")}
    for n, shift in ((100, 0.0), (1000, 0.0), (1000, 0.3)):
        rng = np.random.default_rng(n)
        reference = rows(rng, REFERENCE_ROWS)
        frames = [rows(rng, n, shift) for _ in range(checks)]
        profile = profile_of(reference, COLUMNS)
        ours = []
        for frame in frames:
            begun, cells = time.perf_counter(), cells_of(frame)
            found = judged([drift_of(column, cells[column.name]) for column in profile.columns])
            flagged = [each.name for each in found if each.exceeds]
            ours.append({"columns": flagged, "dataset": bool(flagged), "seconds": time.perf_counter() - begun})
        found_by = {"ours, before persistence": ours}
        with tempfile.TemporaryDirectory() as folder:
            for name, frame in (("reference", reference), *((str(k), frame) for k, frame in enumerate(frames))):
                labels = [pl.format("L{}", pl.col(column)).alias(column) for column in NAMES if column.startswith("sparse")]
                frame.with_columns(labels).write_csv(Path(folder) / f"{name}.csv")
            for peer, python in named.items():
                if python:
                    script = str(Path(__file__).with_name("drift_peers.py"))
                    done = subprocess.run([python, script, peer, folder], capture_output=True, text=True, check=False)
                    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
                    if lines:
                        found_by[peer] = lines
                    else:
                        print(f"  {peer} failed: {done.stderr.strip().splitlines()[-1:]}")
        for who, lines in found_by.items():
            wrong = np.mean([len(set(line["columns"]) - ({"normal0"} if shift else set())) for line in lines])
            hit = f", the shift in {np.mean(['normal0' in line['columns'] for line in lines]):.0%}" if shift else ""
            dataset, seconds = np.mean([line["dataset"] for line in lines]), np.median([line["seconds"] for line in lines])
            print(
                f"  {n} rows, {shift} sd, {who}: {wrong:.2f} of {25 - bool(shift)} unchanged columns flagged a check{hit}; "
                f"data set said to drift in {dataset:.0%}; {seconds:.3g} s a check",
                flush=True,
            )


def told(what: str, value: float, goal: float, *, most: bool = True) -> None:
    """One figure beside its goal."""
    good = value <= goal if most else value >= goal
    print(f"{'ok  ' if good else 'MISS'} {what}: {value:.4g} (goal {'at most' if most else 'at least'} {goal:g})", flush=True)


def main() -> None:
    """Run all, or some parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--checks", type=int, default=1000)
    parser.add_argument("--parts", default="", help="only some: unchanged, shift, harmless, broken, adwin, whole, real, peers")
    given = parser.parse_args()
    n: int = given.checks
    parts: dict[str, Callable[[], None]] = {
        "unchanged": lambda: false_alarms(n),
        "shift": lambda: found_shift(max(n // 5, 20)),
        "harmless": lambda: harmless_shift(max(n // 10, 10)),
        "broken": lambda: broken_columns(max(n // 5, 22)),
        "adwin": lambda: adwin(max(n // 5, 40)),
        "whole": lambda: whole_checks(max(n // 5, 20)),
        "real": lambda: real_rows(given.data, max(n // 50, 5)),
        "peers": lambda: peers(max(n // 100, 5)),
    }
    wanted = (
        given.parts.split(",")
        if given.parts
        else [part for part in parts if part != "peers" and (part != "real" or given.data)]
    )
    begun = time.process_time()
    for part in wanted:
        parts[part]()
    print(f"{time.process_time() - begun:.0f} s of CPU")


if __name__ == "__main__":
    main()
