"""What the loop of monitoring and retraining is measured by, one program of ``benchmarks/loop/`` after another.

usage: python benchmarks/loop.py DATA [--short] [--only drift,estimate,gate,release,kills,tables]

DATA is a folder of tables with ``manifest.json``. All of it takes hours; ``--short`` looks at less of the same. A program that
fails is named at the end, and the others run nevertheless.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "loop"
#: Programs in the order from quick to slow, with their words: what is long, and what is short; DATA stands for the folder.
PARTS = {
    "drift": (["DATA", "--checks", "1000"], ["DATA", "--checks", "100"]),
    "estimate": (["DATA"], ["DATA", "--windows", "2"]),
    "gate": (["--draws", "2000"], ["--draws", "200"]),
    "release": (["--draws", "1000"], ["--draws", "40"]),
    "kills": (["--kills", "300"], ["--kills", "10"]),
    "tables": (
        ["DATA"],
        ["DATA", "--rows", "5000", "--windows", "16", "--every", "1,2", "--only", "electricity_nsw,bike_sharing_hourly"],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", default=",".join(PARTS))
    asked = parser.parse_args()
    parts = asked.only.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    failed = []
    for part in parts:
        words = [str(asked.data) if word == "DATA" else word for word in PARTS[part][asked.short]]
        print(f"\n# {part}.py {' '.join(words)}", flush=True)
        started = time.monotonic()
        if subprocess.run([sys.executable, FOLDER / f"{part}.py", *words]).returncode:
            failed.append(part)
        print(f"# {part}: {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
