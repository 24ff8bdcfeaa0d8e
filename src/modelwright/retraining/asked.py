"""What a model is trained by, and its policy: from ``modelwright.toml``, else from the run that the champion comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.errors import InvalidInputError
from modelwright.masking import MASK
from modelwright.registry.names import CHAMPION
from modelwright.registry.registry import Registry
from modelwright.retraining.policy import Policy
from modelwright.spec import FILE_NAME, Spec, resolve_spec

if TYPE_CHECKING:
    from modelwright.retraining.children import Work

#: The tag by which a run says which retraining it is of.
RETRAINING = "retraining"


class Asked(msgspec.Struct, frozen=True):
    """Spec and policy of a model, and where they were found."""

    spec: Spec
    policy: Policy
    origin: str


def asked_of(model: str, home: Path, store: str | None, *, artifacts: str | None = None, file: Path | None = None) -> Asked:
    """How a model is trained, and when.

    Parameters
    ----------
    model : str
    home : Path
    store, artifacts : str or None
    file : Path, optional
        A ``modelwright.toml``; by default that of the working folder. One whose policy is of another model, or that has
        none, says nothing of this model.

    Raises
    ------
    InvalidInputError
        If neither the file nor the champion says where the rows are.
    """
    from modelwright.retraining.policy_file import find_policy

    path = Path(FILE_NAME) if file is None else file
    if path.is_file():
        spec = resolve_spec(path, {})
        policy = find_policy(path, spec)
        if policy is not None and policy.model == model and spec.data is not None:
            return Asked(_absolute(spec), policy, str(path.resolve()))
    return Asked(_spec_of_champion(model, home, store, artifacts), Policy(model), f"{model}@{CHAMPION}")


def training_spec(work: Work) -> Spec:
    """What the training of a retraining is asked: as ever, but with the rows that were written down."""
    spec = msgspec.convert(work.given["snapshot"]["spec"], Spec, strict=False)
    return msgspec.structs.replace(
        spec, data=rows_of(work), query=None, name=work.retraining, home=work.home, store=work.store,
        artifacts=None, purpose=f"retraining: {work.trigger.cause}", note=work.trigger.reason,
        tags={**spec.tags, "model": work.model, RETRAINING: work.retraining, "cause": work.trigger.cause},
    )  # fmt: skip


def rows_of(work: Work) -> str:
    """Where the rows of a retraining lie: in the home, else, on another machine, where they are published."""
    taken = work.given["snapshot"]
    return str(taken["path"] if Path(taken["path"]).is_file() else taken["shared"])


def policy_of_work(work: Work) -> Policy:
    """The policy as it stood when the rows were written down."""
    held = work.given.get("snapshot", {}).get("policy")
    if held is not None:
        return msgspec.convert(held, Policy)
    return asked_of(work.model, Path(work.home), work.store, artifacts=work.artifacts, file=_file_of(work.given)).policy


def asked_of_work(work: Work) -> Asked:
    """`asked_of` for a step."""
    return asked_of(work.model, Path(work.home), work.store, artifacts=work.artifacts, file=_file_of(work.given))


def _file_of(given: dict[str, Any]) -> Path | None:
    named = given.get("options", {}).get("file")
    return Path(named) if named else None


def _absolute(spec: Spec) -> Spec:
    """The same with paths that mean the same from every folder."""

    def whole(value: Any) -> Any:
        if not isinstance(value, str) or "://" in value or value == "none" or value.startswith("sqlite:"):
            return value
        return str(Path(value).absolute())

    features = spec.features
    if isinstance(features, str):
        features = whole(features)
    return msgspec.structs.replace(spec, data=whole(spec.data), evaluation=whole(spec.evaluation), features=features)


def _spec_of_champion(model: str, home: Path, store: str | None, artifacts: str | None) -> Spec:
    """What the champion was asked to be, with the rows as they were named before a retraining wrote them down."""
    from modelwright.retraining.requests import Retrainings
    from modelwright.runs.remote import bring

    version = Registry(home, store).resolve(f"{model}@{CHAMPION}")
    mend = f"Say how it is trained in {FILE_NAME}, with a section [policy] that names the model."
    if not version.run:
        raise InvalidInputError(f"It is not known how {version} was trained.", where=str(version), mend=mend)
    bring([version.run], home, artifacts)
    record = home / "runs" / version.run / "run.json"
    try:
        plain = msgspec.json.decode(record.read_bytes())["spec"]
    except OSError as error:
        raise InvalidInputError(f"The run that {version} comes from is gone.", where=str(record.parent), mend=mend) from error
    earlier = plain.get("tags", {}).get(RETRAINING)
    if earlier:
        made = {line.step: line.made for line in Retrainings(home, store).steps(earlier)}.get("snapshot")
        plain = made["spec"] if made else plain
    spec = msgspec.convert(plain, Spec, strict=False)
    if MASK in str(spec.data) or " in memory" in str(spec.data):
        raise InvalidInputError(
            f"The rows that {version} was trained on cannot be read again: {spec.data}.", where=str(version),
            mend=f"{mend} Passwords stand there as ${{VARIABLE}}.",
        )  # fmt: skip
    if isinstance(spec.data, str) and "://" not in spec.data and not Path(spec.data).exists():
        # A relative path is as seen from where the training ran; most often that is where the home lies.
        beside = home.resolve().parent / spec.data
        spec = msgspec.structs.replace(spec, data=str(beside) if beside.exists() else spec.data)
    return _absolute(spec)
