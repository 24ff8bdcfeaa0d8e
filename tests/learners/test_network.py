"""The network; the contract itself is in test_contract.py."""

from __future__ import annotations

import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from modelwright.errors import BundleError
from modelwright.features.matrix import Layout, Matrix
from modelwright.learners import network_training as training
from modelwright.learners.base import Validation
from modelwright.learners.network import Network
from modelwright.learners.network_body import forward, learn_scaling, read_rows
from modelwright.learners.network_torch import AdamW
from modelwright.testing.learners import example

torch = pytest.importorskip("torch")


def matrix(numeric):
    numeric = np.asarray(numeric, dtype=np.float32)
    names = tuple(f"x{j}" for j in range(numeric.shape[1]))
    return Matrix(numeric, np.zeros((len(numeric), 0), dtype=np.int32), None, Layout(names, (), ()))


@pytest.mark.parametrize("activation", ["selu", "mish", "relu"])
@pytest.mark.parametrize("embedding", ["none", "periodic", "piecewise_linear"])
def test_numpy_forward_pass_equals_torch(activation, embedding, monkeypatch):
    X, y = example("multiclass", 200)
    trained = {}
    original = training.Network.weights

    def remember(self, inputs, temperature):
        trained["network"], trained["inputs"] = self, inputs
        return original(self, inputs, temperature)

    monkeypatch.setattr(training.Network, "weights", remember)
    params = {"n_epochs": 4, "activation": activation, "number_embedding": embedding, "width": 64, "n_layers": 2}
    learner = Network(params, task="multiclass", n_classes=4)
    learner.fit(X, y)
    inputs = trained["inputs"]
    tensors = (torch.from_numpy(a) for a in (inputs.numbers, inputs.flags, inputs.levels))
    with torch.no_grad():
        expected = trained["network"].forward(*tensors).numpy()

    assert np.allclose(forward(learner._weights, learner._wiring, X), expected, atol=1e-5)
    assert np.abs(expected).max() > 0.1


def test_scaled_numbers_are_clipped_smoothly_and_missing_ones_flagged():
    X = matrix([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, np.nan], [1e30, 5.0]])

    rows = read_rows(X, learn_scaling(X), [])

    assert np.abs(rows.numbers).max() <= 3.0
    assert rows.numbers[-1, 0] == pytest.approx(3.0)
    assert (rows.numbers[:, 1] == 0).all()
    assert rows.flags.tolist() == [[0], [0], [0], [0], [1], [0]]


def test_short_columns_are_one_hot_and_long_ones_numbered():
    codes = np.array([[0, 3], [2, -1], [-1, 99]], dtype=np.int32)
    X = Matrix(np.zeros((3, 0), dtype=np.float32), codes, None, Layout((), ("a", "b"), (3, 20)))

    rows = read_rows(X, learn_scaling(X), [3, 20])

    assert rows.flags.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert rows.levels.tolist() == [[4], [0], [1]]


def test_schedule_of_fewer_epochs_starts_like_the_one_it_was_cut_from():
    assert [training.n_cycles(n) for n in (1, 4, 13, 30, 64, 512)] == [1, 1, 2, 3, 4, 4]
    whole = [training.schedule(epoch / 60, 4) for epoch in range(13)]
    cut = [training.schedule(epoch / 12, 2) for epoch in range(13)]
    assert np.allclose(whole, cut)


def test_schedule_ends_every_cycle_at_zero():
    for end in (0, 1 / 15, 3 / 15, 7 / 15, 1):
        assert training.schedule(end, 4) == pytest.approx(0.0, abs=1e-12)
    assert training.schedule((math.sqrt(2) - 1) / 15, 4) == pytest.approx(1.0)


def test_learns_images_of_digits():
    data = load_digits()
    X, y = matrix(data.data), data.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:1200], order[1200:]
    learner = Network({"n_epochs": 13, "number_embedding": "none", "width": 128}, task="multiclass", n_classes=10)
    learner.fit(X.take(train), y[train])

    assert np.mean(learner.predict(X.take(test)).argmax(axis=1) == y[test]) > 0.94


def test_best_epoch_on_validation_rows_is_restored():
    data = load_breast_cancer()
    X, y = matrix(data.data), data.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(y))
    train, valid = order[:300], order[300:]
    learner = Network({"n_epochs": 20, "width": 64}, task="binary", n_classes=2)

    result = learner.fit(X.take(train), y[train], validation=Validation(X.take(valid), y[valid]))

    proba = learner.predict(X.take(valid))[np.arange(len(valid)), y[valid]]
    assert result.n_iterations == 1 + int(np.argmin(result.curve.validation))
    assert -np.log(proba).mean() == pytest.approx(min(result.curve.validation), rel=1e-4)


@pytest.mark.parametrize("loss", ["mse", "huber", "mae"])
def test_regression_stays_within_the_range_of_training(loss):
    data = load_diabetes()
    X = matrix(data.data)
    learner = Network({"n_epochs": 12, "width": 64, "regression_loss": loss}, task="regression")
    learner.fit(X, data.target)
    far = matrix(data.data * 1e6)

    assert np.mean((learner.predict(X) - data.target) ** 2) < 0.7 * data.target.var()
    assert learner.predict(far).min() >= data.target.min()
    assert learner.predict(far).max() <= data.target.max()


@pytest.mark.parametrize("loss", ["cross_entropy", "smoothed_cross_entropy", "focal"])
def test_every_classification_loss_learns(loss):
    X, y = example("binary", 400)
    learner = Network({"n_epochs": 12, "width": 64, "classification_loss": loss}, task="binary", n_classes=2)
    learner.fit(X, y)

    assert np.mean(learner.predict(X).argmax(axis=1) == y) > 0.75


@pytest.mark.parametrize("watched", [False, True])
def test_overflowing_loss_ends_training_with_the_weights_of_before(watched, monkeypatch):
    X, y = example("binary", 200)
    original = training.Trainer.step

    def overflow(self, part, t):
        loss = original(self, part, t)
        if t > 0.5:
            self.network.free["out.bias"].data.fill_(float("nan"))
            return float("nan")
        return loss

    monkeypatch.setattr(training.Trainer, "step", overflow)
    learner = Network({"n_epochs": 10}, task="binary", n_classes=2)

    result = learner.fit(X, y, validation=Validation(X, y) if watched else None)

    assert np.isfinite(learner.predict(X)).all()
    assert result.n_iterations <= 5
    assert "overflowed after 5 epochs" in result.notes[0]


def test_fewer_epochs_are_planned_when_time_is_short():
    X, y = example("binary", 3000)
    learner = Network({"n_epochs": 512}, task="binary", n_classes=2)

    result = learner.fit(X, y, time_limit_s=1.0)

    assert result.stopped == "time"
    assert result.n_iterations < 512
    assert "planned instead of 512" in result.notes[0]


class Steps:
    """A trainer on a clock of its own, whose steps take so many milliseconds each, the last for ever."""

    def __init__(self, milliseconds, monkeypatch):
        self.recipe = SimpleNamespace(batch_size=100)
        self.seconds, self.taken, self.now = [ms / 1000 for ms in milliseconds], 0, 0.0
        monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def step(self, part, t):
        self.now += self.seconds[min(self.taken, len(self.seconds) - 1)]
        self.taken += 1


@pytest.mark.parametrize(
    ("milliseconds", "least", "taken"),
    [
        ([9.0, 6.0], 6.0, 5),  # a process that has fitted before
        ([21.1, 14.6, 10.7, 17.5, 6.6, 6.3, 6.2], 6.2, 7),  # as measured in workers that had just begun
        ([25.8, 10.6, 14.6, 10.4, 19.1, 14.8, 13.0, 14.3, 14.3, 5.7, 5.6], 5.6, 12),
        ([100.0, 90.0], 90.0, 5),  # dear steps are not looked at for long
    ],
)
def test_what_an_epoch_takes_is_read_when_steps_take_what_they_will(milliseconds, least, taken, monkeypatch):
    X, y = example("binary", 1000)
    part = training.Part.of(
        read_rows(X, learn_scaling(X), [int(c) for c in X.layout.cardinalities]), y, None, classification=True
    )
    trainer = Steps(milliseconds, monkeypatch)
    n_steps = 1000 / training.batch_size(trainer.recipe.batch_size, 1000)
    assert training.seconds_per_epoch(trainer, part, 0) == pytest.approx(n_steps * least / 1000)
    assert trainer.taken == taken


def test_unseen_level_of_a_long_column_stands_for_the_mean_of_the_others():
    X, y = example("regression", 200)
    learner = Network({"n_epochs": 3, "width": 32}, task="regression")
    learner.fit(X, y)
    table = learner._weights["levels.0"]
    counts = np.bincount(X.codes[:, 1] + 1, minlength=len(table))

    assert counts[1] == 0
    assert np.allclose(table[1], np.average(table, axis=0, weights=counts), atol=1e-5)


def test_threads_and_determinism_of_torch_are_left_as_they_were():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    X, y = example("binary", 60)
    Network({"n_epochs": 1}, task="binary", n_classes=2).fit(X, y)

    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_steps_are_those_of_torchs_own_optimizer():
    def trained(optimizer):
        generator = torch.Generator().manual_seed(0)
        weights = [torch.randn(6, 3, generator=generator), torch.randn(3, generator=generator)]
        weights = [weight.requires_grad_() for weight in weights]
        x, y = torch.randn(20, 6, generator=generator), torch.arange(20) % 3
        groups = [{"params": [weight]} for weight in weights]
        stepper = optimizer(groups)
        for k in range(12):
            for group in getattr(stepper, "param_groups", groups):
                group |= {"lr": 0.1 / (k + 1), "weight_decay": 0.01 * k}
            stepper.zero_grad()
            torch.nn.functional.cross_entropy(x @ weights[0] + weights[1], y).backward()
            stepper.step()
        return weights

    betas = (0.9, 0.95)
    ours = trained(lambda groups: AdamW(groups, betas))
    torchs = trained(lambda groups: torch.optim.AdamW(groups, betas=betas, fused=True))
    assert all(torch.equal(a, b) for a, b in zip(ours, torchs, strict=True))


def test_a_fit_does_not_import_what_torch_compiles_with():
    code = (
        "import sys\n"
        "from modelwright.learners.network import Network\n"
        "from modelwright.testing.learners import example\n"
        "X, y = example('binary', 60)\n"
        "Network({'n_epochs': 1}, task='binary', n_classes=2).fit(X, y)\n"
        "assert 'torch' in sys.modules\n"
        "assert not {'sympy', 'torch._dynamo', 'torch._inductor'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_loading_and_predicting_do_not_import_torch(tmp_path):
    X, y = example("binary", 60)
    learner = Network({"n_epochs": 1}, task="binary", n_classes=2)
    learner.fit(X, y)
    learner.save(tmp_path)
    code = (
        "import sys, pathlib\n"
        "from modelwright.learners.network import Network\n"
        "from modelwright.testing.learners import example\n"
        f"Network.load(pathlib.Path({str(tmp_path)!r})).predict(example('binary', 60)[0])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_damaged_weights_are_a_bundle_error(tmp_path):
    X, y = example("binary", 60)
    learner = Network({"n_epochs": 1}, task="binary", n_classes=2)
    learner.fit(X, y)
    learner.save(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"\x00" * 20)

    with pytest.raises(BundleError, match="cannot be read"):
        Network.load(tmp_path)
