"""A call beside the caller: its answer, its error, and who is told."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import pytest

from modelwright.aside import Aside


def test_the_caller_goes_on_meanwhile() -> None:
    may_end = threading.Event()
    aside = Aside(lambda: may_end.wait(30), "waits")
    may_end.set()  # never reached if the call were made here
    assert aside.result() is True
    assert aside.result() is True, "asked twice"


def test_an_error_is_raised_where_the_result_is_asked_and_tells_who_goes_on() -> None:
    told = threading.Event()
    aside = Aside(lambda: 1 / 0, "divides", failed=told.set)
    assert told.wait(30)
    with pytest.raises(ZeroDivisionError):
        aside.result()


def _in_a_block(call: Callable[[], object], error: Exception) -> None:
    told = threading.Event()
    with Aside(call, "beside", failed=told.set):
        assert told.wait(1 if call is _one else 30) is (call is not _one)
        raise error


def _one() -> int:
    return 1


def test_its_error_comes_before_that_of_the_block() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _in_a_block(lambda: 1 / 0, RuntimeError("stopped, because the other had failed"))
    assert isinstance(caught.value.__context__, RuntimeError)


def test_a_block_that_fails_alone_keeps_its_error() -> None:
    with pytest.raises(RuntimeError, match="its own"):
        _in_a_block(_one, RuntimeError("its own"))


def test_what_the_call_held_is_let_go() -> None:
    class Table:
        def height(self) -> int:
            return 3

    table = Table()
    seen = weakref.ref(table)
    aside = Aside(table.height, "reads")
    del table
    assert aside.result() == 3
    gc.collect()
    assert seen() is None
