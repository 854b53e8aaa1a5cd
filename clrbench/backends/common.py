"""What the backends have in common: the constants that a spec does not name, and how a device is chosen."""

from clrbench.errors import BackendError

ADAM_BETAS = (0.9, 0.999)
EPSILON = 1e-7
RMSPROP_RHO = 0.9
ADADELTA_RHO = 0.95
ADAGRAD_ACCUMULATOR = 0.1
BATCH_NORM_MOMENTUM = 0.9
"""Share of the moving statistics that is kept at every step."""
BATCH_NORM_EPSILON = 1e-3

EVALUATION_ROWS = 200
"""Evaluated at once: more costs memory (a convolution of 32 filters makes 26 MB of 200 32 x 32 images), not time."""


def choose_device(wanted: str, present: tuple[str, ...]) -> str:
    """Return `wanted` if it is in `present` (of `cuda`, `mps` and `cpu`, fastest first), or for `auto` the first that is."""
    if wanted == "auto":
        return present[0]
    if wanted not in present:
        raise BackendError(f"--device: no {wanted} here; choose auto or {' or '.join(present)}")
    return wanted
