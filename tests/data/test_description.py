"""Data that loads and is perhaps not meant: what is said of it, and what is warned about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from clrbench.commands.data_summary import data_lines
from clrbench.data import AS_IT_IS, Description, Library, Reading, description
from clrbench.data.description import describe, read_description
from clrbench.errors import MisfitError
from clrbench.planning.data_advice import data_warnings
from clrbench.spec.data import Data

Arrays = dict[str, npt.NDArray[Any]]
RNG = np.random.default_rng(1)
IMAGES = RNG.integers(0, 256, (60, 4, 5, 1), dtype=np.uint8)
LABELS = np.arange(60) % 3


def arrays(**changes: Any) -> Arrays:
    found: Arrays = {"x_train": IMAGES[:40], "y_train": LABELS[:40], "x_test": IMAGES[40:], "y_test": LABELS[40:]}
    return {**found, **changes}


def saved(folder: Path, **changes: Any) -> str:
    np.savez(folder / "own.npz", **arrays(**changes))
    return str(folder / "own.npz")


def warnings_of(folder: Path, preprocessing: str = "scale", **changes: Any) -> list[str]:
    found = Library(folder / "data").describe(saved(folder, **changes))
    assert found is not None
    return data_warnings(found, Data.model_validate({"dataset": "mnist", "preprocessing": preprocessing}))


def lines_of(folder: Path, **changes: Any) -> str:
    found = Library(folder / "data").describe(saved(folder, **changes))
    assert found is not None
    return "\n".join(data_lines(found))


def test_what_is_meant_is_said_and_nothing_is_warned_about(tmp_path: Path) -> None:
    assert warnings_of(tmp_path) == []
    lines = lines_of(tmp_path).splitlines()
    assert len(lines) <= 8
    assert lines[0] == (
        "40 rows to train (including validation rows), 20 to test; images of 4 x 5 x 1 (height x width x channels), uint8"
    )
    train, test = IMAGES[:40].mean(), IMAGES[40:].mean()
    assert lines[1] == (
        f"values: train {IMAGES[:40].min()} to {IMAGES[:40].max()}, mean {train:.4g}; test {IMAGES[40:].min()} to "
        f"{IMAGES[40:].max()}, mean {test:.4g}"
    )
    assert lines[2:] == ["3 classes, rows of each (train + test): 0: 14 + 6, 1: 13 + 7, 2: 13 + 7"]


SIXTEEN = np.minimum(IMAGES // 15, 16).astype(np.float64)
UNIT = IMAGES.astype(np.float32) / 255


def splits(images: npt.NDArray[Any]) -> Arrays:
    return {"x_train": images[:40], "x_test": images[40:]}


UNMEANT: dict[str, tuple[Arrays, str]] = {
    "floats to 16": (splits(SIXTEEN), "preprocessing: scale divides it by about 16"),
    "floats to 255": (splits(IMAGES.astype(np.float32)), "x_train = x_train / 255"),
    "floats below -5": (splits(-UNIT * 9), "outside the -5 to 5"),
    "bytes to 16": (splits(SIXTEEN.astype(np.uint8)), "set preprocessing: standardise"),
    "bits as bytes": (splits(IMAGES // 128), "while bytes are divided by 255"),
    "test in another unit": ({"x_train": IMAGES[:40].astype(np.float32), "x_test": UNIT[40:]}, "x_test = x_test * 255"),
    "train in another unit": (
        {"x_train": UNIT[:40], "x_test": IMAGES[40:].astype(np.float32)},
        "x_train = x_train * 255",
    ),
    "test bytes to 1": ({"x_test": IMAGES[40:] // 128}, "do the scales match?"),
    "one image": (splits(np.broadcast_to(IMAGES[:1], IMAGES.shape)), "every training image is the same one"),
    "all black": (splits(np.zeros_like(IMAGES)), "every training image is the same one"),
    "channels first": (splits(RNG.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)), "np.moveaxis(x_train, 1, -1)"),
    "gray channels first": (splits(RNG.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)), "np.moveaxis(x_train, 1, -1)"),
    "the same rows": ({"x_test": IMAGES[:20]}, "20 of 20 test images are training images as well"),
    "row numbers as labels": ({"y_train": np.arange(40)}, "40 classes for 40 training images"),
}


def test_row_numbers_as_labels_of_a_table_are_not_those_of_images(tmp_path: Path) -> None:
    table = {"x_train": UNIT[:40, 0, :, 0], "x_test": UNIT[40:, 0, :, 0], "y_train": np.arange(40)}
    assert any(
        "40 classes for 40 training rows: are the labels" in warning for warning in warnings_of(tmp_path, **table)
    )


@pytest.mark.parametrize(("changes", "expected"), UNMEANT.values(), ids=UNMEANT)
def test_what_looks_unmeant_is_warned_about(changes: Arrays, expected: str, tmp_path: Path) -> None:
    assert any(expected in warning for warning in warnings_of(tmp_path, **changes))


FINE: dict[str, Arrays] = {
    "floats to 1": splits(UNIT),
    "standardised": splits((UNIT - 0.5) * 4),
    "colours": splits(RNG.integers(0, 256, (60, 4, 5, 3), dtype=np.uint8)),
    "three rows high": splits(RNG.integers(0, 256, (60, 3, 3, 3), dtype=np.uint8)),
    "dark photos": splits(IMAGES // 4),
    "a darker test split": {"x_test": IMAGES[40:] // 5},
    "a row of features": splits(RNG.random((60, 1, 7)).astype(np.float32)),
}


@pytest.mark.parametrize("changes", FINE.values(), ids=FINE)
def test_what_may_well_be_meant_is_not(changes: Arrays, tmp_path: Path) -> None:
    assert warnings_of(tmp_path, **changes) == []


@pytest.mark.parametrize("images", [SIXTEEN, SIXTEEN.astype(np.uint8), IMAGES.astype(np.float32)])
def test_standardise_mends_the_scale(images: npt.NDArray[Any], tmp_path: Path) -> None:
    assert warnings_of(tmp_path, "standardise", **splits(images)) == []


GAPS = {
    "from 1": (LABELS + 1, "1, 2, 3"),
    "codes": (np.array([107, 552, 1007])[LABELS], "107, 552, 1007"),
    "beyond int32": (LABELS + 2**40, f"{2**40}, {2**40 + 1}, {2**40 + 2}"),
    "unsigned": ((LABELS * 100).astype(np.uint8), "0, 100, 200"),
}


@pytest.mark.parametrize(("labels", "shown"), GAPS.values(), ids=GAPS)
def test_labels_with_gaps_are_counted_anew_and_said(labels: npt.NDArray[Any], shown: str, tmp_path: Path) -> None:
    library = Library(tmp_path / "data")
    dataset = library.load(saved(tmp_path, y_train=labels[:40], y_test=labels[40:]))
    assert dataset.num_classes == 3
    np.testing.assert_array_equal(dataset.y_train, LABELS[:40])
    np.testing.assert_array_equal(dataset.y_test, LABELS[40:])
    assert dataset.remarks.said == (f"the labels {shown} are the classes 0 to 2, 3 in all",)
    assert dataset.remarks.class_names == tuple(shown.split(", "))


def of_npz(folder: Path, **changes: Any) -> str:
    return saved(folder, **changes)


def of_npy(folder: Path, **changes: Any) -> str:
    for name, array in arrays(**changes).items():
        np.save(folder / f"{name}.npy", array)
    return str(folder)


def of_function(folder: Path, **changes: Any) -> str:
    np.savez(folder / "kept.npz", **arrays(**changes))
    (folder / "own.py").write_text("import numpy\ndef load():\n    return dict(numpy.load('kept.npz'))\n")
    return "./own.py:load"


FORMS: list[Callable[..., str]] = [of_npz, of_npy, of_function]


@pytest.mark.parametrize("form", FORMS)
def test_a_test_class_that_training_never_saw_is_refused_in_every_form(
    form: Callable[..., str], tmp_path: Path
) -> None:
    library = Library(tmp_path / "data", base=tmp_path)
    place = form(tmp_path, y_test=LABELS[40:] + 1)
    for act in (library.load, library.describe):
        with pytest.raises(MisfitError, match=r"y_test: got 3, which no training row has; allowed: .* 0, 1, 2"):
            act(place)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_described_alike(form: Callable[..., str], tmp_path: Path) -> None:
    library = Library(tmp_path / "data", base=tmp_path)
    found = library.describe(form(tmp_path, y_train=LABELS[:40] + 1, y_test=LABELS[40:] + 1))
    assert found is not None
    assert found.train.class_counts == tuple(np.bincount(LABELS[:40]).tolist())
    assert (found.train.mean, found.test.mean) == (IMAGES[:40].mean(), IMAGES[40:].mean())
    assert found.remarks.class_names == ("1", "2", "3")


def test_a_description_is_kept_until_the_data_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, place = Library(tmp_path / "data"), saved(tmp_path)
    first = library.describe(place)
    monkeypatch.setattr(Library, "load", None)
    assert library.describe(place) == first
    monkeypatch.undo()
    again = library.describe(saved(tmp_path, y_train=LABELS[:40] + 4, y_test=LABELS[40:] + 4))
    assert again is not None
    assert again.remarks.class_names == ("4", "5", "6")


def test_a_kept_description_that_is_damaged_is_made_anew(tmp_path: Path) -> None:
    library, place = Library(tmp_path / "data"), saved(tmp_path)
    first = library.describe(place)
    (kept,) = (tmp_path / "data/own").glob("description-*.json")
    for content in (b"", b"{}", b"[1]", kept.read_bytes()[:-20]):
        kept.write_bytes(content)
        assert read_description(kept) is None
        assert library.describe(place) == first
        assert read_description(kept) == first


def test_of_many_rows_a_sample_is_looked_at_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "MAX_ROWS_LOOKED_AT", 10)
    found = Library(tmp_path / "data").describe(saved(tmp_path))
    assert found is not None
    assert (found.train.rows, found.train.looked_at) == (40, 10)
    chosen = IMAGES[:40][np.linspace(0, 39, 10).astype(int)]
    assert found.train.mean == chosen.mean()
    assert sum(found.train.class_counts) == 40


def test_data_that_is_not_here_is_not_fetched_to_be_described(tmp_path: Path) -> None:
    assert Library(tmp_path).describe("svhn") is None
    assert Library(tmp_path).describe("street_digits") is None


def test_many_classes_are_summed_up(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(30), 2)
    found = lines_of(tmp_path, x_train=IMAGES, y_train=labels, x_test=IMAGES[:1], y_test=np.array([4]))
    assert "30 classes; training rows of each: from 2 (0) to 2 (0); test rows: from 0 to 1, none of 29 classes" in found
    assert "1 of the test images is a training image as well" in found


def image(value: int, size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(value).integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes with four images each in train/ and two in test/."""
    for split, number in (("train", 4), ("test", 2)):
        for of_class in ("ant", "bee", "cat"):
            folder = tmp_path / "photos" / split / of_class
            folder.mkdir(parents=True)
            for i in range(number):
                image(crc32(f"{split} {of_class} {i}".encode())).save(folder / f"{i}.png")
    return tmp_path / "photos"


def described(photos: Path, how: Reading = AS_IT_IS) -> Description:
    found = Library(photos.parent / "data").describe(str(photos), how)
    assert found is not None
    return found


def test_photos_that_are_read_whole_are_not_warned_about(photos: Path) -> None:
    assert described(photos).remarks.warned == ()
    assert described(photos).remarks.class_names == ("ant", "bee", "cat")


def test_files_left_out_are_counted_by_suffix(photos: Path) -> None:
    for i in range(5):
        image(i).save(photos / f"train/ant/n{i}.png")
        (photos / f"train/ant/n{i}.png").rename(photos / f"train/ant/n{i}.heic")
    (photos / "train/bee/plain").write_bytes(b"x")
    (photos / "test/bee/Thumbs.db").write_bytes(b"x")
    (photos / "train/list.txt").write_text("x")
    remarks = described(photos).remarks
    (warned,) = remarks.warned
    assert warned.startswith(
        "6 files in the class folders are not read: 5 .heic, 1 without a suffix; read are .png, .jpg"
    )
    assert remarks.said == ("left out: 1 .db, 1 .txt",)


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "JFIF"])
def test_jpegs_by_other_names_are_read(suffix: str, photos: Path) -> None:
    image(1).save(photos / "train/ant/new.jpg")
    (photos / "train/ant/new.jpg").rename(photos / f"train/ant/new.{suffix}")
    found = described(photos)
    assert found.train.class_counts == (5, 4, 4)
    assert found.remarks.warned == ()


def test_folders_within_classes_are_named(photos: Path) -> None:
    (photos / "train/ant/more").mkdir()
    image(1).save(photos / "train/ant/more/1.png")
    (photos / "train/bee/empty").mkdir()
    (warned,) = described(photos).remarks.warned
    assert warned.startswith("folders within class folders are not read: ant/more; move")


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_class_without_test_images_is_named(is_removed: bool, photos: Path) -> None:
    for file in (photos / "test/bee").iterdir():
        file.unlink()
    if is_removed:
        (photos / "test/bee").rmdir()
    (warned,) = described(photos).remarks.warned
    assert warned.startswith("test/ has no images of 1 of 3 classes: bee; ")


@pytest.mark.parametrize("name", ["Validation", "val", "valid"])
def test_validation_data_of_another_name_is_warned_about(name: str, photos: Path, tmp_path: Path) -> None:
    image(1).save(photos / "1.png")
    (photos / name / "ant").mkdir(parents=True)
    (warned,) = described(photos).remarks.warned
    assert warned.startswith(f"the folder {name} is not read; to validate on it, rename it validation; without, ")
    (warned,) = warnings_of(tmp_path, **{f"x_{name}": IMAGES[:2], f"y_{name}": LABELS[:2], "values": LABELS})
    advice = "to validate on them, save them as x_validation and y_validation"
    assert warned.startswith(f"the arrays x_{name}, y_{name} are not read; {advice}; without, ")


def test_conversions_are_said_with_their_number(photos: Path) -> None:
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[1:3, 1:3, 3] = 255
    for of_class in ("ant", "bee"):
        Image.fromarray(clear).save(photos / f"train/{of_class}/icon.png")
    assert described(photos).remarks.said == ("2 images with transparency, put on white",)


def test_icons_whose_shape_is_in_their_transparency_are_no_single_image(photos: Path) -> None:
    rng = np.random.default_rng(3)
    for file in photos.rglob("*.png"):
        black = np.zeros((4, 4, 4), np.uint8)
        black[..., 3] = rng.integers(0, 2, (4, 4)) * 255
        Image.fromarray(black).save(file)
    found = described(photos)
    assert not found.is_one_image
    assert (found.train.smallest, found.train.largest) == (0, 255)


def test_what_an_older_decoder_kept_is_not_served(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clrbench.data import decode

    library = Library(photos.parent / "data")
    monkeypatch.setattr(decode, "VERSION", 1)
    monkeypatch.setattr(decode, "_on_white", lambda image: (image.convert("RGB"), False))
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(photos / "train/ant/0.png")
    assert library.load(str(photos)).x_train[0].max() == 0
    monkeypatch.undo()
    assert library.load(str(photos)).x_train[0].min() == 255


def test_class_folders_without_a_split_are_split_by_class(photos: Path) -> None:
    (photos / "train").rename(photos.parent / "all")
    library, place = Library(photos.parent / "data"), str(photos.parent / "all")
    with pytest.raises(MisfitError, match=r"3 folders with images \(ant, bee, cat\).*test: 20 %"):
        library.measure(place)
    how = Reading(test_percent=25)
    dataset = library.load(place, how=how)
    assert np.bincount(dataset.y_train).tolist() == [3, 3, 3]
    assert np.bincount(dataset.y_test).tolist() == [1, 1, 1]
    sizes = library.measure(place, how)
    assert (sizes.train_rows, sizes.test_rows) == (9, 3)
    together = {row.tobytes() for row in [*dataset.x_train, *dataset.x_test]}
    assert len(together) == 12
    assert library.load(place, how=replace(how, test_percent=0, test_count=3)).checksum == dataset.checksum


@pytest.mark.parametrize("name", ["val", "valid", "Test", "testing", "validation"])
def test_a_test_folder_by_another_name_is_to_be_renamed(name: str, photos: Path) -> None:
    (photos / "test").rename(photos / name)
    with pytest.raises(
        MisfitError, match=f"got no folder 'test' in it, but '{name}'; rename it: mv '.*{name}' '.*test'"
    ):
        Library(photos.parent / "data").measure(str(photos))


def test_images_of_mixed_sizes_are_counted_and_can_be_resized(photos: Path) -> None:
    image(1, (6, 8)).save(photos / "train/ant/0.png")
    image(2, (6, 8)).save(photos / "train/bee/0.png")
    library = Library(photos.parent / "data")
    with pytest.raises(MisfitError, match=r"here are 16 of 4 x 4, 2 of 8 x 6; .* resize: 32"):
        library.load(str(photos))
    dataset = library.load(str(photos), how=Reading(resize=2))
    assert dataset.image_shape == (2, 2, 3)
    square = np.asarray(image(1, (6, 8)))[:, 1:7].reshape(2, 3, 2, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(dataset.x_train[0], square, atol=1)
    assert "resized to 2 x 2 by area averaging" in dataset.remarks.said[-1]


def test_a_split_of_npz_keeps_classes_and_every_row(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x_train=IMAGES, y_train=LABELS * 10)
    library, how = Library(tmp_path / "data"), Reading(test_percent=20)
    dataset = library.load(str(tmp_path / "own.npz"), how=how)
    assert np.bincount(dataset.y_test).tolist() == [4, 4, 4]
    pixels = np.concatenate([dataset.x_train, dataset.x_test])
    np.testing.assert_array_equal(np.sort(pixels.reshape(60, -1), axis=0), np.sort(IMAGES.reshape(60, -1), axis=0))
    assert library.describe(str(tmp_path / "own.npz"), how) == describe(dataset)
    with pytest.raises(MisfitError, match=r"holds x_test, y_test already; leave data\.test out"):
        library.load(saved(tmp_path), how=how)
