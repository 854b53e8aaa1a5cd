"""The folders that scripts work in: who takes one over, and when it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from clrbench.store import ResultsFolder
from clrbench.store import scripts as module
from clrbench.store.scripts import ScriptFolder, holds_kept, script_runs


def fill(folder: ScriptFolder, **files: str) -> None:
    folder.write({name.replace("__", "/"): content.encode() for name, content in files.items()})


@pytest.fixture
def results(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path)


def test_contents_come_back_as_they_were_written(results: ResultsFolder) -> None:
    place = results.script_folder("script-a-s0-01234567")
    assert place.contents() == {}
    fill(place, kept="1", deep__er="2")
    assert place.contents() == {"kept": b"1", "deep/er": b"2"}
    fill(place, other="3")
    assert place.contents() == {"other": b"3"}
    assert [path.name for path in place.path.parent.iterdir()] == [place.path.name]
    place.remove()
    place.remove()
    assert place.contents() == {}


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/../../out", ""])
def test_no_file_is_written_beside_the_folder(results: ResultsFolder, name: str) -> None:
    place = results.script_folder("script-a-s0-01234567")
    with pytest.raises(Exception, match="is no path inside a folder"):
        place.write({name: b""})
    assert not holds_kept(place.path)


def test_what_is_too_large_is_not_read(results: ResultsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 3)
    place = results.script_folder("script-a-s0-01234567")
    fill(place, a="12", b="3")
    assert place.contents() == {"a": b"12", "b": b"3"}
    fill(place, a="12", b="34")
    assert place.contents() is None


def test_only_files_of_its_own_are_worth_to_go_on_from(results: ResultsFolder) -> None:
    old, new = (results.script_folder(f"script-{arm}-s0-01234567") for arm in "ab")
    fill(old, **{"run.json": "", "lr.csv": "", "metrics.csv": "", "train.log": ""})
    assert script_runs(results.root, ("",), "01234567") == []
    assert not new.take_over(old)
    fill(old, kept="1")
    fill(new, **{"metrics.csv": "step\n"})
    assert script_runs(results.root, ("",), "01234567") == [(results.root, old.path.name)]
    assert new.take_over(old)
    assert new.contents() == {"kept": b"1"}
    assert old.contents() == {}
    fill(old, kept="2")
    assert not new.take_over(old)


def test_a_finished_run_clears_away_what_it_stands_for_and_no_more(results: ResultsFolder) -> None:
    names = {
        "script-a-s0-01234567": False,  # itself
        "script-a-s0-89abcdef": False,  # of other files, before they were changed
        "script-b-s0-01234567": False,  # itself, under another name
        "script-a-s1-89abcdef": True,
        "script-b-s0-89abcdef": True,
    }
    for name in names:
        fill(results.script_folder(name), kept="1")
    locked = results.script_folder("script-a-s0-11111111")
    fill(locked, kept="1")
    with results.run_lock(locked.path.name) as held:
        assert held
        results.clear_script("script-a-s0-01234567")
    left = {path.name for path in locked.path.parent.iterdir()}
    # Another process is making the one that is locked.
    assert left == {name for name, stays in names.items() if stays} | {locked.path.name}
    assert list((results.root / ".locks").iterdir()) == []
