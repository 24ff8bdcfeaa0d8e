"""What the user sees when a command ends badly: one message, no traceback, a telling exit code."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TextIO

from modelwright.errors import InvalidInputError, ModelwrightError, StorageError

#: Set to 1 to see the traceback of any error.
DEBUG_VARIABLE = "MODELWRIGHT_DEBUG"
#: What a shell reports for a program ended by Ctrl-C.
INTERRUPTED = 130


def usage_error(error: Any) -> InvalidInputError:
    """A refusal of the command-line parser in our form."""
    words = vars(error)
    option, possibilities = words.get("option_name"), words.get("possibilities")
    if option:
        near = get_close_matches(option, possibilities or [], n=1, cutoff=0.0)
        mend = f"Did you mean {near[0]!r}?" if near else "See the options with --help."
        return InvalidInputError(f"There is no option {option!r}.", mend=mend)
    return InvalidInputError(error.format_message().rstrip("."), mend="See --help.")


def translated(error: BaseException) -> ModelwrightError:
    """Any error as one that says what, where and what mends it."""
    if isinstance(error, ModelwrightError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            "The disk is full; nothing half-written was kept.",
            where=str(error.filename or ""),
            mend="Free some space, or choose another folder with --home.",
        )
    if isinstance(error, MemoryError):
        return ModelwrightError("The memory of this machine does not suffice.", mend="Train on fewer rows or columns.")
    return ModelwrightError(
        f"This should not have happened: {type(error).__name__}: {error}",
        mend=f"Run it again with {DEBUG_VARIABLE}=1 to see the traceback, and please report it.",
    )


def failure_lines(error: ModelwrightError) -> list[str]:
    """What, where and the mend, a line each.

    Examples
    --------
    >>> failure_lines(InvalidInputError("it is empty.", where="a.csv", mend="Give a table with rows."))
    ['error: it is empty.', '  where: a.csv', '  mend: Give a table with rows.']
    """
    lines = [f"error: {error.what}"]
    if error.where:
        lines.append(f"  where: {error.where}")
    if error.mend:
        lines.append(f"  mend: {error.mend}")
    return lines


def report_failure(error: BaseException, *, as_json: bool = False, stream: TextIO | None = None) -> int:
    """Write the error to stderr (and as a JSON line to stdout, when that is what the caller reads).

    Returns
    -------
    int
        The exit code.
    """
    stream = stream or sys.stderr
    if os.environ.get(DEBUG_VARIABLE, "") not in ("", "0"):
        traceback.print_exception(error, file=stream)
    told = translated(error)
    first, *rest = [*failure_lines(told), *_notes(error)]
    if stream.isatty() and not os.environ.get("NO_COLOR"):
        first = f"\033[1;31merror:\033[0m{first.removeprefix('error:')}"
    print("\n".join([first, *rest]), file=stream)
    if as_json:
        line = {"type": "Error", "what": told.what, "where": told.where, "mend": told.mend, "exit_code": told.exit_code}
        print(json.dumps(line, ensure_ascii=False), flush=True)
    return told.exit_code


@contextmanager
def interrupts_told() -> Iterator[None]:
    """Write what an interrupted command leaves to say, such as how to go on; the parser drops the interrupt itself."""
    try:
        yield
    except KeyboardInterrupt as error:
        print("\n".join(["interrupted", *_notes(error)]), file=sys.stderr)
        raise


def _notes(error: BaseException) -> list[str]:
    """What was added to the error on its way, a line each."""
    return [f"  next: {note}" for note in getattr(error, "__notes__", [])]
