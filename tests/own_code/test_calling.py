from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clrbench.errors import BackendError, SpecError
from clrbench.own_code import Code, is_reference
from clrbench.own_code.calling import absolute


def code(reference: str, base: Path = Path(), version: str = "") -> Code:
    return Code(reference, base, SpecError, BackendError, version)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("package.module:load", ("package.module", "load")),
        ("module:load", ("module", "load")),
        ("/a folder/with: colon/own.data.py:load", ("/a folder/with: colon/own.data.py", "load")),
    ],
)
def test_reference_in_two_parts(reference: str, expected: tuple[str, str]) -> None:
    assert is_reference(reference)
    assert code(reference).split() == expected


@pytest.mark.parametrize("reference", ["", "load", ":load", "module:", "a:b-c", "a:1"])
def test_what_is_no_reference(reference: str) -> None:
    assert not is_reference(reference)
    with pytest.raises(SpecError, match=r"allowed: package\.module:function"):
        code(reference).split()


def test_paths_are_made_absolute_and_modules_are_not(tmp_path: Path) -> None:
    assert absolute("./net.py:build", tmp_path) == f"{tmp_path / 'net.py'}:build"
    assert absolute(f"{tmp_path / 'net.py'}:build", Path("/elsewhere")) == f"{tmp_path / 'net.py'}:build"
    assert absolute("package.module:build", tmp_path) == "package.module:build"


def test_a_file_of_another_version_is_imported_anew(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    reference = f"{file}:build"
    found = []
    for version, value in (("a", 1), ("a", 2), ("b", 3)):
        file.write_text(f"def build(): return {value}\n")
        one = code(reference, tmp_path, version)
        with one.at_home():
            found.append(one.find()())
    assert found == [1, 1, 3]


def test_what_lies_beside_it_is_imported_and_does_not_stay(tmp_path: Path) -> None:
    for name, value in (("first", 1), ("second", 2)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "beside_it.py").write_text(f"value = {value}\n")
        (folder / "net.py").write_text("import beside_it\ndef build(): return beside_it.value\n")
        one = code(f"{folder / 'net.py'}:build", tmp_path)
        path = sys.path.copy()
        with one.at_home():
            assert Path.cwd() == tmp_path.resolve()
            assert one.find()() == value
        assert sys.path == path
        assert "beside_it" not in sys.modules
        assert not (folder / "__pycache__").exists()
