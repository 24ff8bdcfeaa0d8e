"""How much memory this process may still take: the machine's, or less where a control group limits it."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
#: Where a control group states its limit and its use: version 2, then version 1.
_FILES = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def free_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUP) -> int | None:
    """Bytes that can be taken without swapping.

    Parameters
    ----------
    meminfo, cgroup : Path
        Where the system tells; for tests.

    Returns
    -------
    int or None
        None where the system does not tell.
    """
    known = [value for value in (_available(meminfo), *(_left(cgroup, *names) for names in _FILES)) if value is not None]
    return min(known) if known else None


def _available(meminfo: Path) -> int | None:
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        if "SC_AVPHYS_PAGES" in os.sysconf_names:
            return int(os.sysconf("SC_AVPHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    return None


def _left(cgroup: Path, limit: str, used: str) -> int | None:
    try:
        most, now = (cgroup / limit).read_text().strip(), int((cgroup / used).read_text())
    except (OSError, ValueError):
        return None
    # "max", or a number near 2**63, is no limit.
    return max(0, int(most) - now) if most.isdigit() and int(most) < 1 << 60 else None
