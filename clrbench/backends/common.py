"""What the backends have in common: constants that a spec does not name, rows evaluated at once, how a device is chosen."""

import numpy as np

from clrbench.errors import BackendError
from clrbench.layers import Layer
from clrbench.models import largest_activation
from clrbench.records import Images, TrainPlan, holds_bytes

ADAM_BETAS = (0.9, 0.999)
EPSILON = 1e-7
RMSPROP_RHO = 0.9
ADADELTA_RHO = 0.95
ADAGRAD_ACCUMULATOR = 0.1
BATCH_NORM_MOMENTUM = 0.9
"""Share of the moving statistics that is kept at every step."""
BATCH_NORM_EPSILON = 1e-3

ACTIVATION_BYTES = 12 * 2**20
"""Of the largest float32 values between two layers, over all rows that are evaluated at once.

Fewer rows leave a processor waiting for the next call; more no longer fit its caches, and memory that is asked for anew at
every layer costs more than the layer (docs/decisions/0027).
"""
MIN_EVALUATION_ROWS, MAX_EVALUATION_ROWS = 50, 1000


def evaluation_rows(layers: tuple[Layer, ...], image_shape: tuple[int, ...]) -> int:
    """Return how many rows to evaluate at once: as many as `ACTIVATION_BYTES` allows, within the bounds."""
    row_bytes = np.dtype(np.float32).itemsize * largest_activation(layers, image_shape)
    return min(max(ACTIVATION_BYTES // row_bytes, MIN_EVALUATION_ROWS), MAX_EVALUATION_ROWS)


def keeps_integers(plan: TrainPlan, images: Images) -> bool:
    """Return whether whole numbers reach the network as such: those that are no bytes of images, in one of the user's own."""
    return (
        plan.network is not None
        and plan.standardisation is None
        and images.dtype.kind in "iu"
        and not holds_bytes(images)
    )


def choose_device(wanted: str, present: tuple[str, ...]) -> str:
    """Return `wanted` if it is in `present` (of `cuda`, `mps` and `cpu`, fastest first), or for `auto` the first that is."""
    if wanted == "auto":
        return present[0]
    if wanted not in present:
        raise BackendError(f"device: no {wanted} here; choose auto or {' or '.join(present)}")
    return wanted
