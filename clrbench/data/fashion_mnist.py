"""Fashion-MNIST, in MNIST's format and sizes; fetched, or read from where Debian's `dataset-fashion-mnist` puts it.

Source: Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset", MIT licence.
"""

from collections.abc import Mapping
from pathlib import Path

from clrbench.data import mnist
from clrbench.data.content import Arrays
from clrbench.data.download import RemoteFile, published

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

_HOST = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"


def _file(name: str, sha256: str, num_bytes: int) -> RemoteFile:
    return published(f"{_HOST}/{name}", sha256, num_bytes)


FILES = {
    "train_images": _file(
        "train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880
    ),
    "train_labels": _file(
        "train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515
    ),
    "test_images": _file(
        "t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102
    ),
    "test_labels": _file(
        "t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148
    ),
}

_UNZIPPED_SHA256 = {
    "train_images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train_labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "test_images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "test_labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""Debian compresses the files again, so that only their content is as published."""

_ARRAYS = {"x_train": "train_images", "y_train": "train_labels", "x_test": "test_images", "y_test": "test_labels"}


def has_debian_files() -> bool:
    """Return whether Debian's package is installed."""
    return all((DEBIAN_FOLDER / file.name).is_file() for file in FILES.values())


def read_debian() -> Arrays:
    """Return the images and labels that Debian's package holds, verified."""
    advice = "reinstall Debian's package dataset-fashion-mnist"
    return {
        array: mnist.read_idx(DEBIAN_FOLDER / FILES[key].name, _UNZIPPED_SHA256[key], advice)
        for array, key in _ARRAYS.items()
    }


def read(files: Mapping[str, Path]) -> Arrays:
    """Return the images and labels in verified files."""
    return {
        array: mnist.read_idx(files[key], None, "allowed: a gzipped idx file, as MNIST's")
        for array, key in _ARRAYS.items()
    }
