"""Secrets that show by their form: passwords in URLs, signed query strings, tokens, and literals under telling names.

Functions of text alone. What stands behind references and in the environment is for `provenance.secrets` to know.
"""

from __future__ import annotations

import re

MASK = "***"

#: ``${NAME}`` is an environment variable, ``${file:/path}`` the content of a file; ``$${`` is no reference.
REFERENCE = re.compile(r"(?<!\$)\$\{([^{}\s][^{}]*)\}")

#: Words that make the name of a variable, an option or a parameter a telling one.
_SECRET_WORDS = frozenset({
    "password", "passwd", "passphrase", "pass", "pw", "pwd", "secret", "secrets", "token", "tokens", "key", "apikey",
    "accesskey", "secretkey", "privatekey", "accesskeyid", "credential", "credentials", "auth", "authorization", "sas", "sig",
    "signature", "sslpassword", "awsaccesskeyid", "dsn", "bearer",
})  # fmt: skip
#: Names that only look telling: the working folder, an agent's socket, public keys.
_NO_SECRETS = frozenset({"PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY", "GPG_KEY"})

_REFERENCES = r"\$\{[^{}]*\}"
_AUTHORITY = re.compile(
    rf"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.\-]*)://(?P<user>(?:{_REFERENCES}|[^\s:/?#@\"'<>`])*):"
    rf"(?P<password>(?:{_REFERENCES}|[^\s\"'<>`])*)@"
)
#: A host and a port before the path: what follows is no password, unless the scheme is one of databases.
_PORT = re.compile(r"\d{1,5}[/?#]")
_FILE_SCHEMES = frozenset({"http", "https", "s3", "gs", "gcs", "abfs", "az", "ftp", "sftp", "file", "webdav"})
_PARAMETER = re.compile(rf"(?P<before>[?&;](?P<name>[\w.\-]+)=)(?P<value>(?:{_REFERENCES}|[^\s&;#\"'<>`])+)")
_TOKENS = re.compile(
    r"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bgithub_pat_\w{30,}\b|\bglpat-[\w\-]{20,}|\bxox[abprs]-[\w\-]{10,}"
    r"|\bsk-[\w\-]{20,}|\bhf_[A-Za-z0-9]{30,}\b|\beyJ[\w\-]{10,}\.[\w\-]{10,}\.[\w\-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_LITERAL = re.compile(
    r"(?P<before>(?<![\w\-])(?P<name>[A-Za-z_][\w\-]*)[\"']?\]?\s*(?:[:=]|=>)\s*[frbu]{0,2})(?P<quote>[\"'])(?P<value>[^\"'\n]{4,})(?P=quote)"
)
_SETTING = re.compile(
    r"^(?P<before>[ +\-]?\s*(?:export |-\s+)?(?P<name>[A-Za-z_][\w.\-]*)(?:=|\s*:\s+))(?P<value>[^\s\"'#]+)(?P<after>\s*)$",
    re.MULTILINE,
)


def looks_secret(name: str) -> bool:
    """Whether what stands under this name should not be shown.

    Examples
    --------
    >>> [looks_secret(name) for name in ("PGPASSWORD", "API_KEY", "dbPassword", "X-Amz-Signature", "PWD", "KEYBOARD", "region")]
    [True, True, True, True, False, False, False]
    """
    if name.upper() in _NO_SECRETS:
        return False
    words = re.split(r"[^A-Za-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name))
    lowered = [word.lower().rstrip("0123456789") for word in words if word]
    # "PGPASSWORD" and "MYSQLTOKEN" run the words together.
    joined = name.lower()
    return any(word in _SECRET_WORDS for word in lowered) or any(
        word in joined for word in ("password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "credential")
    )


def masked(text: str) -> str:
    """Text with passwords of URLs, secret parameters of URLs and well-known tokens masked; references stay.

    Examples
    --------
    >>> masked("postgresql://ann:geheim@host/db?sslmode=require")
    'postgresql://ann:***@host/db?sslmode=require'
    >>> masked("postgresql://ann:${PGPASSWORD}@host/db")
    'postgresql://ann:${PGPASSWORD}@host/db'
    """
    if "://" in text:
        text = _AUTHORITY.sub(_without_password, text)
        text = _PARAMETER.sub(_without_value, text)
    return _TOKENS.sub(MASK, text) if "-" in text or "_" in text or "AKIA" in text else text


def literals(address: str) -> list[str]:
    """Passwords and values of secret parameters that `masked` would hide in an address.

    Examples
    --------
    >>> literals("postgresql://ann:geheim@host/db?sslpassword=b&sslmode=require")
    ['geheim', 'b']
    """
    found = [m["password"] for m in _AUTHORITY.finditer(address) if _without_password(m) != m[0]]
    return found + [m["value"] for m in _PARAMETER.finditer(address) if _without_value(m) != m[0]]


def masked_code(text: str) -> str:
    """Like `masked`, and literals that stand under telling names too: for code, settings, commands and tracebacks.

    Examples
    --------
    >>> masked_code('+    connect(user="ann", password="geheim1")')
    '+    connect(user="ann", password="***")'
    """
    text = _LITERAL.sub(_without_literal, masked(text))
    return _SETTING.sub(_without_setting, text)


def masked_command(words: list[str]) -> list[str]:
    """Words of a command with the values of telling options masked.

    Examples
    --------
    >>> masked_command(["fit.py", "--token", "abc", "--db-password=geheim", "--lr", "0.1"])
    ['fit.py', '--token', '***', '--db-password=***', '--lr', '0.1']
    """
    shown: list[str] = []
    value_of_secret = False
    for word in words:
        name, equals, value = word.partition("=")
        telling = word.startswith("-") and looks_secret(name.lstrip("-")) and len(name.lstrip("-")) > 1
        if value_of_secret and not word.startswith("-"):
            shown.append(word if _is_reference(word) else MASK)
        elif equals and not _is_reference(value) and (telling or (name.isidentifier() and looks_secret(name))):
            shown.append(f"{name}={MASK}")
        else:
            shown.append(masked_code(word))
        value_of_secret = telling and not equals
    return shown


def _is_reference(value: str) -> bool:
    return re.fullmatch(rf"(?:{_REFERENCES})+", value) is not None


def _without_password(match: re.Match[str]) -> str:
    password = match["password"]
    port = match["scheme"].lower().partition("+")[0] in _FILE_SCHEMES and _PORT.match(password)
    if not password or _is_reference(password) or port:
        return match[0]
    return f"{match['scheme']}://{match['user']}:{MASK}@"


def _without_value(match: re.Match[str]) -> str:
    keep = not looks_secret(match["name"]) or _is_reference(match["value"])
    return match[0] if keep else match["before"] + MASK


def _without_literal(match: re.Match[str]) -> str:
    value, name = match["value"], match["name"]
    # Code is full of harmless literals under "key" and "token".
    hide = _is_plain(name) or (looks_secret(name) and _looks_drawn(value))
    return f"{match['before']}{match['quote']}{MASK}{match['quote']}" if hide and not _is_reference(value) else match[0]


def _without_setting(match: re.Match[str]) -> str:
    """Lines of settings files; a bare name or number after a telling name is code rather than a secret."""
    hide = looks_secret(match["name"]) and _looks_drawn(match["value"]) and not _is_reference(match["value"])
    return match["before"] + MASK + match["after"] if hide else match[0]


def _is_plain(name: str) -> bool:
    return any(word in name.lower() for word in ("password", "passwd", "passphrase", "secret", "credential"))


def _looks_drawn(value: str) -> bool:
    """Letters and digits mixed, and no sign of code."""
    return (
        len(value) >= 6
        and bool(re.search(r"\d", value) and re.search(r"[A-Za-z]", value))
        and not re.search(r"[\s()\[\]{},|]", value)
    )
