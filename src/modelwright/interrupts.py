"""Ctrl-C as a wish to stop early, not to lose what is there."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def first_interrupt_stops(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C ends the search and lets the run finish; the second leaves at once.

    Signals reach the main thread only; elsewhere the handler stays as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    interrupted = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True
        stop.set()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
