"""A user's own images: the folders `train/<class>/` and `test/<class>/`, read with Pillow."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from clrbench.data.content import Arrays, DatasetSizes, check_fits_memory, misfit, shown
from clrbench.data.progress import Advance
from clrbench.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_FilesByClass: TypeAlias = dict[str, list[str]]
"""Paths by name of their class, both in the order of plain strings."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM", "WEBP")
"""Pillow goes by the content, and would hand a file that is PostScript inside to another program."""

_GRAY_MODES = frozenset({"1", "L"})

_DECODING_ERRORS = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError),
    *(struct.error, zlib.error),
)
"""What Pillow's decoders raise on damaged content, beside its two on decompression bombs."""

_ALLOWED = f"allowed: train/<class>/ and test/<class>/ with images ({', '.join(_SUFFIXES)}) in each"


def measure(folder: Path) -> DatasetSizes:
    """Return how large the data set in a folder is, from the number of its files and the first image of each split.

    Raises:
        MisfitError: If the folder is not laid out as a data set, or these two images do not fit together.
        DataError: If a folder or one of the two images is unreadable.
    """
    train, test = (_flat(files) for files in _list(folder).values())
    sizes = DatasetSizes(len(train), len(test), _common_shape((train[0], test[0])))
    _check_memory(folder, sizes)
    return sizes


def fingerprint(folder: Path) -> str:
    """Return a sha256, in hex, that changes when an image is added, removed, renamed or written again.

    Raises:
        MisfitError: If the folder is not laid out as a data set.
        DataError: If a folder or a file is unreadable.
    """
    digest = hashlib.sha256()
    for file in chain.from_iterable(_flat(files) for files in _list(folder).values()):
        try:
            status = Path(file).stat()
        except OSError as err:
            raise _unreadable(file, err) from err
        digest.update(os.fsencode(os.path.relpath(file, folder)))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def read(folder: Path, advance: Advance) -> Arrays:
    """Return all images and labels of a folder, ordered by class and then by file name.

    Args:
        folder: Holds train/<class>/ and test/<class>/; the names of the classes in order are the labels 0, 1, ...
        advance: Is told how many more images have been decoded.

    Returns:
        x_train and x_test, uint8[rows, height, width, channels] with one channel if every image is gray and else
        three; y_train and y_test, int32[rows].

    Raises:
        MisfitError: If the folder is not laid out as a data set, or its images differ in size or have too many bits.
        DataError: If a folder or an image is unreadable.
    """
    listing = _list(folder)
    shape = _common_shape([file for files in listing.values() for file in _flat(files)])
    _check_memory(folder, DatasetSizes(len(_flat(listing["train"])), len(_flat(listing["test"])), shape))
    classes = list(listing["train"])
    arrays: Arrays = {}
    for split, files in listing.items():
        arrays[f"x_{split}"] = _decode(_flat(files), shape, advance)
        labels = np.array([classes.index(name) for name in files], np.int32)
        arrays[f"y_{split}"] = np.repeat(labels, [len(of_class) for of_class in files.values()])
    return arrays


def _check_memory(folder: Path, sizes: DatasetSizes) -> None:
    """Check that the decoded images fit; small files can hold large ones."""
    splits = {"x_train": sizes.train_rows, "x_test": sizes.test_rows}
    check_fits_memory(
        str(folder), {key: ((rows, *sizes.image_shape), np.dtype(np.uint8)) for key, rows in splits.items()}
    )


def _list(folder: Path) -> dict[str, _FilesByClass]:
    listing = {split: _list_split(folder, split) for split in ("train", "test")}
    train, test = listing.values()
    if len(train) < 2:
        raise misfit(f"{folder / 'train'}: got one class, {min(train)!r}; allowed: at least two to tell apart")
    for name, files in train.items():
        if not files:
            raise misfit(
                f"{_path(folder / 'train' / name)}: got a class without images; add some, or remove the folder"
            )
    unknown = [name for name in test if name not in train]
    if unknown:
        raise misfit(
            f"{folder / 'test'}: got the class {unknown[0]!r}, which train/ has not; allowed: {shown(', '.join(train))}"
        )
    return listing


def _list_split(folder: Path, split: str) -> _FilesByClass:
    if not (folder / split).is_dir():
        raise misfit(
            f"{folder}: got no folder {split!r} in it; {_ALLOWED}, or x_train.npy, y_train.npy, x_test.npy, y_test.npy"
        )
    files = {
        entry.name: [
            _checked(file)
            for file in _entries(Path(entry))
            if not file.is_dir() and file.name.lower().endswith(_SUFFIXES)
        ]
        for entry in _entries(folder / split)
        if entry.is_dir()
    }
    if not any(files.values()):
        got = f"{len(files)} class folders without images" if files else "no class folders"
        raise misfit(f"{folder / split}: got {got}; {_ALLOWED}")
    return files


def _checked(entry: os.DirEntry[str]) -> str:
    """Return the path of a file or of a link to one; to open anything else, such as a pipe, may never end."""
    try:
        if not entry.is_file() and Path(entry).stat():
            raise OSError("not a regular file")
    except OSError as err:
        raise _unreadable(entry.path, err) from err
    return entry.path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return everything in a folder that is not hidden, sorted."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=attrgetter("name"))
        for entry in found:
            entry.is_dir()  # raises on a link that leads in a circle
    except OSError as err:
        raise _unreadable(str(folder), err) from err
    return found


def _flat(files: _FilesByClass) -> list[str]:
    return list(chain.from_iterable(files.values()))


def _common_shape(files: Sequence[str]) -> tuple[int, int, int]:
    first, _ = _header(files[0])
    channels = 1
    for file in files:
        size, mode = _header(file)
        if size != first:
            raise misfit(
                f"{_path(file)}: got {size[0]} x {size[1]} pixels (width x height), while {_path(files[0])} has {first[0]} x "
                f"{first[1]}; all images must have one size: resize them first"
            )
        if mode.startswith(("I", "F")):
            raise misfit(
                f"{_path(file)}: got pixels of 16 or more bits (mode {mode}); allowed: 8 bits a channel; convert the images "
                "first, or save them as float32 in an .npz file"
            )
        if mode not in _GRAY_MODES:
            channels = 3
    return first[1], first[0], channels


def _header(file: str) -> tuple[tuple[int, int], str]:
    with _opened(file) as image:
        return image.size, image.mode


def _decode(files: list[str], shape: tuple[int, int, int], advance: Advance) -> npt.NDArray[np.uint8]:
    images = np.empty((len(files), *shape), np.uint8)
    mode = "L" if shape[2] == 1 else "RGB"
    for row, file in enumerate(files):
        with _opened(file) as image:
            images[row] = np.asarray(image.convert(mode)).reshape(shape)
        advance(1)
    return images


@contextmanager
def _opened(file: str) -> Iterator[Image]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the metadata of a file; what is wrong with its pixels is raised
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=_FORMATS) as image:
                yield image
    except (*_DECODING_ERRORS, Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise _unreadable(file, err) from err


def _path(path: str | Path) -> str:
    """Return a path as a message may show it; who made the images chose the names."""
    return shown(path, longest=4096)


def _unreadable(path: str, err: Exception) -> DataError:
    return DataError(f"{_path(path)}: cannot be read ({shown(err) or type(err).__name__}); replace or remove it")
