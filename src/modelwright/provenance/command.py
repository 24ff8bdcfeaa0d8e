"""The words of the call, and who called."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from modelwright.masking import masked_command
from modelwright.provenance.secrets import redacted


def command() -> list[str]:
    """The words with which this process was called; the interpreter by its name, our own program as ``modelwright``."""
    words = list(getattr(sys, "orig_argv", [])) or list(sys.argv)
    called = sys.argv[0] if sys.argv else ""
    if Path(called).name in ("modelwright", "modelwright.exe") or Path(called).parts[-3:] == ("modelwright", "cli", "main.py"):
        words = ["modelwright", *sys.argv[1:]]
    elif words:
        words = [Path(words[0]).name, *words[1:]]
    return shown_command(words)


def shown_command(words: list[str]) -> list[str]:
    """Words of a call as they may be written."""
    return [redacted(word) for word in masked_command(words)]


def user() -> str:
    """Name of the user, "" where nobody knows it (a container without an entry)."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
