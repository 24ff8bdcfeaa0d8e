"""A multilayer perceptron for tables, trained with torch and run with NumPy."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec
import numpy as np

from modelwright.errors import BundleError, DataError, MissingExtraError
from modelwright.features.matrix import Matrix
from modelwright.learners import network_training as training
from modelwright.learners.base import Algorithm, Curve, FitResult, Hyperparameter, Learner, Validation
from modelwright.learners.network_body import Weights, Wiring, forward, learn_scaling, read_rows
from modelwright.learners.network_torch import one_deterministic_thread, torch_library
from modelwright.learners.target import (
    CONSTANT_NOTE,
    LOG_TARGET,
    SUPERVISED,
    TEMPERATURE,
    Coding,
    Rows,
    by_task,
    code_rows,
    code_validation,
    loss_name,
    with_smearing,
)
from modelwright.tables.schema import Task

_CURVE_POINTS = 200
#: Share of the time left that the planned epochs may take; the rest is for noise and for writing the result.
_TIME_SHARE = 0.85


class _Meta(msgspec.Struct, frozen=True):
    """Contents of meta.json."""

    task: Task
    n_classes: int
    seed: int
    params: dict[str, Any]
    coding: Coding
    wiring: Wiring


class Network(Learner):
    """Multilayer perceptron after RealMLP [1]_.

    Numbers are centred, scaled robustly and clipped smoothly, and enter beside a small learned function of
    themselves; short categories are one-hot coded, long ones embedded. Text reaches the network through the numeric
    columns that came from text.

    References
    ----------
    .. [1] Holzmueller, Grinsztajn, Steinwart, "Better by Default", NeurIPS 2024.
    """

    algorithm: ClassVar[Algorithm] = Algorithm(
        name="network",
        title="Neural network (multilayer perceptron)",
        tasks=SUPERVISED,
        minimises="cross-entropy (plain, smoothed or focal) or squared, Huber or absolute error, with weight decay",
        trains="weights and biases of the layers, embeddings of categories and of numbers, scales of the inputs",
        when="Smooth relations, many numbers, and as the most different member of an ensemble with trees.",
        hyperparameters=(
            Hyperparameter("n_epochs", "int", 64, "passes over the rows; the schedule is laid over them", 1, 512, True),
            Hyperparameter("learning_rate", "float", by_task(0.04, 0.1), "largest step of the schedule", 0.005, 0.3, True),
            Hyperparameter("n_layers", "int", 3, "hidden layers", 1, 5),
            Hyperparameter("width", "int", 256, "units of a hidden layer", 16, 512, True),
            Hyperparameter("activation", "choice", by_task("selu", "mish"), "nonlinearity", choices=("selu", "mish", "relu")),
            Hyperparameter("dropout", "float", 0.15, "share of units silenced in a step, fading towards the end", 0.0, 0.5),
            Hyperparameter(
                "weight_decay", "float", 0.02, "pull of the weights towards 0 (AdamW), fading too", 0.0005, 0.1, True
            ),
            Hyperparameter(
                "batch_size", "choice", 256, "rows in a step (fewer on small tables)", choices=(32, 64, 128, 256, 512, 1024)
            ),
            Hyperparameter(
                "number_embedding",
                "choice",
                "periodic",
                "what accompanies each number: nothing, cosines, or its place between quantiles",
                choices=("none", "periodic", "piecewise_linear"),
            ),
            Hyperparameter("embedding_scale", "float", 0.1, "spread of the frequencies of the cosines", 0.01, 10.0, True),
            Hyperparameter(
                "classification_loss",
                "choice",
                "cross_entropy",
                "loss of a classifier",
                choices=("cross_entropy", "smoothed_cross_entropy", "focal"),
            ),
            Hyperparameter("regression_loss", "choice", "mse", "loss of a regression", choices=("mse", "huber", "mae")),
            TEMPERATURE,
            LOG_TARGET,
        ),
        iterations="n_epochs",
        extra="network",
        requires="torch",
        # 64 epochs of 200,000 rows take minutes on one core; longer searches belong to trees.
        max_rows=200_000,
        reference="Holzmueller, Grinsztajn, Steinwart, Better by Default, NeurIPS 2024",
    )

    _coding: Coding
    _wiring: Wiring
    _weights: Weights

    def fit(
        self,
        X: Matrix,
        y: np.ndarray | None,
        *,
        weight: np.ndarray | None = None,
        validation: Validation | None = None,
        time_limit_s: float | None = None,
    ) -> FitResult:
        started = time.perf_counter()
        if y is None:
            raise DataError("A network needs a target.", where="algorithm 'network'", mend="Name the target.")
        _safetensors()  # said before the epochs, not after them
        self._coding, rows = code_rows(X, y, weight, self.task, self.n_classes, self.params["log_target"])
        self._wiring = Wiring(
            cardinalities=[int(c) for c in X.layout.cardinalities],
            n_layers=self.params["n_layers"],
            activation=self.params["activation"],
            number_embedding=self.params["number_embedding"],
        )
        self._weights = {}
        if self._coding.constant is not None:
            return FitResult(n_iterations=1, notes=[CONSTANT_NOTE])
        watched = None if validation is None else code_validation(self._coding, validation)
        deadline = math.inf if time_limit_s is None else started + time_limit_s
        with one_deterministic_thread():
            result = self._train(rows, watched, deadline)
        if self._coding.log_factor and validation is not None:
            self._coding, result = with_smearing(self._coding, result, validation, self.predict(validation.X))
        return result

    def _train(self, rows: Rows, watched: Rows | None, deadline: float) -> FitResult:
        torch = torch_library()
        scaling = learn_scaling(rows.X)
        classification = self.task != "regression"
        inputs = read_rows(rows.X, scaling, self._wiring.cardinalities)
        part = training.Part.of(inputs, rows.target, rows.weight, classification=classification)
        watched_part = None
        if watched is not None:
            read = read_rows(watched.X, scaling, self._wiring.cardinalities)
            watched_part = training.Part.of(read, watched.target, watched.weight, classification=classification)

        def trainer(n_epochs: int) -> training.Trainer:
            generator = torch.Generator().manual_seed(self.seed)
            recipe = self._recipe(n_epochs)
            network = training.Network(inputs, scaling["input.edges"], self._wiring, recipe, generator)
            return training.Trainer(network, recipe, generator)

        # The schedule is laid over the epochs planned, so their number is settled before the first one begins.
        planned, notes = self.params["n_epochs"], []
        if self.stop_after:
            planned, deadline = self.stop_after["epochs"], math.inf
        elif math.isfinite(deadline):
            epoch_s = training.seconds_per_epoch(trainer(planned), part, 0 if watched is None else watched.X.n_rows)
            affordable = max(1, int(_TIME_SHARE * (deadline - time.perf_counter()) / epoch_s))
            if affordable < planned:
                notes.append(f"{affordable} epochs planned instead of {planned}, to end in time.")
                planned = affordable
        run = trainer(planned)
        history = training.train(run, part, watched_part, deadline, self.stop_after.get("steps"))
        temperature, learned = self.params[TEMPERATURE.name], {}
        if classification and watched_part is not None:
            # The final fit, without validation rows, takes it over.
            temperature = history.temperature
            learned = {TEMPERATURE.name: temperature}
        self._weights = scaling | run.network.weights(inputs, temperature if classification else 1.0)
        shortened = planned < self.params["n_epochs"]
        stopped = "time" if shortened and history.stopped == "complete" else history.stopped
        clock = {"epochs": planned} if shortened or history.stopped == "time" else {}
        if history.stopped == "time":
            clock["steps"] = run.n_steps
        if stopped == "diverged":
            notes.append(f"The loss overflowed after {len(history.training)} epochs; a smaller learning_rate may help.")
            stopped = "early"
        curve = self._curve(history)
        return FitResult(
            n_iterations=max(1, history.best), curve=curve, stopped=stopped, notes=notes, clock=clock, learned=learned
        )

    def _recipe(self, n_epochs: int) -> training.Recipe:
        same = ("batch_size", "learning_rate", "width", "dropout", "weight_decay", "embedding_scale")
        classification = self.task != "regression"
        return training.Recipe(
            n_epochs=n_epochs,
            loss=self.params["classification_loss" if classification else "regression_loss"],
            n_outputs=self._coding.n_present if classification else 1,
            seed=self.seed,
            **{name: self.params[name] for name in same},
        )

    def _curve(self, history: training.History) -> Curve:
        """Losses in the target's units; the training loss is that of the chosen loss, with dropout."""
        name, scale = "log_loss", 1.0
        losses = history.training
        if self.task == "regression":
            name, scale = loss_name(self.task, self._coding), self._coding.spread
            losses = [math.sqrt(loss) for loss in losses] if self.params["regression_loss"] == "mse" else losses
        stride = max(1, math.ceil(len(losses) / _CURVE_POINTS))
        return Curve(
            name,
            list(range(1, len(losses) + 1, stride)),
            [loss * scale for loss in losses[::stride]],
            [loss * scale for loss in history.validation[::stride]],
        )

    def predict(self, X: Matrix) -> np.ndarray:
        if self._coding.constant is not None:
            return self._coding.decode(None, X.n_rows)
        output = forward(self._weights, self._wiring, X).astype(np.float64)
        if self.task == "regression":
            return np.clip(self._coding.decode(output[:, 0], X.n_rows), self._coding.low, self._coding.high)
        output -= output.max(axis=1, keepdims=True)
        return self._coding.decode(np.exp(output), X.n_rows)

    def save(self, folder: Path) -> None:
        meta = _Meta(self.task, self.n_classes, self.seed, self.params, self._coding, self._wiring)
        (folder / "meta.json").write_bytes(msgspec.json.encode(meta))
        (folder / "weights.safetensors").write_bytes(_safetensors().save(self._weights))

    @classmethod
    def load(cls, folder: Path) -> Self:
        library = _safetensors()
        try:
            meta = msgspec.json.decode((folder / "meta.json").read_bytes(), type=_Meta)
            weights = library.load((folder / "weights.safetensors").read_bytes())
        except Exception as error:  # SafetensorError is a plain Exception
            raise BundleError(
                f"The saved network cannot be read: {error}", where=folder.name, mend="Train or copy the model again."
            ) from error
        learner = cls(meta.params, task=meta.task, n_classes=meta.n_classes, seed=meta.seed)
        learner._coding, learner._wiring, learner._weights = meta.coding, meta.wiring, weights
        return learner


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingExtraError("safetensors", "network") from error
    return safetensors.numpy
