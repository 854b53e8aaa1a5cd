"""What is trained: networks, images, batches and rates, the same for clrbench and for its peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from clrbench.data import Library
from clrbench.models import ModelSettings
from clrbench.records import Dataset, FloatArray, IntArray

Epoch: TypeAlias = Callable[[], float]
"""Trains for an epoch, and returns the seconds that this took, without what a peer sets up before."""

HIDDEN = (100, 50)
FILTERS, DENSE = (32, 64), 128
MOMENTUM = 0.9
BASE_LR, MAX_LR = 0.01, 0.1
STEP_SIZE_EPOCHS = 2
MNIST_ROWS, COLOUR_ROWS = 60_000, 2_000
MAX_STEPS = 100
"""Of an epoch: short turns, so that what slows the machine down for a moment meets all contenders."""

NUM_CLASSES = 10


@dataclass(frozen=True)
class Case:
    """A network, trained on the first rows of its data.

    Attributes:
        model: `mlp` on MNIST, 28 x 28 x 1; `cnn` on noise, 32 x 32 x 3.
        batch_size: Divides the rows.
        threads: Of every contender.
        device: cpu or cuda.
    """

    model: str
    batch_size: int
    threads: int
    device: str = "cpu"

    @property
    def name(self) -> str:
        """What sets it apart from the other cases of a backend."""
        where = "" if self.device == "cpu" else f" on {self.device}"
        return f"{self.model}, batch {self.batch_size}{where}"

    @property
    def settings(self) -> ModelSettings:
        """The network as clrbench builds it."""
        return ModelSettings(self.model, hidden=HIDDEN)

    def dataset(self) -> Dataset:
        """Return its data, bytes."""
        return Library().load("mnist") if self.model == "mlp" else _noise()

    def scaled(self) -> tuple[FloatArray, IntArray]:
        """Return float32[rows, height, width, channels] in 0..1, and int32[rows]."""
        dataset = self.dataset()
        return dataset.x_train[: self.num_rows].astype(np.float32) / np.float32(255), dataset.y_train[: self.num_rows]

    @property
    def num_rows(self) -> int:
        """How many rows are trained on in an epoch."""
        return min(MNIST_ROWS, MAX_STEPS * self.batch_size) if self.model == "mlp" else COLOUR_ROWS

    def batches(self) -> IntArray:
        """Return the rows of every batch of an epoch, int32[num_steps, batch_size]."""
        rows = np.random.default_rng(0).permutation(self.num_rows)
        return rows.reshape(-1, self.batch_size).astype(np.int32)

    @property
    def num_steps(self) -> int:
        """How many updates an epoch has."""
        return self.num_rows // self.batch_size

    def rates(self) -> FloatArray:
        """Return the rates of an epoch, float32[num_steps]: the first half of a rise."""
        rise = np.arange(self.num_steps) / (STEP_SIZE_EPOCHS * self.num_steps)
        return (BASE_LR + (MAX_LR - BASE_LR) * rise).astype(np.float32)

    def dense_shapes(self) -> tuple[tuple[int, int], ...]:
        """Return the shape of every kernel of the mlp, (in, out)."""
        units = (28 * 28, *HIDDEN, NUM_CLASSES)
        return tuple(pairwise(units))


def _noise() -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COLOUR_ROWS, 32, 32, 3), np.uint8)
    labels = (np.arange(COLOUR_ROWS) % NUM_CLASSES).astype(np.int32)
    return Dataset("noise", images, labels, images[:100], labels[:100], NUM_CLASSES, checksum="")


Contenders: TypeAlias = Mapping[str, Callable[[Case], Epoch]]
"""What makes an epoch of each contender, by its name."""

CLRBENCH = "clrbench"
