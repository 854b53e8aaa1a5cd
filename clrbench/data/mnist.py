"""The MNIST database of handwritten digits, bundled with the package.

Source: Y. LeCun and C. Cortes, CC BY-SA 3.0.
"""

from importlib.resources import as_file, files

from clrbench.data.content import Arrays, DatasetSizes
from clrbench.data.idx import read_idx

NAME = "mnist"
LICENCE = "CC BY-SA 3.0"
SIZES = DatasetSizes(train_rows=60_000, test_rows=10_000, image_shape=(28, 28, 1))

_FILES = {
    "x_train": ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "y_train": ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "x_test": ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "y_test": ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
"""File of each array, without its `.gz`, and the sha256 of its unzipped content."""


def read() -> Arrays:
    """Return all 70,000 images and labels, their files verified against the published checksums.

    Raises:
        DataError: If a bundled file is missing or damaged.
    """
    with as_file(files("clrbench.data") / "mnist") as folder:
        return {
            array: read_idx(folder / f"{name}.gz", sha256, "install clrbench again")
            for array, (name, sha256) in _FILES.items()
        }
