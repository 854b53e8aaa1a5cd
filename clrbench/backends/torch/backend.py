"""The PyTorch backend: devices, threads, versions; see `Backend`."""

import torch

from clrbench.backends.common import choose_device
from clrbench.backends.torch.trainer import TorchTrainer
from clrbench.records import Dataset, TrainPlan


def set_threads(num_threads: int) -> None:
    """Fix the CPU threads of this process; see `Backend`."""
    torch.set_num_threads(num_threads)
    # As TensorFlow does: arithmetic on denormal numbers is slow on many processors, and momentum decays into them.
    torch.set_flush_denormal(True)


def find_device(wanted: str) -> str:
    """Return the device to use; see `Backend`."""
    present: tuple[str, ...] = ("cuda",) if torch.cuda.is_available() else ()
    present += ("mps",) if torch.backends.mps.is_available() else ()
    return choose_device(wanted, (*present, "cpu"))


def count_devices(kind: str) -> int:
    """Return how many devices of a kind there are; see `Backend`."""
    return {"cuda": torch.cuda.device_count, "mps": torch.mps.device_count}.get(kind, int)()


def versions() -> dict[str, str]:
    """Return the version of torch."""
    # A plain str: to read the framework's own kind of one, another process would have to import it.
    return {"torch": str(torch.__version__)}


def build(device: str) -> dict[str, str]:
    """Return what torch computes with; see `Backend`."""
    found = {
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkl": "yes" if torch.backends.mkl.is_available() else "no",  # type: ignore[no-untyped-call]
        "onednn": "yes" if torch.backends.mkldnn.is_available() else "no",  # type: ignore[no-untyped-call]
    }
    if device == "cuda":
        found |= {
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
            "device_name": torch.cuda.get_device_name(),
        }
    return found


def make_trainer(plan: TrainPlan, dataset: Dataset, device: str) -> TorchTrainer:
    """Return a trainer that stands before the first step of `plan`; see `Backend`."""
    torch.backends.cudnn.deterministic = True
    # Convolutions in ten bits of precision, torch's habit on a GPU, part from those of a processor within some steps.
    torch.backends.cudnn.allow_tf32 = False
    return TorchTrainer(plan, dataset, device)
