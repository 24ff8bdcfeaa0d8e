"""Shadows: a further version answers the same rows a little later; its answers are logged and never returned."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

from modelwright.monitoring.prediction_log import Answered, PredictionLog
from modelwright.serving.deployments import Served
from modelwright.serving.forms import Asked

if TYPE_CHECKING:
    from modelwright.serving.metrics import Metrics

#: Requests that may wait; what comes beyond is left out and counted, since a shadow must not slow the live model.
_MOST = 1_000


class Shadow:
    """A thread that predicts with shadows.

    Parameters
    ----------
    prediction_log : PredictionLog or None
    metrics : Metrics
    """

    def __init__(self, prediction_log: PredictionLog | None, metrics: Metrics) -> None:
        self._log, self._metrics = prediction_log, metrics
        self._queue: queue.Queue[tuple[Served, str, Asked] | None] = queue.Queue(_MOST)
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, served: Served, answer_id: str, asked: Asked) -> None:
        """Queue the rows of an answer."""
        try:
            self._queue.put_nowait((served, answer_id, asked))
        except queue.Full:
            self._metrics.count("modelwright_shadow_rows_total", served.name, "left out", by=len(asked.rows))

    def close(self, timeout_s: float = 5.0) -> None:
        """Predict what waits, and end."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            served, answer_id, asked = item
            begun = time.perf_counter()
            try:
                scores = served.scorer.answer(asked.rows)
            except Exception:  # whatever a challenger does, the next one is asked
                self._metrics.count("modelwright_shadow_rows_total", served.name, "failed", by=len(asked.rows))
                self._tally(served, failed=True)
                continue
            self._tally(served, failed=False)
            self._metrics.count("modelwright_shadow_rows_total", served.name, "predicted", by=len(asked.rows))
            if self._log is not None:
                took_ms = (time.perf_counter() - begun) * 1000
                kept = self._log.offer(
                    Answered(
                        f"{answer_id}.shadow", served.name, served.version, "shadow", time.time(), asked.rows, asked.ids,
                        scores.values, scores.proba, took_ms,
                    )
                )  # fmt: skip
                if not kept:
                    self._log.drop(len(asked.rows))

    def _tally(self, served: Served, *, failed: bool) -> None:
        if self._log is not None:
            self._log.tally(served.name, served.version, "shadow", failed=failed)
