from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from clrbench.data import cifar10
from clrbench.errors import DataError

FOLDER = "cifar-10-batches-bin"
RNG = np.random.default_rng(0)
BATCHES = {
    name: RNG.integers(0, 10, (rows, 3073), dtype=np.uint8)
    for name, rows in {**{f"data_batch_{number}.bin": 4 for number in range(1, 6)}, "test_batch.bin": 6}.items()
}


def archive(folder: Path, members: Mapping[str, bytes]) -> Path:
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name, raw in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(raw)
            file.addfile(about, io.BytesIO(raw))
    return path


def members(**changes: bytes | None) -> dict[str, bytes]:
    """Return the genuine members, those that the published archive holds beside them among them."""
    raw = {f"{FOLDER}/{name}": batch.tobytes() for name, batch in BATCHES.items()}
    raw |= {f"{FOLDER}/batches.meta.txt": b"airplane\n", f"{FOLDER}/readme.html": b"<html>"}
    changed = {f"{FOLDER}/{name}.bin": content for name, content in changes.items()}
    return {name: content for name, content in {**raw, **changed}.items() if content is not None}


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        cifar10.read({"archive": path})
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_records_become_labels_and_images_with_the_channels_last(tmp_path: Path) -> None:
    arrays = cifar10.read({"archive": archive(tmp_path, members())})
    train = np.concatenate([BATCHES[f"data_batch_{number}.bin"] for number in range(1, 6)])
    for split, records in (("train", train), ("test", BATCHES["test_batch.bin"])):
        np.testing.assert_array_equal(arrays[f"y_{split}"], records[:, 0])
        red, green, blue = records[:, 1:1025], records[:, 1025:2049], records[:, 2049:]
        expected = np.stack([red, green, blue], axis=-1).reshape(-1, 32, 32, 3)
        np.testing.assert_array_equal(arrays[f"x_{split}"], expected)


def test_order_of_the_members_does_not_matter(tmp_path: Path) -> None:
    turned = dict(reversed(members().items()))
    assert cifar10.read({"archive": archive(tmp_path, turned)})["y_train"][0] == BATCHES["data_batch_1.bin"][0, 0]


def test_members_outside_the_list_are_neither_read_nor_unpacked(tmp_path: Path) -> None:
    evil = members() | {"../evil.bin": b"x", "/tmp/evil.bin": b"x", f"{FOLDER}/data_batch_6.bin": b"x"}
    assert len(cifar10.read({"archive": archive(tmp_path, evil)})["y_train"]) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-binary.tar.gz"]
    assert not (tmp_path.parent / "evil.bin").exists()


def test_missing_batch_is_named(tmp_path: Path) -> None:
    assert "data_batch_3.bin missing in cifar-10-batches-bin/" in refusal(archive(tmp_path, members(data_batch_3=None)))


@pytest.mark.parametrize("raw", [b"", b"x" * 3072, b"x" * 3074, b"\0" * 3073 * 10_001])
def test_batch_that_is_not_made_of_records_is_refused(raw: bytes, tmp_path: Path) -> None:
    assert f"got {FOLDER}/test_batch.bin of {len(raw)} bytes" in refusal(archive(tmp_path, members(test_batch=raw)))


def test_link_in_place_of_a_batch_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, members(test_batch=None))
    with tarfile.open(path, "w:gz") as file:
        about = tarfile.TarInfo(f"{FOLDER}/test_batch.bin")
        about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(about)
    assert "got cifar-10-batches-bin/test_batch.bin of 0 bytes" in refusal(path)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_truncated_archive_is_refused(keep: float, tmp_path: Path) -> None:
    path = archive(tmp_path, members())
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw))])
    assert "cannot be read as a .tar.gz" in refusal(path)
