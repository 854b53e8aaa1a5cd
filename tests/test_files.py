"""A file or a folder that is there is complete, whatever happens while it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clrbench import files
from clrbench.errors import DataError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_the_one_before_it(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        files.write_file(tmp_path / "folder/file", content)
        assert files.read_file(tmp_path / "folder/file") == content
    assert names(tmp_path / "folder") == ["file"]


def test_what_a_dead_process_left_of_a_file_goes_and_that_of_others_stays(tmp_path: Path) -> None:
    left = [files.temporary_path(tmp_path / name) for name in ("file", "other")]
    for path in left:
        path.write_bytes(b"half")
    assert files.find_temporary(tmp_path, "file") == left[:1]
    assert files.find_temporary(tmp_path) == sorted(left)
    files.write_file(tmp_path / "file", b"whole")
    assert names(tmp_path) == sorted(["file", left[1].name])


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / "file").symlink_to("victim")
    files.write_file(tmp_path / "file", b"new")
    assert not (tmp_path / "file").is_symlink()
    with pytest.raises(FileExistsError), files.new_file(tmp_path / "file") as file:
        file.write(b"again")
    assert (tmp_path / "victim").read_bytes() == b"kept"


@pytest.mark.parametrize("existing", [False, True])
def test_a_folder_takes_its_place_once_it_is_filled(existing: bool, tmp_path: Path) -> None:
    target = tmp_path / "target"
    if existing:
        target.mkdir()
        (target / "old").touch()
    with files.new_folder(target) as folder, files.new_file(folder / "new") as file:
        assert target.exists() == existing
        file.write(b"content")
    assert names(tmp_path) == ["target"]
    assert names(target) == ["new"]


def test_a_folder_that_cannot_be_filled_leaves_the_one_before_it(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(FileExistsError), files.new_folder(target) as folder, files.new_file(folder / "new"):
        (folder / "new").touch(exist_ok=False)
    assert names(tmp_path) == ["target"]
    assert names(target) == ["old"]


def test_every_write_is_flushed_before_and_after_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[list[str]] = []
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append(names(tmp_path)))
    files.write_file(tmp_path / "file", b"content")
    before, after = flushed
    assert len(before) == 1
    assert before != ["file"] == after


def test_only_where_parents_are_asked_for_are_they_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.make_folder(tmp_path / "a/b")
    files.make_folder(tmp_path / "a/b", parents=True)
    files.make_folder(tmp_path / "a/b")
    assert (tmp_path / "a/b").is_dir()


def test_removal_takes_files_folders_and_links_and_nothing_that_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("folder")
    for name in ("link", "file", "missing"):
        files.remove(tmp_path / name)
    assert names(tmp_path) == ["folder"]
    files.remove(tmp_path / "folder")
    assert names(tmp_path) == []


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is not a regular file"):
        files.read_file(tmp_path / "pipe")


def test_an_error_of_the_disk_names_the_place_and_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught, files.disk_errors(tmp_path / "x", DataError, "try again"):
        (tmp_path / "x").read_bytes()
    expected = f"{tmp_path / 'x'}: cannot be read or written (No such file or directory); try again"
    assert str(caught.value) == expected


def test_a_fingerprint_changes_with_names_sizes_and_times(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"1")
    os.utime(tmp_path / "a", ns=(0, 0))
    os.utime(tmp_path / "b", ns=(0, 0))
    found = {files.fingerprint(tmp_path, [name]) for name in ("a", "b")}
    os.utime(tmp_path / "a", ns=(0, 1))
    found.add(files.fingerprint(tmp_path, ["a"]))
    (tmp_path / "a").write_bytes(b"12")
    os.utime(tmp_path / "a", ns=(0, 1))
    found.add(files.fingerprint(tmp_path, ["a"]))
    assert len(found) == 4


def test_checksum_is_sha_256() -> None:
    assert files.checksum(b"abc").startswith("ba7816bf8f01cfea")
