"""From the words of the command line to what stands where: live models, their shadows and canaries."""

from __future__ import annotations

from dataclasses import dataclass

from modelwright.errors import InvalidInputError
from modelwright.serving.deployments import Deployment, Target, target_of
from modelwright.serving.loading import Loader
from modelwright.serving.settings import Settings


@dataclass(frozen=True)
class Planned:
    """A served name with its references."""

    target: Target
    shadow: Target | None = None
    canary: Target | None = None
    share: float = 0.0


def plan(settings: Settings) -> list[Planned]:
    """What is to be served.

    Raises
    ------
    InvalidInputError
        If two models have one name, or a shadow or canary belongs to none of them.
    """
    targets = [target_of(text) for text in settings.models]
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInputError(f"Two models would be called {name!r}.", where="MODEL", mend="Write NAME=MODEL for one.")
    shadows = {target.name: target for target in map(target_of, settings.shadows)}
    canaries = {}
    for text in settings.canaries:
        reference, _, part = text.rpartition(":")
        canary = target_of(reference or text)
        canaries[canary.name] = (canary, parse_share(part if reference else ""))
    for option, names_given in (("--shadow", list(shadows)), ("--canary", list(canaries))):
        for name in names_given:
            if name not in names:
                raise InvalidInputError(
                    f"{name!r} is not served, so it has no shadow or canary.", where=option, mend=f"Served: {', '.join(names)}."
                )
    planned = []
    for target in targets:
        planned.append(Planned(target, shadows.get(target.name), *canaries.get(target.name, (None, 0.0))))
    return planned


def parse_share(text: str) -> float:
    """A share from "10%" or "0.1".

    Raises
    ------
    InvalidInputError
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise InvalidInputError(f"{text!r} is no share.", where="--canary", mend="Write churn@challenger:10%.")
    return share


def load_all(planned: list[Planned], loader: Loader) -> list[Deployment]:
    """Load every version; any that cannot be loaded is an error."""
    deployments = []
    for each in planned:
        live = loader.load(each.target, loader.find(each.target))
        deployment = Deployment(each.target, live, shadow=each.shadow, canary=each.canary, share=each.share)
        if each.shadow is not None:
            deployment.shadow_served = loader.load(each.shadow, loader.find(each.shadow))
        if each.canary is not None:
            deployment.canary_served = loader.load(each.canary, loader.find(each.canary))
            deployment.canary_share = each.share
        deployments.append(deployment)
    return deployments
