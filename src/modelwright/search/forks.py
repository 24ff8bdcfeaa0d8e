"""Workers are forked from one process that has imported what fits need, so that they share its memory and none waits for it.

The libraries of all algorithms take 230 MB and two processor seconds; a worker that imports them by itself pays both again,
at the start and whenever one was ended and another takes its place. The process that forks runs one thread and no fit. It
asks for nothing: whoever started it sends eight bytes a request over a socket, with the descriptors of a new worker or the
number of one whose end is to be told, and it ends when that socket closes.

Where forking is not safe (not on Linux, or because a library started threads while it was imported), the new process starts a
fresh interpreter instead.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from modelwright.learners.lean_import import library, own_process

#: A request is a process to wait for, or 0 for a new worker; an answer is its number or its exit code.
_NUMBER = struct.Struct("<q")
#: Imports Polars, which starts threads; a tenth of a second for each worker.
_NOT_SHARED = frozenset({"catboost"})


class Forked:
    """A worker, and the pipes to it; like `subprocess.Popen` as far as it goes."""

    def __init__(self, server: ForkServer, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self._server = server
        self._ended: int | None = None

    @property
    def pid(self) -> int | None:
        """Its number, once it was forked; None if it never was, or has ended."""
        return self._server.pid(self)

    def kill(self) -> None:
        """End it at once, and wait until it has ended; one that is not forked yet will end when its pipe is closed."""
        pid = self._server.pid(self, wait=False)
        # Until its parent waits for it nobody else can have its number; without that parent its closed pipe must do.
        if pid is not None and self._server.lives:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.wait()

    def wait(self) -> int | None:
        """Exit code, or minus the signal, once it has ended; None if who would know has ended too."""
        if self._ended is None:
            self._ended = self._server.wait(self)
        return self._ended


class ForkServer:
    """The process that forks workers, as seen by who asks for them.

    Parameters
    ----------
    log : file
        Receives what it, the workers and their libraries print.
    environment : mapping of str to str
    libraries : sequence of str, optional
        Modules that it imports before the first worker is forked; those that are not installed are passed over.
    """

    def __init__(self, log: IO[bytes], environment: Mapping[str, str], libraries: Sequence[str] = ()) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "modelwright.search.forks", str(theirs.fileno()), *libraries],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C at the terminal reaches the parent only
                pass_fds=(theirs.fileno(),),
            )
        self._answered = select.poll()  # `select.select` knows no descriptor above 1,023
        self._answered.register(self._socket, select.POLLIN)
        self._unnumbered: deque[Forked] = deque()
        self._pids: dict[Forked, int] = {}

    @property
    def lives(self) -> bool:
        """Whether it can be asked for workers."""
        return self._process.poll() is None

    def fork(self, kept_open: Sequence[int] = ()) -> Forked:
        """A new worker, which takes jobs as soon as the libraries are imported; this returns at once.

        Parameters
        ----------
        kept_open : sequence of int, optional
            Further descriptors that the worker inherits.
        """
        jobs, to_worker = os.pipe()
        from_worker, answers = os.pipe()
        worker = Forked(self, os.fdopen(to_worker, "wb"), os.fdopen(from_worker, "rb"))
        try:
            # With the server gone these descriptors close, and the worker counts as dead from the start.
            with suppress(OSError):
                socket.send_fds(self._socket, [_NUMBER.pack(0)], [jobs, answers, *kept_open])
                self._unnumbered.append(worker)
        finally:
            os.close(jobs)
            os.close(answers)
        return worker

    def pid(self, worker: Forked, *, wait: bool = True) -> int | None:
        """Number of a worker; None if it was never forked, or is not yet and nobody wants to ``wait``."""
        while worker not in self._pids and worker in self._unnumbered:
            if not wait and not self._answered.poll(0):
                return None
            number = self._answer()
            if number is None:
                self._unnumbered.clear()
            else:
                self._pids[self._unnumbered.popleft()] = number
        return self._pids.get(worker)

    def wait(self, worker: Forked) -> int | None:
        """Exit code of a worker that has ended or is about to."""
        pid = self.pid(worker)
        while self._unnumbered:  # their numbers come before the code
            self.pid(self._unnumbered[-1])
        if pid is None:
            return None
        del self._pids[worker]
        with suppress(OSError):
            self._socket.sendall(_NUMBER.pack(pid))
            return self._answer()
        return None

    def close(self) -> None:
        """End it; workers end when their pipes are closed."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _answer(self) -> int | None:
        with suppress(OSError):
            answer = self._socket.recv(_NUMBER.size, socket.MSG_WAITALL)
            if len(answer) == _NUMBER.size:
                return int(_NUMBER.unpack(answer)[0])
        return None


def main() -> None:
    """Import, then fork as asked until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the parent, which decides
    own_process()
    libraries = sys.argv[2:]
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        share = sys.platform == "linux"
        if share:
            _load(libraries)
            share = len(os.listdir("/proc/self/task")) == 1
        while True:
            try:
                request, handed, _, _ = socket.recv_fds(channel, _NUMBER.size, 16)
            except ConnectionResetError:
                return
            if not request:
                return
            pid = int(_NUMBER.unpack(request)[0])
            if pid:
                answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            else:
                answer = os.fork()
                if answer == 0:
                    channel.close()
                    _become_worker(*handed, libraries=libraries, shared=share)
                for descriptor in handed:
                    os.close(descriptor)
            try:
                channel.sendall(_NUMBER.pack(answer))
            except BrokenPipeError:
                return


def _load(libraries: Sequence[str]) -> None:
    """Import what every fit needs, and the libraries; but for Polars, which starts threads."""
    import modelwright.learners.registry
    import modelwright.metrics.registry  # noqa: F401

    for name in (name for name in libraries if name not in _NOT_SHARED):
        with suppress(Exception):  # whatever is wrong with one of them, the fit that needs it will say so
            library(name)
    gc.collect()
    gc.freeze()  # a collection in a worker would write to pages that are shared


def _become_worker(jobs: int, answers: int, *kept_open: int, libraries: Sequence[str], shared: bool) -> None:
    """Work until the pipe of jobs closes; never returns."""
    os.setsid()
    os.dup2(jobs, 0)
    os.dup2(answers, 1)
    os.close(jobs)
    os.close(answers)
    if not shared:
        for descriptor in kept_open:
            os.set_inheritable(descriptor, True)
        os.execv(sys.executable, [sys.executable, "-m", "modelwright.search.worker", *libraries])
    from modelwright.search.worker import main as work

    work(libraries)


if __name__ == "__main__":
    main()
