"""The MNIST database of handwritten digits, bundled with the package.

Source: Y. LeCun and C. Cortes, CC BY-SA 3.0; the idx format is described in the same place.
"""

import gzip
import hashlib
import zlib
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from clrbench.data.content import DatasetSizes, make_dataset
from clrbench.errors import DataError
from clrbench.records import Dataset

NAME = "mnist"
SIZES = DatasetSizes(train_rows=60_000, test_rows=10_000, image_shape=(28, 28, 1))

_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Of the unzipped files."""


def load() -> Dataset:
    """Return all 70,000 images, their files verified against the published checksums.

    Raises:
        DataError: If a bundled file is missing or damaged.
    """
    arrays = {
        "x_train": _read("train-images-idx3-ubyte"),
        "y_train": _read("train-labels-idx1-ubyte"),
        "x_test": _read("t10k-images-idx3-ubyte"),
        "y_test": _read("t10k-labels-idx1-ubyte"),
    }
    return make_dataset(NAME, NAME, arrays)


def _read(name: str) -> npt.NDArray[np.generic]:
    source = files("clrbench.data") / "mnist" / f"{name}.gz"
    try:
        raw = gzip.decompress(source.read_bytes())
    except (OSError, EOFError, zlib.error) as err:
        raise DataError(f"{source}: cannot be read ({err}); install clrbench again") from err
    got = hashlib.sha256(raw).hexdigest()
    if got != _SHA256[name]:
        raise DataError(f"{source}: got sha256 {got}, expected {_SHA256[name]}; install clrbench again")
    return _parse_idx(raw)


def _parse_idx(raw: bytes) -> npt.NDArray[np.generic]:
    """Read idx: two zero bytes, the type (8 is uint8), the number of axes, the length of each as big-endian uint32."""
    num_axes = raw[3]
    shape = np.frombuffer(raw, dtype=">u4", count=num_axes, offset=4)
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * num_axes).reshape(shape)
