"""Street View House Numbers, cropped digits; fetched, for non-commercial use only.

Source: Netzer et al. 2011, "Reading Digits in Natural Images with Unsupervised Feature Learning", format 2.
"""

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from clrbench.data.content import Arrays, DatasetSizes, shown
from clrbench.data.sources import RemoteFile
from clrbench.errors import DataError

NAME = "svhn"
LICENCE = "non-commercial use only"
SIZES = DatasetSizes(train_rows=73_257, test_rows=26_032, image_shape=(32, 32, 3))

_HOST = "http://ufldl.stanford.edu/housenumbers"
FILES = {
    "train": RemoteFile(
        "train_32x32.mat",
        (f"{_HOST}/train_32x32.mat",),
        "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        182_040_794,
    ),
    "test": RemoteFile(
        "test_32x32.mat",
        (f"{_HOST}/test_32x32.mat",),
        "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        64_275_384,
    ),
}


def read(files: Mapping[str, Path]) -> Arrays:
    """Return the images and labels in the two files; the label 10, which means digit 0, becomes 0.

    Args:
        files: Path of each of `FILES`.

    Raises:
        DataError: If a file is not what SVHN's are: MATLAB 5, `X` uint8[32, 32, 3, rows], `y` [rows, 1] of 1 to 10.
    """
    arrays: Arrays = {}
    for split in FILES:
        arrays[f"x_{split}"], arrays[f"y_{split}"] = _read(files[split])
    return arrays


def _read(path: Path) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    try:
        _check_unzipped(path)
        _check_declared(path, whosmat(path))
        content = loadmat(path, variable_names=["X", "y"])
    except (MatReadError, *_READING_ERRORS) as err:
        reason = shown(err) or type(err).__name__
        raise DataError(f"{path}: cannot be read as a MATLAB 5 file ({reason}); {_FORMAT}") from err
    images, labels = content["X"], content["y"]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != SIZES.image_shape:
        raise DataError(f"{path}: got X of {images.dtype}{list(images.shape)}; {_FORMAT}")
    if labels.shape != (images.shape[3], 1) or labels.size == 0 or not np.isin(labels, range(1, 11)).all():
        raise DataError(f"{path}: got y of {labels.dtype}{list(labels.shape)}; {_FORMAT}")
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels[:, 0].astype(np.int64) % 10


def _check_unzipped(path: Path) -> None:
    """Check how long each array of a file really is, before anything is allocated on its word."""
    with path.open("rb") as file:
        order = ">" if file.read(_HEAD_BYTES)[-2:] == b"MI" else "<"
        for _ in range(_MOST_ARRAYS):
            tag = file.read(8)
            if len(tag) < 8:
                return
            kind, num_bytes = struct.unpack(f"{order}II", tag)
            after = file.tell() + num_bytes
            start, total = b"", num_bytes
            if kind == _COMPRESSED:
                start, total = _unzipped(file, num_bytes)
            elif kind == _ARRAY:
                start, total = tag + file.read(_START_BYTES), 8 + num_bytes
            if total > _MOST_BYTES:
                raise ValueError(f"more than {_MOST_BYTES} bytes once unzipped")
            _check_parts(start, total, order)
            file.seek(after)
    raise ValueError(f"more than {_MOST_ARRAYS} arrays")


def _unzipped(file: BinaryIO, num_bytes: int) -> tuple[bytes, int]:
    """Return the start of what a zipped array unzips to, and its length, counted until it is too much."""
    unzipper, start, total = zlib.decompressobj(), b"", 0
    while total <= _MOST_BYTES and (piece := unzipper.unconsumed_tail or file.read(min(num_bytes, _PIECE_BYTES))):
        num_bytes -= 0 if unzipper.unconsumed_tail else len(piece)
        unzipped = unzipper.decompress(piece, _PIECE_BYTES)
        start, total = start or unzipped[:_START_BYTES], total + len(unzipped)
    return start, total


def _check_parts(start: bytes, total: int, order: str) -> None:
    """Check that the parts of an array, which are its shape, its name and its values, are no longer than the whole."""
    at = _PARTS_START
    while at + 8 <= len(start):
        kind, num_bytes = struct.unpack_from(f"{order}II", start, at)
        at += 8 if kind >> 16 else 8 + num_bytes  # a part of up to four bytes stands in its tag
        if at > total:
            raise ValueError("a part that is longer than the whole")
        at += -at % 8


def _check_declared(path: Path, declared: Sequence[tuple[str, tuple[int, ...], str]]) -> None:
    names = [name for name, _, _ in declared]
    if names.count("X") != 1 or names.count("y") != 1:
        raise DataError(f"{path}: got the arrays {shown(', '.join(names)) or 'none'}; {_FORMAT}")
    for name, shape, kind in declared:
        if name in {"X", "y"} and (kind not in _NUMBERS or len(shape) > 4 or math.prod(shape) > _MOST_BYTES):
            raise DataError(f"{path}: got {name} of {shown(kind)}{list(shape)}; {_FORMAT}")


_HEAD_BYTES = 128
_ARRAY, _COMPRESSED = 14, 15
"""What stands in a file: an array as it is, or zipped."""

_MOST_ARRAYS = 100
"""In a file; SVHN's hold two."""

_PARTS_START, _START_BYTES = 24, 1_024
"""Before the parts stand the tag of the array and its flags; a short name and shape end long before."""

_PIECE_BYTES = 2**20
_MOST_BYTES = math.prod(SIZES.image_shape) * SIZES.train_rows + 10_000
"""The larger X, and what describes it."""

_NUMBERS = {"double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}

_READING_ERRORS = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, NotImplementedError),
    *(MemoryError, RecursionError, struct.error, zlib.error),
)
"""What scipy raises on damaged content, beside an error of its own."""

_FORMAT = "allowed: SVHN's cropped digits, X uint8[32, 32, 3, rows] and y [rows, 1] of 1 to 10"
