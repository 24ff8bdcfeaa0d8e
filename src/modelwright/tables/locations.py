"""Addresses of tables: paths, URLs of files and of databases, and how they are shown without their secrets."""

from __future__ import annotations

from urllib.parse import urlsplit

from modelwright.masking import REFERENCE, masked

#: Dialects of SQLAlchemy URLs; every other scheme is a file store's and goes to fsspec.
_DATABASES = frozenset({"sqlite", "postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "duckdb", "snowflake"})


def is_url(address: str) -> bool:
    """Whether the address names a scheme; a Windows drive ("C:\\...") does not."""
    return "://" in address


def is_database(address: str) -> bool:
    """Whether SQLAlchemy reads the address."""
    return is_url(address) and address.partition("://")[0].partition("+")[0].lower() in _DATABASES


def without_credentials(address: str) -> str:
    """The address with the password masked, and without its query string, where stores put signatures and keys.

    References to secrets (``${NAME}``) stay, since they are none.
    """
    if not is_url(address):
        return address
    if REFERENCE.search(address):
        return masked(address)
    scheme, _, rest = address.partition("://")
    try:
        parts = urlsplit(address)
        user, at, host = parts.netloc.rpartition("@")
        path = parts.path
    except ValueError:
        return f"{scheme}://***"
    if "@" in rest.partition("?")[0].removeprefix(parts.netloc):
        # A password with an unescaped slash spills into the path.
        return f"{scheme}://***@{rest.partition('?')[0].rpartition('@')[2]}"
    name, colon, _ = user.partition(":")
    return f"{scheme}://{name}{':***' if colon else ''}{at}{host}{path}"
