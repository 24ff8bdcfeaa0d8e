"""Damaged bundles are refused before a parser sees them; hostile ones execute nothing, whatever their files are called."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from modelwright.artifacts.bundle import Manifest, load_bundle, write_bundle
from modelwright.artifacts.manifest import MANIFEST_FILE, write_manifest
from modelwright.artifacts.model import Member, Model
from modelwright.artifacts.probe import probe_bundle
from modelwright.errors import BundleError, ModelwrightError
from modelwright.features.encoder import Encoder
from modelwright.learners import registry
from modelwright.tables.conform import conform
from modelwright.tables.types import infer_schema

SOURCE = Path(__file__).parents[2] / "src" / "modelwright"
NATIVE = ("lightgbm", "catboost", "xgboost", "network")
KINDS = (*NATIVE, "linear", "random_forest", "svm")


def _flipped(content: bytes) -> bytes:
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 4
    return bytes(damaged)


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda content: None,
    "empty": lambda content: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "one bit flipped": _flipped,
    "a byte more": lambda content: content + b"\n",
    "overwritten with zeros": lambda content: bytes(len(content)),
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One bundle for each format there is, without a search."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.normal(size=120), "b": rng.choice(["x", "y", "z"], 120), "y": rng.random(120) < 0.5})
    schema = infer_schema(frame.drop("y"), target=None)
    rows, _ = conform(frame, schema, columns=schema.features)
    encoder = Encoder.fit(rows, schema)
    y = frame["y"].cast(pl.Int64).to_numpy()
    found = {}
    for kind in KINDS:
        learner = registry.create(kind, {}, task="binary", n_classes=2)
        learner.fit(encoder.transform(rows), y, time_limit_s=1.0)
        model = Model(
            task="binary",
            target="y",
            classes=[False, True],
            schema=schema,
            encoders=[encoder],
            members=[Member(learner, 1.0, 0)],
        )
        found[kind] = tmp_path_factory.mktemp(kind) / "model"
        write_bundle(model, found[kind], libraries={}, lineage={})
    return found


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["trained", *KINDS])
def test_each_damaged_file_is_refused(kind: str, damage: str, bundle: Path, bundles: dict[str, Path], tmp_path: Path) -> None:
    source = bundle if kind == "trained" else bundles[kind]
    for number, name in enumerate(_names(source)):
        copy = Path(shutil.copytree(source, tmp_path / str(number)))
        damaged = DAMAGES[damage]((copy / name).read_bytes())
        (copy / name).unlink()
        if damaged is not None:
            (copy / name).write_bytes(damaged)
        with pytest.raises(BundleError) as caught:
            load_bundle(copy)
        assert caught.value.mend, name


def test_every_single_bit_of_the_manifest_counts(bundles: dict[str, Path], tmp_path: Path) -> None:
    from modelwright.artifacts.manifest import read_manifest

    content = (bundles["linear"] / MANIFEST_FILE).read_bytes()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << (at % 8)
        (tmp_path / MANIFEST_FILE).write_bytes(changed)
        with pytest.raises(BundleError):
            read_manifest(tmp_path)


def test_links_in_a_bundle_are_refused(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "model"))
    (copy / "schema.json").unlink()
    (copy / "schema.json").symlink_to(bundle / "schema.json")
    with pytest.raises(BundleError, match="regular files only"):
        load_bundle(copy)


# --- bombs -----------------------------------------------------------------------------------------------------------


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def _bombs(path: Path) -> dict[str, bytes]:
    """A pickle that leaves a file behind when it is opened, in every form in which models are pickled."""
    plain = {f"pickle protocol {p}": pickle.dumps(_Bomb(path), protocol=p) for p in (0, 2, 4)}
    cells = np.empty(1, dtype=object)
    cells[0] = _Bomb(path)
    array, arrays, torch = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(array, cells, allow_pickle=True)
    names = ("x", "scores", "starts", "scale", "coef", "weights", "levels")
    np.savez(arrays, **dict.fromkeys(names, cells))  # type: ignore[arg-type]
    with zipfile.ZipFile(torch, "w") as archive:
        archive.writestr("archive/data.pkl", plain["pickle protocol 2"])
        archive.writestr("archive/version", "3\n")
    return plain | {"object array": array.getvalue(), "object arrays": arrays.getvalue(), "torch archive": torch.getvalue()}


def _sealed_again(folder: Path) -> None:
    """What an attacker can do: digests that fit."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).unlink()
    write_manifest(folder, libraries=manifest["libraries"], lineage=manifest["lineage"])


def test_the_bombs_go_off_where_pickles_are_opened(tmp_path: Path) -> None:
    for name, content in _bombs(tmp_path / "out").items():
        if name.startswith("pickle"):
            pickle.loads(content)
            assert (tmp_path / "out").exists()
            (tmp_path / "out").unlink()


_TRY = """
import sys
from pathlib import Path
from modelwright.artifacts.bundle import load_bundle
from modelwright.errors import ModelwrightError
opened = []
sys.addaudithook(lambda event, given: opened.append(given) if event == "pickle.find_class" else None)
for folder in sys.argv[1:]:
    print(folder, flush=True)
    try:
        load_bundle(Path(folder))
    except ModelwrightError:
        continue
    print("LOADED", folder)
print("PICKLES", len(opened))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_under_the_name_of_any_file_is_refused_and_does_not_go_off(
    kind: str, bundles: dict[str, Path], tmp_path: Path
) -> None:
    mark = tmp_path / "exploded"
    folders = []
    for bomb, content in _bombs(mark).items():
        for name in _names(bundles[kind]):
            if name == MANIFEST_FILE:
                continue
            folder = Path(shutil.copytree(bundles[kind], tmp_path / f"{len(folders)}"))
            (folder / name).write_bytes(content)
            _sealed_again(folder)
            folders.append((folder, bomb, name))
    done = subprocess.run(
        [sys.executable, "-c", _TRY, *(str(folder) for folder, _, _ in folders)], capture_output=True, text=True, check=False
    )
    assert not mark.exists()
    assert done.stdout.splitlines()[-1:] == ["PICKLES 0"], done.stdout[-300:] + done.stderr[-2000:]
    assert "LOADED" not in done.stdout


@pytest.mark.parametrize(
    "extension",
    ["pkl", "pickle", "joblib", "dill", "pt", "pth", "ckpt", "bin", "npy", "npz", "h5", "skops", "sav", "model", "py", "so"],
)
def test_no_file_of_any_other_extension_is_taken_along(extension: str, bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "model"))
    (copy / "members" / "0" / f"extra.{extension}").write_bytes(_bombs(tmp_path / "out")["pickle protocol 4"])
    with pytest.raises(BundleError, match="not in the manifest"):
        load_bundle(copy)
    _sealed_again(copy)  # even one that is listed is only compared, never opened
    load_bundle(copy)
    assert not (tmp_path / "out").exists()


_CLEAN = """
import sys
from pathlib import Path
from modelwright.artifacts.bundle import load_bundle
opened = []
sys.addaudithook(lambda event, given: opened.append(given) if event == "pickle.find_class" else None)
for folder in sys.argv[1:]:
    model = load_bundle(Path(folder))
    model.predict([{"a": 0.5, "b": "x"}, {"a": None, "b": "q"}])
    model.predict_one({"a": 0.5, "b": "x"})
print(len(opened), "dill" in sys.modules, "skops" in sys.modules)
"""


def test_nothing_is_unpickled_while_bundles_of_every_format_are_loaded_and_asked(bundles: dict[str, Path]) -> None:
    command = [sys.executable, "-c", _CLEAN, *(str(bundles[kind]) for kind in KINDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False", "False"]


# --- the import graph ------------------------------------------------------------------------------------------------

_FORBIDDEN = {"pickle", "_pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal", "skops"}


def _reached(starts: list[str]) -> dict[str, ast.Module]:
    """Our modules that some modules import, at their head or inside functions, and theirs; the root package is lazy."""
    trees: dict[str, ast.Module] = {}
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        path = SOURCE.parent / (name.replace(".", "/") + ".py")
        path = path if path.is_file() else SOURCE.parent / name.replace(".", "/") / "__init__.py"
        if name in trees or name == "modelwright" or not path.is_file():
            continue
        trees[name] = ast.parse(path.read_text())
        for imported in _imports(trees[name]):
            if imported.startswith("modelwright."):
                waiting += [imported, imported.rpartition(".")[0]]
    return trees


def _imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.fixture(scope="module")
def loader() -> dict[str, ast.Module]:
    """What loading reaches: the bundle, and the learners, which the registry names in a table."""
    learners = [name.partition(":")[0] for name in registry.LEARNERS.values()]
    return _reached(["modelwright.artifacts.bundle", "modelwright.artifacts.probe", *learners])


def test_no_module_that_loading_reaches_imports_a_pickler(loader: dict[str, ast.Module]) -> None:
    assert {"modelwright.learners.lightgbm", "modelwright.features.encoder", "modelwright.artifacts.golden"} <= set(loader)
    for name, tree in loader.items():
        assert not {each.partition(".")[0] for each in _imports(tree)} & _FORBIDDEN, name


def test_no_module_that_loading_reaches_opens_arrays_or_tensors_in_another_way(loader: dict[str, ast.Module]) -> None:
    for name, tree in loader.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("np.load", "numpy.load"):
                options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert options.get("allow_pickle") == "False", name
            assert called not in ("torch.load", "torch.jit.load", "yaml.load", "eval", "exec", "np.fromfile"), name


# --- a child process -------------------------------------------------------------------------------------------------


def test_a_good_bundle_passes_the_probe_and_a_wrong_prediction_does_not(bundle: Path, tmp_path: Path) -> None:
    probe_bundle(bundle)
    copy = Path(shutil.copytree(bundle, tmp_path / "model"))
    golden = json.loads((copy / "golden.json").read_text())
    golden["raw"][0][0] = golden["raw"][0][0] / 2
    (copy / "golden.json").write_text(json.dumps(golden))
    _sealed_again(copy)
    with pytest.raises(BundleError, match="another prediction"):
        probe_bundle(copy)


def test_a_parser_that_dies_takes_only_the_child_along(bundles: dict[str, Path], tmp_path: Path) -> None:
    """A cut LightGBM text with digests that fit ends the process that reads it, or is refused by name; we go on."""
    refused = set()
    for number, share in enumerate((0.3, 0.6, 0.9)):
        copy = Path(shutil.copytree(bundles["lightgbm"], tmp_path / str(number)))
        path = next(path for path in copy.glob("members/0/*") if path.suffix == ".txt")
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        _sealed_again(copy)
        with pytest.raises(ModelwrightError) as caught:
            probe_bundle(copy)
        refused.add(caught.value.what)
    assert refused


def test_a_load_that_takes_too_long_or_too_much_is_ended(bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"longer than 0\.01 s"):
        probe_bundle(bundle, timeout_s=0.01)
    if sys.platform == "linux":
        with pytest.raises(BundleError, match=r"memory|was ended|without an answer|makes no sense"):
            probe_bundle(bundle, memory_bytes=20_000_000)


def test_a_digest_is_stored_for_each_file(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST_FILE).read_text())
    for entry in manifest["files"]:
        assert hashlib.sha256((bundle / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]
    assert set(manifest) == set(Manifest.__struct_fields__)
