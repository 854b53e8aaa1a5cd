"""A user's own images: the folders `train/<class>/` and `test/<class>/`, read with Pillow."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clrbench import files
from clrbench.data.content import Arrays, DatasetSizes, check_fits_memory
from clrbench.data.progress import Advance
from clrbench.data.refusal import decoding, misfit, shown, shown_path

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM", "WEBP")
"""Pillow goes by the content, and would hand a file that is PostScript inside to another program."""

_GRAY_MODES = frozenset({"1", "L"})

_reading = partial(decoding, advice="replace or remove it")

_ALLOWED = f"allowed: train/<class>/ and test/<class>/ with images ({', '.join(_SUFFIXES)}) in each"


def measure(folder: Path) -> DatasetSizes:
    """Return how large the data set in a folder is, from the number of its files and the first image of each split."""
    train, test = _list(folder)
    return _measure(folder, train, test, (train[0], test[0]))


def fingerprint(folder: Path) -> str:
    """Return a SHA-256, in hex, that changes when an image is added, removed, renamed or written again."""
    images = chain(*_list(folder))
    with _reading(folder):
        return files.fingerprint(folder, (os.path.relpath(image, folder) for image in images))


def read(folder: Path, advance: Advance) -> Arrays:
    """Return all images and labels of a folder, ordered by class and then by file name.

    Returns:
        x_train and x_test, uint8[rows, height, width, channels] with one channel if every image is gray and else
        three; y_train and y_test, int32[rows], 0 for the class whose name comes first.
    """
    train, test = _list(folder)
    shape = _measure(folder, train, test, (*train, *test)).image_shape
    labels = {name: label for label, name in enumerate(dict.fromkeys(map(_class_name, train)))}
    mode = "L" if shape[2] == 1 else "RGB"
    arrays: Arrays = {}
    for split, paths in (("train", train), ("test", test)):
        images = arrays[f"x_{split}"] = np.empty((len(paths), *shape), np.uint8)
        for row, path in enumerate(paths):
            with _opened(path) as image:
                images[row] = np.asarray(image.convert(mode)).reshape(shape)
            advance(1)
        arrays[f"y_{split}"] = np.array([labels[_class_name(path)] for path in paths], np.int32)
    return arrays


def _class_name(path: str) -> str:
    return Path(path).parent.name


def _measure(folder: Path, train: list[str], test: list[str], images: Sequence[str]) -> DatasetSizes:
    """Return how large a data set is, of whose images these have been looked at; decoded, it fits the memory."""
    sizes = DatasetSizes(len(train), len(test), _common_shape(images))
    check_fits_memory(str(folder), {"images": ((len(train) + len(test), *sizes.image_shape), np.dtype(np.uint8))})
    return sizes


def _list(folder: Path) -> tuple[list[str], list[str]]:
    """Return the paths of the images of train and test, by class and then by name, in the order of plain strings."""
    train, test = (_list_split(folder, split) for split in ("train", "test"))
    if len(train) < 2:
        raise misfit(f"{folder / 'train'}: got one class, {min(train)!r}; allowed: at least two to tell apart")
    for name, images in train.items():
        if not images:
            raise misfit(
                f"{shown_path(folder / 'train' / name)}: got a class without images; add some, or remove the folder"
            )
    unknown = [name for name in test if name not in train]
    if unknown:
        raise misfit(
            f"{folder / 'test'}: got the class {unknown[0]!r}, which train/ has not; allowed: {shown(', '.join(train))}"
        )
    return list(chain(*train.values())), list(chain(*test.values()))


def _list_split(folder: Path, split: str) -> dict[str, list[str]]:
    """Return the paths of the images of a split by the name of their class."""
    if not (folder / split).is_dir():
        raise misfit(
            f"{folder}: got no folder {split!r} in it; {_ALLOWED}, or x_train.npy, y_train.npy, x_test.npy, y_test.npy"
        )
    found = {
        entry.name: [
            _regular_file(file)
            for file in _entries(entry.path)
            if not file.is_dir() and file.name.lower().endswith(_SUFFIXES)
        ]
        for entry in _entries(str(folder / split))
        if entry.is_dir()
    }
    if not any(found.values()):
        got = f"{len(found)} class folders without images" if found else "no class folders"
        raise misfit(f"{folder / split}: got {got}; {_ALLOWED}")
    return found


def _regular_file(entry: os.DirEntry[str]) -> str:
    """Return the path of a file or of a link to one; to open anything else, such as a pipe, may never end."""
    with _reading(entry.path):
        if not entry.is_file() and Path(entry).stat():
            raise OSError("not a regular file")
    return entry.path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return everything in a folder that is not hidden, sorted."""
    with _reading(folder):
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=attrgetter("name"))
        for entry in found:
            entry.is_dir()  # raises on a link that leads in a circle
    return found


def _common_shape(images: Sequence[str]) -> tuple[int, int, int]:
    first, channels = None, 1
    for file in images:
        with _opened(file) as image:
            size, mode = image.size, image.mode
        first = first or size
        if size != first:
            raise misfit(
                f"{shown_path(file)}: got {size[0]} x {size[1]} pixels (width x height), while {shown_path(images[0])} has "
                f"{first[0]} x {first[1]}; all images must have one size: resize them first"
            )
        if mode.startswith(("I", "F")):
            raise misfit(
                f"{shown_path(file)}: got pixels of 16 or more bits (mode {mode}); allowed: 8 bits a channel; convert the images "
                "first, or save them as float32 in an .npz file"
            )
        if mode not in _GRAY_MODES:
            channels = 3
    width, height = size
    return height, width, channels


@contextmanager
def _opened(path: str) -> Iterator[Image]:
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    with _reading(path, also=bombs), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the metadata of a file; what is wrong with its pixels is raised
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=_FORMATS) as image:
            yield image
