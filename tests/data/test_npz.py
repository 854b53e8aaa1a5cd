from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrbench.data import DatasetSizes, Library
from clrbench.errors import DataError, SpecError

LIBRARY = Library()

Arrays = dict[str, npt.NDArray[Any]]


def small_arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (6, 4, 5), dtype=np.uint8),
        "y_train": np.array([0, 1, 2, 0, 1, 2]),
        "x_test": rng.integers(0, 256, (3, 4, 5), dtype=np.uint8),
        "y_test": np.array([2, 0, 1]),
    }


def saved(folder: Path, **changes: Any) -> Path:
    """Return the path of a file with the small arrays, some of them changed, or left out where they are None."""
    path = folder / "own.npz"
    np.savez(path, **{key: array for key, array in {**small_arrays(), **changes}.items() if array is not None})
    return path


def npy(array: npt.NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def zipped(path: Path, **members: bytes) -> Path:
    """Write an archive of the small arrays, some members replaced by raw bytes."""
    contents = {f"{key}.npy": npy(array) for key, array in small_arrays().items()}
    contents |= {f"{key}.npy": raw for key, raw in members.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in contents.items():
            archive.writestr(name, raw)
    return path


def header(shape: str, descr: str = "|u1") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"1234"


def refusal(path: Path, function: Callable[[str], object]) -> str:
    with pytest.raises(DataError) as caught:
        function(str(path))
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_uint8_images_keep_their_type_and_get_a_channel(tmp_path: Path) -> None:
    dataset = LIBRARY.load(str(saved(tmp_path)))
    arrays = small_arrays()
    for key in ("x_train", "x_test"):
        images = getattr(dataset, key)
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images, arrays[key][..., np.newaxis])
    for key in ("y_train", "y_test"):
        labels = getattr(dataset, key)
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, arrays[key])
    assert (dataset.num_classes, dataset.image_shape) == (3, (4, 5, 1))
    assert dataset.name == str(tmp_path / "own.npz")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8"])
def test_float_images_become_float32_as_they_are(dtype: str, tmp_path: Path) -> None:
    images = np.linspace(-2, 3, 6 * 4 * 5 * 3).reshape(6, 4, 5, 3).astype(dtype)
    dataset = LIBRARY.load(str(saved(tmp_path, x_train=images, x_test=images[:3])))
    assert dataset.x_train.dtype == np.float32
    np.testing.assert_array_equal(dataset.x_train, images.astype(np.float32))
    np.testing.assert_array_equal(dataset.x_test, images[:3].astype(np.float32))
    assert dataset.image_shape == (4, 5, 3)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint64", ">i4"])
@pytest.mark.parametrize("column", [False, True])
def test_labels_of_any_integer_type_as_a_row_or_a_column(dtype: str, column: bool, tmp_path: Path) -> None:
    labels = np.array([0, 1, 2, 0, 1, 2], dtype=dtype)
    dataset = LIBRARY.load(str(saved(tmp_path, y_train=labels.reshape(6, 1) if column else labels)))
    assert dataset.y_train.dtype == np.int32
    assert dataset.y_train.tolist() == [0, 1, 2, 0, 1, 2]


def test_images_in_fortran_order_and_compressed(tmp_path: Path) -> None:
    arrays = small_arrays()
    path = tmp_path / "packed.npz"
    np.savez_compressed(path, **{**arrays, "x_train": np.asfortranarray(arrays["x_train"])})
    dataset = LIBRARY.load(str(path))
    np.testing.assert_array_equal(dataset.x_train[..., 0], arrays["x_train"])
    assert dataset.checksum == LIBRARY.load(str(saved(tmp_path))).checksum


def test_further_arrays_are_left_alone(tmp_path: Path) -> None:
    path = saved(tmp_path, notes=np.array([{"pickled": True}], dtype=object))
    assert LIBRARY.load(str(path)).num_classes == 3
    assert LIBRARY.measure(str(path)).train_rows == 6


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (1, 1)])
def test_measure_agrees_with_load(dtype: type, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = saved(tmp_path, x_train=np.ones((6, *shape), dtype), x_test=np.ones((3, *shape), dtype))
    dataset = LIBRARY.load(str(path))
    size = dataset.x_train.itemsize
    expected = DatasetSizes(len(dataset.x_train), len(dataset.x_test), dataset.image_shape, value_bytes=size)
    assert LIBRARY.measure(str(path)) == expected
    assert (expected.image_shape, expected.num_bytes) == (
        (*shape, 1)[:3],
        dataset.x_train.nbytes + dataset.x_test.nbytes,
    )


def test_checksum_is_of_the_content_alone(tmp_path: Path) -> None:
    first = LIBRARY.load(str(saved(tmp_path))).checksum
    (tmp_path / "elsewhere").mkdir()
    assert LIBRARY.load(str(saved(tmp_path / "elsewhere"))).checksum == first
    assert len(first) == 64
    changed = small_arrays()["x_train"]
    changed[0, 0, 0] ^= 1
    others = {
        "pixel": saved(tmp_path, x_train=changed),
        "label": saved(tmp_path, y_test=np.array([2, 1, 1])),
        "rows": saved(tmp_path, x_test=np.zeros((2, 4, 5), np.uint8), y_test=np.array([0, 2])),
    }
    for path in others.values():
        assert LIBRARY.load(str(path)).checksum != first


ALONE = "allowed: [rows, height, width] or [rows, height, width, channels], each at least 1"
BAD_IMAGES = [
    ("int64", np.ones((6, 4, 5), np.int64), "x_train: got images of type int64; allowed: uint8 (0 to 255) or float"),
    ("bool", np.ones((6, 4, 5), bool), "x_train: got images of type bool; allowed: uint8"),
    ("text", np.full((6, 4, 5), "a"), "x_train: got images of type <U1; allowed: uint8"),
    ("complex", np.ones((6, 4, 5), complex), "x_train: got images of type complex128; allowed: uint8"),
    ("five axes", np.ones((6, 4, 5, 1, 1), np.uint8), f"x_train: got an array of shape (6, 4, 5, 1, 1); {ALONE}"),
    ("single number", np.uint8(3), f"x_train: got an array of shape (); {ALONE}"),
    ("no rows", np.ones((0, 4, 5), np.uint8), f"x_train: got an array of shape (0, 4, 5); {ALONE}"),
    ("no width", np.ones((6, 4, 0), np.uint8), f"x_train: got an array of shape (6, 4, 0); {ALONE}"),
]


@pytest.mark.parametrize("function", [LIBRARY.load, LIBRARY.measure])
@pytest.mark.parametrize(
    ("images", "expected"), [case[1:] for case in BAD_IMAGES], ids=[case[0] for case in BAD_IMAGES]
)
def test_unusable_images(
    images: npt.NDArray[Any], expected: str, function: Callable[[str], object], tmp_path: Path
) -> None:
    path = saved(tmp_path, x_train=images)
    assert refusal(path, function).startswith(f"{path}: {expected}")


FLOATS = np.ones((6, 4, 5), np.float32)
BAD_CONTENT = [
    ("nan", {"x_train": FLOATS * np.nan, "x_test": FLOATS[:3]}, "x_train: got nan or infinite pixels"),
    (
        "inf in test",
        {"x_train": FLOATS, "x_test": FLOATS[:3] * np.inf},
        "x_test: got nan or",
    ),
    (
        "beyond float32",
        {"x_train": np.full((6, 4, 5), 1e300), "x_test": FLOATS[:3]},
        "x_train: got nan or infinite pixels",
    ),
    (
        "test size",
        {"x_test": np.ones((3, 5, 4), np.uint8)},
        "got x_train of uint8[4, 5, 1] and x_test of uint8[5, 4, 1]",
    ),
    ("test type", {"x_test": FLOATS[:3]}, "got x_train of uint8[4, 5, 1] and x_test of float32[4, 5, 1] an image"),
    (
        "channels",
        {"x_test": np.ones((3, 4, 5, 3), np.uint8)},
        "got x_train of uint8[4, 5, 1] and x_test of uint8[4, 5, 3]",
    ),
    (
        "float labels",
        {"y_train": np.ones(6)},
        "y_train: got labels of type float64; allowed: integers, one per class; y_train = y_train.astype",
    ),
    ("bool labels", {"y_train": np.ones(6, bool)}, "y_train: got labels of type bool; allowed: integers"),
    ("too few labels", {"y_train": np.arange(5)}, "y_train: got shape (5,) beside 6 images; allowed: [6]"),
    ("one-hot labels", {"y_train": np.eye(6, dtype=int)}, "y_train: got shape (6, 6) beside 6 images; allowed: [6]"),
    ("negative label", {"y_test": np.array([0, -1, 2])}, "y_test: got labels from -1 to 2; allowed: 0 and above"),
    (
        "huge label",
        {"y_test": np.array([0, 1, 2**63], np.uint64)},
        f"y_test: got {2**63}, which no training row has; allowed: the classes of y_train, 0, 1, 2; take",
    ),
    ("single class", {"y_train": np.zeros(6, int)}, "y_train: got class 0 only; allowed: at least two classes"),
    ("single later class", {"y_train": np.full(6, 3)}, "y_train: got class 3 only; allowed: at least two classes"),
]


@pytest.mark.parametrize(("changes", "expected"), [c[1:] for c in BAD_CONTENT], ids=[c[0] for c in BAD_CONTENT])
def test_content_that_does_not_fit_together(changes: Arrays, expected: str, tmp_path: Path) -> None:
    path = saved(tmp_path, **changes)
    assert refusal(path, LIBRARY.load).startswith(f"{path}: {expected}")


@pytest.mark.parametrize("function", [LIBRARY.load, LIBRARY.measure])
@pytest.mark.parametrize("missing", ["x_train", "y_train", "x_test", "y_test"])
def test_missing_array_is_named(missing: str, function: Callable[[str], object], tmp_path: Path) -> None:
    path = saved(tmp_path, **{missing: None})
    there = ", ".join(sorted({"x_train", "y_train", "x_test", "y_test"} - {missing}))
    assert refusal(path, function).startswith(f"{path}: got the arrays {there}; {missing} missing; save them ")


@pytest.mark.parametrize("function", [LIBRARY.load, LIBRARY.measure])
def test_pickled_objects_are_never_loaded(function: Callable[[str], object], tmp_path: Path) -> None:
    victim = tmp_path / "victim"

    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (victim,)

    path = saved(tmp_path, x_train=np.array([Touch()] * 6, dtype=object), y_train=np.array([Touch()] * 6, dtype=object))
    refusal(path, function)
    assert not victim.exists()


def whole(path: Path) -> bytes:
    return saved(path).read_bytes()


BAD_FILES: list[tuple[str, Callable[[Path], bytes]]] = [
    ("empty", lambda _: b""),
    ("text", lambda _: b"x_train,y_train\n1,2\n"),
    ("npy", lambda _: npy(small_arrays()["x_train"])),
    ("truncated", lambda folder: whole(folder)[:-400]),
    ("beginning only", lambda folder: whole(folder)[:300]),
    ("damaged pixels", lambda folder: whole(folder).replace(small_arrays()["x_train"].tobytes(), bytes(120))),
    ("damaged header", lambda folder: whole(folder).replace(b"'fortran_order': False", b"'fortran_order': Felse")),
]


@pytest.mark.parametrize("content", [case[1] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_unreadable_file(content: Callable[[Path], bytes], tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(content(tmp_path))
    assert refusal(path, LIBRARY.load).startswith(f"{path}: cannot be read as an .npz of plain arrays (")


BAD_MEMBERS = [
    ("no npy", b"some text"),
    ("empty", b""),
    ("cut short", npy(small_arrays()["x_train"])[:100]),
    ("fewer pixels than promised", npy(small_arrays()["x_train"])[:-1]),
    ("rows beyond memory", header("(10000000000000, 28, 28)")),
    ("rows beyond all numbers", header("(1000000000000000000000000000000, 2, 2)")),
    ("negative rows", header("(-3, 2, 2)")),
    ("open bracket", header("(3, 2, 2")),
    ("wrong digits", header("(03, 2, 2)")),
    ("no type", header("(3, 2, 2)", "??")),
]


@pytest.mark.parametrize("raw", [case[1] for case in BAD_MEMBERS], ids=[case[0] for case in BAD_MEMBERS])
def test_array_that_is_not_what_it_says(raw: bytes, tmp_path: Path) -> None:
    path = zipped(tmp_path / "bad.npz", x_train=raw)
    refusal(path, LIBRARY.load)
    try:
        assert LIBRARY.measure(str(path)).train_rows > 0  # the sizes alone may be sound
    except DataError as err:
        assert str(path) in str(err)  # noqa: PT017


@pytest.mark.parametrize("function", [LIBRARY.load, LIBRARY.measure])
@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [(6, 99, "zip file version 9.9"), (8, 1, "encrypted"), (10, 99, "compression method is not supported")],
)
def test_zip_features_that_cannot_be_read(
    offset: int, value: int, expected: str, function: Callable[[str], object], tmp_path: Path
) -> None:
    path = zipped(tmp_path / "foreign.npz")
    raw = bytearray(path.read_bytes())
    # Offsets into an entry of the central directory: version needed, flags, compression method.
    for entry in re.finditer(rb"PK\x01\x02", bytes(raw)):
        raw[entry.start() + offset] = value
    path.write_bytes(raw)
    message = refusal(path, function)
    assert message.startswith(f"{path}: cannot be read as an .npz of plain arrays (")
    assert expected in message


@settings(deadline=None, derandomize=True, database=None, max_examples=80)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    end=st.integers(0, 40),
)
def test_random_damage_is_a_data_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], end: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    raw = bytearray(whole(folder))
    for place, value in changes:
        raw[place % len(raw)] = value
    path = folder / "damaged.npz"
    path.write_bytes(raw[: len(raw) - max(0, end - 20)])
    for function in (LIBRARY.load, LIBRARY.measure):
        try:
            function(str(path))
        except DataError as err:
            assert str(path) in str(err)  # noqa: PT017


@pytest.mark.parametrize("function", [LIBRARY.load, LIBRARY.measure])
@pytest.mark.parametrize("name", ["missing.npz", "", "n" * 5_000 + ".npz", "imagenet"])
def test_missing_file_is_an_error_of_the_spec(name: str, function: Callable[[str], object], tmp_path: Path) -> None:
    path = str(tmp_path / name) if name.endswith(".npz") else name
    with pytest.raises(SpecError) as caught:
        function(path)
    assert str(caught.value).startswith(
        f"got {path!r}, and no such file or folder exists; allowed: mnist, fashion_mnist, svhn, cifar10, street_digits, the path"
    )
    assert caught.value.key == ("data", "dataset")


def test_empty_folder_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="train"):
        LIBRARY.load(str(tmp_path))
