"""DBOS as we use it: a queue of workflows for each home, whose steps are written down as they end.

What is durable is here; what is done stands in `workflow`. On Postgres its tables lie in a schema of their own beside ours;
on SQLite in a file beside ours, since there are no schemas there. What it writes is JSON: no pickle is ever read from the
database, not even where a row claims to be one. Nothing is sent to anybody, and its messages go into our log.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import MissingExtraError
from modelwright.provenance.secrets import expanded, redacted
from modelwright.store.database import Database

if TYPE_CHECKING:
    from modelwright.serving.logs import Log

FILE_NAME, SCHEMA = "workflows.db", "modelwright_workflows"
#: Of the steps and their order; a worker of another version begins what is open again, and finished steps answer at once.
WORKFLOW_VERSION = "1"
_WORKFLOW, _TRAINING = "retrain", "train"
_TRAINING_QUEUE = "train"
#: Seconds between looks at the queue.
_LOOK_S = 0.2
#: How often a workflow may be taken up after a kill: as often as it is killed.
_MOST_RECOVERIES = 1_000_000
_NO_PICKLE = "A row of the workflows claims to be a pickle; pickles are not read"


class Engine:
    """Runs the workflows of one home in this process; there is one in a process.

    Parameters
    ----------
    database : Database
        Whose kind decides where the tables of DBOS lie.
    home : Path
    key : str
        What the database calls the home.
    executor : str
        Name of this worker; one that is started again under it takes up what it had begun.
    log : Log

    Raises
    ------
    MissingExtraError
        If DBOS is not installed.
    """

    def __init__(self, database: Database, home: Path, key: str, executor: str, log: Log) -> None:
        self.executor = executor
        self._queue_name = f"retrain-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        self._log = log
        for name in [name for name in os.environ if name.startswith("DBOS_")]:
            del os.environ[name]  # they would send this process to somebody's cloud
        try:
            import dbos
            from dbos import _serialization
        except ImportError as error:
            raise MissingExtraError("dbos", "retrain") from error
        refusing = _refusing(dbos.Serializer)
        _serialization.DBOSDefaultSerializer = refusing()
        messages = logging.getLogger("dbos")
        messages.handlers, messages.propagate = [_Messages(log)], False
        url = f"sqlite:///{(home / FILE_NAME).absolute()}" if database.file is not None else expanded(database.url)
        self._dbos = dbos
        dbos.DBOS(
            config={
                "name": "modelwright", "system_database_url": url, "dbos_system_schema": SCHEMA,
                "serializer": dbos.DBOSPortableJSONSerializer(), "application_version": WORKFLOW_VERSION,
                "executor_id": executor, "log_level": "WARNING", "enable_otlp": False,
                "scheduler_polling_interval_sec": 86_400.0,
            }
        )  # fmt: skip

    def launch(
        self, work: Callable[[str, Step], Any] | None, train: Callable[[dict[str, Any]], Any] | None, *, at_once: int
    ) -> None:
        """Begin to take workflows from the queues, and take up those that this worker had begun.

        Parameters
        ----------
        work : callable or None
            Is given the name of a retraining, and what its steps are run by; None does no retrainings of this home.
        train : callable or None
            Is given what a training is told; None does no trainings of homes on other machines.
        at_once : int
            Retrainings that this process runs side by side.
        """
        dbos = self._dbos

        def retrain(retraining: str) -> Any:
            assert work is not None
            return work(retraining, run_step)

        def train_for(told: dict[str, Any]) -> Any:
            assert train is not None
            return run_step("train", lambda: train(told))

        def run_step(name: str, function: Callable[[], Any]) -> Any:
            return dbos.DBOS.run_step({"name": name}, function)

        self._workflow = dbos.DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=_MOST_RECOVERIES)(retrain)
        self._training = dbos.DBOS.workflow(name=_TRAINING, max_recovery_attempts=_MOST_RECOVERIES)(train_for)
        wanted = {self._queue_name: work, _TRAINING_QUEUE: train}
        dbos.DBOS.listen_queues([name for name, function in wanted.items() if function is not None])
        dbos.DBOS.launch()
        limits: dict[str, Any] = {"polling_interval_sec": _LOOK_S}
        self._queue = dbos.DBOS.register_queue(self._queue_name, worker_concurrency=at_once, **limits)
        self._training_queue = dbos.DBOS.register_queue(_TRAINING_QUEUE, worker_concurrency=1, **limits)

    def enqueue(self, retraining: str) -> None:
        """Put a retraining into the queue; one that was put there before is not put there again."""
        with self._dbos.SetWorkflowID(_workflow_id(retraining)):
            self._queue.enqueue(self._workflow, retraining)

    def train_anywhere(self, retraining: str, told: dict[str, Any]) -> Any:
        """Let any worker of the store train, and wait for it; within a workflow, which may be killed meanwhile."""
        with self._dbos.SetWorkflowID(f"{_workflow_id(retraining)}.train"):
            return self._training_queue.enqueue(self._training, told).get_result()

    def gave_up(self, retraining: str) -> bool:
        """Whether the workflow of a retraining has ended, however it did."""
        status = self._dbos.DBOS.get_workflow_status(_workflow_id(retraining))
        return status is not None and status.status not in ("PENDING", "ENQUEUED", "DELAYED")

    def take_over(self, executors: Iterable[str]) -> int:
        """Put back into the queue what workers had begun that are dead; how many there were."""
        return len(self._dbos.DBOS._recover_pending_workflows(list(executors)))


#: Runs a step of a workflow by name, or answers what it made before.
Step = Callable[[str, Callable[[], Any]], Any]


def _workflow_id(retraining: str) -> str:
    return f"{retraining}.v{WORKFLOW_VERSION}"


def _refusing(base: type) -> type:
    class Refusing(base):  # type: ignore[misc]
        """In the place of the serializer that would read pickles."""

        def name(self) -> str:
            return "py_pickle"

        def serialize(self, data: Any) -> str:
            raise TypeError(_NO_PICKLE)

        def deserialize(self, serialized_data: str) -> Any:
            raise TypeError(_NO_PICKLE)

    return Refusing


class _Messages(logging.Handler):
    """Takes messages of DBOS into our log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log, self._last = log, threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, without secrets; the same one again and again (a database that is away) is written once."""
        said = redacted(" ".join(record.getMessage().split()))[:300]
        if getattr(self._last, "said", None) == said:
            return
        self._last.said = said
        error = type(record.exc_info[1]).__name__ if record.exc_info else None
        self._log.write("workflows", level=record.levelname.lower(), message=said, error=error)
