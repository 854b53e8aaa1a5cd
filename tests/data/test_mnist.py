from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clrbench.data import DatasetSizes, Library, mnist
from clrbench.errors import DataError
from clrbench.records import Dataset

LIBRARY = Library()

BUNDLED = Path(str(mnist.files("clrbench.data"))) / "mnist"
LABELS = "t10k-labels-idx1-ubyte.gz"


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return LIBRARY.load("mnist")


def test_counts_of_every_class_are_the_published_ones(dataset: Dataset) -> None:
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(dataset.y_train).tolist() == train
    assert np.bincount(dataset.y_test).tolist() == test
    assert dataset.num_classes == 10


def test_mean_and_spread_of_the_pixels_are_the_published_ones(dataset: Dataset) -> None:
    mean = float(dataset.x_train.mean(dtype=np.float64)) / 255
    mean_square = float(np.square(dataset.x_train, dtype=np.uint16).mean(dtype=np.float64)) / 255**2
    assert mean == pytest.approx(0.1307, abs=5e-5)
    assert (mean_square - mean**2) ** 0.5 == pytest.approx(0.3081, abs=5e-5)


def test_types_and_shapes(dataset: Dataset) -> None:
    assert (dataset.name, dataset.image_shape) == ("mnist", (28, 28, 1))
    assert (dataset.x_train.shape, dataset.x_test.shape) == ((60_000, 28, 28, 1), (10_000, 28, 28, 1))
    assert (dataset.x_train.dtype, dataset.y_train.dtype) == (np.uint8, np.int32)
    assert dataset.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert dataset.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_measure_agrees_with_load(dataset: Dataset) -> None:
    loaded = DatasetSizes(len(dataset.x_train), len(dataset.x_test), dataset.image_shape)
    assert LIBRARY.measure("mnist") == loaded == DatasetSizes(60_000, 10_000, (28, 28, 1))


def test_checksum_is_fixed(dataset: Dataset) -> None:
    # Part of the identity of every stored run: another value would have them all made again.
    assert dataset.checksum == "ceda791d3e53beaf95f8e213c414aa4d975006504eff93f785d685ecea3e892c" == mnist.CHECKSUM


def test_the_unpacked_copy_is_what_the_package_holds(dataset: Dataset, tmp_path: Path) -> None:
    library = Library(tmp_path / "data")
    library.load("mnist")
    again = library.load("mnist")
    assert again.checksum == dataset.checksum
    for name, array in mnist.read().items():
        np.testing.assert_array_equal(getattr(again, name).squeeze(), array)


def flipped_bit(raw: bytes) -> bytes:
    return raw[:-100] + bytes([raw[-100] ^ 1]) + raw[-99:]


def other_label(raw: bytes) -> bytes:
    labels = bytearray(gzip.decompress(raw))
    labels[8] ^= 1
    return gzip.compress(bytes(labels))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (flipped_bit, "cannot be read"),
        (lambda raw: raw[:2000], "cannot be read"),
        (
            lambda _: b"",
            "got sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 of its unzipped content, expected",
        ),
        (lambda _: b"plain text", "cannot be read"),
        (lambda raw: raw[:20] + b"\xff" * 40 + raw[60:], "cannot be read"),
        (other_label, "got sha256"),
    ],
)
def test_damaged_file_is_a_data_error_that_names_it(
    damage: Callable[[bytes], bytes], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mnist"
    shutil.copytree(BUNDLED, folder)
    (folder / LABELS).write_bytes(damage((BUNDLED / LABELS).read_bytes()))
    monkeypatch.setattr(mnist, "files", lambda _: tmp_path)
    with pytest.raises(DataError) as caught:
        Library(tmp_path / "data").load("mnist")
    assert str(caught.value).startswith(f"{folder / LABELS}: {expected}")
    assert str(caught.value).endswith("; reinstall clrbench")


def test_missing_file_is_a_data_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "files", lambda _: tmp_path)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: cannot be read .*; reinstall clrbench"):
        Library(tmp_path / "data").load("mnist")
