"""Keras on TensorFlow, imported once, quietly and with the settings of this package rather than of ~/.keras."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from clrbench.errors import BackendError

__all__ = ["keras", "tf"]

STDERR = 2


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Send the file descriptor of stderr nowhere: TensorFlow writes to it before any setting could stop it."""
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)


os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with _silent_stderr():
    import keras

if keras.config.backend() != "tensorflow":
    raise BackendError(
        f"keras has already been imported on its {keras.config.backend()} backend; "
        "set KERAS_BACKEND=tensorflow before anything imports it"
    )

with _silent_stderr():
    import tensorflow as tf

keras.config.set_floatx("float32")
keras.config.set_image_data_format("channels_last")
tf.get_logger().setLevel("ERROR")
