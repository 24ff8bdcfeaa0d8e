"""All addresses of the server in one table, behind the gateway."""

from __future__ import annotations

from typing import Any

from modelwright.errors import MissingExtraError
from modelwright.serving import about, labelling, pages, predicting, retraining
from modelwright.serving.endpoint import Endpoint, Handler, not_found
from modelwright.serving.gateway import LIVENESS, Gateway
from modelwright.serving.service import Service

_ANY = ("predict", "label", "read", "retrain", "admin")
_READ = ("read", "predict", "admin")

#: Method, address, what answers, and the scopes of which one is needed. The first one is the one that hurries.
ROUTES: list[tuple[str, str, Handler, tuple[str, ...]]] = [
    ("POST", "/predict/{model}", predicting.predict, ("predict",)),
    ("POST", "/v2/models/{model}/infer", predicting.infer, ("predict",)),
    ("POST", "/v2/models/{model}/versions/{version}/infer", predicting.infer, ("predict",)),
    ("POST", "/invocations", predicting.invocations, ("predict",)),
    ("POST", "/labels/{model}", labelling.labels, ("label",)),
    ("GET", LIVENESS, about.live, _ANY),
    ("GET", "/v2/health/ready", about.ready, _ANY),
    ("GET", "/v2", about.server, _ANY),
    ("GET", "/v2/", about.server, _ANY),
    ("GET", "/v2/models/{model}", about.model, _READ),
    ("GET", "/v2/models/{model}/versions/{version}", about.model, _READ),
    ("GET", "/v2/models/{model}/ready", about.model_ready, _ANY),
    ("GET", "/v2/models/{model}/versions/{version}/ready", about.model_ready, _ANY),
    ("GET", "/ping", about.ping, _ANY),
    ("GET", "/health", about.ping, _ANY),
    ("GET", "/version", about.version, _ANY),
    ("GET", "/metrics", about.metrics, ("read", "admin")),
    ("GET", "/admin/status", about.status, ("admin",)),
    ("POST", "/admin/retrain/{model}", retraining.retrain, ("retrain", "admin")),
    ("GET", "/openapi.json", pages.openapi, _ANY),
    ("GET", "/", pages.home, _READ),
    ("GET", "/static/{file}", pages.static, _ANY),
    ("POST", "/login", pages.login, ("login", *_ANY)),
    ("POST", "/logout", pages.logout, _ANY),
]


def make_app(service: Service) -> Any:
    """The ASGI application.

    Parameters
    ----------
    service : Service

    Raises
    ------
    MissingExtraError
        If Starlette is not installed.
    """
    try:
        from starlette.routing import Route, Router
    except ImportError as error:
        raise MissingExtraError("starlette", "serve") from error

    routes = [Route(path, Endpoint(path, method, handler, scopes, service)) for method, path, handler, scopes in ROUTES]
    router: Any = Router(routes, redirect_slashes=False, default=not_found)  # type: ignore[arg-type]
    return Gateway(router, service)
