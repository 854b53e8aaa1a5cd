"""What is kept of a data set may be damaged, or not be ours: it is refused by its name, and never believed."""

from __future__ import annotations

import json
from pathlib import Path

import bad_data as bad
import numpy as np
import pytest

from clrbench.data import prepared
from clrbench.errors import DataError

ABOUT = {"checksum": "0" * 64, "train_rows": 60, "test_rows": 10, "image_shape": [4, 5, 1]}
BAD_NOTES = {
    "empty": b"",
    "zero bytes": bytes(50),
    "not UTF-8": b"\xff\xfe",
    "list": b"[1, 2]",
    "nested": b"[" * 100_000,
    "no shape": json.dumps({**ABOUT, "image_shape": None}).encode(),
    "two lengths": json.dumps({**ABOUT, "image_shape": [4, 5]}).encode(),
    "text as length": json.dumps({**ABOUT, "image_shape": ["4", 5, 1]}).encode(),
    "true as rows": json.dumps({**ABOUT, "train_rows": True}).encode(),
    "no checksum": json.dumps({key: value for key, value in ABOUT.items() if key != "checksum"}).encode(),
    "number as checksum": json.dumps({**ABOUT, "checksum": 3}).encode(),
}


def kept(folder: Path, about: bytes, **members: bytes) -> Path:
    """Write what is kept of the small arrays, some replaced by raw bytes."""
    own = bad.npy_folder(**members)(folder)
    (own / prepared.ABOUT).write_bytes(about)
    return own


@pytest.mark.parametrize("about", BAD_NOTES.values(), ids=BAD_NOTES.keys())
def test_a_damaged_note_is_refused(about: bytes, tmp_path: Path) -> None:
    own = kept(tmp_path, about)
    for function in (prepared.sizes, lambda folder: prepared.load(folder, "own")):
        with pytest.raises(DataError) as caught:
            function(own)
        assert str(caught.value).startswith(f"{own}: is damaged (about.json: ")
        assert "\x00" not in str(caught.value)


BAD_ARRAYS = {
    "empty": b"",
    "objects": bad.npy_bytes(np.array([{}] * 60)),
    "a trillion rows": bad.npy_header("(1000000000000, 4, 5)"),
    "nested header": bad.npy_header("(" * 4_000 + ")" * 4_000, version=2),
    "other rows": bad.npy_bytes(np.ones((9, 4, 5), np.uint8)),
}


@pytest.mark.parametrize("raw", BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_a_damaged_array_is_refused(raw: bytes, tmp_path: Path) -> None:
    own = kept(tmp_path, json.dumps(ABOUT).encode(), x_train=raw)
    with pytest.raises(DataError) as caught:
        prepared.load(own, "own")
    assert str(caught.value).startswith(str(own))


def test_arrays_that_are_not_as_they_were_are_found_by_verifying(tmp_path: Path) -> None:
    own = kept(tmp_path, json.dumps(ABOUT).encode())
    with pytest.raises(DataError, match=r"got checksum .*, expected 000"):
        prepared.verify(own, "own")
