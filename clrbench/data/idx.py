"""The idx format of the MNIST files.

Source: Y. LeCun and C. Cortes, "The MNIST database of handwritten digits": two zero bytes, the type (8 is uint8), the
number of axes, the length of each as big-endian uint32, then the values.
"""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clrbench.errors import DataError


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
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as err:
        raise DataError(f"{path}: cannot be read ({err}); {remedy}") from err
    got = hashlib.sha256(raw).hexdigest()
    if sha256 not in {None, got}:
        raise DataError(f"{path}: got sha256 {got} of its unzipped content, expected {sha256}; {remedy}")
    return _parse(path, raw, remedy)


def _parse(path: Path, raw: bytes, remedy: str) -> npt.NDArray[np.uint8]:
    start = 4 + 4 * (raw[3] if len(raw) > 3 else 0)
    shape = np.frombuffer(raw[4:start], dtype=">u4") if raw[:3] == b"\0\0\x08" and len(raw) >= start else np.array([-1])
    if len(raw) - start != np.prod(shape, dtype=np.int64):
        raise DataError(f"{path}: got no idx file of bytes; {remedy}")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)
