"""Counters and times of the server, and their text for Prometheus.

Labels are route templates, methods, statuses, models and versions; never paths, requests or users. Several workers each
keep their own counts in a file of their place, and whoever is asked adds them up; a worker that takes a place over goes on
from its counts, so nothing is lost or left behind.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

#: Upper ends in seconds, as the OpenTelemetry convention for HTTP servers has them.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

_HELP = {
    "http_server_request_duration_seconds": "Time from the first byte of a request to its answer.",
    "modelwright_http_requests_total": "Answered requests.",
    "modelwright_rows_total": "Rows predicted.",
    "modelwright_labels_total": "Labels received.",
    "modelwright_swaps_total": "Versions that went live, or were refused, while the server ran.",
    "modelwright_shadow_rows_total": "Rows that a shadow predicted or left out.",
    "modelwright_prediction_log_rows_total": "Rows of the prediction log.",
    "modelwright_prediction_log_waiting_rows": "Rows that wait to be written.",
    "modelwright_prediction_log_healthy": "Whether the store took the last batch.",
    "modelwright_model_info": "Versions in use.",
}


class Snapshot(msgspec.Struct):
    """The counts of one worker. Keys are label values joined by a tab."""

    counters: dict[str, dict[str, float]] = {}
    buckets: dict[str, list[int]] = {}
    sums: dict[str, float] = {}
    gauges: dict[str, dict[str, float]] = {}


_LABELS = {
    "modelwright_http_requests_total": ("route", "method", "status"),
    "modelwright_rows_total": ("model", "version", "part"),
    "modelwright_labels_total": ("model", "result"),
    "modelwright_swaps_total": ("model", "result"),
    "modelwright_shadow_rows_total": ("model", "result"),
    "modelwright_prediction_log_rows_total": ("result",),
    "modelwright_prediction_log_waiting_rows": (),
    "modelwright_prediction_log_healthy": (),
    "modelwright_model_info": ("model", "version", "part"),
}


class Metrics:
    """What one worker counts.

    Parameters
    ----------
    base : Snapshot or None, default=None
        Counts to go on from.
    """

    def __init__(self, base: Snapshot | None = None) -> None:
        self.now = base or Snapshot()
        self._lock = threading.Lock()  # shadows count in a thread of their own

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        key = "\t".join(labels)
        with self._lock:
            line = self.now.counters.setdefault(name, {})
            line[key] = line.get(key, 0) + by

    def gauge(self, name: str, values: Mapping[tuple[str, ...], float]) -> None:
        """Set all lines of a gauge."""
        self.now.gauges[name] = {"\t".join(labels): value for labels, value in values.items()}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request and its time."""
        self.count("modelwright_http_requests_total", route, method, str(status))
        counts = self.now.buckets.get(route)
        if counts is None:
            counts = self.now.buckets[route] = [0] * (len(BUCKETS) + 1)
        counts[bisect_left(BUCKETS, seconds)] += 1
        self.now.sums[route] = self.now.sums.get(route, 0.0) + seconds

    def copy(self) -> Snapshot:
        """The counts at this moment."""
        with self._lock:
            return msgspec.convert(msgspec.to_builtins(self.now), Snapshot)


def added(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The counts of several workers together; of a gauge the sum, but the least of what is 0 or 1."""
    total = Snapshot({}, {}, {}, {})
    for each in snapshots:
        for name, line in each.counters.items():
            into = total.counters.setdefault(name, {})
            for key, value in line.items():
                into[key] = into.get(key, 0) + value
        for route, counts in each.buckets.items():
            held = total.buckets.get(route, [0] * len(counts))
            total.buckets[route] = [a + b for a, b in zip(held, counts, strict=True)]
            total.sums[route] = total.sums.get(route, 0.0) + each.sums.get(route, 0.0)
        for name, line in each.gauges.items():
            into = total.gauges.setdefault(name, {})
            for key, value in line.items():
                summed = name.endswith("_rows")
                into[key] = into.get(key, 0) + value if summed else min(into.get(key, value), value)
    return total


def exposition(snapshot: Snapshot) -> str:
    """The text that Prometheus reads."""
    lines = []
    for kind, held in (("counter", snapshot.counters), ("gauge", snapshot.gauges)):
        for name in sorted(held):
            lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{_braces(_LABELS[name], key)} {_number(value)}" for key, value in sorted(held[name].items())]
    name = "http_server_request_duration_seconds"
    lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} histogram"]
    for route, counts in sorted(snapshot.buckets.items()):
        so_far = 0
        for end, count in zip((*BUCKETS, None), counts, strict=True):
            so_far += count
            le = "+Inf" if end is None else repr(end)
            lines.append(f'{name}_bucket{{http_route="{_escaped(route)}",le="{le}"}} {so_far}')
        lines.append(f'{name}_sum{{http_route="{_escaped(route)}"}} {snapshot.sums[route]!r}')
        lines.append(f'{name}_count{{http_route="{_escaped(route)}"}} {so_far}')
    return "\n".join(lines) + "\n"


def _braces(names: tuple[str, ...], key: str) -> str:
    if not names:
        return ""
    pairs = zip(names, key.split("\t"), strict=True)
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


class Slots:
    """A folder with the counts of each worker, one file a place.

    Parameters
    ----------
    folder : Path
    place : int
        Of this worker.
    """

    def __init__(self, folder: Path, place: int) -> None:
        self._folder, self._place = folder, place

    def mine(self) -> Snapshot | None:
        """What the worker before had counted in this place."""
        return _read(self._folder / f"{self._place}.json")

    def keep(self, snapshot: Snapshot) -> None:
        """Write the counts of this worker."""
        path = self._folder / f"{self._place}.json"
        draft = path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(snapshot))
        draft.replace(path)

    def others(self) -> list[Snapshot]:
        """The counts of the other workers."""
        paths = [path for path in self._folder.glob("*.json") if path.stem != str(self._place)]
        return [found for path in paths if (found := _read(path)) is not None]


def _read(path: Path) -> Snapshot | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Snapshot)
    except (OSError, msgspec.MsgspecError):
        return None
