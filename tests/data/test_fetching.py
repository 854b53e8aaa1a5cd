"""SVHN through a server on this machine, as it may go: right, or with one clear error, and never a wrong cache."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mirror import ROWS, Mirror, content, serving

from clrbench.data import Library, Replacement, download, prepared, svhn
from clrbench.errors import DataError


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"svhn/.lock"}


def refusal(library: Library) -> str:
    with pytest.raises(DataError) as caught:
        library.load("svhn")
    assert not list((library.folder / "svhn").glob("arrays-*"))
    assert not library.status("svhn").is_ready
    return str(caught.value)


def assert_is_svhn(library: Library) -> None:
    dataset = library.load("svhn")
    for split in ROWS:
        expected = content(split)
        images, labels = (getattr(dataset, f"{axis}_{split}") for axis in "xy")
        np.testing.assert_array_equal(images, np.moveaxis(expected.images, 3, 0))
        np.testing.assert_array_equal(labels, expected.labels[:, 0] % 10)
    assert (dataset.name, dataset.num_classes, dataset.x_train.dtype) == ("svhn", 10, np.uint8)


def test_good_files_are_fetched_once_converted_once_and_mapped(mirror: Mirror, tmp_path: Path) -> None:
    library = Library(tmp_path, mirror.replacements())
    assert library.measure("svhn") == svhn.SIZES  # as published, while nothing is here
    assert_is_svhn(library)
    assert_is_svhn(Library(tmp_path, mirror.replacements()))
    assert mirror.requests == {"train.mat": 1, "test.mat": 1}
    sizes = library.measure("svhn")
    assert (sizes.train_rows, sizes.test_rows, sizes.image_shape) == (60, 30, (32, 32, 3))
    arrays = {f"{axis}_{split}.npy" for axis in "xy" for split in ROWS}
    names = {path.rpartition("/")[2] for path in files_in(tmp_path)}
    assert names == {"train_32x32.mat", "test_32x32.mat", "about.json", *arrays}
    mapped = library.load("svhn").x_train
    while mapped.base is not None and not isinstance(mapped, np.memmap):
        mapped = mapped.base
    assert isinstance(mapped, np.memmap)


def test_progress_adds_up_to_the_bytes_of_each_file(mirror: Mirror, tmp_path: Path) -> None:
    shown: dict[str, list[int]] = {}

    class Showing:
        def __init__(self, what: str, total: int) -> None:
            self.told = shown.setdefault(what, [-total])

        def __enter__(self) -> object:
            return self.told.append

        def __exit__(self, *_: object) -> None: ...

    Library(tmp_path, mirror.replacements()).load("svhn", Showing)  # type: ignore[arg-type]
    assert [sum(told) for told in shown.values()] == [0, 0]
    assert list(shown) == [f"fetching {mirror.url}/{split}.mat" for split in ROWS]


def test_the_users_own_files_are_verified_and_used(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "svhn").mkdir()
    for split in ROWS:
        (tmp_path / "svhn" / f"{split}_32x32.mat").write_bytes(mirror.files[f"{split}.mat"])
    library = Library(tmp_path, mirror.replacements())
    assert library.status("svhn").state == "files there, not verified yet"
    assert_is_svhn(library)
    assert not mirror.requests
    assert library.status("svhn").state == "verified"


def test_the_users_own_file_with_another_checksum_is_refused_and_kept(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "svhn").mkdir()
    own = tmp_path / "svhn" / "train_32x32.mat"
    own.write_bytes(b"something else")
    with pytest.raises(DataError) as caught:
        Library(tmp_path, mirror.replacements()).load("svhn")
    assert f"{own}: got sha256 {hashlib.sha256(b'something else').hexdigest()}, expected" in str(caught.value)
    assert own.read_bytes() == b"something else"


@pytest.mark.parametrize("announces_length", [True, False])
def test_truncated_file_is_never_kept(announces_length: bool, mirror: Mirror, tmp_path: Path) -> None:
    mirror.announces_length = announces_length
    mirror.cut["train.mat"] = 1000
    message = refusal(Library(tmp_path, mirror.replacements()))
    assert "could not be fetched from" in message
    assert files_in(tmp_path) == set()


def test_connection_that_drops_half_way_is_tried_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cut, mirror.cut_times = {"train.mat": 1000}, {"train.mat": 2}
    assert_is_svhn(Library(tmp_path, mirror.replacements()))
    assert mirror.requests["train.mat"] == 3


def test_wrong_file_is_refused_at_once_with_url_folder_and_checksum(mirror: Mirror, tmp_path: Path) -> None:
    wanted = "0" * 64
    library = Library(tmp_path, (mirror.replacement("train", sha256=wanted), mirror.replacement("test")))
    message = refusal(library)
    got = hashlib.sha256(mirror.files["train.mat"]).hexdigest()
    for part in (f"{mirror.url}/train.mat (another file, with sha256 {got})", str(tmp_path / "svhn"), wanted):
        assert part in message
    assert mirror.requests == {"train.mat": 1}
    assert files_in(tmp_path) == set()


def test_missing_file_is_looked_for_at_the_next_mirror(mirror: Mirror, tmp_path: Path) -> None:
    train = mirror.replacement("train", "nowhere.mat", "train.mat")
    assert_is_svhn(Library(tmp_path, (train, mirror.replacement("test"))))
    assert mirror.requests == {"nowhere.mat": 1, "train.mat": 1, "test.mat": 1}


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (503, download.ATTEMPTS)])
def test_refusals_are_final_and_failures_of_the_server_are_not(
    status: int, tries: int, mirror: Mirror, tmp_path: Path
) -> None:
    library = Library(tmp_path, (mirror.replacement("train", str(status)), mirror.replacement("test")))
    assert f"{mirror.url}/{status} ({status} " in refusal(library)
    assert mirror.requests == {str(status): tries}


def test_without_a_network_one_error_names_url_folder_and_checksum(tmp_path: Path) -> None:
    sha256 = "1" * 64
    unreachable = Replacement("svhn", "train", ("http://127.0.0.1:9/train_32x32.mat",), sha256)
    message = refusal(Library(tmp_path, (unreachable,)))
    for part in ("http://127.0.0.1:9/train_32x32.mat", str(tmp_path / "svhn"), sha256, "Connection refused"):
        assert part in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"images": np.zeros((32, 32, 3, 60), np.float64)}, "got X of float64[32, 32, 3, 60]"),
        ({"images": np.zeros((28, 28, 3, 60), np.uint8)}, "got X of uint8[28, 28, 3, 60]"),
        ({"labels": np.full((60, 1), 11, np.uint8)}, "got y of uint8[60, 1]"),
        ({"labels": np.full((59, 1), 1, np.uint8)}, "got y of uint8[59, 1]"),
    ],
)
def test_file_of_another_shape_is_refused(
    change: dict[str, object], expected: str, mirror: Mirror, tmp_path: Path
) -> None:
    whole = content("train")
    broken = type(whole)(**{"images": whole.images, "labels": whole.labels, **change})  # type: ignore[arg-type]
    mirror.files["train.mat"] = broken.raw
    assert expected in refusal_after_fetch(Library(tmp_path, mirror.replacements()))


def test_file_that_is_no_matlab_file_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["train.mat"] = b"not MATLAB " * 100
    assert "cannot be read as a MATLAB 5 file" in refusal_after_fetch(Library(tmp_path, mirror.replacements()))


def refusal_after_fetch(library: Library) -> str:
    with pytest.raises(DataError) as caught:
        library.load("svhn")
    assert not list((library.folder / "svhn").glob("arrays-*"))
    return str(caught.value)


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
