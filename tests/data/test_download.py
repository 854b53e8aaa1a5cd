"""Published files from a server on this machine: they arrive right, or not at all, with one clear error."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mirror import ROWS, Mirror, assert_is_svhn, files_in, serving

from clrbench.data import Library, Replacement, download, svhn
from clrbench.errors import DataError


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)


def refusal(library: Library) -> str:
    """Return the message of a fetch that fails, which leaves nothing behind."""
    with pytest.raises(DataError) as caught:
        library.load("svhn")
    assert [path.name for path in library.folder.rglob("*")] in (["svhn"], ["svhn", ".lock"])
    assert not library.status("svhn").is_ready
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


@pytest.mark.parametrize("announces_length", [True, False])
def test_a_file_far_larger_than_the_published_one_is_given_up_and_removed(
    announces_length: bool, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_SIZE_RATIO", 1e-5)
    mirror.announces_length = announces_length
    message = refusal(Library(tmp_path, mirror.replacements()))
    assert f"{mirror.url}/train.mat (another file, larger than 1820.4" in message
    assert mirror.requests == {"train.mat": 1}


def test_name_and_password_in_an_address_are_not_shown(mirror: Mirror, tmp_path: Path) -> None:
    mirror.url = mirror.url.replace("://", "://someone:secret@")
    message = refusal(Library(tmp_path, (mirror.replacement("train", "404"),)))
    assert "//127.0.0.1:" in message
    assert "someone" not in message
    assert "secret" not in message


@pytest.mark.parametrize("address", ["http://[/x", "http://127.0.0.1:99999/x", "http://a..b/x"])
def test_address_that_is_none_is_refused(address: str, mirror: Mirror, tmp_path: Path) -> None:
    mirror.url = address
    assert "could not be fetched from" in refusal(Library(tmp_path, (mirror.replacement("train", ""),)))
