"""Street View House Numbers, cropped digits; fetched, for non-commercial use only.

Source: Netzer et al. 2011, "Reading Digits in Natural Images with Unsupervised Feature Learning", format 2.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clrbench.data.content import Array, Arrays, DatasetSizes
from clrbench.data.download import published
from clrbench.data.refusal import decoding, shown
from clrbench.errors import DataError

SIZES = DatasetSizes(train_rows=73_257, test_rows=26_032, image_shape=(32, 32, 3))

_HOST = "http://ufldl.stanford.edu/housenumbers"
FILES = {
    "train": published(
        f"{_HOST}/train_32x32.mat", "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8", 182_040_794
    ),
    "test": published(
        f"{_HOST}/test_32x32.mat", "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b", 64_275_384
    ),
}

_FORMAT = "allowed: SVHN's cropped digits, X uint8[32, 32, 3, rows] and y [rows, 1] of 1 to 10"


def read(files: Mapping[str, Path]) -> Arrays:
    """Return the images and labels in the two verified files; the label 10, which means digit 0, becomes 0."""
    arrays: Arrays = {}
    for split in FILES:
        arrays[f"x_{split}"], arrays[f"y_{split}"] = _read(files[split])
    return arrays


def _read(path: Path) -> tuple[Array, npt.NDArray[np.int64]]:
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    with decoding(path, _FORMAT, "a MATLAB 5 file", also=(MatReadError,)), warnings.catch_warnings(action="ignore"):
        names = [name for name, _, _ in whosmat(path)]
        if names.count("X") != 1 or names.count("y") != 1:
            raise DataError(f"{path}: got the arrays {shown(', '.join(names)) or 'none'}; {_FORMAT}")
        content = loadmat(path, variable_names=["X", "y"])
        images, labels = np.asarray(content["X"]), np.asarray(content["y"])  # a text where scipy warned instead
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != SIZES.image_shape:
            raise DataError(f"{path}: got X of {images.dtype}{list(images.shape)}; {_FORMAT}")
        if labels.shape != (images.shape[3], 1) or labels.size == 0 or not np.isin(labels, range(1, 11)).all():
            raise DataError(f"{path}: got y of {labels.dtype}{list(labels.shape)}; {_FORMAT}")
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels[:, 0].astype(np.int64) % 10
