"""Signatures as OpenSSF's model signing writes them, which other tools verify too: through Sigstore, or by a key.

Sigstore binds a signature to who somebody is (the account of a person or of a pipeline) and enters it in a public log, so
that no private key has to be kept. The signature names every file of the bundle with its digest; it lies beside them as
``model.sig`` and leaves the digest of the bundle as it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelwright.artifacts.manifest import OPENSSF_FILE, SIGNATURE_FILE, verify_bundle
from modelwright.errors import BundleError, InvalidInputError, MissingExtraError


def sign_by_identity(folder: Path, token: str | None = None) -> Path:
    """Sign a bundle as whoever a token says, through Sigstore; an earlier signature is replaced.

    Parameters
    ----------
    folder : Path
    token : str, optional
        OpenID Connect token. By default that of the pipeline where this runs in one, else a browser asks.

    Returns
    -------
    Path
        The signature.

    Raises
    ------
    BundleError
        If the bundle is damaged, or Sigstore could not be reached or refused.
    MissingExtraError
        If ``model-signing`` is not installed.
    """
    given: dict[str, Any] = {"use_ambient_credentials": True} if token is None else {"identity_token": token}
    return _sign(folder, lambda config: config.use_sigstore_signer(**given))


def sign_by_key(folder: Path, key_file: Path) -> Path:
    """Sign a bundle by an elliptic-curve key in a PEM file without a password; otherwise as `sign_by_identity`.

    Raises
    ------
    InvalidInputError
        If the file holds no such key.
    """
    if not key_file.is_file():
        raise _no_key(key_file)
    return _sign(folder, lambda config: config.use_elliptic_key_signer(private_key=key_file), key_file)


def verify_identity(folder: Path, identity: str, issuer: str) -> None:
    """Check that somebody has signed a bundle.

    Parameters
    ----------
    folder : Path
    identity : str
        As the certificate says it: an e-mail address, or the address of a pipeline.
    issuer : str
        Who vouches for the identity, such as "https://accounts.google.com".

    Raises
    ------
    BundleError
        If it is not signed, somebody else has signed it, or it was changed since.
    MissingExtraError
        If ``model-signing`` is not installed.
    """
    _verify(folder, lambda config: config.use_sigstore_verifier(identity=identity, oidc_issuer=issuer))


def verify_key(folder: Path, key_file: Path) -> None:
    """Check that the private key of a public one has signed a bundle; raises as `verify_identity` does."""
    if not key_file.is_file():
        raise _no_key(key_file)
    _verify(folder, lambda config: config.use_elliptic_key_verifier(public_key=key_file), key_file)


def _sign(folder: Path, by: Any, key_file: Path | None = None) -> Path:
    signing, _, hashing, refusals = _library()
    verify_bundle(folder)
    draft = folder / f".{OPENSSF_FILE}.tmp"
    try:
        config = by(signing.Config())
    except refusals as error:
        raise _no_key(key_file) if key_file is not None else _unreachable(folder, error) from error
    try:
        config.set_hashing_config(_hashing(hashing, draft.name)).sign(folder, draft)
        draft.replace(folder / OPENSSF_FILE)
    except refusals as error:
        raise _unreachable(folder, error) from error
    finally:
        draft.unlink(missing_ok=True)
    return folder / OPENSSF_FILE


def _verify(folder: Path, by: Any, key_file: Path | None = None) -> None:
    _, verifying, hashing, refusals = _library()
    if not (folder / OPENSSF_FILE).is_file():
        raise BundleError(
            "The bundle has no OpenSSF signature.",
            where=str(folder),
            mend="Sign it: modelwright bundle sign BUNDLE --sigstore.",
        )
    try:
        config = by(verifying.Config())
    except refusals as error:
        raise _no_key(key_file) if key_file is not None else _unreachable(folder, error) from error
    try:
        config.set_hashing_config(_hashing(hashing)).verify(folder, folder / OPENSSF_FILE)
    except refusals as error:
        raise BundleError(
            f"The signature is not the one that was asked for: {_said(error)}.",
            where=str(folder / OPENSSF_FILE),
            mend="Copy the bundle again, or have it signed by whom you trust.",
        ) from error


def _hashing(hashing: Any, *more: str) -> Any:
    return hashing.Config().set_ignored_paths(paths=[OPENSSF_FILE, SIGNATURE_FILE, *more], ignore_git_paths=False)


def _unreachable(folder: Path, error: BaseException) -> BundleError:
    return BundleError(
        f"The bundle could not be signed: {_said(error)}.",
        where=str(folder),
        mend="Sigstore needs the internet and a fresh identity token; a key of your own needs neither.",
    )


def _no_key(path: Path | None) -> InvalidInputError:
    return InvalidInputError(
        "The file holds no elliptic-curve key that opens without a password.",
        where=str(path),
        mend="Make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem.",
    )


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")


def _library() -> tuple[Any, Any, Any, tuple[type[Exception], ...]]:
    """Modules of the library, and what it raises: on keys and signatures of other kinds whatever its parsing stumbles over."""
    try:
        from model_signing import hashing, signing, verifying
        from sigstore.errors import Error
    except ImportError as error:
        raise MissingExtraError("model-signing", "sigstore") from error
    return signing, verifying, hashing, (Error, ValueError, TypeError, LookupError, AttributeError, OSError, RuntimeError)
