from __future__ import annotations

from clrbench.data import FETCHED_FILES, NAMES, STAND_INS
from clrbench.data.catalogue import CATALOGUE, Fetched


def test_every_data_set_stands_under_its_own_name() -> None:
    assert NAMES == ("mnist", "fashion_mnist", "svhn", "cifar10", "street_digits")
    assert all(entry.name == name for name, entry in CATALOGUE.items())
    assert set(STAND_INS) <= set(NAMES)


def test_every_published_file_has_a_checksum_a_size_and_somewhere_to_fetch_it() -> None:
    fetched = {name: entry for name, entry in CATALOGUE.items() if isinstance(entry, Fetched)}
    assert {name: tuple(entry.files) for name, entry in fetched.items()} == FETCHED_FILES
    for file in [file for entry in fetched.values() for file in entry.files.values()]:
        assert len(file.sha256) == 64
        assert file.num_bytes > 0
        assert file.urls
