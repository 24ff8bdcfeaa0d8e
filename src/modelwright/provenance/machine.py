"""The machine: processor, memory, graphics cards; looked at quickly, and never an error."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

from modelwright.provenance.record import Hardware

#: ``nvidia-smi`` wakes a sleeping driver, which takes a second or two.
_TIMEOUT_S = 4.0
_CARDS = Path("/proc/driver/nvidia")

#: Variables of the environment that limit threads, or choose what they run on.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "OMP_THREAD_LIMIT", "OMP_DYNAMIC", "OMP_PROC_BIND",
    "KMP_AFFINITY", "MKL_CBWR", "OPENBLAS_CORETYPE", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip


def hardware() -> Hardware:
    """What the machine is."""
    return Hardware(machine=platform.machine(), cpu=_cpu(), cores=available_cpus(), memory_bytes=_memory_bytes(), gpus=_cards())


def system() -> str:
    """Operating system and its release, with the C library where it is told: it holds the mathematical functions."""
    library = " ".join(platform.libc_ver()).strip()
    return f"{platform.system()} {platform.release()}" + (f", {library}" if library else "")


def thread_settings() -> dict[str, str]:
    """Settings of the environment that limit threads, as far as they are set."""
    return {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}


def available_cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Hardware", "cpu model"):
            return value.strip()
    if platform.system() == "Darwin":
        return (_said("sysctl", "-n", "machdep.cpu.brand_string") or "").strip()
    return platform.processor()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 0


def _cards() -> list[str]:
    """Names of the graphics cards of NVIDIA, with memory and driver where the program that tells them is there."""
    known = sorted(_CARDS.glob("gpus/*/information"))
    if not known and not shutil.which("nvidia-smi"):
        return []
    told = _said("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    if told:
        rows = [[cell.strip() for cell in line.split(",")] for line in told.splitlines() if line.strip()]
        return [", driver ".join([", ".join(row[:2]), *row[2:]]) for row in rows]
    models = [line.partition(":")[2].strip() for path in known for line in _lines(path) if line.startswith("Model")]
    return models


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _said(*command: str) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
