"""Files of the user's own as a parcel: laid out elsewhere, they are what they were; what need not travel stays."""

from pathlib import Path

import pytest

from clrbench.own_code import parcel as module
from clrbench.own_code.parcel import pack, pack_folder


def lay_out(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder.resolve()


def found(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_folder_comes_out_as_it_went_in(tmp_path: Path) -> None:
    home = lay_out(tmp_path / "here", train="sh", lib__a="1", lib__deep__b="2")
    (home / "train").chmod(0o755)
    (home / "link").symlink_to("lib/a")
    (home / "outside").symlink_to(tmp_path / "data")
    sent = pack_folder(home, [home / "train"])
    assert sent is not None
    assert sent.is_whole
    (tmp_path / "there").mkdir()
    there = sent.lay_out(tmp_path / "there")
    assert found(there) == {"train": "sh", "lib/a": "1", "lib/deep/b": "2", "link": "1"}
    assert (there / "train").stat().st_mode & 0o100
    assert not (there / "lib/a").stat().st_mode & 0o100
    assert (there / "link").resolve() == there / "lib/a"
    # On a machine that sees the same storage, it leads there.
    assert (there / "outside").readlink() == tmp_path / "data"


def test_what_is_hidden_made_or_a_result_stays(tmp_path: Path) -> None:
    home = lay_out(
        tmp_path,
        **{"train": "", ".env": "secret", ".git__config": "", "node_modules__a": ""},
        **{"venv__pyvenv.cfg": "", "venv__x": "", "results__own__experiment.json": "", "results__own__metrics.csv": ""},
        **{"out__a": "", "results__notes": ""},
    )
    sent = pack_folder(home, [home / ".env"], without=[home / "out"])
    assert sent is not None
    # What is named goes along, hidden or not.
    assert set(sent.files) == {"train", ".env", "results/notes"}


@pytest.mark.parametrize(("limit", "value"), [("MAX_FOLDER_BYTES", 9), ("MAX_FOLDER_FILES", 3)])
def test_a_folder_that_is_too_large_is_none(
    tmp_path: Path, limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, limit, value)
    home = lay_out(tmp_path, a="123", b="123", c="123")
    assert pack_folder(home, []) is not None
    lay_out(tmp_path, d="1")
    assert pack_folder(home, []) is None


def test_files_beside_and_above_the_folder_keep_their_places(tmp_path: Path) -> None:
    top = lay_out(tmp_path / "top", specs__a__spec="s", nets__net="n", nets__parts__layer="l")
    files = [top / "nets/net", top / "nets/parts/layer"]
    sent = pack(top / "specs/a", {path: path for path in files})
    assert sent.home == "specs/a"
    (tmp_path / "there").mkdir()
    home = sent.lay_out(tmp_path / "there")
    assert (home / "../../nets/parts/layer").read_text() == "l"
    assert (home / "../../nets/net").read_text() == "n"


def test_the_checksum_is_that_of_names_contents_and_rights(tmp_path: Path) -> None:
    def checksum() -> str:
        sent = pack_folder(home, [])
        assert sent is not None
        return sent.checksum

    home = lay_out(tmp_path, a="1", b="2")
    seen = [checksum()]
    assert checksum() == seen[0]
    for change in (
        lambda: (home / "a").write_text("3"),
        lambda: (home / "a").rename(home / "c"),
        lambda: (home / "b").chmod(0o755),
        lambda: (home / "d").symlink_to("b"),
    ):
        change()
        seen.append(checksum())
    assert len(set(seen)) == len(seen)
