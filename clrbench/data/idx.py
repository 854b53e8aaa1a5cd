"""The idx format of the MNIST files.

Source: Y. LeCun and C. Cortes, "The MNIST database of handwritten digits": two zero bytes, the type (8 is uint8), the
number of axes, the length of each as big-endian uint32, then the values.
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clrbench.data.content import shown
from clrbench.errors import DataError

MOST_BYTES = 16 + 60_000 * 28 * 28
"""Of the largest of these files once it is unzipped; no more is unzipped of any."""


def read_idx(path: Path, sha256: str | None, remedy: str) -> npt.NDArray[np.uint8]:
    """Return the array in a gzipped idx file.

    Args:
        path: Of the file.
        sha256: Of its unzipped content, in hex; None where the file itself has been verified.
        remedy: What an error message tells the user to do.

    Raises:
        DataError: If the file is missing, damaged or another than expected.
    """
    try:
        with gzip.open(path) as file:
            raw = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as err:
        raise DataError(f"{path}: cannot be read ({shown(err)}); {remedy}") from err
    if len(raw) > MOST_BYTES:
        raise DataError(f"{path}: got more than {MOST_BYTES} bytes once unzipped; {remedy}")
    got = hashlib.sha256(raw).hexdigest()
    if sha256 not in {None, got}:
        raise DataError(f"{path}: got sha256 {got} of its unzipped content, expected {sha256}; {remedy}")
    return _parse(path, raw, remedy)


def _parse(path: Path, raw: bytes, remedy: str) -> npt.NDArray[np.uint8]:
    num_axes = raw[3] if len(raw) > 3 and raw[:3] == b"\0\0\x08" else 0
    start = 4 + 4 * num_axes
    shape = [int(length) for length in np.frombuffer(raw[4:start], dtype=">u4")] if len(raw) >= start else []
    if num_axes not in {1, 3} or len(raw) - start != math.prod(shape):
        raise DataError(f"{path}: got no idx file of bytes; {remedy}")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)
