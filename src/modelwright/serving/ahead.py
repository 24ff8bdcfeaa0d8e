"""Children that try what is to be served, begun before the server imports what it is made of: the two take as long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelwright.artifacts.tried import Begun, begin_once
from modelwright.errors import ModelwrightError
from modelwright.registry.find import find_bundle
from modelwright.serving.settings import Settings

#: Children by the folder that they try.
Ahead = dict[Path, Begun]


@contextmanager
def tried_ahead(settings: Settings) -> Iterator[Ahead]:
    """Begin to try the models of a server that no child has tried before; those that nobody waited for are ended.

    Parameters
    ----------
    settings : Settings
        With several worker processes nothing is begun: each of them loads by itself.
    """
    home, begun = Path(settings.home), Ahead()
    try:
        for text in settings.models if settings.workers == 1 else ():
            try:
                folder = find_bundle(text.partition("=")[2] or text, home, settings.store).resolve()
                child = begin_once(folder, home, features=settings.features)
            except ModelwrightError:
                continue  # told when it is loaded
            if child is not None:
                begun[folder] = child
        yield begun
    finally:
        for child in begun.values():
            child.probe.close()
