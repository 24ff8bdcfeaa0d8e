"""How fast a table is fingerprinted on one core, in MB of cell content a second.

Content is 8 bytes a number and the UTF-8 bytes of a text; polars itself needs 16 bytes more for each text,
which would flatter the figure. Beside it stands what a training adds to that time by taking the hashes by which a
changed cell is found later (``tables/traces.py``). Run with POLARS_MAX_THREADS=1 (set here) on an idle machine::

    python benchmarks/fingerprint_speed.py
"""

from __future__ import annotations

import hashlib
import os
import time

os.environ["POLARS_MAX_THREADS"] = "1"

import numpy as np
import polars as pl

from modelwright.tables.differences import traced
from modelwright.tables.fingerprint import fingerprint

ROWS = 2_000_000
REPEATS = 5


def frames() -> dict[str, tuple[pl.DataFrame, float]]:
    """Frames by name, each with its content in MB."""
    rng = np.random.default_rng(0)
    floats = pl.DataFrame({f"x{i}": rng.normal(size=ROWS) for i in range(5)})
    gaps = floats.select(pl.when(pl.all() > -1).then(pl.all()))
    integers = pl.DataFrame({f"i{i}": rng.integers(0, 10**6, ROWS) for i in range(5)})
    words = pl.DataFrame({"word": pl.Series(rng.integers(0, 1000, ROWS)).cast(pl.String) + "_category"})
    sentences = pl.DataFrame(
        {"text": words["word"].str.head(3) + " is a sentence of some sixty letters, as reviews have them é"}
    )
    number_mb = 5 * ROWS * 8 / 1e6
    made = {"floats": (floats, number_mb), "floats with nulls": (gaps, number_mb), "integers": (integers, number_mb)}
    for name, frame in (("short text", words), ("sentences", sentences)):
        made[name] = (frame, float(frame.to_series().str.len_bytes().sum()) / 1e6)
    return made


def seconds(function: object, *args: object) -> float:
    """Best of some runs."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        function(*args)  # type: ignore[operator]
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Print one line a kind of table, and the hash functions alone."""
    for name, (frame, megabytes) in frames().items():
        alone, both = seconds(fingerprint, frame), seconds(traced, frame)
        print(f"{name:>18}: {megabytes / alone:6.0f} MB/s, with traces {megabytes / both:6.0f} MB/s, {both / alone - 1:+.0%}")
    block = np.random.default_rng(0).bytes(1 << 27)
    for name in ("sha256", "blake2b"):
        print(f"{name + ' alone':>18}: {len(block) / 1e6 / seconds(hashlib.new, name, block):6.0f} MB/s")


if __name__ == "__main__":
    main()
