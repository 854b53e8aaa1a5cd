"""A user's own data through the library, and what it says of the data sets that have names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from clrbench.data import NAMES, DatasetSizes, Library, image_folder, npy_folder, street_digits
from clrbench.data.catalogue import CATALOGUE, Made
from clrbench.errors import DataError, SpecError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (10, 4, 5, 3), dtype=np.uint8)
LABELS = np.arange(10) % 2
SIZES = DatasetSizes(6, 4, (4, 5, 3))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "data")


def npy(folder: Path, images: npt.NDArray[np.generic] = IMAGES) -> str:
    folder.mkdir(exist_ok=True)
    arrays = {"x_train": images[:6], "y_train": LABELS[:6], "x_test": images[6:], "y_test": LABELS[6:]}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return str(folder)


def pictures(folder: Path) -> str:
    for row, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        path = folder / ("train" if row < 6 else "test") / f"class {label}" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return str(folder)


def function(folder: Path) -> str:
    (folder / "mine.py").write_text(
        "import numpy as np\n"
        "def make():\n"
        "    x, y = np.arange(1200, dtype=np.uint8).reshape(10, 4, 10, 3)[:, :, :5], np.arange(10) % 2\n"
        "    return (x[:6], y[:6]), (x[6:], y[6:])\n"
    )
    return f"{folder / 'mine.py'}:make"


@pytest.mark.parametrize("make", [npy, pictures, function])
def test_own_data_of_every_kind_is_measured_and_loaded(make: object, library: Library, tmp_path: Path) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    assert library.measure(path) == SIZES
    dataset = library.load(path)
    assert (dataset.name, dataset.x_train.shape, dataset.num_classes) == (path, (6, 4, 5, 3), 2)
    assert library.load(path).checksum == dataset.checksum


def test_pictures_have_the_content_of_their_arrays(library: Library, tmp_path: Path) -> None:
    by_class = np.concatenate([np.flatnonzero(LABELS[:6] == label) for label in (0, 1)])
    dataset = library.load(pictures(tmp_path / "pictures"))
    np.testing.assert_array_equal(dataset.x_train, IMAGES[:6][by_class])
    np.testing.assert_array_equal(dataset.y_train, LABELS[:6][by_class])


def test_pictures_are_decoded_once_and_again_when_one_changes(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    read = image_folder.read
    monkeypatch.setattr(image_folder, "read", lambda *given: (decoded.append(1), read(*given))[1])
    path = pictures(tmp_path / "pictures")
    first = library.load(path)
    assert library.load(path).checksum == first.checksum
    assert len(decoded) == 1
    Image.fromarray(255 - IMAGES[0]).save(tmp_path / "pictures" / "train" / "class 0" / "0.png")
    assert library.load(path).checksum != first.checksum
    assert len(decoded) == 2


def test_mapped_arrays_stay_mapped_and_their_pixels_are_read_once(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npy(tmp_path / "arrays", (IMAGES / np.float32(255)))
    first = library.load(path)
    mapped = first.x_train
    while mapped.base is not None and not isinstance(mapped, np.memmap):
        mapped = mapped.base
    assert isinstance(mapped, np.memmap)
    monkeypatch.setattr("clrbench.data.content.content_checksum", lambda *_: "read again")
    assert library.load(path).checksum == first.checksum
    npy(tmp_path / "arrays", 1 - IMAGES / np.float32(255))
    assert library.load(path).checksum == "read again"


def test_same_content_has_the_same_checksum_whatever_it_was_read_from(library: Library, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **npy_folder.read(Path(npy(tmp_path / "arrays"))))
    assert library.load(str(tmp_path / "own.npz")).checksum == library.load(str(tmp_path / "arrays")).checksum


def test_nan_in_mapped_arrays_is_refused_every_time(library: Library, tmp_path: Path) -> None:
    images = IMAGES.astype(np.float32)
    images[3, 2, 1, 0] = np.nan
    path = npy(tmp_path / "arrays", images)
    for _ in range(2):
        with pytest.raises(DataError, match="x_train: got nan or infinite pixels"):
            library.load(path)


def test_own_arrays_load_where_the_data_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    assert Library(tmp_path / "data").load(npy(tmp_path / "arrays")).num_classes == 2


@pytest.mark.parametrize("dataset", ["/nowhere/at/all", "svnh", "x" * 5000])
def test_what_is_not_there_is_an_error_of_the_spec(dataset: str, library: Library) -> None:
    for act in (library.measure, library.load):
        with pytest.raises(SpecError, match="no such file or folder exists; allowed: mnist, fashion_mnist, svhn"):
            act(dataset)


def test_street_digits_are_made_once(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = CATALOGUE["street_digits"]
    assert isinstance(entry, Made)
    made: list[int] = []

    def make(_show: object) -> dict[str, npt.NDArray[np.generic]]:
        made.append(1)
        return {**street_digits.make(40, 20, num_processes=1), "y_train": np.arange(40) % 10}

    monkeypatch.setitem(CATALOGUE, "street_digits", Made(entry.name, entry.licence, entry.sizes, make, entry.made_with))
    assert library.status("street_digits").state == "made on first use"
    first = library.load("street_digits")
    assert (first.x_train.shape, first.x_test.shape) == ((40, 32, 32, 3), (20, 32, 32, 3))
    assert library.load("street_digits").checksum == first.checksum
    assert len(made) == 1
    assert library.status("street_digits").state == "verified"
    assert "stand-in for SVHN" in library.status("street_digits").licence
    assert library.verify("street_digits") == library.folder / "street_digits"


def test_every_named_data_set_has_a_status(library: Library) -> None:
    statuses = {status.name: status for status in library.statuses()}
    assert tuple(statuses) == NAMES
    assert not statuses["svhn"].is_ready
    assert statuses["mnist"].is_ready
    assert statuses["svhn"].sizes == DatasetSizes(73_257, 26_032, (32, 32, 3))
