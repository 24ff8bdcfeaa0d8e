"""Serving, scheduling and work in one process group: started together, restarted when one dies, ended together.

Each member is the very command that a larger team runs by itself. A member watches its standard input, which closes when
this process ends, however it ends; then it ends too, so nothing is left behind that holds a port or a lock.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from modelwright.errors import ModelwrightError
from modelwright.serving.logs import Log

#: A member that lives shorter than this after its start waits before the next one, longer each time.
_SHORT_S = 5.0
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_LOOK_S = 0.1
#: Starts of one member that fail one after the other before everything is ended.
_MOST_FAILURES = 8
#: Seconds that members have to end in order.
_GRACE_S = 45.0
_MEMBER = (
    "import sys; from modelwright.retraining.children import ends_with_parent; ends_with_parent(gently=True);"
    "from modelwright.cli.main import main; main(sys.argv[1:])"
)


@dataclass
class Member:
    """One command of the group.

    Attributes
    ----------
    name : str
    words : tuple of str
        Of the command line, without the program.
    """

    name: str
    words: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    next_start: float = field(default=0.0)

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C goes to the group's first process, which then ends the members."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _MEMBER, *self.words], stdin=subprocess.PIPE, start_new_session=True,
            env=os.environ | {"MODELWRIGHT_TOGETHER": "1"},
        )  # fmt: skip

    def look(self, log: Log) -> None:
        """Start it anew if it has died."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is None:
            if now - self.started > 10 * _SHORT_S:
                self.failures = 0
            return
        if self.process is not None:
            log.write("member ended", member=self.name, code=self.process.returncode)
            if self.process.stdin is not None:
                self.process.stdin.close()
            self.process = None
            self.failures = self.failures + 1 if now - self.started < _SHORT_S else 1
            if self.failures >= _MOST_FAILURES:
                raise ModelwrightError(f"The {self.name} ends again and again.", mend="See its messages above.")
            self.next_start = now + _PAUSES_S[min(self.failures - 1, len(_PAUSES_S) - 1)]
        if now >= self.next_start:
            self.start()


def run_together(members: Sequence[Member], log: Log) -> None:
    """Run the members until a signal comes; a second one ends them at once.

    Parameters
    ----------
    members : sequence of Member
        Ended in the reverse of their order.
    log : Log

    Raises
    ------
    ModelwrightError
        If one ends again and again before it has worked.
    """
    signals: list[int] = []
    before = {number: signal.signal(number, lambda got, _: signals.append(got)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not signals:
            for member in members:
                member.look(log)
            time.sleep(_LOOK_S)
    finally:
        _end(members, signals)
        for number, handler in before.items():
            signal.signal(number, handler)
        log.write("all ended")


def _end(members: Sequence[Member], signals: list[int]) -> None:
    running = [member.process for member in reversed(members) if member.process is not None]
    for process in running:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + _GRACE_S
    for process in running:
        while process.poll() is None:
            if time.monotonic() > deadline or len(signals) > 1:
                process.kill()
            time.sleep(0.02)
