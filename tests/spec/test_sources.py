from __future__ import annotations

from pathlib import Path

import pytest

from clrbench.data import Library, Replacement
from clrbench.errors import SpecError
from clrbench.spec import library_from_environment, load_sources

SHA = "0123456789abcdef" * 4


def load(folder: Path, text: str) -> tuple[Replacement, ...]:
    path = folder / "sources.yaml"
    path.write_text(text)
    return load_sources(path)


def test_one_url_or_a_list_with_or_without_a_checksum(tmp_path: Path) -> None:
    text = f"""\
svhn:
  train: {{url: https://mirror.example/train.mat, sha256: {SHA.upper()}}}
  test: {{url: [http://a.example:80/test.mat, https://b.example/test.mat]}}
cifar10: {{archive: {{url: "https://mirror.example/cifar.tar.gz"}}}}
"""
    assert load(tmp_path, text) == (
        Replacement("svhn", "train", ("https://mirror.example/train.mat",), SHA),
        Replacement("svhn", "test", ("http://a.example:80/test.mat", "https://b.example/test.mat")),
        Replacement("cifar10", "archive", ("https://mirror.example/cifar.tar.gz",)),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("svnh: {}", "sources.yaml:1: svnh: unknown key; allowed: fashion_mnist, svhn, cifar10; did you mean 'svhn'?"),
        ("svhn:\n  extra: {url: https://a.example/x}", "sources.yaml:2: svhn.extra: unknown key; allowed: train, test"),
        ("svhn:\n  train: {sha256: abc}", "sources.yaml:2: svhn.train.url: is missing; add it"),
        ("svhn:\n  train: {url: https://a.example/x, sha256: abc}", "got 'abc'; allowed: 64 hexadecimal digits"),
        (
            "svhn:\n  train: {url: /local/file}",
            "got '/local/file'; allowed: a URL that starts with http:// or https://",
        ),
        ("svhn:\n  train: {url: 'file:///etc/passwd'}", "allowed: a URL that starts with http:// or https://"),
        ("svhn:\n  train: {url: []}", "allowed: a URL that starts with http:// or https://, or a list of them"),
        ("[svhn]", "sources.yaml: got no mapping of keys to values"),
        ("svhn: {train: {url: https://a.example/x}, train: {}}", "got this key twice"),
    ],
)
def test_anything_else_is_refused(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    assert expected in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_sources(tmp_path / "nowhere.yaml")


def test_the_environment_names_folder_and_sources_and_a_folder_that_is_given_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CLRBENCH_DATA", "CLRBENCH_SOURCES"):
        monkeypatch.setenv(name, "")  # as good as none
    assert library_from_environment() == Library()
    (tmp_path / "sources.yaml").write_text("svhn: {train: {url: https://a.example/x}}")
    monkeypatch.setenv("CLRBENCH_DATA", "data")
    monkeypatch.setenv("CLRBENCH_SOURCES", "sources.yaml")
    replaced = (Replacement("svhn", "train", ("https://a.example/x",)),)
    assert library_from_environment() == Library(tmp_path / "data", replaced)
    assert library_from_environment(Path("other")) == Library(tmp_path / "other", replaced)
    monkeypatch.setenv("CLRBENCH_DATA", "sources.yaml")
    with pytest.raises(SpecError, match=r"CLRBENCH_DATA: got 'sources.yaml', which is a file"):
        library_from_environment()
    monkeypatch.setenv("CLRBENCH_SOURCES", "nowhere.yaml")
    with pytest.raises(SpecError, match=r"nowhere\.yaml"):
        library_from_environment(Path("other"))
