"""Bearer tokens: random, shown once, kept as hashes; two active ones for a name, so that they can be exchanged.

A token has 256 random bits, so a plain SHA-256 of it is safe to keep: there is nothing to guess.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from modelwright.errors import InvalidInputError
from modelwright.store.database import Database

SCOPES = ("predict", "label", "read", "retrain", "admin")
#: Active tokens of one name.
MOST_ACTIVE = 2
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Principal(NamedTuple):
    """Who asks: the token's id and name, and what it may."""

    id: str
    name: str
    scopes: frozenset[str]


class TokenLine(NamedTuple):
    """A token as the store has it."""

    id: str
    name: str
    scopes: tuple[str, ...]
    hash: str
    created: str
    revoked: str | None


#: Who asks where no token is needed.
ANYBODY = Principal("", "anybody", frozenset(SCOPES))


class TokenStore:
    """Tokens in the store.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, scopes: Iterable[str]) -> tuple[TokenLine, str]:
        """A new token, and its secret, which is kept nowhere.

        Raises
        ------
        InvalidInputError
            If name or scopes are wrong, or the name has two active tokens already.
        """
        import sqlalchemy as sa

        wanted = tuple(scope for scope in SCOPES if scope in set(scopes))
        if not _NAME.fullmatch(name):
            raise InvalidInputError(f"{name!r} is no name of a token.", mend="Use letters, digits, . _ and -.")
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not wanted:
            raise InvalidInputError(f"{', '.join(unknown) or 'Nothing'!r} is no scope.", mend=f"Choose of {', '.join(SCOPES)}.")
        secret = f"mw_{secrets.token_urlsafe(32)}"
        line = TokenLine(secrets.token_hex(4), name, wanted, hashed(secret), _now(), None)
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE")
            counted = sa.text("SELECT count(*) FROM tokens WHERE name = :name AND revoked IS NULL")
            if connection.execute(counted, {"name": name}).scalar_one() >= MOST_ACTIVE:
                raise InvalidInputError(
                    f"The name {name!r} has {MOST_ACTIVE} active tokens.", mend="Revoke one first, or choose another name."
                )
            connection.execute(
                sa.text("INSERT INTO tokens (id, name, scopes, hash, created) VALUES (:id, :name, :scopes, :hash, :created)"),
                {"id": line.id, "name": name, "scopes": " ".join(wanted), "hash": line.hash, "created": line.created},
            )
        return line, secret

    def lines(self) -> list[TokenLine]:
        """All tokens, oldest first; revoked ones too."""
        import sqlalchemy as sa

        wanted = sa.text("SELECT id, name, scopes, hash, created, revoked FROM tokens ORDER BY created, id")
        with self._database.reading() as connection:
            rows = connection.execute(wanted).fetchall()
        return [TokenLine(row[0], row[1], tuple(row[2].split()), *row[3:]) for row in rows]

    def active(self) -> list[TokenLine]:
        """Tokens that open something."""
        return [line for line in self.lines() if line.revoked is None]

    def revoke(self, token_id: str) -> TokenLine:
        """Close a token; running servers notice within seconds.

        Raises
        ------
        InvalidInputError
            If no active token has this id.
        """
        import sqlalchemy as sa

        found = [line for line in self.active() if line.id == token_id]
        if not found:
            raise InvalidInputError(f"There is no active token {token_id!r}.", mend="See modelwright token list.")
        with self._database.writing() as connection:
            connection.execute(
                sa.text("UPDATE tokens SET revoked = :at WHERE id = :id AND revoked IS NULL"), {"at": _now(), "id": token_id}
            )
        return found[0]


class Keyring:
    """The active tokens in memory; replaced as a whole when the store has others.

    Parameters
    ----------
    lines : iterable of TokenLine
    """

    def __init__(self, lines: Iterable[TokenLine]) -> None:
        self._keys = [(line.hash, Principal(line.id, line.name, frozenset(line.scopes))) for line in lines]

    def __len__(self) -> int:
        return len(self._keys)

    def principal(self, secret: bytes) -> Principal | None:
        """Whose secret this is. All tokens are compared, each in constant time, so time tells nothing."""
        digest = hashlib.sha256(secret).hexdigest()
        found = None
        for key, principal in self._keys:
            if hmac.compare_digest(key, digest):
                found = principal
        return found

    def keyed(self) -> list[tuple[bytes, Principal]]:
        """A secret for each token that only who knows its hash can compute; for sessions of browsers."""
        return [(hashlib.sha256(b"session" + key.encode()).digest(), principal) for key, principal in self._keys]


def hashed(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def given_line(secret: str) -> TokenLine:
    """A token from a file or the environment, which may do everything but administer."""
    digest = hashed(secret)
    return TokenLine(f"given-{digest[:8]}", "given", ("predict", "label", "read"), digest, "", None)


def _now() -> str:
    # Exact, so that two tokens of one second keep their order.
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
