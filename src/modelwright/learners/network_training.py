"""Training of the network with torch: parameters, schedule, loss, epochs.

Notation: t in [0, 1] is the share of the planned steps that are done.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelwright.learners.network_body import EMBEDDING_WIDTH, FREQUENCIES, Inputs, Weights, Wiring, embedded
from modelwright.learners.network_torch import AdamW, torch_library
from modelwright.learners.temperature import best_temperature

#: The schedule has at most this many cycles, and none shorter than this many epochs.
_MAX_CYCLES = 4
_SHORTEST_CYCLE = 4
#: The cost of an epoch is read from steps until the latest of them take about what the least did, or so many seconds.
_LATEST_STEPS, _STEADY, _LOOK_S = 4, 1.15, 0.3
#: Values of one number's embedding, besides the number itself.
_LEARNED = 3


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run."""

    n_epochs: int
    batch_size: int
    learning_rate: float
    width: int
    dropout: float
    weight_decay: float
    embedding_scale: float
    loss: str
    n_outputs: int
    seed: int


@dataclass
class History:
    """What happened epoch by epoch; ``best`` counts epochs from 1, ``temperature`` is that of the best."""

    best: int = 0
    best_loss: float = float("inf")
    temperature: float = 1.0
    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    stopped: str = "complete"


def n_cycles(n_epochs: int) -> int:
    """Number of cycles of the schedule; each is twice as long as the one before.

    Training with validation rows most often finds its best epoch at the end of a cycle, where the learning rate is
    down: of 64 epochs at 4, 13, 30 or 64. Planned for just so many epochs, the schedule has the same first cycles,
    so that a final fit with the best number of epochs goes the way that was found best.
    """
    return min(_MAX_CYCLES, max(1, int(math.log2(n_epochs / _SHORTEST_CYCLE + 1.0))))


def schedule(t: float, cycles: int) -> float:
    """Share of the learning rate: cosine cycles in log time (RealMLP's "coslog4" where ``cycles`` is 4)."""
    return 0.5 * (1.0 - math.cos(2.0 * math.pi * math.log2(1.0 + (2**cycles - 1) * t)))


def fading(t: float) -> float:
    """Share of dropout and weight decay: full for half the steps, then a cosine down to nothing."""
    return 1.0 if t < 0.5 else 0.5 * (1.0 + math.cos(math.pi * (2.0 * t - 1.0)))


class Network:
    """The parameters, under their names in the file, and the forward pass with gradients."""

    def __init__(self, inputs: Inputs, edges: np.ndarray, wiring: Wiring, recipe: Recipe, generator: Any) -> None:
        torch = torch_library()
        self.wiring = wiring
        self.fixed: dict[str, Any] = {}
        self.free: dict[str, Any] = {}

        def normal(*shape: int) -> Any:
            return torch.randn(*shape, generator=generator)

        p = inputs.numbers.shape[1]
        d = p + inputs.flags.shape[1] + EMBEDDING_WIDTH * inputs.levels.shape[1]
        if wiring.number_embedding != "none" and p:
            if wiring.number_embedding == "periodic":
                self.free["numbers.frequency"] = 2.0 * math.pi * recipe.embedding_scale * normal(p, FREQUENCIES)
                self.free["numbers.phase"] = math.pi * (2.0 * torch.rand(p, FREQUENCIES, generator=generator) - 1.0)
            else:
                # Bins narrower than this (repeated quantiles) act as steps.
                self.fixed["numbers.start"] = torch.from_numpy(edges[:, :-1].copy())
                self.fixed["numbers.slope"] = torch.from_numpy(1.0 / np.maximum(np.diff(edges, axis=1), 1e-3))
            self.free["numbers.weight"] = normal(p, FREQUENCIES, _LEARNED) / math.sqrt(FREQUENCIES)
            self.free["numbers.bias"] = torch.zeros(p, _LEARNED)
            d += p * _LEARNED
        for j, size in enumerate(embedded(wiring.cardinalities)):
            self.free[f"levels.{j}"] = normal(size, EMBEDDING_WIDTH)
        self.free["scale"] = torch.ones(d)
        for layer in range(wiring.n_layers):
            self.free[f"layer.{layer}.weight"] = normal(d, recipe.width)
            self.free[f"layer.{layer}.bias"] = normal(recipe.width)
            d = recipe.width
        # A last layer of zeros starts from the same output for every row.
        self.free["out.weight"] = torch.zeros(d, recipe.n_outputs)
        self.free["out.bias"] = torch.zeros(recipe.n_outputs)
        for value in self.free.values():
            value.requires_grad_(True)

    def forward(self, numbers: Any, flags: Any, levels: Any, dropout: float = 0.0, generator: Any = None) -> Any:
        torch = torch_library()
        free, fixed = self.free, self.fixed
        parts = [numbers, flags]
        if "numbers.weight" in free:
            if self.wiring.number_embedding == "periodic":
                hidden = torch.cos(numbers[:, :, None] * free["numbers.frequency"] + free["numbers.phase"])
            else:
                hidden = ((numbers[:, :, None] - fixed["numbers.start"]) * fixed["numbers.slope"]).clamp(0.0, 1.0)
            learned = torch.matmul(hidden.transpose(0, 1), free["numbers.weight"]).transpose(0, 1) + free["numbers.bias"]
            parts.append(learned.flatten(1))
        parts += [torch.nn.functional.embedding(levels[:, j], free[f"levels.{j}"]) for j in range(levels.shape[1])]
        h = torch.cat(parts, dim=1) * free["scale"]
        activate = getattr(torch.nn.functional, self.wiring.activation)
        for layer in range(self.wiring.n_layers):
            h = activate(h @ free[f"layer.{layer}.weight"] / math.sqrt(h.shape[1]) + free[f"layer.{layer}.bias"])
            if dropout > 0.0:
                kept = torch.empty_like(h).bernoulli_(1.0 - dropout, generator=generator)
                h = h * kept / (1.0 - dropout)
        return h @ free["out.weight"] / math.sqrt(h.shape[1]) + free["out.bias"]

    def state(self) -> dict[str, Any]:
        """A copy of every parameter."""
        return {name: value.detach().clone() for name, value in self.free.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Set every parameter to an earlier `state`."""
        for name, value in state.items():
            self.free[name].data.copy_(value)

    def groups(self, recipe: Recipe) -> list[dict[str, Any]]:
        """Parameters by the factor on their learning rate (RealMLP): biases and embeddings of numbers learn slowly,
        the scale of the inputs fast; only matrices decay."""
        factors: dict[tuple[float, float], list[Any]] = {}
        for name, value in self.free.items():
            factor = 6.0 if name == "scale" else 0.1 if name.endswith("bias") or name.startswith("numbers.") else 1.0
            decay = recipe.weight_decay if name.endswith("weight") else 0.0
            factors.setdefault((factor, decay), []).append(value)
        return [{"params": values, "factor": factor, "decay": decay} for (factor, decay), values in factors.items()]

    def weights(self, inputs: Inputs, temperature: float = 1.0) -> Weights:
        """Weights for `network_body.forward`: scale, widths and temperature folded into the matrices.

        A column without variation in training (a level never seen) taught its weights nothing; they become 0, and
        the embedding of such a level the mean of the others.
        """
        w = {name: value.detach().numpy().copy() for name, value in {**self.free, **self.fixed}.items()}
        for j in range(inputs.levels.shape[1]):
            table = w[f"levels.{j}"]
            counts = np.bincount(inputs.levels[:, j], minlength=len(table))
            table[counts == 0] = np.average(table, axis=0, weights=counts)
        scale = w.pop("scale")
        p, f = inputs.numbers.shape[1], inputs.flags.shape[1]
        scale[p : p + f][~inputs.flags.any(axis=0)] = 0.0
        w["layer.0.weight"] = w["layer.0.weight"] * scale[:, None]
        for name in (*(f"layer.{layer}.weight" for layer in range(self.wiring.n_layers)), "out.weight"):
            w[name] = (w[name] / math.sqrt(len(w[name]))).astype(np.float32)
        for name in ("out.weight", "out.bias"):
            w[name] = w[name] / np.float32(temperature)
        return w


def batch_size(wanted: int, n_rows: int) -> int:
    """At least 16 steps an epoch, or few rows would hardly move the weights; never under 32 rows."""
    return min(wanted, max(32, 1 << (max(1, n_rows // 16).bit_length() - 1)))


@dataclass(frozen=True)
class Part:
    """Tensors of training or validation rows."""

    numbers: Any
    flags: Any
    levels: Any
    target: Any
    weight: Any

    @classmethod
    def of(cls, inputs: Inputs, target: np.ndarray, weight: np.ndarray | None, *, classification: bool) -> Part:
        torch = torch_library()
        return cls(
            torch.from_numpy(inputs.numbers),
            torch.from_numpy(inputs.flags),
            torch.from_numpy(inputs.levels),
            torch.from_numpy(target.astype(np.int64) if classification else target),
            None if weight is None else torch.from_numpy(weight.astype(np.float32)),
        )

    @property
    def n_rows(self) -> int:
        return len(self.target)

    def rows(self, index: Any) -> Part:
        weight = None if self.weight is None else self.weight[index]
        return Part(self.numbers[index], self.flags[index], self.levels[index], self.target[index], weight)


def row_losses(name: str, output: Any, target: Any) -> Any:
    """Loss of each row, shape (n,)."""
    torch = torch_library()
    functional = torch.nn.functional
    if name in ("mse", "huber", "mae"):
        loss = {"mse": functional.mse_loss, "huber": functional.huber_loss, "mae": functional.l1_loss}[name]
        return loss(output[:, 0], target, reduction="none")
    if name == "smoothed_cross_entropy":
        return functional.cross_entropy(output, target, reduction="none", label_smoothing=0.1)
    losses = functional.cross_entropy(output, target, reduction="none")
    # Focal: rows already right count less; the exponent 2 is its authors' (Lin et al. 2017).
    return losses if name == "cross_entropy" else losses * (1.0 - torch.exp(-losses)) ** 2


def _mean(losses: Any, weight: Any) -> Any:
    return losses.mean() if weight is None else (losses * weight).sum() / weight.sum()


class Trainer:
    """One network, its optimizer and its place in the schedule."""

    def __init__(self, network: Network, recipe: Recipe, generator: Any) -> None:
        self.network, self.recipe, self.generator = network, recipe, generator
        self.cycles = n_cycles(recipe.n_epochs)
        self.n_steps = 0
        #: The best for the rows validated last.
        self.temperature = 1.0
        self.optimizer = AdamW(network.groups(recipe), betas=(0.9, 0.95))

    def step(self, part: Part, t: float) -> float:
        self.n_steps += 1
        for group in self.optimizer.groups:
            group["lr"] = self.recipe.learning_rate * group["factor"] * schedule(t, self.cycles)
            group["weight_decay"] = group["decay"] * fading(t)
        self.optimizer.zero_grad()
        output = self.network.forward(part.numbers, part.flags, part.levels, self.recipe.dropout * fading(t), self.generator)
        loss = _mean(row_losses(self.recipe.loss, output, part.target), part.weight)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def epoch(self, part: Part, epoch: int, deadline: float, last: int | None = None) -> float | None:
        """Mean training loss of one pass, or None if the clock ended it, or the step ``last`` that stands for it."""
        torch = torch_library()
        order = torch.randperm(part.n_rows, generator=self.generator)
        batches = torch.split(order, batch_size(self.recipe.batch_size, part.n_rows))
        total = 0.0
        for i, batch in enumerate(batches):
            if (self.n_steps == last or time.perf_counter() >= deadline) and (epoch > 0 or i > 0):
                return None
            # The middle of the step: t = 0 and t = 1 have no learning rate.
            t = (epoch + (i + 0.5) / len(batches)) / self.recipe.n_epochs
            total += self.step(part.rows(batch), t) * len(batch)
        return total / part.n_rows

    def validate(self, part: Part) -> float:
        """Log loss at the best temperature, or RMSE of the standardised target, whatever loss trains."""
        torch = torch_library()
        outputs = []
        with torch.no_grad():
            for batch in torch.split(torch.arange(part.n_rows), 4096):
                some = part.rows(batch)
                outputs.append(self.network.forward(some.numbers, some.flags, some.levels))
            output = torch.cat(outputs)
            if part.target.is_floating_point():
                return math.sqrt(_mean(row_losses("mse", output, part.target), part.weight))
        if not torch.isfinite(output).all():
            return math.inf
        weight = None if part.weight is None else part.weight.numpy()
        self.temperature, loss = best_temperature(output.numpy(), part.target.numpy(), weight, start=self.temperature)
        return loss


def seconds_per_epoch(trainer: Trainer, part: Part, n_watched: int) -> float:
    """Cost of an epoch, from a few steps of a trainer that is then thrown away.

    The first steps of a process take two to four times as long: on ames_house_prices 17 epochs were cut down to 12 for which
    there was time, after five steps.
    """
    size = batch_size(trainer.recipe.batch_size, part.n_rows)
    some = part.rows(slice(0, size))
    seconds: list[float] = []
    while len(seconds) <= _LATEST_STEPS or (sum(seconds) < _LOOK_S and not _steady(seconds[1:])):
        start = time.perf_counter()
        trainer.step(some, 0.01)
        seconds.append(time.perf_counter() - start)
    # The first steps allocate; a validation row costs about a third of a training row (no gradient).
    return min(seconds[1:]) * (part.n_rows + n_watched / 3) / size


def _steady(seconds: list[float]) -> bool:
    """Whether the latest steps took about what the least did."""
    return float(np.median(seconds[-_LATEST_STEPS:])) <= _STEADY * min(seconds)


def train(trainer: Trainer, training: Part, validation: Part | None, deadline: float, last: int | None = None) -> History:
    """Run the planned epochs; with validation rows the network ends up as it was after its best epoch, and where
    a loss overflows, as it was before that.

    At the end of a cycle the learning rate is down. If a whole cycle brought no better epoch than the cycles
    before, the next one, twice as long, overfits more: training ends. ``last`` is the step after which the clock ended an
    earlier run.
    """
    history = History()
    n_epochs = trainer.recipe.n_epochs
    cycles = trainer.cycles
    cycle_ends = [round((2**j - 1) / (2**cycles - 1) * n_epochs) for j in range(1, cycles)]
    kept = trainer.network.state()
    for epoch in range(n_epochs):
        loss = trainer.epoch(training, epoch, deadline, last)
        if loss is None:
            history.stopped = "time"
            break
        watched = loss if validation is None else trainer.validate(validation)
        if not (math.isfinite(loss) and math.isfinite(watched)):
            history.stopped = "diverged"
            break
        history.training.append(loss)
        if validation is None:
            history.best = epoch + 1
            kept = trainer.network.state()
            continue
        history.validation.append(watched)
        if watched < history.best_loss:
            history.best, history.best_loss, history.temperature = epoch + 1, watched, trainer.temperature
            kept = trainer.network.state()
        if epoch + 1 in cycle_ends[1:] and history.best <= max(e for e in (0, *cycle_ends) if e < epoch + 1):
            history.stopped = "early"
            break
    # Without validation rows, what the clock broke off within an epoch is progress too.
    if validation is not None or history.stopped == "diverged":
        trainer.network.restore(kept)
    return history
