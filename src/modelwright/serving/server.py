"""One server process: models in memory, uvicorn around them, and an orderly end."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelwright.errors import InvalidInputError, MissingExtraError
from modelwright.monitoring.prediction_log import PredictionLog
from modelwright.retraining.processes import Presence, Processes
from modelwright.serving.ahead import Ahead
from modelwright.serving.app import make_app
from modelwright.serving.loading import Loader
from modelwright.serving.logs import Log, ServerMessages
from modelwright.serving.metrics import Metrics, Slots
from modelwright.serving.plans import load_all, plan
from modelwright.serving.protocol import limited_protocol
from modelwright.serving.service import Service
from modelwright.serving.settings import Settings
from modelwright.serving.shadow import Shadow
from modelwright.serving.tokens import Keyring, TokenLine, TokenStore, given_line
from modelwright.serving.watcher import Watcher
from modelwright.store.database import Database, key_of

#: A token may be given here instead of standing in the store: containers have it as a secret.
TOKEN_VARIABLE = "MODELWRIGHT_SERVE_TOKEN"
_SHORTEST = 20


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises
    ------
    InvalidInputError
        If the address cannot be bound.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InvalidInputError(
            f"The address cannot be used: {said}.", where=f"{host}:{port}", mend="Choose another with --host and --port."
        ) from None


def given_tokens(file: Path | None = None) -> list[TokenLine]:
    """Tokens from the environment and from a file, one a line.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or a token is too short to be safe.
    """
    texts = [os.environ.get(TOKEN_VARIABLE, "")]
    if file is not None:
        try:
            texts += file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(
                "The file of tokens cannot be read.", where=str(file), mend="Check path and rights."
            ) from error
    secrets = [text.strip() for text in texts if text.strip()]
    if any(len(secret) < _SHORTEST for secret in secrets):
        raise InvalidInputError(
            f"A token has fewer than {_SHORTEST} characters.", where=str(file or TOKEN_VARIABLE), mend="Use a long random one."
        )
    return [given_line(secret) for secret in secrets]


def run_server(
    settings: Settings,
    listening: socket.socket,
    given: list[TokenLine],
    slots: Slots | None = None,
    ahead: Ahead | None = None,
) -> None:
    """Serve until a signal comes.

    Parameters
    ----------
    settings : Settings
    listening : socket
    given : list of TokenLine
        Tokens that stand in no store.
    slots : Slots or None, default=None
        Where counts are put together, when there are several workers.
    ahead : dict, optional
        Children that try the models already.

    Raises
    ------
    ModelwrightError
        If a model cannot be loaded or the store not be opened.
    """
    begun = time.monotonic()
    # Threads that predict hold the interpreter for a while; the loop that answers must not wait 5 ms for its turn.
    sys.setswitchinterval(0.0005)
    log = Log(requests=settings.log_requests)
    loader = Loader(Path(settings.home), settings.store, Path(settings.features) if settings.features else None, ahead)
    deployments = load_all(plan(settings), loader)
    database = Database.of(Path(settings.home), settings.store)
    prediction_log = None
    if settings.log_predictions:
        prediction_log = PredictionLog(database, capacity=settings.capacity, sample=settings.sample, redact=settings.redact)
    keyring = Keyring([*TokenStore(database).active(), *given]) if settings.auth else None
    service = Service(
        deployments, database, prediction_log=prediction_log, keyring=keyring, log=log,
        metrics=Metrics(slots.mine() if slots else None), limits=settings.limits, policy=settings.policy,
        hosts=frozenset(name.lower() for name in (*settings.hosts, settings.host)), loopback=settings.loopback,
        home=settings.home, store=settings.store,
    )  # fmt: skip
    service.slots = slots
    if any(each.shadow for each in deployments):
        service.shadow = Shadow(prediction_log, service.metrics)
    host, port = listening.getsockname()[:2]
    processes = Processes(database, key_of(Path(settings.home), settings.store))
    name = f"{socket.gethostname()}:{port}/{os.getpid()}"
    presence = Presence(processes, name, "server", f"port {port}: {', '.join(service.deployments)}")
    watcher = Watcher(service, loader, given, settings.watch_s, presence)
    server = _uvicorn(make_app(service), service, settings)
    if prediction_log is not None:
        prediction_log.start()
    presence.tell()
    watcher.start()
    if slots is not None:
        watcher.look()
    gc.freeze()  # what is there now stays: no request waits while it is looked through for garbage
    log.write(
        "ready", host=host, port=port, models={name: one.live.version for name, one in service.deployments.items()},
        auth=settings.auth, seconds=round(time.monotonic() - begun, 2),
    )  # fmt: skip
    try:
        server.run([listening])
    finally:
        watcher.close()
        presence.end()
        service.close()
        if slots is not None:
            watcher.look()
        counts = prediction_log.counts() if prediction_log is not None else None
        log.write("ended", written=counts.written if counts else None, dropped=counts.dropped if counts else None)


def _uvicorn(app: Any, service: Service, settings: Settings) -> Any:
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtraError("uvicorn", "serve") from error

    class Server(uvicorn.Server):
        """Ends in order at the first signal, at once at the second."""

        _ends: float | None = None

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

        def handle_exit(self, sig: int, frame: Any) -> None:
            if self._ends is not None:
                os._exit(130 if sig == signal.SIGINT else 143)
            service.draining = True
            self._ends = time.monotonic() + settings.drain_s

        async def on_tick(self, counter: int) -> bool:
            if self._ends is not None and time.monotonic() >= self._ends:
                self.should_exit = True
            return await super().on_tick(counter)

    messages = logging.getLogger("uvicorn.error")
    messages.handlers, messages.propagate = [ServerMessages(service.log)], False
    messages.setLevel(logging.WARNING)
    return Server(
        uvicorn.Config(
            app, lifespan="off", ws="none", log_config=None, access_log=False, server_header=False, proxy_headers=False,
            http=limited_protocol(settings.limits), timeout_keep_alive=int(settings.limits.idle_s),
            timeout_graceful_shutdown=int(settings.grace_s),
        )
    )  # fmt: skip
