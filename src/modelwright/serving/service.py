"""What the endpoints stand on: deployments, tokens, log, metrics, limits; and the one way from rows to an answer."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from modelwright.monitoring.prediction_log import Answered, Policy, PredictionLog
from modelwright.provenance.machine import available_cpus
from modelwright.serving.deployments import Deployment, Served
from modelwright.serving.forms import Asked
from modelwright.serving.limits import Limits
from modelwright.serving.logs import Log
from modelwright.serving.metrics import Metrics, Slots
from modelwright.serving.problems import Problem
from modelwright.serving.scoring import Scorer, Scores
from modelwright.serving.tokens import Keyring
from modelwright.spec import DEFAULT_HOME

if TYPE_CHECKING:
    from modelwright.serving.exchange import Exchange
    from modelwright.serving.shadow import Shadow
    from modelwright.store.database import Database

#: Rows that are scored in this time are scored where the request came in: a thread that waits for its turn at the
#: interpreter eight times in a request takes longer, and more processor time.
_INLINE_S = 0.01
#: Seconds between looks whether the log has room again.
_LOOK_S = 0.005


class Service:
    """The state of a server.

    Parameters
    ----------
    deployments : list of Deployment
        The first one answers ``/invocations``.
    database : Database
    prediction_log : PredictionLog or None
        None where nothing is logged.
    keyring : Keyring or None
        None where no token is needed.
    log : Log
    metrics : Metrics
    limits : Limits
    policy : {"drop-and-count", "block"}, default="drop-and-count"
        What happens to an answer for which the log has no room.
    hosts : frozenset of str, default=frozenset()
        Names that the Host header may have, beside those of this machine itself.
    loopback : bool, default=True
        Whether only this machine can reach the server.
    home, store : str and str or None
        Where retrainings are asked for.
    """

    def __init__(
        self,
        deployments: list[Deployment],
        database: Database,
        *,
        prediction_log: PredictionLog | None,
        keyring: Keyring | None,
        log: Log,
        metrics: Metrics,
        limits: Limits,
        policy: Policy = "drop-and-count",
        hosts: frozenset[str] = frozenset(),
        loopback: bool = True,
        home: str = DEFAULT_HOME,
        store: str | None = None,
    ) -> None:
        self.home, self.store = home, store
        self.deployments = {each.target.name: each for each in deployments}
        self.first = deployments[0]
        self.database, self.prediction_log, self.policy = database, prediction_log, policy
        self.auth, self.keyring = keyring is not None, keyring or Keyring(())
        self.log, self.metrics, self.limits = log, metrics, limits
        self.hosts, self.loopback = hosts, loopback
        self.slots: Slots | None = None
        #: Rows that workers before this one had written and dropped.
        held = metrics.now.counters.get("modelwright_prediction_log_rows_total", {})
        self.log_base = (held.get("written", 0.0), held.get("dropped", 0.0))
        self.shadow: Shadow | None = None
        #: Set when the server is about to end: it still answers, but is not ready for more.
        self.draining = False
        cpus = available_cpus()
        # One processor is left to the loop that reads and answers: on two, a second thread took a fifth off the throughput.
        self._pool = ThreadPoolExecutor(max(1, cpus - 1), thread_name_prefix="predict")
        #: One thread, since labels are written one after another anyway.
        self.writers = ThreadPoolExecutor(1, thread_name_prefix="labels")
        self._most = cpus * limits.active + limits.waiting
        self._in_threads = 0

    def deployment(self, name: str) -> Deployment:
        """The deployment of a name, or the problem that there is none."""
        found = self.deployments.get(name)
        if found is None:
            raise Problem(404, "not_found", "There is nothing at this address.")
        return found

    async def predict(self, exchange: Exchange, deployment: Deployment, served: Served, part: str, asked: Asked) -> Scores:
        """Score rows, and log them as the answer of the exchange."""
        exchange.model, exchange.version, exchange.part, exchange.rows = served.name, served.version, part, len(asked.rows)
        if served.scorer.expected_s(len(asked.rows)) <= _INLINE_S:
            scores = _work(served.scorer, asked)
        else:
            scores = await self.in_thread(_work, served.scorer, asked)
        await self._log_answer(exchange, served, part, asked, scores)
        self.metrics.count("modelwright_rows_total", served.name, served.version, part, by=len(asked.rows))
        if self.shadow is not None and deployment.shadow_served is not None:
            self.shadow.offer(deployment.shadow_served, exchange.answer, asked)
        return scores

    async def in_thread(self, function: Any, *arguments: Any) -> Any:
        """Run in one of the threads that predict; refused when too many wait."""
        if self._in_threads >= self._most:
            raise Problem(429, "busy", "Too many requests wait already; try again soon.", headers={"retry-after": "1"})
        self._in_threads += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        finally:
            self._in_threads -= 1

    async def _log_answer(self, exchange: Exchange, served: Served, part: str, asked: Asked, scores: Scores) -> None:
        log = self.prediction_log
        if log is None:
            return
        answered = Answered(
            exchange.answer, served.name, served.version, part, time.time(), asked.rows, asked.ids, scores.values, scores.proba,
            (time.perf_counter() - exchange.started) * 1000, exchange.trace[0] if exchange.trace else None,
        )  # fmt: skip
        if log.offer(answered):
            return
        if self.policy == "block":
            ends = exchange.started + self.limits.total_s / 2
            while time.perf_counter() < ends:
                await asyncio.sleep(_LOOK_S)
                if log.offer(answered):
                    return
            raise Problem(429, "log_full", "The prediction log has no room; try again later.", headers={"retry-after": "5"})
        log.drop(len(asked.rows))

    def close(self) -> None:
        """End the threads and write what waits."""
        if self.shadow is not None:
            self.shadow.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.writers.shutdown(wait=True)
        if self.prediction_log is not None:
            self.prediction_log.close()


def _work(scorer: Scorer, asked: Asked) -> Scores:
    return scorer.answer(asked.rows)
