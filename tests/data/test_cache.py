"""Where data is kept: the user's cache, or, without a home folder, a private folder that nobody else can write to."""

import os
import tempfile
from pathlib import Path

import platformdirs
import pytest

from clrbench.data import Library
from clrbench.data.cache import default_folder, private_folder
from clrbench.errors import DataError


def test_it_is_the_users_own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "clrbench"


def no_home(_project: str) -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("user_cache_path", [no_home, lambda project: Path("~/.cache", project)])
def test_without_a_home_it_is_a_private_folder(
    user_cache_path: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", user_cache_path)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    folder = Library().folder
    assert folder == tmp_path / f"clrbench-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert default_folder() == folder
    assert len(Library().statuses()) == 5


@pytest.mark.parametrize("home", ["a file", "not writable", "missing in what is not writable", "may not be looked at"])
def test_a_home_that_cannot_be_written_to_counts_as_none(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "home"
    place.touch() if home == "a file" else place.mkdir()
    cache = place / "user/.cache" if home.startswith("missing") else place
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda project: cache / project)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    access, exists = os.access, Path.exists
    if home != "a file":  # nothing keeps root, as who the tests may run, from writing anywhere
        monkeypatch.setattr(os, "access", lambda path, mode: path != place and access(path, mode))
    if home == "may not be looked at":

        def refused(path: Path) -> bool:
            if path.is_relative_to(place) and path != place:
                raise PermissionError
            return exists(path)

        monkeypatch.setattr(Path, "exists", refused)
    assert default_folder() == tmp_path / f"tmp/clrbench-{os.getuid()}"


def test_a_cache_that_is_there_is_used_even_if_nothing_can_be_added_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "clrbench").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert default_folder() == tmp_path / "clrbench"


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    file = tmp_path / "file"
    file.touch()
    for folder in (open_to_all, link, file, tmp_path / "missing/folder"):
        with pytest.raises(DataError, match="name one with CLRBENCH_DATA, or --data-dir on the command line"):
            private_folder(folder)
    mine = private_folder(tmp_path / "mine")
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    with pytest.raises(DataError, match="is not a folder of this user alone"):
        private_folder(mine)
