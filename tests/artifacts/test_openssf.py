"""Signatures of OpenSSF's model signing: ours are read by its own program, and its own by us.

Sigstore itself needs the internet; here it is only seen that without it the refusal is clear.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.artifacts.archive import export_bundle, import_bundle
from modelwright.artifacts.bundle import load_bundle, manifest_digest
from modelwright.artifacts.manifest import OPENSSF_FILE
from modelwright.artifacts.openssf import sign_by_identity, sign_by_key, verify_key
from modelwright.artifacts.signing import make_keys, sign_bundle
from modelwright.cli.main import main
from modelwright.errors import BundleError, InvalidInputError

pytest.importorskip("model_signing")


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / f"{name}.pem")
        openssl("ec", "-in", folder / f"{name}.pem", "-pubout", "-out", folder / f"{name}.pub")
    make_keys(folder / "ed25519")
    return folder


@pytest.fixture
def signed(bundle: Path, keys: Path, tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(bundle, tmp_path / "model"))
    sign_by_key(copy, keys / "ours.pem")
    return copy


def test_a_signed_bundle_loads_keeps_its_digest_and_fits_one_key(signed: Path, bundle: Path, keys: Path) -> None:
    assert load_bundle(signed).run == load_bundle(bundle).run
    assert manifest_digest(signed) == manifest_digest(bundle)
    verify_key(signed, keys / "ours.pub")
    with pytest.raises(BundleError, match="not the one that was asked for"):
        verify_key(signed, keys / "theirs.pub")


def test_the_program_of_model_signing_verifies_ours(signed: Path, keys: Path) -> None:
    words = ["verify", "key", str(signed), "--signature", str(signed / OPENSSF_FILE), "--public_key", str(keys / "ours.pub")]
    subprocess.run([sys.executable, "-m", "model_signing", *words], check=True, capture_output=True)


def test_every_file_counts(signed: Path, keys: Path) -> None:
    for path in sorted(signed.rglob("*")):
        if path.is_file() and path.name != OPENSSF_FILE:
            content = path.read_bytes()
            path.write_bytes(content + b" ")
            with pytest.raises(BundleError):
                verify_key(signed, keys / "ours.pub")
            path.write_bytes(content)
    verify_key(signed, keys / "ours.pub")
    (signed / "more").write_text("x")
    with pytest.raises(BundleError):
        verify_key(signed, keys / "ours.pub")


def test_both_kinds_of_signature_stand_side_by_side_and_travel(signed: Path, keys: Path, tmp_path: Path) -> None:
    sign_bundle(signed, keys / "ed25519")
    export_bundle(signed, tmp_path / "model.tar.gz")
    import_bundle(tmp_path / "model.tar.gz", tmp_path / "again", trusted_keys=keys / "ed25519.pub")
    verify_key(tmp_path / "again", keys / "ours.pub")


def test_what_is_no_signature_or_no_key_is_refused(bundle: Path, signed: Path, keys: Path) -> None:
    with pytest.raises(BundleError, match="no OpenSSF signature"):
        verify_key(bundle, keys / "ours.pub")
    for file in (keys / "nothing.pem", keys / "ed25519", Path(__file__)):
        with pytest.raises(InvalidInputError, match="no elliptic-curve key"):
            sign_by_key(signed, file)
    verify_key(signed, keys / "ours.pub")  # the one of before stands
    (signed / OPENSSF_FILE).write_text("{}")
    with pytest.raises(BundleError):
        verify_key(signed, keys / "ours.pub")


def test_a_token_that_is_none_is_refused_and_leaves_nothing(signed: Path) -> None:
    before = sorted(signed.iterdir())
    with pytest.raises(BundleError, match="could not be signed"):
        sign_by_identity(signed, "no token")
    assert sorted(signed.iterdir()) == before


def test_commands(signed: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(["bundle", *map(str, words)])
        said = capsys.readouterr()
        return int(str(left.value.code)), " ".join((said.out + said.err).split())

    assert run("sign", signed, "--openssf-key", keys / "ours.pem") == (0, f"{signed}: signed in model.sig.")
    code, told = run("verify", signed, "--openssf-key", keys / "ours.pub")
    assert code == 0
    assert "signed by the key of" in told
    assert run("verify", signed, "--openssf-key", keys / "theirs.pub")[0] == 2
    assert "Give both" in run("verify", signed, "--identity", "ann@example.org")[1]
    assert "Give one of" in run("sign", signed)[1]
