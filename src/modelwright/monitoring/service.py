"""How the answers of a window went, and whether as many came as before."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from modelwright.monitoring.checked import Alarm, Checked, Service

#: Names by which `Checked.exceeded` keeps what concerns no column.
LATENCY, ERRORS, VOLUME = "(latency)", "(errors)", "(volume)"


class ServiceRule(msgspec.Struct, frozen=True):
    """When service has become bad.

    Parameters
    ----------
    slower : float
        99th percentile of the latency over the median of those of earlier windows.
    slower_ms : float
        Least rise in milliseconds: a tenth of a millisecond more is nobody's trouble.
    error_rate : float
        Share of failed answers.
    volume : float
        Rows over the median of earlier windows of the same length, or its inverse.
    min_windows : int
        Earlier windows needed to compare with.
    min_answers : int
        Answers below which percentiles and shares say nothing.
    """

    slower: float = 3.0
    slower_ms: float = 20.0
    error_rate: float = 0.05
    volume: float = 5.0
    min_windows: int = 4
    min_answers: int = 50


def service_of(latencies_ms: np.ndarray, error_rate: float | None = None) -> Service | None:
    """Figures of answers; None without any."""
    if not len(latencies_ms):
        return None
    p50, p99 = np.percentile(latencies_ms, [50, 99])
    return Service(len(latencies_ms), round(float(p50), 3), round(float(p99), 3), error_rate)


def service_trouble(service: Service | None, history: Sequence[Checked], rule: ServiceRule) -> list[tuple[str, Alarm]]:
    """What is beyond its limit in this window, each with its name for `Checked.exceeded`."""
    if service is None or service.n_answers < rule.min_answers:
        return []
    found = []
    earlier = [each.service.p99_ms for each in history if each.service is not None]
    if len(earlier) >= rule.min_windows:
        usual = float(np.median(earlier))
        if service.p99_ms >= rule.slower * usual and service.p99_ms - usual >= rule.slower_ms:
            message = f"The slowest hundredth of answers takes {service.p99_ms:.3g} ms; before it took {usual:.3g} ms."
            ratio = service.p99_ms / max(usual, 1e-9)
            found.append((LATENCY, Alarm("service", "", message, ratio, mend="Look at the machine and at the model's size.")))
    if service.error_rate is not None and service.error_rate >= rule.error_rate:
        message = f"{service.error_rate:.1%} of the answers failed."
        found.append((ERRORS, Alarm("service", "", message, service.error_rate, mend="Look at the log of the server.")))
    return found


def volume_trouble(n_rows: int, history: Sequence[Checked], rule: ServiceRule) -> list[tuple[str, Alarm]]:
    """Whether far fewer or far more rows came than in earlier windows of the same length."""
    earlier = [each.n_rows for each in history if each.complete]
    if len(earlier) < rule.min_windows:
        return []
    usual = float(np.median(earlier))
    # With few rows a window the count varies by chance: four deviations of a Poisson count.
    chance = 4 * float(np.sqrt(max(usual, 1.0)))
    far = n_rows < usual / rule.volume or n_rows > usual * rule.volume
    if not far or abs(n_rows - usual) <= chance:
        return []
    message = f"{n_rows:,} rows came; in windows before it were {usual:,.0f}."
    return [(VOLUME, Alarm("volume", "", message, n_rows / max(usual, 1.0), mend="Look at who sends the rows."))]
