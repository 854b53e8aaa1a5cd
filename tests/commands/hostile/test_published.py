"""Files of published data sets that are none end in one clear message, and nothing that they declare is allocated."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
from pathlib import Path

import bad_data as bad
import pytest
import yaml
from hostile_input import (
    refusal,
)

from clrbench.data import Library, content
from clrbench.data.catalogue import CATALOGUE
from clrbench.data.mnist import MAX_BYTES
from clrbench.errors import DataError

X, Y = bad.mat_part("X", (32, 32, 3, 2), bytes(6_144)), bad.mat_part("y", (2, 1), b"\1\2")
MAT = "cannot be read as a MATLAB 5 file ("
BATCHES = {f"cifar-10-batches-bin/data_batch_{number}.bin": bytes(3_073) for number in range(1, 6)}
IDX3, IDX1 = b"\0\0\x08\3" + struct.pack(">3I", 2, 28, 28), b"\0\0\x08\1" + struct.pack(">I", 2)
FASHION = {
    "train_images": bad.gzipped_zeros(2 * 784, IDX3),
    "train_labels": bad.gzipped_zeros(2, IDX1),
    "test_images": bad.gzipped_zeros(2 * 784, IDX3),
    "test_labels": bad.gzipped_zeros(2, IDX1),
}
NO_IDX = "got no idx file of bytes"
FETCHED: dict[str, tuple[str, dict[str, bytes], str]] = {
    # The data set, what its files are replaced by, and a part of the message.
    "svhn: empty": ("svhn", {"train": b"", "test": b""}, MAT),
    "svhn: a billion rows": (
        "svhn",
        {"train": bad.mat(bad.mat_part("X", (32, 32, 3, 10**9), b"few"), Y), "test": b""},
        MAT,
    ),
    "svhn: negative rows": (
        "svhn",
        {"train": bad.mat(bad.mat_part("X", (32, 32, 3, -2), bytes(6_144)), Y), "test": b""},
        "svhn",
    ),
    "svhn: X twice": ("svhn", {"train": bad.mat(X, X, Y), "test": b""}, "got the arrays X, X, y"),
    "svhn: cells": (
        "svhn",
        {"train": bad.mat(bad.mat_part("X", (32, 32, 3, 2), bytes(99), kind=1), Y), "test": b""},
        MAT,
    ),
    "svhn: text as labels": (
        "svhn",
        {"train": bad.mat(X, bad.mat_part("y", (2, 1), b"ab", kind=4)), "test": b""},
        "got y of <U1[2]",
    ),
    "svhn: label 11": (
        "svhn",
        {"train": bad.mat(X, bad.mat_part("y", (2, 1), b"\1\x0b")), "test": b""},
        "got y of uint8",
    ),
    "svhn: names with terminal codes": (
        "svhn",
        {"train": bad.mat(bad.mat_part("\x1b[2J", (1, 1), b"1")), "test": b""},
        "got the arrays \\x1b[2J",
    ),
    "svhn: version 7.3": (
        "svhn",
        {"train": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(512), "test": b""},
        f"{MAT}Please use HDF reader",
    ),
    "svhn: thousands of arrays": ("svhn", {"train": bad.mat(bytes(10**6)), "test": b""}, MAT),
    "svhn: damaged zip": ("svhn", {"train": bad.mat(X[:40] + bytes(20) + X[60:], Y), "test": b""}, MAT),
    "cifar10: empty": ("cifar10", {"archive": b""}, "cannot be read as a .tar.gz"),
    "cifar10: endless batch": (
        "cifar10",
        {"archive": bad.gzipped_zeros(0, bad.tar_header("cifar-10-batches-bin/test_batch.bin", 2**33 - 1, b"0"))},
        "bytes; allowed:",
    ),
    "cifar10: thousands of members": (
        "cifar10",
        {"archive": bad.tar_gz({f"{i}": b"" for i in range(1_000)} | BATCHES)},
        "test_batch.bin missing",
    ),
    "cifar10: other folders": (
        "cifar10",
        {"archive": bad.tar_gz({"../x": b"x", "/etc/x": b"x"} | BATCHES)},
        "test_batch.bin missing",
    ),
    "cifar10: label 10": (
        "cifar10",
        {"archive": bad.tar_gz({**BATCHES, "cifar-10-batches-bin/test_batch.bin": b"\x0a" * 3_073})},
        "got class 0 only",
    ),
    "fashion: bomb": (
        "fashion_mnist",
        {"train_images": bad.gzipped_zeros(100_000_000)},
        "got more than 47040016 bytes",
    ),
    "fashion: empty": ("fashion_mnist", {"train_images": b""}, NO_IDX),
    "fashion: cut short": ("fashion_mnist", {"train_images": FASHION["train_images"][:-9]}, "cannot be read"),
    "fashion: hundred axes": (
        "fashion_mnist",
        {"train_images": bad.gzipped_zeros(1, b"\0\0\x08\x64" + struct.pack(">I", 1) * 100)},
        NO_IDX,
    ),
    "fashion: product beyond int64": (
        "fashion_mnist",
        {"train_images": bad.gzipped_zeros(0, b"\0\0\x08\3" + struct.pack(">3I", 2**31, 2**31, 4))},
        NO_IDX,
    ),
    "fashion: no rows": (
        "fashion_mnist",
        {"train_images": bad.gzipped_zeros(0, b"\0\0\x08\3" + struct.pack(">3I", 0, 28, 28))},
        "each at least 1",
    ),
    "fashion: too few labels": (
        "fashion_mnist",
        {"train_labels": bad.gzipped_zeros(1, b"\0\0\x08\1" + struct.pack(">I", 1))},
        "got shape (1,) beside 2 images",
    ),
    "fashion: one class": ("fashion_mnist", {}, "got class 0 only"),
}

MISFITS = {"each at least 1", "got shape (1,) beside 2 images"}
"""Sound files whose arrays are of other shapes than any data set's."""


def fetched(folder: Path, code: int, dataset: str, replaced: dict[str, bytes]) -> str:
    """Put a data set's files where a user would, name their checksums as a company's mirror would, and fetch it."""
    files = {**(FASHION if dataset == "fashion_mnist" else {}), **replaced}
    place = folder / "data" / dataset
    place.mkdir(parents=True)
    sources = {key: {"url": "http://127.0.0.1:9/x", "sha256": bad.sha256(raw)} for key, raw in files.items()}
    for key, raw in files.items():
        (place / CATALOGUE[dataset].files[key].name).write_bytes(raw)  # type: ignore[union-attr]
    (folder / "sources.yaml").write_text(yaml.safe_dump({dataset: sources}))
    return refusal(folder, code, "data", "fetch", dataset, "--data-dir", "data", CLRBENCH_SOURCES="sources.yaml")


@pytest.fixture(scope="module")
def honest_peak() -> int:
    """Return the bytes that this version of Python sets aside while it unzips the largest file that is allowed."""
    file = io.BytesIO(bad.gzipped_zeros(MAX_BYTES))
    tracemalloc.start()
    with gzip.open(file) as unzipped:
        assert len(unzipped.read(MAX_BYTES + 1)) == MAX_BYTES
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(("dataset", "replaced", "expected"), FETCHED.values(), ids=FETCHED.keys())
def test_bad_file_of_a_published_data_set(
    dataset: str, replaced: dict[str, bytes], expected: str, folder: Path, honest_peak: int
) -> None:
    tracemalloc.start()
    code = 2 if expected in MISFITS else 1
    message = fetched(folder, code, dataset, replaced)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert expected in message
    assert peak < 1.1 * honest_peak


TAR = "cannot be read as a .tar.gz ("
DECLARED: dict[str, tuple[str, dict[str, bytes], str]] = {
    "svhn: four gigabytes": (
        "svhn",
        {"train": bad.mat(bad.mat_part("X", (32, 32, 3, 2), b"few", declared=2**32 - 16), Y), "test": b""},
        MAT,
    ),
    "cifar10: endless name": (
        "cifar10",
        {"archive": bad.gzipped_zeros(0, bad.tar_header("x", 2**33 - 1, b"L"))},
        TAR,
    ),
    "cifar10: endless header": (
        "cifar10",
        {"archive": bad.gzipped_zeros(0, bad.tar_header("x", 2**33 - 1, b"x"))},
        TAR,
    ),
}
"""What only the owner of a checksum could publish; the libraries ask for the memory, and are refused it or give it back."""


@pytest.mark.parametrize(("dataset", "replaced", "expected"), DECLARED.values(), ids=DECLARED.keys())
def test_published_file_that_declares_gigabytes(
    dataset: str, replaced: dict[str, bytes], expected: str, folder: Path
) -> None:
    assert expected in fetched(folder, 1, dataset, replaced)


HOLD_BACK = {
    "a lie in an archive": bad.zipped(x_train=bad.npy_header("(1000000000000, 4, 5)")),
    "an honest archive beyond memory": bad.zipped(
        8,
        x_train=bad.npy_header("(60, 1000, 1000)", body=bytes(60_000_000)),
        x_test=bad.npy_header("(10, 1000, 1000)", body=bytes(10_000_000)),
    ),
    "small pictures of large images": bad.images(bad.all_of(bad.png(9_000, 9_000))),
    "a header without end": bad.zipped(x_train=b"\x93NUMPY\2\0\xff\xff\xff\xff{"),
}


@pytest.mark.parametrize("make", HOLD_BACK.values(), ids=HOLD_BACK.keys())
def test_what_is_declared_is_not_allocated(make: bad.Make, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "memory_bytes", lambda: 50e6)
    path = make(folder)
    library = Library(folder / "data")
    tracemalloc.start()
    for function in (library.measure, library.load):
        with pytest.raises(DataError):
            function(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
