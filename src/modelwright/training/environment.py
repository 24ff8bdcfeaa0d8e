"""Where a run took place: versions, machine, memory."""

from __future__ import annotations

import hashlib
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from modelwright.provenance.machine import available_cpus

#: Packages whose version can change a result.
PACKAGES = (
    "modelwright", "numpy", "scipy", "scikit-learn", "polars", "lightgbm",
    "catboost", "xgboost-cpu", "xgboost", "torch", "optuna",
)  # fmt: skip


def libraries() -> dict[str, str]:
    """Installed versions of the packages that matter."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def environment(n_workers: int) -> dict[str, Any]:
    """Python, machine and packages, as plain values."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": available_cpus(),
        "workers": n_workers,
        "threads_per_fit": 1,
        "packages": libraries(),
        "code": code_digest(),
    }


def code_digest() -> str:
    """SHA-256 over the source of this package: a version that is being worked on stays the same while its code does not."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def peak_memory_mb() -> float:
    """High-water mark of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
