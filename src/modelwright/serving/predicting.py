"""The endpoints that predict: ``/predict/{model}``, ``/invocations``, ``/v2/models/{model}/infer``."""

from __future__ import annotations

from typing import Any

import msgspec

from modelwright.serving.deployments import Deployment, Served
from modelwright.serving.exchange import Exchange
from modelwright.serving.forms import Asked, invocation_csv, invocation_json, predict_body
from modelwright.serving.problems import Problem
from modelwright.serving.replies import Reply
from modelwright.serving.scoring import Scores
from modelwright.serving.service import Service
from modelwright.serving.v2 import infer_answer, infer_body

_ENCODE = msgspec.json.Encoder().encode


async def predict(exchange: Exchange, service: Service) -> Reply:
    """Rows as JSON objects; the answer has an id for each, by which its label can be told later."""
    deployment = service.deployment(exchange.scope["path_params"]["model"])
    exchange.require_json()
    body = await exchange.body(service.limits)
    asked = predict_body(body, deployment.live.scorer.names, service.limits)
    served, part = deployment.chosen(asked.rows, asked.ids)
    scores = await service.predict(exchange, deployment, served, part, asked)
    told = _told(served, exchange.answer, scores)
    head = {"model": served.name, "version": served.version, "request_id": exchange.id}
    return _reply(head | told[0] if asked.single else head | {"predictions": told}, exchange.answer)


def _told(served: Served, answer_id: str, scores: Scores) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = [
        {"id": f"{answer_id}-{number}", "prediction": value} for number, value in enumerate(scores.values)
    ]
    if scores.proba is not None:
        names = served.scorer.class_names
        for each, row in zip(told, scores.proba, strict=True):
            each["probabilities"] = dict(zip(names, row, strict=True))
    return told


async def invocations(exchange: Exchange, service: Service) -> Reply:
    """MLflow's address, for the first model: four JSON forms and CSV."""
    deployment = service.first
    names, limits = deployment.live.scorer.names, service.limits
    media = exchange.media_type()
    if media not in (b"application/json", b"text/csv"):
        raise Problem(415, "wrong_media_type", "Send the header Content-Type: application/json, or text/csv.")
    if media == b"application/json":
        exchange.require_json()
    body = await exchange.body(limits)
    asked = invocation_csv(body, names, limits) if media == b"text/csv" else invocation_json(body, names, limits)
    served, part = deployment.chosen(asked.rows, None)
    if asked.proba and not served.scorer.classes:
        raise Problem(400, "wrong_params", "This model predicts no classes, so it has no probabilities.")
    scores = await service.predict(exchange, deployment, served, part, asked)
    return _reply({"predictions": scores.proba if asked.proba else scores.values}, exchange.answer)


async def infer(exchange: Exchange, service: Service) -> Reply:
    """The Open Inference Protocol, with or without a version in the address."""
    deployment = service.deployment(exchange.scope["path_params"]["model"])
    exchange.require_json()
    body = await exchange.body(service.limits)
    request, asked = infer_body(body, deployment.live.scorer.names, service.limits)
    served, part = _version(deployment, exchange, asked)
    # Asked for once with no rows, so that an unknown output is refused before anything is predicted and logged.
    infer_answer(request, served.name, served.version, served.scorer, Scores([], []), exchange.id)
    scores = await service.predict(exchange, deployment, served, part, asked)
    return _reply(infer_answer(request, served.name, served.version, served.scorer, scores, exchange.id), exchange.answer)


def _version(deployment: Deployment, exchange: Exchange, asked: Asked) -> tuple[Served, str]:
    version = exchange.scope["path_params"].get("version")
    if version is None:
        return deployment.chosen(asked.rows, None)
    return named_version(deployment, version)


def named_version(deployment: Deployment, version: str) -> tuple[Served, str]:
    """The loaded version of this name and its part, or the problem that there is none."""
    for served, part in ((deployment.live, "live"), (deployment.canary_served, "canary")):
        if served is not None and served.version == version:
            return served, part
    raise Problem(404, "not_found", "There is nothing at this address.")


def _reply(answer: Any, answer_id: str) -> Reply:
    # Rows of the answer are answer_id-0, answer_id-1, … in the log, whatever form they came in.
    return Reply(_ENCODE(answer), headers=[(b"x-prediction-id", answer_id.encode())])
