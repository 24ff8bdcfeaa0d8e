"""Browser sessions: a signed cookie made from a token, and the word that its pages must send along with writes.

Any worker can check a cookie, since its key comes from the token's hash; with the token revoked, its cookies end.
"""

from __future__ import annotations

import hashlib
import hmac
import time

from modelwright.serving.tokens import Keyring, Principal

COOKIE = b"modelwright"
#: Seconds that a session lasts.
LASTS_S = 8 * 3600


def new_session(keyring: Keyring, principal: Principal) -> str:
    """The value of a cookie for somebody who has shown a token."""
    ends = int(time.time()) + LASTS_S
    key = next(key for key, each in keyring.keyed() if each.id == principal.id)
    return f"{principal.id}.{ends}.{_signed(key, f'cookie {ends}')}"


def session_of(keyring: Keyring, cookies: bytes | None) -> tuple[Principal, str] | None:
    """Who has this cookie, and the word that goes with writes; None if it is wrong or over.

    Parameters
    ----------
    keyring : Keyring
    cookies : bytes or None
        The header ``Cookie``.
    """
    for part in (cookies or b"").split(b";"):
        name, _, value = part.strip().partition(b"=")
        pieces = value.split(b".")
        if name != COOKIE or len(pieces) != 3 or not pieces[1].isdigit() or len(pieces[1]) > 12:
            continue
        ends = int(pieces[1])
        for key, principal in keyring.keyed():
            if principal.id.encode() == pieces[0] and hmac.compare_digest(_signed(key, f"cookie {ends}").encode(), pieces[2]):
                return (principal, _signed(key, f"write {ends}")) if ends > time.time() else None
    return None


def _signed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
