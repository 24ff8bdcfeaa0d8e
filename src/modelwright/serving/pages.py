"""The pages for people: one to try the models, one to log in. Own HTML, no scripts but our own file, none inline."""

from __future__ import annotations

import urllib.parse
from functools import lru_cache
from importlib.resources import files

import msgspec
from markupsafe import Markup, escape

from modelwright.serving.deployments import Deployment
from modelwright.serving.exchange import Exchange
from modelwright.serving.openapi import document
from modelwright.serving.problems import Problem
from modelwright.serving.replies import Reply
from modelwright.serving.service import Service
from modelwright.serving.sessions import COOKIE, LASTS_S, new_session, session_of
from modelwright.version import __version__

_HTML = b"text/html; charset=utf-8"
#: The only files that can be asked for; names of clients never become paths.
_FILES = {"app.css": b"text/css; charset=utf-8", "app.js": b"text/javascript; charset=utf-8"}
#: Largest body of the form that logs in.
_MOST = 4096
_HEAD = Markup(
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
)


async def openapi(exchange: Exchange, service: Service) -> Reply:
    """The OpenAPI document of what is served now."""
    return Reply(msgspec.json.encode(document(service)))


async def home(exchange: Exchange, service: Service) -> Reply:
    """The page to try the models."""
    session = session_of(service.keyring, exchange.headers.get(b"cookie")) if service.auth else None
    return Reply(_home_page(service, session[1] if session else "", can_leave=session is not None), content_type=_HTML)


def _home_page(service: Service, word: str, *, can_leave: bool) -> bytes:
    leave = Markup('<button class="plain" id="logout" type="button">Log out</button>') if can_leave else ""
    models = Markup("\n").join(_model(each) for each in service.deployments.values())
    page = _HEAD + Markup(
        '<title>modelwright</title>\n<meta name="csrf-token" content="{word}">\n'
        '<link rel="stylesheet" href="/static/app.css">\n'
        '<script src="/static/app.js" defer></script>\n</head>\n<body>\n<header><h1>modelwright</h1><span>{version}</span>'
        '<nav><a href="/openapi.json">OpenAPI</a>{leave}</nav></header>\n<main>\n{models}\n</main>\n</body>\n</html>\n'
    ).format(word=word, version=__version__, leave=leave, models=models)
    return page.encode()


def _model(one: Deployment) -> Markup:
    scorer = one.live.scorer
    fields = Markup("\n").join(_field(column.name, column.type) for column in scorer.columns)
    about = f"predicts {scorer.model.target}" if scorer.model.target else "finds clusters"
    return Markup(
        '<section>\n<h2>{name} <small>version {version}, {about}</small></h2>\n<form data-model="{name}">\n'
        '<div class="fields">\n{fields}\n</div>\n<p><button>Predict</button></p>\n<output aria-live="polite"></output>\n'
        "<details><summary>The request</summary><pre></pre></details>\n</form>\n</section>"
    ).format(name=one.live.name, version=one.live.version, about=about, fields=fields)


def _field(name: str, kind: str) -> Markup:
    if kind == "boolean":
        options = Markup('<option value=""></option><option>true</option><option>false</option>')
        field = Markup('<select data-column="{name}" data-type="{kind}">{options}</select>')
        return _labelled(name, kind, field.format(name=name, kind=kind, options=options))
    mode = "decimal" if kind == "number" else "text"
    field = Markup('<input data-column="{name}" data-type="{kind}" inputmode="{mode}" autocomplete="off">')
    return _labelled(name, kind, field.format(name=name, kind=kind, mode=mode))


def _labelled(name: str, kind: str, field: Markup) -> Markup:
    return Markup("<label>{name} <small>{kind}</small>{field}</label>").format(name=escape(name), kind=kind, field=field)


async def static(exchange: Exchange, service: Service) -> Reply:
    """One of the files of the page."""
    name = exchange.scope["path_params"]["file"]
    if name not in _FILES:
        raise Problem(404, "not_found", "There is nothing at this address.")
    return Reply(_file(name), content_type=_FILES[name])


@lru_cache
def _file(name: str) -> bytes:
    return files("modelwright.serving").joinpath("static", name).read_bytes()


async def login(exchange: Exchange, service: Service) -> Reply:
    """A cookie for whoever sends a token by the form."""
    limits = msgspec.structs.replace(service.limits, body_bytes=_MOST)
    body = await exchange.body(limits)
    fields = dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), max_num_fields=5)) if body.count(b"&") < 5 else {}
    principal = service.keyring.principal(fields.get("token", "").strip().encode()) if service.auth else None
    if principal is None:
        return Reply(login_page("This token opens nothing."), 401, _HTML)
    cookie = (
        f"{COOKIE.decode()}={new_session(service.keyring, principal)}; Path=/; HttpOnly; SameSite=Strict; Max-Age={LASTS_S}"
    )
    # Browsers send Secure cookies over TLS only; on this machine itself there is none.
    cookie += "" if service.loopback else "; Secure"
    return Reply(b"", 303, b"text/plain", [(b"location", b"/"), (b"set-cookie", cookie.encode())])


async def logout(exchange: Exchange, service: Service) -> Reply:
    """Take the cookie away."""
    gone = f"{COOKIE.decode()}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    return Reply(b"{}", headers=[(b"set-cookie", gone.encode())])


def login_page(wrong: str = "") -> bytes:
    """The form that asks for a token; shown instead of any page while there is none.

    Parameters
    ----------
    wrong : str, default=""
        What was wrong with the last one.
    """
    page = _HEAD + Markup(
        "<title>modelwright</title>\n</head>\n<body>\n<main>\n<h1>modelwright</h1>\n<p>{wrong}</p>\n"
        '<form method="post" action="/login">\n<p><label>Token<br><input type="password" name="token" size="48" '
        'autocomplete="current-password" required></label></p>\n<p><button>Log in</button></p>\n</form>\n'
        "<p>The first start of the server prints a token; <code>modelwright token new NAME</code> makes another.</p>\n"
        "</main>\n</body>\n</html>\n"
    ).format(wrong=wrong)
    return page.encode()
