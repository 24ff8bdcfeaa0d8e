"""The thread that watches aliases and tokens, and brings what changed into the running server.

A version is loaded, verified and replayed here, beside the requests; only then one assignment makes it live. A version
that fails is remembered by its digest and refused until the reference leads elsewhere.
"""

from __future__ import annotations

import threading
from pathlib import Path

from modelwright.errors import ModelwrightError
from modelwright.registry.files import MODELS
from modelwright.registry.names import CHAMPION, is_reference, read_reference
from modelwright.registry.registry import Registry
from modelwright.registry.releases import Release
from modelwright.retraining.processes import Presence
from modelwright.serving.deployments import Deployment, Served, Target
from modelwright.serving.loading import Loader
from modelwright.serving.service import Service
from modelwright.serving.shadow import Shadow
from modelwright.serving.tokens import Keyring, TokenLine, TokenStore


class Watcher:
    """Looks for changes every few moments.

    Parameters
    ----------
    service : Service
    loader : Loader
    given : list of TokenLine
        Tokens that stand in no store.
    every_s : float
    presence : Presence or None, default=None
        Who tells that this server lives.
    """

    def __init__(
        self,
        service: Service,
        loader: Loader,
        given: list[TokenLine],
        every_s: float,
        presence: Presence | None = None,
    ) -> None:
        self._presence = presence
        self._service, self._loader, self._given, self._every_s = service, loader, given, every_s
        self._tokens: list[TokenLine] | None = None
        self._unreachable = False
        self._registry: Registry | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more; a load under way is not waited for."""
        self._ending.set()

    def look(self) -> None:
        """Look once at everything."""
        if self._presence is not None:
            self._presence.tell()
        try:
            self._look_at_tokens()
            for deployment in self._service.deployments.values():
                self._look_at(deployment)
            self._unreachable = False
        except ModelwrightError as error:
            if not self._unreachable:  # once, not every second
                self._service.log.write("store not readable", error=type(error).__name__)
            self._unreachable = True
        if self._service.slots is not None:
            from modelwright.serving.about import service_gauges

            service_gauges(self._service)
            self._service.slots.keep(self._service.metrics.copy())

    def _work(self) -> None:
        while not self._ending.wait(self._every_s):
            try:
                self.look()
            except Exception as error:  # a fault here must not end the watch
                self._service.log.write("failure", place="watcher", error=type(error).__name__)

    def _look_at_tokens(self) -> None:
        if not self._service.auth:
            return
        lines = TokenStore(self._service.database).active()
        if lines != self._tokens:
            self._tokens = lines
            self._service.keyring = Keyring([*lines, *self._given])

    def _look_at(self, one: Deployment) -> None:
        release = self._release_of(one)
        stage = "" if release is None else release.stage
        live = self._changed(one, one.target, one.live)
        if live is not None:
            one.before, one.live = one.live, live
        elif stage != "watch":
            one.before = None
        challenger = None if release is None else Target(one.target.name, f"{release.name}/{release.number}")
        self._look_at_shadow(one, challenger if stage == "shadow" else one.shadow)
        if release is not None and stage == "canary":
            self._look_at_canary(one, challenger, release.share)
        else:
            self._look_at_canary(one, one.canary, one.share)

    def _look_at_shadow(self, one: Deployment, wanted: Target | None) -> None:
        if wanted is None:
            one.shadow_served = None
            return
        if self._service.shadow is None:
            self._service.shadow = Shadow(self._service.prediction_log, self._service.metrics)
        one.shadow_served = self._changed(one, wanted, one.shadow_served) or one.shadow_served

    def _look_at_canary(self, one: Deployment, wanted: Target | None, share: float) -> None:
        if wanted is None:
            one.canary_served = None
            return
        served = self._changed(one, wanted, one.canary_served)
        if served is not None or share != one.canary_share:
            held, one.canary_served = one.canary_served, None  # no request meets the old canary with the new share
            one.canary_share = share
            one.canary_served = served or held

    def _release_of(self, one: Deployment) -> Release | None:
        """The release in flight of the model whose champion is served."""
        reference = one.target.reference
        if is_reference(reference):
            wanted = read_reference(reference)
            name = wanted.name if wanted.alias == CHAMPION else None
        else:  # the name alone means the champion, where it led to the folder of a version
            led = one.live.folder.parent == (self._loader.home / MODELS / reference).resolve()
            name = reference if led and not Path(reference).exists() else None
        if name is None:
            return None
        if self._registry is None:
            self._registry = Registry(self._loader.home, self._loader.store)
        return self._registry.in_flight(name)

    def _changed(self, one: Deployment, target: Target, held: Served | None) -> Served | None:
        """The version that the reference leads to now, ready; None if it is the held one, or is refused."""
        try:
            found = self._loader.find(target)
        except ModelwrightError as error:
            self._refuse(one, target, "", error)
            return None
        if held is not None and (found.digest, found.version) == (held.digest, held.version):
            return None
        if found.digest in one.refused:
            return None
        for each in (one.live, one.canary_served, one.shadow_served, one.before):
            if each is not None and (found.digest, found.version) == (each.digest, each.version):
                return self._told(one, each, held)
        try:
            served = self._loader.load(target, found)
        except Exception as error:  # whatever a damaged model does, the old one goes on
            self._refuse(one, target, found.digest, error)
            return None
        return self._told(one, served, held)

    def _told(self, one: Deployment, served: Served, held: Served | None) -> Served:
        self._service.metrics.count("modelwright_swaps_total", one.target.name, "done")
        self._service.log.write("swap", model=one.target.name, version=served.version, before=held.version if held else None)
        return served

    def _refuse(self, one: Deployment, target: Target, digest: str, error: Exception) -> None:
        reason = error.what if isinstance(error, ModelwrightError) else type(error).__name__
        if one.refused.get(digest) == reason:
            return
        one.refused[digest] = reason
        self._service.metrics.count("modelwright_swaps_total", one.target.name, "refused")
        self._service.log.write("swap refused", model=one.target.name, reference=target.reference, reason=reason)
