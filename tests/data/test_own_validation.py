"""Rows that their owner has set apart for validation, in every form of data: read, checked, counted and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from clrbench.commands.data_summary import data_lines
from clrbench.data import AS_IT_IS, DatasetSizes, Library, Reading, user_function
from clrbench.data.description import describe
from clrbench.errors import DataError, MisfitError
from clrbench.planning.data_advice import data_warnings
from clrbench.records import Dataset
from clrbench.spec.data import Data

Arrays = dict[str, npt.NDArray[Any]]
Writer = Callable[[Path, Arrays], str]

RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (75, 4, 5, 1), dtype=np.uint8)
LABELS = np.arange(75) % 3
NAMES = ("x_train", "y_train", "x_test", "y_test", "x_validation", "y_validation")
TEST_HALF = Reading(test_percent=50)


def arrays(**changes: Any) -> Arrays:
    """Return 40 rows to train, 20 to test and 15 to validate."""
    parts = {"train": slice(40), "test": slice(40, 60), "validation": slice(60, 75)}
    found = {
        f"{axis}_{name}": values[rows]
        for name, rows in parts.items()
        for axis, values in (("x", IMAGES), ("y", LABELS))
    }
    return {key: array for key, array in {**found, **changes}.items() if array is not None}


def npz(folder: Path, content: Arrays) -> str:
    np.savez(folder / "own.npz", **content)
    return str(folder / "own.npz")


def npy_folder(folder: Path, content: Arrays) -> str:
    own = folder / "own"
    own.mkdir(exist_ok=True)
    for key, array in content.items():
        np.save(own / f"{key}.npy", array)
    return str(own)


def function(folder: Path, content: Arrays) -> str:
    user_function.content.cache_clear()
    file = folder / "own.py"
    file.write_text(f"import numpy as np\ndef load():\n    return dict(np.load({npz(folder, content)!r}))\n")
    return f"{file}:load"


def image_folder(folder: Path, content: Arrays) -> str:
    """Save images by class and row, the names of the classes in the order of their labels."""
    for split in ("train", "test", "validation"):
        for row, (pixels, label) in enumerate(
            zip(content.get(f"x_{split}", ()), content.get(f"y_{split}", ()), strict=True)
        ):
            file = folder / "photos" / split / f"class{label}" / f"{row:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[..., 0]).save(file)
    return str(folder / "photos")


WRITERS: list[Writer] = [npz, npy_folder, function, image_folder]
ARRAY_WRITERS: list[Writer] = [npz, npy_folder, function]


def expected(writer: Writer, content: Arrays) -> Arrays:
    """Return the arrays as they are to be read: those of a folder of images by class, and then by name."""
    if writer is not image_folder:
        return content
    orders = {key[2:]: np.argsort(labels, kind="stable") for key, labels in content.items() if key.startswith("y")}
    return {key: array[orders[key[2:]]] for key, array in content.items()}


def checksum(content: Arrays) -> str:
    """Return the checksum of arrays in the order of their names, worked out anew."""
    digest = hashlib.sha256()
    for key in NAMES:
        if key in content:
            array = np.ascontiguousarray(content[key], np.uint8 if key.startswith("x") else np.int32)
            digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def assert_holds(dataset: Dataset, content: Arrays) -> None:
    for key in NAMES:
        found = getattr(dataset, key)
        if key in content:
            np.testing.assert_array_equal(found, content[key], err_msg=key)
            assert found.dtype == (np.uint8 if key.startswith("x") else np.int32)
        else:
            assert found is None
    assert dataset.checksum == checksum(content)


@pytest.mark.parametrize("writer", WRITERS)
def test_they_are_read_as_they_are_and_read_again(writer: Writer, tmp_path: Path) -> None:
    library, dataset = Library(tmp_path / "data"), writer(tmp_path, arrays())
    assert library.measure(dataset) == DatasetSizes(40, 20, (4, 5, 1), validation_rows=15)
    for _ in range(2):  # the second time from what is kept
        assert_holds(library.load(dataset), expected(writer, arrays()))


@pytest.mark.parametrize("writer", WRITERS)
def test_without_them_the_checksum_is_as_it_was(writer: Writer, tmp_path: Path) -> None:
    library = Library(tmp_path / "data")
    content = arrays(x_validation=None, y_validation=None)
    dataset = writer(tmp_path, content)
    assert library.measure(dataset) == DatasetSizes(40, 20, (4, 5, 1))
    assert_holds(library.load(dataset), expected(writer, content))


@pytest.mark.parametrize("writer", WRITERS)
def test_those_that_come_later_are_seen(writer: Writer, tmp_path: Path) -> None:
    library = Library(tmp_path / "data")
    dataset = writer(tmp_path, arrays(x_validation=None, y_validation=None))
    before = library.load(dataset).checksum, library.describe(dataset)
    dataset = writer(tmp_path, arrays())
    assert_holds(library.load(dataset), expected(writer, arrays()))
    assert (library.load(dataset).checksum, library.describe(dataset)) != before
    found = library.describe(dataset)
    assert found is not None
    assert found.validation is not None
    assert found.validation.rows == 15


@pytest.mark.parametrize("writer", WRITERS)
def test_test_rows_are_split_off_the_training_rows_alone(writer: Writer, tmp_path: Path) -> None:
    library, content = Library(tmp_path / "data"), arrays(x_test=None, y_test=None)
    dataset = writer(tmp_path, content)
    assert library.measure(dataset, TEST_HALF) == DatasetSizes(20, 20, (4, 5, 1), validation_rows=15)
    for _ in range(2):
        found, wanted = library.load(dataset, how=TEST_HALF), expected(writer, content)
        assert found.x_validation is not None
        assert found.y_validation is not None
        np.testing.assert_array_equal(found.x_validation, wanted["x_validation"])
        np.testing.assert_array_equal(found.y_validation, wanted["y_validation"])
        both = sorted(row.tobytes() for row in (*found.x_train, *found.x_test))
        assert both == sorted(row.tobytes() for row in wanted["x_train"])


@pytest.mark.parametrize("writer", ARRAY_WRITERS)
def test_labels_with_gaps_are_counted_as_those_of_training(writer: Writer, tmp_path: Path) -> None:
    codes = np.array([3, 107, 1007])
    content = {key: codes[array] if key.startswith("y") else array for key, array in arrays().items()}
    # Not every class need be there.
    content |= {"x_validation": IMAGES[60:62], "y_validation": np.array([[1007], [3]])}
    found = Library(tmp_path / "data").load(writer(tmp_path, content))
    assert found.num_classes == 3
    assert found.y_validation is not None
    assert found.y_validation.tolist() == [2, 0]
    assert found.remarks.class_names == ("3", "107", "1007")


def test_images_are_converted_and_resized_alike(tmp_path: Path) -> None:
    folder = Path(image_folder(tmp_path, arrays()))
    clear = np.zeros((8, 12, 4), np.uint8)
    clear[:, 6:, 3] = 255
    Image.fromarray(clear).save(folder / "validation/class1/900.png")
    found = Library(tmp_path / "data").load(str(folder), how=Reading(resize=2))
    assert found.image_shape == (2, 2, 3)
    assert found.x_validation is not None
    assert found.y_validation is not None
    row = int(np.flatnonzero(found.y_validation == 1)[-1])
    # White behind what is transparent; the centre square is cut in two where the black begins.
    assert found.x_validation[row].tolist() == [[[255] * 3, [0] * 3]] * 2
    assert len(found.x_validation) == 16


def refusal(dataset: str, tmp_path: Path, how: Reading | None = None) -> str:
    user_function.content.cache_clear()
    with pytest.raises(DataError) as caught:
        Library(tmp_path / "data").load(dataset, how=how or Reading())
    return f"{type(caught.value).__name__}: {caught.value}"


REFUSED: dict[str, tuple[Arrays, str]] = {
    "no labels": (arrays(y_validation=None), "got x_validation without y_validation; allowed: both"),
    "no images": (arrays(x_validation=None), "got y_validation without x_validation; allowed: both"),
    "a class of its own": (arrays(y_validation=LABELS[60:] + 1), "y_validation: got 3, which no training row has"),
    "no label": (arrays(y_validation=LABELS[60:] - 1), "y_validation: got labels from -1 to 1"),
    "another size": (
        arrays(x_validation=IMAGES[60:, :3]),
        "x_validation of uint8[3, 5, 1] an image; both must be alike",
    ),
    "another type": (arrays(x_validation=IMAGES[60:].astype(np.float32)), "x_validation of float32[4, 5, 1]"),
    "labels too few": (arrays(y_validation=LABELS[:9]), "y_validation: got shape (9,) beside 15 images"),
    "floats as labels": (arrays(y_validation=LABELS[60:] / 1), "y_validation: got labels of type float64"),
    "one-hot": (arrays(y_validation=np.eye(3, dtype=int)[LABELS[60:]]), "y_validation.argmax(axis=1)"),
    "no rows": (
        arrays(x_validation=IMAGES[:0], y_validation=LABELS[:0]),
        "x_validation: got an array of shape (0, 4, 5, 1)",
    ),
}


@pytest.mark.parametrize("writer", ARRAY_WRITERS)
@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused(content: Arrays, message: str, writer: Writer, tmp_path: Path) -> None:
    found = refusal(writer(tmp_path, content), tmp_path)
    assert found.startswith("MisfitError: ")
    assert message in found


@pytest.mark.parametrize("writer", ARRAY_WRITERS)
def test_pixels_that_are_no_numbers_are_refused(writer: Writer, tmp_path: Path) -> None:
    content = {key: array.astype(np.float32) if key.startswith("x") else array for key, array in arrays().items()}
    content["x_validation"][3, 1, 1, 0] = np.nan
    assert "x_validation: got nan" in refusal(writer(tmp_path, content), tmp_path)


def test_a_class_folder_that_training_has_not_is_refused(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, arrays(y_validation=LABELS[60:] + 1))
    assert "validation: got the class 'class3', which train/ does not have" in refusal(folder, tmp_path)


def test_an_empty_folder_is_refused_with_a_way_out(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, arrays(x_validation=None, y_validation=None))
    (Path(folder) / "validation").mkdir()
    assert "got no class folders" in (found := refusal(folder, tmp_path))
    assert found.endswith("or take this folder away")


def test_missing_test_rows_may_be_split_off_beside_own_validation_rows(tmp_path: Path) -> None:
    content = arrays(x_test=None, y_test=None)
    for writer in WRITERS:
        assert "test: 20 %" in refusal(writer(tmp_path, content), tmp_path)


def warnings_and_lines(dataset: str, tmp_path: Path, validation: str = "10 %") -> tuple[list[str], list[str]]:
    found = Library(tmp_path / "data").describe(dataset)
    assert found is not None
    data = Data.model_validate({"dataset": dataset, "validation": validation})
    return data_warnings(found, data), data_lines(found)


@pytest.mark.parametrize("writer", WRITERS)
def test_the_summary_counts_them(writer: Writer, tmp_path: Path) -> None:
    content = arrays(x_validation=IMAGES[60:65], y_validation=LABELS[60:65])
    for _ in range(2):  # the second time from what is kept
        warned, lines = warnings_and_lines(writer(tmp_path, content), tmp_path)
        assert warned == []
        assert lines[0].startswith("40 rows to train, 5 of their own to validate, 20 to test; images of 4 x 5 x 1 ")
        own = IMAGES[60:65]
        assert f"; validation {own.min()} to {own.max()}, mean {own.mean():.4g}; test " in lines[1]
        names = [f"class{label}" for label in range(3)] if writer is image_folder else ["0", "1", "2"]
        rows = zip(names, ("14 + 2 + 6", "13 + 2 + 7", "13 + 1 + 7"), strict=True)
        each = ", ".join(f"{name}: {counts}" for name, counts in rows)
        assert lines[2] == f"3 classes, rows of each (train + validation + test): {each}"


def test_the_summary_says_what_is_not_used(tmp_path: Path) -> None:
    library, content = Library(tmp_path / "data"), arrays()
    found = library.describe(npz(tmp_path, content))
    assert found is not None
    start = "40 rows to train, 15 of their own to validate, not used (data.validation), 20 to test; "
    assert data_lines(found, validates=False)[0].startswith(start)
    found = library.describe(npz(tmp_path, arrays(x_validation=None, y_validation=None)))
    assert found is not None
    assert data_lines(found, validates=False)[0].startswith("40 rows to train, 20 to test; ")


def test_many_classes_are_summed_up(tmp_path: Path) -> None:
    labels = np.arange(75) % 25
    content = arrays(y_train=labels[:40], y_test=labels[40:60], y_validation=labels[60:])
    _, lines = warnings_and_lines(npz(tmp_path, content), tmp_path)
    assert "; validation rows: from 0 to 1, none of 10 classes; test rows: from 0 to 1" in lines[2] or (
        "; test rows: from 0 to 1, none of 5 classes; validation rows: from 0 to 1, none of 10 classes" in lines[2]
    )


@pytest.mark.parametrize(
    ("validation", "is_said"), [("10 %", False), ("0 rows", False), ("20 %", True), ("9 rows", True)]
)
def test_what_is_asked_for_beside_them_is_said_not_to_be_done(validation: str, is_said: bool, tmp_path: Path) -> None:
    warned, _ = warnings_and_lines(npz(tmp_path, arrays()), tmp_path, validation)
    assert [
        f"data.validation is '{validation}', but the data set has 15 validation rows of its own" in text
        for text in warned
    ] == ([True] * is_said)


def test_rows_of_training_and_another_unit_are_warned_about(tmp_path: Path) -> None:
    warned, lines = warnings_and_lines(npz(tmp_path, arrays(x_validation=IMAGES[:15])), tmp_path)
    assert warned[0].startswith(
        "15 of 15 validation images are training images as well, pixel by pixel: validation accuracy"
    )
    assert lines[-1] == "15 of the validation images are training images as well"
    warned, _ = warnings_and_lines(npz(tmp_path, arrays(x_validation=IMAGES[60:] // 128)), tmp_path)
    assert (
        "but x_validation from 0 to 1: do the scales match? Where x_train is right: x_validation = x_validation * 255"
        in (warned[0])
    )


def test_a_class_without_validation_images_is_named(tmp_path: Path) -> None:
    folder = Path(image_folder(tmp_path, arrays()))
    for file in (folder / "validation/class1").iterdir():
        file.unlink()
    (folder / "validation/notes.txt").write_text("text")
    (folder / "validation/class0/x.heic").write_text("text")
    warned, lines = warnings_and_lines(str(folder), tmp_path)
    assert "left out: 1 .txt" in lines
    assert warned[0].startswith("1 file in the class folders is not read: 1 .heic")
    assert warned[1].startswith("validation/ has no images of 1 of 3 classes: class1; no validation accuracy")


@pytest.mark.parametrize(
    "names", [("x_val", "y_val"), ("X_valid", "Y_valid"), ("val_images", "val_labels"), ("xval", "yval")]
)
@pytest.mark.parametrize("splits", [False, True])
@pytest.mark.parametrize("writer", ARRAY_WRITERS)
def test_those_by_another_name_are_warned_about_in_every_form(
    writer: Writer, splits: bool, names: tuple[str, str], tmp_path: Path
) -> None:
    own = arrays(x_validation=None, y_validation=None)
    content = {key: array for key, array in own.items() if not (splits and key.endswith("test"))}
    how = TEST_HALF if splits else AS_IT_IS
    others = {names[0]: IMAGES[60:], names[1]: LABELS[60:], "values": LABELS[:3]}
    library = Library(tmp_path / "data")
    assert library.load(writer(tmp_path, content), how=how).remarks.warned == ()
    dataset = writer(tmp_path, {**content, **others})
    for _ in range(2):  # what is kept says so, too
        for found in (library.load(dataset, how=how), library.describe(dataset, how)):
            assert found is not None
            (warned,) = found.remarks.warned
            verb = "return" if writer is function else "save"
            assert warned.startswith(
                f"the arrays {', '.join(names)} are not read; to validate on them, {verb} them as x_validation and y_validation; "
            )


def test_others_beside_them_are_said_not_to_be_read(tmp_path: Path) -> None:
    warned, _ = warnings_and_lines(npz(tmp_path, arrays(x_val=IMAGES[:2], y_val=LABELS[:2])), tmp_path)
    assert warned == ["the arrays x_val, y_val are not read"]
    folder = image_folder(tmp_path, arrays())
    (Path(folder) / "val/ant").mkdir(parents=True)
    assert warnings_and_lines(folder, tmp_path)[0] == ["the folder val is not read"]


def test_what_is_kept_says_how_many_there_are(tmp_path: Path) -> None:
    Library(tmp_path / "data").load(image_folder(tmp_path, arrays()))
    (about,) = (tmp_path / "data").glob("own/arrays-*/about.json")
    assert json.loads(about.read_text())["validation_rows"] == 15
    (about.parent / "y_validation.npy").unlink()
    assert "is damaged" in refusal(str(tmp_path / "photos"), tmp_path)


def test_a_description_survives_its_file(tmp_path: Path) -> None:
    found = describe(Library(tmp_path / "data").load(npz(tmp_path, arrays())))
    assert found.validation is not None
    assert found.validation.class_counts == (5, 5, 5)


def test_a_misfit_is_an_error_of_the_spec(tmp_path: Path) -> None:
    with pytest.raises(MisfitError) as caught:
        Library(tmp_path / "data").measure(npz(tmp_path, arrays(y_validation=None)))
    assert caught.value.key == ("data", "dataset")
