"""The endpoints that tell about the server: health, metadata, metrics, status."""

from __future__ import annotations

from typing import Any

import msgspec

from modelwright.serving.exchange import Exchange
from modelwright.serving.metrics import added, exposition
from modelwright.serving.predicting import named_version
from modelwright.serving.problems import Problem
from modelwright.serving.replies import Reply
from modelwright.serving.service import Service
from modelwright.serving.v2 import EXTENSIONS, metadata
from modelwright.version import __version__


def _json(told: Any, status: int = 200) -> Reply:
    return Reply(msgspec.json.encode(told), status)


async def live(exchange: Exchange, service: Service) -> Reply:
    """The process answers."""
    return _json({"live": True})


async def ready(exchange: Exchange, service: Service) -> Reply:
    """All models are loaded, and the server is not about to end."""
    is_ready = not service.draining
    return _json({"live": True, "ready": is_ready} | _degraded(service), 200 if is_ready else 503)


def _degraded(service: Service) -> dict[str, Any]:
    log = service.prediction_log
    return {"degraded": ["prediction log"]} if log is not None and not log.counts().healthy else {}


async def server(exchange: Exchange, service: Service) -> Reply:
    """Name, version and extensions of the server."""
    return _json({"name": "modelwright", "version": __version__, "extensions": EXTENSIONS})


async def model(exchange: Exchange, service: Service) -> Reply:
    """Metadata of a model, from the schema that it was trained with."""
    params = exchange.scope["path_params"]
    deployment = service.deployment(params["model"])
    served, _ = named_version(deployment, params.get("version", deployment.live.version))
    versions = [each.version for each in (deployment.live, deployment.canary_served) if each is not None]
    return _json(metadata(served.name, versions, served.scorer))


async def model_ready(exchange: Exchange, service: Service) -> Reply:
    """Whether one model can be asked."""
    params = exchange.scope["path_params"]
    deployment = service.deployment(params["model"])
    served, _ = named_version(deployment, params.get("version", deployment.live.version))
    return _json({"name": served.name, "ready": not service.draining}, 503 if service.draining else 200)


async def ping(exchange: Exchange, service: Service) -> Reply:
    """What MLflow's clients ask for."""
    if service.draining:
        raise Problem(503, "ending", "The server is about to end.")
    return Reply(b"\n", content_type=b"text/plain; charset=utf-8")


async def version(exchange: Exchange, service: Service) -> Reply:
    """The version of modelwright, as plain text."""
    return Reply(__version__.encode(), content_type=b"text/plain; charset=utf-8")


async def metrics(exchange: Exchange, service: Service) -> Reply:
    """The text that Prometheus reads, of all workers together."""
    service_gauges(service)
    snapshots = [service.metrics.copy(), *(service.slots.others() if service.slots else [])]
    return Reply(exposition(added(snapshots)).encode(), content_type=b"text/plain; version=0.0.4; charset=utf-8")


def service_gauges(service: Service) -> None:
    """Bring the figures that are states, not counts, up to date."""
    parts = [
        (each, part)
        for one in service.deployments.values()
        for each, part in ((one.live, "live"), (one.canary_served, "canary"), (one.shadow_served, "shadow"))
    ]
    in_use: dict[tuple[str, ...], float] = {(each.name, each.version, part): 1.0 for each, part in parts if each is not None}
    service.metrics.gauge("modelwright_model_info", in_use)
    if service.prediction_log is not None:
        counts = service.prediction_log.counts()
        lines = service.metrics.now.counters.setdefault("modelwright_prediction_log_rows_total", {})
        base = service.log_base
        lines["written"], lines["dropped"] = base[0] + counts.written, base[1] + counts.dropped
        service.metrics.gauge("modelwright_prediction_log_waiting_rows", {(): float(counts.waiting)})
        service.metrics.gauge("modelwright_prediction_log_healthy", {(): float(counts.healthy)})


async def status(exchange: Exchange, service: Service) -> Reply:
    """What is served, and what was refused, for operators."""
    told = {}
    for name, one in service.deployments.items():
        parts = {"live": one.live, "canary": one.canary_served, "shadow": one.shadow_served}
        told[name] = {
            **{part: {"version": s.version, "digest": s.digest} for part, s in parts.items() if s is not None},
            "canary_share": one.canary_share if one.canary_served else 0.0,
            "refused": [{"digest": digest, "reason": reason} for digest, reason in one.refused.items()],
        }
    log = service.prediction_log
    return _json({"models": told, "prediction_log": log.counts()._asdict() if log else None, "draining": service.draining})
