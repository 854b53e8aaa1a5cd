"""A user's own images, read with Pillow: the folders `train/<class>/` and `test/<class>/`, or `<class>/` alone.

There may be `validation/<class>/` beside `train/`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clrbench import files
from clrbench.counted import counted
from clrbench.data import decode
from clrbench.data.content import Arrays, DatasetSizes, check_fits_memory
from clrbench.data.image_listing import MAX_NAMES, Listing, list_images
from clrbench.data.progress import Advance
from clrbench.data.reading import AS_IT_IS, Reading
from clrbench.data.refusal import misfit, shown_path

_SUGGESTED_SIDES = (32, 64, 96, 128, 224)


def measure(folder: Path, how: Reading = AS_IT_IS) -> DatasetSizes:
    """Return how large the data set in a folder is, from the number of its files and the first image of each split."""
    listing = list_images(folder, splitting=how.splits)
    shape = _common_shape(listing, [split.paths[0] for split in listing.splits.values()], how)
    _check_memory(folder, listing, shape)
    rows = {name: len(split.paths) for name, split in listing.splits.items()}
    test_rows = how.test_rows(rows["train"]) if how.splits else rows["test"]
    train_rows = rows["train"] - test_rows if how.splits else rows["train"]
    return DatasetSizes(train_rows, test_rows, shape, rows.get("validation", 0))


def fingerprint_of(listing: Listing) -> str:
    """Return a SHA-256, in hex, that changes when an image is added, removed, renamed or written again."""
    with decode.reading(listing.folder):
        return files.fingerprint(listing.folder, (os.path.relpath(image, listing.folder) for image in listing.paths))


def read(folder: Path, advance: Advance, how: Reading = AS_IT_IS, tally: Counter[str] | None = None) -> Arrays:
    """Return all images and labels of a folder, ordered by class and then by file name.

    Returns:
        x_train, x_test and, where there is `validation/`, x_validation: uint8[rows, height, width, channels] with one
        channel if every image is gray and else three; their labels y_train and so on, int32[rows], 0 for the class whose
        name comes first. Where the folder is to be split, all of `train/` is in x_train and y_train. `tally` counts what was
        done to images, by `decode.CONVERSIONS`.
    """
    listing = list_images(folder, splitting=how.splits)
    shape = _common_shape(listing, listing.paths, how)
    _check_memory(folder, listing, shape)
    tally = Counter() if tally is None else tally
    mode: decode.Mode = "L" if shape[2] == 1 else "RGB"
    arrays: Arrays = {}
    for name, split in listing.splits.items():
        images = arrays[f"x_{name}"] = np.empty((len(split.paths), *shape), np.uint8)
        for row, path in enumerate(split.paths):
            pixels = decode.decode(path, mode, how.resize, tally)
            if pixels.shape != shape:  # an orientation that stands behind the pixels of a PNG
                raise _other_size(listing, path, pixels.shape[1::-1], shape[1::-1])
            images[row] = pixels
            advance(1)
        arrays[f"y_{name}"] = np.array(listing.labels(split), np.int32)
    return arrays


def _check_memory(folder: Path, listing: Listing, shape: tuple[int, int, int]) -> None:
    check_fits_memory(str(folder), {"images": ((len(listing.paths), *shape), np.dtype(np.uint8))})


def _common_shape(listing: Listing, images: Sequence[str], how: Reading) -> tuple[int, int, int]:
    """Return height, width and channels of images that must have one size, unless they are resized."""
    headers = [decode.read_header(path) for path in images]
    channels = 1 if all(header.is_gray for header in headers) else 3
    if how.resize is not None:
        return how.resize, how.resize, channels
    first = headers[0].size
    for path, header in zip(images, headers, strict=True):
        if header.size != first:
            raise _other_size(listing, path, header.size, first)
    width, height = first
    return height, width, channels


def _other_size(listing: Listing, path: str, size: tuple[int, ...], first: tuple[int, ...]) -> Exception:
    """Return the error for images of several sizes, which says how many have which."""
    sizes = Counter(decode.read_header(image).size for image in listing.paths)
    most = ", ".join(f"{number} of {width} x {height}" for (width, height), number in sizes.most_common(MAX_NAMES))
    more = f" and {counted(len(sizes) - MAX_NAMES, 'other size')}" if len(sizes) > MAX_NAMES else ""
    smallest = min(min(size) for size in sizes)
    side = max((side for side in _SUGGESTED_SIDES if side <= smallest), default=_SUGGESTED_SIDES[0])
    return misfit(
        f"{shown_path(path)}: got {size[0]} x {size[1]} pixels (width x height), while {shown_path(listing.paths[0])} has "
        f"{first[0]} x {first[1]}; all images must have one size, and here are {most}{more}; resize them first, or "
        f"centre-crop and resize each: data: {{dataset: {shown_path(listing.folder)}, resize: {side}}}"
    )
