"""Data in other forms than ours: named for what it is, with the lines that make one of ours of it.

Nothing that could run code, such as a pickle, is opened beyond its first bytes.
"""

import csv
import importlib
import re
import tarfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from math import isqrt, prod
from pathlib import Path

from clrbench.counted import counted
from clrbench.data.image_listing import SUFFIXES
from clrbench.data.refusal import DECODING_ERRORS, misfit, shown
from clrbench.errors import MisfitError

MAX_SEEN_BYTES = 1_000_000
"""Of a table, read to find its columns."""
MAX_SEEN_MEMBERS = 10_000
_SMALLEST_SQUARE = 49
"""Features of a row that may be the pixels of a square image; the squares below, such as 4 or 9, are more often a table."""

_LABEL_COLUMNS = ("label", "labels", "class", "target", "targets", "y", "category", "species", "digit")
_IMAGE_NAMES = frozenset(
    {"", "x", "xs", "image", "images", "img", "imgs", "data", "feature", "features", "input", "inputs"}
)
_LABEL_NAMES = frozenset({"y", "ys", "label", "labels", "target", "targets", "class", "classes", "output", "outputs"})
_SEPARATORS = ",;\t|"
_ARROW_STREAM, _MATLAB_7_3 = b"\xff\xff\xff\xff", b"MATLAB 7.3"
_WHOLE = {"arr_0": "x", "arr_1": "y"}


def missing_arrays(place: str, names: Iterable[str], missing: Collection[str]) -> str:
    """Return what is wrong with an archive of arrays without some that it must have, and the line that mends it."""
    there = sorted(name.removesuffix(".npy") for name in names)
    start = f"got the arrays {shown(', '.join(there)) or 'none'}; {', '.join(missing)} missing; "
    found = guess_names(there)
    has_own_validation = {"x_validation", "y_validation"} <= set(there)
    if set(missing) == {"x_test", "y_test"} and ("x_test" not in found or has_own_validation):
        return f"{start}split off rows for testing: data: {{dataset: {place}, test: 20 %}}; or add them"
    if not {"x_train", "y_train"} <= found.keys():
        return f"{start}save them with numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)"
    target = f"{place.removesuffix('.npz')}-clrbench.npz"
    arguments = ", ".join(f"{key}=d[{name!r}]" for key, name in found.items())
    line = f'python -c "import numpy as np; d = np.load({place!r}); np.savez({target!r}, {arguments})"'
    test = "" if "x_test" in found else ", test: 20 %"
    return f"{start}save them under these names: {line}, and set data: {{dataset: {target}{test}}}"


def guess_names(names: Iterable[str]) -> dict[str, str]:
    """Return which of some names stands for which of x_train, y_train, x_test and y_test; both of a split or neither."""
    found: dict[str, str] = {}
    for name in names:
        key = key_of(name)
        if key is not None:
            found.setdefault(key, name)
    # A split for validation serves as the one for testing; arrays that name no split are to be split.
    for split, others in (("test", ("val",)), ("train", ("",))):
        for other in others:
            if not {f"x_{split}", f"y_{split}"} <= found.keys() and {f"x_{other}", f"y_{other}"} <= found.keys():
                found |= {f"{axis}_{split}": found[f"{axis}_{other}"] for axis in "xy"}
    splits = [split for split in ("train", "test") if {f"x_{split}", f"y_{split}"} <= found.keys()]
    return {f"{axis}_{split}": found[f"{axis}_{split}"] for split in splits for axis in "xy"}


def key_of(name: str) -> str | None:
    """Return what the name of an array seems to stand for, such as `x_train`, `y_val` or `x_`, of no split; None for nothing."""
    lower = name.lower()
    if lower in _WHOLE:
        return f"{_WHOLE[lower]}_"
    split = next((split for split in ("train", "test", "val") if split in lower), "")
    rest = re.sub("[^a-z]", "", lower.replace("validation", "val").replace("valid", "val").replace(split, "", 1))
    if rest in _LABEL_NAMES:
        return f"y_{split}"
    return f"x_{split}" if rest in _IMAGE_NAMES and (rest or split) else None


def label_line(key: str, kind: str, *, one_hot: bool) -> str | None:
    """Return the line that makes labels called `key` out of an array of another kind (numpy's letter); None for no idea."""
    if one_hot:
        return f"for one-hot rows, {key} = {key}.argmax(axis=1)"
    if kind in "USOT":
        return "names, y_train = np.unique(y_train, return_inverse=True); y_test = np.searchsorted(names, y_test)"
    if kind in "fb":
        return f"{key} = {key}.astype('int64')"
    return None


def refuse_foreign(dataset: str, path: Path) -> None:
    """Raise MisfitError if a file, which a spec calls `dataset`, is of a form that has another name than .npz."""
    found = _kind(path)
    if found is not None:
        raise found(dataset, path)


def _kind(path: Path) -> Callable[[str, Path], MisfitError] | None:
    name = path.name.lower()
    for suffixes, refusal in _BY_SUFFIX.items():
        if name.endswith(suffixes):
            return refusal
    start = b""
    with suppress(OSError), path.open("rb") as file:
        start = file.read(16)
    if not name.endswith(".npz"):
        for magic, refusal in _BY_MAGIC.items():
            if start.startswith(magic):
                return refusal
    return None


def _with_function(dataset: str, kind: str, lines: str, advice: str = "", *, splits: bool = True) -> MisfitError:
    split = ", test: 20 %" if splits else ""
    return misfit(
        f"{shown(dataset)}: is {kind}, which is not read as it is; write load.py beside the spec (adapt it to your data):\n"
        f"{lines}\nand in the spec: data: {{dataset: ./load.py:load{split}}}{advice}"
    )


def _csv(dataset: str, path: Path) -> MisfitError:
    columns, separator = _columns(path)
    has_header = not columns or not all(map(_is_number, columns))
    options = ("" if separator == "," else f", sep={separator!r}") + ("" if has_header else ", header=None")
    names = columns if has_header else list(range(len(columns)))
    return _table(dataset, "a table of text", f"pd.read_csv({dataset!r}{options})", names)


def _parquet(dataset: str, path: Path) -> MisfitError:
    return _columnar(dataset, path, "a Parquet file", f"pd.read_parquet({dataset!r})")


def _arrow(dataset: str, path: Path) -> MisfitError:
    if not _part(path, 0).startswith(_ARROW_STREAM):
        return _columnar(dataset, path, "an Arrow file", f"pd.read_feather({dataset!r})")
    read = f"pa.ipc.open_stream(pa.memory_map({dataset!r})).read_pandas()"
    return _columnar(dataset, path, "an Arrow stream", read, "    import pyarrow as pa\n")


def _columnar(dataset: str, path: Path, kind: str, read: str, imports: str = "") -> MisfitError:
    """Return the lines for a table; its columns cannot be seen here but for images, as Hugging Face stores them."""
    ends = _part(path, 0) + _part(path, -MAX_SEEN_BYTES)
    if not (b"bytes" in ends and b"path" in ends and b"label" in ends):
        return _table(dataset, kind, read, (), imports=imports)
    images = "img" if b"img" in ends else "image"
    return _with_function(
        dataset,
        f"{kind} of encoded images",
        f"""\
    import io

    import numpy as np
    import pandas as pd
{imports}    from PIL import Image

    def load():
        table = {read}
        images = [Image.open(io.BytesIO(cell["bytes"])) for cell in table[{images!r}]]
        x = np.stack([np.asarray(image.convert("RGB")) for image in images])
        return {{"x_train": x, "y_train": table["label"].to_numpy("int64")}}""",
    )


def _part(path: Path, start: int) -> bytes:
    """Return some bytes of a file, from a place counted from its start or, below 0, from its end."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(start, -path.stat().st_size), 2 if start < 0 else 0)
        return file.read(MAX_SEEN_BYTES)
    return b""


def _table(dataset: str, kind: str, read: str, names: Sequence[str | int], imports: str = "") -> MisfitError:
    label = next((name for name in names if str(name).lower() in _LABEL_COLUMNS), names[-1] if names else "label")
    features, side = len(names) - 1, isqrt(max(len(names) - 1, 0))
    is_square = features >= _SMALLEST_SQUARE and side * side == features
    shape = f"{side}, {side}" if is_square else "1, -1"
    return _with_function(
        dataset,
        kind,
        f"""\
    import numpy as np
    import pandas as pd
{imports}
    def load():
        table = {read}
        names, y = np.unique(table.pop({label!r}), return_inverse=True)  # the column of the labels
        x = table.to_numpy("float32").reshape(len(table), {shape})
        return {{"x_train": x, "y_train": y}}""",
    )


def _pickle(dataset: str, _path: Path) -> MisfitError:
    return _with_function(
        dataset,
        "a pickle, which can hold any code",
        f"""\
    import pickle

    def load():
        with open({dataset!r}, "rb") as file:
            data = pickle.load(file)  # runs what is in the file: only where you trust it
        return data  # (x, y), or ((x_train, y_train), (x_test, y_test)), or a mapping with these names""",
        advice=", without test where it has test rows of its own",
    )


def _mat(dataset: str, path: Path) -> MisfitError:
    if _part(path, 0).startswith(_MATLAB_7_3):
        return _with_function(
            dataset,
            "a MATLAB 7.3 file, which is HDF5",
            f"""\
    import h5py

    def load():
        with h5py.File({dataset!r}) as file:  # MATLAB's axes stand the other way round in it
            x, y = file["X"][:].T, file["y"][:].ravel()
        return {{"x_train": x, "y_train": y.astype("int64")}}""",
        )
    from scipy.io import whosmat
    from scipy.io.matlab import MatReadError

    shapes: dict[str, tuple[int, ...]] = {}
    with suppress(*DECODING_ERRORS, MatReadError, NotImplementedError):
        shapes = {
            name: shape for name, shape, kind in whosmat(path) if kind not in {"cell", "struct", "object", "char"}
        }
    images = max(shapes, key=lambda name: prod(shapes[name]), default="X")
    labels = next((name for name in shapes if name != images and name.lower() in {*_LABEL_NAMES}), "y")
    rows_last = len(shapes.get(images, ())) == 4 and shapes[images][-1] in shapes.get(labels, ())
    x = f"np.moveaxis(content[{images!r}], -1, 0)" if rows_last else f"content[{images!r}]"
    return _with_function(
        dataset,
        "a MATLAB file",
        f"""\
    import numpy as np
    from scipy.io import loadmat

    def load():
        content = loadmat({dataset!r})
        x, y = {x}, content[{labels!r}].ravel()
        return {{"x_train": x, "y_train": y.astype("int64")}}""",
    )


def _h5(dataset: str, path: Path) -> MisfitError:
    names: list[str] = []
    # h5py comes with Keras, not with clrbench.
    with suppress(ImportError, *DECODING_ERRORS), importlib.import_module("h5py").File(path) as file:
        names = [str(name) for name in file]
    found = guess_names(names)
    found = found if {"x_train", "y_train"} <= found.keys() else {"x_train": "x", "y_train": "y"}
    arrays = ", ".join(f"{key!r}: file[{name!r}][:]" for key, name in found.items())
    return _with_function(
        dataset,
        "an HDF5 file" + (f" of {shown(', '.join(names))}" if names else ""),
        f"""\
    import h5py

    def load():
        with h5py.File({dataset!r}) as file:
            return {{{arrays}}}""",
        splits="x_test" not in found,
    )


def _tfrecord(dataset: str, _path: Path) -> MisfitError:
    return _with_function(
        dataset,
        "a TFRecord file",
        f"""\
    import numpy as np
    import tensorflow as tf

    def load():
        kinds = {{"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}}
        rows = [tf.io.parse_single_example(row, kinds) for row in tf.data.TFRecordDataset({dataset!r})]
        x = np.stack([tf.io.decode_image(row["image"]).numpy() for row in rows])
        return {{"x_train": x, "y_train": np.array([int(row["label"]) for row in rows])}}""",
    )


def _torch(dataset: str, _path: Path) -> MisfitError:
    return _with_function(
        dataset,
        "a PyTorch file",
        f"""\
    import torch

    def load():
        data = torch.load({dataset!r}, weights_only=True)
        x, y = data.values() if isinstance(data, dict) else data
        return {{"x_train": x.numpy(), "y_train": y.numpy()}}""",
    )


def _npy(dataset: str, _path: Path) -> MisfitError:
    target = f"{dataset.removesuffix('.npy')}.npz"
    line = f"python -c \"import numpy as np; np.savez({target!r}, x_train=np.load({dataset!r}), y_train=np.load('labels.npy'))\""
    return misfit(
        f"{shown(dataset)}: is one array, images without labels or the other way round; put both into one file: {line}, and set "
        f"data: {{dataset: {target}, test: 20 %}}; or name the folder that holds x_train.npy, y_train.npy, x_test.npy, y_test.npy"
    )


def _archive(dataset: str, path: Path) -> MisfitError:
    folder = re.sub(r"(\.zip|\.tar(\.\w+)?|\.tgz)$", "", dataset, flags=re.IGNORECASE)
    is_zip = zipfile.is_zipfile(path)
    unpack = (
        f"unzip {dataset!r} -d {folder!r}" if is_zip else f"mkdir -p {folder!r} && tar xf {dataset!r} -C {folder!r}"
    )
    number = _count_images(path, is_zip=is_zip)
    holds = f" with {counted(number, 'image')}" if number else ""
    return misfit(
        f"{shown(dataset)}: is an archive{holds}, which is not read as it is; unpack it: {unpack}, and set data: {{dataset: "
        f"{folder}}} for train/<class>/ and test/<class>/, or data: {{dataset: {folder}, test: 20 %}} for <class>/ alone"
    )


def _image(dataset: str, _path: Path) -> MisfitError:
    return misfit(
        f"{shown(dataset)}: is one image; name the folder that holds all of them, as train/<class>/ and test/<class>/, or as "
        "<class>/ with test: 20 % under data"
    )


def _count_images(path: Path, *, is_zip: bool) -> int:
    with suppress(*DECODING_ERRORS):
        if is_zip:
            with zipfile.ZipFile(path) as archive:
                return sum(name.lower().endswith(SUFFIXES) for name in archive.namelist())
        with tarfile.open(path) as archive:
            members = (member for _, member in zip(range(MAX_SEEN_MEMBERS), archive, strict=False))
            return sum(member.name.lower().endswith(SUFFIXES) for member in members)
    return 0


def _columns(path: Path) -> tuple[list[str], str]:
    """Return the first line of a table of text, cut into its columns, and what separates them; none where it cannot be read."""
    separator = "\t" if path.name.lower().endswith(".tsv") else ","
    with suppress(*DECODING_ERRORS, csv.Error), path.open("rb") as file:
        line = file.readline(MAX_SEEN_BYTES).decode("utf-8-sig").rstrip("\r\n")
        separator = max((separator, *_SEPARATORS), key=line.count)
        return next(csv.reader([line], delimiter=separator), []), separator
    return [], separator


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_BY_SUFFIX: Mapping[tuple[str, ...], Callable[[str, Path], MisfitError]] = {
    (".csv", ".tsv"): _csv,
    (".parquet", ".pq"): _parquet,
    (".arrow", ".feather"): _arrow,
    (".tfrecord", ".tfrecords"): _tfrecord,
    (".mat",): _mat,
    (".pkl", ".pickle", ".joblib"): _pickle,
    (".h5", ".hdf5"): _h5,
    (".pt", ".pth"): _torch,
    (".npy",): _npy,
    (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"): _archive,
    SUFFIXES: _image,
}
FOREIGN_SUFFIXES = tuple(suffix for suffixes in _BY_SUFFIX for suffix in suffixes)

_BY_MAGIC: Mapping[bytes, Callable[[str, Path], MisfitError]] = {
    b"PAR1": _parquet,
    b"ARROW1": _arrow,
    b"\x93NUMPY": _npy,
    b"MATLAB 5.0": _mat,
    _MATLAB_7_3: _mat,
    b"\x89HDF": _h5,
    b"\x89PNG": _image,
    b"\xff\xd8\xff": _image,
}
