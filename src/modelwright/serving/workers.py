"""Several server processes on one socket: the parent opens it, starts workers, replaces those that die, and ends them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import ModelwrightError
from modelwright.learners.lean_import import own_process
from modelwright.serving.logs import Log
from modelwright.serving.metrics import Slots
from modelwright.serving.settings import Settings
from modelwright.serving.tokens import TokenLine

#: A worker that lives shorter than this after its start is not replaced at once, so that a broken one is no loop.
_SHORT_S = 5.0
_LOOK_S = 0.2
#: Workers that fail one after the other before the parent gives up.
_MOST_FAILURES = 5


class Work(msgspec.Struct, frozen=True):
    """What a worker is told on its standard input."""

    settings: Settings
    socket: int
    place: int
    counts: str
    given: list[TokenLine] = []


def run_workers(settings: Settings, listening: socket.socket, given: list[TokenLine]) -> None:
    """Run ``settings.workers`` processes until a signal comes.

    Raises
    ------
    ModelwrightError
        If workers end again and again before they serve.
    """
    log = Log()
    ending: list[int] = []
    before = {number: signal.signal(number, lambda got, _: ending.append(got)) for number in (signal.SIGINT, signal.SIGTERM)}
    with tempfile.TemporaryDirectory(prefix="modelwright-counts-") as counts:
        started: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        failures = 0
        try:
            for place in range(settings.workers):
                started[place] = _start(settings, listening, given, place, counts), time.monotonic()
            while not ending:
                time.sleep(_LOOK_S)
                for place, (process, at) in list(started.items()):
                    if process.poll() is None:
                        failures = 0 if time.monotonic() - at > 10 * _SHORT_S else failures
                        continue
                    log.write("worker ended", place=place, code=process.returncode)
                    failures += time.monotonic() - at < _SHORT_S
                    if failures >= _MOST_FAILURES:
                        raise ModelwrightError("Workers end before they serve.", mend="See their messages above.")
                    started[place] = _start(settings, listening, given, place, counts), time.monotonic()
        finally:
            _end([process for process, _ in started.values()], settings, ending)
            for number, handler in before.items():
                signal.signal(number, handler)


def _start(
    settings: Settings, listening: socket.socket, given: list[TokenLine], place: int, counts: str
) -> subprocess.Popen[bytes]:
    work = Work(settings, listening.fileno(), place, counts, given)
    # A session of its own: Ctrl-C goes to the parent, which then ends the workers in order.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__], stdin=subprocess.PIPE, pass_fds=[work.socket], start_new_session=True
    )
    assert process.stdin is not None
    try:
        process.stdin.write(msgspec.json.encode(work))
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has ended already, which the next look finds
    return process


def _end(processes: list[subprocess.Popen[bytes]], settings: Settings, signals: list[int]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + settings.drain_s + settings.grace_s + 15
    for process in processes:
        while process.poll() is None:
            if time.monotonic() > deadline or len(signals) > 1:
                process.kill()
            time.sleep(0.02)


def _main() -> None:
    """What a worker does."""
    from modelwright.serving.server import run_server

    work: Any = msgspec.json.decode(sys.stdin.buffer.read(), type=Work)
    listening = socket.socket(fileno=work.socket)
    try:
        run_server(work.settings, listening, work.given, Slots(Path(work.counts), work.place))
    except ModelwrightError as error:
        Log().write("worker failed", reason=error.what, mend=error.mend)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    own_process()
    _main()
