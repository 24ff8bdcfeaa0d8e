"""What is served: named models, each with a live version, and perhaps a shadow and a canary.

A version in use is one value; a request takes it once and answers with it to the end, so no answer mixes two.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.serving.decoding import Row
from modelwright.serving.scoring import Scorer

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Served:
    """One version of a model, loaded and ready.

    Attributes
    ----------
    name, version : str
    digest : str
        SHA-256 of its manifest.
    folder : Path
    scorer : Scorer
    """

    name: str
    version: str
    digest: str
    folder: Path
    scorer: Scorer


@dataclass(frozen=True)
class Target:
    """What was asked to be served: a reference to the registry or a path, under a name.

    Attributes
    ----------
    name : str
        In addresses.
    reference : str
        ``churn@champion``, ``churn/7``, a path, or a run.
    """

    name: str
    reference: str


@dataclass
class Deployment:
    """A served name. Its versions are replaced as a whole, by one assignment.

    Attributes
    ----------
    target : Target
    live : Served
    shadow, canary : Target or None
        Further versions that were asked for when the server began.
    share : float
        Of the rows that this canary answers, in [0, 1].
    shadow_served, canary_served : Served or None
        What is there now: a release of the registry goes before what was asked for.
    canary_share : float
        Of the rows that the canary answers now.
    before : Served or None
        The version that was live before, kept while a release is watched, so that going back loads nothing.
    """

    target: Target
    live: Served
    shadow: Target | None = None
    canary: Target | None = None
    share: float = 0.0
    shadow_served: Served | None = None
    canary_served: Served | None = None
    canary_share: float = 0.0
    before: Served | None = None
    refused: dict[str, str] = field(default_factory=dict)

    def chosen(self, rows: list[Row], ids: list[str] | None) -> tuple[Served, str]:
        """The version that answers a request, and its part: "live" or "canary".

        One request has one answer of one version; who sends several rows is told apart by the first.
        """
        canary = self.canary_served
        if canary is not None and stable_share(ids[0] if ids else rows[0]) < self.canary_share:
            return canary, "canary"
        return self.live, "live"


def stable_share(entity: str | Row) -> float:
    """A number in [0, 1) that is always the same for the same entity, or for the same row in any order of its columns.

    Parameters
    ----------
    entity : str or dict

    Examples
    --------
    >>> stable_share({"a": 1, "b": None}) == stable_share({"b": None, "a": 1})
    True
    """
    seen = entity.encode() if isinstance(entity, str) else msgspec.json.encode(sorted(entity.items()))
    return int.from_bytes(hashlib.blake2b(seen, digest_size=8).digest(), "big") / 2**64


def target_of(text: str) -> Target:
    """``churn@champion``, ``churn/7``, ``PATH``, ``RUN`` or ``NAME=REFERENCE``.

    Parameters
    ----------
    text : str

    Raises
    ------
    InvalidInputError
        If no name can be made of it.
    """
    name, equals, reference = text.partition("=")
    if equals:
        if not NAME.fullmatch(name):
            raise InvalidInputError(f"{name!r} is no name of a model.", where="MODEL", mend="Use letters, digits, . _ and -.")
        return Target(name, reference)
    path = Path(text)
    if path.is_dir():
        path = path.resolve()
        name = path.parent.name if path.name == "model" else path.name
    else:
        name = (
            re.split("[@/]", text)[0] if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*([@/][A-Za-z0-9._-]+)?", text) else path.name
        )
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:100]
    if not NAME.fullmatch(name):
        raise InvalidInputError(f"{text!r} gives no name to serve it under.", where="MODEL", mend="Write NAME=MODEL.")
    return Target(name, text)
