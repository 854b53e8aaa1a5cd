"""Files of other forms: named for what they are, with lines that read them, which are run here as they stand."""

from __future__ import annotations

import io
import pickle
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from clrbench.data import AS_IT_IS, FOREIGN_SUFFIXES, Library, Reading
from clrbench.data.foreign import guess_names
from clrbench.errors import DataError, MisfitError
from clrbench.records import Dataset

RNG = np.random.default_rng(2)
FEATURES = RNG.integers(0, 17, (30, 64))
LABELS = np.arange(30) % 3
NAMES = np.array(["ant", "bee", "cat"])


def refusal(folder: Path, dataset: str, how: Reading = AS_IT_IS) -> str:
    with pytest.raises(MisfitError) as caught:
        Library(folder / "data", base=folder).measure(dataset, how)
    assert caught.value.key == ("data", "dataset")
    return str(caught.value)


def follow(folder: Path, message: str) -> Dataset:
    """Do as a message says: write the lines that it shows, and name their function."""
    shown = re.search(
        r"write load\.py .*?:\n(.*)\nand in the spec: data: {dataset: ([^\s,}]+)(, test: 20 %)?}", message, re.DOTALL
    )
    assert shown is not None, message
    (folder / "load.py").write_text(dedent(shown[1]))
    how = Reading(test_percent=20) if shown[3] else AS_IT_IS
    return Library(folder / "data", base=folder).load(shown[2], how=how)


def assert_is_all(dataset: Dataset, features: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
    assert dataset.image_shape == shape
    pixels = np.concatenate([dataset.x_train, dataset.x_test]).reshape(len(features), -1)
    np.testing.assert_array_equal(np.sort(pixels, axis=0), np.sort(features, axis=0).astype(np.float32))
    assert np.bincount(dataset.y_test).tolist() == [2, 2, 2]


def table(label: str, at: int) -> pd.DataFrame:
    found = pd.DataFrame(FEATURES, columns=[f"p{i}" for i in range(64)])
    found.insert(at, label, NAMES[LABELS])
    return found


@pytest.mark.parametrize(("label", "at"), [("label", 0), ("label", 64), ("species", 5), ("kind", 64)])
@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_the_lines_for_a_table_of_text_read_it(label: str, at: int, separator: str, tmp_path: Path) -> None:
    name = "digits.tsv" if separator == "\t" else "digits.csv"
    table(label, at).to_csv(tmp_path / name, index=False, sep=separator)
    message = refusal(tmp_path, name)
    assert message.startswith(f"{name}: is a table of text, which is not read as it is; ")
    assert_is_all(follow(tmp_path, message), FEATURES, (8, 8, 1))


def test_a_table_without_a_header_is_read_to_its_first_row(tmp_path: Path) -> None:
    pd.DataFrame(np.column_stack([FEATURES[:, :5], LABELS])).to_csv(tmp_path / "t.csv", index=False, header=False)
    assert_is_all(follow(tmp_path, refusal(tmp_path, "./t.csv")), FEATURES[:, :5], (1, 5, 1))


@pytest.mark.parametrize(
    ("name", "kind"), [("d.parquet", "a Parquet file"), ("d.arrow", "an Arrow file"), ("d", "a Parquet file")]
)
def test_the_lines_for_parquet_read_what_pandas_reads(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(b"PAR1 and so on")
    for reader in ("read_parquet", "read_feather"):  # pyarrow, which reads these for pandas, is no part of clrbench
        monkeypatch.setattr(pd, reader, lambda path: table("label", 3) if Path(path).is_file() else None)
    message = refusal(tmp_path, f"./{name}")
    assert f": is {kind}, which is not read as it is; " in message
    assert_is_all(follow(tmp_path, message), FEATURES, (1, 64, 1))


@pytest.mark.parametrize("column", ["image", "img"])
def test_the_lines_for_parquet_of_images_decode_them(
    column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [Image.fromarray(row.reshape(8, 8).astype(np.uint8)) for row in FEATURES]
    files = [io.BytesIO() for _ in images]
    for image, file in zip(images, files, strict=True):
        image.save(file, "PNG")
    cells = [{"bytes": file.getvalue(), "path": "a.png"} for file in files]
    monkeypatch.setattr(pd, "read_parquet", lambda _: pd.DataFrame({column: cells, "label": LABELS}))
    (tmp_path / "d.parquet").write_bytes(b"PAR1" + bytes(99) + f"{column} bytes path label PAR1".encode())
    message = refusal(tmp_path, "d.parquet")
    assert "is a Parquet file of encoded images, which is not read as it is; " in message
    assert_is_all(follow(tmp_path, message), np.repeat(FEATURES, 3, axis=1), (8, 8, 3))


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_the_lines_for_what_pyarrow_writes(kind: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    content = pa.Table.from_pandas(table("label", 3))
    if kind == "parquet":
        table("label", 3).to_parquet(tmp_path / "d.parquet")
    else:
        new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
        with pa.OSFile(str(tmp_path / "d.arrow"), "wb") as file, new(file, content.schema) as writer:
            writer.write_table(content)
    name = "d.parquet" if kind == "parquet" else "d.arrow"
    assert_is_all(follow(tmp_path, refusal(tmp_path, name)), FEATURES, (1, 64, 1))


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("x_train", "y_train")])
@pytest.mark.parametrize("has_test", [False, True])
def test_the_lines_for_hdf5_read_it_by_the_names_that_it_holds(
    names: tuple[str, str], has_test: bool, tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    x, y = FEATURES.reshape(-1, 8, 8).astype(np.uint8), LABELS
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file[names[0]], file[names[1]] = x[:24] if has_test else x, y[:24] if has_test else y
        if has_test:
            file["x_test"], file["y_test"] = x[24:], y[24:]
    message = refusal(tmp_path, "d.h5")
    assert f"is an HDF5 file of {', '.join(sorted([*names, 'x_test', 'y_test'] if has_test else names))}, " in message
    assert ("test: 20 %" in message) != has_test
    assert_is_all(follow(tmp_path, message), FEATURES, (8, 8, 1))


def test_the_lines_for_matlab_7_3_read_it(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "d.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["X"], file["y"] = FEATURES.reshape(-1, 8, 8).astype(np.uint8).T, LABELS[None].astype(float)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    assert_is_all(follow(tmp_path, refusal(tmp_path, "d.mat")), FEATURES, (8, 8, 1))


@pytest.mark.parametrize("is_mapping", [True, False])
def test_the_lines_for_a_pickle_read_it_and_nothing_else_does(is_mapping: bool, tmp_path: Path) -> None:
    x, y = FEATURES.reshape(-1, 8, 8).astype(np.float32), LABELS
    (tmp_path / "d.pkl").write_bytes(pickle.dumps({"x_train": x, "y_train": y} if is_mapping else (x, y)))
    message = refusal(tmp_path, "d.pkl")
    assert "which can hold any code" in message
    assert "only where you trust it" in message
    assert_is_all(follow(tmp_path, message), FEATURES, (8, 8, 1))


@pytest.mark.parametrize("rows_last", [True, False])
def test_the_lines_for_matlab_read_it(rows_last: bool, tmp_path: Path) -> None:
    from scipy.io import savemat

    images = FEATURES.reshape(-1, 8, 8, 1).astype(np.uint8)
    savemat(
        tmp_path / "d.mat", {"X": np.moveaxis(images, 0, -1) if rows_last else images.squeeze(-1), "y": LABELS[:, None]}
    )
    assert_is_all(follow(tmp_path, refusal(tmp_path, "d.mat")), FEATURES, (8, 8, 1))


def test_one_array_is_put_beside_its_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", FEATURES.reshape(-1, 8, 8).astype(np.uint8))
    np.save(tmp_path / "labels.npy", LABELS)
    message = refusal(tmp_path, "images.npy")
    assert "is one array" in message
    run_line(tmp_path, message)
    dataset = Library(tmp_path / "data", base=tmp_path).load("images.npz", how=Reading(test_percent=20))
    assert_is_all(dataset, FEATURES, (8, 8, 1))


def run_line(folder: Path, message: str) -> None:
    line = re.search(r'python -c "(.*?)"', message)
    assert line is not None, message
    subprocess.run([sys.executable, "-c", line[1]], cwd=folder, check=True)


def test_an_archive_of_images_is_to_be_unpacked(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "photos/ant/a.png")
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as packed:
        packed.add(tmp_path / "a.png", "photos/ant/a.png")
    for name, command in (
        ("photos.zip", "unzip 'photos.zip' -d 'photos'"),
        ("photos.tar.gz", "tar xf 'photos.tar.gz'"),
    ):
        message = refusal(tmp_path, name)
        assert "is an archive with 1 image" in message
        assert command in message


@pytest.mark.parametrize("suffix", [suffix for suffix in FOREIGN_SUFFIXES if suffix != ".npy"])
def test_a_file_of_every_suffix_is_named_even_if_it_is_empty(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"d{suffix}").touch()
    message = refusal(tmp_path, f"d{suffix}")
    assert message.startswith((f"d{suffix}: is a", f"d{suffix}: is one"))


def test_an_npz_of_another_name_is_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x_train=FEATURES.reshape(-1, 8, 8).astype(np.uint8), y_train=LABELS)
    (tmp_path / "own.npz").rename(tmp_path / "own.data")
    assert Library(tmp_path, base=tmp_path).measure("./own.data", Reading(test_count=6)).train_rows == 24


SYNONYMS = {
    "keras": ["train_images", "train_labels", "test_images", "test_labels"],
    "sklearn": ["X_train", "y_train", "X_test", "y_test"],
    "medmnist": ["train_images", "val_images", "test_images", "train_labels", "val_labels", "test_labels"],
    "short": ["trainX", "trainY", "testX", "testY"],
    "validation as test": ["x_train", "y_train", "x_val", "y_val"],
    "validation in full": ["images_train", "labels_train", "images_validation", "labels_validation"],
    "whole": ["x", "y"],
    "data and target": ["data", "target"],
    "images and labels": ["images", "labels"],
    "no names": ["arr_0", "arr_1"],
}


@pytest.mark.parametrize("names", SYNONYMS.values(), ids=SYNONYMS)
def test_arrays_by_other_names_are_saved_under_ours_by_one_line(names: list[str], tmp_path: Path) -> None:
    contents = {
        name: LABELS
        if re.search("(?i)label|target|y|arr_1", name.replace("arr_0", ""))
        else FEATURES.reshape(-1, 8, 8).astype(np.uint8)
        for name in names
    }
    np.savez(tmp_path / "own.npz", **contents)
    library = Library(tmp_path / "data", base=tmp_path)
    with pytest.raises(MisfitError) as caught:
        library.measure("own.npz")
    run_line(tmp_path, str(caught.value))
    is_whole = len(names) == 2
    assert ("test: 20 %}" in str(caught.value)) == is_whole
    target = re.search(r"dataset: (\S+?)[,}]", str(caught.value))
    assert target is not None
    dataset = library.load(target[1], how=Reading(test_percent=20) if is_whole else Reading())
    assert dataset.image_shape == (8, 8, 1)
    assert dataset.num_classes == 3


def test_names_that_say_nothing_are_not_guessed_at() -> None:
    assert guess_names(["a", "b"]) == {}
    assert guess_names(["x_train", "x_test"]) == {}
    assert guess_names(["train", "train_labels"]) == {"x_train": "train", "y_train": "train_labels"}


ROWS = FEATURES.reshape(-1, 8, 8).astype(np.uint8)
MENDED_BY: dict[str, dict[str, npt.NDArray[Any]]] = {
    "one-hot labels": {"y_train": np.eye(3)[LABELS], "y_test": np.eye(3)[LABELS]},
    "whole one-hot labels": {"y_train": np.eye(3, dtype=int)[LABELS], "y_test": np.eye(3, dtype=int)[LABELS]},
    "float labels": {"y_train": LABELS.astype(float), "y_test": LABELS.astype(float)},
    "text labels": {"y_train": NAMES[LABELS], "y_test": NAMES[LABELS]},
    "object labels": {"y_train": NAMES[LABELS].astype(object), "y_test": NAMES[LABELS].astype(object)},
    "bool labels": {"y_train": LABELS > 0, "y_test": LABELS > 0},
    "bool images": {"x_train": ROWS > 8, "x_test": ROWS > 8},
    "int64 images": {"x_train": ROWS.astype(int), "x_test": ROWS.astype(int)},
}


@pytest.mark.parametrize("changes", MENDED_BY.values(), ids=MENDED_BY)
def test_the_line_in_a_refusal_mends_what_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    """A function returns the arrays after the lines that the refusals show, until none is left."""
    arrays = {"x_train": ROWS, "y_train": LABELS, "x_test": ROWS, "y_test": LABELS, **changes}
    (tmp_path / "arrays.pkl").write_bytes(pickle.dumps(arrays))
    lines: list[str] = []
    while (message := loading(tmp_path, lines)) is not None:
        found = re.search(r"((?:names, )?[xy]_(?:train|test) = .*?)(?: for | where |, or |$)", message)
        assert found is not None, message
        assert len(lines) < 4, message
        lines.append(found[1])
    assert lines


def loading(folder: Path, lines: list[str]) -> str | None:
    """Return what is wrong with the pickled arrays after these lines; None for nothing."""
    name = f"load{len(lines)}.py"
    unpacked = [f"{name} = arrays['{name}']" for name in ("x_train", "y_train", "x_test", "y_test")]
    body = ["arrays = pickle.loads(pathlib.Path('arrays.pkl').read_bytes())", *unpacked, *lines]
    body.append("return (x_train, y_train), (x_test, y_test)")
    (folder / name).write_text(
        "import pathlib, pickle\nimport numpy as np\ndef load():\n    " + "\n    ".join(body) + "\n"
    )
    try:
        Library(folder / "data", base=folder).load(f"./{name}:load")
    except DataError as err:
        return str(err)
    return None
