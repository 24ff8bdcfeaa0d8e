"""The OpenAPI document, and the pages for people."""

from __future__ import annotations

from modelwright.serving.exchange import Exchange
from modelwright.serving.problems import Problem
from modelwright.serving.replies import Reply
from modelwright.serving.service import Service


async def openapi(exchange: Exchange, service: Service) -> Reply:
    return Reply(b"{}")


async def home(exchange: Exchange, service: Service) -> Reply:
    return Reply(b"", content_type=b"text/html; charset=utf-8")


async def static(exchange: Exchange, service: Service) -> Reply:
    raise Problem(404, "not_found", "There is nothing at this address.")


async def login(exchange: Exchange, service: Service) -> Reply:
    raise Problem(404, "not_found", "There is nothing at this address.")


async def logout(exchange: Exchange, service: Service) -> Reply:
    raise Problem(404, "not_found", "There is nothing at this address.")


def login_page() -> bytes:
    return b""
