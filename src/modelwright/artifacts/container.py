"""A model as a folder that a container is built from: Dockerfile, locked requirements, the bundle.

Nothing is built or sent anywhere here. Texts are made from values that were checked by their form, never from what
stands inside a bundle, so nothing a bundle holds can become a command.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from modelwright.artifacts.bundle import read_description
from modelwright.artifacts.drafted import drafted
from modelwright.artifacts.manifest import SIGNATURE_FILES, Manifest, verify_bundle
from modelwright.artifacts.versions import check_versions
from modelwright.errors import InvalidInputError
from modelwright.learners import registry

#: As the registry names models, and in lower case what Kubernetes, systemd and images take.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_WHEEL = re.compile(r"[A-Za-z0-9_.+-]+\.whl")
PORT = 8000
#: User and group inside of the container; no such number is in use on usual systems.
USER_ID = 10001
TOKEN_VARIABLE = "MODELWRIGHT_SERVE_TOKEN"
TOKEN_FILE = "/run/secrets/modelwright_token"
_LIVE = "/v2/health/live"


def write_container(
    folder: Path,
    output: Path,
    *,
    name: str,
    wheel: Path | None = None,
    kubernetes_image: str | None = None,
    unit: bool = False,
) -> list[str]:
    """Write what a container is built from; the folder appears whole or not at all.

    Parameters
    ----------
    folder : Path
        A bundle.
    output : Path
        Must not exist.
    name : str
        Under which the model is served.
    wheel : Path, optional
        A wheel of this package, for when no index has it.
    kubernetes_image : str, optional
        Name of the image, for which ``kubernetes.yaml`` is written too.
    unit : bool, default=False
        Whether a systemd unit is written too.

    Returns
    -------
    list of str
        Names of the files and folders written.

    Raises
    ------
    BundleError
        If the bundle is damaged.
    InvalidInputError
        If the name, the wheel or the output cannot be used, or a package that is needed is not installed here.
    StorageError
        If the folder cannot be written.
    """
    check_name(name)
    if output.exists():
        raise InvalidInputError("There is such a folder already.", where=str(output), mend="Give another name, or remove it.")
    if wheel is not None and not (_WHEEL.fullmatch(wheel.name) and wheel.is_file()):
        raise InvalidInputError("This is no wheel.", where=str(wheel), mend="Give a file such as dist/modelwright-0.1.0-….whl.")
    manifest = verify_bundle(folder)
    algorithms = [member.algorithm for member in read_description(folder).members]
    # What is locked is what is installed, so it must be able to read the bundle.
    check_versions(manifest, algorithms, folder)
    locked = locked_requirements(extras_of(algorithms))
    lines = [f"{package}=={version}" for package, version in locked.items() if wheel is None or package != "modelwright"]
    texts = {
        "Dockerfile": dockerfile(name, "" if wheel is None else wheel.name),
        "requirements.txt": "\n".join(lines) + "\n",
        ".dockerignore": "**\n!bundle\n!requirements.txt\n!*.whl\n",
    }
    if kubernetes_image is not None:
        texts["kubernetes.yaml"] = kubernetes(name, kubernetes_image)
    if unit:
        texts[f"modelwright-{name}.service"] = systemd(name)
    with drafted(output, "folder") as draft:
        draft.mkdir()
        for file, text in texts.items():
            (draft / file).write_text(text, encoding="utf-8")
        if wheel is not None:
            shutil.copyfile(wheel, draft / wheel.name)
        copy_bundle(folder, draft / "bundle", manifest)
    return [*texts, *([] if wheel is None else [wheel.name]), "bundle"]


def dockerfile(name: str, wheel: str = "") -> str:
    """The Dockerfile.

    Parameters
    ----------
    name : str
        Under which the model is served.
    wheel : str, default=""
        File name of a wheel beside it.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    install = f"COPY {wheel} /tmp/\nRUN pip install --no-cache-dir --no-deps /tmp/{wheel}\n" if wheel else ""
    return f"""\
# Build:  docker build -t {name.lower()} .
# Run:    docker run --read-only --tmpfs /tmp -v {name.lower()}:/data -p {PORT}:{PORT} -e {TOKEN_VARIABLE} {name.lower()}
#         The token (20 characters or more) comes from the environment, or from a secret file:
#         append  serve {name}=/bundle --host 0.0.0.0 --home /data --token-file {TOKEN_FILE}
FROM python:{python}-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# LightGBM needs the OpenMP library of the system.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \\
 && groupadd --gid {USER_ID} modelwright && useradd --uid {USER_ID} --gid {USER_ID} --no-create-home modelwright \\
 && install -d -o {USER_ID} -g {USER_ID} -m 0700 /data
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir -r /tmp/requirements.txt
{install}COPY bundle /bundle
RUN chmod -R a=rX /bundle
USER {USER_ID}:{USER_ID}
WORKDIR /data
VOLUME /data
EXPOSE {PORT}
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \\
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:{PORT}{_LIVE}', timeout=2)"]
ENTRYPOINT ["modelwright"]
CMD ["serve", "{name}=/bundle", "--host", "0.0.0.0", "--port", "{PORT}", "--home", "/data"]
"""


def kubernetes(name: str, image: str) -> str:
    """Manifest of a deployment, its service and the volume of its store.

    Parameters
    ----------
    name : str
        Under which the model is served.
    image : str
        Of the container.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/:@-]{0,254}", image):
        raise InvalidInputError("This is no name of an image.", where=image, mend="Write it as registry/name:tag.")
    label = _label(check_name(name))
    ready = (
        f"from urllib.request import Request, urlopen; t = open('{TOKEN_FILE}').readline().strip(); "
        f"urlopen(Request('http://127.0.0.1:{PORT}/v2/health/ready', headers={{'Authorization': 'Bearer ' + t}}), timeout=2)"
    )
    return f"""\
# The token first:  kubectl create secret generic {label}-token --from-literal=token="$(openssl rand -hex 32)"
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {label}
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 5Gi
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {label}
  labels: {{app: {label}}}
spec:
  replicas: 1  # the store is SQLite on one volume; for more, give --store postgresql+psycopg://… and drop the volume
  strategy: {{type: Recreate}}
  selector:
    matchLabels: {{app: {label}}}
  template:
    metadata:
      labels: {{app: {label}}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 40
      securityContext:
        runAsNonRoot: true
        runAsUser: {USER_ID}
        runAsGroup: {USER_ID}
        fsGroup: {USER_ID}
        seccompProfile: {{type: RuntimeDefault}}
      containers:
        - name: model
          image: {image}
          args: [serve, "{name}=/bundle", --host, 0.0.0.0, --port, "{PORT}", --home, /data, --token-file, {TOKEN_FILE},
                 --allow-host, {label}]
          ports:
            - {{name: http, containerPort: {PORT}}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
          resources:
            requests: {{cpu: 500m, memory: 512Mi}}
            limits: {{memory: 2Gi}}
          startupProbe:
            httpGet: {{path: {_LIVE}, port: http}}
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: {{path: {_LIVE}, port: http}}
            periodSeconds: 10
            timeoutSeconds: 3
          readinessProbe:  # needs the token, as every route but the one above
            exec:
              command: [python, -c, "{ready}"]
            periodSeconds: 10
            timeoutSeconds: 5
          volumeMounts:
            - {{name: data, mountPath: /data}}
            - {{name: tmp, mountPath: /tmp}}
            - {{name: token, mountPath: /run/secrets, readOnly: true}}
      volumes:
        - name: data
          persistentVolumeClaim: {{claimName: {label}}}
        - name: tmp
          emptyDir: {{}}
        - name: token
          secret:
            secretName: {label}-token
            defaultMode: 0440
            items: [{{key: token, path: modelwright_token}}]
---
apiVersion: v1
kind: Service
metadata:
  name: {label}
spec:
  selector: {{app: {label}}}
  ports:
    - {{name: http, port: 80, targetPort: http}}
"""


def systemd(name: str) -> str:
    """Unit that serves a model on this machine, without a container.

    Parameters
    ----------
    name : str
        Under which the model is served.
    """
    check_name(name)
    return f"""\
# Place the bundle in /opt/{name}/bundle, an environment with modelwright[serve] in /opt/{name}/venv, and a token of 20
# characters or more in /etc/modelwright/{name}.token (root, 0600). This file: /etc/systemd/system/modelwright-{name}.service
[Unit]
Description=Predictions of {name}
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=/opt/{name}/venv/bin/modelwright serve {name}=/opt/{name}/bundle --port {PORT} --home %S/modelwright-{name} \\
    --token-file %d/token
LoadCredential=token:/etc/modelwright/{name}.token
DynamicUser=yes
StateDirectory=modelwright-{name}
StateDirectoryMode=0700
Restart=on-failure
TimeoutStopSec=40
MemoryMax=2G
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
CapabilityBoundingSet=
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def check_name(name: str) -> str:
    """The name, if a model may have it.

    Parameters
    ----------
    name : str

    Raises
    ------
    InvalidInputError
        If it is none.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} is no name for a model.", where="name", mend="Use letters, digits, '.', '_' and '-', such as churn."
        )
    return name


def extras_of(algorithms: Iterable[str]) -> list[str]:
    """Extras that a server of these members needs."""
    extras = (registry.get(algorithm).algorithm.extra for algorithm in algorithms)
    return ["serve", *dict.fromkeys(extra for extra in extras if extra)]


def locked_requirements(extras: Iterable[str], package: str = "modelwright") -> Mapping[str, str]:
    """A package and all that it needs here, in the versions that are installed, by name.

    Parameters
    ----------
    extras : iterable of str
    package : str, default="modelwright"

    Raises
    ------
    InvalidInputError
        If something that is needed is not installed, so that no version can be written down.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    waiting = [(package, frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise InvalidInputError(
                f"{name} is not installed here, so its version cannot be written down.",
                where="requirements",
                mend=f"pip install 'modelwright[{','.join(extras)}]'",
            ) from None
        # A build such as "2.6.0+cpu" is on no index under that name.
        found[canonicalize_name(name)] = distribution.version.partition("+")[0]
        for text in distribution.requires or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*wanted, "")):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return dict(sorted(found.items()))


def copy_bundle(folder: Path, output: Path, manifest: Manifest) -> None:
    """Copy the files that a manifest lists, with the manifest and the signatures.

    Parameters
    ----------
    folder, output : Path
    manifest : Manifest
    """
    for name in ["manifest.json", *SIGNATURE_FILES, *(entry.path for entry in manifest.files)]:
        if name in SIGNATURE_FILES and not (folder / name).is_file():
            continue
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, output / name)


def _label(name: str) -> str:
    """The name as Kubernetes wants it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50] or "model"
