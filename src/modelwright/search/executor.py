"""Local worker processes: as many fits at once as there are workers, one thread each.

A worker that dies, overruns its limit or is cut off by the deadline costs its own job only; a fresh one takes
its place. With a journal, what was answered before is not done again.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from modelwright.errors import StorageError
from modelwright.search.forks import ForkServer
from modelwright.search.jobs import Done, Fit, Job
from modelwright.search.journal import Journal

#: A fit that honours its time limit needs some more seconds to save and predict before it counts as stuck.
GRACE_S = 5.0
_POLL_S = 0.1
#: A worker that keeps more after a job is replaced: libraries with allocators of their own give nothing back (CatBoost kept
#: 260 MB after 10,000 rounds on 120 rows), and all of them together are 80 MB once each has been used.
MOST_KEPT_MB = 150.0

ONE_THREAD = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "POLARS_MAX_THREADS")
}


class Executor:
    """A fixed number of worker processes.

    Parameters
    ----------
    n_workers : int
    log : Path
        File that receives what the workers and their libraries print.
    stop : threading.Event
        When set, running jobs are ended and no new one starts.
    journal : Journal, optional
        Of the run that the jobs belong to.
    libraries : sequence of str, optional
        Modules that are imported once, for all workers.
    lock : int, optional
        Descriptor that workers inherit: the lock on a run folder lasts as long as any of those who write there.
    """

    def __init__(
        self,
        n_workers: int,
        log: Path,
        stop: threading.Event,
        *,
        journal: Journal | None = None,
        libraries: Sequence[str] = (),
        lock: int | None = None,
    ) -> None:
        self.n_workers = n_workers
        self.stop = stop
        self._journal = journal
        self._libraries = tuple(libraries)
        self._kept_open = () if lock is None else (lock,)
        self._log = log.open("ab")
        self._server = self._serve()
        self._answers: queue.Queue[tuple[_Worker, bytes]] = queue.Queue()
        self._workers = [self._start() for _ in range(n_workers)]

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; a second time does nothing."""
        for worker in self._workers:
            worker.kill()
        self._workers = []
        self._server.close()
        self._log.close()

    def run(self, jobs: Iterable[Job], *, deadline: float | None = None) -> Iterator[tuple[int, Done]]:
        """Do the jobs; yield (position in ``jobs``, answer) as they end.

        Parameters
        ----------
        jobs : iterable of Job
            Asked for one by one, whenever a worker is free, so that an iterator can decide by what has ended meanwhile.
        deadline : float, optional
            On the ``time.monotonic`` clock. At that moment running jobs are ended and the rest is not started;
            all of them are answered with ``ended="deadline"``.
        """
        waiting = enumerate(jobs)
        running: dict[_Worker, tuple[int, Job, Job]] = {}
        exhausted = False
        while running or not exhausted:
            reason = (
                "stop" if self.stop.is_set() else "deadline" if deadline is not None and time.monotonic() >= deadline else ""
            )
            if reason:
                # What has just ended still counts.
                for worker, line in self._collect():
                    if worker in running and line:
                        yield self._answer(running.pop(worker), msgspec.json.decode(line, type=Done))
                for worker in running:
                    self._replace(worker)
                for position, *_ in running.values():
                    yield position, Done(error=f"ended by the {reason}", ended=reason)
                for position, job in waiting:
                    yield position, self._known(job) or Done(error=f"ended by the {reason}", ended=reason)
                break
            for worker in self._workers:
                while worker not in running and not exhausted:
                    following = next(waiting, None)
                    if following is None:
                        exhausted = True
                    elif (known := self._known(following[1])) is not None:
                        yield following[0], known
                    else:
                        running[worker] = self._send(worker, *following, deadline)
            if not running:
                continue
            for worker, line in self._collect():
                if worker not in running:
                    if worker in self._workers:  # it died while idle
                        self._replace(worker)
                    continue
                if line:
                    done = msgspec.json.decode(line, type=Done)
                    if done.kept_memory_mb > MOST_KEPT_MB:
                        self._replace(worker)
                    yield self._answer(running.pop(worker), done)
                else:
                    reason = worker.how_it_ended()
                    self._replace(worker)
                    yield running.pop(worker)[0], Done(error=f"the worker process died ({reason})", ended="died")
            for worker, task in list(running.items()):
                limit = task[1].time_limit_s if isinstance(task[1], Fit) else None
                if limit is not None and worker.busy_s() > limit * 1.25 + GRACE_S:
                    del running[worker]
                    self._replace(worker)
                    yield self._answer(task, Done(error=f"exceeded its time limit of {limit:.0f} s", ended="limit"))
        if self._journal is not None:
            self._journal.sync()

    def knows(self, job: Job) -> bool:
        """Whether the journal has the answer to a job."""
        return self._journal is not None and self._journal.knows(job)

    def unused(self) -> list[Fit]:
        """Validated fits of the journal that this process has not asked for."""
        return [] if self._journal is None else self._journal.unused()

    def _known(self, job: Job) -> Done | None:
        return None if self._journal is None else self._journal.answer(job)

    def _send(self, worker: _Worker, position: int, job: Job, deadline: float | None) -> tuple[int, Job, Job]:
        sent = _in_time(job if self._journal is None else self._journal.begin(job), deadline)
        worker.send(sent)
        return position, job, sent

    def _answer(self, task: tuple[int, Job, Job], done: Done) -> tuple[int, Done]:
        """Enter an answer before anybody hears of it."""
        position, job, sent = task
        if done.ended == "disk":
            raise StorageError("The disk is full.", where=job.out, mend="Free space, or give another --home.")
        if self._journal is not None:
            self._journal.end(job, sent, done)
        return position, done

    def _collect(self) -> list[tuple[_Worker, bytes]]:
        try:
            return [self._answers.get(timeout=_POLL_S)]
        except queue.Empty:
            return []

    def _serve(self) -> ForkServer:
        return ForkServer(self._log, {**os.environ, **ONE_THREAD}, self._libraries)

    def _start(self) -> _Worker:
        if not self._server.lives:
            self._server.close()
            self._server = self._serve()
        return _Worker(self._server, self._answers, self._kept_open)

    def _replace(self, worker: _Worker) -> None:
        worker.kill()
        self._workers[self._workers.index(worker)] = self._start()


def _in_time(job: Job, deadline: float | None) -> Job:
    """The job with a time limit that leaves room to save and predict before the deadline."""
    if deadline is None or not isinstance(job, Fit):
        return job
    left = max(0.3, 0.8 * (deadline - time.monotonic()) - 0.3)
    return msgspec.structs.replace(job, time_limit_s=left if job.time_limit_s is None else min(left, job.time_limit_s))


class _Worker:
    """A worker process and the thread that reads its answers."""

    def __init__(self, server: ForkServer, answers: queue.Queue[tuple[_Worker, bytes]], kept_open: Sequence[int] = ()) -> None:
        self._process = server.fork(kept_open)
        self._since = time.monotonic()
        threading.Thread(target=self._read, args=(answers,), daemon=True).start()

    def _read(self, answers: queue.Queue[tuple[_Worker, bytes]]) -> None:
        with self._process.stdout as stream:
            for line in stream:
                answers.put((self, line))
        answers.put((self, b""))

    def send(self, job: Job) -> None:
        self._since = time.monotonic()
        try:
            self._process.stdin.write(msgspec.json.encode(job) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # the reading thread reports the death

    def busy_s(self) -> float:
        return time.monotonic() - self._since

    def how_it_ended(self) -> str:
        code = self._process.wait()
        if code is None:
            return "the process that started it died too"
        return f"signal {-code}, perhaps out of memory" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        self._process.kill()
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            return
