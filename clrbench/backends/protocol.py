"""What a backend offers, and what a trainer made by one does."""

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from clrbench.layers import BuiltNetwork
from clrbench.records import Dataset, FloatArray, IntArray, Scores, Split, StepLog, TrainPlan

State: TypeAlias = Mapping[str, npt.NDArray[np.generic]]


class Trainer(Protocol):
    """One model under training; a backend makes it from a plan and a data set, on a device."""

    @property
    def network(self) -> BuiltNetwork | None:
        """What there is to know of a network of the user's own; None for a built-in one."""

    def train(self, batches: IntArray, lr: FloatArray) -> StepLog:
        """Make one update for every row of `batches` and return what each mini-batch gave before its update.

        `batches` is int32[k, batch_size], rows of `Dataset.x_train`; k may be 0, which only compiles. `lr` is float32[k].
        """

    def feed(self, batches: IntArray) -> None:
        """Bring the rows of every batch to the device as `train` does, train nothing, and wait until they are there."""

    def evaluate(self, split: Split) -> Scores:
        """Return the mean loss over the rows of `split`, as at inference, and which of them are right."""

    def state(self) -> State:
        """Return copies of all that the next step depends on: weights, optimizer, last rate, random numbers.

        Weights stand under the names of `models.weight_shapes`, in that layout, on every backend.
        """

    def restore(self, state: State) -> None:
        """Continue, bit for bit, from the state of a trainer of the same plan and backend."""


class Backend(Protocol):
    """What the module of a backend offers."""

    def make_trainer(self, plan: TrainPlan, dataset: Dataset, device: str) -> Trainer:
        """Return a trainer before the first step of `plan`, on a device that `find_device` returned.

        The images are kept on the device as they are, or (where `plan.pipeline` is `stream`) never read whole.

        Raises:
            BackendError: If a network of the user's own cannot be built or used.
        """

    def set_threads(self, num_threads: int) -> None:
        """Fix the CPU threads of this process, once, before anything runs.

        Raises:
            BackendError: If the framework has already started with another number.
        """

    def find_device(self, wanted: str) -> str:
        """Return the device to use: `wanted`, or for `auto` the fastest kind there is (cuda, mps, cpu).

        Raises:
            BackendError: If there is no such device.
        """

    def count_devices(self, kind: str) -> int:
        """Return how many devices of a kind that `find_device` returned this process sees; 0 for cpu."""

    def versions(self) -> dict[str, str]:
        """Return the version of each framework package, by name."""

    def build(self, device: str) -> dict[str, str]:
        """Return what the framework was built with and computes with, as far as it may change numbers on `device`."""
