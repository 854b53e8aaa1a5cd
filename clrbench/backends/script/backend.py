"""What a worker that runs scripts needs of a backend; see `Backend`. The runs themselves are made in `execution/script.py`."""

from clrbench.backends.protocol import Trainer
from clrbench.errors import BackendError
from clrbench.records import Dataset, TrainPlan

DEVICE = "own"
"""Whatever device the script takes."""


def set_threads(_num_threads: int) -> None:
    """Do nothing: the script is told its threads by OMP_NUM_THREADS."""


def find_device(_wanted: str) -> str:
    """Return what stands for the device that the script takes; commands refuse to choose one before they ask."""
    return DEVICE


def count_devices(_kind: str) -> int:
    """Return 0: the devices that the script may use are its own, and no worker is pinned to one."""
    return 0


def versions() -> dict[str, str]:
    """Return nothing: the script has an environment of its own."""
    return {}


def build(_device: str) -> dict[str, str]:
    """Return nothing: what the script computes with is known to the script alone."""
    return {}


def make_trainer(_plan: TrainPlan, _dataset: Dataset, _device: str) -> Trainer:
    """Raise BackendError: a script has no step that could be called."""
    raise BackendError("a script (train) is run as a whole, so no step of it can be made alone; use clrbench compare")
