"""One seed for everything that draws: `random`, NumPy's and torch's own generators, and hashes of children."""

from __future__ import annotations

import operator
import random
from typing import Any

from modelwright.errors import InvalidInputError
from modelwright.jobs.imports import when_imported


def seed_of(seed: Any) -> int | None:
    """The seed, if it can be one: a whole number that is not negative.

    Raises
    ------
    InvalidInputError
        Otherwise.
    """
    if seed is None:
        return None
    try:
        found = operator.index(seed)
    except TypeError:
        found = -1
    if isinstance(seed, bool) or not 0 <= found < 2**63:
        raise InvalidInputError(f"The seed is {seed!r}.", where="seed", mend="Give a whole number, 0 or greater.")
    return found


def seed_everything(seed: int) -> None:
    """Seed the process-wide generators; NumPy and torch at once if they are loaded, else when they are.

    `numpy.random.default_rng()` without a seed draws from the system and cannot be seeded from outside: pass it `run.seed`.
    """
    random.seed(seed)
    when_imported("numpy.random", lambda numpy_random: numpy_random.seed(seed % 2**32))
    when_imported("torch", lambda torch: torch.manual_seed(seed))


def hash_seed(seed: int) -> str:
    """The value of PYTHONHASHSEED for a child."""
    return str(seed % 2**32)
