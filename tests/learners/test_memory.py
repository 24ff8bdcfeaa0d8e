"""What a fit is expected to take in memory, against fits in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.learners import registry
from modelwright.learners.memory import fit_memory_bytes, free_memory_bytes, most_rounds

#: Fits on generated rows; prints the bytes by which the resident memory rose at its peak.
_SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from modelwright.features.matrix import Layout, Matrix
from modelwright.learners import registry
name, n, p, q = sys.argv[1], *map(int, sys.argv[2:])
rng = np.random.default_rng(0)
numeric = rng.standard_normal((n, p), dtype=np.float32)
codes = rng.integers(1, 20, (n, q), dtype=np.int32)
y = (numeric[:, 0] + numeric[:, 1] + 0.1 * rng.standard_normal(n) > 0).astype(np.int64)
X = Matrix(numeric, codes, None, Layout(tuple(f"n{i}" for i in range(p)), tuple(f"c{i}" for i in range(q)), (20,) * q))
def resident(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
before = resident("VmRSS:")
Path("/proc/self/clear_refs").write_text("5")
params = {"n_estimators": 20} if name == "lightgbm" else {}
registry.create(name, params, task="binary", n_classes=2).fit(X, y)
print(resident("VmHWM:") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a part of a process")
@pytest.mark.parametrize(("name", "n"), [("lightgbm", 20_000), ("lightgbm", 300_000), ("linear", 150_000)])
def test_the_estimate_is_near_the_measured_peak(name: str, n: int) -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT, name, str(n), "16", "2"], capture_output=True, text=True, check=True)
    params = {"n_estimators": 20} if name == "lightgbm" else {}
    estimate = fit_memory_bytes(name, params, n, 16, 2, 2, cardinalities=[20, 20])
    assert 0.6 < estimate / int(done.stdout) < 1.8


@pytest.mark.parametrize("name", registry.LEARNERS)
def test_more_rows_and_more_columns_never_take_less(name: str) -> None:
    sizes = [fit_memory_bytes(name, {}, n, 20, 5, 3) for n in (100, 1_000, 3_000, 100_000, 3_000_000)]
    assert all(size > 0 for size in sizes)
    if name != "svm":  # beyond some thousand rows it keeps no matrix of all pairs
        assert sizes == sorted(sizes)
    assert fit_memory_bytes(name, {}, 50_000, 200, 5, 3) >= fit_memory_bytes(name, {}, 50_000, 20, 5, 3)


def test_larger_models_take_more() -> None:
    def forest(trees: int) -> float:
        return fit_memory_bytes("extra_trees", {"n_estimators": trees}, 20_000, 10, 0, 2)

    assert forest(400) > 2 * forest(100)
    assert fit_memory_bytes("lightgbm", {"num_leaves": 500}, 20_000, 200, 0, 2) > fit_memory_bytes(
        "lightgbm", {"num_leaves": 8}, 20_000, 200, 0, 2
    )


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
def test_rounds_have_room_in_proportion_to_leaves_and_classes(name: str) -> None:
    room = {k: most_rounds(name, {"num_leaves": 40, "max_leaves": 40, "depth": 5}, k, 100e6) for k in (0, 2, 10)}
    assert room[0] == room[2]
    assert room[2] == pytest.approx(10 * (room[10] or 0), rel=0.01)
    rounds = {"n_estimators": room[10]}
    table = fit_memory_bytes(name, rounds | {"num_leaves": 40, "max_leaves": 40, "depth": 5}, 1, 1, 0, 10)
    bare = fit_memory_bytes(name, {"n_estimators": 0, "num_leaves": 40, "max_leaves": 40, "depth": 5}, 1, 1, 0, 10)
    assert table - bare == pytest.approx(100e6, rel=0.01)
    assert most_rounds("extra_trees", {}, 10, 100e6) is None


def test_an_unknown_algorithm_gets_a_generous_guess() -> None:
    assert fit_memory_bytes("plugin", {}, 1000, 10, 0, 2) > fit_memory_bytes("linear", {}, 1000, 10, 0, 2)


def test_free_memory_is_told() -> None:
    assert 1e6 < free_memory_bytes() < 1e14
