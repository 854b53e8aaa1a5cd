"""Rows that are not images, in every form that arrays come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clrbench.commands.data_summary import data_lines
from clrbench.data import AS_IT_IS, DatasetSizes, Library, Reading, user_function
from clrbench.errors import DataError, MisfitError
from clrbench.planning.data_advice import data_warnings
from clrbench.spec.data import Data

AS_GIVEN = Reading(as_given=True)
LABELS = np.arange(12) % 3
FORMS = ["npz", "npy", "function"]


def rows(*shape: int, kind: type | str = np.float32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, (12, *shape)).astype(kind)


def place(folder: Path, form: str, x: np.ndarray, x_test: np.ndarray | None = None) -> str:
    """Write a data set in one of `FORMS`; return what a spec calls it."""
    arrays = {"x_train": x, "y_train": LABELS, "x_test": x[:6] if x_test is None else x_test, "y_test": LABELS[:6]}
    np.savez(folder / "own.npz", **arrays)
    (folder / "arrays").mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / "arrays" / f"{name}.npy", array)
    (folder / "own.py").write_text("import numpy as np\ndef load(): return dict(np.load('own.npz'))\n")
    user_function.content.cache_clear()
    return {"npz": "own.npz", "npy": "arrays", "function": "./own.py:load"}[form]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "cache", base=tmp_path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((7,), "float32"),
        ((1,), "float32"),
        ((7,), "int32"),
        ((7,), "uint8"),
        ((5, 3), "float32"),
        ((5, 3), "int32"),
        ((5, 3), "uint8"),
        ((4, 4, 1), "int32"),
        ((4, 4, 3), "float32"),
        ((2, 3, 4, 5), "float32"),
        ((2, 1, 3, 1, 2), "int32"),
    ],
)
def test_a_network_of_ones_own_is_given_rows_as_they_are(
    library: Library, tmp_path: Path, form: str, shape: tuple[int, ...], kind: str
) -> None:
    x = rows(*shape, kind=kind)
    name = place(tmp_path, form, x)
    assert library.measure(name, AS_GIVEN) == DatasetSizes(12, 6, shape, value_bytes=x.itemsize)
    for _ in range(2):  # the second time from what was kept
        found = library.load(name, how=AS_GIVEN)
        np.testing.assert_array_equal(found.x_train, x, strict=True)
        np.testing.assert_array_equal(found.x_test, x[:6], strict=True)
        assert found.image_shape == shape
        description = library.describe(name, AS_GIVEN)
        assert description is not None
        assert (description.image_shape, description.pixel_type) == (shape, kind)


@pytest.mark.parametrize(
    ("form", "kind"),
    [("npz", "int64"), ("npz", "uint16"), ("npz", "int8"), ("function", "int64"), ("function", "uint64")],
)
def test_whole_numbers_become_int32(library: Library, tmp_path: Path, form: str, kind: str) -> None:
    x = rows(5, kind=kind)
    np.testing.assert_array_equal(
        library.load(place(tmp_path, form, x), how=AS_GIVEN).x_train, x.astype(np.int32), strict=True
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_table_needs_no_network_of_ones_own(library: Library, tmp_path: Path, form: str) -> None:
    for kind in ("float32", "int32", "uint8"):
        x = rows(7, kind=kind)
        np.testing.assert_array_equal(library.load(place(tmp_path, form, x)).x_train, x, strict=True)


@pytest.mark.parametrize("form", FORMS)
def test_three_axes_are_gray_images_to_the_built_in_networks_alone(library: Library, tmp_path: Path, form: str) -> None:
    x = rows(5, 4, kind="uint8")
    name = place(tmp_path, form, x)
    images, given = library.load(name), library.load(name, how=AS_GIVEN)
    assert (images.image_shape, given.image_shape) == ((5, 4, 1), (5, 4))
    assert images.checksum != given.checksum
    described = library.describe(name), library.describe(name, AS_GIVEN)
    assert [one and one.image_shape for one in described] == [(5, 4, 1), (5, 4)]


def test_test_rows_are_split_off_rows_of_any_shape(library: Library, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x_train=rows(5, 3, kind="int32"), y_train=LABELS)
    found = library.load("own.npz", how=Reading(test_percent=25, as_given=True))
    assert (found.x_train.shape, found.x_test.shape, found.x_train.dtype) == ((9, 5, 3), (3, 5, 3), np.int32)


@pytest.mark.parametrize(
    ("x", "how", "words"),
    [
        (rows(), AS_GIVEN, r"one number per row; allowed: .rows, features.*x_train = x_train.reshape\(-1, 1\)"),
        (rows(5, kind=bool), AS_GIVEN, "of type bool"),
        (rows(5, kind="complex64"), AS_GIVEN, "of type complex64"),
        (rows(5, kind="U3"), AS_GIVEN, "of type <U3"),
        (rows(0), AS_GIVEN, "each at least 1"),
        (rows(4, 4, 1, kind="int64"), AS_IT_IS, "of type int64; allowed: uint8"),
        (rows(4, 4, kind="int64"), AS_IT_IS, "of type int64; allowed: uint8"),
        (rows(2, 3, 4, 5), AS_IT_IS, "any other for a network of your own"),
    ],
)
def test_what_is_refused(library: Library, tmp_path: Path, x: np.ndarray, how: Reading, words: str) -> None:
    with pytest.raises(MisfitError, match=words):
        library.measure(place(tmp_path, "npz", x), how)


def test_splits_must_be_of_one_kind(library: Library, tmp_path: Path) -> None:
    for kinds in (("float32", "int32"), ("uint8", "int32"), ("int32", "float32")):
        x, x_test = (rows(5, kind=kind) for kind in kinds)
        with pytest.raises(MisfitError, match="both must be alike"):
            library.measure(place(tmp_path, "npz", x, x_test[:6]), AS_GIVEN)


def test_numbers_beyond_int32_are_refused(library: Library, tmp_path: Path) -> None:
    x = rows(5, kind="int64")
    x[3, 2] = 2**31
    with pytest.raises(DataError, match="x_train: got whole numbers from 0 to 2147483648; allowed: those of int32"):
        library.load(place(tmp_path, "npz", x), how=AS_GIVEN)


def test_mapped_whole_numbers_are_not_converted(library: Library, tmp_path: Path) -> None:
    with pytest.raises(MisfitError, match="int64; allowed: int32, which needs no conversion"):
        library.load(place(tmp_path, "npy", rows(5, kind="int64")), how=AS_GIVEN)
    mapped = library.load(place(tmp_path, "npy", rows(5, kind="int32")), how=AS_GIVEN).x_train
    assert not mapped.flags.owndata


def test_nan_is_refused_in_any_shape(library: Library, tmp_path: Path) -> None:
    x = rows(5, 3)
    x[2, 1, 1] = np.nan
    with pytest.raises(DataError, match="nan or infinite"):
        library.load(place(tmp_path, "npz", x), how=AS_GIVEN)


@pytest.mark.parametrize(
    ("x", "words", "warned"),
    [
        (rows(7) / 100, "rows of 7 numbers, float32, taken as they are", ""),
        (rows(1) / 100, "rows of 1 number, float32, taken as they are", ""),
        (rows(5, 3) / 100, "rows of 5 x 3, float32, taken as they are", ""),
        (rows(5, kind="int32"), "rows of 5 numbers, whole numbers, int32, taken as they are", ""),
        (rows(7), "rows of 7 numbers", "are taken as they are; set preprocessing: standardise, or scale them yourself"),
        (rows(7), "rows of 7 numbers", "leave them as they are if they are token ids"),
        (
            rows(5, 3, kind="uint8"),
            "rows of 5 x 3, uint8",
            "where they are gray images, say so: x_train = x_train[..., None]",
        ),
        (rows(4, 4, 1, kind="uint8"), "images of 4 x 4 x 1 (height x width x channels), uint8", ""),
    ],
)
def test_it_is_said_what_rows_are(library: Library, tmp_path: Path, x: np.ndarray, words: str, warned: str) -> None:
    name = place(tmp_path, "npz", x)
    found = library.describe(name, AS_GIVEN)
    assert found is not None
    assert words in data_lines(found)[0]
    warnings = data_warnings(found, Data(dataset=name))
    said = [one for one in warnings if "also" not in one and "as well" not in one]
    assert bool(warned) == any(warned in one for one in said if warned)
    text = " ".join((*warnings, *data_lines(found)))
    for other in ("rows that are not images", "gray images"):
        text = text.replace(other, "")
    assert ("images" in text) == (x.ndim == 4)
