"""What a backend is, and loading one by name; the frameworks are imported only when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, TypeAlias, cast

import numpy.typing as npt

from clrbench.errors import BackendError
from clrbench.records import Dataset, Evaluation, FloatArray, IntArray, Split, StepLog, TrainPlan

State: TypeAlias = Mapping[str, npt.NDArray[Any]]

_PACKAGES = {"torch": ("torch",), "keras": ("keras", "tensorflow")}
BACKENDS = tuple(_PACKAGES)

# The constants that a spec does not name, the same on every backend.
ADAM_BETAS = (0.9, 0.999)
EPSILON = 1e-7
RMSPROP_RHO = 0.9
ADADELTA_RHO = 0.95
ADAGRAD_ACCUMULATOR = 0.1
BATCH_NORM_MOMENTUM = 0.9  # share of the moving statistics that is kept at every step
BATCH_NORM_EPSILON = 1e-3
EVALUATION_ROWS = (
    200  # at once: more costs memory (a convolution of 32 filters makes 26 MB of 200 32 x 32 images), not time
)


class Trainer(Protocol):
    """One model under training; a backend makes it from a plan and a data set, on a device."""

    def train(self, batches: IntArray, lr: FloatArray) -> StepLog:
        """Make one update for every row of `batches` and return what each mini-batch gave before its update.

        Args:
            batches: int32[k, batch_size], rows of `Dataset.x_train`; k may be 0, which only compiles.
            lr: float32[k], the rate of every update.
        """
        ...

    def feed(self, batches: IntArray) -> None:
        """Bring the rows of every batch to the device as `train` does, train nothing, and wait until they are there.

        Args:
            batches: int32[k, batch_size], rows of `Dataset.x_train`.
        """
        ...

    def evaluate(self, split: Split) -> Evaluation:
        """Return loss and accuracy over the rows of `split`, as at inference; nan where it has no rows."""
        ...

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that the next step depends on: weights, optimizer, last rate, random numbers.

        Weights stand under the names of `models.weight_shapes`, in that layout, on every backend.
        """
        ...

    def restore(self, state: State) -> None:
        """Continue, bit for bit, where a trainer of the same plan and backend was when it gave `state`."""
        ...


class Backend(Protocol):
    """What the module of a backend offers."""

    def make_trainer(self, plan: TrainPlan, dataset: Dataset, device: str) -> Trainer:
        """Return a trainer that stands before the first step of `plan`.

        Args:
            plan: What to train, its initial weights, and by which pipeline the images reach it.
            dataset: The images; kept on the device as they are, or (`stream`) never read whole.
            device: What `find_device` returned.
        """
        ...

    def set_threads(self, num_threads: int) -> None:
        """Fix the CPU threads of this process, once, before anything runs.

        Raises:
            BackendError: If the framework has already started with another number.
        """
        ...

    def find_device(self, wanted: str) -> str:
        """Return the device to use: `wanted`, or for `auto` the fastest kind there is (cuda, mps, cpu).

        Raises:
            BackendError: If there is no such device.
        """
        ...

    def versions(self) -> dict[str, str]:
        """Return the version of each framework package, by name."""
        ...

    def build(self, device: str) -> dict[str, str]:
        """Return what the framework was built with and computes with, as far as it may change numbers on a device.

        Args:
            device: What `find_device` returned.
        """
        ...


def installed() -> tuple[str, ...]:
    """Return the names of the backends whose packages are there, without importing them."""
    return tuple(name for name, packages in _PACKAGES.items() if not _missing(packages))


def load(name: str) -> Backend:
    """Import a backend.

    Args:
        name: One of `BACKENDS`.

    Returns:
        Its module.

    Raises:
        BackendError: If there is no such backend, or a package of it is missing or cannot be imported.
    """
    if name not in _PACKAGES:
        raise BackendError(f"no backend {name!r}; choose {', '.join(BACKENDS)}")
    if missing := _missing(_PACKAGES[name]):
        raise BackendError(f"the {name} backend needs {' and '.join(missing)}: pip install 'clrbench[{name}]'")
    try:
        return cast(Backend, import_module(f"clrbench.backends.{name}_backend"))
    except ImportError as err:
        raise BackendError(f"the {name} backend cannot be imported ({err}): pip install 'clrbench[{name}]'") from err


def choose_device(wanted: str, present: tuple[str, ...]) -> str:
    """Return `wanted` if it is present, or for `auto` the first that is.

    Args:
        wanted: `auto`, `cuda`, `mps` or `cpu`.
        present: The devices of this machine, best first.

    Raises:
        BackendError: If there is no such device.
    """
    if wanted == "auto":
        return present[0]
    if wanted not in present:
        raise BackendError(f"--device: no {wanted} here; choose auto or {' or '.join(present)}")
    return wanted


def _missing(packages: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(package for package in packages if find_spec(package) is None)
