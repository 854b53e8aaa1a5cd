from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from clrbench.data import Library, Replacement, fashion_mnist
from clrbench.data.catalogue import CATALOGUE
from clrbench.errors import DataError

RNG = np.random.default_rng(0)
ARRAYS = {
    "train_images": RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8),
    "train_labels": (np.arange(20) % 10).astype(np.uint8),
    "test_images": RNG.integers(0, 256, (10, 28, 28), dtype=np.uint8),
    "test_labels": np.arange(10, dtype=np.uint8),
}


def idx(array: npt.NDArray[np.uint8]) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def written(folder: Path, arrays: Mapping[str, npt.NDArray[np.uint8]], *, level: int = 9) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for key, array in arrays.items():
        (folder / fashion_mnist.FILES[key].name).write_bytes(gzip.compress(idx(array), level, mtime=0))


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "debian"
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", folder)
    digests = {key: hashlib.sha256(idx(array)).hexdigest() for key, array in ARRAYS.items()}
    monkeypatch.setattr(fashion_mnist, "_UNZIPPED_SHA256", digests)
    return folder


def assert_is_fashion_mnist(library: Library) -> None:
    dataset = library.load("fashion_mnist")
    np.testing.assert_array_equal(dataset.x_train[..., 0], ARRAYS["train_images"])
    np.testing.assert_array_equal(dataset.y_train, ARRAYS["train_labels"])
    np.testing.assert_array_equal(dataset.x_test[..., 0], ARRAYS["test_images"])
    np.testing.assert_array_equal(dataset.y_test, ARRAYS["test_labels"])


def test_read_from_where_debian_puts_it_however_it_is_compressed(debian: Path, tmp_path: Path) -> None:
    written(debian, ARRAYS, level=1)
    library = Library(tmp_path / "data")
    assert library.status("fashion_mnist").state == "installed, not verified yet"
    assert_is_fashion_mnist(library)
    assert library.status("fashion_mnist").state == "verified"


def test_damaged_debian_file_is_refused(debian: Path, tmp_path: Path) -> None:
    written(debian, {**ARRAYS, "test_labels": ARRAYS["test_labels"][::-1].copy()})
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz: got sha256 .* reinstall Debian's package"):
        Library(tmp_path / "data").load("fashion_mnist")


def test_the_users_own_files_are_verified_and_used(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "fashion_mnist"
    written(folder, ARRAYS)
    replacements = tuple(
        Replacement("fashion_mnist", key, ("http://127.0.0.1:9/",), hashlib.sha256(raw).hexdigest())
        for key, file in fashion_mnist.FILES.items()
        for raw in [(folder / file.name).read_bytes()]
    )
    assert_is_fashion_mnist(Library(tmp_path / "data", replacements))


def test_checksums_are_the_published_ones() -> None:
    digests = [file.sha256[:8] for file in fashion_mnist.FILES.values()]
    assert digests == ["3aede38d", "a04f1713", "346e55b9", "67da17c7"]
    assert CATALOGUE["fashion_mnist"].sizes == CATALOGUE["mnist"].sizes


@pytest.mark.parametrize(
    "raw", [b"", b"\0\0", b"\0\0\x08\x01\0\0\0\x0b0123456789", b"\0\0\x0d\x01\0\0\0\x0a0123456789"]
)
def test_file_that_is_no_idx_file_is_refused(raw: bytes, tmp_path: Path) -> None:
    written(tmp_path, ARRAYS)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(raw))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz: got no idx file of bytes"):
        fashion_mnist.read({key: tmp_path / file.name for key, file in fashion_mnist.FILES.items()})
