"""What is kept of a data set is complete or not there; where it is damaged, or not ours, it is refused and never believed."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bad_data as bad
import numpy as np
import pytest
from mirror import ROWS, Mirror, assert_is_svhn, content, files_in, serving

from clrbench.data import Library, prepared, svhn
from clrbench.errors import DataError
from clrbench.records import Dataset


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as found:
        yield found


ABOUT = {"checksum": "0" * 64, "train_rows": 60, "test_rows": 10, "image_shape": [4, 5, 1]}
BAD_NOTES = {
    "empty": b"",
    "zero bytes": bytes(50),
    "not UTF-8": b"\xff\xfe",
    "list": b"[1, 2]",
    "nested": b"[" * 100_000,
    "no shape": json.dumps({**ABOUT, "image_shape": None}).encode(),
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


def test_file_that_is_malformed_leaves_no_arrays(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["train.mat"] = b"not MATLAB " * 100
    library = Library(tmp_path, mirror.replacements())
    with pytest.raises(DataError, match="cannot be read as a MATLAB 5 file"):
        library.load("svhn")
    assert not list((library.folder / "svhn").glob("arrays-*"))


LOAD = """
import sys
from pathlib import Path
from clrbench.data import Library, Replacement, prepared, svhn
replacements = tuple(Replacement("svhn", split, (url,), sha) for split, url, sha in zip(
    ("train", "test"), sys.argv[2::2], sys.argv[3::2], strict=True))
{patch}
print(Library(Path(sys.argv[1]), replacements).load("svhn").checksum)
"""


def loading(mirror: Mirror, folder: Path, patch: str = "") -> subprocess.Popen[str]:
    replacements = [part for other in mirror.replacements() for part in (other.urls[0], str(other.sha256))]
    command = [sys.executable, "-c", LOAD.format(patch=patch), str(folder), *replacements]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_that_fetch_at_once_download_once(mirror: Mirror, tmp_path: Path) -> None:
    first, second = loading(mirror, tmp_path), loading(mirror, tmp_path)
    outputs = {process.communicate(timeout=60)[0] for process in (first, second)}
    assert len(outputs) == 1
    assert len(outputs.pop().strip()) == 64
    assert mirror.requests == {"train.mat": 1, "test.mat": 1}


def test_process_that_is_killed_while_converting_leaves_nothing_that_counts(mirror: Mirror, tmp_path: Path) -> None:
    stuck = (
        "import time; from numpy.lib import format\n"
        "write, format.write_array = format.write_array, "
        "lambda *given, **more: (write(*given, **more), given[0].flush(), print('at it', flush=True), time.sleep(60))"
    )
    process = loading(mirror, tmp_path, stuck)
    assert process.stdout is not None
    assert process.stdout.readline() == "at it\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    left = list((tmp_path / "svhn").glob(".arrays-*/x_train.npy"))
    assert len(left) == 1
    library = Library(tmp_path, mirror.replacements())
    assert library.status("svhn").state == "files there, not verified yet"
    started = time.monotonic()
    assert_is_svhn(library)
    assert time.monotonic() - started < 5  # the lock of the dead process holds nobody up
    assert not left[0].parent.exists()
    assert mirror.requests == {"train.mat": 1, "test.mat": 1}


@pytest.mark.parametrize(("limit", "fetched"), [(2_000, 0), (150_000, 2)], ids=["download", "conversion"])
def test_full_disk_is_a_clear_error_and_leaves_nothing_that_counts(
    limit: int, fetched: int, mirror: Mirror, tmp_path: Path
) -> None:
    # A file that cannot grow fails as on a full disk.
    full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    process = loading(mirror, tmp_path, full)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert f"DataError: {tmp_path / 'svhn'}" in errors
    assert "cannot be read or written" in errors
    assert "--data-dir" in errors
    assert files_in(tmp_path) == {f"svhn/{split}_32x32.mat" for split in ROWS if fetched}
    assert_is_svhn(Library(tmp_path, mirror.replacements()))


def test_folder_that_cannot_be_made_is_a_clear_error(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(DataError, match="cannot be read or written"):
        Library(tmp_path / "data", mirror.replacements()).load("svhn")


def test_other_checksums_make_other_arrays(mirror: Mirror, tmp_path: Path) -> None:
    assert_is_svhn(Library(tmp_path, mirror.replacements()))
    mirror.files["test.mat"] = content("train").raw
    other = Library(tmp_path, mirror.replacements())
    assert other.measure("svhn") == svhn.SIZES
    with pytest.raises(DataError, match=r"test_32x32.mat: got sha256 .* remove the file"):
        other.load("svhn")
    (tmp_path / "svhn" / "test_32x32.mat").unlink()
    assert len(other.load("svhn").y_test) == ROWS["train"]


def test_damaged_arrays_are_found(mirror: Mirror, tmp_path: Path) -> None:
    library = Library(tmp_path, mirror.replacements())
    with pytest.raises(DataError, match=r"nothing of it is in .*; run clrbench data fetch svhn"):
        library.verify("svhn")
    library.load("svhn")
    assert library.verify("svhn") == tmp_path / "svhn"
    (arrays,) = (tmp_path / "svhn").glob("arrays-*")
    images = np.load(arrays / "x_test.npy", mmap_mode="r+")
    images[7, 5, 3, 1] ^= 1
    images.flush()
    with pytest.raises(DataError, match=r"is damaged \(got checksum .*\); remove this folder"):
        library.verify("svhn")
    os.truncate(arrays / "x_test.npy", 500)
    with pytest.raises(DataError, match="is damaged"):
        library.load("svhn")
    (arrays / prepared.ABOUT).write_text("{}")
    with pytest.raises(DataError, match="is damaged"):
        library.measure("svhn")


def test_verify_finds_a_damaged_file_beside_good_arrays(mirror: Mirror, tmp_path: Path) -> None:
    library = Library(tmp_path, mirror.replacements())
    library.load("svhn")
    with (tmp_path / "svhn" / "test_32x32.mat").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(DataError, match=r"test_32x32.mat: got sha256"):
        library.verify("svhn")


def tiny() -> dict[str, np.ndarray]:
    images = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2, 1)
    return {"x_train": images[:4], "y_train": np.arange(4) % 2, "x_test": images[4:], "y_test": np.arange(2)}


TINY = "898d4ac585607e6feb2bf55e663e239070f2e28399b4dabfacd1c2eb62428e7e"


class Unpacked:
    """A data set of the package, and how often it was unpacked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.times = folder, 0

    def load(self) -> Dataset:
        return prepared.load_unpacked(self.folder, "tiny", TINY, self._unpack)

    def _unpack(self) -> dict[str, np.ndarray]:
        self.times += 1
        return tiny()


def assert_is_tiny(found: Dataset) -> None:
    for name, array in tiny().items():
        np.testing.assert_array_equal(getattr(found, name), array)
    assert (found.checksum, found.num_classes, found.name) == (TINY, 2, "tiny")


def test_a_copy_is_unpacked_once_and_mapped_from_then_on(tmp_path: Path) -> None:
    packed = Unpacked(tmp_path / "tiny" / "arrays")
    for _ in range(3):
        assert_is_tiny(packed.load())
    assert packed.times == 1
    assert isinstance(packed.load().x_train.base, np.memmap)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a pixel": lambda copy: flip(copy / "x_test.npy", -1),
    "a label": lambda copy: flip(copy / "y_train.npy", -4),
    "half": lambda copy: os.truncate(copy / "x_train.npy", 130),
    "empty": lambda copy: os.truncate(copy / "y_test.npy", 0),
    "gone": lambda copy: (copy / "x_train.npy").unlink(),
    "no note": lambda copy: (copy / prepared.ABOUT).unlink(),
    "a bad note": lambda copy: (copy / prepared.ABOUT).write_text("[]"),
    "a false note": lambda copy: (copy / prepared.ABOUT).write_text(json.dumps(ABOUT)),
}


def flip(path: Path, at: int) -> None:
    """Change one bit of a file."""
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_copy_is_never_believed_and_replaced(damage: Callable[[Path], object], tmp_path: Path) -> None:
    packed = Unpacked(tmp_path / "tiny" / "arrays")
    packed.load()
    damage(packed.folder)
    assert_is_tiny(packed.load())
    assert packed.times == 2
    assert_is_tiny(packed.load())
    assert packed.times == 2


def test_a_copy_that_cannot_be_kept_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    packed = Unpacked(tmp_path / "a file" / "arrays")
    assert_is_tiny(packed.load())
    assert_is_tiny(packed.load())
    assert packed.times == 2


def test_a_full_disk_leaves_no_half_of_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = Unpacked(tmp_path / "tiny" / "arrays")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    assert_is_tiny(packed.load())
    assert [path.name for path in packed.folder.parent.iterdir()] == [".lock"]
