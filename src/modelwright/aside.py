"""A call in a thread of its own, while the caller goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """A call that goes on in a daemon thread; `result` waits for what it returns.

    As a context manager it lets its own error through, if there is one, instead of one that the block ended with.

    Parameters
    ----------
    call : callable
    name : str
        Of the thread.
    failed : callable, optional
        Called in the thread where ``call`` raises: whoever goes on meanwhile need not go on.

    Examples
    --------
    >>> Aside(lambda: 6 * 7, "arithmetic").result()
    42
    """

    def __init__(self, call: Callable[[], T], name: str, *, failed: Callable[[], None] | None = None) -> None:
        self._call: Callable[[], T] | None = call
        self._failed = failed
        self._answer: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def result(self) -> T:
        """What the call returned; waits for it, and raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._answer[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        assert self._call is not None
        try:
            self._answer.append(self._call())
        except BaseException as error:  # raised by `result`, in the thread that asks
            self._error = error
            if self._failed is not None:
                self._failed()
        finally:
            # What the call held is not held longer than it runs.
            self._call = None
