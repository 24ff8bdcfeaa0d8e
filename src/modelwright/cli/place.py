"""Where a command looks for runs: as given, else as modelwright.toml of the working folder says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

#: Words that mean the home itself, where an address was given before.
LOCAL = "local"


class Place(NamedTuple):
    """Where the runs of a command lie: folder, URL of the database, address where they are published."""

    home: Path
    store: str | None
    artifacts: str | None


def home_and_store(home: str | None, store: str | None = None) -> tuple[Path, str | None]:
    """Folder of the runs and URL of their store; see `place_of`."""
    place = place_of(home, store)
    return place.home, place.store


def home_with(runs: Iterable[str], home: str | None, artifacts: str | None) -> Path:
    """Folder of the runs, in which those that are named lie now, copied from where they are published.

    Parameters
    ----------
    runs : iterable of str
        Runs or models, as a command was given them.
    home, artifacts : str or None
        As for `place_of`.
    """
    place = place_of(home, None, artifacts)
    if place.artifacts is not None:
        from modelwright.registry.bringing import bring_models

        bring_models(runs, place.home, place.store, place.artifacts)
    return place.home


def place_of(home: str | None, store: str | None = None, artifacts: str | None = None) -> Place:
    """Folder of the runs, URL of their store, and where they are published.

    Parameters
    ----------
    home, store, artifacts : str or None
        As given on the command line; what is given wins. A store and artifacts of the file belong to the home of the file.
    """
    import msgspec

    from modelwright.spec import DEFAULT_HOME, FILE_NAME

    try:
        given = msgspec.toml.decode(Path(FILE_NAME).read_bytes(), type=dict)
    except (OSError, msgspec.MsgspecError, ValueError):
        given = {}  # absent, or wrong: commands that need the file say what is wrong with it
    named = given.get("home")
    place = home or (named if isinstance(named, str) and named else DEFAULT_HOME)
    same = home is None or Path(home).resolve() == Path(named if isinstance(named, str) and named else DEFAULT_HOME).resolve()

    def of_file(key: str) -> str | None:
        value = given.get(key)
        return value if same and isinstance(value, str) and value else None

    return Place(Path(place), store or of_file("store"), artifacts or of_file("artifacts"))
