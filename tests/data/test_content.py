from __future__ import annotations

import bad_data as bad
import numpy as np
import pytest

from clrbench.data import content
from clrbench.errors import DataError, MisfitError


def test_uint8_images_stay_and_floats_become_float32_with_a_channel() -> None:
    dataset = content.make_dataset("own", "own", bad.small_arrays())
    assert (dataset.x_train.dtype, dataset.x_train.shape) == (np.uint8, (60, 4, 5, 1))
    assert (dataset.y_train.dtype, dataset.num_classes) == (np.int32, 3)
    floats = {key: array / 255 if key[0] == "x" else array[:, None] for key, array in bad.small_arrays().items()}
    dataset = content.make_dataset("own", "own", floats)
    assert (dataset.x_train.dtype, dataset.y_train.shape) == (np.float32, (60,))


def test_the_checksum_does_not_depend_on_how_much_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = content.make_dataset("own", "own", bad.small_arrays()).checksum
    monkeypatch.setattr(content, "PART_BYTES", 7)
    assert content.make_dataset("own", "own", bad.small_arrays()).checksum == first


def test_the_checksum_depends_on_types_shapes_and_values() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(3, 4)
    others = (images, images.T.copy(), images + 1, images.astype(np.int32))
    assert len({content.content_checksum(other) for other in others}) == 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"x_test": np.full((10, 4, 5), np.inf), "x_train": np.ones((60, 4, 5))}, "x_test: got nan or infinite pixels"),
        ({"y_train": np.full(60, 2)}, "y_train: got class 2 only"),
        ({"y_test": np.full(10, -1)}, "y_test: got labels from -1 to -1; allowed: 0 and above"),
        (
            {"y_test": np.full(10, 7)},
            "y_test: got 7, which no training row has; allowed: the classes of y_train, 0, 1, 2; ",
        ),
    ],
)
def test_what_is_wrong_with_the_values_is_named(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        content.make_dataset("own", "place", {**bad.small_arrays(), **changes})  # type: ignore[dict-item]
    assert str(caught.value).startswith(f"place: {expected}")


def test_more_rows_than_an_int32_counts_are_refused() -> None:
    layout = {key: ((2**31, *array.shape[1:]), array.dtype) for key, array in bad.small_arrays().items()}
    with pytest.raises(MisfitError, match=r"own: x_train: got 2147483648 rows; allowed: at most 2147483647"):
        content.check_layout("own", layout)


def test_arrays_beyond_memory_are_refused_before_they_are_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "memory_bytes", lambda: 10**9)
    content.check_fits_memory("own", {"x_train": ((10**9,), np.dtype(np.uint8))})
    with pytest.raises(
        MisfitError, match=r"got arrays of 4 GB, more than the 1 GB of memory here; save them as a folder"
    ):
        content.check_fits_memory("own", {"x_train": ((10**9,), np.dtype(np.float32))})
