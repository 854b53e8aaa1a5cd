from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from clrbench.data import DatasetSizes, image_folder
from clrbench.data.image_listing import list_images
from clrbench.errors import DataError, MisfitError

Pixels = npt.NDArray[np.uint8]

LAYOUT = {"train/cat": ["a", "b"], "train/dog": ["c"], "test/cat": ["d"], "test/dog": ["e", "f"]}


def pixels(seed: int, *shape: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape or (4, 5), dtype=np.uint8)


def saved(file: Path, image: Image.Image | Pixels, **options: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, **options)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three gray images in train/, three in test/, four high and five wide, their pixels seeded with 0 to 5."""
    own, seed = tmp_path / "own", 0
    for of_class, names in LAYOUT.items():
        for name in names:
            saved(own / of_class / f"{name}.png", pixels(seed))
            seed += 1
    return own


def read(folder: Path) -> dict[str, npt.NDArray[Any]]:
    return image_folder.read(folder, lambda _: None)


def fingerprint(folder: Path) -> str:
    return image_folder.fingerprint_of(list_images(folder))


READERS: list[Callable[[Path], object]] = [read, image_folder.measure]
WALKERS = [*READERS, fingerprint]


def refusal(folder: Path, function: Callable[[Path], object], error: type[DataError]) -> str:
    with pytest.raises(DataError) as caught:
        function(folder)
    assert type(caught.value) is error
    assert str(caught.value).startswith(str(folder))
    if isinstance(caught.value, MisfitError):
        assert caught.value.key == ("data", "dataset")
    return str(caught.value).removeprefix(str(folder))


def test_gray_images_in_the_order_of_classes_and_names(folder: Path) -> None:
    arrays = read(folder)
    expected = np.stack([pixels(seed) for seed in range(6)])[..., np.newaxis]
    assert list(arrays) == ["x_train", "y_train", "x_test", "y_test"]
    for images, wanted in ((arrays["x_train"], expected[:3]), (arrays["x_test"], expected[3:])):
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images, wanted)
    assert arrays["y_train"].dtype == arrays["y_test"].dtype == np.int32
    assert arrays["y_train"].tolist() == [0, 0, 1]
    assert arrays["y_test"].tolist() == [0, 1, 1]


def test_measure_agrees_with_read(folder: Path) -> None:
    assert image_folder.measure(folder) == DatasetSizes(3, 3, (4, 5, 1))
    assert read(folder)["x_train"].shape == (3, 4, 5, 1)


def test_names_are_sorted_as_plain_strings(tmp_path: Path) -> None:
    names = ["10.png", "9.png", "B.png", "a.png"]
    for seed, name in enumerate(names):
        for of_class in ("Zebra", "ant"):
            saved(tmp_path / "train" / of_class / name, pixels(seed))
    saved(tmp_path / "test" / "ant" / "1.png", pixels(9))
    arrays = read(tmp_path)
    once = np.stack([pixels(seed) for seed in range(4)])
    np.testing.assert_array_equal(arrays["x_train"][..., 0], np.concatenate([once, once]))
    assert arrays["y_train"].tolist() == [0] * 4 + [1] * 4
    assert arrays["y_test"].tolist() == [1]


def test_color_images_keep_their_three_channels(folder: Path) -> None:
    for seed, file in enumerate(sorted(folder.rglob("*.png"))):
        saved(file, pixels(seed, 4, 5, 3))
    arrays = read(folder)
    np.testing.assert_array_equal(arrays["x_test"], np.stack([pixels(seed, 4, 5, 3) for seed in range(3)]))
    assert image_folder.measure(folder) == DatasetSizes(3, 3, (4, 5, 3))


def test_one_color_image_among_gray_ones_makes_all_of_them_color(folder: Path) -> None:
    saved(folder / "test/dog/f.png", pixels(7, 4, 5, 3))
    arrays = read(folder)
    np.testing.assert_array_equal(
        arrays["x_train"], np.stack([pixels(seed) for seed in range(3)])[..., None].repeat(3, 3)
    )
    np.testing.assert_array_equal(arrays["x_test"][2], pixels(7, 4, 5, 3))


def opaque(rgb: Pixels) -> Image.Image:
    return Image.fromarray(np.concatenate([rgb, np.full((4, 5, 1), 255, np.uint8)], axis=2))


def indexed(rgb: Pixels) -> Image.Image:
    image = Image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5)).convert("P")
    image.putpalette(rgb.tobytes())
    return image


def inked(rgb: Pixels) -> Image.Image:
    return Image.merge("CMYK", [*Image.fromarray(255 - rgb).split(), Image.new("L", (5, 4))])


@pytest.mark.parametrize(("make", "suffix"), [(opaque, "png"), (indexed, "png"), (inked, "tif")])
def test_other_modes_become_rgb(make: Callable[[Pixels], Image.Image], suffix: str, folder: Path) -> None:
    rgb = pixels(8, 4, 5, 3)
    (folder / "train/cat/a.png").unlink()
    saved(folder / f"train/cat/a.{suffix}", make(rgb))
    np.testing.assert_array_equal(read(folder)["x_train"][0], rgb)


def test_black_and_white_images_are_gray(folder: Path) -> None:
    bits = pixels(8) > 127
    saved(folder / "train/cat/a.png", Image.fromarray(bits))
    first = read(folder)["x_train"][0]
    np.testing.assert_array_equal(first, np.where(bits, 255, 0)[..., np.newaxis])


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.bmp", "a.gif", "a.webp", "a.tif", "a.Tiff", "a.ppm", "a.pgm"])
def test_formats_without_loss(name: str, folder: Path) -> None:
    (folder / "train/cat/a.png").unlink()
    saved(folder / "train/cat" / name, pixels(0), **({"lossless": True} if name.endswith("webp") else {}))
    arrays = read(folder)
    np.testing.assert_array_equal(arrays["x_train"][0, ..., 0], pixels(0))


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.JPG"])
def test_jpeg_within_its_loss(name: str, folder: Path) -> None:
    (folder / "train/cat/a.png").unlink()
    flat = np.full((4, 5), 90, np.uint8)
    saved(folder / "train/cat" / name, flat, quality=95)
    np.testing.assert_allclose(read(folder)["x_train"][0, ..., 0].astype(int), flat, atol=2)


def test_hidden_and_other_files_are_ignored(folder: Path) -> None:
    before = fingerprint(folder)
    saved(folder / "train/cat/.hidden.png", pixels(1, 9, 9))
    saved(folder / "train/.checkpoints/x.png", pixels(1, 9, 9))
    saved(folder / "train/stray.png", pixels(1, 9, 9))
    saved(folder / "val/cat/x.png", pixels(1, 9, 9))
    (folder / "train/cat/notes.txt").write_text("text")
    (folder / "train/cat/album.png").mkdir()
    assert image_folder.measure(folder) == DatasetSizes(3, 3, (4, 5, 1))
    assert len(read(folder)["x_train"]) == 3
    assert fingerprint(folder) == before


def test_class_folders_and_images_may_be_links(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder / "train/dog").rename(elsewhere / "dog")
    (folder / "train/dog").symlink_to(elsewhere / "dog")
    (folder / "train/dog/d.png").symlink_to(folder / "train/cat/a.png")
    arrays = read(folder)
    assert arrays["y_train"].tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(arrays["x_train"][3], arrays["x_train"][0])


def test_test_images_may_lack_a_class(folder: Path) -> None:
    (folder / "test/cat/d.png").unlink()
    assert read(folder)["y_test"].tolist() == [1, 1]
    (folder / "test/cat").rmdir()
    assert read(folder)["y_test"].tolist() == [1, 1]


def test_progress_counts_every_image(folder: Path) -> None:
    told: list[int] = []
    image_folder.read(folder, told.append)
    assert sum(told) == 6
    assert len(told) > 1


def test_fingerprint_changes_with_any_file_and_not_with_the_place(folder: Path) -> None:
    file = folder / "train/cat/a.png"
    seen = [fingerprint(folder)]
    assert len(seen[0]) == 64
    os.utime(file, ns=(0, 1))
    seen.append(fingerprint(folder))
    file.rename(folder / "train/cat/0.png")
    seen.append(fingerprint(folder))
    for content in (b"four", b"seven77"):
        (folder / "test/dog/f.png").write_bytes(content)
        os.utime(folder / "test/dog/f.png", ns=(0, 1))
        seen.append(fingerprint(folder))
    (folder / "test/dog/f.png").unlink()
    seen.append(fingerprint(folder))
    assert len(set(seen)) == len(seen)
    moved = folder.rename(folder.with_name("moved"))
    assert fingerprint(moved) == seen[-1]


@pytest.mark.parametrize("function", WALKERS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_split(split: str, function: Callable[[Path], object], folder: Path) -> None:
    (folder / split).rename(folder / "other")
    message = refusal(folder, function, MisfitError)
    assert message.startswith(
        f": got no folder '{split}' in it; allowed: train/<class>/ and test/<class>/ with images ("
    )


@pytest.mark.parametrize("function", WALKERS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_split_without_classes(split: str, function: Callable[[Path], object], folder: Path) -> None:
    (folder / split).rename(folder / "other")
    saved(folder / split / "a.png", pixels(0))
    message = refusal(folder, function, MisfitError)
    assert message.startswith(f"/{split}: got no class folders; allowed: train/<class>/")


@pytest.mark.parametrize("function", WALKERS)
def test_test_split_without_images(function: Callable[[Path], object], folder: Path) -> None:
    for file in (folder / "test").rglob("*.png"):
        file.rename(file.with_suffix(".npy"))
    message = refusal(folder, function, MisfitError)
    assert message.startswith("/test: got 2 class folders without images; allowed: ")


@pytest.mark.parametrize("function", WALKERS)
def test_train_class_without_images_is_named(function: Callable[[Path], object], folder: Path) -> None:
    (folder / "train/cow/deeper").mkdir(parents=True)
    saved(folder / "train/cow/deeper/a.png", pixels(0))
    message = refusal(folder, function, MisfitError)
    assert message == "/train/cow: got a class without images; add some, or remove the folder"


@pytest.mark.parametrize("function", WALKERS)
def test_single_class(function: Callable[[Path], object], folder: Path) -> None:
    (folder / "train/dog").rename(folder / "dog")
    message = refusal(folder, function, MisfitError)
    assert message == "/train: got one class, 'cat'; allowed: at least two to tell apart"


@pytest.mark.parametrize("function", WALKERS)
def test_class_of_test_alone_is_named(function: Callable[[Path], object], folder: Path) -> None:
    (folder / "test/dog").rename(folder / "test/Dog")
    message = refusal(folder, function, MisfitError)
    assert message == "/test: got the class 'Dog', which train/ does not have; allowed: cat, dog"


def test_first_image_of_another_size_is_named(folder: Path) -> None:
    saved(folder / "train/dog/c.png", pixels(0, 6, 7))
    saved(folder / "test/cat/d.png", pixels(0, 8, 9))
    message = refusal(folder, read, MisfitError)
    assert message.startswith(
        f"/train/dog/c.png: got 7 x 6 pixels (width x height), while {folder}/train/cat/a.png has 5 x 4; all images "
    )
    assert message.endswith(
        "and here are 4 of 5 x 4, 1 of 7 x 6, 1 of 9 x 8; resize them first, or centre-crop and resize each: "
        f"data: {{dataset: {folder}, resize: 32}}"
    )


def test_measure_sees_that_the_splits_differ_in_size(folder: Path) -> None:
    saved(folder / "test/cat/d.png", pixels(0, 5, 4))
    message = refusal(folder, image_folder.measure, MisfitError)
    assert message.startswith("/test/cat/d.png: got 4 x 5 pixels (width x height), while ")


@pytest.mark.parametrize("function", READERS)
@pytest.mark.parametrize(("dtype", "mode"), [(np.uint16, "I;16"), (np.float32, "F"), (np.int32, "I")])
def test_pixels_of_more_than_eight_bits(
    dtype: type, mode: str, function: Callable[[Path], object], folder: Path
) -> None:
    (folder / "test/cat/d.png").unlink()
    saved(folder / "test/cat/d.tif", Image.fromarray(np.ones((4, 5), dtype)))
    message = refusal(folder, function, MisfitError)
    assert message.startswith(
        f"/test/cat/d.tif: got pixels of 16 or more bits (mode {mode}); allowed: 8 bits per channel"
    )


@pytest.mark.parametrize("function", READERS)
@pytest.mark.parametrize("content", [b"", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 4\n"])
def test_file_that_is_no_image(content: bytes, function: Callable[[Path], object], folder: Path) -> None:
    (folder / "train/cat/a.png").write_bytes(content)
    message = refusal(folder, function, DataError)
    assert message.startswith("/train/cat/a.png: cannot be read (cannot identify image file")
    assert message.endswith("replace or remove it")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".webp", ".tif", ".ppm"])
def test_truncated_image(suffix: str, folder: Path) -> None:
    (folder / "train/cat/b.png").unlink()
    file = saved(folder / f"train/cat/b{suffix}", pixels(0, 40, 50))
    for other in folder.rglob("*.png"):
        saved(other, pixels(0, 40, 50))
    file.write_bytes(file.read_bytes()[:-300])
    assert refusal(folder, read, DataError).startswith(f"/train/cat/b{suffix}: cannot be read (")


@pytest.mark.parametrize("function", READERS)
@pytest.mark.parametrize("limit", [5, 15])
def test_decompression_bomb(
    limit: int, function: Callable[[Path], object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)  # Pillow warns beyond it, and refuses beyond its double
    message = refusal(folder, function, DataError)
    assert message.startswith("/train/cat/a.png: cannot be read (Image size (20 pixels) exceeds limit of")


@pytest.mark.parametrize("function", WALKERS)
def test_link_to_nowhere_is_no_image_to_leave_out(function: Callable[[Path], object], folder: Path) -> None:
    (folder / "train/cat/a.png").unlink()
    (folder / "train/cat/a.png").symlink_to(folder / "gone.png")
    message = refusal(folder, function, DataError)
    assert message.startswith("/train/cat/a.png: cannot be read (")
    assert "No such file" in message


def test_importing_the_data_sets_imports_no_pillow() -> None:
    code = "import sys, clrbench.data.image_folder; print('PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
