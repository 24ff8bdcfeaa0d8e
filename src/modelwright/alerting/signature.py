"""Signed webhooks: how a receiver knows that a call came from us, unchanged and just now.

The header ``X-Modelwright-Timestamp`` holds seconds since 1970, ``X-Modelwright-Signature`` holds ``v1=`` and, in hex, the
HMAC-SHA256 of ``TIMESTAMP.BODY`` with the shared secret.
"""

from __future__ import annotations

import hashlib
import hmac

TIMESTAMP = "X-Modelwright-Timestamp"
SIGNATURE = "X-Modelwright-Signature"
#: Seconds by which clocks may differ, and a call may be old.
TOLERANCE_S = 300.0


def signature_of(secret: str, timestamp: str, body: bytes) -> str:
    """What stands in the header.

    Examples
    --------
    >>> signature_of("geheim", "1700000000", b"{}")
    'v1=75e8aa01e776401a6bfda6664664c1271ca25506052e3b8c43308bdf92f3c8d5'
    """
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def is_signed(secret: str, timestamp: str, body: bytes, signature: str, now: float) -> bool:
    """Whether a call bears the signature of somebody who knows the secret, and is not an old one sent again.

    Parameters
    ----------
    secret, timestamp : str
    body : bytes
        As it came, before anything is parsed.
    signature : str
        The header; several, separated by commas, while a secret is exchanged.
    now : float
        Seconds since 1970.
    """
    if not secret or not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    wanted = signature_of(secret, timestamp, body).encode()
    return any([hmac.compare_digest(wanted, each.strip().encode()) for each in signature.split(",")])
