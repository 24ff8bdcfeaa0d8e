"""A Python function of the user that derives columns: where it lies, and that it is the one that was trained with.

The file is never part of a model. A model keeps its path, the name of the function and the SHA-256 of the file; whoever
predicts must have the file, and its digest is compared before a line of it runs. Only that one file is compared, so
what the function needs should stand in it.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import polars as pl

from modelwright.errors import BundleError, ModelwrightError, SpecError

Function = Callable[[pl.DataFrame], pl.DataFrame]


class FunctionRef(msgspec.Struct, frozen=True):
    """Where a function lies: ``path`` is relative to the working folder, or the mere file name outside of it."""

    path: str
    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.path}:{self.name}"


def find_function(text: str) -> tuple[FunctionRef, Function]:
    """The function that a text such as "features.py:add" names.

    Raises
    ------
    SpecError
        If the file or the function does not exist, or the file cannot be run.
    """
    given, _, name = text.rpartition(":")
    path = Path(given)
    content = _content(path, SpecError("There is no such file.", where=f"features, {given}", mend="Give the path of the file."))
    here = path.resolve()
    shown = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else Path(path.name)
    ref = FunctionRef(shown.as_posix(), name, hashlib.sha256(content).hexdigest())
    return ref, _function(content, path, name, SpecError)


def find_again(ref: FunctionRef, given: str | Path | None, bundle: Path | None) -> Function:
    """The function that a model was trained with.

    Parameters
    ----------
    ref : FunctionRef
        What the model keeps.
    given : str, Path or None
        Where the file lies now ("file.py" or "file.py:function"); None looks at the kept path, from the working folder.
    bundle : Path or None
        Folder of the model; nothing that lies in it is run.

    Raises
    ------
    BundleError
        If the file is not found, is another one, or lies inside the model folder.
    """
    text = ref.path if given is None else str(given).removesuffix(f":{ref.name}")
    path, where = Path(text), f"features, {text}"
    mend = f'Give the file that the model was trained with: load(..., features="path/to/{Path(ref.path).name}").'
    if given is None and (path.is_absolute() or ".." in path.parts):
        raise BundleError("The model names a file outside of the working folder.", where=where, mend=mend)
    if bundle is not None and path.resolve().is_relative_to(bundle.resolve()):
        raise BundleError("Nothing in a model folder is run.", where=where, mend=mend)
    content = _content(path, BundleError(f"The file of the function {ref.name!r} is not there.", where=where, mend=mend))
    digest = hashlib.sha256(content).hexdigest()
    if digest != ref.sha256:
        raise BundleError(
            f"The file was changed since the model was trained (SHA-256 {digest[:12]}…, expected {ref.sha256[:12]}…).",
            where=where,
            mend="Bring back the file as it was, or train again.",
        )
    return _function(content, path, ref.name, BundleError)


class _FromText(importlib.abc.InspectLoader):
    """Runs the very bytes whose digest was taken; the file may change meanwhile."""

    def __init__(self, content: bytes, path: Path) -> None:
        self._content = content
        self._path = path

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._content)

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        return self.source_to_code(self._content, str(self._path))


def _content(path: Path, absent: ModelwrightError) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise absent from error


def _function(content: bytes, path: Path, name: str, kind: type[ModelwrightError]) -> Function:
    where = f"features, {path.name}"
    # Dataclasses look their module up by name, so it is listed; the digest in the name keeps versions apart.
    module_name = f"modelwright_features_{hashlib.sha256(content).hexdigest()[:16]}"
    spec = importlib.util.spec_from_loader(module_name, _FromText(content, path), origin=str(path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise kind(
            f"The file cannot be run: {type(error).__name__}: {error}.",
            where=where,
            mend="Correct it; modules of your own that lie beside it are not found, so keep all in this file.",
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        own = (key for key, value in vars(module).items() if getattr(value, "__module__", None) == module_name)
        there = ", ".join(key for key in own if not key.startswith("_"))
        raise kind(f"There is no function {name!r}.", where=where, mend=f"There are: {there}." if there else "Write one.")
    found: Function = function
    return found
