"""A mirror that sends too much, or cannot be named, ends in one clear error, and what is secret in its address stays so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mirror import Mirror, serving

from clrbench.data import Library, download
from clrbench.errors import DataError


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)


def refusal(library: Library) -> str:
    with pytest.raises(DataError) as caught:
        library.load("svhn")
    assert [path.name for path in library.folder.rglob("*")] in (["svhn"], ["svhn", ".lock"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
