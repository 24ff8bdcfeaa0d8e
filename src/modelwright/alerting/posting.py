"""Posting JSON to an address: http and https alone, once, and nothing is followed."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from modelwright.errors import StorageError
from modelwright.version import __version__

#: Seconds that a server may be silent.
TIMEOUT_S = 10.0


def post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """Post JSON once; anything but a code of the 200s is a failure, a redirect too.

    Raises
    ------
    StorageError
        In words that do not hold the address.
    """
    sent = {"Content-Type": "application/json", "User-Agent": f"modelwright/{__version__}", **headers}
    request = urllib.request.Request(checked_url(url), data=body, headers=sent, method="POST")
    try:
        with _opener(request.type).open(request, timeout=TIMEOUT_S) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as error:
        error.close()
        hint = " Redirects are not followed." if 300 <= error.code < 400 else ""
        raise StorageError(f"{_host(url)} answered {error.code}.{hint}") from None
    except urllib.error.URLError as error:
        raise StorageError(f"{_host(url)} cannot be reached: {error.reason}.") from None


def _opener(scheme: str) -> urllib.request.OpenerDirector:
    """Speaks one of http and https, through the proxy of the environment if there is one; follows nothing."""
    opener = urllib.request.OpenerDirector()
    of_scheme: urllib.request.BaseHandler = urllib.request.HTTPHandler()
    if scheme == "https":
        of_scheme = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    answers = (urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler())
    for handler in (urllib.request.ProxyHandler(), of_scheme, *answers):
        opener.add_handler(handler)
    return opener


def _host(url: str) -> str:
    """What may be shown of an address: its path may be the secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def checked_url(url: str) -> str:
    """An address that may be posted to.

    Raises
    ------
    StorageError
        If it is none of http or https, or holds a user.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StorageError("The address is not one of http:// or https://.")
    if parts.username is not None:
        raise StorageError("The address holds a user, which is not sent; sign the call instead.")
    return url
