"""The endpoint that takes labels: what turned out, by the id of the prediction."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import re
from typing import Any

import msgspec

from modelwright.errors import StorageError
from modelwright.monitoring.labels import Accepted, Label, add_labels
from modelwright.serving.decoding import Row, check_keys, decode
from modelwright.serving.exchange import Exchange
from modelwright.serving.problems import Problem
from modelwright.serving.replies import Reply
from modelwright.serving.scoring import Scorer
from modelwright.serving.service import Service
from modelwright.tables.cells import label_of

_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
#: Clocks differ; what lies further ahead is a mistake.
_AHEAD = dt.timedelta(minutes=5)
_FIELDS = {"id", "label", "at"}


class _Listed(msgspec.Struct, forbid_unknown_fields=True):
    labels: list[Row]


_ONE = msgspec.json.Decoder(Row | list[Row])
_LISTED = msgspec.json.Decoder(_Listed)


async def labels(exchange: Exchange, service: Service) -> Reply:
    """One label, a list, or ``{"labels": […]}``. Wrong ones are reported by index, good ones are kept."""
    deployment = service.deployment(exchange.scope["path_params"]["model"])
    exchange.model = deployment.target.name
    exchange.require_json()
    body = await exchange.body(service.limits)
    given = _given(body)
    if not given:
        raise Problem(400, "no_rows", "There are no labels.")
    if len(given) > service.limits.labels:
        raise Problem(413, "too_many_labels", f"A request has {service.limits.labels:,} labels at most.")
    good: list[Label] = []
    refused: list[dict[str, Any]] = []
    now = dt.datetime.now(dt.UTC)
    for number, line in enumerate(given):
        try:
            good.append(_label(line, deployment.live.scorer, now))
        except Problem as problem:
            refused.append({"row": number, "code": problem.code, "error": problem.message})
    accepted = Accepted(0, 0, 0)
    if good:
        by_whom = exchange.principal.name if exchange.principal else ""
        accepted = await _written(service, deployment.target.name, good, by_whom)
    exchange.rows = len(given)
    for result, number in (*accepted._asdict().items(), ("refused", len(refused))):
        if number:
            service.metrics.count("modelwright_labels_total", deployment.target.name, result, by=number)
    told: dict[str, Any] = {"request_id": exchange.id, "accepted": len(good), **accepted._asdict(), "refused": refused}
    if not good:
        told = {"error": "None of the labels can be used.", "code": "wrong_labels"} | told
    # Labels from the future are well formed, but do not go with the clock here.
    wrong = 409 if all(each["code"] == "in_future" for each in refused) else 400
    return Reply(msgspec.json.encode(told), 200 if good else wrong)


def _given(body: bytes) -> list[Row]:
    if b'"labels"' in body:
        rows: list[Row] = decode(_LISTED, body).labels
        check_keys(body, 1 + sum(map(len, rows)))
        return rows
    one = decode(_ONE, body)
    rows = one if isinstance(one, list) else [one]
    check_keys(body, sum(map(len, rows)))
    return rows


async def _written(service: Service, model: str, good: list[Label], by_whom: str) -> Accepted:
    """Answered only after the commit; a request that is given up meanwhile is written all the same."""
    work = asyncio.get_running_loop().run_in_executor(service.writers, add_labels, service.database, model, good, by_whom)
    try:
        return await asyncio.shield(work)
    except StorageError as error:
        service.log.write("labels not written", reason=type(error).__name__)
        raise Problem(
            503, "store_refused", "The store refuses writes now; send the labels again later.", headers={"retry-after": "5"}
        ) from None


def _label(line: Row, scorer: Scorer, now: dt.datetime) -> Label:
    if not line.keys() <= _FIELDS or "id" not in line or "label" not in line:
        raise Problem(400, "wrong_shape", "A label has id, label, and perhaps at.")
    given, value, at = line["id"], line["label"], line.get("at")
    if not isinstance(given, str) or not _ID.fullmatch(given):
        raise Problem(400, "wrong_id", "The id is that of a prediction.")
    return Label(given, _value(value, scorer), _moment(at, now))


def _value(value: Any, scorer: Scorer) -> Any:
    if scorer.classes:
        if value is not None and label_of(value) in scorer.class_names:
            return scorer.classes[scorer.class_names.index(label_of(value))]
        raise Problem(400, "wrong_label", "The label is none of the classes that the model knows.")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Problem(400, "wrong_label", "The label of this model is a number.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Problem(400, "wrong_label", "The label of this model is a finite number.")
    return number


def _moment(at: Any, now: dt.datetime) -> str | None:
    if at is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(at if isinstance(at, str) and len(at) <= 40 else "")
        moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise Problem(400, "wrong_time", "The time of a label is ISO 8601.") from None
    if moment > now + _AHEAD:
        raise Problem(400, "in_future", "The time of a label lies in the future.")
    return moment.isoformat(timespec="microseconds")
