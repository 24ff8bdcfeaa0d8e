"""The address of a function, so that another process can find it; and whether it can take the parameters."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from collections.abc import Callable, Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from modelwright.errors import InvalidInputError, SpecError
from modelwright.jobs.targets import target_of
from modelwright.jobs.tuning.children import TUNED_VARIABLE

_MEND = "Write it at the top of a file and name that: modelwright.tune('job.py:train', ...)."


def address_of(job: str | Path | Callable[..., Any]) -> str:
    """The address of a job: as it was given, or where its function stands.

    Trials run in processes of their own, which must be able to import the function; threads would share memory, seeds and
    crashes. A function of the running script is found in its file, of a module under its name.

    Raises
    ------
    InvalidInputError
        If no other process could find the function, or if this is such a process itself.
    """
    if isinstance(job, (str, Path)):
        return str(job)
    if not callable(job):
        raise InvalidInputError(f"{job!r} is no job.", where="job", mend="Give a function, or 'job.py:train'.")
    function = inspect.unwrap(job)
    name, module = getattr(function, "__qualname__", repr(job)), sys.modules.get(getattr(function, "__module__", ""))
    if not name.isidentifier() or module is None or getattr(module, name, None) not in (job, function):
        what = "A lambda" if "<lambda>" in name else f"{name} does not stand at the top of a file, and"
        raise InvalidInputError(f"{what} cannot be found by the processes of trials.", where="job", mend=_MEND)
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__" and (not file or not file.endswith(".py") or "ipykernel" in file):
        raise InvalidInputError(f"{name} stands in no file, as in a notebook.", where="job", mend=_MEND)
    # By its file where it belongs to no package: that needs no search path.
    found = f"{file}:{name}" if file and file.endswith(".py") and not getattr(module, "__package__", None) else ""
    address = found or f"{module.__name__}:{name}"
    if os.environ.get(TUNED_VARIABLE) == address:
        raise InvalidInputError(
            "A trial of this search began the search again, since it stands at the top of the file of its job.",
            where=address,
            mend='Put the call of tune under: if __name__ == "__main__":',
        )
    return address


def check_parameters(address: str, names: Collection[str]) -> None:
    """Refuse a function that its file does not have, or that does not take these parameters.

    The file is read, not run. Where reading does not tell, as with a decorator that is not ours, the first trial will.

    Raises
    ------
    SpecError
        Naming what there is instead.
    """
    target = target_of(address)
    if not target.is_file or not target.function:
        return
    try:
        body = ast.parse(Path(target.place).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return  # the first trial says it better
    functions = {node.name: node for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    function = functions.get(target.function)
    if function is None:
        near = get_close_matches(target.function, functions, n=1)
        if near and not any(target.function in ast.dump(node) for node in body):
            raise SpecError(
                f"There is no function {target.function!r} in the file.",
                where=target.place,
                mend=f"Did you mean {target.place}:{near[0]}?",
            )
        return
    arguments = function.args
    if arguments.kwarg is not None or any("job" not in ast.unparse(each) for each in function.decorator_list):
        return
    taken = [each.arg for each in (*arguments.args, *arguments.kwonlyargs)]
    unknown = next((name for name in names if name not in taken), None)
    if unknown is not None:
        raise SpecError(
            f"{target.function} takes no {unknown!r}.",
            where=f"param {unknown}",
            mend=f"It takes: {', '.join(taken) or 'nothing'}.",
        )
    needed = [each.arg for each in arguments.args[: len(arguments.args) - len(arguments.defaults)]]
    needed += [each.arg for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    missing = next((name for name in needed if name not in names), None)
    if missing is not None:
        raise SpecError(
            f"{target.function} needs {missing!r}, which is not given.",
            where=f"param {missing}",
            mend="Give it values, or one that is fixed.",
        )
