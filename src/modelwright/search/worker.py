"""One worker process: reads a job a line, does it with one thread, answers a line.

Forked from a process that has the libraries (`search.forks`), or run as ``python -m modelwright.search.worker MODULE...``,
which imports the modules while it waits. A plain process rather than a multiprocessing pool: it can be killed at any moment
without harm, needs no ``__main__`` guard in the user's script, and nothing is pickled. It ends itself when its standard input
closes, so that a killed parent leaves no orphan behind.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import queue
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelwright.features.matrix import Matrix
from modelwright.learners.base import Curve, Learner, Validation
from modelwright.learners.lean_import import library, own_process
from modelwright.search.jobs import Done, Fit, Job, Prepare
from modelwright.search.journal import digests

#: Bytes free from which a disk does not count as full.
_SOME_SPACE = 1 << 16


def main(libraries: Sequence[str]) -> None:
    """Serve jobs until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the parent, which decides
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # libraries that print must not disturb the protocol
    inbox: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(inbox,), daemon=True).start()
    warnings.simplefilter("ignore")
    _warm_up(inbox, libraries)
    decoder = msgspec.json.Decoder(Job)
    held_mb = _memory_mb("RssAnon")
    while True:
        job = decoder.decode(inbox.get())
        _reset_peak_memory()
        done = msgspec.structs.replace(_whole(job), peak_memory_mb=_peak_memory_mb())
        _give_memory_back()
        done = msgspec.structs.replace(done, kept_memory_mb=max(0.0, _memory_mb("RssAnon") - held_mb))
        answers.write(msgspec.json.encode(done) + b"\n")


def _whole(job: Job) -> Done:
    """Do a job beside its place and rename its outputs in, so that they are there whole or not at all."""
    out = Path(job.out)
    part = out.with_name(f"{out.name}.part{os.getpid()}")
    beside = msgspec.structs.replace(job, out=str(part))
    try:
        done = prepare(beside) if isinstance(beside, Prepare) else fit(beside)
        if _is_full(part):  # not every library says so when a write fails
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = msgspec.structs.replace(done, outputs=digests(part))
        if out.exists():
            shutil.rmtree(out)
        os.rename(part, out)
        return done
    except MemoryError:
        return Done(error="out of memory", detail=traceback.format_exc())
    except Exception as error:  # a failing trial is recorded and the search goes on
        no_space = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        ended = "disk" if no_space or _is_full(part) else ""
        return Done(error=_one_line(error), detail=traceback.format_exc(), ended=ended)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_full(path: Path) -> bool:
    """Whether the disk that a path is to lie on has no space left for us."""
    about = os.statvfs(next(place for place in (path, *path.parents) if place.exists()))
    blocks = about.f_bfree if os.geteuid() == 0 else about.f_bavail  # some are kept for the system's own user
    return blocks * about.f_frsize < _SOME_SPACE


def _listen(inbox: queue.Queue[bytes]) -> None:
    """Pass lines on; when the parent is gone, end at once, even in the middle of a fit."""
    for line in sys.stdin.buffer:
        inbox.put(line)
    os._exit(0)


def _warm_up(inbox: queue.Queue[bytes], libraries: Sequence[str]) -> None:
    """Import what every job needs, and then, while the parent still reads the table, what fits will need."""
    import modelwright.features.encoder
    import modelwright.learners.registry
    import modelwright.metrics.registry  # noqa: F401

    for name in libraries:
        if not inbox.empty():
            return
        with suppress(Exception):  # whatever is wrong with one of them, the fit that needs it will say so
            library(name)


def prepare(job: Prepare) -> Done:
    """Encode the rows of a view; the encoder sees its training rows only."""
    import polars as pl

    from modelwright.features.encoder import Encoder
    from modelwright.tables.schema import Schema

    started = time.perf_counter()
    out = Path(job.out)
    schema = msgspec.json.decode(Path(job.schema).read_bytes(), type=Schema)
    table = pl.read_ipc(job.table)
    training_rows = np.load(job.training_rows)
    training = table[training_rows]
    y, weight = (np.load(source)[training_rows] if source else None for source in (job.y, job.weight))
    encoder, n_generated = Encoder.fit(training, schema, seed=job.seed), 0
    X = encoder.transform(training)
    if y is not None and job.task != "clustering":
        encoder, X = encoder.with_text_scores(X, y, weight, task=job.task, n_classes=job.n_classes, seed=job.seed)
    if job.generated and y is not None and job.task != "clustering":
        from modelwright.features.generated_screen import generate

        generator, X = generate(X, y, weight, task=job.task, n_classes=job.n_classes, seed=job.seed)
        if generator is not None:
            n_generated = X.numeric.shape[1] - len(encoder.layout.numeric)
            encoder = encoder.with_generator(generator)
    (out / "encoder").mkdir(parents=True, exist_ok=True)
    encoder.save(out / "encoder")
    X.save(out / "train")
    parts = [("train", training_rows)]
    if job.validation_rows:
        validation_rows = np.load(job.validation_rows)
        encoder.transform(table[validation_rows]).save(out / "valid")
        parts.append(("valid", validation_rows))
    for source, name in ((job.y, "y"), (job.weight, "weight")):
        if source:
            values = np.load(source)
            for part, rows in parts:
                np.save(out / f"{name}_{part}.npy", values[rows])
    return Done(seconds=time.perf_counter() - started, n_generated=n_generated)


def fit(job: Fit) -> Done:
    """Fit, save, predict the validation rows, score."""
    from modelwright.learners import registry

    view, out = Path(job.view), Path(job.out)
    X, y, weight = Matrix.load(view / "train"), _load(view / "y_train.npy"), _load(view / "weight_train.npy")
    validation = None
    if job.validate and job.task != "clustering":
        y_valid = _load(view / "y_valid.npy")
        assert y_valid is not None
        validation = Validation(Matrix.load(view / "valid"), y_valid, _load(view / "weight_valid.npy"))
    description = registry.get(job.algorithm).algorithm
    if description.requires:
        library(description.requires)  # seconds for torch; not to be counted as time of the fit
    learner = registry.create(job.algorithm, job.params, task=job.task, n_classes=job.n_classes, seed=job.seed)
    learner.stop_after = job.stop_after
    started = time.perf_counter()
    result = learner.fit(X, y, weight=weight, validation=validation, time_limit_s=job.time_limit_s)
    seconds = time.perf_counter() - started
    folder = out / "model"
    folder.mkdir(parents=True)
    learner.save(folder)
    done = Done(
        seconds=seconds,
        n_iterations=None if result.n_iterations is None else int(result.n_iterations),
        learned=result.learned,
        stopped=result.stopped,
        size_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        notes=result.notes,
        clock=result.clock,
    )
    if result.curve is not None:
        done = msgspec.structs.replace(done, **_curve(result.curve))
    if not job.validate:
        return done
    X_valid = Matrix.load(view / "valid")
    started = time.perf_counter()
    prediction = learner.predict(X_valid)
    predict_s = time.perf_counter() - started
    np.save(out / "valid_pred.npy", prediction)
    return msgspec.structs.replace(
        done, score=_score(job, learner, X_valid, prediction, view), predict_us_per_row=predict_s / max(1, X_valid.n_rows) * 1e6
    )


def _score(job: Fit, learner: Learner, X_valid: Matrix, prediction: np.ndarray, view: Path) -> float:
    from modelwright.metrics import registry as metrics

    metric = metrics.get(job.metric, job.task)
    if job.task == "clustering":
        from modelwright.learners.kmeans import cluster_space

        space = cluster_space(learner, X_valid)
        value = metric.score(space, prediction, None)
        value = value if np.isfinite(value) else 0.0  # all rows in one cluster: nothing is told apart
    else:
        y_valid = np.load(view / "y_valid.npy", allow_pickle=False)
        value = metrics.score(metric, y_valid, prediction, _load(view / "weight_valid.npy"))
    if not np.isfinite(value):
        raise FloatingPointError(f"{metric.name} on the validation rows is {value}")
    return float(value)


def _curve(curve: Curve) -> dict[str, Any]:
    """The curve as plain finite numbers; JSON knows no NaN."""
    columns = [curve.iterations, curve.training, curve.validation] if curve.validation else [curve.iterations, curve.training]
    points = [tuple(map(float, point)) for point in zip(*columns, strict=True)]
    points = [point for point in points if np.isfinite(point).all()]
    return {
        "curve_loss": curve.loss,
        "curve_iterations": [int(point[0]) for point in points],
        "curve_training": [point[1] for point in points],
        "curve_validation": [point[2] for point in points] if curve.validation else [],
    }


def _load(path: Path) -> np.ndarray | None:
    return np.load(path, allow_pickle=False) if path.exists() else None


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]


def _give_memory_back() -> None:
    """Return freed memory to the system; glibc keeps it otherwise, and the next fit's peak would stand on the last one's."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _reset_peak_memory() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: restart the high-water mark for this job
    except OSError:
        return


def _memory_mb(name: str) -> float:
    """A figure of this process that Linux keeps; 0 elsewhere."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _peak_memory_mb() -> float:
    peak_mb = _memory_mb("VmHWM")
    if peak_mb:
        return peak_mb
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    own_process()
    main(sys.argv[1:])
