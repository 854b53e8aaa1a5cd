"""What a data set is, once it is read: rows, values and classes of each split, looked at once and kept."""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from clrbench import files
from clrbench.hits import count_by_class
from clrbench.records import Dataset, Images, IntArray, Remarks

VERSION = 2
"""Raised by hand whenever the same data would be described otherwise."""

MAX_ROWS_LOOKED_AT = 20_000
"""Rows of a split whose values are looked at; of more, so many at equal distances."""

MAX_BYTES_COMPARED = 2**30
"""Bytes of images of both splits that are searched for rows that both have; of more, the rows that are looked at."""


@dataclass(frozen=True)
class SplitFacts:
    """What the rows of a split hold; the values are those of the `looked_at` rows, as they are in the arrays."""

    rows: int
    class_counts: tuple[int, ...]
    looked_at: int
    smallest: float
    largest: float
    mean: float


@dataclass(frozen=True)
class Description:
    """What a data set is.

    Attributes:
        image_shape: Height, width and channels; or the shape of a row of another form.
        pixel_type: uint8, float32 or int32.
        repeated: How many test rows are training rows as well, pixel by pixel.
        is_repeated_sampled: Whether they were searched for among the rows looked at alone.
        is_one_image: Whether every training row that was looked at is the same image.
        validation: Of rows that their owner has set apart; None where there are none.
        validation_repeated: As `repeated`, of these rows.
    """

    image_shape: tuple[int, ...]
    pixel_type: str
    train: SplitFacts
    test: SplitFacts
    repeated: int
    is_repeated_sampled: bool
    is_one_image: bool
    remarks: Remarks
    validation: SplitFacts | None = None
    validation_repeated: int = 0

    def to_json(self) -> bytes:
        """Return the description as the content of a file."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def describe(dataset: Dataset) -> Description:
    """Return what a data set is; of a split of more than `MAX_ROWS_LOOKED_AT` rows a sample is looked at."""
    train, test = _looked_at(dataset.x_train), _looked_at(dataset.x_test)
    x_validation, y_validation = dataset.x_validation, dataset.y_validation
    num_bytes = sum(images.nbytes for images in (dataset.x_train, dataset.x_test, x_validation) if images is not None)
    is_sampled = num_bytes > MAX_BYTES_COMPARED
    compared = (train, test) if is_sampled else (dataset.x_train, dataset.x_test)
    own, own_repeated = None, 0
    if x_validation is not None and y_validation is not None:
        seen = _looked_at(x_validation)
        own = _facts(seen, y_validation, dataset.num_classes)
        own_repeated = _repeated(compared[0], seen if is_sampled else x_validation)
    return Description(
        image_shape=dataset.image_shape,
        pixel_type=dataset.x_train.dtype.name,
        train=_facts(train, dataset.y_train, dataset.num_classes),
        test=_facts(test, dataset.y_test, dataset.num_classes),
        repeated=_repeated(*compared),
        is_repeated_sampled=is_sampled,
        is_one_image=bool((train == train[:1]).all()),
        remarks=dataset.remarks,
        validation=own,
        validation_repeated=own_repeated,
    )


def read_description(path: Path) -> Description | None:
    """Return a description that is kept in a file; None where there is none that can be read."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        content = json.loads(files.read_file(path))
        remarks = Remarks(*(tuple(content["remarks"][entry.name]) for entry in fields(Remarks)))
        splits = {
            split: SplitFacts(**{**facts, "class_counts": tuple(facts["class_counts"])})
            for split, facts in ((split, content[split]) for split in ("train", "test", "validation"))
            if facts is not None
        }
        shape = tuple(content["image_shape"])
        return Description(**{**content, "image_shape": shape, "remarks": remarks, **splits})
    return None


def _looked_at(images: Images) -> Images:
    if len(images) <= MAX_ROWS_LOOKED_AT:
        return images
    sample: Images = images[np.linspace(0, len(images) - 1, MAX_ROWS_LOOKED_AT).astype(int)]
    return sample


def _facts(looked_at: Images, labels: IntArray, num_classes: int) -> SplitFacts:
    return SplitFacts(
        rows=len(labels),
        class_counts=count_by_class(labels, num_classes),
        looked_at=len(looked_at),
        smallest=float(looked_at.min()),
        largest=float(looked_at.max()),
        mean=float(looked_at.mean(dtype=np.float64)),
    )


def _repeated(train: Images, test: Images) -> int:
    """Return how many test images are training images as well."""
    if train.dtype != test.dtype:
        return 0
    wanted = Counter(row.tobytes() for row in test)
    found = {content for row in train if (content := row.tobytes()) in wanted}
    return sum(wanted[content] for content in found)
