"""Where a command looks for runs: as given, else as modelwright.toml of the working folder says."""

from __future__ import annotations

from pathlib import Path


def home_and_store(home: str | None, store: str | None = None) -> tuple[Path, str | None]:
    """Folder of the runs and URL of their store.

    Parameters
    ----------
    home, store : str or None
        As given on the command line; what is given wins. A store of the file belongs to the home of the file.
    """
    import msgspec

    from modelwright.spec import DEFAULT_HOME, FILE_NAME

    try:
        given = msgspec.toml.decode(Path(FILE_NAME).read_bytes(), type=dict)
    except (OSError, msgspec.MsgspecError, ValueError):
        given = {}  # absent, or wrong: commands that need the file say what is wrong with it
    named, url = given.get("home"), given.get("store")
    place = home or (named if isinstance(named, str) and named else DEFAULT_HOME)
    same = home is None or Path(home).resolve() == Path(named if isinstance(named, str) and named else DEFAULT_HOME).resolve()
    if store is None and same and isinstance(url, str) and url:
        store = url
    return Path(place), store
