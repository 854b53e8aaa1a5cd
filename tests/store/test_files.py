"""Folders that are replaced in one step, JSON with a checksum, and locks that no dead process holds."""

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_samples import edit, truncate

from clrbench.errors import ResultsError
from clrbench.files import checksum
from clrbench.store.files import (
    LockTimes,
    disk_errors,
    file_stamp,
    is_being_replaced,
    lock,
    read_checked_file,
    read_json,
    read_sealed_json,
    recover_folder,
    refuse_symlinks,
    remove,
    to_json,
    to_sealed_json,
    write_file,
    write_folder,
)

CONTENT: dict[str, Any] = {"b": [1, 2.5, None], "a": {"text": "\u00e9", "flag": True}}
OLD, NEW = {"first": b"old", "last": b"old"}, {"first": b"new", "last": b"new"}


def is_complete(folder: Path) -> bool:
    return (folder / "last").is_file()


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def make(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def test_sealed_json_reads_back_in_its_order_without_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_file(path, to_sealed_json(CONTENT))
    found = read_sealed_json(path, "advice")
    assert found == CONTENT
    assert list(found) == ["b", "a"]
    assert list(read_json(path, "advice")) == ["b", "a", "checksum"]
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize("damage", [edit, truncate, lambda path: path.write_bytes(to_json(CONTENT))])
def test_sealed_json_that_is_not_what_was_written_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "a.json"
    write_file(path, to_sealed_json(CONTENT))
    damage(path)
    with pytest.raises(ResultsError, match=r"a\.json: (is not what was written|cannot be read).*; advice$"):
        read_sealed_json(path, "advice")


def test_what_is_missing_is_named_without_the_words_of_the_system_around_it(tmp_path: Path) -> None:
    path = tmp_path / "missing.json"
    for read in (read_json, read_sealed_json, file_stamp, lambda path, advice: read_checked_file(path, "0", advice)):
        with pytest.raises(ResultsError) as raised:
            read(path, "advice")
        assert str(raised.value) == f"{path}: cannot be read (No such file or directory); advice"


def test_a_file_is_read_only_where_it_has_its_checksum(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"content")
    assert read_checked_file(tmp_path / "a", checksum(b"content"), "advice") == b"content"
    with pytest.raises(ResultsError, match="a: is not what was written, by its checksum; advice"):
        read_checked_file(tmp_path / "a", checksum(b"other"), "advice")


def test_json_holds_no_nan_which_other_programs_could_not_read() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"a": float("nan")})


def test_the_stamp_of_a_file_changes_when_it_is_written_again_with_the_same_content(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"same")
    before = file_stamp(tmp_path / "a", "advice")
    assert file_stamp(tmp_path / "a", "advice") == before
    write_file(tmp_path / "a", b"same")
    assert file_stamp(tmp_path / "a", "advice") != before


def test_a_folder_takes_the_place_of_the_one_before_with_all_its_files(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    write_folder(target, {**OLD, "more": b"old"})
    write_folder(target, NEW)
    assert content(target) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("stored", "left", "expected"),
    [
        pytest.param(None, {".part": NEW}, NEW, id="before the only rename"),
        pytest.param(None, {".part": {"first": b"new"}}, None, id="while the first files were written"),
        pytest.param(OLD, {".part": {"first": b"new"}}, OLD, id="while the new files were written"),
        pytest.param(OLD, {".part": NEW}, OLD, id="before the first rename"),
        pytest.param(None, {".part": NEW, ".part-replaced": OLD}, NEW, id="between the renames"),
        pytest.param(None, {".part-replaced": OLD}, OLD, id="between the renames, and the new one is lost"),
        pytest.param(None, {".part": {"first": b"new"}, ".part-replaced": OLD}, OLD, id="the new one is damaged"),
        pytest.param(NEW, {".part-replaced": OLD}, NEW, id="after the last rename"),
        pytest.param(None, {}, None, id="before it began"),
    ],
)
def test_what_a_dead_process_left_is_recovered(
    tmp_path: Path,
    stored: dict[str, bytes] | None,
    left: dict[str, dict[str, bytes]],
    expected: dict[str, bytes] | None,
) -> None:
    target = tmp_path / "folder"
    make(tmp_path / ".folder-2.0123.part", NEW)
    if stored is not None:
        make(target, stored)
    for suffix, files in left.items():
        make(tmp_path / f".folder.0123{suffix}", files)
    assert is_being_replaced(target) == (stored is None and bool(left))
    recover_folder(target, is_complete)
    assert (content(target) if target.exists() else None) == expected
    assert not is_being_replaced(target)
    # What another folder is made of stays.
    assert {path.name for path in tmp_path.iterdir()} - {"folder"} == {".folder-2.0123.part"}


def test_a_link_on_the_way_to_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    root = tmp_path / "results"
    root.mkdir()
    (root / "runs").symlink_to(tmp_path / "elsewhere")
    for path in (root / "runs", root / "runs/a", root / "runs/a/b"):
        with pytest.raises(ResultsError, match="runs: is a symbolic link"):
            refuse_symlinks(root, path)
    refuse_symlinks(root, root / "plots/a.png")
    # How a user gets to the results folder is the user's own affair.
    (tmp_path / "link").symlink_to(root)
    refuse_symlinks(tmp_path / "link", tmp_path / "link/plots")


def test_what_the_disk_refuses_is_named_with_a_way_out(tmp_path: Path) -> None:
    named = pytest.raises(ResultsError, match=r"a: cannot be read or written \(Is a directory\); free space")
    with named, disk_errors(tmp_path / "a"):
        raise IsADirectoryError(21, "Is a directory")
    shutil.rmtree(tmp_path)
    with pytest.raises(ResultsError, match="a: the folder was removed while it was in use"):
        write_file(tmp_path / "plots/a", b"")


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", NEW)
    write_file(tmp_path / "file", b"")
    for _ in range(2):
        remove(tmp_path / "folder")
        remove(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_held_by_one_alone_and_goes_when_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "locks/a.lease"
    outcomes: list[bool] = []

    def try_to_hold() -> None:
        with lock(path, give_up=lambda: True) as held:
            outcomes.append(held)

    with lock(path) as held:
        assert held
        assert socket.gethostname() in path.read_text()
        other = threading.Thread(target=try_to_hold)
        other.start()
        other.join()
        assert path.exists()
    try_to_hold()
    assert outcomes == [False, True]
    assert list(path.parent.iterdir()) == []


def test_a_lock_without_a_name_is_of_a_dead_process(tmp_path: Path) -> None:
    path = tmp_path / "locks/a.lease"
    path.parent.mkdir()
    path.touch()
    started = time.monotonic()
    with lock(path, times=LockTimes(nameless=0.3)) as held:
        assert held
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("names_can_be_exchanged", [True, False])
def test_a_lock_of_another_machine_is_taken_over_once_it_is_no_longer_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names_can_be_exchanged: bool
) -> None:
    times = LockTimes(lease=0.6, abandoned=0.9)
    if not names_can_be_exchanged:
        # As on NFS, where the system refuses it.
        monkeypatch.setattr("filelock._soft.exchange_names", lambda *_: False)
    path = tmp_path / "locks/run.lease"
    with lock(path, times=times):
        marker = path.read_text()
    assert socket.gethostname() in marker
    path.write_text(marker.replace(socket.gethostname(), "another-machine"))
    with lock(path, lambda: True, times) as held:
        assert not held
    stop = threading.Event()
    owner = threading.Thread(target=_renew, args=(path, stop))
    owner.start()
    asked = []

    def give_up() -> bool:
        asked.append(time.monotonic())
        return asked[-1] - asked[0] > 1.5

    with lock(path, give_up, times) as held:
        assert not held
    stop.set()
    owner.join()
    with lock(path, times=times) as held:
        assert held


def _renew(path: Path, stop: threading.Event) -> None:
    while not stop.wait(0.1):
        os.utime(path)


def test_the_times_of_a_lock_leave_a_living_owner_room() -> None:
    times = LockTimes()
    assert times.nameless < times.lease < times.abandoned


def test_json_is_utf_8_and_indented() -> None:
    assert json.loads(to_json(CONTENT)) == CONTENT
    assert to_json({"a": [1]}) == b'{\n  "a": [\n    1\n  ]\n}\n'
