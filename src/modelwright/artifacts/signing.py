"""Signatures of bundles: who vouches for one, by an Ed25519 key kept in a file.

A signature is made over the bytes of the manifest, which names every other file with its digest; it lies beside it as
``signature.json`` and leaves the digest of the bundle as it was. Keys are PEM files as ``openssl`` writes them.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from modelwright.artifacts.manifest import MANIFEST_FILE, SIGNATURE_FILE, UNREADABLE, read_manifest
from modelwright.errors import BundleError, InvalidInputError, MissingExtraError

#: Stands before the manifest in what is signed, so that a signature of anything else is none of a bundle.
_CONTEXT = b"modelwright bundle 1\0"
_ALGORITHM = "ed25519"


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``signature.json`` holds; ``key`` is the fingerprint of the public key, ``signature`` base64."""

    algorithm: str
    key: str
    signature: str


def make_keys(path: Path) -> tuple[Path, str]:
    """Make a key pair: ``path`` for the private key, readable by its owner alone, and ``path.pub`` for the public one.

    Parameters
    ----------
    path : Path
        Neither file may exist.

    Returns
    -------
    tuple of Path and str
        The file of the public key, and its fingerprint.

    Raises
    ------
    InvalidInputError
        If a file exists, or the folder does not.
    MissingExtraError
        If ``cryptography`` is not installed.
    """
    ed25519, serialization = _library()
    public = path.with_name(f"{path.name}.pub")
    for each in (path, public):
        if each.exists():
            raise InvalidInputError("There is such a file already.", where=str(each), mend="Give another name.")
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    text = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(private)
        public.write_bytes(text)
    except OSError as error:
        raise InvalidInputError(
            f"The key cannot be written: {error.strerror}.", where=str(path), mend="Give a file in a folder that you may write."
        ) from error
    return public, _fingerprint(key.public_key(), serialization)


def sign_bundle(folder: Path, key_file: Path) -> Signature:
    """Sign a bundle with a private key; an earlier signature is replaced.

    Parameters
    ----------
    folder : Path
    key_file : Path

    Raises
    ------
    BundleError
        If the manifest is damaged.
    InvalidInputError
        If the file holds no private Ed25519 key without a password.
    """
    ed25519, serialization = _library()
    read_manifest(folder)
    key = _read(key_file, "private", lambda content: serialization.load_pem_private_key(content, password=None))
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise _no_key(key_file, "private")
    made = key.sign(_CONTEXT + (folder / MANIFEST_FILE).read_bytes())
    signature = Signature(_ALGORITHM, _fingerprint(key.public_key(), serialization), base64.b64encode(made).decode())
    draft = folder / f".{SIGNATURE_FILE}.tmp"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(signature)))
    draft.replace(folder / SIGNATURE_FILE)
    return signature


def verify_signature(folder: Path, trusted_keys: str | Path | Sequence[str | Path]) -> str:
    """Check that one of the keys has signed a bundle.

    Parameters
    ----------
    folder : Path
        A bundle; its digests are compared by `manifest.verify_bundle`, not here.
    trusted_keys : str, Path or sequence of them
        Files of public keys. Without any there is nothing to check.

    Returns
    -------
    str
        Fingerprint of the key that signed it; "" where nothing was checked.

    Raises
    ------
    BundleError
        If it is not signed, was signed by another key, or was changed since.
    """
    files = [trusted_keys] if isinstance(trusted_keys, str | Path) else list(trusted_keys)
    if not files:
        return ""
    ed25519, serialization = _library()
    keys = {}
    for file in files:
        key = _read(Path(file), "public", serialization.load_pem_public_key)
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise _no_key(Path(file), "public")
        keys[_fingerprint(key, serialization)] = key
    signature = read_signature(folder)
    if signature is None:
        raise BundleError(
            "The bundle is not signed.", where=str(folder), mend="Sign it: modelwright bundle sign BUNDLE --key KEY."
        )
    if signature.key not in keys or signature.algorithm != _ALGORITHM:
        raise BundleError(
            "The bundle was signed by a key that is not trusted.",
            where=f"key {signature.key}",
            mend="Trust its public key with --trusted-key, or ask for a bundle signed by one you trust.",
        )
    from cryptography.exceptions import InvalidSignature

    try:
        keys[signature.key].verify(_decoded(signature), _CONTEXT + (folder / MANIFEST_FILE).read_bytes())
    except InvalidSignature as error:
        raise BundleError(
            "The signature does not fit the bundle: one of them was changed.",
            where=str(folder),
            mend="Copy it again, or sign it.",
        ) from error
    return signature.key


def read_signature(folder: Path) -> Signature | None:
    """The signature of a bundle, unchecked; None if it has none.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    BundleError
        If it cannot be read.
    """
    path = folder / SIGNATURE_FILE
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Signature)
    except UNREADABLE as error:
        raise BundleError(f"The signature is damaged: {error}.", where=str(path), mend="Sign the bundle again.") from error


def _decoded(signature: Signature) -> bytes:
    try:
        return base64.b64decode(signature.signature, validate=True)
    except ValueError:
        return b""


def _read(path: Path, kind: str, parse: Any) -> Any:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise InvalidInputError(
            f"The {kind} key cannot be read: {error.strerror}.",
            where=str(path),
            mend="Make one: modelwright bundle keygen KEY.",
        ) from error
    except (ValueError, TypeError) as error:
        raise _no_key(path, kind) from error
    except Exception as error:  # cryptography has errors of its own for kinds of keys that it does not know
        raise _no_key(path, kind) from error


def _no_key(path: Path, kind: str) -> InvalidInputError:
    return InvalidInputError(
        f"The file holds no {kind} Ed25519 key that opens without a password.",
        where=str(path),
        mend="Make one: modelwright bundle keygen KEY.",
    )


def _fingerprint(key: Any, serialization: Any) -> str:
    """First 32 hexadecimal digits of the SHA-256 of the key's 32 bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:32]


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingExtraError("cryptography", "sign") from error
    return ed25519, serialization
