"""A program under watch: a limit of time, the memory of its whole family, and nobody left behind.

A system may start servers and workers that leave its process group or outlive it. Every descendant is therefore noted
while it still has its parent, and what is left at the end is killed. Where there is no ``/proc`` memory is unknown and the
process group alone is ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SAMPLE_S = 0.2
#: Every so many samples also the proportional memory, which is dearer to ask for.
PROPORTIONAL_EACH = 5
_MB = 2**20


@dataclass(frozen=True)
class Watched:
    """How a program went; memory in MB over all its processes at the same moment, None where it cannot be known.

    ``peak_rss_mb`` counts a page shared by two processes twice, ``peak_pss_mb`` once, but is sampled less often.
    """

    exit: int | None
    wall_s: float
    peak_rss_mb: float | None
    peak_pss_mb: float | None

    @property
    def killed(self) -> bool:
        return self.exit is None


def watch(command: Sequence[str], *, limit_s: float, cwd: Path, log: Path, env: Mapping[str, str] | None = None) -> Watched:
    """Run a program until it ends or the limit is over; then end all that it started.

    Parameters
    ----------
    command : sequence of str
    limit_s : float
        Wall-clock from the start of the process, after which it is killed.
    cwd, log : Path
        Working folder, and the file for standard output and error.
    env : mapping, optional

    Returns
    -------
    Watched
        ``exit`` is None if it was killed.
    """
    family: dict[int, str] = {}
    rss = pss = 0.0
    code: int | None = None
    with log.open("wb") as stream:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            samples = 0
            while (left := limit_s - (time.perf_counter() - started)) > 0:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(timeout=min(SAMPLE_S, left))
                    break
                _note_descendants(process.pid, family)
                rss = max(rss, sum(_rss_mb(pid) for pid in family))
                if samples % PROPORTIONAL_EACH == 0:
                    pss = max(pss, sum(_pss_mb(pid) for pid in family))
                samples += 1
            wall = time.perf_counter() - started
        finally:
            _note_descendants(process.pid, family)
            _end(process, family)
    return Watched(code, wall, rss or None, pss or None)


def _note_descendants(root: int, family: dict[int, str]) -> None:
    """Add the living descendants of the root and of those noted; forget the dead, and numbers that were given anew."""
    children: dict[int, list[int]] = {}
    born: dict[int, str] = {}
    for entry in PROC.glob("[0-9]*/stat") if PROC.exists() else ():
        with contextlib.suppress(OSError, IndexError):
            # The name in parentheses may hold blanks; what follows it: state, parent, ... start time (22nd field).
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] != "Z":
                pid = int(entry.parent.name)
                born[pid] = fields[19]
                children.setdefault(int(fields[1]), []).append(pid)
    for pid in [pid for pid, start in family.items() if born.get(pid) != start]:
        del family[pid]
    pending = [pid for pid in {root, *family} if pid in born]
    while pending:
        pid = pending.pop()
        family[pid] = born[pid]
        pending += [child for child in children.get(pid, []) if child not in family]


def _rss_mb(pid: int) -> float:
    with contextlib.suppress(OSError, IndexError):
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MB
    return 0.0


def _pss_mb(pid: int) -> float:
    with contextlib.suppress(OSError, StopIteration):
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return 0.0


def _end(process: subprocess.Popen[bytes], family: dict[int, str]) -> None:
    """Kill the program's group and every noted descendant, again until none is left."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for _ in range(5):
        _note_descendants(process.pid, family)
        family.pop(process.pid, None)
        if not family:
            return
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
