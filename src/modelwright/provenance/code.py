"""The state of the Git repository that a command was given in, as the ``git`` program tells it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

from modelwright.provenance.record import Code

#: Seconds for all questions together; a look that takes longer is given up, and the record says so.
TIMEOUT_S = 5.0
#: Bytes of a diff; whole files beyond are left out by name.
MOST_DIFF = 2_000_000
#: Names that are listed one by one.
_MOST_NAMED = 20
#: The name under which the run folder keeps the diff (`runs.folder.DIFF` stands above this layer).
DIFF_FILE = "code.diff"


def code_of(start: Path) -> tuple[Code | None, str]:
    """State of the repository that a folder or a script lies in, and the text of its uncommitted changes.

    Parameters
    ----------
    start : Path
        A folder, or a file such as a script.

    Returns
    -------
    tuple of Code or None, and str
        None where there is no ``git`` or no repository. ``Code.diff`` is `DIFF_FILE` where the text is not empty. The text
        applies to the commit with ``git apply``, unless ``Code.left_out`` says otherwise.
    """
    folder = start if start.is_dir() else start.parent
    deadline = time.monotonic() + TIMEOUT_S
    root = _said(folder, deadline, "rev-parse", "--show-toplevel")
    if not root:
        return None, ""
    top = Path(root.strip())
    commit = (_said(top, deadline, "rev-parse", "--verify", "--quiet", "HEAD") or "").strip()
    branch = (_said(top, deadline, "symbolic-ref", "--short", "--quiet", "HEAD") or "").strip()
    if not commit:
        return Code(commit="", branch=branch, left_out=["all files: nothing is committed yet"]), ""
    text, left_out = _diff(top, deadline)
    left_out += _untracked(top, deadline)
    return Code(commit=commit, branch=branch, diff=DIFF_FILE if text else "", left_out=left_out), text


def commit_of(start: Path) -> str:
    """The commit that a folder is at, with a "+" where files that git follows were changed since; "" outside a repository.

    Parameters
    ----------
    start : Path
    """
    deadline = time.monotonic() + TIMEOUT_S
    commit = (_said(start, deadline, "rev-parse", "--verify", "--quiet", "HEAD") or "").strip()
    if not commit:
        return ""
    changed = _output(start, deadline, "status", "--porcelain", "--untracked-files=no", most=1)
    return commit if changed == b"" else f"{commit}+"


def _diff(top: Path, deadline: float) -> tuple[str, list[str]]:
    # Without the user's own drivers and pagers: the text must apply elsewhere, and asking must start no program.
    options = ("--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
    raw = _output(top, deadline, "diff", "HEAD", *options, "--", ".", ":(exclude,glob)**/.modelwright/**", most=MOST_DIFF + 1)
    if raw is None:
        return "", [f"uncommitted changes: git gave no answer within {TIMEOUT_S:.0f} s"]
    if len(raw) <= MOST_DIFF:
        return _decoded(raw)
    whole = raw[:MOST_DIFF]
    end = whole.rfind(b"\ndiff --git ") + 1
    kept, left_out = _decoded(whole[:end])
    changed = _names(_output(top, deadline, "diff", "HEAD", "--name-only", "-z") or b"")
    missing = [name for name in changed if f"diff --git a/{name} " not in kept]
    return kept, [*left_out, *_listed("changed beyond the limit of 2 MB", missing)]


def _decoded(raw: bytes) -> tuple[str, list[str]]:
    try:
        return raw.decode(), []
    except UnicodeDecodeError:
        return raw.decode(errors="replace"), ["bytes of the changes that are not UTF-8"]


def _untracked(top: Path, deadline: float) -> list[str]:
    pathspec = ("--", ".", ":(exclude,glob)**/.modelwright/**")
    raw = _output(
        top, deadline, "ls-files", "--others", "--exclude-standard", "--directory", "--no-empty-directory", "-z", *pathspec
    )
    if raw is None:
        return ["untracked files: git gave no answer in time"]
    return _listed("untracked", [name for name in _names(raw) if name != ".modelwright/"])


def _listed(what: str, names: list[str]) -> list[str]:
    more = len(names) - _MOST_NAMED
    return [f"{what}: {name}" for name in names[:_MOST_NAMED]] + ([f"{what}: {more} more"] if more > 0 else [])


def _names(raw: bytes) -> list[str]:
    return [name for name in raw.decode(errors="replace").split("\0") if name]


def _said(folder: Path, deadline: float, *arguments: str) -> str | None:
    raw = _output(folder, deadline, *arguments)
    return None if raw is None else raw.decode(errors="replace")


def _output(folder: Path, deadline: float, *arguments: str, most: int = 10_000_000) -> bytes | None:
    """What git prints, up to ``most`` bytes; None if it fails, is absent, or the time ends."""
    # No locks, so that a commit made meanwhile is not disturbed; no monitor, which would start a program of the repository.
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-C", str(folder), *arguments]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    left = deadline - time.monotonic()
    if left <= 0:
        return None
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
    except OSError:
        return None
    timer = threading.Timer(left, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        with process.stdout as stream:
            raw = stream.read(most)
        if len(raw) >= most:
            process.kill()
            process.wait()
            return raw
        return raw if process.wait() == 0 else None
    finally:
        timer.cancel()
