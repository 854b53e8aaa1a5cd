"""Data sets kept ready: arrays that are mapped into memory, beside a note of what they are.

A folder that is there is complete: it is written under another name and takes its place in one step. What is damaged is
refused with a DataError.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from clrbench import files
from clrbench.data.content import (
    ARRAY_NAMES,
    VALIDATION_NAMES,
    Arrays,
    Content,
    DatasetSizes,
    content_checksum,
    make_dataset,
)
from clrbench.data.progress import Show, in_silence
from clrbench.data.refusal import DECODING_ERRORS, reason
from clrbench.errors import DataError
from clrbench.records import Dataset, Images, IntArray, Remarks

ABOUT = "about.json"
CHECKSUM_CHARACTERS = 64
_ADVICE = "free space, fix permissions, or set another data folder (CLRBENCH_DATA, or --data-dir on the command line)"


def sizes(folder: Path) -> DatasetSizes | None:
    """Return how large a prepared data set is, or None where there is none."""
    about = _read_about(folder)
    return about and about[0]


def load(folder: Path, name: str) -> Dataset | None:
    """Return a prepared data set, its images mapped into memory, or None where there is none."""
    about = _read_about(folder)
    if about is None:
        return None
    keys = (*ARRAY_NAMES, *(VALIDATION_NAMES if about[0].validation_rows else ()))
    try:
        arrays: Arrays = {key: open_memmap(folder / f"{key}.npy", mode="r") for key in keys}
    except DECODING_ERRORS as err:
        raise _damaged(folder, reason(err)) from err
    _, checksum, remarks = about
    return make_dataset(name, str(folder), arrays, checksum, remarks, as_given=True)


def verify(folder: Path, name: str) -> bool:
    """Return whether a prepared data set is there, with the content it was made with."""
    return _load_verified(folder, name) is not None


def _load_verified(folder: Path, name: str) -> Dataset | None:
    found = load(folder, name)
    if found is None:
        return None
    got = content_checksum(*_arrays(found).values())
    if got != found.checksum:
        raise _damaged(folder, f"got checksum {got}, expected {found.checksum}")
    return found


def _arrays(dataset: Dataset) -> dict[str, Images | IntArray]:
    """Return the arrays of a data set that it has, by name, in the order of their checksum."""
    found = {key: getattr(dataset, key) for key in (*ARRAY_NAMES, *VALIDATION_NAMES)}
    return {key: array for key, array in found.items() if array is not None}


def _save(folder: Path, dataset: Dataset) -> None:
    about = {
        "checksum": dataset.checksum,
        "train_rows": len(dataset.y_train),
        "test_rows": len(dataset.y_test),
        **({} if dataset.y_validation is None else {"validation_rows": len(dataset.y_validation)}),
        "image_shape": dataset.image_shape,
        **asdict(dataset.remarks),
    }
    with files.new_folder(folder) as temporary:
        for key, array in _arrays(dataset).items():
            with files.new_file(temporary / f"{key}.npy") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        with files.new_file(temporary / ABOUT) as file:
            file.write((json.dumps(about, indent=2) + "\n").encode())


@contextmanager
def _locked(folder: Path, show: Show) -> Iterator[None]:
    """Lock the folder that data sets are prepared in, and remove what a dead process left half-made."""
    from filelock import FileLock, Timeout

    files.make_folder(folder, parents=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with show(f"waiting for another process that prepares {folder}", 0):
            lock.acquire()
    try:
        for left in files.find_temporary(folder):
            files.remove(left)
        yield
    finally:
        lock.release()


def load_or_make(folder: Path, name: str, make: Callable[[], Content], show: Show) -> Dataset:
    """Return a prepared data set; unless it is there, it is made and kept, and another process that does so waited for."""
    if not (folder / ABOUT).is_file():
        with disk_errors(folder), _locked(folder.parent, show):
            if not (folder / ABOUT).is_file():  # another process may have made it meanwhile
                content = make()
                made = make_dataset(name, name, content.arrays, remarks=content.remarks, as_given=content.as_given)
                _save(folder, made)
    found = load(folder, name)
    if found is None:
        raise _damaged(folder, f"{ABOUT} has gone")
    return found


def load_unpacked(folder: Path, name: str, checksum: str, unpack: Callable[[], Arrays]) -> Dataset:
    """Return a data set of the package, mapped from its unpacked copy, which is checked at every load.

    The copy only saves time: where none is whole the data set is unpacked, and a copy is left for the next load if it can be.
    """
    found = _whole_copy(folder, name, checksum)
    if found is not None:
        return found
    dataset = make_dataset(name, name, unpack())
    with suppress(OSError), _locked(folder.parent, in_silence):
        if _whole_copy(folder, name, checksum) is None:  # another process may have left one meanwhile
            _save(folder, dataset)
    return dataset


def _whole_copy(folder: Path, name: str, checksum: str) -> Dataset | None:
    with suppress(DataError):
        found = _load_verified(folder, name)
        if found is not None and found.checksum == checksum:
            return found
    return None


def check_once(checked: Path, name: str, arrays: Arrays, *, as_given: bool) -> Dataset:
    """Return a data set whose pixels are read and checked only the first time; `checked` then keeps its checksum."""
    known = ""
    with suppress(OSError, ValueError):
        known = files.read_file(checked).decode("ascii")
    if len(known) == CHECKSUM_CHARACTERS:
        return make_dataset(name, name, arrays, known, as_given=as_given)
    dataset = make_dataset(name, name, arrays, as_given=as_given)
    with suppress(OSError):  # it only saves time
        files.make_folder(checked.parent, parents=True)
        files.write_file(checked, dataset.checksum.encode())
    return dataset


def disk_errors(path: Path) -> AbstractContextManager[None]:
    """Turn an OSError into a DataError that names the path and a way out."""
    return files.disk_errors(path, DataError, _ADVICE)


def _read_about(folder: Path) -> tuple[DatasetSizes, str, Remarks] | None:
    if not (folder / ABOUT).is_file():
        return None
    try:
        about = json.loads(files.read_file(folder / ABOUT))
        shape = tuple(about["image_shape"])
        rows = about["train_rows"], about["test_rows"]
        own = about.get("validation_rows", 0)
        checksum = about["checksum"]
        if not all(type(number) is int for number in (*rows, own, *shape)) or type(checksum) is not str:
            raise ValueError("not what it should hold")
        remarks = Remarks(*(_texts(about.get(entry.name, [])) for entry in fields(Remarks)))
    except DECODING_ERRORS as err:
        raise _damaged(folder, f"{ABOUT}: {reason(err)}") from err
    return DatasetSizes(*rows, shape, own), checksum, remarks


def _texts(content: object) -> tuple[str, ...]:
    if not isinstance(content, list) or not all(isinstance(text, str) for text in content):
        raise ValueError("not what it should hold")
    return tuple(content)


def _damaged(folder: Path, why: str) -> DataError:
    return DataError(f"{folder}: is damaged ({why}); remove this folder, and it is made again")
