"""What a container is built from: plain texts of checked values, locked versions, no root, a health check."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from modelwright.artifacts.bundle import manifest_digest
from modelwright.artifacts.container import dockerfile, extras_of, kubernetes, locked_requirements, systemd, write_container
from modelwright.errors import InvalidInputError

EVIL = ["a b", "a\nRUN id", "$(id)", "`id`", 'a"', "a'", "../a", "", "-a", "a;b", "a:b", "ä", "a" * 101, "a=b", "%n"]


def test_the_folder_has_all_that_a_build_needs(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "image"
    written = write_container(bundle, output, name="churn", kubernetes_image="shop/churn:7", unit=True)
    assert sorted(path.name for path in output.iterdir()) == sorted(written)
    assert manifest_digest(output / "bundle") == manifest_digest(bundle)
    assert [path for path in tmp_path.iterdir() if path != output] == []
    with pytest.raises(InvalidInputError, match="such a folder already"):
        write_container(bundle, output, name="churn")


def test_requirements_are_locked_to_what_is_installed_and_complete(bundle: Path, tmp_path: Path) -> None:
    write_container(bundle, tmp_path / "image", name="churn")
    lines = (tmp_path / "image" / "requirements.txt").read_text().splitlines()
    found = {Requirement(line).name: line for line in lines}
    for name, line in found.items():
        assert re.fullmatch(r"[a-z0-9._-]+==[A-Za-z0-9.]+", line)
        assert metadata.version(name).startswith(line.partition("==")[2])
    assert {"modelwright", "starlette", "uvicorn", "numpy", "lightgbm", "msgspec"} <= set(found)
    assert not {"torch", "catboost", "pytest"} & set(found)
    assert "torch" in locked_requirements(extras_of(["network"]))
    with pytest.raises(InvalidInputError, match="not installed here"):
        locked_requirements([], "no-such-package-here")


def test_the_container_runs_without_rights_and_tells_its_health(bundle: Path, tmp_path: Path) -> None:
    text = dockerfile("churn")
    assert re.search(r"^USER 10001:10001$", text, re.M)
    assert text.index("USER 10001") < text.index("ENTRYPOINT")
    assert "/v2/health/live" in text[text.index("HEALTHCHECK") :]
    assert '"--host", "0.0.0.0"' in text
    assert "--no-auth" not in text
    assert "TOKEN=" not in text
    assert f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim" in text


def test_a_wheel_takes_the_place_of_the_index(bundle: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "modelwright-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"PK")
    write_container(bundle, tmp_path / "image", name="churn", wheel=wheel)
    assert (tmp_path / "image" / wheel.name).read_bytes() == b"PK"
    assert "modelwright==" not in (tmp_path / "image" / "requirements.txt").read_text()
    assert f"COPY {wheel.name} /tmp/" in (tmp_path / "image" / "Dockerfile").read_text()
    for wrong in (tmp_path / "none.whl", tmp_path / "a b.whl", tmp_path):
        with pytest.raises(InvalidInputError, match="no wheel"):
            write_container(bundle, tmp_path / "other", name="churn", wheel=wrong)


@pytest.mark.parametrize("name", EVIL)
def test_a_name_that_could_become_a_command_is_refused(name: str, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no name"):
        write_container(bundle, tmp_path / "image", name=name, unit=True)
    with pytest.raises(InvalidInputError, match="no name"):
        systemd(name)
    with pytest.raises(InvalidInputError):
        kubernetes("churn", name.upper() or "")
    assert list(tmp_path.iterdir()) == []


def test_the_kubernetes_manifest_runs_without_rights_and_takes_the_token_from_a_secret() -> None:
    yaml = pytest.importorskip("yaml")
    claim, deployment, service = yaml.safe_load_all(kubernetes("Churn_2", "shop/churn:7"))
    assert claim["metadata"]["name"] == service["metadata"]["name"] == "churn-2"
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["image"] == "shop/churn:7"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["args"][:2] == ["serve", "Churn_2=/bundle"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    compile(container["readinessProbe"]["exec"]["command"][2], "ready", "exec")
    assert next(v for v in pod["volumes"] if v["name"] == "token")["secret"]["secretName"] == "churn-2-token"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = systemd("churn")
    assert "LoadCredential=token:/etc/modelwright/churn.token" in text
    if shutil.which("systemd-analyze"):
        unit = tmp_path / "modelwright-churn.service"
        unit.write_text(text.replace("/opt/churn/venv/bin/modelwright", sys.executable))
        done = subprocess.run(
            ["systemd-analyze", "verify", str(unit)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        assert str(unit) not in done.stderr, done.stderr
