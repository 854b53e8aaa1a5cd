"""Warnings about data that loads and is perhaps not what its owner means, each with the line that mends it."""

from collections.abc import Iterator

from clrbench.data import Description
from clrbench.planning.plan import MAX_SCALED
from clrbench.spec.model import Data

MAX_DIM_BYTE = 16
"""Bytes that end here or below use a sixteenth of their range."""

MAX_RANGE_RATIO = 4.0
"""Splits whose values differ by more than this factor are taken to be in different units."""

REPEATED_SHARE = 0.01
"""Of the test rows, from which on rows that were trained on are warned about; below, they are only counted."""

MIN_ROWS_PER_CLASS = 2.0
"""Training rows of a class, on average, below which labels are taken for something else."""


def data_warnings(found: Description, data: Data) -> list[str]:
    """Return what looks unmeant in the data of a spec; nothing here names a folder of the user's."""
    parts = (_axes(found), _values(found, data), _ranges(found), _one_image(found), _repeated(found), _classes(found))
    return [*found.remarks.warned, *(warning for part in parts for warning in part)]


def _axes(found: Description) -> Iterator[str]:
    height, width, channels = found.image_shape
    if height in {1, 3} and channels not in {1, 3} and width > 1:
        yield (
            f"images of {height} x {width} x {channels} (height x width x channels) look as if their channels came first; "
            "turn them: x_train = np.moveaxis(x_train, 1, -1), and x_test likewise"
        )


def _values(found: Description, data: Data) -> Iterator[str]:
    smallest, largest = found.train.smallest, found.train.largest
    where = f"x_train goes from {smallest:.4g} to {largest:.4g}"
    if found.is_one_image or data.preprocessing == "standardise":
        return
    if found.pixel_type == "uint8" and largest <= MAX_DIM_BYTE:
        yield (
            f"{where}, while bytes are divided by 255: the network sees at most {largest / 255:.2g}; say preprocessing: "
            f"standardise, or save floats from 0 to 1: x_train = (x_train / {max(largest, 1):g}).astype('float32'), and x_test "
            "likewise"
        )
    size = max(abs(smallest), abs(largest))
    if found.pixel_type != "uint8" and size > MAX_SCALED:
        yield (
            f"{where}, outside the -{MAX_SCALED:g} to {MAX_SCALED:g} that networks are made for; preprocessing: scale divides it "
            f"by about {size:.4g}, the largest of the training rows; to do so yourself: x_train = x_train / {size:.6g}, x_test "
            "likewise, or say preprocessing: standardise"
        )


def _ranges(found: Description) -> Iterator[str]:
    train, test = (max(abs(split.smallest), abs(split.largest)) for split in (found.train, found.test))
    if found.pixel_type == "uint8" and max(train, test) > 4 * MAX_DIM_BYTE:
        ratio_matters = min(train, test) <= MAX_DIM_BYTE
    else:
        ratio_matters = max(train, test) > MAX_RANGE_RATIO * min(train, test)
    if ratio_matters:
        smaller, larger = ("x_test", "x_train") if test < train else ("x_train", "x_test")
        factor = 255 if {round(train), round(test)} == {1, 255} else max(train, test) / max(min(train, test), 1e-30)
        yield (
            f"x_train goes from {found.train.smallest:g} to {found.train.largest:g}, but x_test from {found.test.smallest:g} to "
            f"{found.test.largest:g}: are they in one unit? Where {larger} is right: {smaller} = {smaller} * {factor:.4g}"
        )


def _one_image(found: Description) -> Iterator[str]:
    if found.is_one_image:
        yield (
            "every training image is the same one: there is nothing to learn; look at what was saved, such as icons whose "
            "shape is in their transparency alone"
        )


def _repeated(found: Description) -> Iterator[str]:
    if found.repeated >= REPEATED_SHARE * found.test.looked_at:
        yield (
            f"{found.repeated} of {found.test.rows} test images are training images as well, pixel by pixel: test accuracy is "
            "too good by them; take them out of one of the two"
        )


def _classes(found: Description) -> Iterator[str]:
    classes = len(found.train.class_counts)
    if found.train.rows < MIN_ROWS_PER_CLASS * classes:
        yield (
            f"{classes} classes for {found.train.rows} training images: are the labels numbers to be predicted, or row numbers?"
        )
