"""Data sets by name or by path: `measure` reads only sizes, `load` reads everything."""

from pathlib import Path

from clrbench.data import mnist, npz
from clrbench.data.content import DatasetSizes
from clrbench.errors import SpecError
from clrbench.records import Dataset

__all__ = ["NAMES", "DatasetSizes", "load", "measure"]

NAMES = (mnist.NAME,)
"""Data sets that are known by name; anything else is the path of an `.npz` file."""


def measure(dataset: str) -> DatasetSizes:
    """Return how large a data set is, without reading its images.

    Args:
        dataset: A name from `NAMES`, or the path of an `.npz` file.

    Raises:
        SpecError: If there is no such name or file.
        DataError: If the file is not a data set.
    """
    if dataset == mnist.NAME:
        return mnist.SIZES
    return npz.measure(_existing_file(dataset))


def load(dataset: str) -> Dataset:
    """Return a data set, read and checked.

    Args:
        dataset: A name from `NAMES`, or the path of an `.npz` file.

    Raises:
        SpecError: If there is no such name or file.
        DataError: If the content is unreadable or not what it should be.
    """
    if dataset == mnist.NAME:
        return mnist.load()
    return npz.load(_existing_file(dataset))


def _existing_file(dataset: str) -> Path:
    path = Path(dataset)
    try:
        exists = path.is_file()
    except OSError:
        exists = False  # such as a name too long for the file system
    if not exists:
        raise SpecError(
            f"got {dataset!r}, and no such file exists; allowed: {', '.join(NAMES)}, or the path of an .npz file with "
            "the arrays x_train, y_train, x_test, y_test",
            key=("data", "dataset"),
        )
    return path
