"""The endpoint that asks for a retraining. That it is done is for a worker; here it is only written down."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from modelwright.errors import InvalidInputError, ModelwrightError
from modelwright.serving.decoding import decode
from modelwright.serving.exchange import Exchange
from modelwright.serving.problems import Problem
from modelwright.serving.replies import Reply
from modelwright.serving.service import Service

_LONGEST_KEY = 200


class _Why(msgspec.Struct, forbid_unknown_fields=True):
    why: str = ""


_WHY = msgspec.json.Decoder(_Why)


async def retrain(exchange: Exchange, service: Service) -> Reply:
    """Ask for a retraining of a served model; with an ``Idempotency-Key``, asking again changes nothing."""
    deployment = service.deployment(exchange.scope["path_params"]["model"])
    exchange.model = deployment.target.name
    body = await exchange.body(service.limits)
    why = ""
    if body:
        exchange.require_json()
        why = decode(_WHY, body).why[:500]
    key = exchange.headers.get(b"idempotency-key", b"").decode("latin-1")
    if len(key) > _LONGEST_KEY:
        raise Problem(400, "wrong_key", f"An Idempotency-Key has {_LONGEST_KEY} characters at most.")
    by_whom = exchange.principal.name if exchange.principal else ""
    model = deployment.target.reference.partition("@")[0].partition("/")[0]
    work = asyncio.get_running_loop().run_in_executor(service.writers, _asked, service, model, why, key or None, by_whom)
    told = await asyncio.shield(work)
    return Reply(msgspec.json.encode({"request_id": exchange.id, **told}), 202 if told["new"] else 200)


def _asked(service: Service, model: str, why: str, key: str | None, by_whom: str) -> dict[str, Any]:
    from modelwright.retraining.by_hand import ask_from_outside
    from modelwright.retraining.steps import Room
    from modelwright.retraining.triggers import Held

    try:
        asked = ask_from_outside(Room(Path(service.home), service.store, None), model, why=why, key=key, by_whom=by_whom)
    except InvalidInputError:
        message = "The model has no champion in the registry, or its policy takes no calls."
        raise Problem(409, "not_to_be_retrained", message) from None
    except ModelwrightError as error:
        service.log.write("retraining not asked for", reason=type(error).__name__)
        raise Problem(
            503, "store_refused", "The store refuses writes now; ask again later.", headers={"retry-after": "5"}
        ) from None
    if isinstance(asked, Held):
        raise Problem(409, "retraining_held", asked.reason)
    one = asked.retraining
    return {"retraining": one.id, "new": asked.new, "state": one.state, "step": one.step, "outcome": one.outcome}
