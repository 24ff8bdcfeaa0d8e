"""The last word of a run, from what ended it."""

from __future__ import annotations

import sys
from pathlib import Path

from modelwright.jobs.log import End
from modelwright.provenance.secrets import redacted_code

#: Longest error that a record keeps.
LONGEST_ERROR = 2000


def ending(error: BaseException | None) -> End:
    """The last word after a body that ended with this exception, or with none."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return End("finished")
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "CancelledError":
        return End("interrupted")
    return End("failed", error=error_text(error))


def error_text(error: BaseException) -> str:
    """Kind and message of an exception on one line."""
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return (f"exit code {text}" if isinstance(error.code, int) else redacted_code(text))[:LONGEST_ERROR]
    found = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return redacted_code(found)[:LONGEST_ERROR].encode(errors="backslashreplace").decode()


def peak_memory_mb() -> float:
    """High-water mark of this process.

    On Linux from its own memory map: what `getrusage` says begins with the size of the process that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)
