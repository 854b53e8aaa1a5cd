from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clrbench.data import DatasetSizes, npy_folder
from clrbench.data.content import make_dataset
from clrbench.errors import DataError, MisfitError

KEYS = ("x_train", "y_train", "x_test", "y_test")


def small_arrays() -> dict[str, npt.NDArray[Any]]:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (6, 4, 5), dtype=np.uint8),
        "y_train": np.array([0, 1, 2, 0, 1, 2]),
        "x_test": rng.integers(0, 256, (3, 4, 5), dtype=np.uint8),
        "y_test": np.array([2, 0, 3]),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    own.mkdir()
    for key, array in small_arrays().items():
        np.save(own / f"{key}.npy", array)
    return own


READERS: list[Callable[[Path], object]] = [npy_folder.read, npy_folder.measure]


def refusal(folder: Path, function: Callable[[Path], object], error: type[DataError]) -> str:
    with pytest.raises(DataError) as caught:
        function(folder)
    assert type(caught.value) is error
    assert str(caught.value).startswith(str(folder))
    if isinstance(caught.value, MisfitError):
        assert caught.value.key == ("data", "dataset")
    return str(caught.value).removeprefix(str(folder))


def test_arrays_are_mapped_and_whole(folder: Path) -> None:
    arrays = npy_folder.read(folder)
    assert tuple(arrays) == KEYS
    for key, expected in small_arrays().items():
        assert isinstance(arrays[key], np.memmap)
        assert not arrays[key].flags.writeable
        assert arrays[key].dtype == expected.dtype
        np.testing.assert_array_equal(arrays[key], expected)


def test_float32_images_with_channels_and_labels_as_a_column(folder: Path) -> None:
    images = np.linspace(-1, 1, 6 * 4 * 5 * 3, dtype=np.float32).reshape(6, 4, 5, 3)
    np.save(folder / "x_train.npy", images)
    np.save(folder / "x_test.npy", images[:3])
    np.save(folder / "y_train.npy", np.arange(6, dtype=">i2").reshape(6, 1))
    arrays = npy_folder.read(folder)
    np.testing.assert_array_equal(arrays["x_train"], images)
    assert make_dataset("own", "own", arrays).y_train.tolist() == list(range(6))
    assert npy_folder.measure(folder) == DatasetSizes(6, 3, (4, 5, 3), value_bytes=4)


def test_measure_counts_rows(folder: Path) -> None:
    assert npy_folder.measure(folder) == DatasetSizes(6, 3, (4, 5, 1))


def test_images_beyond_memory_are_measured_at_once(folder: Path) -> None:
    """Files with holes: 2 TB each, a few bytes on the disk."""
    rows = 2_000_000_000
    for key in ("x_train", "x_test"):
        np.lib.format.open_memmap(folder / f"{key}.npy", mode="w+", dtype=np.uint8, shape=(rows, 32, 32))
    for key in ("y_train", "y_test"):
        np.lib.format.open_memmap(folder / f"{key}.npy", mode="w+", dtype=np.uint8, shape=(rows,))
    assert npy_folder.measure(folder) == DatasetSizes(rows, rows, (32, 32, 1))
    assert npy_folder.read(folder)["x_train"][-1].sum() == 0


def test_folder_with_any_of_the_files_is_meant(folder: Path) -> None:
    assert npy_folder.is_npy_folder(folder)
    for key in KEYS[1:]:
        (folder / f"{key}.npy").unlink()
    assert npy_folder.is_npy_folder(folder)
    (folder / "x_train.npy").rename(folder / "images.npy")
    assert not npy_folder.is_npy_folder(folder)
    assert not npy_folder.is_npy_folder(folder / "missing")


def test_fingerprint_changes_with_any_file_and_not_with_the_place(folder: Path) -> None:
    seen = [npy_folder.fingerprint(folder)]
    for key in KEYS:
        os.utime(folder / f"{key}.npy", ns=(0, 1))
        seen.append(npy_folder.fingerprint(folder))
    np.save(folder / "y_test.npy", np.array([2, 0, 3, 1]))
    os.utime(folder / "y_test.npy", ns=(0, 1))
    seen.append(npy_folder.fingerprint(folder))
    assert len(set(seen)) == len(seen)
    (folder / "notes.npy").write_bytes(b"other")
    assert npy_folder.fingerprint(folder) == seen[-1]
    assert npy_folder.fingerprint(folder.rename(folder.with_name("moved"))) == seen[-1]


@pytest.mark.parametrize("function", [*READERS, npy_folder.fingerprint])
def test_missing_files_are_named(function: Callable[[Path], object], folder: Path) -> None:
    (folder / "x_test.npy").unlink()
    (folder / "y_test.npy").unlink()
    message = refusal(folder, function, MisfitError)
    assert message == (
        ": x_test.npy, y_test.npy missing; save each array with numpy.save(path, array); or split off rows for testing: "
        "test: 20 % under data"
    )


@pytest.mark.parametrize("function", READERS)
@pytest.mark.parametrize("dtype", ["float64", "float16", ">f4", "int64", "bool"])
@pytest.mark.parametrize("key", ["x_train", "x_test"])
def test_images_that_would_be_converted_in_memory(
    key: str, dtype: str, function: Callable[[Path], object], folder: Path
) -> None:
    np.save(folder / f"{key}.npy", np.ones((6, 4, 5), dtype))
    message = refusal(folder, function, MisfitError)
    assert message.startswith(f"/{key}.npy: got images of type {dtype}; allowed: uint8 (0 to 255) or float32")
    assert message.endswith("convert them with array.astype('float32') and save them again")


@pytest.mark.parametrize("function", READERS)
@pytest.mark.parametrize("key", ["x_train", "x_test"])
def test_fortran_order(key: str, function: Callable[[Path], object], folder: Path) -> None:
    np.save(folder / f"{key}.npy", np.asfortranarray(small_arrays()[key]))
    message = refusal(folder, function, MisfitError)
    assert message.startswith(f"/{key}.npy: got images in Fortran order; allowed: C order")
    assert message.endswith("numpy.ascontiguousarray(array)")


BAD_LAYOUTS = [
    ("float labels", {"y_train": np.ones(6)}, "y_train: got labels of type float64; allowed: integers"),
    ("too few labels", {"y_test": np.arange(2)}, "y_test: got shape (2,) beside 3 images; allowed: [3]"),
    (
        "no rows",
        {"x_train": np.ones((0, 4, 5), np.uint8)},
        "x_train: got an array of shape (0, 4, 5); allowed: [rows, ",
    ),
    ("sizes", {"x_test": np.ones((3, 5, 4), np.uint8)}, "got x_train of uint8[4, 5, 1] and x_test of uint8[5, 4, 1]"),
    ("types", {"x_test": np.ones((3, 4, 5), "f4")}, "got x_train of uint8[4, 5, 1] and x_test of float32[4, 5, 1]"),
]


@pytest.mark.parametrize("function", READERS)
@pytest.mark.parametrize(("changes", "expected"), [c[1:] for c in BAD_LAYOUTS], ids=[c[0] for c in BAD_LAYOUTS])
def test_arrays_that_do_not_fit_together(
    changes: dict[str, npt.NDArray[Any]], expected: str, function: Callable[[Path], object], folder: Path
) -> None:
    for key, array in changes.items():
        np.save(folder / f"{key}.npy", array)
    assert refusal(folder, function, MisfitError).startswith(f": {expected}")


class Touch:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("function", READERS)
@pytest.mark.parametrize("key", ["x_train", "y_test"])
@pytest.mark.parametrize("bare", [False, True])
def test_pickled_objects_are_never_loaded(
    bare: bool, key: str, function: Callable[[Path], object], folder: Path
) -> None:
    file, victim = folder / f"{key}.npy", folder / "victim"
    if bare:
        file.write_bytes(pickle.dumps(Touch(victim)))
    else:
        np.save(file, np.array([Touch(victim)] * 6, dtype=object))
    message = refusal(folder, function, DataError)
    assert message.startswith(f"/{key}.npy: cannot be read as an .npy of plain numbers (")
    assert not victim.exists()


def header(text: str) -> bytes:
    line = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line.encode() + b"1234"


def of_shape(shape: str) -> bytes:
    return header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}")


BAD_FILES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("empty", lambda _: b""),
    ("text", lambda _: b"x_train,y_train\n1,2\n"),
    ("zip", lambda _: b"PK\x03\x04" + bytes(100)),
    ("header cut short", lambda whole: whole[:60]),
    ("pixels cut short", lambda whole: whole[:-1]),
    ("damaged header", lambda whole: whole.replace(b"'fortran_order': False", b"'fortran_order': Felse")),
    ("open bracket", lambda _: of_shape("(3, 2, 2")),
    ("nested without end", lambda _: header("-" * 9000)),
    ("sum without end", lambda _: header("1" + "+1" * 4500)),
    ("negative rows", lambda _: of_shape("(-3, 2, 2)")),
    ("rows beyond the file", lambda _: of_shape("(10000000000000, 28, 28)")),
    ("rows beyond all numbers", lambda _: of_shape("(1000000000000000000000000000000, 2, 2)")),
]


@pytest.mark.parametrize("function", READERS)
@pytest.mark.parametrize("damage", [case[1] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_damaged_file(damage: Callable[[bytes], bytes], function: Callable[[Path], object], folder: Path) -> None:
    file = folder / "x_train.npy"
    file.write_bytes(damage(file.read_bytes()))
    message = refusal(folder, function, DataError)
    assert message.startswith("/x_train.npy: cannot be read as an .npy of plain numbers (")
    assert "()" not in message
    assert message.endswith("; allowed: what numpy.save writes")
