"""The Keras backend, on TensorFlow: devices, threads, versions; see `Backend`."""

import sys

from clrbench.backends.common import choose_device
from clrbench.backends.keras.imports import keras, tf
from clrbench.backends.keras.trainer import KerasTrainer
from clrbench.errors import BackendError
from clrbench.records import Dataset, TrainPlan


def set_threads(num_threads: int) -> None:
    """Fix the CPU threads of this process; see `Backend`."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(num_threads)
        # More would run operations side by side, on more cores than asked for.
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as err:
        raise BackendError(
            f"threads: got {num_threads}, but TensorFlow has already started in this process; start a new process"
        ) from err


def find_device(wanted: str) -> str:
    """Return the device to use; see `Backend`."""
    gpu = "mps" if sys.platform == "darwin" else "cuda"
    present = (gpu,) if tf.config.list_physical_devices("GPU") else ()
    return choose_device(wanted, (*present, "cpu"))


def count_devices(kind: str) -> int:
    """Return how many devices of a kind there are; see `Backend`."""
    return 0 if kind == "cpu" else len(tf.config.list_physical_devices("GPU"))


def versions() -> dict[str, str]:
    """Return the versions of keras and tensorflow."""
    return {"keras": keras.__version__, "tensorflow": tf.__version__}


def build(device: str) -> dict[str, str]:
    """Return what TensorFlow was built with; see `Backend`."""
    known = tf.sysconfig.get_build_info()
    names = {"cpu_compiler": "compiler"}
    if device == "cuda":
        names |= {"cuda_version": "cuda", "cudnn_version": "cudnn"}
    # The compiler may be given with the folder that it lay in.
    found = {name: str(known[key]).rpartition("/")[2] for key, name in names.items() if key in known}
    if device != "cpu":
        (gpu, *_) = tf.config.list_physical_devices("GPU")
        found["device_name"] = tf.config.experimental.get_device_details(gpu).get("device_name", "unknown")
    return found


def make_trainer(plan: TrainPlan, dataset: Dataset, device: str) -> KerasTrainer:
    """Return a trainer that stands before the first step of `plan`; see `Backend`."""
    if device != "cpu":
        tf.config.experimental.enable_op_determinism()
        # Ten bits of precision, TensorFlow's habit on a GPU, part from the numbers of a processor within some steps.
        tf.config.experimental.enable_tensor_float_32_execution(False)
    return KerasTrainer(plan, dataset, device)
