"""`clrbench.RangeTest` around somebody's own PyTorch loop, against `clrbench range-test` on the same problem."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_clrbench, write_spec

from clrbench import RangeTest
from clrbench.api.bounds import RangeTestBounds
from clrbench.data import Library
from clrbench.records import Dataset

TRAINED, VALIDATED, BATCH, STEPS, SEEDS = 10_000, 2_000, 50, 400, 3
LIMITS = {"start_lr": 1e-4, "end_lr": 10.0}


class Loop:
    """A network like that of the spec, with weights and batches of its own."""

    def __init__(self, seed: int, dataset: Dataset) -> None:
        import torch

        pixels = dataset.x_train[: TRAINED + VALIDATED].reshape(-1, 784).astype(np.float32) / 255
        self._torch, self._x = torch, torch.from_numpy(pixels)
        self._y = torch.from_numpy(dataset.y_train[: TRAINED + VALIDATED].astype(np.int64))
        self._rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self._model = torch.nn.Sequential(torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.1, momentum=0.9)

    def train_step(self, lr: float) -> tuple[float, float]:
        loss, accuracy = self._scores(self._torch.from_numpy(self._rng.choice(TRAINED, BATCH, replace=False)))
        self._optimizer.param_groups[0]["lr"] = lr
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.item(), accuracy

    def validate(self) -> tuple[float, float]:
        with self._torch.no_grad():
            loss, accuracy = self._scores(slice(TRAINED, None))
        return loss.item(), accuracy

    def _scores(self, rows: Any) -> tuple[Any, float]:
        logits = self._model(self._x[rows])
        loss = self._torch.nn.functional.cross_entropy(logits, self._y[rows])
        return loss, (logits.argmax(1) == self._y[rows]).float().mean().item()


def of_the_loop() -> tuple[RangeTestBounds, RangeTestBounds]:
    """Return the rates before and after the trials."""
    dataset = Library(None).load("mnist")
    test = RangeTest(**LIMITS, steps=STEPS)
    for seed in range(SEEDS):
        loop = Loop(seed, dataset)
        for lr in test:
            test.record(*loop.train_step(lr))
    before = test.bounds()
    for trial in test.trials():
        loop = Loop(trial.seed, dataset)
        for _ in range(trial.steps):
            loop.train_step(trial.lr)
        trial.record(*loop.validate())
    return before, test.bounds()


def of_the_command(folder: Path) -> dict[str, Any]:
    """Return what bounds.json says of PyTorch."""
    path = write_spec(
        folder,
        data={"dataset": "mnist", "validation": f"{VALIDATED} rows", "train_rows": TRAINED, "test_rows": 500},
        model={"name": "mlp", "hidden": [64]},
        optimizer={"name": "sgd", "momentum": 0.9},
        batch_size=BATCH,
        duration="300 steps",
        backends=["torch"],
        arms={"constant": {"schedule": {"name": "constant", "lr": 0.05}}},
        range_test={**LIMITS, "ramp": "exponential", "duration": f"{STEPS} steps", "seeds": SEEDS},
    )
    done = run_clrbench("range-test", path.name, "--threads", 1, folder=folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "results/quick/range-test/bounds.json").read_text())["torch"]
    return found


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Several threads would wait for each other in updates as small as these."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.acceptance
@pytest.mark.usefixtures("one_thread")
def test_both_find_about_the_same_rates(tmp_path: Path) -> None:
    (before, after), command = of_the_loop(), of_the_command(tmp_path)
    for own, theirs, factor in (
        (before.max_lr, command["sweep_max_lr"], 2.5),
        (before.base_lr, command["sweep_base_lr"], 5),
        (after.constant_lr, command["constant_lr"], 10**0.51),  # two steps of the lattice
    ):
        assert own is not None
        assert theirs / factor <= own <= theirs * factor
    assert after.confirmed
    assert command["confirmed"] is True
