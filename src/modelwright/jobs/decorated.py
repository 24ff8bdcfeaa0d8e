"""`job`: a function whose every call is a run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, overload

from modelwright.errors import InvalidInputError
from modelwright.jobs.active import ActiveRun, start_run
from modelwright.jobs.results import log_result
from modelwright.jobs.values import described, shown

P = ParamSpec("P")
R = TypeVar("R")


@overload
def job(function: Callable[P, R]) -> Callable[P, R]: ...
@overload
def job(
    *,
    name: str | None = None,
    tags: Mapping[str, Any] | None = None,
    home: str | Path | None = None,
    seed: int | None = None,
    autolog: bool | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def job(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    tags: Mapping[str, Any] | None = None,
    home: str | Path | None = None,
    seed: int | None = None,
    autolog: bool | None = None,
) -> Any:
    """Make every call of a function a run. Written as ``@modelwright.job`` or ``@modelwright.job(name="fit")``.

    Arguments become params, defaults too; what is not plain is described in words. The numbers of a returned dict become
    metrics, a returned number becomes "score". The function returns what it returned before. Within another run it makes a
    child of it.

    Parameters
    ----------
    function : callable, optional
        Also an ``async`` one.
    name : str, optional
        By default that of the function.
    tags, home, seed, autolog
        As for `start_run`. Without ``seed``, an argument called "seed" is recorded as one, but seeds nothing.

    Examples
    --------
    >>> import modelwright, tempfile
    >>> home = tempfile.mkdtemp()
    >>> @modelwright.job(home=home)
    ... def train(lr, epochs=3):
    ...     return {"loss": lr * epochs}
    >>> train(0.5)
    {'loss': 1.5}
    >>> run = modelwright.open_run("train", home=home)
    >>> run.params, run.metrics
    ({'lr': 0.5, 'epochs': 3}, {'loss': 1.5})
    """

    def decorated(inner: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(inner) or inspect.isclass(inner):
            raise InvalidInputError(
                f"A job is a function, not {inner!r}.", where="modelwright.job", mend="Decorate a function."
            )
        if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
            raise InvalidInputError(
                f"{inner.__name__} is a generator, whose work begins after the call.",
                where="modelwright.job",
                mend="Decorate the function that uses it, or use start_run within it.",
            )

        def started(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActiveRun:
            called = name or getattr(inner, "__name__", "job")
            params = params_of_call(inner, args, kwargs)
            return start_run(called, params=params, tags=tags, home=home, seed=seed, autolog=autolog)

        if inspect.iscoroutinefunction(inner):

            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with started(args, kwargs) as run:
                    result = await inner(*args, **kwargs)
                    log_result(run, result)
                return result

            wrapper: Any = functools.wraps(inner)(awaited)
        else:

            def called(*args: Any, **kwargs: Any) -> Any:
                with started(args, kwargs) as run:
                    result = inner(*args, **kwargs)
                    log_result(run, result)
                return result

            wrapper = functools.wraps(inner)(called)
        #: The function itself, for who makes a run of its own around it (`jobs.child_main`).
        wrapper.__modelwright_job__ = inner
        return wrapper

    return decorated if function is None else decorated(function)


def params_of_call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name with the defaults; ``self`` is left out, ``**kwargs`` are spread.

    Raises
    ------
    TypeError
        If the function cannot be called so; as the call itself would.
    """
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    params: dict[str, Any] = {}
    for position, (name, value) in enumerate(bound.arguments.items()):
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            params.update(value)
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            params.update({name: list(value)} if value else {})
        elif position > 0 or name not in ("self", "cls"):
            params[name] = value
    return shown({name: described(name, value) for name, value in params.items()})
