"""Makes every draw raise that no seed decides: put this folder on PYTHONPATH, and every Python process has it.

Raised are draws from the global generators of ``random`` and NumPy (scikit-learn's ``random_state=None`` included), and
NumPy generators that are made without a seed. A process that imported it leaves a file in ``$UNSEEDED_SEEN``.
"""

import importlib
import os
import random
from pathlib import Path

import numpy as np

# Both draw while they are imported: examples for documentation, defaults that nobody uses.
for _name in ("scipy.stats", "sklearn.ensemble"):
    importlib.import_module(_name)


def _refuse(what):
    def refused(*args, **keywords):
        raise RuntimeError(f"unseeded draw: {what}")

    return refused


class _Refusing:
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"unseeded draw: numpy.random.{name}")


def _seeded(make, name):
    def made(seed=None, *args, **keywords):
        if seed is None:
            raise RuntimeError(f"unseeded draw: numpy.random.{name}()")
        return make(seed, *args, **keywords)

    return made


if os.environ.get("UNSEEDED_SEEN"):  # not where a test runner imports every module of its folder
    for _name in ("random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "gauss", "uniform"):
        setattr(random, _name, _refuse(f"random.{_name}"))
    for _name in (
        "rand",
        "randn",
        "randint",
        "random",
        "choice",
        "shuffle",
        "permutation",
        "normal",
        "uniform",
        "standard_normal",
    ):
        setattr(np.random, _name, _refuse(f"numpy.random.{_name}"))
    np.random.default_rng = _seeded(np.random.default_rng, "default_rng")
    np.random.mtrand._rand = _Refusing()
    Path(os.environ["UNSEEDED_SEEN"], str(os.getpid())).touch()
