from __future__ import annotations

from pathlib import Path

import bad_data as bad
import numpy as np
import pytest
from mirror import content

from clrbench.data import svhn
from clrbench.errors import DataError


def refusal(folder: Path, train: bytes) -> str:
    paths = {"train": folder / "train.mat", "test": folder / "test.mat"}
    paths["train"].write_bytes(train)
    paths["test"].write_bytes(content("test").raw)
    with pytest.raises(DataError) as caught:
        svhn.read(paths)
    assert str(caught.value).startswith(f"{paths['train']}: ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"images": np.zeros((32, 32, 3, 60), np.float64)}, "got X of float64[32, 32, 3, 60]"),
        ({"images": np.zeros((28, 28, 3, 60), np.uint8)}, "got X of uint8[28, 28, 3, 60]"),
        ({"labels": np.full((60, 1), 11, np.uint8)}, "got y of uint8[60, 1]"),
        ({"labels": np.full((59, 1), 1, np.uint8)}, "got y of uint8[59, 1]"),
    ],
)
def test_file_of_another_shape_is_refused(change: dict[str, object], expected: str, tmp_path: Path) -> None:
    whole = content("train")
    broken = type(whole)(**{"images": whole.images, "labels": whole.labels, **change})  # type: ignore[arg-type]
    assert expected in refusal(tmp_path, broken.raw)


def test_file_that_is_no_matlab_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read as a MATLAB 5 file" in refusal(tmp_path, b"not MATLAB " * 100)


@pytest.mark.parametrize("kind", [1, 2, 3, 5, 16, 17, 18])
def test_array_of_another_kind_is_refused(kind: int, tmp_path: Path) -> None:
    images = bad.mat_part("X", (32, 32, 3, 2), bytes(6_144))
    refusal(tmp_path, bad.mat(images, bad.mat_part("y", (2, 1), b"\1\2", kind=kind)))
