"""What the network takes of torch, and how: one thread, the same bits again, and no more of it than a fit needs.

torch is imported inside functions only; it belongs to the extra ``network``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelwright.errors import MissingExtraError


def torch_library() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "network") from error
    return torch


@contextmanager
def one_deterministic_thread() -> Iterator[None]:
    """One thread and deterministic kernels, put back as they were afterwards."""
    torch = torch_library()
    threads, strict = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    torch.set_num_threads(1)
    # Not `use_deterministic_algorithms`: that tells the compiler too, and imports it (see `AdamW`).
    torch.set_deterministic_debug_mode("error")
    # Every tensor here is written before it is read; filling each with NaN first only costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(strict)
        torch.utils.deterministic.fill_uninitialized_memory = fill


class AdamW:
    """`torch.optim.AdamW`, step for step the same.

    That class imports what torch compiles with, sympy and 800 modules more: a second and 60 MB in every process that fits a
    network.

    Parameters
    ----------
    groups : list of dict
        Each with ``params``; before each step with ``lr`` and ``weight_decay``.
    betas : tuple of two floats
    """

    def __init__(self, groups: list[dict[str, Any]], betas: tuple[float, float]) -> None:
        torch = torch_library()
        self.groups, self._betas = groups, betas
        for group in groups:
            params = group["params"]
            group["means"] = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in params]
            group["squares"] = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in params]
            group["steps"] = [torch.zeros(()) for _ in params]

    def zero_grad(self) -> None:
        for group in self.groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self) -> None:
        torch = torch_library()
        # The module hides itself from `torch.optim`.
        adamw = importlib.import_module("torch.optim.adamw").adamw
        with torch.no_grad():
            for group in self.groups:
                adamw(
                    group["params"],
                    [parameter.grad for parameter in group["params"]],
                    group["means"],
                    group["squares"],
                    [],
                    group["steps"],
                    fused=True,
                    amsgrad=False,
                    beta1=self._betas[0],
                    beta2=self._betas[1],
                    lr=group["lr"],
                    weight_decay=group["weight_decay"],
                    eps=1e-8,
                    maximize=False,
                )
