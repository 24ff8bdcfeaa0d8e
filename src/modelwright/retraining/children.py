"""Steps that compute, each in a process of its own: one that runs out of memory or crashes takes nothing along.

The child ends with the worker, however that ends: it watches its standard input, which closes then. What it made is a file,
renamed into place, so a step that is done again finds it.

::

    HOME/retraining/ID/lock          held by whoever computes for this retraining
    HOME/retraining/ID/STEP.json     what a step made, or why it failed
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import ModelwrightError, StorageError
from modelwright.retraining.rules import Trigger
from modelwright.store.locks import FolderLock

FOLDER = "retraining"
#: How many children compute at once; see `allow`.
_allowed = threading.BoundedSemaphore(2)
#: Seconds that another process which computes for the same retraining is waited for, each time.
_WAIT_S = 30.0


class Work(msgspec.Struct, frozen=True):
    """What a child is told.

    Parameters
    ----------
    step : str
    retraining, model : str
    trigger : Trigger
    home : str
    store, artifacts : str or None
    given : dict
        What earlier steps made.
    """

    step: str
    retraining: str
    model: str
    trigger: Trigger
    home: str
    store: str | None
    artifacts: str | None
    given: dict[str, Any] = {}


class Failure(msgspec.Struct, frozen=True):
    """Why a step failed: kind of the error, what was wrong, where, and the mend."""

    kind: str
    what: str
    where: str = ""
    mend: str = ""

    @property
    def told(self) -> str:
        """In a sentence."""
        return " ".join(filter(None, (f"{self.where}:" if self.where else "", self.what, self.mend)))


class Result(msgspec.Struct, frozen=True):
    """What a child leaves."""

    made: dict[str, Any] = {}
    failure: Failure | None = None


class StepError(ModelwrightError):
    """A step failed, and doing it again would not help.

    Parameters
    ----------
    failure : Failure
    """

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.what, where=failure.where, mend=failure.mend)


def allow(at_once: int) -> None:
    """Let so many children of this process compute at once; the others wait.

    Parameters
    ----------
    at_once : int
    """
    global _allowed
    _allowed = threading.BoundedSemaphore(at_once)


def folder_of(home: Path, retraining: str) -> Path:
    """Where the working files of a retraining lie."""
    return home / FOLDER / retraining


def compute(work: Work) -> dict[str, Any]:
    """Do a step in a child, or answer what it made before.

    Parameters
    ----------
    work : Work

    Raises
    ------
    StepError
        If it failed for a reason that stays.
    StorageError
        If the disk or the store refused; later it may go.
    """
    folder = folder_of(Path(work.home), work.retraining)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder of a retraining cannot be made: {error.strerror}.", where=str(folder), mend="Make it writable."
        ) from error
    lock = FolderLock.take(folder, wait_s=_WAIT_S)
    if lock is None:
        raise StorageError("Another process computes for this retraining.", where=str(folder), mend="It is waited for.")
    try:
        result = read_result(folder, work.step)
        if result is None or result.failure is not None:
            (folder / f"{work.step}.json").unlink(missing_ok=True)
            with _allowed:
                result = _run(work, folder, lock)
    finally:
        lock.release()
    if result.failure is None:
        return result.made
    if result.failure.kind == "StorageError":
        raise StorageError(result.failure.what, where=result.failure.where, mend=result.failure.mend)
    raise StepError(result.failure)


def read_result(folder: Path, step: str) -> Result | None:
    """What a step left; None if it did not end."""
    try:
        return msgspec.json.decode((folder / f"{step}.json").read_bytes(), type=Result)
    except (OSError, msgspec.MsgspecError):
        return None


def write_result(folder: Path, step: str, result: Result) -> None:
    """Leave what a step made, whole or not at all."""
    beside = folder / f".{step}.json"
    with open(beside, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(result)))
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, folder / f"{step}.json")


def forget(home: Path, retraining: str) -> None:
    """Remove the working files of a retraining that ended."""
    shutil.rmtree(folder_of(home, retraining), ignore_errors=True)


def _run(work: Work, folder: Path, lock: FolderLock) -> Result:
    log = folder / f"{work.step}.log"
    with open(log, "ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "modelwright.retraining.child"],
            stdin=subprocess.PIPE, stdout=said, stderr=said, pass_fds=[lock.descriptor], start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            process.stdin.write(msgspec.json.encode(work) + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already, and what it left tells why
        try:
            code = process.wait()
        finally:
            process.stdin.close()
    return read_result(folder, work.step) or Result(failure=_died(work.step, code, log))


def _died(step: str, code: int, log: Path) -> Failure:
    """Why a child ended without a word: of signal 9 nobody but the system makes use, when memory runs out."""
    if code == -signal.SIGKILL:
        what = f"The step {step!r} was killed, most likely because the memory did not suffice."
        return Failure("MemoryError", what, mend="Train on fewer rows, or give the machine more memory.")
    last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.is_file() else []
    how = f"by signal {-code}" if code < 0 else f"with code {code}"
    return Failure("crash", f"The process of the step {step!r} ended {how}. {' '.join(last)}".strip(), mend="See its log.")


def ends_with_parent(*, gently: bool = False) -> None:
    """Let this process end when whoever started it does; its children notice by themselves.

    Parameters
    ----------
    gently : bool, default=False
        By a signal that is handled, where there is something to bring to an end.
    """
    descriptor = sys.stdin.fileno()

    def watch() -> None:
        # Not by way of sys.stdin: its lock, held here for good, would be missed when the interpreter ends.
        while os.read(descriptor, 4096):
            pass
        if gently:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
